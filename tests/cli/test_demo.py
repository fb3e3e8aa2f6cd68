"""The demo on a very small city: it runs, its counts are whole, and its report stands alone."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from town import done, kangma


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    return folder, done("demo", "--residents", "300", "--days", "2", "--out", folder)


def test_everybody_has_one_state_on_every_day(
    lived: tuple[Path, dict[str, list[dict[str, dict[str, int]]]]],
) -> None:
    _, told = lived
    assert len(told["days"]) == 2
    for day in told["days"]:
        assert sum(day["by_state"].values()) == 300


def test_the_report_needs_nothing_else(lived: tuple[Path, object]) -> None:
    page = (lived[0] / "report.html").read_text("utf-8")
    assert len(page.encode()) < 200_000
    assert "<script" not in page
    assert not re.search(r"(src|href)=|url\(|@import", page)
    open_: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "input", "br"):
                open_.append(tag)

        def handle_startendtag(self, tag: str, attrs: object) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert open_.pop() == tag

    Tags().feed(page)
    assert open_ == []
    zh, en = page.count('<span lang="zh">'), page.count('<span lang="en">')
    assert zh == en > 20


def test_what_is_not_a_demo_is_never_replaced(lived: tuple[Path, object], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    said = kangma("demo", "--residents", "300", "--days", "1", "--out", tmp_path)
    assert said.code == 2
    assert "is not a demo's" in said.err
    assert (tmp_path / "mine.txt").read_text() == "mine"

"""`kangma audit`: its documents, its exit codes, its memory; a folder and an address give the same."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from town import ARRIVED, GU, MET, QIN, REGISTERED, done, kangma, write

NOW = "2022-04-20T20:00:00+08:00"
LATER = "2022-04-20T21:00:00+08:00"
PUBLIC_CHECKS = ["trust", "log", "entries", "policies", "lists"]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(a city after two releases, the same after the first)."""
    folder = tmp_path_factory.mktemp("audited")
    state = folder / "state"
    done("init", state, "--policy", "beijing-2022-04-22", "--now", "2022-04-20T00:00:00+08:00")
    done("ingest", state, write(folder / "sent", {**REGISTERED, **ARRIVED, **MET}), "--now", NOW)
    done("cycle", state, "--now", NOW)
    shutil.copytree(state, folder / "before")
    done("credential", state, *GU.asked, "--now", NOW)
    done("cycle", state, "--now", LATER)
    return state, folder / "before"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_document_says_what_was_checked_and_what_differs(lived: tuple[Path, Path]) -> None:
    said = done("audit", lived[0])
    assert list(said) == ["checked", "differences", "more", "log", "root", "receipts"]
    assert said["differences"] == []
    assert said["more"] == {}
    assert set(PUBLIC_CHECKS) < set(said["checked"])
    assert all(isinstance(n, int) for n in said["checked"].values())
    assert set(said["log"]) == {"origin", "size", "root"}
    assert len(said["root"]) == 64


def test_every_difference_has_the_same_five_fields(lived: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(lived[0], tmp_path / "state")
    (tmp_path / "state" / "public" / "latest.json").write_text("{}")
    said = kangma("audit", tmp_path / "state", "--json")
    assert said.code == 1
    (difference,) = said.json["differences"]
    assert list(difference) == ["check", "what", "where", "person", "since"]
    assert (difference["check"], difference["where"], difference["person"]) == ("lists", "latest.json", None)


def test_a_folder_and_an_address_give_the_same(lived: tuple[Path, Path], tmp_path: Path) -> None:
    public = lived[0] / "public"
    with served(public) as address:
        near, far = done("audit", "--public", public), done("audit", "--public", address)
        assert near == far
        assert sorted(near["checked"]) == sorted(PUBLIC_CHECKS)
        shutil.copytree(public, tmp_path / "public")
        file = tmp_path / "public" / "checkpoint"
        file.write_bytes(file.read_bytes().replace(b"kangma", b"kangme", 1))
    with served(tmp_path / "public") as address:
        told = [kangma("audit", "--public", where, "--json") for where in (tmp_path / "public", address)]
        assert [t.code for t in told] == [1, 1]
        assert told[0].json == told[1].json


@pytest.mark.parametrize("far", [False, True], ids=["folder", "address"])
def test_who_remembers_finds_a_city_that_was_rolled_back(
    lived: tuple[Path, Path], tmp_path: Path, far: bool
) -> None:
    now, before = (folder / "public" for folder in lived)
    marks = tmp_path / "marks"

    def asked(folder: Path) -> int:
        if not far:
            return kangma("audit", "--public", folder, "--marks", marks).code
        with served(folder) as address:
            return kangma("audit", "--public", address, "--marks", marks).code

    assert asked(before) == 0
    assert asked(now) == 0
    kept = marks.read_bytes()
    assert marks.stat().st_mode & 0o777 == 0o600
    assert asked(before) == 1
    assert marks.read_bytes() == kept  # what is wrong is not remembered
    assert asked(now) == 0
    assert (
        kangma("audit", lived[1], "--marks", marks).code == 1
    )  # the auditor with the evidence remembers too


def test_without_a_memory_it_is_a_city_of_yesterday(lived: tuple[Path, Path]) -> None:
    assert kangma("audit", lived[1]).code == 0


def test_another_root_than_was_told_elsewhere_is_found(lived: tuple[Path, Path]) -> None:
    public = lived[0] / "public"
    right = done("audit", "--public", public)["root"]
    assert kangma("audit", "--public", public, "--root", right).code == 0
    wrong = kangma("audit", "--public", public, "--root", "0" * 64, "--json")
    assert wrong.code == 1
    assert [d["what"] for d in wrong.json["differences"]] == ["another root"]


def test_a_code_that_was_seen_is_looked_up(lived: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(lived[0], tmp_path / "state")
    state = tmp_path / "state"
    text = done("credential", state, *QIN.asked, "--now", LATER)["text"]
    waiting = kangma("audit", state, "--credential", text)
    assert waiting.code == 3
    assert "since the last release" in waiting.err
    pointer = state / "public" / "latest.json"
    honest = pointer.read_bytes()
    pointer.write_text("{}")
    both = kangma("audit", state, "--credential", text, "--json")
    assert both.code == 1  # what differs is told although the code waits
    assert [d["where"] for d in both.json["differences"]] == ["latest.json"]
    pointer.write_bytes(honest)
    done("cycle", state, "--now", LATER)
    assert kangma("audit", state, "--credential", text).code == 0
    unknown = kangma(
        "audit", lived[0], "--credential", text, "--json"
    )  # issued by a twin that has the same keys
    assert unknown.code == 1
    assert [d["check"] for d in unknown.json["differences"]] == ["credentials"]


def test_what_makes_no_sense_is_one_line_and_exit_code_2(lived: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "marks").write_text("not marks")
    public = lived[0] / "public"
    for arguments in (
        (),
        (lived[0], "--public", public),
        (tmp_path,),
        ("--public", tmp_path / "nowhere"),
        ("--public", public, "--credential", "KM1:0"),
        ("--public", public, "--marks", tmp_path / "marks"),
        (lived[0], "--credential", "not a code"),
    ):
        said = kangma("audit", *arguments)
        assert (said.code, said.out) == (2, ""), arguments
        assert said.err.count("\n") == 1, said.err


def test_what_cannot_be_reached_is_exit_code_3(lived: tuple[Path, Path]) -> None:
    with served(lived[0] / "public") as address:
        pass
    said = kangma("audit", "--public", address)
    assert said.code == 3
    assert "cannot be reached" in said.err


def test_evidence_that_no_release_judged_is_exit_code_3(lived: tuple[Path, Path], tmp_path: Path) -> None:
    from kangma.store.state import open_state  # noqa: PLC0415

    shutil.copytree(lived[0], tmp_path / "state")
    more = {"people": [{**REGISTERED["people"][0], "district": "丰台区"}]}
    done("ingest", tmp_path / "state", write(tmp_path / "more", more), "--now", LATER)
    assert kangma("audit", tmp_path / "state").code == 0  # it waits in the inbox
    with open_state(tmp_path / "state") as state:
        state.absorb()
    said = kangma("audit", tmp_path / "state")
    assert said.code == 3
    assert "run a cycle" in said.err


def test_it_fits_eighty_columns(lived: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in ((lived[0],), ("--public", lived[0] / "public")):
        said = kangma("audit", *arguments)
        assert said.code == 0
        assert max(map(len, said.out.splitlines())) <= 80
        assert "Nothing differs" in said.out


def test_the_marks_hold_nothing_but_what_is_public(lived: tuple[Path, Path], tmp_path: Path) -> None:
    done("audit", lived[0], "--marks", tmp_path / "marks")
    assert set(json.loads((tmp_path / "marks").read_text())) == {"root", "trust", "size", "head", "lists"}

"""`kangma incident` as people and programs use it: from an empty folder to a published, corrected, exported record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kangma.cli import main
from kangma.store.register import open_register
from kangma.store.register_members import Passkey

RECORD = {
    "id": "an-attack",
    "victim": {"name": "健康宝", "country": "CN"},
    "date": "2022-05-01",
    "summary": {"zh": "健康宝遭受攻击", "en": "It was attacked"},
    "sources": [{"title": "A report", "url": "https://news.example/1"}],
    "motives": [{"term": "fun", "level": "member"}],
}


class Session:
    """A register in a folder, and what each call printed."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capfd, self.dir = folder, capfd, folder / "register"
        self.error = ""

    def __call__(self, verb: str, *arguments: object, code: int = 0, plain: bool = False) -> Any:
        self._capfd.readouterr()
        call = ["incident", verb, str(self.dir), *map(str, arguments), *([] if plain else ["--json"])]
        with pytest.raises(SystemExit) as ended:
            main(call)
        said = self._capfd.readouterr()
        self.error = said.err
        assert ended.value.code == code, said.err
        return said.out if plain or not said.out else json.loads(said.out)

    def file(self, name: str, content: object) -> Path:
        path = self.folder / name
        path.write_text(
            content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), "utf-8"
        )
        return path


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Session:
    session = Session(tmp_path, capfd)
    session("init", "--as", "ann", "--empty", "--title", "Songyuli", "--base", "https://r.example")
    session("member", "ed", "--as", "ann", "--role", "editor")
    session("member", "rob", "--as", "ann", "--role", "reviewer")
    return session


def test_a_record_from_a_file_to_everybody_and_its_correction(run: Session) -> None:
    assert run("new", run.file("r.json", RECORD), "--as", "ed") == {
        "id": "an-attack",
        "edit": 1,
        "lacking": [],
        "perhaps_the_same": [],
    }
    assert run("edit", "an-attack", "--as", "ed", "--submit")["state"] == "in-review"
    run("review", "an-attack", "--as", "ed", "--approve", 1, code=2)
    assert "not_allowed" in run.error
    assert run("review", "an-attack", "--as", "rob")["authors"] == ["ed"]
    assert run("review", "an-attack", "--as", "rob", "--approve", 1)["state"] == "approved"
    assert run("publish", "an-attack", "--as", "rob") == [{"id": "an-attack", "version": 1, "log_index": 0}]
    shown = run("show", "an-attack")
    assert shown["for_members"] == {"motives": 1}
    assert "salt" not in shown
    assert run("show", "an-attack", "--as", "ed")["record"]["motives"] == [{"term": "fun", "level": "member"}]
    opened = run(
        "edit", "an-attack", "--as", "ed", "--correct", "--reason-zh", "日期有误", "--reason-en", "Wrong date"
    )
    changed = run.file("r2.json", {**opened["record"], "date": "2022-05"})
    run("edit", "an-attack", changed, "--as", "ed", "--after-edit", opened["edit"], "--submit")
    run("edit", "an-attack", changed, "--as", "ed", "--after-edit", opened["edit"], code=3)
    assert "somebody saved edit 3 since" in run.error
    run("review", "an-attack", "--as", "rob", "--approve", 3)
    run("publish", "an-attack", "--as", "rob")
    newest = run("show", "an-attack", "--difference-from", 1)
    assert newest["difference"] == [{"path": "date", "before": "2022-05-01", "after": "2022-05"}]
    assert newest["reason"] == {"en": "Wrong date", "zh": "日期有误"}
    assert run("check") == {"versions": 2}
    found = run("search", "健康")
    assert (found["total"], found["counts"]["country"]) == (1, {"CN": 1})
    assert run("list", "--where", "country=NL")["total"] == 0
    assert run("list", "--drafts", "--as", "ed") == {"drafts": []}
    assert "1 motive: for members" in run("show", "an-attack", plain=True)


def test_two_records_of_one_incident_are_merged_by_whoever_saves_it(run: Session) -> None:
    run("new", run.file("r.json", RECORD), "--as", "ed")
    run("new", run.file("o.json", {"id": "o", "date": "2022", "description": {"en": "More"}}), "--as", "rob")
    merged = run("edit", "an-attack", "--merge", "o", "--as", "ed")
    assert (merged["edit"], merged["differ"]) == (1, ["date"])
    assert run("edit", "an-attack", "--as", "ed")["edit"] == 1  # nothing was saved
    both = run.file("m.json", merged["record"])
    assert run("edit", "an-attack", both, "--as", "ed")["record"]["description"] == {"en": "More"}
    run("edit", "an-attack", both, "--merge", "o", "--as", "ed", code=2)


def test_every_fault_of_a_file_is_told(run: Session) -> None:
    run("new", run.file("bad.json", {**RECORD, "date": "1 May", "certainty": "sure"}), "--as", "ed", code=2)
    assert "date: bad_date" in run.error
    assert "certainty: not_in_list" in run.error
    run("new", run.file("bad.toml", "id = "), "--as", "ed", code=2)
    run("show", "nobody", code=2)
    run("new", run.file("r.json", RECORD), "--as", "nobody", code=2)
    run("list", "--where", "country", code=2)
    run("list", "--since", "May", code=2)


@pytest.mark.parametrize("form", ["json", "stix", "veris", "csv", "parquet"])
def test_what_is_exported_is_imported_elsewhere(run: Session, form: str, tmp_path: Path) -> None:
    run("new", run.file("r.json", RECORD), "--as", "ed")
    run("edit", "an-attack", "--as", "ed", "--submit")
    run("review", "an-attack", "--as", "rob", "--approve", 1)
    run("publish", "an-attack", "--as", "rob")
    out = tmp_path / f"out.{form}"
    assert run("export", "--form", form, "--out", out, "--as", "ed")["records"] == 1
    there = run("import", out, "--form", form, "--as", "ed", code=1)
    assert there["refused"][0]["faults"][0]["code"] == "duplicate_id"
    run.dir = tmp_path / "elsewhere"
    run("init", "--as", "eva", "--empty")
    assert run("import", out, "--form", form, "--as", "eva")["opened"] == ["an-attack"]
    assert run("edit", "an-attack", "--as", "eva")["record"]["motives"] == [
        {"term": "fun", "level": "member"}
    ]


def test_the_csv_of_another_database_comes_in(run: Session) -> None:
    columns = run.file(
        "m.toml", 'format = 1\n[id]\ncolumn = "Ref"\n[fields]\n"victim.name" = "Who"\ndate = "When"\n'
    )
    table = run.file("other.csv", "Ref,Who,When,Colour\nA1,Clinic,2021-05,red\nA2,Clinic,May,\n")
    said = run("import", table, "--mapping", columns, "--as", "ed", code=1)
    assert said["opened"] == ["a1"]
    assert said["refused"][0]["where"] == "line 3"
    assert said["not_mapped"] == [{"where": "column Colour", "what": "the mapping file does not name it"}]


def test_the_founding_record_is_there_from_the_first_call(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Session(tmp_path, capfd)
    assert len(run("init", "--as", "ann")["published"]) >= 16
    said = run("show", "2022-04-28-jiankangbao", plain=True)
    assert "2 motives, 1 technique, 1 source: for members" in said
    assert "2 项动机、1 项技术手段、1 项来源：仅会员可见" in said
    assert "availability degree attempted" in said
    assert "basis" not in said
    assert "basis speculated" in run("show", "2022-04-28-jiankangbao", "--as", "ann", plain=True)
    run("init", "--as", "ann", code=3)


def test_a_second_administrator_agrees_to_a_new_way_into_an_account(run: Session) -> None:
    day = ("--now", "2030-01-02T00:00:00Z")
    run("member", "bea", "--as", "ann", "--role", "administrator", "--now", "2030-01-01T00:00:00Z")
    first = run("invite", "ed", "--as", "ann", *day)
    assert first["waits_for_second"] is False
    with open_register(run.dir) as register:
        members, now = register.members, 1_893_542_400
        passkey = Passkey(bytes(32), "ed", b"", 0, False, False)
        members.enrol(
            passkey, challenge=members.challenge("enrol", now=now), now=now,
            invitation=first["link"].partition("#invitation=")[2],
        )  # fmt: skip
    assert run("invite", "ed", "--as", "ann", *day)["waits_for_second"] is True
    assert "kangma incident agree" in run("invite", "ed", "--as", "ann", *day, plain=True)
    run("agree", "ed", "--as", "ann", *day, code=2)
    assert "same_officer" in run.error
    assert run("agree", "ed", "--as", "bea", *day)["account"] == "ed"
    run("agree", "ed", "--as", "bea", *day, code=3)  # none waits now

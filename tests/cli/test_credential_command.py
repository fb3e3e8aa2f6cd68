"""`kangma credential`: its document, its exit codes, and that nobody's name or number is anywhere but in the vault."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from town import ARRIVED, EVERYBODY, GU, HEARD, LI, MET, QIN, REGISTERED, STRANGER, done, kangma, write

NOW = "2022-04-20T20:00:00+08:00"
LATER = "2022-04-20T20:10:00+08:00"
FIELDS = ["text", "kind", "name_mask", "valid_from", "valid_until", "list", "qr_version", "picture"]


@pytest.fixture(scope="module")
def born(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("credential")
    state = folder / "state"
    done("init", state, "--policy", "beijing-2022-04-22", "--now", "2022-04-20T00:00:00+08:00")
    done("ingest", state, write(folder / "sent", {**REGISTERED, **ARRIVED, **MET}), "--now", NOW)
    done("cycle", state, "--now", NOW)
    return state


@pytest.fixture
def state(born: Path, tmp_path: Path) -> Path:
    shutil.copytree(born, tmp_path / "state")
    return tmp_path / "state"


def test_the_document_of_a_code_on_paper(state: Path, tmp_path: Path) -> None:
    said = done("credential", state, *GU.asked, "--now", NOW, "--out", tmp_path / "gu.svg")
    assert list(said) == FIELDS
    assert said["text"].startswith("KM1:")
    assert (said["kind"], said["name_mask"]) == (
        "paper",
        "*",
    )  # in a town of four, every part of a name is rare
    assert (tmp_path / "gu.svg").read_text().lstrip().startswith(("<?xml", "<svg"))
    assert said["picture"] == str(tmp_path / "gu.svg")


def test_the_document_of_a_phone_and_of_somebody_elses(state: Path, tmp_path: Path) -> None:
    for kind in ("phone", "proxy"):
        phone = tmp_path / f"{kind}.json"
        said = done("credential", state, *LI.asked, "--kind", kind, "--phone", phone, "--now", NOW)
        assert list(said) == FIELDS
        assert (said["kind"], said["picture"]) == (kind, None)
        assert said["valid_until"] - said["valid_from"] <= 25 * 3600
        assert said["qr_version"] <= 13
        assert phone.stat().st_mode & 0o777 == 0o600
        # from the phone alone: no number is asked for, and a directory that is not there is not missed
        again = done("credential", tmp_path / "gone", "--kind", kind, "--phone", phone, "--now", LATER)
        assert {**again, "text": ""} == {**said, "text": ""}


def test_what_makes_no_sense_is_one_line_and_exit_code_2(state: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[{}]")
    for arguments in (
        (),
        ("--id-type", "10"),
        (*GU.asked, "--out", tmp_path / "gu.gif"),
        (*GU.asked, "--kind", "phone"),
        (*GU.asked, "--phone", tmp_path / "phone.json"),
        (*STRANGER.asked,),
        ("--id-type", "10", "--id-number", GU.id_number[:-1] + ("0" if GU.id_number[-1] != "0" else "1")),
        ("--kind", "phone", "--phone", tmp_path / "broken.json"),
    ):
        said = kangma("credential", state, *arguments, "--now", NOW)
        assert (said.code, said.out) == (2, ""), arguments
        assert said.err.count("\n") == 1, said.err
    assert kangma("credential", tmp_path / "nowhere", *GU.asked, "--now", NOW).code == 2
    assert not (tmp_path / "phone.json").exists()


def test_a_city_that_was_stopped_issues_nothing_and_says_try_again(state: Path) -> None:
    assert kangma("keys", state, "stop", "--reason", "drill", "--now", NOW).code == 0
    said = kangma("credential", state, *GU.asked, "--now", NOW)
    assert (said.code, said.out) == (3, "")
    assert "stopped" in said.err


def test_a_withdrawal_says_how_many_places(state: Path, tmp_path: Path) -> None:
    done("credential", state, *GU.asked, "--now", NOW)
    done("cycle", state, "--now", LATER)
    assert done("credential", state, *GU.asked, "--withdraw", "--now", LATER) == {"withdrawn": 4}
    said = kangma("credential", state, *GU.asked, "--withdraw", "--now", LATER)
    assert said.code == 0
    assert "4 places withdrawn" in said.out


def test_nobodys_name_or_number_is_said_or_kept(state: Path, tmp_path: Path) -> None:
    HEARD.clear()
    made = tmp_path / "made"
    made.mkdir()
    for person in (*EVERYBODY, STRANGER):
        for more in ((), ("--json",)):
            paper = ("--out", made / f"{person.id_number}.png"[-8:])
            kangma("credential", state, *person.asked, *paper, "--now", NOW, *more)
            phone = ("--phone", made / "phone.json", "--kind", "phone", "--again")
            kangma("credential", state, *person.asked, *phone, "--now", NOW, *more)
    kangma("credential", state, *QIN.asked, "--withdraw", "--now", NOW)
    kangma("cycle", state, "--now", LATER)
    for more in ((), ("--json",)):
        for text in [h.split("\n")[0] for h in HEARD if h.startswith("KM1:")]:
            kangma(
                "verify", text, "--public", state / "public", "--marks", made / "marks", "--now", LATER, *more
            )
        kangma("audit", state, "--marks", made / "audit", *more)
        kangma("audit", "--public", state / "public", *more)
    said = "\n".join(HEARD)
    assert len(HEARD) > 60
    secrets = [s for p in EVERYBODY for s in p.secrets]
    assert [s for s in secrets if s in said] == []
    files = [f for folder in (state, made) for f in folder.rglob("*") if f.is_file()]
    assert any(f.name == "journal" for f in files)
    for file in files:
        content = file.read_bytes()
        if file.name.startswith("vault.sqlite"):
            continue
        assert [s for s in secrets if s.encode() in content] == [], file

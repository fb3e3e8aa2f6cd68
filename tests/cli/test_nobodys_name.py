"""No name, number or phone comes out: not on the screen, not in a log, not in a file but the vault and the rejects."""

from pathlib import Path

import pytest
from town import ARRIVED, EVERYBODY, HEARD, MET, REGISTERED, STRANGER, kangma, write

NOW = ("--now", "2022-04-20T20:00:00+08:00")
#: Where the sender's own rows and the sealed identities are.
ALLOWED = ("vault.sqlite", "rejects/")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that has seen the town, good rows and bad ones, and was asked everything that can be asked."""
    folder = tmp_path_factory.mktemp("lived")
    state = folder / "state"
    HEARD.clear()
    kangma("init", state, "--policy", "beijing-2022-04-22", *NOW)
    spoiled = {
        "tests": [
            p.named | {"specimen_id": p.name, "lab": p.phone, "result": p.id_number} for p in EVERYBODY
        ],
        "people": [p.named | {"name": p.name, "birth_date": p.phone, "phone": p.phone} for p in EVERYBODY],
    }
    good = write(folder / "good", {**REGISTERED, **ARRIVED, **MET})
    for more in ((), ("--json",)):
        for sent in (good, write(folder / "bad", spoiled)):
            kangma("ingest", state, sent, *NOW, *more)
        kangma("cycle", state, *NOW, *more)
        for person in (*EVERYBODY, STRANGER):
            kangma("code", state, *person.asked, *NOW, *more)
        kangma("trace", state, "--case", "C-1", *NOW, *more)
        kangma("policy", "simulate", state, "protocol-9-2022-06-28", *NOW, *more)
        kangma("forget", state, "--now", "2022-06-20T20:00:00+08:00", *more)
    return state


def _secrets() -> list[str]:
    return [s for p in EVERYBODY for s in p.secrets]


def test_nothing_that_was_said_names_anybody(lived: Path) -> None:
    said = "\n".join(HEARD)
    assert len(HEARD) > 40
    assert "A-R1" in said
    assert [s for s in _secrets() if s in said] == []


def test_no_file_but_the_vault_and_the_rejects_names_anybody(lived: Path) -> None:
    files = [f for f in lived.rglob("*") if f.is_file()]
    assert any("log/" in str(f) for f in files)
    for file in files:
        within = str(file.relative_to(lived))
        if within.startswith(ALLOWED):
            continue
        content = file.read_bytes()
        assert [s for s in _secrets() if s.encode() in content] == [], within


def test_the_search_would_find_them(lived: Path) -> None:
    """The control: the rejects file is the sender's own data and does name them."""
    rejects = b"".join(f.read_bytes() for f in (lived / "rejects").glob("*.csv"))
    assert all(p.id_number.encode() in rejects for p in EVERYBODY)

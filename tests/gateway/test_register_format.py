"""A register of an older format is brought over when it is opened, and nothing that was there is lost or changed."""

from __future__ import annotations

import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kangma.errors import Refused
from kangma.incidents.life import Right
from kangma.store import register_schema
from kangma.store.register import open_register

#: A register as format 1 wrote it: a published record in correction, a draft, three accounts, a token, looks.
OLD = Path(__file__).parents[1] / "vectors" / "register" / "format-1.tar.xz"
NOW = 1_700_100_000


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with tarfile.open(OLD) as packed:
        packed.extractall(tmp_path, filter="data")
    (tmp_path / "r" / "keys").chmod(0o700)
    return tmp_path / "r"


def rows(path: Path) -> dict[str, list[Any]]:
    """Every row of every ordinary table, but for the settings' own format and secret."""
    with sqlite3.connect(path / "register.sqlite") as on:
        names = [
            n for (n,) in on.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        return {
            n: sorted(
                (r for r in on.execute(f"SELECT * FROM {n}") if r[0] not in ("format", "ceremonies")),
                key=repr,
            )
            for n in names
        }


def test_an_old_register_is_brought_over_with_all_that_is_in_it(old: Path) -> None:
    before = rows(old)
    with open_register(old) as register:
        assert register.check() == {"versions": 1}
        rob = register.member("rob")
        assert register.show("a-flood", rob, now=NOW).entry.seen.record.motives
        assert register.work(rob, "a-flood", now=NOW).edit == 3
        token, _ = register.members.invite(register.member("ann").rights, "ann", "ed", now=NOW)
        assert register.members.invited(token, now=NOW) == "ed"
        assert Right.SIGNAL in register.member("ed").rights
    after = rows(old)
    assert before["edits"]
    assert before["versions"]
    for name, kept in before.items():
        assert [row for row in kept if row not in after[name]] == [], name
        assert name in ("looks", "settings") or len(after[name]) == len(kept)  # what was looked at above
    with open_register(old) as again:
        assert again.check() == {"versions": 1}


def test_it_is_brought_over_whole_or_not_at_all(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(old)

    def dies(on: Any, was: str) -> bool:
        moved(on, was)
        raise KeyboardInterrupt

    moved = register_schema.migrate
    monkeypatch.setattr(register_schema, "migrate", dies)
    with pytest.raises(KeyboardInterrupt):
        open_register(old)
    monkeypatch.undo()
    assert rows(old) == before
    with sqlite3.connect(old / "register.sqlite") as on:
        assert on.execute("SELECT value FROM settings WHERE name = 'format'").fetchone() == (b"1",)
    open_register(old).close()


@pytest.mark.parametrize("format", [b"0", b"3", b"", b"\xff"])
def test_a_format_without_a_way_is_refused_and_left_alone(old: Path, format: bytes) -> None:
    with sqlite3.connect(old / "register.sqlite") as on:
        on.execute("UPDATE settings SET value = ? WHERE name = 'format'", (format,))
    before = rows(old)
    with pytest.raises(Refused, match="another version"):
        open_register(old)
    assert rows(old) == before

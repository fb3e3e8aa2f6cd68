"""A register of an older format is brought over when it is opened, and nothing that was there is lost or changed."""

from __future__ import annotations

import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kangma.errors import Refused
from kangma.incidents.finding import victim_segment
from kangma.incidents.life import Happening, Right
from kangma.store import register_schema
from kangma.store.register import open_register
from kangma.store.register_finder import Query

#: Registers as older formats wrote them. 1: a published record in correction, a draft, three accounts, a token, looks.
#: 2: two records of victims whose names are accents and nothing else besides, tokens, a passkey, an open invitation.
VECTORS = Path(__file__).parents[1] / "vectors" / "register"
NOW = 1_700_100_000


def unpacked(folder: Path, format: int) -> Path:
    with tarfile.open(VECTORS / f"format-{format}.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    (folder / "r" / "keys").chmod(0o700)
    return folder / "r"


@pytest.fixture(params=[1, 2])
def old(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return unpacked(tmp_path, request.param)


def rows(path: Path) -> dict[str, list[Any]]:
    """Every row of every ordinary table with the names of its columns, but for the settings' own format and secret."""
    with sqlite3.connect(path / "register.sqlite") as on:
        on.row_factory = sqlite3.Row
        names = [
            str(r["name"])
            for r in on.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        return {
            n: sorted(
                (dict(r) for r in on.execute(f"SELECT * FROM {n}") if r[0] not in ("format", "ceremonies")),
                key=repr,
            )
            for n in names
        }


def among(row: dict[str, Any], others: list[dict[str, Any]]) -> bool:
    """Whether one of the others says all that this row says, in new columns perhaps more."""
    return any(row.items() <= other.items() for other in others)


def test_an_old_register_is_brought_over_with_all_that_is_in_it(old: Path) -> None:
    before = rows(old)
    with open_register(old) as register:
        assert register.check() == {"versions": len(before["versions"])}
        rob = register.member("rob")
        assert register.show("a-flood", rob, now=NOW).entry.seen.record.motives
        assert register.work(rob, "a-flood", now=NOW).edit == 3
        token, _ = register.members.invite(register.member("ann").rights, "ann", "rob", now=NOW)
        assert register.members.invited(token, now=NOW) == "rob"
        assert Right.SIGNAL in register.member("ed").rights
    after = rows(old)
    assert before["edits"]
    assert before["versions"]
    for name, kept in before.items():
        if name not in (
            "shelf",
            "invitations",
        ):  # derived, and what ended with the invitation above: held below
            assert [row for row in kept if not among(row, after[name])] == [], name
        assert name in ("looks", "settings", "invitations", "happened") or len(after[name]) == len(kept), name
    digests = {row["digest"] for row in after.get("invitations", [])}
    assert {row["digest"] for row in before.get("invitations", [])} < digests
    assert {t["made_by"] for t in after["tokens"]} == {""}  # nobody noted it then; nothing is made up now
    with open_register(old) as again:
        assert again.check() == {"versions": len(before["versions"])}


def test_two_victims_of_accents_alone_were_one_and_are_two(tmp_path: Path) -> None:
    old = unpacked(tmp_path, 2)
    before = rows(old)["shelf"]
    with open_register(old) as register:
        for name, id in (("\u0301", "no-letters"), ("\u0308", "no-letters-either")):
            for viewer in (None, register.member("rob")):
                page = register.find(Query(chosen={"victim": (victim_segment(name),)}), viewer, now=NOW)
                assert [c["id"] for c in page.cards] == [id]
    changed = [(b, a) for b, a in zip(before, rows(old)["shelf"], strict=True) if a != b]
    assert {b["id"] for b, _ in changed} == {"no-letters", "no-letters-either"}
    for b, a in changed:
        assert {k for k in b if a[k] != b[k]} == {"public_facets", "member_facets"}


def test_what_members_had_works_on_and_is_watched_from_now_on(tmp_path: Path) -> None:
    with open_register(unpacked(tmp_path, 2)) as register:
        assert [p.id for p in register.members.passkeys("ed")] == [b"\x01" * 32]
        ann = register.member("ann")
        register.members.invite(ann.rights, "ann", "ed", now=NOW)
        assert [w["account"] for w in register.members.waiting(ann.rights, now=NOW)] == [
            "ed"
        ]  # bea is to agree
        told = register.history_of(register.member("ed"), "ed")
        assert [(h["what"], h["by"]) for h in told] == [(Happening.INVITED_ANEW, "ann")]


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
        (format,) = on.execute("SELECT value FROM settings WHERE name = 'format'").fetchone()
        assert format in (b"1", b"2")
    open_register(old).close()
    with sqlite3.connect(old / "register.sqlite") as on:
        assert on.execute("SELECT value FROM settings WHERE name = 'format'").fetchone() == (b"3",)


@pytest.mark.parametrize("format", [b"0", b"4", b"", b"\xff"])
def test_a_format_without_a_way_is_refused_and_left_alone(old: Path, format: bytes) -> None:
    with sqlite3.connect(old / "register.sqlite") as on:
        on.execute("UPDATE settings SET value = ? WHERE name = 'format'", (format,))
    before = rows(old)
    with pytest.raises(Refused, match="another version"):
        open_register(old)
    assert rows(old) == before

"""Scan-ins are on the disk before anybody is told, sealed, and become evidence once."""

from __future__ import annotations

import os
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from made_up import person, visit
from made_up import rows as rows_of

from kangma.errors import Corrupt, Unavailable
from kangma.store import registry as r
from kangma.store import scans as under_test
from kangma.store.front import FrontStore, prepare
from kangma.store.scans import FOLDER, MAGIC, ScanIn, ScanJournal, prepare_scans, take_in
from kangma.store.state import State
from kangma.store.venues import Venues

NOW = 1_650_880_800
POINT = bytes.fromhex("036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")


@pytest.fixture
def door(state: State) -> tuple[State, str, int]:
    """A state in which one person is bound; (state, the number of a door, the person's slot)."""
    state.inbox.accept("clinic", "visits", [rows_of("visits", visit(1, "V1"))])
    state.absorb()
    folder = prepare(state.path)
    number = state.person_number(person(1))
    assert number is not None
    with FrontStore(folder) as store, Venues(folder) as venues:
        binding, _ = store.begin(number, "123456", now=NOW)
        resident, _ = store.confirm(binding, "123456", POINT, now=NOW)
        venue, _ = venues.register("V1", "canteen", now=NOW)
    return state, venue.venue, resident.slot


def journal(state: State) -> ScanJournal:
    return ScanJournal(state.path / "front" / FOLDER, prepare_scans(state.path))


def scan(slot: int, venue: str, n: int, *, version: int = 0, minutes: int = 60) -> ScanIn:
    begins = NOW + 60 * n
    return ScanIn(slot, venue, begins, begins + 60 * minutes, version, f"{n:016x}")


def there(state: State) -> list[str]:
    """The scan-ins that are evidence."""
    state.absorb()
    with state.engine.work() as con:
        state.raw(con)
        found = con.execute("SELECT document_id FROM raw_visits WHERE feed = 'venues' ORDER BY 1").fetchall()
    return [str(name) for (name,) in found]


def test_what_was_acknowledged_becomes_evidence_once(door: tuple[State, str, int]) -> None:
    state, venue, slot = door
    with journal(state) as kept:
        for n in (1, 2, 2):  # the second phone heard nothing, and sent it again
            kept.put(scan(slot, venue, n)).result(5)
        assert take_in(state, now=NOW).files == 0  # it is being written
        kept.let_go()
        done = take_in(state, now=NOW)
        assert (done.visits, done.duplicate, done.damaged) == (2, 1, 0)
        kept.put(scan(slot, venue, 1)).result(5)
    assert take_in(state, now=NOW).duplicate == 1
    assert there(state) == ["in-0000000000000001", "in-0000000000000002"]
    assert list((state.path / "front" / FOLDER).iterdir()) == []


def test_a_later_word_on_when_somebody_left_counts_in_whatever_order_it_comes(
    door: tuple[State, str, int],
) -> None:
    state, venue, slot = door
    with journal(state) as kept:
        for minutes in (25, 60, 10):
            kept.put(scan(slot, venue, 1, version=0 if minutes == 60 else minutes, minutes=minutes)).result(5)
    take_in(state, now=NOW)
    state.absorb()
    from kangma.evidence.views import documents  # noqa: PLC0415  only here

    with state.engine.alone() as con:
        state.raw(con)
        documents(con, ("visits",))
        left = con.execute("SELECT left_at - entered_at FROM live_visits WHERE feed = 'venues'").fetchall()
    assert left == [(25 * 60,)]


def test_the_front_door_cannot_read_what_it_wrote(door: tuple[State, str, int]) -> None:
    state, venue, slot = door
    with journal(state) as kept:
        kept.put(scan(slot, venue, 1)).result(5)
    (file,) = (state.path / "front" / FOLDER).iterdir()
    content = file.read_bytes()
    assert venue.encode() not in content
    assert file.stat().st_mode & 0o077 == 0
    secret = state.path / "keys" / "visits.key"
    assert secret.read_bytes() not in b"".join(
        f.read_bytes() for f in (state.path / "front").rglob("*") if f.is_file()
    )
    assert under_test._opened(content, X25519PrivateKey.generate()) is None  # another key
    assert under_test._opened(content, X25519PrivateKey.from_private_bytes(secret.read_bytes())) == [
        scan(slot, venue, 1)
    ]


def test_a_file_cut_anywhere_keeps_what_was_acknowledged_before(door: tuple[State, str, int]) -> None:
    state, venue, slot = door
    with journal(state) as kept:
        for n in range(3):
            kept.put(scan(slot, venue, n)).result(5)
    (file,) = (state.path / "front" / FOLDER).iterdir()
    content = file.read_bytes()
    secret = X25519PrivateKey.from_private_bytes((state.path / "keys" / "visits.key").read_bytes())
    ends, at = [len(MAGIC)], len(MAGIC)
    while at < len(content):
        at += 8 + int.from_bytes(content[at : at + 4], "big")
        ends.append(at)
    for cut in range(len(content) + 1):
        for tail in (b"", bytes(64)):  # the disk may have given room that was not written
            there = content[:cut] + tail
            whole = sum(there[:end] == content[:end] for end in ends[1:])
            found = under_test._opened(there, secret)
            # Half a head before empty room is put aside: nobody can tell it from a changed one.
            assert found is not None or tail, cut
            if found is not None:
                assert found == [scan(slot, venue, n) for n in range(whole)], cut


def test_no_single_byte_can_be_changed_unnoticed(door: tuple[State, str, int]) -> None:
    state, venue, slot = door
    with journal(state) as kept:
        for n in range(2):
            kept.put(scan(slot, venue, n)).result(5)
    (file,) = (state.path / "front" / FOLDER).iterdir()
    content = file.read_bytes()
    secret = X25519PrivateKey.from_private_bytes((state.path / "keys" / "visits.key").read_bytes())
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << (at % 8)
        assert under_test._opened(bytes(changed), secret) is None, at


def test_a_damaged_file_is_put_aside_and_the_others_go_on(door: tuple[State, str, int]) -> None:
    state, venue, slot = door
    folder = state.path / "front" / FOLDER
    files: list[Path] = []
    for of, n in ((slot, 1), (slot, 2), (slot + 99, 3)):  # the last is nobody's slot
        with journal(state) as kept:
            kept.put(scan(of, venue, n)).result(5)
        files += sorted(set(folder.iterdir()) - set(files))
    content = bytearray(files[0].read_bytes())
    content[20] ^= 1
    files[0].write_bytes(content)
    done = take_in(state, now=NOW)
    assert (done.visits, done.damaged) == (1, 2)
    assert sorted(folder.iterdir()) == sorted(f.with_suffix(".damaged") for f in (files[0], files[2]))
    assert there(state) == ["in-0000000000000002"]
    with state.registry.read() as on:
        assert on.execute(sa.select(r.alarms.c.what)).scalars().all() == ["scans_damaged"]


class Cut:
    """A disk whose power goes: what was not synced is gone."""

    def __init__(self, *, syncs: bool) -> None:
        self.synced: dict[str, int] = {}
        self._syncs, self._sync = syncs, os.fdatasync

    def fdatasync(self, fd: int) -> None:
        self._sync(fd)
        if self._syncs:
            self.synced[str(Path(f"/proc/self/fd/{fd}").readlink())] = os.fstat(fd).st_size

    def power_goes(self, folder: Path) -> None:
        for file in folder.iterdir():
            os.truncate(file, self.synced.get(str(file), 0))


@pytest.mark.parametrize("syncs", [True, False])
def test_a_power_cut_takes_nothing_that_was_acknowledged(
    door: tuple[State, str, int], monkeypatch: pytest.MonkeyPatch, syncs: bool
) -> None:
    """And without the sync it does: the control."""
    state, venue, slot = door
    disk = Cut(syncs=syncs)
    monkeypatch.setattr(under_test.os, "fdatasync", disk.fdatasync)
    with journal(state) as kept:
        for n in range(5):
            kept.put(scan(slot, venue, n)).result(5)
        disk.power_goes(state.path / "front" / FOLDER)
    take_in(state, now=NOW)
    assert len(there(state)) == (5 if syncs else 0)


def test_nobody_is_told_that_a_scan_in_is_kept_when_the_disk_refuses(
    door: tuple[State, str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, venue, slot = door
    sync, refusing = os.fdatasync, [28, 5]  # full, then failing

    def fdatasync(fd: int) -> None:
        if refusing:
            raise OSError(refusing.pop(0), "no")
        sync(fd)

    monkeypatch.setattr(under_test.os, "fdatasync", fdatasync)
    with journal(state) as kept:
        with pytest.raises(Unavailable):
            kept.put(scan(slot, venue, 1)).result(5)
        with pytest.raises(Corrupt):
            kept.put(scan(slot, venue, 2)).result(5)
        kept.put(scan(slot, venue, 3)).result(5)
    take_in(state, now=NOW)
    assert "in-0000000000000003" in there(state)


def test_many_at_once_share_a_sync(door: tuple[State, str, int]) -> None:
    state, venue, slot = door
    with journal(state) as kept:
        waiting: list[Future[Any]] = [kept.put(scan(slot, venue, n)) for n in range(500)]
        for one in waiting:
            one.result(10)
        assert kept.commits < 100
    take_in(state, now=NOW)
    assert len(there(state)) == 500


def test_beyond_what_can_wait_a_phone_is_asked_to_come_back(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "MOST_WAITING", 0)
    prepare(state.path)
    with journal(state) as kept, pytest.raises(Unavailable):
        kept.put(scan(1, "12345678", 1))

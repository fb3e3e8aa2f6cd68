"""Sealed slots on this machine: which device has which number for whom, the secrets of the days, and the packed public
files.

What is secret of a day lies in one small file, `front/sealed/<family>`, until that day is over; then it is removed, and
what was published under it can be read by nobody but the phones that were told. No backup has it: a restored city draws
new ones, and phones are told anew when they next come.

A packed file is derived and written whole: under a temporary name, synced, renamed. Who has the old one open reads it to
its end, and each bucket proves itself, so that no reader can mix two. A crash leaves the old file or the new one, or a
temporary file that the next writing of the same part replaces. A disk that is full or fails leaves the old one.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from kangma.credential.index import Permutation
from kangma.errors import Corrupt
from kangma.sealed.part import BUCKET, open_bucket
from kangma.sealed.slot import PLACES, SECRET, Family
from kangma.store import front_schema as db
from kangma.store.durable import (
    WriterLock,
    fsync_folder,
    publish_file,
    remove_folder,
    unavailable_when_the_disk_is,
    write_file,
)
from kangma.store.front import FrontStore, Other
from kangma.store.keys import read_secret
from kangma.terms import Day, Moment

FOLDER = "sealed"  # below `front/`, and below the public folder
#: A day's family has room for this many more phones than there are numbers when it is drawn.
ROOM = 1.1
EVERY = 300.0  # seconds from one writing of a part to the next, unless it is told otherwise
LATE = 2  # times as many: somebody's slot has missed a writing
_NAME = re.compile(r"(\d{1,6})(?:\.(\d{1,4}))?", re.ASCII)
_FORM = SECRET + 8  # bytes of a day's file: the secret, the first number, how many parts


class SealedStore:
    """Numbers and days of a front store. Every call that returned is durable."""

    def __init__(self, front: FrontStore) -> None:
        self._front, self._folder = front, front.folder / FOLDER
        with contextlib.suppress(FileExistsError):
            self._folder.mkdir(mode=0o700)
            fsync_folder(front.folder)
        self._lock = WriterLock(self._folder / "lock")
        self._known: dict[Day, tuple[Family, ...]] = {}
        self._drawn: dict[str, Permutation] = {}

    def number_of(self, device: str, other: Other | None = None, *, now: Moment) -> int:
        """The number of a device, for its resident or for `other` in the resident's care: the one that it has, else a new
        one. From then on an answer is prepared for the other too, bound or not."""
        c = db.sealed.c
        mine = {"device": device, "person": db.OWN, "since": 0}
        if other is not None:
            mine |= {"person": other.person, "since": other.made_at}
        query = sa.select(c.number).where(*(c[name] == value for name, value in mine.items()))
        with self._front.read() as on:
            found = on.execute(query).scalar()
        if found is None or other is not None:
            with self._front.write() as on:
                if other is not None:
                    self._front.slot_for(on, other.person, now)
                found = on.execute(query).scalar()  # it may have come twice at once
                if found is None:
                    made = on.execute(sa.insert(db.sealed).values(**mine, made_at=now))
                    found = (made.inserted_primary_key or (0,))[0]
        return int(found)

    def slots(self) -> NDArray[np.uint32]:
        """(highest number + 1,): the slot in the read model of each number, 0 for one that is nobody's now: the device
        was closed, or the care has ended."""
        d, c, o, r = db.devices.c, db.sealed.c, db.others.c, db.residents.c
        alive = sa.select(c.number).join(db.devices, d.device == c.device).where(d.closed_at.is_(None))
        care = sa.and_(o.slot == d.slot, o.person == c.person, o.made_at == c.since)
        own = alive.add_columns(d.slot).where(c.person == db.OWN)
        others = alive.add_columns(r.slot).join(db.others, care).join(db.residents, r.person == c.person)
        with self._front.read() as on:
            highest = self._highest(on)
            found = np.zeros(highest + 1, np.uint32)
            for query in (own, others.where(r.closed_at.is_(None))):
                for rows in on.execute(query).partitions(65_536):
                    numbers, slots = np.array(rows, np.int64).T
                    found[numbers] = slots
        return found

    # days ----------------------------------------------------------------------------------------------------------

    def family(self, day: Day, number: int) -> Family:
        """The family of that day in which this number has a place; drawn where there is none."""
        found = next((f for f in self._known.get(day, ()) if number in f), None)
        if found is None:
            self._draw(day, number)
            found = next(f for f in self.families(day) if number in f)
        return found

    def place(self, family: Family, number: int) -> tuple[int, int]:
        """(part, place in it) of a number in its family."""
        drawn = self._drawn.get(family.name)
        if drawn is None:
            drawn = self._drawn[family.name] = family.permutation()
        return divmod(drawn.place(number - family.first), PLACES)

    def families(self, day: Day) -> tuple[Family, ...]:
        """Those of a day that were drawn, by first number."""
        made = [
            self._read(file.name)
            for file in self._folder.iterdir()
            if (name := _NAME.fullmatch(file.name)) and int(name[1]) == day
        ]
        found = tuple(sorted(made, key=lambda f: f.first))
        # A process that goes on for long holds no secret of a day that is over; nobody asks more than two days ahead.
        self._known = {d: known for d, known in self._known.items() if d >= day - 2} | {day: found}
        self._drawn = {n: p for n, p in self._drawn.items() if int(n.partition(".")[0]) >= day - 2}
        return found

    def _draw(self, day: Day, number: int) -> None:
        """Numbers up to this one have a place on that day. Two who want it at once get the same."""
        with self._lock.hold():
            there = self.families(day)
            first = max((f.first + f.capacity for f in there), default=0)
            if number < first:
                return
            name = f"{day}.{len(there)}" if there else str(day)
            with self._front.read() as on:
                highest = max(number, self._highest(on))
            parts = -(-int((highest + 1 - first) * ROOM) // PLACES)
            said = secrets.token_bytes(SECRET) + first.to_bytes(4, "big") + parts.to_bytes(4, "big")
            with unavailable_when_the_disk_is():
                write_file(self._folder / name, said, mode=0o600)

    def _highest(self, on: sa.Connection) -> int:
        return int(on.execute(sa.select(sa.func.max(db.sealed.c.number))).scalar() or 0)

    def drawn_at(self, family: Family) -> float:
        """When the secret of a family was drawn, by the disk's clock."""
        return (self._folder / family.name).stat().st_mtime

    def _read(self, name: str) -> Family:
        said = read_secret(self._folder / name, most=_FORM + 1)
        found = _NAME.fullmatch(name)
        if len(said) != _FORM or found is None:
            raise Corrupt(f"{FOLDER}/{name} is damaged")
        first, parts = (int.from_bytes(said[at : at + 4], "big") for at in (SECRET, SECRET + 4))
        return Family(name, int(found[1]), first, parts, said[:SECRET])

    def forget(self, before: Day) -> int:
        """The secrets of days before this one are gone, and with them whatever was sealed under them; how many."""
        with self._lock.hold(), unavailable_when_the_disk_is():
            there = list(self._folder.iterdir())
            old = [f for f in there if (name := _NAME.fullmatch(f.name)) and int(name[1]) < before]
            # Under the lock nobody draws: what was not finished is of somebody who was killed.
            dead = [f for f in there if f.name.startswith(".")]
            for file in [*old, *dead]:
                file.unlink()
            if old:
                fsync_folder(self._folder)
            self._known = {day: found for day, found in self._known.items() if day >= before}
            self._drawn.clear()
        return len(old)


# the public files ----------------------------------------------------------------------------------------------------


def write_part(public: Path, path: str, content: bytes) -> None:
    """The part at `path` of the public folder is this one, durable on return; a reader sees the old one or this.
    Unavailable when the disk is full, Corrupt when it fails."""
    final = public / path
    temporary = final.with_name(f".{final.name}.tmp")
    with unavailable_when_the_disk_is():
        if not final.parent.is_dir():
            final.parent.mkdir(parents=True, exist_ok=True)
            for folder in (final.parent, final.parent.parent):
                fsync_folder(folder.parent)
        try:
            temporary.write_bytes(content)
            publish_file(temporary, final)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()  # a full disk needs the room
            raise


@dataclass(frozen=True, slots=True)
class Ages:
    """How old what stands in public is, in seconds, by the disk's clock."""

    oldest: float  # of a part of today that is not there yet: since it could have been
    newest: float | None  # None where nothing was ever written
    ttl: float  # seconds after which a part is to be written anew, as the newest says

    @property
    def late(self) -> bool:
        """Whether somebody's slot has missed a writing."""
        return self.oldest > LATE * self.ttl


def ages(public: Path, store: SealedStore, today: Day, *, midnight: Moment, now: Moment) -> Ages:
    """Of today's parts. `midnight`: when today began."""
    there: dict[Path, float] = {}
    since = []
    families = store.families(today)
    for family in families:
        for part in range(family.parts):
            path = public / family.path(part)
            with contextlib.suppress(FileNotFoundError):
                there[path] = path.stat().st_mtime
            since.append(there.get(path) or max(midnight, store.drawn_at(family)))
    oldest = max(0.0, now - min(since, default=midnight))
    if not there:
        return Ages(oldest, None, EVERY)
    newest = max(there, key=lambda path: there[path])
    with newest.open("rb") as file:
        ttl = open_bucket(file.read(BUCKET)).statement.ttl
    return Ages(oldest, max(0.0, now - there[newest]), ttl)


def families_in(public: Path) -> Iterator[tuple[str, Day]]:
    """(name, day) of every family whose packed files are in the public folder."""
    folder = public / FOLDER
    if folder.is_dir():
        for found in sorted(folder.iterdir()):
            if name := _NAME.fullmatch(found.name):
                yield found.name, int(name[1])


def drop_parts(public: Path, family: str) -> None:
    """The packed files of a family are gone."""
    with contextlib.suppress(FileNotFoundError), unavailable_when_the_disk_is():
        remove_folder(public / FOLDER / family)
        fsync_folder(public / FOLDER)

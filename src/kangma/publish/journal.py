"""The signer's journal: every credential that was signed and every one that was taken back, appended and never edited.

A record is 64 bytes, so that a million are one NumPy array. A torn last record is the remains of a crash, was never
acknowledged, and is cut off when the journal is opened.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kangma.publish.book import EXTRA_LIST, Family, Persons
from kangma.store.durable import fsync_folder, unavailable_when_the_disk_is
from kangma.terms import Day, Moment

STRETCH = 1 << 16  # records that are looked through at a time
WITHDRAWAL = 0  # the kind of a record that takes back; credentials have theirs, 1 to 3

RECORD = np.dtype(
    [
        ("kind", "u1"),
        ("extra", "u1"),
        ("series", "<u2"),
        ("day", "<i4"),  # of the family
        ("person", "<u4"),
        ("place", "<u4"),  # in the family
        ("at", "<i8"),
        ("expires", "<i8"),
        ("digest", "V32"),  # SHA-256 of the credential
    ]
)
assert RECORD.itemsize == 64


class Record(NamedTuple):
    """One row of the journal."""

    kind: int
    extra: bool
    series: int
    day: Day
    person: int
    place: int
    at: Moment
    expires: Moment
    digest: bytes

    @classmethod
    def issued(
        cls, kind: int, family: Family, person: int, place: int, at: Moment, expires: Moment, digest: bytes
    ) -> Record:
        return cls(kind, family.extra, _series(family), family.day, person, place, at, expires, digest)

    @classmethod
    def withdrawal(cls, family: Family, person: int, place: int, at: Moment) -> Record:
        return cls(WITHDRAWAL, family.extra, _series(family), family.day, person, place, at, 0, bytes(32))


def _series(family: Family) -> int:
    return int(family.name.partition(".")[2] or 0)


def _name(day: int, series: int, extra: bool) -> str:
    return f"{'x' if extra else ''}{day}{f'.{series}' if series else ''}"


class Journal:
    """The file of a signer, and what it says."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with unavailable_when_the_disk_is():
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            size = os.fstat(fd).st_size
            if size % RECORD.itemsize:
                os.ftruncate(fd, size - size % RECORD.itemsize)
            # Always: what a signer wrote that was killed before its fsync can be read here, and a power cut would
            # still take it, after a release had put it into the log.
            os.fsync(fd)
            os.close(fd)
            fsync_folder(path.parent)
        self._rows = np.fromfile(path, RECORD)

    @property
    def count(self) -> int:
        return len(self._rows)

    def append(self, records: Sequence[Record]) -> None:
        """The records are in the journal, durable on return."""
        if not records:
            return
        rows = np.array([(*r[:8], np.void(r.digest)) for r in records], RECORD)
        content = rows.tobytes()
        with unavailable_when_the_disk_is():
            fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                at = len(self._rows) * RECORD.itemsize
                os.ftruncate(fd, at)  # what a failed append left
                while content:
                    at += (wrote := os.pwrite(fd, content, at))
                    content = content[wrote:]
                os.fsync(fd)
            finally:
                os.close(fd)
        self._rows = np.concatenate([self._rows, rows])

    def up_to(self, count: int) -> Rows:
        return Rows(self._rows[:count])

    def between(self, start: int, stop: int) -> Rows:
        return Rows(self._rows[start:stop])

    def issued_since(self, at: Moment) -> int:
        """How many credentials were signed after `at`. Records stand in the order of their moments, so the search ends
        with the first stretch, from the newest back, that has none."""
        found = 0
        for stop in range(len(self._rows), 0, -STRETCH):
            late = self._rows[max(0, stop - STRETCH) : stop]
            late = late[late["at"] > at]
            if not len(late):
                break
            found += int((late["kind"] != WITHDRAWAL).sum())
        return found


def seal(rows: NDArray[np.void], key: bytes) -> str:
    """HMAC-SHA-256 (hex) over a stretch of a journal, empty for none. The log has it, so that no byte of a record can
    change later; keyed, since who and where would otherwise be found by trying."""
    return hmac.new(key, rows.tobytes(), hashlib.sha256).hexdigest() if len(rows) else ""


class Rows:
    """A stretch of a journal."""

    def __init__(self, rows: NDArray[np.void]) -> None:
        self._rows = rows
        self._issued = rows[rows["kind"] != WITHDRAWAL]

    def families(self) -> list[Family]:
        """The extra families that credentials were issued of."""
        extra = self._issued[self._issued["extra"] == 1]
        found = np.unique(extra[["day", "series"]])
        return [Family(_name(d, s, True), d, 0, EXTRA_LIST, extra=True) for d, s in found.tolist()]

    def holders(self, name: str) -> Persons:
        """(n,) uint32, who holds the n-th credential of an extra family."""
        day, _, series = name.removeprefix("x").partition(".")
        rows = self._issued
        mine = (rows["extra"] == 1) & (rows["day"] == int(day)) & (rows["series"] == int(series or 0))
        found: Persons = rows["person"][mine].astype(np.uint32)
        return found

    def extras_of(self, day: Day) -> int:
        """How many places of a day's extra families are taken."""
        return int(((self._issued["extra"] == 1) & (self._issued["day"] == day)).sum())

    def seal(self, key: bytes) -> str:
        """`seal` of the stretch."""
        return seal(self._rows, key)

    def digests(self) -> tuple[bytes, ...]:
        """SHA-256 of each credential, in the order of issue."""
        return tuple(d.tobytes() for d in self._issued["digest"])

    def withdrawn(self) -> dict[str, tuple[int, ...]]:
        """Family name → places that were taken back."""
        out: dict[str, tuple[int, ...]] = {}
        for r in self._rows[self._rows["kind"] == WITHDRAWAL]:
            name = _name(int(r["day"]), int(r["series"]), bool(r["extra"]))
            out[name] = (*out.get(name, ()), int(r["place"]))
        return out

    def places_of(self, person: int, *, alive_at: Moment) -> list[tuple[Family, int]]:
        """(family, place) of the extra credentials of a person that have not expired."""
        rows = self._issued
        mine = rows[(rows["person"] == person) & (rows["extra"] == 1) & (rows["expires"] > alive_at)]
        return [
            (
                Family(_name(int(r["day"]), int(r["series"]), True), int(r["day"]), 0, EXTRA_LIST, True),
                int(r["place"]),
            )
            for r in mine
        ]

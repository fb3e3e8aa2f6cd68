"""What the proving half remembers between two releases: the log, everybody's state as it was last made public, which
status lists there are and what each says. The signer keeps it; nothing in it can be changed but by a logged turn.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kangma.credential.issue import DAYS_AHEAD, PAPER_DAYS
from kangma.errors import Corrupt, Refused
from kangma.status.lists import ENTRIES
from kangma.terms import Day, Moment
from kangma.translog.log import Log

Shown = NDArray[np.uint8]  # (persons,) kangma.terms.State of each person number, as the public was last told
Persons = NDArray[np.uint32]  # (n,) person numbers

#: Entries of one extra list; a daily one has `ENTRIES`. The places of an extra list that nobody holds yet are not green,
#: so it compresses worse and is kept small.
EXTRA_LIST = 1 << 16
#: A day's family of lists has room for this many more residents than there are when it begins.
ROOM = 1.1


@dataclass(frozen=True, slots=True)
class Family:
    """Lists that share one permutation. Daily: residents `first` to `first + capacity`, by person number, for one day.
    Extra: credentials beyond the one a day (paper, proxies, a second phone), in the order in which they were issued."""

    name: str  # as it stands in the address of its lists
    day: Day
    first: int
    capacity: int
    extra: bool

    @property
    def lists(self) -> int:
        return -(-self.capacity // (EXTRA_LIST if self.extra else ENTRIES))

    def path(self, n: int) -> str:
        """Of list `n` in the public folder, and behind the authority's base address."""
        return f"status/{self.name}/{n}"


@dataclass(frozen=True, slots=True)
class Listed:
    """What list `path` says: SHA-256 of its bytes, and when it was last signed."""

    digest: str
    signed_at: Moment


@dataclass(frozen=True, slots=True)
class Book:
    """As at release `number`, 0 before the first. Compare by `log.root`: arrays have no plain equality."""

    number: int = 0
    now: Moment = 0
    log: Log = Log.EMPTY
    shown: Shown = field(default_factory=lambda: np.zeros(0, np.uint8))
    families: tuple[Family, ...] = ()
    listed: Mapping[str, Listed] = field(default_factory=dict)  # by path
    withdrawn: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # family name → indexes
    issued: int = 0  # records of the signer's journal that are in the log
    policies: tuple[str, ...] = ()  # digests of those that are in the log
    trust: int = 0  # version of the trust list that is in the log
    deletion: int = 0  # the last deletion run that is in the log
    worse: tuple[tuple[Moment, int], ...] = ()  # turns to yellow or red within the last hour

    def to_bytes(self) -> bytes:
        """For the signer's own file; `from_bytes` reads it."""
        head = {
            "number": self.number,
            "now": self.now,
            "persons": len(self.shown),
            "families": [[f.name, f.day, f.first, f.capacity, f.extra] for f in self.families],
            "listed": {p: [x.digest, x.signed_at] for p, x in self.listed.items()},
            "withdrawn": {name: list(found) for name, found in self.withdrawn.items()},
            "issued": self.issued,
            "policies": list(self.policies),
            "trust": self.trust,
            "deletion": self.deletion,
            "worse": [list(w) for w in self.worse],
        }
        # Level 1: almost everybody is green, and a city of 22 million is written after every release.
        parts = (json.dumps(head).encode(), self.log.to_bytes(), zlib.compress(self.shown.tobytes(), 1))
        body = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return _MAGIC + zlib.crc32(body).to_bytes(4, "big") + body

    @classmethod
    def from_bytes(cls, content: bytes) -> Book:
        """Raises Corrupt for anything that `to_bytes` did not write."""
        try:
            if content[:8] != _MAGIC or zlib.crc32(content[12:]).to_bytes(4, "big") != content[8:12]:
                raise ValueError
            text, log, shown = _parts(content[12:])
            head: dict[str, Any] = json.loads(text)
            states = np.frombuffer(zlib.decompress(shown), np.uint8)
            if len(states) != head["persons"]:
                raise ValueError
            return cls(
                head["number"],
                head["now"],
                Log.from_bytes(log),
                states,
                tuple(Family(*f) for f in head["families"]),
                {p: Listed(*x) for p, x in head["listed"].items()},
                {name: tuple(found) for name, found in head["withdrawn"].items()},
                head["issued"],
                tuple(head["policies"]),
                head["trust"],
                head["deletion"],
                tuple((at, n) for at, n in head["worse"]),
            )
        except (ValueError, KeyError, TypeError, Refused, zlib.error) as problem:
            raise Corrupt("the signer's book is damaged") from problem


_MAGIC = b"KMBOOK1\n"


def _parts(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        size = int.from_bytes(body[at : at + 8], "big")
        part = body[at + 8 : at + 8 + size]
        if len(part) != size:
            raise ValueError
        yield part
        at += 8 + size


def families(book: Book, persons: int, today: Day) -> tuple[Family, ...]:
    """Those of `book` that are still in use, and as many daily ones that everybody has a place on every day ahead.

    Yesterday's daily lists are history: their credentials are over. Extra families stay for the 28 days of paper.
    """
    kept = [f for f in book.families if (f.day >= today - PAPER_DAYS if f.extra else f.day >= today)]
    for day in range(today, today + DAYS_AHEAD):
        mine = [f for f in kept if f.day == day and not f.extra]
        covered = max((f.first + f.capacity for f in mine), default=0)
        if covered < persons or not mine:
            lists = max(1, -(-int((persons - covered) * ROOM) // ENTRIES))
            name = f"{day}.{len(mine)}" if mine else str(day)
            kept.append(Family(name, day, covered, lists * ENTRIES, extra=False))
    return tuple(kept)

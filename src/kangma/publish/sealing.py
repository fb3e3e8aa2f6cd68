"""Sealed slots written: every answer of the read model, encrypted to its phone, in packed files of the public folder.

A part is written whole, by the clock and by nothing else: whose answer changed, whether any did, who is new and who has
left cannot be told from it, since every byte of every slot is another one each time (decision 0150). Nothing here knows
a person, evidence or a key of the signer's: numbers of devices, slots of the read model, and the secrets of the days.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kangma.errors import Corrupt, Refused, Unavailable
from kangma.publish.city import CityName
from kangma.sealed.part import Tree
from kangma.sealed.slot import NONCE, PLACES, SLOT, Family, about, fits, seal
from kangma.store.durable import WriterLock
from kangma.store.front import FrontStore
from kangma.store.sealed import SealedStore, drop_parts, families_in, write_part
from kangma.store.slots import SlotReader
from kangma.terms import Day, Moment, zone


class Stater(Protocol):
    """Who signs for a part: `kangma.publish.signer`."""

    def sealed(self, path: str, root: bytes, release: int, *, ttl: int, now: Moment) -> bytes: ...


class Sealing:
    """The one writer of a city's packed files."""

    def __init__(
        self,
        public: Path,
        store: FrontStore,
        signer: Stater,
        city: CityName,
        *,
        every: float,
        clock: Callable[[], Moment],
    ) -> None:
        """`every`: seconds from one writing of a part to its next."""
        self._public, self._signer, self._base = public, signer, city.base
        self._zone, self._clock, self._every = zone(city.zone), clock, every
        self._store, self._reader = SealedStore(store), SlotReader(store.folder)
        self._lock = WriterLock(store.folder / "sealing.lock")
        self._day: Day | None = None  # of which we know what was written
        self._alone = False  # nothing of days before it is left
        self._numbers: dict[str, NDArray[np.uint32]] = {}  # family → the number at each of its places
        self._slots: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._round: Iterator[tuple[Family, int]] = iter(())
        self._written: dict[str, Moment] = {}  # path → when, by our clock

    def turn(self) -> bool:
        """Writes the next part, if one is due; whether one was. Unavailable while there is no answer, no signer or no
        room, and while another writes: what is public stays as it is."""
        # One that was started again may meet the one before, which has not yet seen that it is to end.
        with self._lock.hold(wait=0):
            return self._turn()

    def _turn(self) -> bool:
        now = self._clock()
        release = self._reader.ready()
        if release is None:
            return False
        today = self._zone.day(now)
        if today != self._day:
            self._day, self._alone, self._numbers, self._written = today, False, {}, {}
            self._round = iter(())
        due = next(self._round, None)
        if due is None:
            self._round = self._begin(today, now)
            due = next(self._round, None)
        if due is None:
            return False
        self.write(*due, release=release, now=now)
        self._written[due[0].path(due[1])] = now
        return True

    def _begin(self, today: Day, now: Moment) -> Iterator[tuple[Family, int]]:
        """The parts that are due now, with the devices that there are now."""
        parts = self._parts(today)
        if parts and not self._alone and all(f.path(part) in self._written for f, part in parts):
            self._forget(today)
        if parts and not self._late(parts, now):
            return iter(())
        self._slots = self._store.slots()
        self._store.family(today, len(self._slots) - 1)  # also when there is nobody yet
        return iter(self._late(self._parts(today), now))

    def _parts(self, today: Day) -> list[tuple[Family, int]]:
        return [(family, part) for family in self._store.families(today) for part in range(family.parts)]

    def _late(self, parts: list[tuple[Family, int]], now: Moment) -> list[tuple[Family, int]]:
        written = [self._written.get(family.path(part)) for family, part in parts]
        return [x for x, at in zip(parts, written, strict=True) if at is None or now - at >= self._every]

    def _forget(self, today: Day) -> None:
        """All of today's slots are there: those of days before go, and with their secrets what they said."""
        for name, day in list(families_in(self._public)):
            if day < today:
                drop_parts(self._public, name)
        self._store.forget(today)
        self._alone = True

    def write(self, family: Family, part: int, *, release: int, now: Moment) -> None:
        """One part, durable on return."""
        path = family.path(part)
        sub = f"{self._base}/{path}"
        slots = bytearray(os.urandom(PLACES * SLOT))
        numbers = self._places(family)[part * PLACES : (part + 1) * PLACES]
        for place in np.flatnonzero(numbers < len(self._slots)).tolist():
            number = int(numbers[place])
            slot = int(self._slots[number])
            answer = self._reader.answer(slot) if slot else None
            if answer is not None:
                at = place * SLOT
                nonce = bytes(slots[at : at + NONCE])
                slots[at : at + SLOT] = seal(
                    fits(answer), family.key(number), nonce, about(sub, place, release)
                )
        tree = Tree(slots)
        try:
            signed = self._signer.sealed(path, tree.root, release, ttl=max(1, int(self._every)), now=now)
        except Refused as problem:  # a midnight between us, or a signer that was led back: later
            raise Unavailable(str(problem)) from problem
        if sub.encode() not in signed:
            raise Corrupt("the trust list gives the city another base than city.json")
        write_part(self._public, path, tree.part(signed))

    def _places(self, family: Family) -> NDArray[np.uint32]:
        """(capacity,): the number at each place of a family."""
        found = self._numbers.get(family.name)
        if found is None:
            found = np.empty(family.capacity, np.uint32)
            order = np.arange(family.first, family.first + family.capacity, dtype=np.uint32)
            found[family.permutation().all_places()] = order
            self._numbers[family.name] = found
        return found

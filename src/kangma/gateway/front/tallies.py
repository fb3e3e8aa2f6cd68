"""How many came to which door, added up in memory and written twice a second: counting costs a scan-in nothing.

A program that is killed loses half a second of counts and no visit.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter

from kangma.errors import KangmaError
from kangma.store.venues import RESULTS, Venues
from kangma.terms import Day, Moment, Zone

EVERY = 0.5  # seconds
REMEMBERED = 20_000  # of those who came last


class Tallies:
    """Threads and event loops share one. A thread writes, for as long as it is open."""

    def __init__(self, venues: Venues, zone: Zone) -> None:
        self._venues, self._zone = venues, zone
        self._counts: Counter[tuple[str, Day, str]] = Counter()
        self._recent: list[tuple[str, Moment, str]] = []
        self._noted: set[str] = set()
        self._before: set[str] = set()
        self._now: Moment = 0
        self._turn, self._writing = threading.Lock(), threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tallies", daemon=True)
        self._thread.start()

    def note(self, venue: str, what: str, now: Moment, *, once: str) -> None:
        """One more; the same `once` again, soon, is not: a phone that heard nothing sends the same again."""
        with self._turn:
            self._now = now
            if once in self._noted or once in self._before:
                return
            self._noted.add(once)
            if len(self._noted) >= REMEMBERED:
                self._before, self._noted = self._noted, set()
            self._counts[venue, self._zone.day(now), what] += 1
            if what in RESULTS:
                self._recent.append((venue, now, what))

    def write(self) -> None:
        """What was noted is in the store when this returns."""
        with self._writing:
            with self._turn:
                counts, self._counts = self._counts, Counter()
                recent, self._recent = self._recent, []
            if counts:
                self._venues.count(counts, recent, now=self._now)

    def _work(self) -> None:
        while not self._closing.wait(EVERY):
            with contextlib.suppress(KangmaError):  # counts are not worth a door's standing still
                self.write()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        with contextlib.suppress(KangmaError):
            self.write()

    def __enter__(self) -> Tallies:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

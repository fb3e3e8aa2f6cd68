"""Whether the door is under attack, by what it turned away and by how late it is itself. It begins quickly, ends slowly,
and knows nothing about anybody: counts by kind, and times.

While it lasts, callers have less at once (`limits.STRICT`), what is wrong is answered late whatever it is
(`layers.Exit`), and binding costs work (`work.py`). One event is one signal to the register of incidents (`telling.py`).
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from kangma.terms import Moment

WINDOW = 5  # ticks, a second each
BEGINS = 100.0  # refusals a second over the window
ENDS = 20.0
LATE, IN_TIME = 0.25, 0.1  # seconds that the event loop is behind, in every tick of the window
CALM = 60.0  # seconds that it must be calm


@dataclass
class Event:
    """One attack: when, how much, of what. Times of the wall clock."""

    began: Moment
    ended: Moment | None = None
    refused: Counter[str] = field(default_factory=Counter)  # by kind: token, rate, address, work, busy
    peak: float = 0.0  # refusals a second, over the window
    codes: int = 0  # answered meanwhile
    failed: int = 0  # answers that failed within, meanwhile


class Alarm:
    """Counts for one process; `tick` is called about once a second by whoever serves. Off where nobody calls it."""

    def __init__(self) -> None:
        self.event: Event | None = None
        self._now: Counter[str] = Counter()
        self._window: deque[tuple[float, Counter[str], float]] = deque(
            maxlen=WINDOW
        )  # seconds, refused, late
        self._second = 0
        self._calm = 0.0
        self._codes = self._failed = 0

    @property
    def on(self) -> bool:
        return self.event is not None

    @property
    def pressed(self) -> bool:
        """Whether it is on, or this very second is as bad: what needs no proof that it will last."""
        return self.event is not None or self._second >= BEGINS

    def refused(self, why: str) -> None:
        self._now[why] += 1
        self._second += 1

    def tick(
        self, seconds: float, *, late: float, now: Moment, codes: int = 0, failed: int = 0
    ) -> Event | None:
        """`seconds` have passed since the last tick, and the loop was `late` for this one. `codes` and `failed` are
        counts since the program began. The event that began, goes on or has just ended; None when all is quiet."""
        self._window.append((seconds, self._now, late))
        passed = sum(s for s, _, _ in self._window)
        rate = sum(n.total() for _, n, _ in self._window) / passed if passed else 0.0
        full = len(self._window) == WINDOW
        behind = all(lag >= LATE for _, _, lag in self._window)
        event = self.event
        if event is None and full and (rate >= BEGINS or behind):
            event = self.event = Event(now - round(passed))
            for _, refused, _ in list(self._window)[:-1]:
                event.refused += refused
            self._codes, self._failed, self._calm = codes, failed, 0.0
        if event is not None:
            event.refused += self._now
            event.peak = max(event.peak, rate)
            event.codes, event.failed = codes - self._codes, failed - self._failed
            calm = rate < ENDS and late < IN_TIME
            self._calm = self._calm + seconds if calm else 0.0
            if self._calm >= CALM:
                event.ended = now - round(self._calm)
                self.event = None
        self._now, self._second = Counter(), 0
        return event

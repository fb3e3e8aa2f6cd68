"""How much is done at once, and who goes first when it is too much.

Each purpose has a share of the room: when work piles up, what can wait is turned away first, and showing a code last.
What finds no room waits a moment, the most needed in front, in a line with an end. The room itself follows the work
(additive increase, multiplicative decrease): it shrinks while answers take longer than they should, and grows back one by
one.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping

from kangma.gateway.front.who.rights import Purpose

#: The part of the room up to which a purpose is admitted; in this order those who wait are called.
SHARES: Mapping[Purpose, float] = {
    Purpose.SHOW: 1.0,
    Purpose.VERIFY: 0.9,
    Purpose.CHECK: 0.85,
    Purpose.ENTER: 0.85,
    Purpose.REPORT: 0.8,
    Purpose.MAKE: 0.75,
    Purpose.BIND: 0.7,
    Purpose.HISTORY: 0.5,
    Purpose.APPEAL: 0.45,
    Purpose.ABOUT: 0.4,
}
#: What looks into the evidence keeps the columnar engine, all cores and a second for itself: few at a time.
#: What sources send comes slowly and is large.
CAPS: Mapping[Purpose, int] = {
    Purpose.HISTORY: 3,
    Purpose.APPEAL: 2,
    Purpose.MAKE: 3,
    Purpose.BIND: 6,
    Purpose.REPORT: 6,
}
#: And under attack fewer: an export that a stolen token is given holds the interpreter beside the hot path.
TIGHT: Mapping[Purpose, int] = {Purpose.HISTORY: 1, Purpose.APPEAL: 1, Purpose.MAKE: 1, Purpose.BIND: 2}
#: How long these take follows their size and the sender's line, and says nothing of how busy we are.
UNTIMED = (Purpose.REPORT,)
#: As many as the server has threads (`serving.AT_ONCE`): what is admitted is begun.
LEAST, MOST = 8.0, 24.0
TARGET = 2.0  # seconds that an answer may take before the room shrinks
SHRINK = 0.95
PATIENCE = 1.0  # seconds that somebody waits for room
LINE = 256  # how many wait
LINE_A_PLACE = 8  # and of a purpose with few places, for each: more would wait in vain


class Admission:
    """Counts what is at work. For one event loop."""

    def __init__(
        self,
        *,
        least: float = LEAST,
        most: float = MOST,
        target: float = TARGET,
        patience: float = PATIENCE,
        caps: Mapping[Purpose, int] = CAPS,
    ) -> None:
        self._least, self._most, self._target, self._patience = least, most, target, patience
        self._caps = caps
        self.pressed: Callable[[], bool] = lambda: False  # whether there is an attack now
        self.room = most
        self.at_work = 0
        self._of: Counter[Purpose] = Counter()
        self._waiting: dict[Purpose, deque[asyncio.Future[None]]] = {p: deque() for p in SHARES}
        self.waiting = 0

    def _cap(self, purpose: Purpose) -> int | None:
        cap = self._caps.get(purpose)
        return cap if cap is None or not self.pressed() else min(cap, TIGHT.get(purpose, cap))

    def _fits(self, purpose: Purpose) -> bool:
        cap = self._cap(purpose)
        beneath = self.at_work < max(1.0, self.room * SHARES[purpose])
        return beneath and (cap is None or self._of[purpose] < cap)

    def enter(self, purpose: Purpose) -> bool:
        """Whether there is room for one more of this purpose; if so, it is counted until `leave`."""
        if not self._fits(purpose):
            return False
        self.at_work += 1
        self._of[purpose] += 1
        return True

    def hopeless(self, purpose: Purpose) -> bool:
        """Whether there is neither room nor a place in the line; asked before anything is done for a request."""
        cap, line = self._cap(purpose), self._waiting[purpose]
        full = self.waiting >= LINE or (cap is not None and len(line) >= cap * LINE_A_PLACE)
        return full and not self._fits(purpose)

    async def come(self, purpose: Purpose) -> bool:
        """The same, after a moment's wait if it must be; False when none was found, or too many wait already."""
        if self.enter(purpose):
            return True
        if self.hopeless(purpose) or not self._patience:
            return False
        called = asyncio.get_running_loop().create_future()
        self._waiting[purpose].append(called)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await called
        except (TimeoutError, asyncio.CancelledError) as problem:
            if called.done() and not called.cancelled():  # called at the very last moment
                if isinstance(problem, TimeoutError):
                    return True
                self.leave(purpose, 0.0)
            if isinstance(problem, TimeoutError):
                return False
            raise
        finally:
            self.waiting -= 1
            if called in self._waiting[purpose]:
                self._waiting[purpose].remove(called)
        return True

    def leave(self, purpose: Purpose, seconds: float) -> None:
        """One is done, and took so long. Whoever waits is called, the most needed first."""
        self.at_work -= 1
        self._of[purpose] -= 1
        if purpose in UNTIMED:
            pass
        elif seconds > self._target:
            self.room = max(self._least, self.room * SHRINK)
        else:
            self.room = min(self._most, self.room + 1.0 / self.room)
        for next_, line in self._waiting.items():
            while line and self._fits(next_):
                called = line.popleft()
                if not called.done():  # whoever gave up is out of the line a moment later
                    self.enter(next_)
                    called.set_result(None)

"""How much is done at once, and who goes first when it is too much.

Each purpose has a share of the room: when work piles up, what can wait is turned away first, and showing a code last. The
room itself follows the work (additive increase, multiplicative decrease): it shrinks while answers take longer than they
should, and grows back one by one.
"""

from __future__ import annotations

from collections.abc import Mapping

from kangma.gateway.front.rights import Purpose

#: The part of the room up to which a purpose is admitted.
SHARES: Mapping[Purpose, float] = {
    Purpose.SHOW: 1.0,
    Purpose.VERIFY: 0.9,
    Purpose.CHECK: 0.85,
    Purpose.REPORT: 0.8,
    Purpose.BIND: 0.7,
    Purpose.HISTORY: 0.5,
    Purpose.ABOUT: 0.4,
}
LEAST, MOST = 8.0, 96.0
TARGET = 2.0  # seconds that an answer may take before the room shrinks
SHRINK = 0.95


class Admission:
    """Counts what is at work. For one event loop."""

    def __init__(self, *, least: float = LEAST, most: float = MOST, target: float = TARGET) -> None:
        self._least, self._most, self._target = least, most, target
        self.room = most
        self.at_work = 0

    def enter(self, purpose: Purpose) -> bool:
        """Whether there is room for one more of this purpose; if so, it is counted until `leave`."""
        if self.at_work >= max(1.0, self.room * SHARES[purpose]):
            return False
        self.at_work += 1
        return True

    def leave(self, seconds: float) -> None:
        """One is done, and took so long."""
        self.at_work -= 1
        if seconds > self._target:
            self.room = max(self._least, self.room * SHRINK)
        else:
            self.room = min(self._most, self.room + 1.0 / self.room)

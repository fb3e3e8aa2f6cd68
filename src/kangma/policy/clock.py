"""Local days of a zone in both languages of the judge: bisection in Python, a CASE tree in SQL.

A zone is a step function of the clock, and so is the beginning of its days: both are tabulated once from
`terms.Zone`, which stays the only authority. In a zone with one offset both are plain arithmetic.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from kangma.terms import DAY, Day, Moment, Zone, zone


@dataclass(frozen=True, slots=True)
class Clock:
    """`offsets[i]` holds from moment `starts[i]` on; a day d from `days[i]` on begins at d * 86400 - `leads[i]`."""

    starts: tuple[Moment, ...]
    offsets: tuple[int, ...]
    days: tuple[Day, ...]
    leads: tuple[int, ...]

    @property
    def fixed(self) -> int | None:
        """The one offset, where the zone has only one."""
        return self.offsets[0] if len(self.offsets) == 1 else None

    def local(self, at: Moment) -> int:
        """Seconds of the local calendar and clock since 1970-01-01 00:00 there."""
        return at + self.offsets[max(0, bisect_right(self.starts, at) - 1)]

    def day(self, at: Moment) -> Day:
        """The local calendar day of a moment."""
        return self.local(at) // DAY

    def midnight(self, day: Day) -> Moment:
        """The first moment of a local day."""
        return day * DAY - self.leads[max(0, bisect_right(self.days, day) - 1)]

    def day_sql(self, at: str) -> str:
        offset = _step(at, self.starts, self.offsets)
        return f"CAST(floor(({at} + {offset}) / 86400e0) AS BIGINT)"

    def midnight_sql(self, day: str) -> str:
        return f"({day} * 86400 - {_step(day, self.days, self.leads)})"


_STORED = re.compile(r"[a-z]\.\w+", re.ASCII)


def _step(subject: str, starts: Sequence[int], values: Sequence[int]) -> str:
    """The step function of an SQL expression, which is written only once: in a tree it would stand a hundred times,
    and nested trees would grow without bound. A stored column may stand in the tree itself, which runs faster."""
    if len(values) == 1 or _STORED.fullmatch(subject):
        return _tree(subject, starts, values)
    return f"list_transform([{subject}], lambda t: {_tree('t', starts, values)})[1]"


def _tree(subject: str, starts: Sequence[int], values: Sequence[int]) -> str:
    """The step function as nested CASE, seven comparisons deep for a zone with summer time."""
    if len(values) == 1:
        return f"({values[0]})"
    middle = len(values) // 2
    below, above = (
        _tree(subject, starts[:middle], values[:middle]),
        _tree(subject, starts[middle:], values[middle:]),
    )
    return f"CASE WHEN {subject} < {starts[middle]} THEN {below} ELSE {above} END"


@lru_cache(maxsize=64)
def clock(name: str) -> Clock:
    """The tabulated zone. Raises ValueError for an unknown name."""
    where: Zone = zone(name)
    starts, offsets = _merged(list(zip(where.starts, where.offsets, strict=True)))
    # Days begin irregularly only next to a step of the clock.
    near = {where.day(start) + k for start in where.starts for k in range(-3, 4)}
    days, leads = _merged([(day, day * DAY - where.midnight(day)) for day in sorted(near)])
    return Clock(starts, offsets, days, leads)


def _merged(steps: list[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    kept = [steps[0]]
    for at, value in steps[1:]:
        if value != kept[-1][1]:
            kept.append((at, value))
    return tuple(at for at, _ in kept), tuple(value for _, value in kept)

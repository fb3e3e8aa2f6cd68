"""The shared words: what a colour, a moment, a day and a person are, everywhere in Kangma.

A `Moment` is whole seconds since 1970-01-01T00:00Z; a `Day` is whole days since 1970-01-01 in some calendar.
Both are plain integers, so that Python, NumPy, DuckDB and Spark do the same arithmetic on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

Moment = int
Day = int

HOUR = 3_600
DAY = 86_400
EPOCH_DAY = date(1970, 1, 1)
#: Evidence speaks of these years only: a far date is a slip of the hand or a way to say "no end", and day arithmetic on
#: it would leave the calendar. An open end is said by leaving it out.
FIRST_YEAR, LAST_YEAR = 1900, 2200
FIRST_MOMENT = (date(FIRST_YEAR, 1, 1) - EPOCH_DAY).days * DAY
END_MOMENT = (date(LAST_YEAR + 1, 1, 1) - EPOCH_DAY).days * DAY


class State(IntEnum):
    """The outcome lattice: the verdict is the maximum over active holds. UNKNOWN stands beside it.

    Source: policy 7.0, RED > YELLOW > POPUP > REMIND > GREEN.
    """

    GREEN = 0
    REMIND = 1
    POPUP = 2
    YELLOW = 3
    RED = 4
    UNKNOWN = 15

    @property
    def colour(self) -> str:
        """What a person is shown: notices stand beside a green code and do not colour it."""
        return {State.YELLOW: "yellow", State.RED: "red", State.UNKNOWN: "unknown"}.get(self, "green")


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence for people, written (not translated) in Chinese and in English."""

    zh: str
    en: str

    def as_json(self) -> dict[str, str]:
        return {"zh": self.zh, "en": self.en}


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of time [start, end); `end` None means it has not ended."""

    start: Moment
    end: Moment | None

    def overlap(self, other: Span) -> int:
        """Seconds that both cover; an open end counts to the other's end, two open ends are an error."""
        ends = [e for e in (self.end, other.end) if e is not None]
        if not ends:
            raise ValueError("two open spans overlap without end")
        return max(0, min(ends) - max(self.start, other.start))


_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(:\d{2})?(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2})", re.ASCII)


def moment(text: str) -> Moment:
    """The moment that an ISO 8601 text with offset names; fractions of a second are cut off.

    Raises ValueError for anything else, a time without offset among it, and a year before 1900 or after 2200.
    """
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise ValueError("not an ISO 8601 time with offset")
    day, minute, second, _, offset = found.groups()
    if not FIRST_YEAR <= int(day[:4]) <= LAST_YEAR:
        raise ValueError("a year of another age")
    return int(datetime.fromisoformat(f"{day}T{minute}{second or ':00'}{offset}").timestamp())


def day_number(when: date) -> Day:
    return (when - EPOCH_DAY).days


def calendar(day: Day) -> date:
    return EPOCH_DAY + timedelta(days=day)


@dataclass(frozen=True)
class Zone:
    """A time zone as a step function, so that day arithmetic is integer arithmetic in every engine.

    `starts[i]` is the moment from which `offsets[i]` (seconds east of UTC) holds; `starts[0]` is minus infinity
    in effect. Built from the system's zone data for the years 2000 to 2060.
    """

    name: str
    starts: tuple[Moment, ...]
    offsets: tuple[int, ...]

    def offset(self, at: Moment) -> int:
        for start, offset in zip(reversed(self.starts), reversed(self.offsets), strict=True):
            if at >= start:
                return offset
        return self.offsets[0]

    def day(self, at: Moment) -> Day:
        """The local calendar day of a moment."""
        return (at + self.offset(at)) // DAY

    def midnight(self, day: Day) -> Moment:
        """00:00 local time of a day; where the clock skips midnight, the first moment of that day."""
        local = day * DAY
        for start, offset in zip(reversed(self.starts), reversed(self.offsets), strict=True):
            if local - offset >= start:
                return local - offset
            if self.day(start) == day:
                # The clock jumped over 00:00, or back across it: the day begins with the jump or before it.
                before = self.offset(start - 1)
                return local - before if local - before < start else start
        return local - self.offsets[0]

    def iso(self, at: Moment) -> str:
        """The moment as people there write it, ISO 8601 with offset."""
        return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(self.name)).isoformat()


@lru_cache(maxsize=64)
def zone(name: str) -> Zone:
    """The named IANA zone. Raises ValueError for an unknown name."""
    try:
        info = ZoneInfo(name)
    except Exception as problem:
        raise ValueError(f"unknown time zone {name!r}") from problem

    def offset(at: Moment) -> int:
        delta = datetime.fromtimestamp(at, info).utcoffset()
        assert delta is not None
        return int(delta.total_seconds())

    first, last = moment("2000-01-01T00:00:00Z"), moment("2060-01-01T00:00:00Z")
    starts, offsets = [first], [offset(first)]
    at = first
    while at < last:
        ahead = at + 7 * DAY
        if offset(ahead) != offsets[-1]:
            low, high = at, ahead
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
            starts.append(high)
            offsets.append(offset(high))
        at = ahead
    return Zone(name, tuple(starts), tuple(offsets))

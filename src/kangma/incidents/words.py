"""Text and dates as a record holds them: text in several languages, and a date that says how well it is known.

Both are checked when made: whatever exists is safe to put into XML, JSON and a terminal (pages still escape it, since
`<` and `&` are ordinary characters of ordinary sentences).
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from kangma.errors import Code, Refused
from kangma.terms import FIRST_YEAR, LAST_YEAR

MOST_LANGUAGES = 20
TAG = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?", re.ASCII)  # the part of BCP 47 that is used
#: Controls, the marks that turn the direction of the text after them, surrogates, and what XML 1.0 cannot carry.
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def tidy(text: str, most: int, *, lines: bool = False) -> str:
    """The text in NFC, without blanks at its ends. Refused: `value_too_long` above `most` characters, `bad_value` for
    control characters, marks of direction, half surrogates; line ends are allowed with `lines` only."""
    if len(text) > most:
        raise Refused(Code.VALUE_TOO_LONG, hint=f"at most {most} characters")
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
    if len(text) > most:
        raise Refused(Code.VALUE_TOO_LONG, hint=f"at most {most} characters")
    if _FORBIDDEN.search(text) or (not lines and ("\n" in text or "\t" in text)):
        raise Refused(Code.BAD_VALUE, hint="control characters or marks of direction")
    return text


@dataclass(frozen=True, slots=True)
class Words:
    """One text in several languages, written and not translated word by word. Pairs (tag, text) in order of tag."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, by_tag: Mapping[str, str]) -> Words:
        """Refused (bad_value) for a tag that is none."""
        if len(by_tag) > MOST_LANGUAGES:
            raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {MOST_LANGUAGES} languages")
        for tag in by_tag:
            if not TAG.fullmatch(tag):
                raise Refused(Code.BAD_VALUE, hint="a language tag such as zh, en or zh-Hant")
        return cls(tuple(sorted((tag, text) for tag, text in by_tag.items() if text)))

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)

    def get(self, tag: str, default: str = "") -> str:
        return dict(self.pairs).get(tag, default)

    def best(self, *wanted: str) -> str:
        """The text in the first of these languages that it has, else in English, Chinese, any; "" when it has none."""
        texts = dict(self.pairs)
        for tag in (*wanted, "en", "zh"):
            if tag in texts:
                return texts[tag]
        return self.pairs[0][1] if self.pairs else ""


class Precision(StrEnum):
    """How well a date is known, finest first."""

    TIME = "time"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    RANGE = "range"


_DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_FINER = (Precision.TIME, Precision.DAY, Precision.MONTH, Precision.YEAR)


def _ends(text: str) -> tuple[date, date, Precision]:
    """First and last day of `2022`, `2022-04`, `2022-04-28` or a time. Refused (bad_date)."""
    if timed := _TIME.fullmatch(text):
        try:
            datetime.fromisoformat(text)
            day = date.fromisoformat(timed[1])
        except ValueError:
            raise Refused(Code.BAD_TIME, hint="a time such as 2022-04-28T08:41:00+08:00") from None
        first = last = day
        precision = Precision.TIME
    else:
        found = _DAY.fullmatch(text)
        if not found:
            raise Refused(
                Code.BAD_DATE, hint="2022-04-28, 2022-04, 2022, or two of them with a slash between"
            )
        year, month, day_ = (int(x) if x else None for x in found.groups())
        assert year is not None
        try:
            first = date(year, month or 1, day_ or 1)
            last = first if day_ else date(year, month or 12, calendar.monthrange(year, month or 12)[1])
        except ValueError:
            raise Refused(Code.BAD_DATE, hint="not a day of the calendar") from None
        precision = Precision.DAY if day_ else Precision.MONTH if month else Precision.YEAR
    if first.year < FIRST_YEAR or last.year > LAST_YEAR:
        raise Refused(Code.BAD_DATE, hint=f"a year between {FIRST_YEAR} and {LAST_YEAR}")
    return first, last, precision


@dataclass(frozen=True, slots=True)
class Dated:
    """A date with its precision, written as ISO 8601 writes it: `2022`, `2022-04`, `2022-04-28`,
    `2022-04-28T08:41:00+08:00`, or a range of two with `/`. Nothing is invented: April stays April."""

    text: str
    first: date = field(compare=False)
    last: date = field(compare=False)
    precision: Precision = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> Dated:
        """Refused: bad_date, bad_time, ends_before_start."""
        start, slash, end = text.strip().partition("/")
        first, last, precision = _ends(start)
        if not slash:
            return cls(start, first, last, precision)
        upto, last, _ = _ends(end)
        if upto < first or last < first:
            raise Refused(Code.ENDS_BEFORE_START, hint="the range ends before it starts")
        return cls(f"{start}/{end}", first, last, Precision.RANGE)

    def at(self, precision: Precision) -> str:
        """As shown at that precision, never finer than it is known: `2022-04` for 28 April 2022 at month precision."""
        if self.precision is Precision.RANGE or _FINER.index(precision) <= _FINER.index(self.precision):
            return self.text
        return self.text[: {Precision.DAY: 10, Precision.MONTH: 7, Precision.YEAR: 4}[precision]]

    def __str__(self) -> str:
        return self.text

"""Finding among published records: words by SQLite's FTS5, everything else by small arrays in memory.

The arrays are derived from `shelf` and follow it: a query first takes in what was published since. For one audience
they hold what that audience sees and nothing more, so that neither a count nor a hit can tell a stranger of what is for
members.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from kangma.errors import Code, Refused, Where
from kangma.incidents.finding import FACETS, asked, victim_key, victim_segment
from kangma.store.register_schema import shelf
from kangma.terms import Day

PAGE, MOST_PAGE = 25, 200
COUNTED = tuple(f for f in FACETS if f != "victim")
NEVER = -(2**40)  # the day of a record without a date: first when sorted upwards
MOST_COUNTS = 300  # values of one facet that are told


class Sort(StrEnum):
    NEWEST = "newest"  # date of the incident, latest first
    OLDEST = "oldest"
    PUBLISHED = "published"  # latest version first


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for. `chosen`: facet → values, any of which a record must have; facets together. Days inclusive:
    a record is found when its own span touches [`since`, `until`]."""

    words: str = ""
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    since: Day | None = None
    until: Day | None = None
    sort: Sort = Sort.NEWEST
    after: str = ""  # `Page.next` of the page before
    size: int = PAGE


@dataclass(frozen=True, slots=True)
class Page:
    """`counts`: facet → value → how many records it would leave, the other filters kept. `next` "" : the last page."""

    total: int
    cards: tuple[dict[str, Any], ...]
    counts: Mapping[str, Mapping[str, int]]
    next: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """How many records fall into each year or month, by the values of one facet. A record of several values counts in
    each of them and once in `totals`. Nothing is placed finer than it is known: what does not lie within one step is in
    `coarse`, what has no date (that this viewer sees) in `undated`."""

    steps: tuple[tuple[int, int], ...]  # (year, month), month 0 by year; in order, without gaps
    values: tuple[str, ...]  # of the facet, most first
    counts: NDArray[np.int64]  # (steps, values)
    totals: NDArray[np.int64]  # (steps,)
    coarse: int
    undated: int


class Finder:
    """For one audience. Safe for threads; one instance a process is enough."""

    def __init__(self, *, member: bool) -> None:
        self._audience = "member" if member else "public"
        self._day = "member_" if member else ""
        self._lock = threading.Lock()
        self._seen = 0  # the newest number taken in
        self._place: dict[str, int] = {}  # id → row
        self._numbers = np.empty(0, np.int64)  # (n,) row → number
        self._rows = np.full(1, -1, np.int64)  # number → row, -1 for none
        self._first = np.empty(0, np.int64)  # (n,) days; NEVER without a date
        self._last = np.empty(0, np.int64)
        self._at = np.empty(0, np.int64)  # (n,) moments
        self._alive = np.empty(0, np.bool_)  # (n,) whether this is the record's newest version
        self._codes: dict[str, dict[str, int]] = {f: {} for f in FACETS}
        self._victims: dict[str, str] = {}  # segment → key, of those whose key is no segment of an address
        self._pairs = {f: (np.empty(0, np.int64), np.empty(0, np.int64)) for f in FACETS}  # rows, codes
        self._orders: dict[Sort, NDArray[np.int64]] = {}

    def warm(self, on: sa.Connection) -> None:
        """Takes in what is published, so that the first query does not wait for it."""
        with self._lock:
            self._refresh(on)

    def page(self, on: sa.Connection, query: Query) -> Page:
        """One page. Refused (bad_value, not_in_list) for a facet, page mark or size that cannot be."""
        if not 1 <= query.size <= MOST_PAGE:
            raise Refused(Code.BAD_NUMBER, Where(path="size"), f"1 to {MOST_PAGE}")
        with self._lock:
            self._refresh(on)
            whole, without = self._masks(on, query)
            order = self._order(query.sort)
            found = order[whole[order]]
            found = found[self._beyond(query, found)]
            rows = found[: query.size]
            more = len(found) > len(rows)
            counts = {name: self._count(name, without.get(name, whole)) for name in COUNTED}
            numbers = [int(n) for n in self._numbers[rows]]
            next_ = self._mark(query.sort, int(rows[-1])) if more else ""
            total = int(whole.sum())
        column = shelf.c[f"{self._audience}_card"]
        cards = {
            n: json.loads(c)
            for n, c in on.execute(sa.select(shelf.c.number, column).where(shelf.c.number.in_(numbers)))
        }
        return Page(total, tuple(cards[n] for n in numbers), counts, next_)

    def ids(self, on: sa.Connection, query: Query) -> list[str]:
        """The ids of all records found, in the query's order; `size` and `after` do not count."""
        with self._lock:
            self._refresh(on)
            whole, _ = self._masks(on, query)
            order = self._order(query.sort)
            rows = [int(r) for r in order[whole[order]]]
            names = {row: id for id, row in self._place.items()}
        return [names[r] for r in rows]

    def timeline(self, on: sa.Connection, query: Query, facet: str, *, by_month: bool) -> Timeline:
        """What a query finds, over time. `size`, `sort` and `after` do not count. Refused as by `page`."""
        if facet not in COUNTED:
            raise Refused(Code.NOT_IN_LIST, Where(path="by"), ", ".join(COUNTED))
        with self._lock:
            self._refresh(on)
            whole, _ = self._masks(on, query)
            dated = whole & (self._first != NEVER)
            first, last = self._step(self._first, by_month), self._step(self._last, by_month)
            placed = dated & (first == last)
            rows, codes = self._pairs[facet]
            told = self._count(facet, placed)
            begin = int(first[placed].min()) if placed.any() else 0
            length = int(first[placed].max()) - begin + 1 if placed.any() else 0
            totals = np.bincount(first[placed] - begin, minlength=length)
            counts = np.zeros((length, len(told)), np.int64)
            for column, value in enumerate(told):
                of_value = rows[codes == self._codes[facet][value]]
                of_value = of_value[placed[of_value]]
                counts[:, column] = np.bincount(first[of_value] - begin, minlength=length)
        steps = [(s // 12, s % 12 + 1) if by_month else (s, 0) for s in range(begin, begin + length)]
        coarse, undated = int(dated.sum() - placed.sum()), int(whole.sum() - dated.sum())
        return Timeline(tuple(steps), tuple(told), counts, totals, coarse, undated)

    @staticmethod
    def _step(days: NDArray[np.int64], by_month: bool) -> NDArray[np.int64]:
        """The year, or the month counted from year 0, of each day; NEVER gives a number that nobody uses."""
        known = np.where(days == NEVER, 0, days).astype("datetime64[D]")
        unit = "M" if by_month else "Y"
        made: NDArray[np.int64] = known.astype(f"datetime64[{unit}]").astype(np.int64)
        return made + 1970 * (12 if by_month else 1)

    def near(self, on: sa.Connection, first: Day, last: Day) -> list[str]:
        """The ids of records whose span touches [first, last]."""
        return self.ids(on, Query(since=first, until=last))

    # taking in

    def _refresh(self, on: sa.Connection) -> None:
        columns = [
            shelf.c.number, shelf.c.id, shelf.c[f"{self._day}first_day"], shelf.c[f"{self._day}last_day"], shelf.c.at,
            shelf.c[f"{self._audience}_facets"],
        ]  # fmt: skip
        fresh = on.execute(
            sa.select(*columns).where(shelf.c.number > self._seen).order_by(shelf.c.number)
        ).all()
        if not fresh:
            return
        base = len(self._numbers)
        alive = np.concatenate([self._alive, np.ones(len(fresh), np.bool_)])
        added: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for row, (_, id, _, _, _, said) in enumerate(fresh, base):
            before = self._place.get(id)
            if before is not None:
                alive[before] = False
            self._place[id] = row
            for name, values in json.loads(said).items():
                codes = self._codes[name]
                rows, known = added[name]
                for value in values:
                    rows.append(row)
                    known.append(codes.setdefault(value, len(codes)))
                    if name == "victim" and (segment := victim_segment(value)) != value:
                        self._victims[segment] = value
        numbers, firsts, lasts, ats = (np.array([r[i] for r in fresh], np.int64) for i in (0, 2, 3, 4))
        self._numbers = np.concatenate([self._numbers, numbers])
        self._first = np.concatenate([self._first, firsts])
        self._last = np.concatenate([self._last, lasts])
        self._at = np.concatenate([self._at, ats])
        self._alive = alive
        self._rows = np.full(int(numbers[-1]) + 1, -1, np.int64)
        self._rows[self._numbers] = np.arange(len(self._numbers))
        for name, pairs in added.items():
            self._pairs[name] = (
                np.concatenate([self._pairs[name][0], np.array(pairs[0], np.int64)]),
                np.concatenate([self._pairs[name][1], np.array(pairs[1], np.int64)]),
            )
        self._orders.clear()
        self._seen = int(numbers[-1])

    # filters

    def _masks(
        self, on: sa.Connection, query: Query
    ) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.bool_]]]:
        """(rows found, facet → rows found were that facet not chosen)."""
        base = self._alive.copy()
        if query.since is not None:
            base &= (self._last >= query.since) & (self._first != NEVER)
        if query.until is not None:
            base &= (self._first <= query.until) & (self._first != NEVER)
        if query.words.strip():
            base &= self._with_words(on, query.words)
        chosen: dict[str, NDArray[np.bool_]] = {}
        for name, values in query.chosen.items():
            if name not in FACETS:
                raise Refused(Code.NOT_IN_LIST, Where(path=name[:40]), ", ".join(FACETS))
            victims = [self._victims.get(v) or victim_key(v) for v in values] if name == "victim" else None
            chosen[name] = self._having(name, victims or values)
        whole = base.copy()
        for mask in chosen.values():
            whole &= mask
        without = {}
        for name in chosen:
            rest = base.copy()
            for other, mask in chosen.items():
                if other != name:
                    rest &= mask
            without[name] = rest
        return whole, without

    def _having(self, name: str, values: Iterable[str]) -> NDArray[np.bool_]:
        mask = np.zeros(len(self._numbers), np.bool_)
        rows, codes = self._pairs[name]
        for value in values:
            code = self._codes[name].get(value)
            if code is not None:
                mask[rows[codes == code]] = True
        return mask

    def _with_words(self, on: sa.Connection, words: str) -> NDArray[np.bool_]:
        mask = np.zeros(len(self._numbers), np.bool_)
        match = asked(words[:1_000])
        if not match:
            return mask  # nothing that could be looked for: nothing is found
        table = f"words_{self._audience}"
        # One text of all numbers instead of a row each: the rows were most of the time that a common word took.
        sql = f"SELECT group_concat(rowid) FROM {table} WHERE {table} MATCH ?"
        hits = str(on.exec_driver_sql(sql, (match,)).scalar() or "")
        numbers = np.fromstring(hits, np.int64, sep=",") if hits else np.empty(0, np.int64)
        rows = self._rows[numbers[numbers < len(self._rows)]]
        mask[rows[rows >= 0]] = True
        return mask

    def _count(self, name: str, mask: NDArray[np.bool_]) -> dict[str, int]:
        rows, codes = self._pairs[name]
        counts = np.bincount(codes[mask[rows]], minlength=len(self._codes[name]))
        told = [(value, int(counts[code])) for value, code in self._codes[name].items() if counts[code]]
        return dict(sorted(told, key=lambda pair: (-pair[1], pair[0]))[:MOST_COUNTS])

    # order and pages

    def _keys(self, sort: Sort) -> tuple[NDArray[np.int64], bool]:
        """(key of each row, whether the greatest comes first)."""
        return (self._at, True) if sort is Sort.PUBLISHED else (self._first, sort is Sort.NEWEST)

    def _order(self, sort: Sort) -> NDArray[np.int64]:
        if sort not in self._orders:
            keys, down = self._keys(sort)
            order = np.lexsort((self._numbers, keys))
            self._orders[sort] = order[::-1] if down else order
        return self._orders[sort]

    def _mark(self, sort: Sort, row: int) -> str:
        keys, _ = self._keys(sort)
        text = f"{sort} {keys[row]} {self._numbers[row]}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _beyond(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows come after the page's mark. The mark is a place in the order, not a count: what is published
        meanwhile neither repeats nor hides a record."""
        if not query.after:
            return np.ones(len(rows), np.bool_)
        try:
            padded = query.after + "=" * (-len(query.after) % 4)
            text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
            found = re.fullmatch(r"(\w+) (-?\d{1,18}) (\d{1,18})", text)
        except (binascii.Error, ValueError):
            found = None
        if found is None or found[1] != query.sort:
            raise Refused(Code.BAD_VALUE, Where(path="after"), "the mark of a page in this order")
        key, number = int(found[2]), int(found[3])
        keys, down = self._keys(query.sort)
        ours, numbers = keys[rows], self._numbers[rows]
        further: NDArray[np.bool_] = (
            (ours < key) | ((ours == key) & (numbers < number))
            if down
            else (ours > key) | ((ours == key) & (numbers > number))
        )
        return further

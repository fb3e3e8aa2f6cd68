"""Some thousand persons judged at once, by columns: what `judge_one` says of each and `judge_all` of everybody.

It is for the persons of one cycle. Facts are Arrow tables; of each rule only the rows that its condition takes are
looked at further, joined with the other facts of the same persons by position. The numbers in the comments are those
of docs/formats/policy.md, "Meaning".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kangma.evidence.facts import FACTS
from kangma.evidence.runs import distinct, pairs
from kangma.policy.clock import clock
from kangma.policy.compile_columns import Rows, local_day
from kangma.policy.document import Policy, Rule, Timeline
from kangma.policy.expressions import FROM_FACT, bound
from kangma.policy.judge import HOLDS, VERDICTS
from kangma.policy.language import Node, Type, split, thresholds
from kangma.terms import Moment, State

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Picked = NDArray[np.int64]

#: A moment that never comes: an end that is open, a beginning that is not known, a change that is none.
NEVER = int(np.iinfo(np.int64).max)


def judge_columns(
    policy: Policy | Timeline, facts: Mapping[str, pa.Table], *, now: Moment
) -> tuple[pa.Table, pa.Table]:
    """(holds, verdicts), schemas HOLDS and VERDICTS, from fact name → its rows (schema of `kangma.evidence.facts`, in
    any order); a fact that is missing has none. Rows and their order are those of `judge_all`."""
    force = policy.force(now) if isinstance(policy, Timeline) else policy
    switch = policy.next_switch(now) if isinstance(policy, Timeline) else None
    known = {name: _Fact.of(name, facts.get(name)) for name in FACTS}
    found = _Found()
    for index, rule in enumerate(force.rules):
        if known[rule.on].count:
            _Judged(rule, index, known, now, found).all()
    return found.holds(), found.verdicts(switch)


# -- facts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fact:
    """The rows of a fact by person. `column` reads as both other judges do: whole numbers out of bounds are null."""

    name: str
    table: pa.Table
    person: NDArray[np.uint32]  # (count,) ascending
    _read: dict[str, pa.Array] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, table: pa.Table | None) -> _Fact:
        table = FACTS[name].schema.empty_table() if table is None else table
        person = table["person"].to_numpy()
        if len(person) > 1 and (person[1:] < person[:-1]).any():
            order = np.argsort(person, kind="stable")
            table, person = table.take(pa.array(order)), person[order]
        return cls(name, table, person)

    @property
    def count(self) -> int:
        return len(self.person)

    def column(self, name: str) -> pa.Array:
        found = self._read.get(name)
        if found is None:
            found = self.table[name].combine_chunks()
            kind = FROM_FACT[FACTS[self.name].columns[name][0]]
            if kind in (Type.INT, Type.TIME, Type.DATE):
                found, limit = found.cast(pa.int64()), bound(kind)
                least, most = pa.scalar(-limit, pa.int64()), pa.scalar(limit, pa.int64())
                inside = pc.and_(pc.greater_equal(found, least), pc.less_equal(found, most))
                if not pc.all(inside, skip_nulls=True).as_py():
                    found = pc.if_else(inside, found, pa.scalar(None, pa.int64()))
            self._read[name] = found
        return found

    def first(self, persons: NDArray[np.uint32]) -> tuple[Picked, Mask]:
        """For each of these persons the first row, and whether there is one."""
        if not self.count:
            return np.zeros(len(persons), np.int64), np.zeros(len(persons), bool)
        at = np.minimum(np.searchsorted(self.person, persons), self.count - 1)
        return at.astype(np.int64), self.person[at] == persons

    def beside(self, persons: NDArray[np.uint32]) -> tuple[Picked, Picked]:
        """Every pair (i, row) of one of these persons, by its position i, and a row of theirs; i ascending."""
        return pairs(self.person, persons)


# -- one rule -------------------------------------------------------------------------------------------------------


class _Judged:
    """One rule on the rows of its fact. `rows` are those that are still in question, always in the fact's order."""

    def __init__(
        self, rule: Rule, index: int, facts: Mapping[str, _Fact], now: Moment, found: _Found
    ) -> None:
        self.rule, self.index, self.facts, self.now, self.found = rule, index, facts, now, found
        self.zone = clock(rule.zone)
        self.own = facts[rule.on]
        self.rows: Picked = np.arange(self.own.count)
        self.moments: dict[str, Ints] = {}  # anchor, and since of the main stage, of `rows`

    @property
    def person(self) -> NDArray[np.uint32]:
        return self.own.person[self.rows]

    def all(self) -> None:
        rule, now = self.rule, self.now
        # 1 the anchor, and what the clock cannot change in the condition
        still, moving = split(rule.when)
        anchor = self.here().moments(rule.anchor, NEVER)
        first, last = rule.anchors
        known = anchor != NEVER
        if first is not None:
            known &= anchor >= first
        if last is not None:
            known &= anchor < last
        self.moments["anchor"] = anchor
        self.keep(known)
        self.keep(self.here().truth(still))
        if not len(self.rows):
            return
        # 2 the stages and the cap
        since = self.moments["since"] = self.here().moments(rule.main.since, NEVER)
        here = self.here()
        starts = [since, *(here.moments(s.since, NEVER) for s in rule.stages[1:])]
        ends = [_never(since) if s.until is None else here.moments(s.until, NEVER) for s in rule.stages]
        cap = _never(since) if rule.cap is None else here.moments(rule.cap, NEVER)
        if rule.tests_when is not None:
            ends[0] = self.end_with_tests(ends[0])
        reminded = np.where(cap == NEVER, NEVER, cap + rule.remind_seconds)
        # 3 a row none of whose stages can be active now or later says nothing any more
        alive = np.zeros(len(since), bool)
        for stage, start, end in zip(rule.stages, starts, ends, strict=True):
            over = np.minimum(end, reminded) if stage.outcome.capped else end
            alive |= (start < over) & (now < over)
        starts, ends = [s[alive] for s in starts], [e[alive] for e in ends]
        cap, reminded = cap[alive], reminded[alive]
        self.keep(alive)
        # 4 what the clock can change in the condition
        here = self.here()
        self.changed(here, thresholds(moving), self.person)
        holds = np.ones(len(self.rows), bool) if moving is None else here.truth(moving)
        # 5 the exemptions
        exempt = np.zeros(len(self.rows), bool)
        for unless in rule.unless:
            which, beside = self.pairs(unless.on, holds)
            self.changed(beside, thresholds(unless.when), self.person[which])
            exempt[which[beside.truth(unless.when)]] = True
        holds &= ~exempt
        # 6 the clears
        cleared = _never(cap)
        for clear in rule.clears:
            which, beside = self.pairs(clear.on, holds)
            self.changed(beside, thresholds(clear.when), self.person[which])
            taken = beside.truth(clear.when)
            at = beside.moments(clear.at, NEVER)
            taken &= at != NEVER
            if clear.apart_on is None:
                np.minimum.at(cleared, which[taken], at[taken])
            else:
                apart = beside.moments(clear.apart_on, NEVER)
                taken &= apart != NEVER
                _twice(cleared, which[taken], at[taken], apart[taken], clear.apart_seconds)
        # 7 the stages that are active, and when that changes
        for i, stage in enumerate(rule.stages):
            start, end, capped = starts[i], ends[i], stage.outcome.capped
            plain = np.minimum(end, cleared)
            over = np.minimum(plain, reminded) if capped else plain
            real = holds & (start < over)
            self.coming(start[real], self.person[real])
            self.coming(over[real], self.person[real])
            if capped:
                later = real & (start < cap) & (cap < over)
                self.coming(cap[later], self.person[later])
            active = real & (start <= now) & (now < over)
            if not active.any():
                continue
            at_cap = (cap <= now)[active] if capped else np.zeros(int(active.sum()), bool)
            self.found.hold(
                person=self.person[active],
                rule=self.index,
                stage=i,
                outcome=np.where(at_cap, int(State.REMIND), int(stage.outcome.state)),
                popups=np.where(at_cap, 0, stage.outcome.popups),
                reminds=np.where(at_cap, rule.cap_reminds, stage.outcome.reminds),
                since=start[active],
                until=np.where(at_cap, over[active], plain[active]),
                cap=cap[active],
                capped=at_cap,
            )

    # what an expression stands on ---------------------------------------------------------------------------------

    def here(self) -> Rows:
        """The rows in question."""
        return self.standing(len(self.rows), self.rows, self.rows, self.moments, "other")

    def pairs(self, fact: str, of: Mask) -> tuple[Picked, Rows]:
        """Of the rows in `of`: pairs with the rows of another fact of the same person."""
        mine = np.flatnonzero(of)
        which, theirs = self.facts[fact].beside(self.person[mine])
        which = mine[which]
        moments = {name: values[which] for name, values in self.moments.items()}
        return which, self.standing(len(which), self.rows[which], theirs, moments, fact)

    def standing(
        self, count: int, own: Picked, theirs: Picked, moments: Mapping[str, Ints], fact: str
    ) -> Rows:
        columns: dict[str, Callable[[str], pa.Array]] = {
            "own": lambda name: self.own.column(name).take(pa.array(own)),
            "person": lambda name: _or_null(self.facts["people"], name, self.own.person[own]),
        }
        if fact in self.facts:
            columns["other"] = lambda name: self.facts[fact].column(name).take(pa.array(theirs))
        specials = {name: pa.array(v, mask=v == NEVER) for name, v in moments.items()}
        return Rows(count, self.zone, columns, specials | {"now": pa.scalar(self.now, pa.int64())})

    def keep(self, kept: Mask) -> None:
        if not kept.all():
            self.rows = self.rows[kept]
            self.moments = {name: values[kept] for name, values in self.moments.items()}

    # what is found ------------------------------------------------------------------------------------------------

    def changed(self, rows: Rows, moments: tuple[Node, ...], person: NDArray[np.uint32]) -> None:
        for moment in moments:
            self.coming(rows.moments(moment, NEVER), person)

    def coming(self, at: Ints, person: NDArray[np.uint32]) -> None:
        ahead = (at > self.now) & (at != NEVER)
        if ahead.any():
            self.found.change(person[ahead], at[ahead])

    def end_with_tests(self, end: Ints) -> Ints:
        """The scheduled end, or when the last of its tests was reported; NEVER while one is missing.

        Day k is covered by a sample of local day D0+k or the day after, or by one taken after the last scheduled day.
        """
        rule, tests = self.rule, self.facts["tests"]
        assert rule.tests_when is not None
        which, theirs = tests.beside(self.person)
        beside = self.standing(len(which), self.rows[which], theirs, {}, "tests")
        counts = beside.truth(rule.tests_when)
        sampled, reported = (
            tests.column(name).take(pa.array(theirs)).fill_null(NEVER).to_numpy()
            for name in ("sampled_at", "reported_at")
        )
        counts &= (sampled != NEVER) & (reported != NEVER)
        which, sampled, reported = which[counts], sampled[counts], reported[counts]
        day = local_day(self.zone, sampled) - local_day(self.zone, self.moments["anchor"])[which]
        last = end
        for k in rule.test_days:
            covers = ((day >= k) & (day <= k + 1)) | (day > rule.test_days[-1])
            done = _never(end)
            np.minimum.at(done, which[covers], reported[covers])
            last = np.maximum(last, done)
        return np.where(end == NEVER, NEVER, last)


def _never(like: Ints) -> Ints:
    return np.full(len(like), NEVER, np.int64)


def _or_null(people: _Fact, name: str, persons: NDArray[np.uint32]) -> pa.Array:
    at, there = people.first(persons)
    return people.column(name).take(pa.array(at, mask=~there))


def _twice(cleared: Ints, which: Picked, at: Ints, apart: Ints, seconds: int) -> None:
    """Into `cleared`: of two samples far enough apart the later of their moments, the least of all such pairs."""
    one, other = pairs(which, which)
    enough = apart[other] - apart[one] >= seconds
    one, other = one[enough], other[enough]
    np.minimum.at(cleared, which[one], np.maximum(at[one], at[other]))


# -- what was found -------------------------------------------------------------------------------------------------


class _Found:
    """Holds and coming changes, gathered rule by rule."""

    def __init__(self) -> None:
        self._holds: list[dict[str, NDArray[np.generic]]] = []
        self._changes: list[tuple[NDArray[np.uint32], Ints]] = []

    def hold(
        self, *, person: NDArray[np.uint32], rule: int, stage: int, **columns: NDArray[np.generic]
    ) -> None:
        same = {"rule": np.full(len(person), rule), "stage": np.full(len(person), stage)}
        self._holds.append({"person": person, **same, **columns})

    def change(self, person: NDArray[np.uint32], at: Ints) -> None:
        self._changes.append((person, at))

    def _column(self, name: str) -> NDArray[np.generic]:
        return np.concatenate([h[name] for h in self._holds])

    def holds(self) -> pa.Table:
        if not self._holds:
            return HOLDS.empty_table()
        columns = {f.name: self._column(f.name) for f in HOLDS}
        order = np.lexsort([columns[n] for n in ("cap", "until", "since", "stage", "rule", "person")])
        arrays = []
        for f in HOLDS:
            values = columns[f.name][order]
            arrays.append(pa.array(values, mask=values == NEVER if f.nullable else None).cast(f.type))
        return pa.Table.from_arrays(arrays, schema=HOLDS)

    def verdicts(self, switch: Moment | None) -> pa.Table:
        said = [h["person"] for h in self._holds] + [person for person, _ in self._changes]
        if not said:
            return VERDICTS.empty_table()
        persons = distinct(said, np.uint32)
        state, unknown = np.zeros(len(persons), np.int64), np.zeros(len(persons), bool)
        masks = {name: np.zeros(len(persons), np.int64) for name in ("popups", "reminds")}
        for hold in self._holds:
            at = np.searchsorted(persons, hold["person"])
            lost = hold["outcome"] == int(State.UNKNOWN)
            np.maximum.at(state, at, np.where(lost, 0, hold["outcome"]))
            unknown[at[lost]] = True
            for name, mask in masks.items():
                np.bitwise_or.at(mask, at, hold[name].astype(np.int64))
        # Without a change of its own a person waits for the next switch, as everybody who is not listed does.
        change = np.full(len(persons), NEVER if switch is None else switch, np.int64)
        for person, moments in self._changes:
            np.minimum.at(change, np.searchsorted(persons, person), moments)
        state[unknown & (state < int(State.YELLOW))] = int(State.UNKNOWN)
        columns = {"person": persons, "state": state, **masks}
        arrays = [pa.array(columns[f.name]).cast(f.type) for f in VERDICTS if f.name in columns]
        return pa.Table.from_arrays([*arrays, pa.array(change, mask=change == NEVER)], schema=VERDICTS)

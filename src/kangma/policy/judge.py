"""Facts and a policy → holds → verdicts: for one person in Python, for the whole city in SQL; for some thousand persons
`judge_columns`.

The meaning is written down once, in docs/formats/policy.md under "Meaning"; `_holds_of_row` below is that text as
code, and compile_sql says the same in SQL. A property test holds all equal, holds, verdicts and next_change_at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa

from kangma.policy import compile_sql
from kangma.policy.clock import Clock, clock
from kangma.policy.compile_python import Function, function, whole
from kangma.policy.document import Policy, Rule, Timeline
from kangma.policy.expressions import bound
from kangma.policy.language import Node, Type, split, thresholds
from kangma.terms import Moment, State

Row = Mapping[str, Any]
Facts = Mapping[str, Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Hold:
    """One active reason why a person is not plain green.

    `rule` and `stage` are indices (stage 0 is the main one). `until` is when this outcome ends if no new evidence
    comes: its own end or a clear already known, and the end of the reminder where `capped`; None is open.
    `planned` is the end by the calendar alone, whether or not tests are still missing. `row` is the fact behind it.
    """

    rule: int
    rule_id: str
    stage: int
    outcome: State
    popups: int
    reminds: int
    since: Moment
    until: Moment | None
    cap: Moment | None
    capped: bool
    fact: str
    anchor: Moment
    planned: Moment | None
    row: Row


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy says of one person at one moment.

    `popups` and `reminds` are notice codes in the policy's order. `next_change_at` is the earliest moment at which
    the verdict can change without new evidence; a verdict given before it is still right until then.
    """

    state: State
    popups: tuple[str, ...]
    reminds: tuple[str, ...]
    holds: tuple[Hold, ...]
    next_change_at: Moment | None
    policy: Policy
    now: Moment


# -- one rule, compiled ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stage:
    since: Function
    until: Function | None
    state: State
    popups: int
    reminds: int
    capped: bool


@dataclass(frozen=True, slots=True)
class CompiledClear:
    """A clear or an exemption: a condition over another fact's rows."""

    on: str
    when: Function
    changes: tuple[Function, ...]
    at: Function | None = None
    count: int = 1
    apart_on: Function | None = None
    apart_seconds: int = 0


@dataclass(frozen=True, slots=True)
class CompiledRule:
    index: int
    rule: Rule
    still: Function  # what the clock cannot change in `when`
    moving: Function | None  # what it can
    changes: tuple[Function, ...]
    anchor: Function
    stages: tuple[_Stage, ...]
    cap: Function | None
    unless: tuple[CompiledClear, ...]
    clears: tuple[CompiledClear, ...]
    tests_when: Function | None
    clock: Clock


def _compile_rule(index: int, rule: Rule) -> CompiledRule:
    def f(node: Node) -> Function:
        return function(node, rule.zone)

    def changes(node: Node) -> tuple[Function, ...]:
        return tuple(f(n) for n in thresholds(node))

    still, moving = split(rule.when)
    return CompiledRule(
        index,
        rule,
        f(still),
        None if moving is None else f(moving),
        () if moving is None else changes(moving),
        f(rule.anchor),
        tuple(
            _Stage(
                f(s.since),
                None if s.until is None else f(s.until),
                s.outcome.state,
                s.outcome.popups,
                s.outcome.reminds,
                s.outcome.capped,
            )
            for s in rule.stages
        ),
        None if rule.cap is None else f(rule.cap),
        tuple(CompiledClear(u.on, f(u.when), changes(u.when)) for u in rule.unless),
        tuple(
            CompiledClear(
                c.on,
                f(c.when),
                changes(c.when),
                f(c.at),
                c.count,
                None if c.apart_on is None else f(c.apart_on),
                c.apart_seconds,
            )
            for c in rule.clears
        ),
        None if rule.tests_when is None else f(rule.tests_when),
        clock(rule.zone),
    )


@lru_cache(maxsize=32)
def compiled(policy: Policy) -> tuple[CompiledRule, ...]:
    return tuple(_compile_rule(i, r) for i, r in enumerate(policy.rules))


# -- one person -----------------------------------------------------------------------------------------------------

_NOBODY: Row = {}
_TIME = bound(Type.TIME)


def judge_one(policy: Policy | Timeline, facts: Facts, *, now: Moment) -> Verdict:
    """One person's verdict. `facts` are the person's rows by fact name (see evidence.facts); a missing column is null.

    Under a timeline the next switch of versions counts as a change that can come without new evidence.
    """
    force = policy.force(now) if isinstance(policy, Timeline) else policy
    holds, changes = _holds_of(force, facts, now=now)
    if isinstance(policy, Timeline):
        switch = policy.next_switch(now)
        if switch is not None:
            changes.append(switch)
    popups = reminds = 0
    for hold in holds:
        popups |= hold.popups
        reminds |= hold.reminds
    return Verdict(
        highest(hold.outcome for hold in holds),
        codes(force, popups),
        codes(force, reminds),
        tuple(holds),
        min(changes, default=None),
        force,
        now,
    )


def _holds_of(force: Policy, facts: Facts, *, now: Moment) -> tuple[list[Hold], list[Moment]]:
    """One person's active holds, and the moments at which the evidence that is there can change them."""
    people = facts.get("people")
    person = people[0] if people else _NOBODY
    holds: list[Hold] = []
    changes: list[Moment] = []
    for rule in compiled(force):
        rows = facts.get(rule.rule.on)
        if rows:
            for row in rows:
                _holds_of_row(rule, row, person, facts, now=now, holds=holds, changes=changes)
    return holds, changes


def highest(states: Iterator[State]) -> State:
    """The lattice: red, yellow, then unknown where there is no colour, popup, remind, green."""
    found = set(states)
    unknown = State.UNKNOWN in found
    found.discard(State.UNKNOWN)
    best = max(found, default=State.GREEN)
    return State.UNKNOWN if unknown and best < State.YELLOW else best


def codes(policy: Policy, mask: int) -> tuple[str, ...]:
    """The notice codes of a mask, in the policy's order."""
    return tuple(code for i, code in enumerate(policy.notices) if mask >> i & 1) if mask else ()


def _holds_of_row(
    c: CompiledRule, r: Row, p: Row, facts: Facts, *, now: Moment, holds: list[Hold], changes: list[Moment]
) -> None:
    """The active holds of one fact row under one rule, and the moments at which they can change. The numbers are
    those of docs/formats/policy.md, "Meaning"."""
    # 1 the anchor, and what the clock cannot change in the condition
    anchor = c.anchor(r, None, p, None, None, now)
    if anchor is None:
        return
    first, last = c.rule.anchors
    if (first is not None and anchor < first) or (last is not None and anchor >= last):
        return
    if c.still(r, None, p, anchor, None, now) is not True:
        return
    # 2 the stages and the cap
    since = c.stages[0].since(r, None, p, anchor, None, now)
    cap = None if c.cap is None else c.cap(r, None, p, anchor, since, now)
    cap_end = None if cap is None else cap + c.rule.remind_seconds
    spans: list[tuple[_Stage, Moment | None, Moment | None]] = []
    planned: Moment | None = None
    alive = False
    for stage in c.stages:
        start = since if not spans else stage.since(r, None, p, anchor, since, now)
        end = None if stage.until is None else stage.until(r, None, p, anchor, since, now)
        if not spans:
            planned = end
            if c.tests_when is not None and end is not None:
                end = _end_with_tests(c, end, anchor, facts.get("tests", ()), p)
        spans.append((stage, start, end))
        bound = end
        if stage.capped and cap_end is not None and (bound is None or cap_end < bound):
            bound = cap_end
        # 3 a row none of whose stages can be active now or later says nothing any more
        alive = alive or (start is not None and (bound is None or (start < bound and now < bound)))
    if not alive:
        return
    # 4 what the clock can change in the condition
    for change in c.changes:
        _later(change(r, None, p, anchor, None, now), now, changes)
    if c.moving is not None and c.moving(r, None, p, anchor, None, now) is not True:
        return
    # 5 the exemptions
    exempt = False
    for unless in c.unless:
        for o in facts.get(unless.on, ()):
            exempt = exempt or unless.when(r, o, p, anchor, since, now) is True
            for change in unless.changes:
                _later(change(r, o, p, anchor, since, now), now, changes)
    if exempt:
        return
    # 6 the clears
    cleared: Moment | None = None
    for clear in c.clears:
        at = cleared_at(clear, r, p, anchor, since, rows=facts.get(clear.on, ()), now=now, changes=changes)
        if at is not None and (cleared is None or at < cleared):
            cleared = at
    # 7 the stages that are active, and when that changes
    for i, (stage, start, end) in enumerate(spans):
        if start is None:
            continue
        bounds = [end, cleared, cap_end if stage.capped else None]
        over = min((b for b in bounds if b is not None), default=None)
        if over is not None and over <= start:
            continue
        _later(start, now, changes)
        _later(over, now, changes)
        if stage.capped and cap is not None and start < cap and (over is None or cap < over):
            _later(cap, now, changes)
        if start <= now and (over is None or now < over):
            capped = stage.capped and cap is not None and now >= cap
            ends = [b for b in (end, cleared, cap_end if capped else None) if b is not None]
            holds.append(
                Hold(
                    c.index,
                    c.rule.id,
                    i,
                    State.REMIND if capped else stage.state,
                    0 if capped else stage.popups,
                    c.rule.cap_reminds if capped else stage.reminds,
                    start,
                    min(ends, default=None),
                    cap,
                    capped,
                    c.rule.on,
                    anchor,
                    planned if i == 0 else end,
                    r,
                )
            )


def _later(at: Moment | None, now: Moment, changes: list[Moment]) -> None:
    if at is not None and at > now:
        changes.append(at)


def cleared_at(
    clear: CompiledClear,
    r: Row,
    p: Row,
    anchor: Moment,
    since: Moment | None,
    *,
    rows: Sequence[Row],
    now: Moment,
    changes: list[Moment],
) -> Moment | None:
    """The moment at which a clear ends the hold; None while its rows are not all there."""
    assert clear.at is not None
    best: Moment | None = None
    found: list[tuple[Moment, Moment]] = []  # (apart_on, at)
    for o in rows:
        for change in clear.changes:
            _later(change(r, o, p, anchor, since, now), now, changes)
        if clear.when(r, o, p, anchor, since, now) is not True:
            continue
        at = clear.at(r, o, p, anchor, since, now)
        if at is None:
            continue
        if clear.apart_on is None:
            best = at if best is None or at < best else best
            continue
        apart = clear.apart_on(r, o, p, anchor, since, now)
        if apart is not None:
            found.append((apart, at))
    for one, at in found:
        for other, later in found:
            if other - one >= clear.apart_seconds:
                both = max(at, later)
                best = both if best is None or both < best else best
    return best


def _end_with_tests(
    c: CompiledRule, end: Moment, anchor: Moment, rows: Sequence[Row], p: Row
) -> Moment | None:
    """The scheduled end, or when the last of its tests was reported; None while one is missing.

    Day k is covered by a sample of local day D0+k or the day after, or by one taken after the last scheduled day.
    """
    assert c.tests_when is not None
    origin, days = c.clock.day(anchor), c.rule.test_days
    done = []
    for o in rows:
        sampled, reported = whole(o.get("sampled_at"), _TIME), whole(o.get("reported_at"), _TIME)
        if (
            sampled is not None
            and reported is not None
            and c.tests_when(None, o, p, None, None, None) is True
        ):
            done.append((c.clock.day(sampled) - origin, reported))
    ends = [end]
    for k in days:
        covering = [reported for day, reported in done if k <= day <= k + 1 or day > days[-1]]
        if not covering:
            return None
        ends.append(min(covering))
    return max(ends)


# -- everybody ------------------------------------------------------------------------------------------------------

HOLDS = pa.schema(
    [
        pa.field("person", pa.uint32(), nullable=False),
        pa.field("rule", pa.uint16(), nullable=False),  # index in the rules of the policy judged by
        pa.field("stage", pa.uint8(), nullable=False),  # 0 is the main stage
        pa.field("outcome", pa.uint8(), nullable=False),  # State
        pa.field("popups", pa.uint32(), nullable=False),  # bit i = notice i of the policy
        pa.field("reminds", pa.uint32(), nullable=False),
        pa.field("since", pa.int64(), nullable=False),
        pa.field("until", pa.int64()),
        pa.field("cap", pa.int64()),
        pa.field("capped", pa.bool_(), nullable=False),
    ]
)
VERDICTS = pa.schema(
    [
        pa.field("person", pa.uint32(), nullable=False),
        pa.field("state", pa.uint8(), nullable=False),
        pa.field("popups", pa.uint32(), nullable=False),
        pa.field("reminds", pa.uint32(), nullable=False),
        pa.field("next_change_at", pa.int64()),
    ]
)


def judge_all(
    con: duckdb.DuckDBPyConnection, policy: Policy | Timeline, *, now: Moment, persons: str | None = None
) -> tuple[pa.Table, pa.Table]:
    """Everybody's (holds, verdicts), schemas HOLDS and VERDICTS, from the fact_* relations on `con`.

    `persons` names a relation with a column `person`: only those are judged. Holds are ordered by person, rule,
    stage, since; verdicts by person. Who is not listed is green with nothing to come but the timeline's next switch.
    Intermediate relations are temporary and gone on return; the facts are only read.
    """
    force = policy.force(now) if isinstance(policy, Timeline) else policy
    switch = policy.next_switch(now) if isinstance(policy, Timeline) else None
    made: list[str] = []

    def make(kind: str, name: object, sql: str) -> str:
        table = compile_sql.relation(kind, name)
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {sql}")
        made.append(table)
        return table

    def some(table: str) -> bool:
        return bool(con.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall())

    try:
        met = {
            fact
            for fact, on in compile_sql.standing(force.rules).items()
            if some(make("seen", fact, compile_sql.seen(fact, on, persons=persons)))
        }
        rules = {
            k: rule
            for k, rule in enumerate(force.rules)
            if rule.on in met and some(make("base", k, compile_sql.base(rule, now=now)))
        }
        if not rules:
            return HOLDS.empty_table(), VERDICTS.empty_table()
        for fact, wanted in compile_sql.needed(rules.values()).items():
            bases = [k for k, rule in rules.items() if fact in compile_sql.needed([rule])]
            make("near", fact, compile_sql.near(fact, wanted, bases))
        for k, rule in rules.items():
            make("judged", k, compile_sql.judged(rule, k, now=now))
        holds = make("holds", "all", compile_sql.holds(rules))
        verdicts = compile_sql.verdicts(rules, switch)
        order = "person, rule, stage, since, until, cap"
        return (
            con.sql(f"SELECT * FROM {holds} ORDER BY {order}").to_arrow_table().cast(HOLDS),
            con.sql(f"SELECT * FROM ({verdicts}) AS v ORDER BY person").to_arrow_table().cast(VERDICTS),
        )
    finally:
        for table in made:
            con.execute(f"DROP TABLE IF EXISTS {table}")

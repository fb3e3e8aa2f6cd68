"""Verdicts from evidence, by another way than the cycle's: tracing by its definition in SQL, judging person by person
in Python. Nothing that a cycle has found is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import duckdb
import pyarrow as pa

from kangma.codes.turns import ALIASES, OUT
from kangma.errors import Corrupt
from kangma.evidence.facts import FACTS
from kangma.evidence.views import City, documents, prepare
from kangma.intake.kinds import KINDS
from kangma.policy.document import Policy, Timeline
from kangma.policy.judge import HOLDS, judge_one
from kangma.store.engine import engine
from kangma.store.state import State
from kangma.terms import DAY, HOUR, Moment
from kangma.tracing.derive import EPISODE, ISOLATION_WAIT
from kangma.tracing.rule import CompanionRule
from kangma.tracing.sql import sql
from kangma.tracing.tables import COMPANIONS, EXPOSURES

#: Persons whose facts are in memory at once.
BATCH = 100_000
MEMORY = "6GB"


@dataclass(frozen=True)
class Derived:
    """What the evidence gives at one moment. `out`: OUT, `aliases`: ALIASES; the others are what a cycle keeps for the
    next one."""

    out: pa.Table
    aliases: pa.Table
    kept: dict[str, pa.Table]  # holds, windows, exposures, companions


def derive(state: State, times: Timeline, *, now: Moment) -> Derived:
    """Everything by the evidence of the state and the policy in force at `now`. Corrupt when it cannot be read."""
    try:
        return _derived(state, times, now)
    except (duckdb.Error, pa.ArrowException, ValueError, OSError) as problem:
        raise Corrupt("the evidence cannot be read") from problem


def _derived(state: State, times: Timeline, now: Moment) -> Derived:
    policy = times.in_force(now)
    with engine(state.path / "tmp", memory=MEMORY) as con:
        state.raw(con)
        documents(con, [kind for kind in KINDS if kind not in ("identities", "retractions")])
        traced = _trace(con, policy)
        prepare(con, city=City(name=policy.city, districts=policy.districts))
        for name in FACTS:
            con.execute(f"CREATE OR REPLACE TEMP TABLE audited_{name} AS FROM fact_{name} ORDER BY person")
        aliases = con.sql("SELECT person, canonical FROM canonical WHERE person <> canonical ORDER BY person")
        out, holds = _judged(con, times, now)
        return Derived(out, aliases.to_arrow_table().cast(ALIASES), traced | {"holds": holds})


def _trace(con: duckdb.DuckDBPyConnection, policy: Policy) -> dict[str, pa.Table]:
    """`windows`, `exposures` and `companions` on `con`, by the text of their definitions."""
    rule = policy.tracing
    near = rule.companion or CompanionRule()
    spans = {
        "look_back": rule.look_back_days * DAY,
        "episode": EPISODE,
        "isolation_wait": ISOLATION_WAIT,
    }
    opened = con.sql(sql("windows"), params=spans).to_arrow_table()
    con.register("windows", opened)
    con.execute("CREATE OR REPLACE TEMP VIEW visits AS FROM live_visits")
    places = con.sql(sql("places"), params={"metres": near.cell_metres}).to_arrow_table()
    con.register("places", places)
    exposed = con.sql(
        sql("exposures"),
        params={"min_overlap": rule.min_overlap_minutes * 60, "linger": rule.linger_minutes * 60},
    ).to_arrow_table()
    beside = COMPANIONS.empty_table()
    if rule.companion:
        beside = con.sql(
            sql("companions"),
            params={
                "min_shared": near.min_minutes * 60,
                "min_stay": near.min_hours * HOUR,
                "horizon": near.days * DAY,
                "either": near.either,
            },
        ).to_arrow_table()
    for name in ("windows", "places"):
        con.unregister(name)
    con.execute("DROP VIEW visits")
    con.register("exposures", exposed)
    con.register("companions", beside)
    return {"windows": opened, "exposures": exposed.cast(EXPOSURES), "companions": beside.cast(COMPANIONS)}


def _judged(con: duckdb.DuckDBPyConnection, times: Timeline, now: Moment) -> tuple[pa.Table, pa.Table]:
    """OUT and HOLDS"""
    force = times.force(now)
    bit = {code: 1 << i for i, code in enumerate(force.notices)}
    rows: dict[str, list[Any]] = {name: [] for name in OUT.names}
    holds: list[dict[str, Any]] = []
    for person, facts in _people(con):
        verdict = judge_one(times, facts, now=now)
        for hold in verdict.holds:
            told = {name: getattr(hold, name) for name in HOLDS.names if name not in ("person", "outcome")}
            holds.append(told | {"person": person, "outcome": int(hold.outcome)})
        found = {
            "person": person,
            "state": int(verdict.state),
            "popups": sum(bit[code] for code in verdict.popups),
            "reminds": sum(bit[code] for code in verdict.reminds),
            "next_change_at": verdict.next_change_at,
        }
        if found["state"] or found["popups"] or found["reminds"] or found["next_change_at"] is not None:
            for name, value in found.items():
                rows[name].append(value)
    return pa.Table.from_pydict(rows, schema=OUT), pa.Table.from_pylist(holds, schema=HOLDS)


def _people(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[int, dict[str, list[dict[str, Any]]]]]:
    """Everybody of whom a fact speaks, ascending, with the facts."""
    union = " UNION ".join(f"SELECT person FROM audited_{name}" for name in FACTS)
    edges = con.sql(
        f"SELECT min(person), max(person) FROM (SELECT person, (row_number() OVER (ORDER BY person) - 1) // {BATCH} "
        f"AS part FROM ({union})) GROUP BY part ORDER BY 1"
    ).fetchall()
    for low, high in edges:
        facts: dict[int, dict[str, list[dict[str, Any]]]] = {}
        for name in FACTS:
            table = con.sql(f"FROM audited_{name} WHERE person BETWEEN {low} AND {high} ORDER BY person")
            for person, mine in groupby(table.to_arrow_table().to_pylist(), itemgetter("person")):
                facts.setdefault(person, {})[name] = list(mine)
        yield from sorted(facts.items())

"""One turn of the wheel. Read this file and you have seen the platform:

documents that were accepted become evidence; evidence says who met a case; the policy in force makes verdicts of it;
verdicts that differ from what is out are turns; and turns are published as one release.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from kangma.codes.turns import Persons, by_state, digest, turn
from kangma.errors import Code, Refused, Where
from kangma.evidence.views import documents, prepare
from kangma.policy.document import Timeline
from kangma.policy.judge import HOLDS, VERDICTS, judge_all
from kangma.policy.rules import Policy
from kangma.publish import MEMORY
from kangma.publish.exposures import trace_city
from kangma.publish.policies import city_of, policies
from kangma.publish.release import commit, read_table, stage
from kangma.publish.touched import last_deletion, touched
from kangma.store.engine import engine
from kangma.store.forget import DAYS, Forgotten, forget
from kangma.store.releases import Lease, Release, acquire, last_release, release
from kangma.store.segments import Absorbed
from kangma.store.state import State
from kangma.terms import Moment, zone
from kangma.terms import State as Colour

STEPS = ("absorb", "trace", "judge", "turn", "publish")


@dataclass(frozen=True, slots=True)
class Cycled:
    """What one turn of the wheel did. `judged` None: everybody."""

    release: Release
    policy: Policy
    absorbed: Absorbed
    persons: int
    judged: int | None
    retraced: int
    exposures: int
    companions: int
    turns: pa.Table
    by_state: Mapping[Colour, int]
    by_rule: Mapping[str, int]
    forgotten: Forgotten


def cycle(
    state: State, *, now: Moment, everybody: bool = False, step: Callable[[str], None] = lambda _: None
) -> Cycled:
    """absorb → trace → judge → turn → publish → forget, as at `now`. `everybody` judges all, not only who is touched.

    Visits and stays are kept for the policy's `retention_days` (default 14) after the day they happened.

    Refused when `now` lies before the last release: nothing rolls back. Conflict when another cycle is at work.
    A crash at any point loses nothing; the next cycle comes to the same verdicts.
    """
    with state.lock.hold(wait=0), _lease(state, now) as lease:
        last = last_release(state.registry)
        if last is not None and now < last.now:
            raise Refused(
                Code.BAD_TIME, Where(column="--now"), "earlier than the last release; nothing rolls back"
            )
        times = policies(state)
        policy, force = times.in_force(now), times.force(now)

        step("absorb")
        absorbed = state.absorb()
        with engine(state.path / "tmp", memory=MEMORY) as con:
            generation = state.raw(con)
            documents(con)

            step("trace")
            traced = trace_city(con, state, policy, last)
            con.register("exposures", traced.exposures)
            con.register("companions", traced.companions)

            step("judge")
            whom = None
            if not everybody and last is not None and last.policy_digest == force.digest:
                whom = touched(con, state, last, traced.changed, now=now)
            holds, verdicts = _judged(con, times, whom, now=now)

        step("turn")
        turned = turn(read_table(state, last, "out"), verdicts, whom)
        if whom is not None:
            holds = _kept(read_table(state, last, "holds"), whom, holds)

        step("publish")
        states = by_state(turned.out, state.person_count())
        made = Release(
            1 if last is None else last.number + 1,
            now,
            generation,
            force.digest,
            {
                "persons": state.person_count(),
                "turns": turned.turns.num_rows,
                "by_state": {s.name.lower(): n for s, n in states.items()},
                "deletion_run": last_deletion(state),
                "tracing_key": traced.key,
            },
            digest(turned.out, state.person_keys(turned.out["person"])),
        )
        stage(
            state,
            made.number,
            {
                "out": turned.out,
                "holds": holds,
                "turns": turned.turns,
                "windows": traced.windows,
                "exposures": traced.exposures,
                "companions": traced.companions,
            },
        )
        commit(state, lease, made)

        # Last: what has come of age is marked, and what waited long enough is gone. The release stands already.
        kept_days = int(policy.parameters.get("retention_days", DAYS))
        forgotten = forget(state, now, zone=zone(policy.zone), days=kept_days)
    return Cycled(
        made,
        policy,
        absorbed,
        state.person_count(),
        None if whom is None else len(whom),
        traced.retraced,
        traced.exposures.num_rows,
        traced.companions.num_rows,
        turned.turns,
        states,
        _by_rule(holds, force),
        forgotten,
    )


def _judged(
    con: duckdb.DuckDBPyConnection, times: Timeline, whom: Persons | None, *, now: Moment
) -> tuple[pa.Table, pa.Table]:
    """Holds and verdicts of these persons, None everybody."""
    if whom is not None and not len(whom):
        return HOLDS.empty_table(), VERDICTS.empty_table()
    only = None
    if whom is not None:
        only = "persons_wanted"
        con.register(only, pa.table({"person": pa.array(whom, pa.uint32())}))
    prepare(con, city=city_of(times.in_force(now)), persons=only)
    return judge_all(con, times, now=now, persons=only)


@contextmanager
def _lease(state: State, now: Moment) -> Iterator[Lease]:
    """The right to turn the wheel. The holder is the machine: after a crash it takes up its own lease at once, and
    the lock of the state directory keeps two programs of one machine apart."""
    lease = acquire(state.registry, "cycle", platform.node() or "here", now=now)
    try:
        yield lease
    finally:
        release(state.registry, lease)


def _kept(before: pa.Table, judged: Persons, holds: pa.Table) -> pa.Table:
    """The holds of the release before, those of the judged replaced."""
    others = np.isin(before["person"].to_numpy(), judged, invert=True)
    return pa.concat_tables([before.filter(pa.array(others)), holds.cast(before.schema)]).combine_chunks()


def _by_rule(holds: pa.Table, policy: Policy) -> dict[str, int]:
    """Persons with an active hold, by rule id; rules that hold nobody are left out."""
    counted = holds.select(["rule", "person"]).group_by("rule").aggregate([("person", "count_distinct")])
    pairs = zip(counted["rule"].to_pylist(), counted["person_count_distinct"].to_pylist(), strict=True)
    return {policy.rules[rule].id: n for rule, n in sorted(pairs)}

"""One turn of the wheel. Read this file and you have seen the platform:

documents that were accepted become evidence; evidence says who met a case; the policy in force makes verdicts of it;
verdicts that differ from what is out are turns; turns go into the log, the log is signed, and status lists that say
what the log says are what the public sees.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from kangma.codes.turns import ALIASES, Persons, Turned, by_every_number, by_state, digest, nobody, turn
from kangma.errors import Code, Corrupt, Refused, Where
from kangma.evidence.views import documents, prepare
from kangma.policy.document import Timeline
from kangma.policy.judge import HOLDS, VERDICTS, judge_all
from kangma.policy.rules import Policy
from kangma.publish import MEMORY
from kangma.publish.commit import commit, recover
from kangma.publish.exposures import trace_city
from kangma.publish.policies import city_of, policies
from kangma.publish.release import read_table
from kangma.publish.signer import ReleaseSigner
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
    state: State,
    *,
    now: Moment,
    everybody: bool = False,
    signer: ReleaseSigner | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Cycled:
    """absorb → trace → judge → turn → publish → forget, as at `now`. `everybody` judges all, not only who is touched.

    `signer` makes the release public; without one it is recorded, and nobody outside sees it. Visits and stays are kept
    for the policy's `retention_days` (default 14) after the day they happened.

    Refused when `now` lies before the last release: nothing rolls back. Conflict when another cycle is at work.
    Unavailable when the signer is not there, or would have to sign more turns to yellow or red than its ceiling.
    Corrupt when what is out is not what was released: somebody wrote into it.
    A crash at any point loses nothing; the next cycle comes to the same verdicts.
    """
    with state.lock.hold(wait=0), _lease(state, now) as lease:
        last = last_release(state.registry)
        if last is not None and now < last.now:
            raise Refused(
                Code.BAD_TIME, Where(column="--now"), "earlier than the last release; nothing rolls back"
            )
        if signer is not None:
            recover(state, signer)
        before = _what_is_out(state, last)
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
            aliases = _aliases(con)

        step("turn")
        turned = turn(before, verdicts, whom)
        unheard = signer is not None and last is not None and last.head is None  # begins to publish only now
        turns = _turns(
            read_table(state, last, "aliases"), nobody() if unheard else before, before, turned, aliases
        )
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
                "turns": turns.num_rows,
                "by_state": {s.name.lower(): n for s, n in states.items()},
                "deletion_run": last_deletion(state),
                "tracing_key": traced.key,
                "evidence": state.manifest_digest(generation),
            },
            digest(turned.out, state.person_keys(turned.out["person"])),
        )
        made = commit(
            state,
            lease,
            signer,
            made,
            {
                "out": turned.out,
                "aliases": aliases,
                "holds": holds,
                "turns": turns,
                "windows": traced.windows,
                "exposures": traced.exposures,
                "companions": traced.companions,
            },
            zone=policy.zone,
            upon=None if last is None else last.head,
        )

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
        turns,
        states,
        _by_rule(holds, force),
        forgotten,
    )


def _what_is_out(state: State, last: Release | None) -> pa.Table:
    """What the last release left, held against the digest that the log has of it."""
    out = read_table(state, last, "out")
    if last is not None and digest(out, state.person_keys(out["person"])) != last.verdict_digest:
        raise Corrupt(f"what is out is not what release {last.number} published")
    return out


def _aliases(con: duckdb.DuckDBPyConnection) -> pa.Table:
    found = con.sql("SELECT person, canonical FROM canonical WHERE person <> canonical ORDER BY person")
    return found.to_arrow_table().cast(ALIASES).combine_chunks()


def _turns(
    known: pa.Table, public: pa.Table, before: pa.Table, turned: Turned, aliases: pa.Table
) -> pa.Table:
    """The turns to be published: against what is `public`, and for every number that a credential may be issued for."""
    if public is before and aliases.num_rows == known.num_rows == 0:
        return turned.turns
    return turn(by_every_number(public, known), by_every_number(turned.out, aliases), None).turns


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

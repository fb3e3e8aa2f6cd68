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

import numpy as np
import pyarrow as pa

from kangma.codes.turns import Digest, Persons, Turned, by_every_number, by_state, nobody, turn
from kangma.errors import Code, Corrupt, Refused, Where
from kangma.evidence.views import prepare
from kangma.policy.document import Timeline
from kangma.policy.judge import judge_all
from kangma.policy.rules import Policy
from kangma.publish import MEMORY, tables
from kangma.publish.commit import commit, recover
from kangma.publish.exposures import Traced, trace_city
from kangma.publish.parts import judged_in_parts
from kangma.publish.policies import city_of, policies
from kangma.publish.reach import reach_of
from kangma.publish.release import read_table, whole_table
from kangma.publish.signer import ReleaseSigner
from kangma.publish.tables import KEYS, Table
from kangma.publish.touched import last_deletion, touched
from kangma.store.engine import engine
from kangma.store.forget import DAYS, Forgotten, forget
from kangma.store.releases import Lease, Release, acquire, last_release, release
from kangma.store.scans import take_in
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
    holds: Table
    force: Policy
    forgotten: Forgotten

    @property
    def by_rule(self) -> dict[str, int]:
        """Persons with an active hold, by rule id; rules that hold nobody are left out. Counted when asked for."""
        return _by_rule(self.holds.rows, self.force)


def cycle(
    state: State,
    *,
    now: Moment,
    everybody: bool = False,
    signer: ReleaseSigner | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Cycled:
    """forget → absorb → trace → judge → turn → publish, as at `now`. `everybody` judges all, not only who is touched.

    `signer` makes the release public; without one it is recorded, and nobody outside sees it. Visits and stays are kept
    for the policy's `retention_days` (default 14) after the day they happened.

    Refused when `now` lies before the last release: nothing rolls back. Conflict when another cycle is at work.
    Unavailable when the signer is not there, or would have to sign more turns to yellow or red than its ceiling.
    Corrupt when what is out is not what was released: somebody wrote into it.
    A crash at any point loses nothing; the next cycle comes to the same verdicts.
    """
    done = _cycle(state, now=now, everybody=everybody, signer=signer, step=step, stands=0)
    assert done is not None  # a release that stands for no time is always followed
    return done


def cycle_if_due(state: State, *, now: Moment, signer: ReleaseSigner | None, stands: int) -> Cycled | None:
    """`cycle`, or None and nothing written while the last release is younger than `stands` seconds and says what a new
    one would: no document came or went, no credential did, the policy is the same, and nobody's moment has come."""
    return _cycle(state, now=now, everybody=False, signer=signer, step=lambda _: None, stands=stands)


def _cycle(
    state: State,
    *,
    now: Moment,
    everybody: bool,
    signer: ReleaseSigner | None,
    step: Callable[[str], None],
    stands: int,
) -> Cycled | None:
    with state.lock.hold(wait=0), _lease(state, now) as lease:
        last = last_release(state.registry)
        if last is not None and now < last.now:
            raise Refused(
                Code.BAD_TIME, Where(column="--now"), "earlier than the last release; nothing rolls back"
            )
        if signer is not None:
            recover(state, signer)
        times = policies(state)
        policy, force = times.in_force(now), times.force(now)

        step("absorb")
        # First: what waited long enough is gone, and what has come of age is marked. So the release is of the evidence
        # that is left, and whoever derives it again finds the same.
        kept_days = int(policy.parameters.get("retention_days", DAYS))
        forgotten = forget(state, now, zone=zone(policy.zone), days=kept_days)
        take_in(state, now=now)  # what phones scanned in at doors
        absorbed = state.absorb()
        with reach_of(state) as reach:
            held = reach.documents

            step("trace")
            traced = trace_city(reach, state, policy, last)

            step("judge")
            whom = None
            if not everybody and last is not None and last.policy_digest == force.digest:
                whom = touched(reach, state, last, traced, now=now)
            if last is not None and now < last.now + stands and _same(whom, held.generation, last, signer):
                return None
            if whom is not None:
                holds, verdicts = judged_in_parts(reach, times, traced, whom, now=now)
            aliases = reach.aliases()
        if whom is None:
            holds, verdicts = _everybody(state, times, traced, now=now)

        step("turn")
        before = {name: whole_table(state, last, name) for name in KEYS}
        out = before["out"].rows
        said = (tables.digest(state, last) if last else None) or Digest.of(out, held.key_bytes)
        if last is not None and said.hex() != last.verdict_digest:
            raise Corrupt(f"what is out is not what release {last.number} published")
        turned = turn(out, verdicts, whom)
        judged = None if whom is None else pa.array(whom, pa.uint32())
        held_now = before["holds"].then(holds, None) if judged is None else before["holds"].but(judged, holds)
        unheard = signer is not None and last is not None and last.head is None  # begins to publish only now
        known = read_table(state, last, "aliases")
        turns = _turns(known, nobody() if unheard else out, out, turned, aliases)
        digest = said.then(turned.out, held.key_bytes, whom)

        step("publish")
        states = by_state(turned.out, held.persons)
        made = Release(
            1 if last is None else last.number + 1,
            now,
            held.generation,
            force.digest,
            {
                "persons": held.persons,
                "turns": turns.num_rows,
                "by_state": {s.name.lower(): n for s, n in states.items()},
                "deletion_run": last_deletion(state),
                "tracing_key": traced.key,
                "evidence": state.manifest_digest(held.generation),
            },
            digest.hex(),
        )
        made_of = {"out": (turned.out, judged), **traced.tables}
        made, written = commit(
            state,
            lease,
            signer,
            made,
            {name: before[name].then(rows, of) for name, (rows, of) in made_of.items()}
            | {"holds": held_now, "aliases": Table("aliases", aliases), "turns": Table("turns", turns)},
            zone=policy.zone,
            upon=None if last is None else last.head,
        )
        tables.keep(state, made, written, digest)
    return Cycled(
        made,
        policy,
        absorbed,
        held.persons,
        None if whom is None else len(whom),
        traced.retraced,
        traced.exposures.num_rows,
        traced.companions.num_rows,
        turns,
        states,
        held_now,
        force,
        forgotten,
    )


def _same(whom: Persons | None, generation: int, last: Release, signer: ReleaseSigner | None) -> bool:
    """Whether a release by this evidence, with `whom` to judge, would say what the last one said, to the same public."""
    if whom is None or len(whom) or generation != last.generation:
        return False
    if signer is None:
        return True
    is_ = signer.describe()
    return last.head is not None and is_.journal == is_.sealed  # nothing was issued or withdrawn since


def _turns(
    known: pa.Table, public: pa.Table, before: pa.Table, turned: Turned, aliases: pa.Table
) -> pa.Table:
    """The turns to be published: against what is `public`, and for every number that a credential may be issued for."""
    if public is before and aliases.num_rows == known.num_rows == 0:
        return turned.turns
    return turn(by_every_number(public, known), by_every_number(turned.out, aliases), None).turns


def _everybody(state: State, times: Timeline, traced: Traced, *, now: Moment) -> tuple[pa.Table, pa.Table]:
    """Holds and verdicts of everybody, by all documents at once."""
    with engine(state.path / "tmp", memory=MEMORY) as con:
        state.raw(con)
        con.register("exposures", traced.exposures)
        con.register("companions", traced.companions)
        prepare(con, city=city_of(times.in_force(now)))
        return judge_all(con, times, now=now)


@contextmanager
def _lease(state: State, now: Moment) -> Iterator[Lease]:
    """The right to turn the wheel. The holder is the machine: after a crash it takes up its own lease at once, and
    the lock of the state directory keeps two programs of one machine apart."""
    lease = acquire(state.registry, "cycle", platform.node() or "here", now=now)
    try:
        yield lease
    finally:
        release(state.registry, lease)


def _by_rule(holds: pa.Table, policy: Policy) -> dict[str, int]:
    rules, persons = holds["rule"].to_numpy(), holds["person"].to_numpy()
    held = np.zeros(int(persons.max(initial=0)) + 1, bool)
    counts = {}
    for rule in np.flatnonzero(np.bincount(rules)).tolist():
        held[:] = False
        held[persons[rules == rule]] = True
        counts[policy.rules[rule].id] = int(np.count_nonzero(held))
    return counts

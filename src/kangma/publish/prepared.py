"""Answers made ahead: what each resident who is bound is shown, as bytes in the read model (`kangma.store.slots`).

An answer is made when the resident is bound, and again when a release changes it: a hold, the state that is out, or a
document that speaks of them. At midnight, and when the policy in force is another, everybody's is. In between an answer
stands, and the tail that all share says as at which release it does.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from kangma.credential.mask import Masks
from kangma.errors import Corrupt, Unavailable
from kangma.evidence.views import PERSONAL
from kangma.publish.answers import codes_of_persons
from kangma.publish.credentials import masks
from kangma.publish.own import guardians
from kangma.publish.policies import policies
from kangma.publish.release import read_table
from kangma.store import registry as r
from kangma.store.durable import WriterLock
from kangma.store.engine import engine, parquet
from kangma.store.front import FrontStore, NoResident, Resident
from kangma.store.releases import Release, last_release, releases
from kangma.store.slots import MOST, SlotWriter
from kangma.store.state import State
from kangma.terms import zone

#: Residents whose evidence is looked at together.
TOGETHER = 2_000
_COMPARED = ("out", "holds")


class Answers:
    """The one writer of the read model of a state directory."""

    def __init__(self, state: State, store: FrontStore) -> None:
        """Unavailable while another program prepares answers for this directory."""
        self._state, self._store = state, store
        self._lock = WriterLock(store.folder / "answers.lock").hold(wait=0)
        self._lock.__enter__()
        try:
            self._writer = SlotWriter(store.folder)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        self._bound: dict[int, int] = {}  # slot → person number
        self._change = 0
        self._last: Release | None = None
        self._tables: dict[str, pa.Table] = {}
        self._used: Masks | None = None

    def close(self) -> None:
        self._writer.close()
        self._lock.__exit__(None, None, None)

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def turn(self) -> int:
        """Whatever a new release or a new resident asks for is in the read model; how many answers were made.

        May be killed anywhere: the tail comes last, and the next turn begins from what the tail says.
        """
        release = last_release(self._state.registry)
        if release is None:
            return 0
        come = self._store.residents(after=self._change)
        if self._last is None:
            self._begin(release)
        whom = {x.slot for x in come if x.bound and self._stale(x)}
        self._bound |= {x.slot: x.person for x in come if x.bound}
        if self._last != release:
            whom |= self._changed(release)
        for gone in (x.slot for x in come if not x.bound):
            self._bound.pop(gone, None)
            if self._writer.release_of(gone) is not None:
                self._writer.put(gone, b"", release.number)
            whom.discard(gone)
        made = self._fill(whom, release)
        if self._last != release or self._writer.tail() is None:
            iso = zone(policies(self._state).in_force(release.now).zone).iso(release.now)
            self._writer.put_tail(f',"as_of":"{iso}","release":{release.number}}}'.encode(), release.number)
            self._last = release
        self._change = max((x.change for x in come), default=self._change)
        return made

    def _begin(self, release: Release) -> None:
        """What the read model of an earlier program is as at, if the tables of that release are still there."""
        tail = self._writer.tail()
        found = (
            []
            if tail is None
            else [x for x in releases(self._state.registry, since=tail[1]) if x.number == tail[1]]
        )
        if not found:
            return
        try:
            self._tables = {name: read_table(self._state, found[0], name) for name in _COMPARED}
        except Corrupt:
            return  # cleared since: everybody's answer is made again
        self._last, self._used = found[0], masks(self._state)

    def _stale(self, resident: Resident) -> bool:
        """Whether a slot lacks its answer. One that was filled before the program was started again has it; one that
        somebody left and came back to was emptied when they left, or is filled anew here."""
        return bool(self._change) or self._last is None or self._writer.release_of(resident.slot) is None

    def _changed(self, release: Release) -> set[int]:
        """The slots whose answers may be others than at the last release seen."""
        before, tables, used = self._last, self._tables, self._used
        self._tables = {name: read_table(self._state, release, name) for name in _COMPARED}
        self._used = masks(self._state)
        touched = None if before is None else self._documents_since(before.generation)
        self._end_care(touched, release)
        if before is None or used != self._used:
            return set(self._bound)
        here = zone(policies(self._state).in_force(release.now).zone)
        if here.day(before.now) != here.day(release.now) or before.policy_digest != release.policy_digest:
            return set(self._bound)
        if touched is None:
            return set(self._bound)
        for name in _COMPARED:
            touched |= _differ(self._state, tables[name], self._tables[name])
        canonical = self._canonical(release)
        touched |= {canonical[p] for p in touched if p in canonical}
        return {
            slot
            for slot, person in self._bound.items()
            if person in touched or canonical.get(person) in touched
        }

    def _end_care(self, touched: Collection[int] | None, release: Release) -> None:
        """A child whose registered guardian is somebody else now is in the former one's care no more. `touched`: of whom
        new documents speak, None when that may be anybody."""
        canonical = self._canonical(release)
        if touched is not None:
            same = {canonical.get(p, p) for p in touched}
            touched = {*touched, *same, *(p for p, one in canonical.items() if one in same)}
        held = self._store.guardianships(touched)
        if not held:
            return
        now_in = guardians(self._state, {canonical.get(x.child, x.child) for x in held})
        for x in held:
            if canonical.get(x.guardian, x.guardian) not in now_in.get(canonical.get(x.child, x.child), ()):
                with suppress(NoResident):  # the guardian was faster
                    self._store.drop_other(x.slot, x.other, now=release.now)

    def _canonical(self, release: Release) -> dict[int, int]:
        """Numbers that stand for another number's person, and for whose."""
        aliases = read_table(self._state, release, "aliases")
        return dict(zip(aliases["person"].to_pylist(), aliases["canonical"].to_pylist(), strict=True))

    def _documents_since(self, generation: int) -> set[int] | None:
        """Persons of whom documents speak that became visible since, or spoke in another version; None when that may be
        anybody."""
        c = r.segments.c
        kinds = (*PERSONAL, "retractions", "identities")
        query = sa.select(c.kind, c.file, c.newest).where(c.kind.in_(kinds), c.dropped.is_(None))
        live: dict[str, list[Path]] = {}
        fresh: dict[str, list[Path]] = {}
        with self._state.registry.read() as on:
            for row in on.execute(query).all():
                file = self._state.path / "segments" / row.file
                live.setdefault(row.kind, []).append(file)
                if row.newest > generation:
                    fresh.setdefault(row.kind, []).append(file)
        if not fresh.keys().isdisjoint(("retractions", "identities")):
            return None
        found: set[int] = set()
        if not fresh:  # the usual release: nothing came in
            return found
        with engine(self._state.path / "tmp") as con:
            for kind, files in fresh.items():
                new = parquet(files)
                persons = con.execute(
                    f"SELECT person FROM {new} UNION SELECT person FROM {parquet(live[kind])} WHERE "
                    f"(feed, document_id) IN (SELECT (feed, document_id) FROM {new} WHERE document_id IS NOT NULL)"
                ).fetchall()
                found.update(p for (p,) in persons)
        return found

    def _fill(self, slots: Collection[int], release: Release) -> int:
        made, canonical = 0, self._canonical(release) if slots else {}
        for some in _chunks(sorted(slots), TOGETHER):
            persons = {slot: self._bound[slot] for slot in some}
            stands = {person: canonical.get(person, person) for person in persons.values()}
            shown = self._shown_names(sorted(set(stands.values())))
            answers = dict(codes_of_persons(self._state, list(persons.values()), now=release.now))
            for slot, person in persons.items():
                self._writer.put(slot, body(answers[person], shown[stands[person]]), release.number)
                made += 1
        return made

    def _shown_names(self, persons: list[int]) -> dict[int, str]:
        used = masks(self._state)
        keys = self._state.person_keys(pa.array(persons, pa.uint32()))
        known = [self._state.vault.open(key) for key in keys]
        return {p: used.of((x.name if x else None) or "") for p, x in zip(persons, known, strict=True)}


def body(answer: dict[str, Any], mask: str) -> bytes:
    """The answer as bytes, without the closing brace: the tail follows. Holds that do not fit are left out, the lightest
    first, and `more_holds` says how many."""
    said = {k: v for k, v in answer.items() if k != "as_of"} | {"name_mask": mask}
    holds = said["holds"]
    for kept in range(len(holds), -1, -1):
        more = {"more_holds": len(holds) - kept} if kept < len(holds) else {}
        made = json.dumps(
            said | {"holds": holds[:kept]} | more, ensure_ascii=False, separators=(",", ":")
        ).encode()
        if len(made) <= MOST:
            return made[:-1]
    raise Unavailable("an answer without holds that does not fit its slot")


def _differ(state: State, one: pa.Table, other: pa.Table) -> set[int]:
    """Persons whose rows are not the same in both."""
    if one.equals(other):
        return set()
    with engine(state.path / "tmp") as con:
        con.register("one", one)
        con.register("other", other)
        found = con.sql(
            "SELECT DISTINCT person FROM ((FROM one EXCEPT ALL FROM other) UNION ALL (FROM other EXCEPT ALL FROM one))"
        ).to_arrow_table()
    return set(pc.unique(found["person"]).to_pylist())


def _chunks(all_: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(all_), size):
        yield all_[start : start + size]

"""What is judged in parts is what is judged whole, whatever documents come: corrections that move a document from one
person, day or tube to another, retractions, tubes, contacts of contacts, and papers that turn out to be one person's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from mixed import PERSONS, Written, document, gather, mixed
from mixed import city as city_of_worlds

from kangma.evidence.facts import FACTS
from kangma.evidence.views import prepare
from kangma.intake.kinds import KINDS
from kangma.policy.published import read
from kangma.publish import tables
from kangma.publish.cycle import cycle
from kangma.publish.reach import reach_of
from kangma.publish.release import read_table
from kangma.publish.touched import EVERYBODY
from kangma.store.engine import engine
from kangma.store.releases import last_release
from kangma.store.state import State, create, open_state
from kangma.terms import HOUR, moment
from kangma.tracing.tables import COMPANIONS, EXPOSURES

POLICY = [t.encode() for t in read("beijing-2022-04-22@2022-04-22")]
NOW = moment("2022-04-28T12:00:00+08:00")
Facts = dict[int, Counter[tuple[object, ...]]]


def accept(state: State, batches: Iterable[tuple[str, str, pa.Table]]) -> None:
    for feed, kind, table in batches:
        state.inbox.accept(feed, kind, table.to_batches())


def facts(con: duckdb.DuckDBPyConnection) -> Facts:
    found: Facts = {}
    for name, fact in FACTS.items():
        columns = ", ".join(f'"{c}"' for c in fact.columns)
        for person, *row in con.execute(f"SELECT person, {columns} FROM fact_{name}").fetchall():
            found.setdefault(person, Counter())[(name, *row)] += 1
    return found


def rows_of(tables: dict[str, pa.Table]) -> Facts:
    assert set(tables) == set(FACTS)
    found: Facts = {}
    for name, table in tables.items():
        assert table.schema == FACTS[name].schema
        for row in table.to_pylist():
            found.setdefault(row.pop("person"), Counter())[(name, *row.values())] += 1
    return found


def nothing_traced() -> dict[str, pa.Table]:
    return {
        name: schema.empty_table() for name, schema in (("exposures", EXPOSURES), ("companions", COMPANIONS))
    }


def few_are_as_everybody(path: Path, seed: int, *, worlds: int, choices: int) -> int:
    """How many facts were compared."""
    chance, compared = Random(seed), 0
    city = city_of_worlds(range(worlds))
    with create(path, policy=POLICY) as state:
        # In two halves, so that documents and their corrections lie in different segments.
        lots = list(gather({w: mixed(Random(seed * 100 + w)) for w in range(worlds)}, chance))
        for half in (lots[::2], lots[1::2]):
            accept(state, half)
            state.absorb()
        with engine(path / "tmp") as con:
            state.raw(con)
            prepare(con, city=city)
            whole = facts(con)
        for _ in range(choices):
            some = chance.sample(range(state.person_count()), chance.choice((1, 1, 2, 5)))
            with reach_of(state) as reach:
                reach.of_persons(np.array(sorted(some), np.uint32))
                wanted = reach.canonical(np.array(some, np.uint32))
                few = reach.few.facts(wanted, city, nothing_traced(), city_wide=reach.city_wide())
                found = rows_of(few)
            assert found == {p: whole[p] for p in wanted.tolist() if p in whole}
            compared += sum(rows.total() for rows in found.values())
    return compared


def test_the_facts_of_a_few_out_of_memory_are_their_facts_out_of_everything(tmp_path: Path) -> None:
    assert few_are_as_everybody(tmp_path / "state", 1, worlds=6, choices=12)


@pytest.mark.prove
def test_the_facts_of_a_few_are_the_same_in_many_cities(tmp_path: Path) -> None:
    found = [few_are_as_everybody(tmp_path / str(n), n, worlds=10, choices=60) for n in range(2, 42)]
    assert sum(found) > 100_000


def lived(path: Path, seed: int, *, late: int) -> list[int | None]:
    """A city to which documents come one by one, judged in parts; beside it one judged whole. How many were judged."""
    chance = Random(seed)
    early = [d for d in mixed(chance) if d.kind != "retractions"]
    later: list[Written] = [
        document(chance, chance.choice([k for k in KINDS if k not in EVERYBODY])) for _ in range(late)
    ]
    later[late // 2 : late // 2] = [d for d in mixed(chance) if d.kind in ("identities", "retractions")][:4]
    judged = []
    with create(path / "whole", policy=POLICY) as whole:
        create(path / "parts", policy=POLICY).close()
        parts = open_state(path / "parts")
        for state in (parts, whole):
            accept(state, gather({0: early}, Random(seed)))
        now = NOW
        for n, written in enumerate([None, *later]):
            if written is not None:
                table = pa.Table.from_pylist([written.of(0)], schema=KINDS[written.kind].schema)
                for state in (parts, whole):
                    accept(state, [(written.feed, written.kind, table)])
            if n == 2 * late // 3:  # another program goes on: nothing is in memory
                parts.close()
                parts = open_state(path / "parts")
            now += chance.choice((0, 1, 7 * HOUR))
            done, beside = cycle(parts, now=now), cycle(whole, now=now, everybody=True)
            assert done.release.verdict_digest == beside.release.verdict_digest, (n, written)
            assert (done.by_rule, done.by_state) == (beside.by_rule, beside.by_state), (n, written)
            for name in ("windows", "exposures", "companions"):
                ours, theirs = (read_table(s, last_release(s.registry), name) for s in (parts, whole))
                assert Counter(map(str, ours.to_pylist())) == Counter(map(str, theirs.to_pylist())), (n, name)
            judged.append(done.judged)
        parts.close()
    return judged


@pytest.mark.parametrize(("seed", "by_change"), [(3, True), (4, False)])
def test_a_city_told_document_by_document_is_the_city_judged_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, by_change: bool
) -> None:
    if by_change:
        monkeypatch.setattr(tables, "WHOLE", 0)
        monkeypatch.setattr(tables, "PART", 100)
    judged = lived(tmp_path, seed, late=12)
    assert sum(n is not None and 0 < n < len(PERSONS) for n in judged) > 3, judged


@pytest.mark.prove
def test_many_cities_told_document_by_document_are_judged_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(10, 50):
        monkeypatch.setattr(tables, "WHOLE", 20_000 * (seed % 3 == 0))
        monkeypatch.setattr(tables, "PART", 100)
        lived(tmp_path / str(seed), seed, late=40)

"""Evidence is a set: order, cuts and repetition change nothing, and what is taken back was never there."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import duckdb
import pytest
from mixed import PERSONS, Written, city, connect, derive, document, key, mixed, read

from kangma.evidence.facts import FACTS
from kangma.evidence.views import prepare
from kangma.intake.kinds import KINDS

Change = Callable[[list[Written], Random], tuple[list[Written], list[Written]]]
WORLDS = 100  # that lie side by side in one evidence


def same_in_every_world(seed: int, *, worlds: int, rounds: int) -> None:
    documents = mixed(Random(seed))
    first = None
    for n in range(rounds):
        found = derive(dict.fromkeys(range(worlds), documents), Random(f"{seed} {n}"))
        first = first or found[0]
        for world, facts in found.items():
            assert facts == first, (seed, n, world, differences(facts, first))


def differences(one: dict, other: dict) -> dict:
    return {
        name: (one[name] - other[name], other[name] - one[name]) for name in one if one[name] != other[name]
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_orders_of_the_same_documents_give_one_set_of_facts(seed: int):
    same_in_every_world(seed, worlds=WORLDS, rounds=1)


@pytest.mark.parametrize("seed", range(3, 6))
def test_one_city_fed_in_another_order_has_the_same_facts(seed: int):
    same_in_every_world(seed, worlds=1, rounds=3)


@pytest.mark.prove
def test_a_hundred_thousand_orders_of_mixed_documents_give_one_set_of_facts():
    for seed in range(50):
        same_in_every_world(seed, worlds=1000, rounds=2)


def test_the_random_documents_reach_every_fact_but_those_of_tracing():
    """Else the promises above would be kept by saying nothing."""
    # Without retractions: a span taken back in one of these worlds would be taken back in all.
    worlds = {seed: [d for d in mixed(Random(seed)) if d.kind != "retractions"] for seed in range(30)}
    reached = {name for facts in derive(worlds, Random(0)).values() for name, rows in facts.items() if rows}
    assert reached == FACTS.keys() - {"exposures", "companions"}


def pairs(number: int, change: Change) -> dict[int, list[Written]]:
    """Worlds 2n and 2n+1: random documents, and the same after `change(documents, random)`. The official lists are those
    of the first world in all of them, because their moments are one sequence."""
    out: dict[int, list[Written]] = {}
    lists = [d for d in mixed(Random("lists")) if d.kind == "area_lists"]
    for n in range(number):
        random = Random(f"pair {n}")
        documents = [d for d in mixed(random) if d.kind not in ("area_lists", "retractions")]
        out[2 * n], out[2 * n + 1] = ([*lists, *side] for side in change(documents, random))
    return out


def compare(worlds: dict[int, list[Written]]) -> None:
    found = derive(worlds, Random(1))
    for n in range(0, len(worlds), 2):
        assert found[n] == found[n + 1], (n, differences(found[n], found[n + 1]))


BLANK = dict.fromkeys((c.name for c in KINDS["retractions"].stored), None) | {"reason": "x", "by": "y"}


def taken_back(documents: list[Written], random: Random) -> tuple[list[Written], list[Written]]:
    """A document with all its versions beside its retraction, against neither."""
    kind = random.choice([k for k in KINDS if k not in ("area_lists", "retractions")])
    again = [d for d in documents if d.id is None or d.kind != kind]
    extra = [Written("lab", kind, f"{kind} D9", version, document(random, kind).row) for version in (0, 1, 1)]
    retraction = Written("lab", "retractions", None, 0, {**BLANK, "retracts": f"{kind} D9"})
    return [*again, *extra, retraction], again


def taken_back_by_row(documents: list[Written], random: Random) -> tuple[list[Written], list[Written]]:
    kind = random.choice([k for k in KINDS if k not in ("area_lists", "retractions")])
    extra = Written("other", kind, None, 0, document(random, kind).row)
    retraction = Written("other", "retractions", None, 0, {**BLANK, "retracts": "row"}, takes=extra)
    return [*documents, extra, retraction], documents


def joined_and_split(documents: list[Written], random: Random) -> tuple[list[Written], list[Written]]:
    """Two persons joined and split again, against never joined; neither is joined to anybody by another document."""
    one, other = random.sample(PERSONS, 2)
    rest = [
        d for d in documents if d.kind != "identities" or {d.row["person"], d.row["same_as"]} != {one, other}
    ]
    join = {"person": one, "same_as": other, "decided_by": "x", "undo": False}
    split = {"person": other, "same_as": one, "decided_by": "y", "undo": True}
    return [*rest, *(Written("city", "identities", None, 0, row) for row in (join, split))], rest


@pytest.mark.parametrize("change", [taken_back, taken_back_by_row, joined_and_split])
def test_what_is_taken_back_leaves_exactly_what_would_be_without_it(change: Change):
    compare(pairs(60, change))


def test_a_retraction_taken_for_another_leaves_a_difference():
    """The comparison above can fail."""

    def botched(documents: list[Written], random: Random) -> tuple[list[Written], list[Written]]:
        extra = Written("lab", "tests", "tests D9", 0, document(random, "tests").row)
        return [
            *documents,
            extra,
            Written("lab", "retractions", None, 0, {**BLANK, "retracts": "tests D8"}),
        ], documents

    with pytest.raises(AssertionError):
        compare(pairs(5, botched))


@pytest.mark.parametrize("seed", range(2))
def test_the_facts_of_some_persons_are_those_of_everybody_cut_down_to_them(seed: int):
    worlds = {w: mixed(Random(f"some {seed} {w}")) for w in range(30)}
    con = connect(worlds, Random(seed))
    traced(con)
    prepare(con, city=city(worlds))
    everybody = read(con, worlds)
    con.execute("create table asked as select coalesce(c.canonical, k.person) as person from person_keys as k "
                "left join canonical as c on c.person = k.person where hash(k.key) % 3 = 0")  # fmt: skip
    asked = {
        (k[12:], k[:12])
        for (k,) in con.execute("select key from asked join person_keys using (person)").fetchall()
    }
    assert 0 < len(asked) < 30 * len(PERSONS)
    prepare(con, city=city(worlds), persons="asked")
    some = read(con, worlds)
    for world, facts in everybody.items():
        wanted = {p for p in PERSONS if (key(p, world)[12:], key(p, world)[:12]) in asked}
        for name, rows in facts.items():
            expected = {row: n for row, n in rows.items() if row[0] in wanted}
            assert dict(some[world][name]) == expected, (world, name)


def traced(con: duckdb.DuckDBPyConnection) -> None:
    """Something that tracing may have found."""
    con.execute("""
        create table exposures as
        select distinct
            c.case_id, k.person, 20.0::double as minutes, 1::bigint as meetings, 0::bigint as first_at,
            9::bigint as last_at
        from raw_cases as c, person_keys as k
        where hash(c.case_id, k.key) % 7 = 0
    """)

"""Whatever the order, the cuts and the repetitions in which documents come in, everybody gets the same verdict.

A hundred thousand orders: worlds under names of their own lie side by side in one evidence, each in its own order.
"""

from __future__ import annotations

from random import Random

import duckdb
import pytest
from mixed import PERSONS, city, connect, key, mixed

from kangma.evidence.views import prepare
from kangma.policy.document import load
from kangma.policy.judge import judge_all
from kangma.policy.published import read
from kangma.terms import DAY, moment
from kangma.tracing.columns import Columns
from kangma.tracing.derive import windows
from kangma.tracing.kernel import trace

POLICY = load(read("beijing-2022-04-22@2022-04-22")[0])
NOW = moment("2022-04-28T12:00:00+08:00")
Verdicts = dict[str, tuple[int, int, int, int | None]]


def verdicts(seed: int, worlds: int, order: str) -> list[Verdicts]:
    """Person → verdict in each world of the documents of `seed`, fed in the given random order."""
    documents = mixed(Random(seed))
    con = connect(dict.fromkeys(range(worlds), documents), Random(order))
    prepare(con, city=city(range(worlds)))
    con.register("exposures", trace(columns(con), windows(con, look_back_days=2), min_overlap=600).arrow())
    prepare(con, city=city(range(worlds)))
    _, found = judge_all(con, POLICY, now=NOW)
    con.register("found", found)
    names = {key(p, 0)[:12]: p for p in PERSONS}
    out: list[Verdicts] = [{} for _ in range(worlds)]
    rows = con.sql(
        "SELECT k.key, f.state, f.popups, f.reminds, f.next_change_at FROM found f JOIN person_keys k USING (person)"
    ).fetchall()
    for person, *verdict in rows:
        out[int.from_bytes(person[12:], "big")][names[person[:12]]] = tuple(verdict)
    return out


def columns(con: duckdb.DuckDBPyConnection) -> Columns:
    visits = con.sql("SELECT * FROM live_visits WHERE source <> 'scan_static'").to_arrow_table().to_pydict()
    days: dict[int, dict[str, list[int]]] = {}
    for person, place, entered, left in zip(
        *(visits[n] for n in ("person", "place", "entered_at", "left_at")), strict=True
    ):
        day = days.setdefault(entered // DAY, {"person": [], "place": [], "entered_at": [], "left_at": []})
        for name, value in zip(day, (person, place, entered, left), strict=True):
            day[name].append(value)
    return Columns.build(days)


def one_table(seed: int, *, worlds: int, rounds: int) -> Verdicts:
    found = [world for n in range(rounds) for world in verdicts(seed, worlds, f"{seed} {n}")]
    assert len(found) == worlds * rounds
    for world in found:
        assert world == found[0]
    return found[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_sixty_orders_of_mixed_documents_give_one_verdict_table(seed: int) -> None:
    assert one_table(seed, worlds=30, rounds=2), "these documents colour nobody: the promise would be empty"


@pytest.mark.prove
def test_a_hundred_thousand_orders_of_mixed_documents_give_one_verdict_table() -> None:
    coloured = [one_table(seed, worlds=1000, rounds=2) for seed in range(50)]
    assert len({str(sorted(table.items())) for table in coloured}) > 40

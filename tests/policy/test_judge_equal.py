"""The judge of one person and the judge of the whole city are one judge."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import duckdb
import pytest
from anyone import anyone
from anything import ORIGINS, PERSONS, any_facts, any_moment, any_policy, facts_on, of_person
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from resident import BEIJING, PROTOCOL_9, at, published
from small_policy import CONTACT_AND_AFTER, policy_text

from kangma.evidence.facts import FACTS
from kangma.policy.document import Policy, Timeline, load
from kangma.policy.judge import Verdict, judge_all, judge_one
from kangma.policy.judge_columns import judge_columns
from kangma.terms import State

SEEDS = st.integers(0, 2**40)
BIG = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def con() -> Any:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def hold_rows(verdict: Verdict, person: int) -> list[tuple[Any, ...]]:
    return [
        (person, h.rule, h.stage, int(h.outcome), h.popups, h.reminds, h.since, h.until, h.cap, h.capped)
        for h in verdict.holds
    ]


def both_agree(con: Any, policy: Policy | Timeline, rows: dict[str, Any], now: int, persons: int) -> None:
    facts_on(con, rows)
    holds, verdicts = judge_all(con, policy, now=now)
    facts = {name: con.sql(f"FROM fact_{name}").to_arrow_table() for name in FACTS}
    assert judge_columns(policy, facts, now=now) == (holds, verdicts)
    seen = {v["person"]: v for v in verdicts.to_pylist()}
    expected: Counter[tuple[Any, ...]] = Counter()
    for person in range(persons):
        one = judge_one(policy, of_person(rows, person), now=now)
        expected.update(hold_rows(one, person))
        row = seen.pop(person, None)
        if row is None:
            assert (one.state, one.popups, one.reminds, one.holds) == (State.GREEN, (), (), ())
            switch = policy.next_switch(now) if isinstance(policy, Timeline) else None
            assert one.next_change_at == switch
            continue
        codes = list(one.policy.notices)
        assert State(row["state"]) is one.state
        assert tuple(c for i, c in enumerate(codes) if row["popups"] >> i & 1) == one.popups
        assert tuple(c for i, c in enumerate(codes) if row["reminds"] >> i & 1) == one.reminds
        assert row["next_change_at"] == one.next_change_at
        assert one.holds or one.next_change_at is not None
    assert not seen
    assert Counter(tuple(h.values()) for h in holds.to_pylist()) == expected


def run_equal(con: Any, seed: int) -> None:
    chance = Random(seed)
    origin = chance.choice(ORIGINS)
    policy = load(any_policy(chance))
    both_agree(con, policy, any_facts(chance, origin), any_moment(chance, origin), PERSONS)


@settings(max_examples=25, **BIG)
@given(seed=SEEDS)
def test_any_policy_on_any_facts_gives_one_answer_in_python_and_in_sql(con, seed):
    run_equal(con, seed)


@pytest.mark.prove
@settings(max_examples=5_000, **BIG)
@given(seed=SEEDS)
def test_any_policy_on_any_facts_gives_one_answer_in_python_and_in_sql_long(con, seed):
    run_equal(con, seed)


@pytest.mark.parametrize(
    ("series", "now"), [(BEIJING, at("2022-05-03 12:00")), (PROTOCOL_9, at("2022-07-10 10:00"))]
)
def test_the_published_policies_give_one_answer_in_python_and_in_sql(con, series, now):
    persons = 150
    rows: dict[str, list[dict[str, Any]]] = {}
    for person in range(persons):
        for fact, listed in anyone(Random(person), now).items():
            rows.setdefault(fact, []).extend({**r, "person": person} for r in listed)
    for moment in (now, now + 12 * 3_600, now + 3 * 86_400):  # 4 May 00:00 is a switch
        both_agree(con, published(series), rows, moment, persons)


def what_is_shown(verdict: Verdict) -> tuple[Any, ...]:
    return (verdict.state, verdict.popups, verdict.reminds, sorted(r[:6] for r in hold_rows(verdict, 0)))


def run_steady(seed: int) -> None:
    chance = Random(seed)
    origin = chance.choice(ORIGINS)
    policy = load(any_policy(chance, 2))
    facts = any_facts(chance, origin, 1)
    now = any_moment(chance, origin)
    first = judge_one(policy, facts, now=now)
    last = (first.next_change_at or now + 400 * 86_400) - 1
    assert last >= now
    for later in {now, last, *(chance.randint(now, last) for _ in range(4))}:
        assert what_is_shown(judge_one(policy, facts, now=later)) == what_is_shown(first)


@settings(max_examples=100, **BIG)
@given(seed=SEEDS)
def test_nothing_changes_before_next_change_at_without_new_evidence(seed):
    run_steady(seed)


@pytest.mark.prove
@settings(max_examples=10_000, **BIG)
@given(seed=SEEDS)
def test_nothing_changes_before_next_change_at_without_new_evidence_long(seed):
    run_steady(seed)


def test_a_row_that_no_hour_can_make_true_schedules_nothing(con):
    """What the clock cannot change in a condition is asked first: a second contact never wakes anybody up."""
    rule = CONTACT_AND_AFTER.split("[[rule]]")[1].replace(
        "degree = 1", "degree = 1 and now >= index_positive_at"
    )
    policy = load(policy_text("[[rule]]" + rule.replace('then = "A-Y4"\n', "")))
    later = ORIGINS[0] + 5 * 86_400
    rows = [
        {"person": person, "degree": degree, "last_exposure_at": ORIGINS[0], "index_positive_at": later}
        for person, degree in ((0, 1), (1, 2))
    ]
    both_agree(con, policy, {"contacts": rows}, ORIGINS[0] + 3_600, 2)
    first, second = (judge_one(policy, {"contacts": [r]}, now=ORIGINS[0] + 3_600) for r in rows)
    assert (first.next_change_at, second.next_change_at) == (later, None)

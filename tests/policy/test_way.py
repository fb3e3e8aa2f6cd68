"""The way back to green that a person is told leads there."""

from __future__ import annotations

from random import Random
from typing import Any

import duckdb
import pytest
from anyone import anyone
from anything import facts_on
from resident import BEIJING, PROTOCOL_9, at, published
from small_policy import CONTACT_AND_AFTER, SMALL, TEXTS, policy_text

from kangma.policy.document import load
from kangma.policy.judge import judge_all, judge_one
from kangma.policy.way import Way, blocks, way_to_green
from kangma.terms import HOUR, State

ENTERED = {"city_entries": [{"at": at("2022-04-20 10:00")}]}


def words(policy: Any, facts: dict[str, Any], now: str) -> str:
    return way_to_green(policy, facts, now=at(now)).words.en


def test_a_missing_test_or_waiting_for_the_cap_and_the_earliest_sample_that_counts():
    policy = load(SMALL)
    way = way_to_green(policy, ENTERED, now=at("2022-04-23 11:00"))
    assert (
        way.words.en
        == "A negative test sampled after Sat 23 Apr 11:00, or 5 more days (until Thu 28 Apr 00:00)."
    )
    assert way.words.zh == "4月23日（周六）11:00之后采样的检测结果为阴性，或再等5天，至4月28日（周四）00:00。"
    assert way.earliest == at("2022-04-23 11:00")


def test_a_sample_counts_only_after_the_moment_that_the_way_names():
    rule = f"""
[[rule]]
id = "E"
on = "city_entries"
anchor = "at"
outcome = "popup:4"
cap_days = 9
{TEXTS}
[[rule.clear]]
on = "tests"
when = "method = 'nat' and result = 'negative' and sampled_at > anchor + hours(24)"
action = "test"
text = {{ zh = "检测", en = "a test" }}
"""
    policy = load(policy_text(rule))
    way = way_to_green(policy, ENTERED, now=at("2022-04-20 12:00"))
    assert (
        way.words.en
        == "A negative test sampled after Thu 21 Apr 10:00, or 10 more days (until Sat 30 Apr 00:00)."
    )
    assert way.earliest == at("2022-04-21 10:00") + 1
    asked = dict(way.rounds[0][0].rows[0][1])
    for sampled, state in ((at("2022-04-21 10:00"), State.POPUP), (at("2022-04-21 10:00") + 1, State.GREEN)):
        tests = [{**asked, "sampled_at": sampled, "reported_at": sampled}]
        assert judge_one(policy, {**ENTERED, "tests": tests}, now=at("2022-04-22")).state is state


def test_what_follows_a_hold_is_part_of_the_way():
    facts = {"contacts": [{"degree": 1, "last_exposure_at": at("2022-05-01 10:00")}]}
    assert words(load(SMALL), facts, "2022-05-02 09:00") == "21 more days (until Mon 23 May 00:00)."


def test_nobody_is_asked_for_a_test_that_waiting_makes_needless():
    facts = {
        "contacts": [{"degree": 1, "last_exposure_at": at("2022-04-20 10:00")}],
        "city_entries": [{"at": at("2022-04-20 10:00")}],
    }
    assert words(load(SMALL), facts, "2022-04-24") == "18 more days (until Thu 12 May 00:00)."


def test_two_tests_a_day_apart_are_asked_for_where_two_are_needed():
    rule = f"""
[[rule]]
id = "T"
on = "exposures"
anchor = "last_at"
outcome = "popup:3"
cap_days = 14
{TEXTS}
[[rule.clear]]
on = "tests"
when = "method = 'nat' and result = 'negative' and sampled_at > anchor"
count = 2
apart_hours = 24
action = "test"
text = {{ zh = "两次检测", en = "two tests" }}
"""
    policy = load(policy_text(rule))
    facts: dict[str, Any] = {"exposures": [{"last_at": at("2022-04-20 10:00")}]}
    way = way_to_green(policy, facts, now=at("2022-04-21 10:00"))
    assert way.earliest == at("2022-04-22 10:00")
    assert "two negative tests sampled after" in way.words.en.lower()
    # One is there already: one more, a day later, is enough.
    facts["tests"] = [
        {
            "method": "nat",
            "result": "negative",
            "sampled_at": at("2022-04-20 20:00"),
            "reported_at": at("2022-04-21 02:00"),
        }
    ]
    way = way_to_green(policy, facts, now=at("2022-04-21 21:00"))
    assert (way.earliest, len(way.rounds[0][0].rows)) == (at("2022-04-21 21:00"), 1)


def test_a_hold_that_ends_with_its_tests_asks_for_the_days_that_are_missing():
    alone = CONTACT_AND_AFTER.split("[[rule]]")[1].replace('then = "A-Y4"', "end_needs_tests = true")
    policy = load(policy_text("[[rule]]" + alone))
    facts: dict[str, Any] = {"contacts": [{"degree": 1, "last_exposure_at": at("2022-05-01 10:00")}]}
    assert "days 1, 4, 7, 14" in words(policy, facts, "2022-05-02 09:00")
    # Nothing was tested by day 16: one sample after the last scheduled day makes up for all.
    way = way_to_green(policy, facts, now=at("2022-05-17 09:00"))
    assert way.words.en.startswith("One negative test sampled from Tue 17 May on, or 6 more days")
    assert way.reached == at("2022-05-17 09:00")
    # All four are negative and known, the fourteenth day is not over yet: nothing is left but to wait.
    facts["tests"] = [
        {
            "method": "nat",
            "result": "negative",
            "pooled": False,
            "sampled_at": at(f"2022-05-{1 + day:02d} 08:00"),
            "reported_at": at(f"2022-05-{1 + day:02d} 20:00"),
        }
        for day in (1, 4, 7, 14)
    ]
    way = way_to_green(policy, facts, now=at("2022-05-15 21:00"))
    assert (way.earliest, way.rounds[0][0].kind) == (at("2022-05-16"), "wait")


def test_who_is_green_is_told_so():
    way = way_to_green(load(SMALL), {}, now=at("2022-05-01"))
    assert (way.rounds, way.words.en, way.earliest) == ((), "Your code is green now.", at("2022-05-01"))


def follow(facts: dict[str, Any], way: Way) -> dict[str, Any]:
    """The person's facts after doing literally what the way asks for, and nothing else."""
    after = {name: list(rows) for name, rows in facts.items()}
    for step in (step for steps in way.rounds for step in steps):
        for fact, row, instead in step.rows:
            after[fact] = [r for r in after.get(fact, []) if r is not instead] + [row]
    return after


def followed(series: str, now: int, seeds: range) -> tuple[int, dict[int, list[tuple[int, dict[str, Any]]]]]:
    """(persons who were held, what they did by the moment at which they should be green)."""
    policy = published(series)
    held = 0
    arrivals: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for seed in seeds:
        facts = anyone(Random(seed), now)
        if any(blocks(h) for h in judge_one(policy, facts, now=now).holds):
            held += 1
            way = way_to_green(policy, facts, now=now)
            if way.reached is not None:
                arrivals.setdefault(way.reached, []).append((seed, follow(facts, way)))
    return held, arrivals


def green_by_the_city(series: str, reached: int, persons: list[tuple[int, dict[str, Any]]]) -> int:
    """How many of them the judge of the whole city finds green."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for person, facts in persons:
        for fact, listed in facts.items():
            rows.setdefault(fact, []).extend({**r, "person": person} for r in listed)
    with duckdb.connect(config={"threads": 1}) as con:
        facts_on(con, rows)
        verdicts = judge_all(con, published(series), now=reached)[1].to_pylist()
    blocked = {v["person"] for v in verdicts if v["state"] > State.REMIND}
    return sum(person not in blocked for person, _ in persons)


DAYS = ((BEIJING, at("2022-05-01 10:00")), (PROTOCOL_9, at("2022-07-10 10:00")))


@pytest.mark.parametrize(("series", "now"), DAYS)
def test_following_the_way_literally_turns_the_code_green(series, now):
    held, arrivals = followed(series, now, range(150))
    assert held >= 80
    green = 0
    for reached, persons in arrivals.items():
        for _, facts in persons:
            green += not any(blocks(h) for h in judge_one(published(series), facts, now=reached).holds)
    assert green == held
    reached = max(arrivals, key=lambda at: len(arrivals[at]))
    assert green_by_the_city(series, reached, arrivals[reached]) == len(arrivals[reached]) > 1


@pytest.mark.prove
@pytest.mark.parametrize(("series", "now"), DAYS)
def test_following_the_way_literally_turns_the_code_green_long(series, now):
    held, arrivals = followed(series, now + 5 * HOUR, range(1_000, 3_000))
    green = sum(green_by_the_city(series, reached, persons) for reached, persons in arrivals.items())
    assert green >= 0.99 * held

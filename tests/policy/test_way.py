"""The way out that a person is told leads there, on the days that it names."""

from __future__ import annotations

from random import Random
from typing import Any

import duckdb
import pytest
from anyone import anyone
from anything import facts_on
from resident import BEIJING, PROTOCOL_9, at, protocol_9, published
from small_policy import CONTACT_AND_AFTER, SMALL, TEXTS, policy_text

from kangma.policy.document import load
from kangma.policy.judge import judge_all, judge_one
from kangma.policy.way import Leg, first_at, way_out
from kangma.terms import HOUR, State

ENTERED = {"city_entries": [{"at": at("2022-04-20 10:00")}]}
CONTACT = {"contacts": [{"degree": 1, "last_exposure_at": at("2022-05-01 10:00")}]}
NEGATIVE = {"method": "nat", "result": "negative", "pooled": False}
#: What a leg must be reached for a state: the worst outcome that may be left.
LEVEL = {State.YELLOW: State.YELLOW, State.POPUP: State.POPUP, State.GREEN: State.REMIND}


def told(policy: Any, facts: dict[str, Any], now: str, language: str = "en") -> list[list[str]]:
    """Each leg's lines: its heading, its steps, and after "or" what does as well."""
    return [
        [getattr(leg.words, language)]
        + [
            mark + getattr(step.words, language)
            for one in leg.steps
            for mark, step in [("", one), *(("or ", other) for other in one.instead)]
        ]
        + ["or " + getattr(other.words, language) for other in leg.instead]
        for leg in way_out(policy, facts, now=at(now))
    ]


def test_a_missing_test_or_waiting_for_the_cap():
    policy = load(SMALL)
    assert told(policy, ENTERED, "2022-04-23 11:00") == [
        [
            "Once this is done, your notice ends",
            "Take a test on or after Sat 23 Apr. It must be negative.",
            "or Wait until the end of Wed 27 Apr. Then your notice ends by itself.",
        ]
    ]
    assert told(policy, ENTERED, "2022-04-23 11:00", "zh") == [
        [
            "办好以下事项，提示即解除",
            "4月23日（周六）起做一次核酸检测，结果须为阴性。",
            "or 等到4月27日（周三）过完，提示自动解除。",
        ]
    ]
    (leg,) = way_out(policy, ENTERED, now=at("2022-04-23 11:00"))
    assert (leg.earliest, leg.by_itself) == (at("2022-04-23 11:00"), at("2022-04-28"))
    (step,) = leg.steps
    assert (step.kind, step.count, step.since, step.until) == ("test", 1, at("2022-04-23 11:00"), None)


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
    (leg,) = way_out(policy, ENTERED, now=at("2022-04-20 12:00"))
    assert leg.words.en == "On Thu 21 Apr at the earliest, your notice ends"
    assert leg.steps[0].words.en == "Take a test after 10:00 on Thu 21 Apr, or later. It must be negative."
    assert leg.steps[0].words.zh == "4月21日（周四）10:00以后做一次核酸检测，结果须为阴性。"
    assert leg.earliest == leg.steps[0].since == at("2022-04-21 10:00") + 1
    for sampled, state in ((at("2022-04-21 10:00"), State.POPUP), (at("2022-04-21 10:00") + 1, State.GREEN)):
        tests = [{**NEGATIVE, "sampled_at": sampled, "reported_at": sampled}]
        assert judge_one(policy, {**ENTERED, "tests": tests}, now=at("2022-04-22")).state is state


def test_red_is_told_when_it_turns_yellow_and_when_green():
    assert told(load(SMALL), CONTACT, "2022-05-02 09:00") == [
        ["On Mon 16 May, your code turns yellow", "Wait until the end of Sun 15 May."],
        ["On Mon 23 May, your code turns green", "Wait until the end of Sun 22 May."],
    ]
    assert told(load(SMALL), CONTACT, "2022-05-02 09:00", "zh") == [
        ["5月16日（周一）转为黄码", "等到5月15日（周日）过完。"],
        ["5月23日（周一）转为绿码", "等到5月22日（周日）过完。"],
    ]


def test_whose_code_is_green_is_told_when_the_notice_ends_and_nothing_of_a_colour():
    met = {"exposures": [{"last_at": at("2022-05-01 10:00"), "confirmed_at": at("2022-05-01 18:00")}]}
    (leg,) = way_out(published(BEIJING), met, now=at("2022-05-02 09:00"))
    assert (leg.to, leg.words.en) == (State.GREEN, "On Mon 16 May, your notice ends")
    assert leg.words.zh == "5月16日（周一）提示解除"
    assert "green" not in " ".join(step.words.en for step in leg.steps)


def test_a_colour_does_not_wait_for_a_notice():
    facts = {
        "entries": [{"port_city": "上海", "entered_on": at("2022-07-08 12:00") // 86_400}],
        "contacts": [{"degree": 1, "declared_degree": 1, "last_exposure_at": at("2022-07-01 10:00")}],
    }
    legs = way_out(protocol_9(), facts, now=at("2022-07-10 10:00"))
    assert [(leg.to, leg.words.en) for leg in legs] == [
        (State.POPUP, "On Tue 12 Jul, your code turns green (a notice remains)"),
        (State.GREEN, "On Tue 19 Jul, your notice ends"),
    ]
    for leg in legs:
        assert judge_one(protocol_9(), facts, now=leg.earliest).state is leg.to


def test_nobody_is_asked_for_a_test_that_waiting_makes_needless():
    facts = {
        "contacts": [{"degree": 1, "last_exposure_at": at("2022-04-20 10:00")}],
        "city_entries": [{"at": at("2022-04-20 10:00")}],
    }
    assert [step.kind for leg in way_out(load(SMALL), facts, now=at("2022-04-24")) for step in leg.steps] == [
        "wait",
        "wait",
    ]


TWO_TESTS = f"""
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


def test_two_tests_a_day_apart_are_one_line_and_one_that_is_there_is_not_asked_for_again():
    policy = load(policy_text(TWO_TESTS))
    facts: dict[str, Any] = {"exposures": [{"last_at": at("2022-04-20 10:00")}]}
    (leg,) = way_out(policy, facts, now=at("2022-04-21 10:00"))
    assert leg.earliest == at("2022-04-22 10:00")
    (step,) = leg.steps
    assert step.words.en == (
        "Take a test on or after Thu 21 Apr; a second at least 24 hours later. Both must be negative."
    )
    assert step.words.zh == "4月21日（周四）起做两次核酸检测，第二次至少比第一次晚24小时，结果都须为阴性。"
    assert (step.count, step.apart) == (2, 24 * HOUR)
    # One is there already: one more, a day later, is enough, and no sooner.
    sampled = at("2022-04-20 20:00")
    facts["tests"] = [{**NEGATIVE, "sampled_at": sampled, "reported_at": at("2022-04-21 02:00")}]
    for now, since in (("2022-04-21 21:00", "2022-04-21 21:00"), ("2022-04-21 09:00", "2022-04-21 20:00")):
        (leg,) = way_out(policy, facts, now=at(now))
        assert (leg.earliest, [(s.count, s.since) for s in leg.steps]) == (at(since), [(1, at(since))])
    assert leg.steps[0].words.en == "Take a test after 20:00 on Thu 21 Apr, or later. It must be negative."


def test_a_tube_that_was_positive_asks_for_a_test_of_ones_own():
    tube = {**NEGATIVE, "pooled": True, "result": "positive", "sampled_at": at("2022-07-09 08:00")}
    facts = {"tests": [{**tube, "reported_at": at("2022-07-09 20:00")}]}
    assert told(protocol_9(), facts, "2022-07-10 09:00")[0][1] == (
        "Take a test of your own, not one shared with others, on or after Sun 10 Jul. It must be negative."
    )
    assert told(protocol_9(), facts, "2022-07-10 09:00", "zh")[0][1] == (
        "7月10日（周日）起做一次单人核酸检测，结果须为阴性。"
    )


def test_a_paper_that_does_as_well_stands_beside_the_test():
    facts = {"purchases": [{"at": at("2022-07-05 10:00")}]}
    assert told(protocol_9(), facts, "2022-07-09 09:00")[0][1:] == [
        "Take a test on or after Sat 9 Jul. It must be negative.",
        "or Your community or hotel accepts a report on paper.",
        "or Wait until the end of Tue 12 Jul. Then your notice ends by itself.",
    ]


def test_a_hold_that_ends_with_its_tests_names_the_days_that_are_missing():
    alone = CONTACT_AND_AFTER.split("[[rule]]")[1].replace('then = "A-Y4"', "end_needs_tests = true")
    policy = load(policy_text("[[rule]]" + alone))
    facts: dict[str, Any] = dict(CONTACT)
    assert told(policy, facts, "2022-05-02 09:00") == [
        [
            "On Mon 16 May at the earliest, your code turns green",
            "Take a test on Mon 2 May or the day after. It must be negative.",
            "Take a test on Thu 5 May or the day after. It must be negative.",
            "Take a test on Sun 8 May or the day after. It must be negative.",
            "Take a test on Sun 15 May or the day after. It must be negative.",
            "Wait until the end of Sun 15 May.",
            "or Wait until the end of Sun 22 May. Then your code turns green by itself.",
        ]
    ]
    # Nothing was tested by day 16: one sample after the last scheduled day makes up for all.
    (leg,) = way_out(policy, facts, now=at("2022-05-17 09:00"))
    assert [step.words.en for step in leg.steps] == [
        "Take a test on or after Tue 17 May. It must be negative."
    ]
    assert leg.earliest == at("2022-05-17 09:00")
    # All four are negative and known, the fourteenth day is not over yet: nothing is left but to wait.
    facts["tests"] = [
        {
            **NEGATIVE,
            "sampled_at": at(f"2022-05-{1 + day:02d} 08:00"),
            "reported_at": at(f"2022-05-{1 + day:02d} 20:00"),
        }
        for day in (1, 4, 7, 14)
    ]
    (leg,) = way_out(policy, facts, now=at("2022-05-15 21:00"))
    assert (leg.earliest, [step.kind for step in leg.steps]) == (at("2022-05-16"), ["wait"])


def test_what_nobody_can_date_is_told_in_the_rules_words_and_without_a_date():
    facts = {"cases": [{"case_id": "c", "kind": "confirmed", "confirmed_at": at("2022-07-05 10:00")}]}
    (leg,) = way_out(protocol_9(), facts, now=at("2022-07-10 09:00"))
    assert (leg.words.en, leg.earliest, leg.by_itself) == (
        "Your code turns green; the day is not known yet",
        None,
        None,
    )
    assert leg.words.zh == "转为绿码：日期还不能确定"
    assert [(step.kind, step.since, step.until) for step in leg.steps] == [
        ("event", None, None),
        ("wait", None, None),
    ]
    assert leg.steps[0].words == protocol_9().rule("B-R1").way_out


def test_who_is_plainly_green_is_told_no_way():
    assert way_out(load(SMALL), {}, now=at("2022-05-01")) == ()
    assert way_out(load(SMALL), ENTERED, now=at("2022-04-21")) == ()  # a reminder lets them pass


# walked --------------------------------------------------------------------------------------------------------------


def literally(facts: dict[str, Any], legs: tuple[Leg, ...]) -> dict[str, Any]:
    """The person's facts after doing what the steps say on the first date that they say, read off their dates alone
    where they are tests; what an officer writes down of a paper or a registration comes with the step."""
    after = {name: list(rows) for name, rows in facts.items()}
    for step in (step for leg in legs for step in leg.steps):
        for fact, row in step.rows:
            if step.kind != "test":
                after[fact] = [*after.get(fact, []), row]
        for n in range(step.count):
            sampled = step.since + n * step.apart
            assert step.until is None or sampled < step.until
            # A single test is one; any other may be of a tube.
            taken = {**NEGATIVE, "pooled": not step.single, "sampled_at": sampled, "reported_at": sampled}
            after["tests"] = [*after.get("tests", []), taken]
    return after


def followed(series: str, now: int, seeds: range) -> tuple[int, dict[int, list[tuple[int, dict[str, Any]]]]]:
    """(persons who were held and can be told a day, what they did by the moment at which they should be green)."""
    policy = published(series)
    held = 0
    arrivals: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for seed in seeds:
        facts = anyone(Random(seed), now)
        legs = way_out(policy, facts, now=now)
        if legs and legs[-1].earliest is not None:
            held += 1
            arrivals.setdefault(legs[-1].earliest, []).append((seed, literally(facts, legs)))
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
def test_following_the_way_literally_leads_to_each_state_on_its_day(series, now):
    policy = published(series)
    legs_seen = dated = 0
    for seed in range(250):
        facts = anyone(Random(seed), now)
        state = judge_one(policy, facts, now=now).state
        legs = way_out(policy, facts, now=now)
        assert bool(legs) == (state > State.REMIND)
        assert [leg.to for leg in legs] == sorted((leg.to for leg in legs), reverse=True)
        for i, leg in enumerate(legs):
            legs_seen += 1
            assert leg.reached is not None
            assert judge_one(policy, leg.facts, now=leg.reached).state in (
                (State.GREEN, State.REMIND) if leg.to is State.GREEN else (leg.to,)
            )
            if leg.earliest is None:
                continue
            dated += 1
            walked = literally(facts, legs[: i + 1])
            found = judge_one(policy, walked, now=leg.earliest).state
            assert found is leg.to or (leg.to is State.GREEN and found is State.REMIND), seed
        if legs and legs[-1].earliest is not None:
            assert legs[-1].to is State.GREEN
    assert legs_seen >= 200
    assert dated >= 150


@pytest.mark.parametrize(("series", "now"), DAYS)
def test_waiting_alone_leads_there_on_its_day_and_not_a_moment_sooner(series, now):
    policy = published(series)
    seen = 0
    for seed in range(250):
        facts = anyone(Random(seed), now)
        for leg in way_out(policy, facts, now=now):
            acts = any(step.rows for step in leg.steps)
            assert bool(leg.instead) == (acts and leg.by_itself is not None)
            if leg.by_itself is None:
                continue
            seen += 1
            if leg.earliest is not None:
                assert leg.earliest <= leg.by_itself
            level = LEVEL[leg.to]
            assert judge_one(policy, facts, now=leg.by_itself).state <= level
            # Hour by hour, and in the second before: the judge itself, and not what it says of changes to come.
            sooner = [*range(now, leg.by_itself, HOUR), leg.by_itself - 1]
            assert all(judge_one(policy, facts, now=t).state > level for t in sooner), seed
    assert seen >= 150


@pytest.mark.parametrize(("series", "now"), DAYS)
def test_nothing_is_asked_for_that_can_be_left_undone_and_every_alternative_does(series, now):
    policy = published(series)
    others = 0
    for seed in range(250):
        facts = anyone(Random(seed), now)
        legs = way_out(policy, facts, now=now)
        for i, leg in enumerate(legs):
            if leg.earliest is None:
                continue
            level = LEVEL[leg.to]
            before = literally(facts, legs[:i])
            # A schedule is told as the policy has it, though a day may do for the one before.
            acts = [step for step in leg.steps if step.rows]
            for act in (step for step in acts if step.until is None):
                rest = [step for step in acts if step is not act]
                undone = literally(before, (leg_of(leg, rest),))
                late = first_at(policy, undone, level, now=now)
                assert late is None or late > leg.earliest, seed
                for other in act.instead:
                    others += 1
                    done = literally(before, (leg_of(leg, [*rest, other]),))
                    sooner = first_at(policy, done, level, now=now)
                    assert sooner is not None, seed
                    assert leg.by_itself is None or sooner < leg.by_itself, seed
    assert others >= (10 if series == PROTOCOL_9 else 0)


def leg_of(leg: Leg, steps: list[Any]) -> Leg:
    return Leg(leg.to, leg.words, tuple(steps), (), leg.earliest, leg.by_itself, leg.reached, leg.facts)


@pytest.mark.parametrize(("series", "now"), DAYS)
def test_following_the_way_literally_turns_the_code_green_for_the_whole_city(series, now):
    held, arrivals = followed(series, now, range(150))
    assert held >= 60
    reached = max(arrivals, key=lambda at: len(arrivals[at]))
    assert green_by_the_city(series, reached, arrivals[reached]) == len(arrivals[reached]) > 1


@pytest.mark.prove
@pytest.mark.parametrize(("series", "now"), DAYS)
def test_following_the_way_literally_turns_the_code_green_long(series, now):
    held, arrivals = followed(series, now + 5 * HOUR, range(1_000, 3_000))
    green = sum(green_by_the_city(series, reached, persons) for reached, persons in arrivals.items())
    assert green >= 0.99 * held

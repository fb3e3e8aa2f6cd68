"""No disease is in the code: a measles policy is a file. Contacts at a place within two hours, immunity by two doses or
by year of birth, exclusion on days 5 to 21.

Measles lingers in the air of a room after the case has left. That is a matter of tracing (its visits would have to be
compared with the case's stay lengthened by two hours); the policy reads the exposures that tracing finds.
"""

from __future__ import annotations

from datetime import date

import duckdb
from anything import facts_on
from resident import at

from kangma.policy.document import load
from kangma.policy.explain import explain
from kangma.policy.judge import judge_all, judge_one
from kangma.terms import State, day_number, moment

MEASLES = """
format = 1
id = "measles"
version = "2026-01-01"
effective_from = 2026-01-01T00:00:00+13:00
time_zone = "Pacific/Auckland"
title = { zh = "麻疹", en = "measles" }
[parameters]
doses_needed = 2
born_immune_before = 1969
weeks_to_immunity = 2
[tracing]
min_overlap_minutes = 1
look_back_days = 4
[notices]
watch = { zh = "请留意发热和皮疹", en = "Watch for fever and rash" }
[authorities]
health = { zh = "公共卫生部门", en = "Public health" }
[vaccination]
basic_doses = 2

[[rule]]
id = "M-1"
on = "exposures"
when = "confirmed_at is not null and excluded_at is null and minutes > 0"
anchor = "last_at"
outcome = "yellow"
from_day = 5
days = 21
cap_days = 21
authority = "health"
basis = "exclusion of susceptible contacts, days 5 to 21"
reason.zh = "您与麻疹病例同处一室，且无免疫证明"
reason.en = "You shared a room with a measles case and are not known to be immune"
way_out = { zh = "第22天自动结束", en = "Ends by itself on day 22" }
[[rule.stage]]
outcome = "remind:watch"
since = "anchor"
until = "day(anchor, 5)"
[[rule.unless]]
on = "people"
when = "year(birth_date) < born_immune_before"
[[rule.unless]]
on = "vaccinations"
when = "dose >= doses_needed and day(given_on, 7 * weeks_to_immunity) <= anchor"
[[rule.unless]]
on = "cases"
when = "case_id <> hold.case_id and confirmed_at < anchor"
[[rule.clear]]
on = "clearances"
when = "rule = 'M-1' and finding in ('no_link', 'paper_report') and at >= anchor"
action = "paper"
text = { zh = "出示免疫证明", en = "Show proof of immunity" }
"""

POLICY = load(MEASLES)
MET = moment("2026-03-28T15:00:00+13:00")  # the clock goes back on 5 April, day 8
EXPOSED = {"exposures": [{"case_id": "c", "minutes": 40.0, "last_at": MET, "confirmed_at": MET}]}


def state(facts: dict[str, list[dict[str, object]]], when: str) -> State:
    return judge_one(POLICY, facts, now=moment(when)).state


def test_a_susceptible_contact_is_excluded_from_day_5_to_day_21():
    assert state(EXPOSED, "2026-03-29T12:00:00+13:00") is State.REMIND
    assert state(EXPOSED, "2026-04-01T23:59:59+13:00") is State.REMIND
    assert state(EXPOSED, "2026-04-02T00:00:00+13:00") is State.YELLOW
    assert state(EXPOSED, "2026-04-18T23:59:59+12:00") is State.YELLOW  # summer time has ended
    assert state(EXPOSED, "2026-04-19T00:00:00+12:00") is State.GREEN


def test_two_doses_in_time_or_an_early_year_of_birth_are_immunity():
    when = "2026-04-03T12:00:00+13:00"
    given = day_number(date(2026, 3, 1))
    dose = {"product": "MMR", "dose": 2, "given_on": given}
    assert state({**EXPOSED, "vaccinations": [dose]}, when) is State.GREEN
    assert state({**EXPOSED, "vaccinations": [{**dose, "dose": 1}]}, when) is State.YELLOW
    assert state({**EXPOSED, "vaccinations": [{**dose, "given_on": given + 20}]}, when) is State.YELLOW
    assert state({**EXPOSED, "people": [{"birth_date": day_number(date(1960, 1, 1))}]}, when) is State.GREEN
    assert state({**EXPOSED, "people": [{"birth_date": day_number(date(1990, 1, 1))}]}, when) is State.YELLOW


def test_the_words_and_the_city_follow_from_the_same_file():
    found = explain(POLICY, EXPOSED, now=moment("2026-04-03T12:00:00+13:00"))
    assert found["holds"][0]["until"] == "2026-04-19T00:00:00+12:00"
    (leg,) = found["way"]
    assert (leg["en"], leg["by_itself"]) == (
        "Once this is done, your code turns green",
        "2026-04-19T00:00:00+12:00",
    )
    assert [step["en"] for step in leg["steps"]] == ["Show proof of immunity"]
    assert [one["en"] for one in leg["or"]] == [
        "Wait until the end of Sat 18 Apr. Then your code turns green by itself."
    ]
    with duckdb.connect() as con:
        facts_on(con, {"exposures": [{**EXPOSED["exposures"][0], "person": 3}]})
        _, verdicts = judge_all(con, POLICY, now=at("2026-04-03 12:00"))
        assert verdicts.to_pylist()[0]["state"] == State.YELLOW

"""A door passes, refuses, or says that it does not know; nobody is turned away from emergency care."""

from __future__ import annotations

from datetime import date

import pytest
from small_policy import SMALL

from kangma.errors import Refused
from kangma.policy.document import load
from kangma.policy.doors import Admission, Answer, Why, admit
from kangma.policy.judge import judge_one
from kangma.policy.nat import count
from kangma.terms import DAY, HOUR, day_number, moment

DOORS = """
[[door]]
id = "public_place"
to = 2022-05-01T00:00:00+08:00
pass = "colour = 'green' and popups = 0"
text = { zh = "绿码", en = "green" }
[[door]]
id = "public_place"
from = 2022-05-01T00:00:00+08:00
pass = "colour = 'green' and popups = 0 and nat_hours <= 48"
text = { zh = "绿码加核酸", en = "green and a test" }
[[door]]
id = "transit"
from = 2022-05-05T00:00:00+08:00
unchecked = true
pass = "nat_days <= 7"
text = { zh = "7天核酸", en = "a test within 7 days" }
[[door]]
id = "hospital"
pass = "colour <> 'red' and (nat_hours <= 48 or age <= 3 or entered_hours_ago <= 24)"
never_block = ["emergency_care"]
text = { zh = "48小时核酸", en = "a test within 48 hours" }
[[rule]]
id = "U"
on = "city_entries"
when = "itinerary = 'contradicted'"
anchor = "at"
outcome = "unknown"
cap_hours = 72
authority = "cdc"
basis = "x"
reason = { zh = "未核实", en = "not verified" }
way_out = { zh = "登记", en = "register" }
"""
POLICY = load(SMALL + DOORS)
NOW = moment("2022-05-02T10:00:00+08:00")
TEST = {"method": "nat", "result": "negative", "sampled_at": NOW - 20 * HOUR, "reported_at": NOW - 10 * HOUR}


def at_the_door(
    profile: str, facts: dict[str, list[dict[str, object]]], now: int = NOW, **more: object
) -> Admission:
    verdict = judge_one(POLICY, facts, now=now)
    return admit(POLICY, profile, verdict, count(POLICY, facts.get("tests", []), now=now), now=now, **more)


def test_green_with_a_fresh_test_passes_and_a_stale_one_is_refused():
    assert at_the_door("public_place", {"tests": [TEST]}).answer is Answer.PASS
    assert at_the_door("public_place", {"tests": [TEST]}, NOW + 3 * DAY).answer is Answer.REFUSE


def test_before_its_date_the_rule_asked_for_less():
    assert at_the_door("public_place", {}, NOW - 3 * DAY).answer is Answer.PASS


def test_who_has_no_test_record_is_unknown_and_goes_to_the_manual_lane():
    assert at_the_door("public_place", {}) == Admission(Answer.UNKNOWN, Why.MISSING, POLICY.doors[1].text)


def test_a_popup_is_not_green_at_a_door_and_a_reminder_passes():
    entered = {"city_entries": [{"at": NOW - 80 * HOUR}], "tests": [{**TEST, "sampled_at": NOW - 70 * HOUR}]}
    assert at_the_door("public_place", entered).answer is Answer.REFUSE
    entered["city_entries"] = [{"at": NOW - 50 * HOUR}]
    assert at_the_door("public_place", entered).answer is Answer.PASS


def test_not_verified_is_neither_green_nor_red():
    facts = {"city_entries": [{"at": NOW - HOUR, "itinerary": "contradicted"}], "tests": [TEST]}
    assert at_the_door("public_place", facts).why is Why.NOT_VERIFIED
    assert (
        at_the_door("public_place", facts, NOW + 60 * HOUR).answer is Answer.REFUSE
    )  # the test is too old anyway


def test_emergency_care_always_passes():
    red = {"contacts": [{"degree": 1, "last_exposure_at": NOW - DAY}]}
    assert at_the_door("hospital", red).answer is Answer.REFUSE
    admitted = at_the_door("hospital", red, purpose="emergency_care")
    assert (admitted.answer, admitted.why) == (Answer.PASS, Why.EXCEPTION)
    assert at_the_door("public_place", red, purpose="emergency_care").answer is Answer.PASS
    assert at_the_door("hospital", red, purpose="shopping").answer is Answer.REFUSE


def test_an_unchecked_rule_stops_nobody_and_one_not_yet_in_force_says_nothing():
    assert at_the_door("transit", {}, NOW + 5 * DAY).why is Why.UNCHECKED
    assert at_the_door("transit", {}).why is Why.NOT_IN_FORCE


def test_age_and_the_last_entry_count_where_the_door_speaks_of_them():
    child = day_number(date(2020, 5, 3))
    assert at_the_door("hospital", {}, birth_date=child).answer is Answer.PASS
    assert at_the_door("hospital", {}, entered_at=NOW - 3 * HOUR).answer is Answer.PASS
    assert at_the_door("hospital", {}).answer is Answer.UNKNOWN


def test_an_unknown_door_is_refused_by_name():
    with pytest.raises(Refused):
        at_the_door("cinema", {})

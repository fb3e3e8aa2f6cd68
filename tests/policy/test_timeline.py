"""Amendments and dated versions: which rule holds when, and what becomes of holds that are open at a switch."""

from __future__ import annotations

import duckdb
import pytest
from anything import facts_on
from small_policy import CONTACT_AND_AFTER, ENTRY_WITHOUT_TEST, SMALL, TEXTS, policy_text

from kangma.errors import Refused
from kangma.policy.check import check
from kangma.policy.document import amend, load, timeline
from kangma.policy.judge import judge_all, judge_one
from kangma.terms import HOUR, State, moment

SHORTER = f"""
format = 1
id = "small"
version = "2022-05-04"
amends = "2022-04-22"
effective_from = 2022-05-04T00:00:00+08:00
[notices]
new = {{ zh = "新", en = "new" }}
[[rule]]
id = "A-R4"
on = "contacts"
when = "degree = 1"
anchor = "last_exposure_at"
outcome = ["red", "popup:new"]
days = 10
cap_days = 21
{TEXTS}
"""
BASE = load(SMALL)
EXPOSED = moment("2022-04-25T10:00:00+08:00")
FACTS = {"contacts": [{"person": 1, "degree": 1, "last_exposure_at": EXPOSED}]}


def at(text: str) -> int:
    return moment(f"{text}T12:00:00+08:00")


def red(policy, text: str) -> bool:
    return judge_one(policy, FACTS, now=at(text)).state is State.RED


def test_an_amendment_repeats_only_what_it_changes():
    amended = amend(BASE, SHORTER)
    assert [r.id for r in amended.rules] == ["A-R4", "A-Y4", "A-P4a"]
    assert amended.rule("A-Y4") == BASE.rule("A-Y4")
    assert list(amended.notices) == ["1", "2", "3", "4", "new"]
    assert amended.version == "2022-05-04"
    assert amended.digest != BASE.digest


def test_a_switch_shortens_holds_that_are_open():
    both = timeline([amend(BASE, SHORTER), BASE])
    assert red(both, "2022-05-03")
    assert red(both, "2022-05-05")
    assert not red(both, "2022-05-06")
    assert red(BASE, "2022-05-06")


def test_a_grandfathered_hold_stays_under_the_version_that_began_it():
    both = timeline([BASE, amend(BASE, "grandfather = true\n" + SHORTER)])
    assert red(both, "2022-05-06")
    later = {"contacts": [{"degree": 1, "last_exposure_at": moment("2022-05-04T00:00:00+08:00")}]}
    verdict = judge_one(both, later, now=at("2022-05-14"))
    assert (verdict.state, verdict.popups) == (State.RED, ("new",))
    verdict = judge_one(both, later, now=at("2022-05-15"))
    assert verdict.state is State.GREEN  # 10 days under the new version, and none of the old beside it


def test_the_next_switch_is_a_change_that_comes_without_evidence():
    both = timeline([BASE, amend(BASE, SHORTER)])
    switch = moment("2022-05-04T00:00:00+08:00")
    assert judge_one(both, {}, now=at("2022-05-01")).next_change_at == switch
    assert judge_one(both, FACTS, now=at("2022-05-01")).next_change_at == switch
    assert judge_one(both, {}, now=switch).next_change_at is None
    assert both.in_force(switch - 1) is BASE
    assert both.in_force(at("2020-01-01")) is BASE


@pytest.mark.parametrize("grandfather", ["", "grandfather = true\n"])
def test_both_judges_agree_across_a_switch(grandfather):
    both = timeline([BASE, amend(BASE, grandfather + SHORTER)])
    people = {
        "contacts": [
            {"person": i, "degree": 1, "last_exposure_at": EXPOSED + i * 40 * HOUR} for i in range(12)
        ]
    }
    with duckdb.connect() as con:
        facts_on(con, people)
        for day in ("2022-05-03", "2022-05-04", "2022-05-06", "2022-05-14", "2022-05-20"):
            _, verdicts = judge_all(con, both, now=at(day))
            seen = {v["person"]: v for v in verdicts.to_pylist()}
            for i in range(12):
                one = judge_one(both, {"contacts": [people["contacts"][i]]}, now=at(day))
                row = seen.get(i, {"state": 0, "next_change_at": both.next_switch(at(day))})
                assert (State(row["state"]), row["next_change_at"]) == (one.state, one.next_change_at)


def test_rules_and_doors_can_be_dropped_and_a_wrong_name_is_told():
    text = SHORTER.replace("[notices]", 'remove_rules = ["A-P4a", "A-P9"]\n[notices]')
    problems = check(text, BASE)[1]
    assert [p.name for p in problems] == ["A-P9"]
    dropped = amend(BASE, text.replace(', "A-P9"', ""))
    assert [r.id for r in dropped.rules] == ["A-R4", "A-Y4"]


def test_what_an_amendment_breaks_in_its_base_is_told_at_the_line_that_names_the_base():
    longer = (
        SHORTER.replace('{ zh = "新", en = "new" }', '{ zh = "新", en = "new" }')
        .replace('id = "A-R4"', 'id = "A-Y4"')
        .replace("days = 10", "from_day = 11\ndays = 17")
    )
    problems = check(longer, BASE)[1]  # A-R4 of the base still ends on day 14
    assert [(p.line, p.name) for p in problems] == [(5, "A-Y4")]
    assert "does not begin where this rule ends" in problems[0].message


def test_an_amendment_without_its_base_or_of_another_is_refused():
    assert [p.name for p in check(SHORTER)[1]] == ["2022-04-22"]
    with pytest.raises(Refused, match="another version"):
        amend(BASE, SHORTER.replace('amends = "2022-04-22"', 'amends = "2022-04-01"'))
    with pytest.raises(Refused, match="does not amend"):
        amend(BASE, SMALL)


def test_the_digest_is_of_the_meaning_and_not_of_the_spelling():
    respelled = policy_text("# a comment\n" + CONTACT_AND_AFTER, ENTRY_WITHOUT_TEST).replace(
        "2022-04-22T00:00:00+08:00", "2022-04-21T16:00:00Z"
    )
    assert load(respelled).digest == BASE.digest
    assert load(policy_text(CONTACT_AND_AFTER)).digest != BASE.digest


def test_a_timeline_needs_distinct_switches():
    with pytest.raises(Refused):
        timeline([])
    with pytest.raises(Refused):
        timeline([BASE, BASE])

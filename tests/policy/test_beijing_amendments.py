"""The changes of 4 May 2022 to policy A: every changed row, and what the switch does to holds that were open."""

from __future__ import annotations

from pathlib import Path

import pytest
from resident import (
    BEIJING,
    amended,
    at,
    cleared,
    fact,
    frozen,
    load_amended,
    negative,
    protocol_9,
    published,
    resident,
    turns,
)

from kangma.errors import Code, Refused
from kangma.policy.document import amend, load, timeline
from kangma.policy.published import names, read

A, A2 = frozen(), amended()
SERIES = published(BEIJING)


# --- The changed rows --------------------------------------------------------------------------------------------------


def test_a_close_contact_is_red_for_ten_days_then_yellow_for_seven() -> None:
    someone = resident(A2, fact("contacts", last_exposure_at="2022-05-06 17:00"))
    turns(
        someone,
        ("2022-05-06 17:00", "red"),
        ("2022-05-17 00:00", "yellow"),
        ("2022-05-24 00:00", "green"),
    )
    assert A2.rule("A-R4").test_days == (1, 4, 7, 10)
    assert A2.rule("A-Y4").test_days == (12, 17)  # days 2 and 7 at home


def test_a_contact_of_a_contact_is_yellow_at_home_for_seven_days() -> None:
    someone = resident(A2, fact("contacts", degree=2, last_exposure_at="2022-05-06 17:00"))
    turns(someone, ("2022-05-06 17:00", "yellow"), ("2022-05-14 00:00", "green"))


def test_a_contact_of_a_contact_turns_red_when_the_one_between_turns_positive() -> None:
    someone = resident(
        A2,
        fact(
            "contacts",
            degree=1,
            declared_degree=2,
            last_exposure_at="2022-05-06 17:00",
            index_positive_at="2022-05-09 10:00",
        ),
    )
    turns(
        someone,
        ("2022-05-06 17:00", "yellow"),
        ("2022-05-09 10:00", "red"),
        ("2022-05-17 00:00", "yellow"),
        ("2022-05-24 00:00", "green"),
    )


def test_an_arrival_in_beijing_is_red_for_ten_days_then_yellow_for_seven_and_then_free() -> None:
    someone = resident(A2, fact("entries", entered_on="2022-05-06"))
    turns(
        someone,
        ("2022-05-06 00:00", "red popup:2"),
        ("2022-05-17 00:00", "yellow popup:2"),
        ("2022-05-24 00:00", "green"),
    )


ELSEWHERE = fact("entries", entered_on="2022-05-06", port="PVG", port_city="上海市")


def test_an_arrival_elsewhere_has_the_notice_for_fourteen_days() -> None:
    turns(resident(A2, ELSEWHERE), ("2022-05-06 00:00", "popup:2"), ("2022-05-21 00:00", "green"))


def test_an_arrival_elsewhere_who_comes_sooner_is_yellow_at_home_until_day_fourteen() -> None:
    someone = resident(A2, ELSEWHERE, fact("people", in_city_since="2022-05-17 20:00"))
    turns(
        someone,
        ("2022-05-06 00:00", "popup:2"),
        ("2022-05-17 20:00", "yellow popup:2"),
        ("2022-05-21 00:00", "green"),
    )
    appealed = resident(
        A2,
        ELSEWHERE,
        fact("people", in_city_since="2022-05-17 20:00"),
        cleared("A-Y7", "released", "2022-05-18 10:00"),
    )
    assert (appealed.shows("2022-05-18 09:59:59"), appealed.shows("2022-05-18 10:00")) == (
        "yellow popup:2",
        "popup:2",
    )


def test_an_arrival_elsewhere_who_is_not_here_is_not_yellow() -> None:
    at_once = resident(A2, ELSEWHERE, fact("people", in_city_since="2022-05-06 00:00"))
    assert at_once.shows("2022-05-08 00:00") == "yellow popup:2"
    away = resident(A2, ELSEWHERE, fact("people", away=True, in_city_since="2022-05-07 00:00"))
    before = resident(A2, ELSEWHERE, fact("people", in_city_since="2022-05-05 23:59:59"))
    assert away.shows("2022-05-08 00:00") == before.shows("2022-05-08 00:00") == "popup:2"


@pytest.mark.parametrize("level", ["high", "medium"])
def test_a_stay_in_a_risk_area_is_ten_days_yellow_and_seven_days_of_care(level: str) -> None:
    someone = resident(
        A2,
        fact(
            "risk_stays",
            level=level,
            entered_at="2022-05-06 10:00",
            left_at="2022-05-06 12:00",
            level_from="2022-05-01 16:00",
        ),
    )
    turns(
        someone,
        ("2022-05-06 10:00", "yellow"),
        ("2022-05-17 00:00", "remind:monitoring"),
        ("2022-05-24 00:00", "green"),
    )


@pytest.mark.parametrize("level", ["high", "medium"])
def test_a_phone_counts_as_a_stay_after_four_hours_only(level: str) -> None:
    def stay(left: str | None) -> tuple[str, dict[str, object]]:
        return fact(
            "risk_stays",
            level=level,
            source="telecom",
            entered_at="2022-05-06 10:00",
            left_at=left,
            level_from="2022-05-01 16:00",
        )

    now = "2022-05-06 14:00"
    shown = [resident(A2, stay(left)).shows(now) for left in ("2022-05-06 13:59:59", now, None)]
    assert shown == ["green", "yellow", "yellow"]
    assert resident(A2, stay(None)).shows("2022-05-06 13:59:59") == "green"


@pytest.mark.parametrize("level", ["high", "medium"])
def test_who_lives_in_a_risk_area_counts_ten_days_from_the_end_of_its_level(level: str) -> None:
    living = {"level": level, "entered_at": "2022-03-01 00:00", "level_from": "2022-05-05 16:00"}
    still = resident(A2, fact("risk_stays", **living))
    assert still.shows("2022-06-30 00:00") == "yellow"
    ended = resident(A2, fact("risk_stays", **living, level_to="2022-05-08 14:00"))
    turns(
        ended,
        ("2022-05-05 16:00", "yellow"),
        ("2022-05-19 00:00", "remind:monitoring"),
        ("2022-05-26 00:00", "green"),
    )


@pytest.mark.parametrize(("level", "rule"), [("high", "A-R8"), ("medium", "A-Y8")])
def test_a_risk_area_elsewhere_counts_here_from_the_arrival_and_is_lifted_by_two_officers(
    level: str, rule: str
) -> None:
    stay = fact(
        "risk_stays",
        level=level,
        in_city=False,
        entered_at="2022-05-06 10:00",
        left_at="2022-05-06 12:00",
        level_from="2022-05-01 16:00",
    )
    come = resident(A2, stay, fact("people", in_city_since="2022-05-08 09:30"))
    turns(
        come,
        ("2022-05-08 09:30", "yellow"),
        ("2022-05-17 00:00", "remind:monitoring"),
        ("2022-05-24 00:00", "green"),
    )
    assert resident(A2, stay, fact("people", away=True)).shows("2022-05-08 09:30") == "green"
    come.facts["clearances"] = [cleared(rule, "no_link", "2022-05-09 09:00")[1]]
    turns(come, ("2022-05-08 09:30", "yellow"), ("2022-05-09 09:00", "green"))


def test_an_upheld_appeal_ends_the_changed_chains_too() -> None:
    contact = resident(
        A2,
        fact("contacts", last_exposure_at="2022-05-06 17:00"),
        cleared("A-R4", "released", "2022-05-08 11:00"),
    )
    turns(contact, ("2022-05-06 17:00", "red"), ("2022-05-08 11:00", "green"))
    assert contact.shows("2022-05-17 00:00") == "green"
    arrival = resident(
        A2, fact("entries", entered_on="2022-05-06"), cleared("A-R6", "released", "2022-05-08 11:00")
    )
    turns(arrival, ("2022-05-06 00:00", "red popup:2"), ("2022-05-08 11:00", "green"))
    assert arrival.shows("2022-05-17 00:00") == "green"


def test_what_the_amendment_does_not_name_stays() -> None:
    changed = {"A-R4", "A-Y4", "A-R5", "A-R6", "A-Y6", "A-R7", "A-R8", "A-Y8"}
    assert {r.id for r in A.rules if A2.rule(r.id) != r} == changed
    assert {r.id for r in A2.rules} - {r.id for r in A.rules} == {"A-Y7"}
    assert tuple(A2.notices) == tuple(A.notices)


def test_every_changed_rule_says_in_both_languages_why_and_how_it_ends() -> None:
    for name in ("A-R4", "A-Y4", "A-R5", "A-R6", "A-Y6", "A-R7", "A-Y7", "A-R8", "A-Y8"):
        rule = A2.rule(name)
        texts = [rule.reason, rule.way_out, *(c.text for c in rule.clears)]
        for text in texts:
            assert any("一" <= c <= "鿿" for c in text.zh)
            assert text.en.isascii()
            assert text.en.endswith(".")
        assert rule.basis.startswith("7.A A2 ")
        assert rule.cap is not None


# --- Doors -------------------------------------------------------------------------------------------------------------


def test_from_5_may_public_places_ask_for_a_test_within_seven_days() -> None:
    someone = resident(SERIES, negative("2022-04-28 20:00", "2022-04-29 08:00"))
    assert someone.door("public_place", "2022-04-30 23:59:59") == "pass"
    assert someone.door("public_place", "2022-05-01 08:00:01") == "refuse"
    assert someone.door("public_place", "2022-05-04 23:59:59") == "refuse"
    assert someone.door("public_place", "2022-05-05 00:00") == "pass"
    assert someone.door("public_place", "2022-05-06 08:00") == "pass"
    assert someone.door("public_place", "2022-05-06 08:00:01") == "refuse"
    on_the_4th = resident(A2, negative("2022-05-01 20:00", "2022-05-02 08:00"))
    assert on_the_4th.door("public_place", "2022-05-04 08:00") == "pass"
    assert on_the_4th.door("public_place", "2022-05-04 08:00:01") == "refuse"


def test_transit_has_its_rule_from_5_may_and_checks_nobody() -> None:
    someone = resident(A2)
    assert someone.door("transit", "2022-05-04 23:59:59") == "unknown"
    assert someone.door("transit", "2022-05-05 00:00") == "pass"
    assert {d.id for d in A2.doors if d.unchecked} == {"transit"}
    assert "transit" not in {d.id for d in A.doors}


def test_the_rule_that_transit_does_not_check_is_a_test_within_seven_days() -> None:
    text = read(BEIJING)[1]
    assert text.count("unchecked = true\n") == 1
    checked = amend(A, text.replace("unchecked = true\n", ""))
    someone = resident(checked, negative("2022-05-05 20:00", "2022-05-06 08:00"))
    assert someone.door("transit", "2022-05-13 08:00") == "pass"
    assert someone.door("transit", "2022-05-13 08:00:01") == "refuse"


def test_from_5_may_a_commuter_needs_seven_days_instead_of_fourteen() -> None:
    someone = resident(SERIES, negative("2022-04-26 20:00", "2022-04-27 08:00"))
    assert someone.door("commuter", "2022-05-04 23:59:59", entered="2022-04-28 07:00") == "pass"
    assert someone.door("commuter", "2022-05-05 08:00:01", entered="2022-04-28 07:00") == "refuse"
    fresh = resident(SERIES, negative("2022-05-05 20:00", "2022-05-06 08:00"))
    assert fresh.door("commuter", "2022-05-08 08:00") == "pass"
    assert fresh.door("commuter", "2022-05-08 08:00:01") == "refuse"
    assert fresh.door("commuter", "2022-05-13 08:00", entered="2022-05-06 09:00") == "pass"
    assert fresh.door("commuter", "2022-05-13 08:00:01", entered="2022-05-06 09:00") == "refuse"
    on_the_4th = resident(A2, negative("2022-04-19 20:00", "2022-04-20 08:00"))
    assert on_the_4th.door("commuter", "2022-05-04 08:00", entered="2022-04-22 07:00") == "pass"
    assert on_the_4th.door("commuter", "2022-05-04 08:00:01", entered="2022-04-22 07:00") == "refuse"
    new = resident(A2, negative("2022-05-01 20:00", "2022-05-02 08:00"))
    assert new.door("commuter", "2022-05-04 08:00") == "pass"
    assert new.door("commuter", "2022-05-04 08:00:01") == "refuse"


@pytest.mark.parametrize("days", [1, 2, 5])
def test_delivery_workers_test_by_zone_from_6_may(days: int) -> None:
    profile = f"delivery_worker_{days}_day{'s' if days > 1 else ''}"
    someone = resident(A2, negative("2022-05-06 20:00", "2022-05-07 08:00"))
    assert someone.door(profile, "2022-05-05 23:59:59") == "unknown"
    assert someone.door(profile, f"2022-05-{7 + days:02} 08:00") == "pass"
    assert someone.door(profile, f"2022-05-{7 + days:02} 08:00:01") == "refuse"


NEW_DOORS = ("public_place", "commuter", *(f"delivery_worker_{d}" for d in ("1_day", "2_days", "5_days")))


@pytest.mark.parametrize("profile", NEW_DOORS)
def test_no_changed_door_lets_a_notice_or_a_colour_pass(profile: str) -> None:
    for known in (
        fact("contacts", last_exposure_at="2022-05-05 17:00"),
        fact("exposures", last_at="2022-05-05 20:00", confirmed_at="2022-05-06 00:00"),
    ):
        someone = resident(A2, negative("2022-05-06 20:00", "2022-05-07 08:00"), known)
        assert someone.door(profile, "2022-05-07 09:00") == "refuse"
        assert someone.door(profile, "2022-05-07 09:00", purpose="emergency_care") == "pass"


def test_the_exceptions_stand_at_every_changed_door() -> None:
    assert all(set(d.never_block) == set(A2.standing_exceptions) for d in A2.doors)


# --- The switch --------------------------------------------------------------------------------------------------------


def test_the_switch_of_4_may_shortens_a_hold_that_is_open() -> None:
    """Last met on 22 April: red until 7 May under the old rule; ten days were over on 3 May."""
    contact = fact("contacts", last_exposure_at="2022-04-22 17:00")
    assert resident(A, contact).shows("2022-05-06 23:59:59") == "red"
    turns(
        resident(SERIES, contact),
        ("2022-04-22 17:00", "red"),
        ("2022-05-04 00:00", "yellow"),
        ("2022-05-10 00:00", "green"),
    )


def test_the_switch_frees_who_has_served_the_new_time_already() -> None:
    contact = fact("contacts", last_exposure_at="2022-04-16 17:00")
    someone = resident(SERIES, contact)
    assert (someone.shows("2022-05-03 23:59:59"), someone.shows("2022-05-04 00:00")) == ("yellow", "green")


def test_the_switch_turns_a_contact_of_a_contact_from_red_to_yellow() -> None:
    someone = resident(SERIES, fact("contacts", degree=2, last_exposure_at="2022-04-30 17:00"))
    turns(
        someone,
        ("2022-04-30 17:00", "red"),
        ("2022-05-04 00:00", "yellow"),
        ("2022-05-08 00:00", "green"),
    )


def test_a_series_that_says_grandfather_leaves_open_holds_alone() -> None:
    first, second = read(BEIJING)
    kept = second.replace("grandfather = false", "grandfather = true")
    assert kept != second
    base = load(first)
    series = timeline([base, amend(base, kept)])
    old = resident(series, fact("contacts", last_exposure_at="2022-04-22 17:00"))
    turns(
        old,
        ("2022-04-22 17:00", "red"),
        ("2022-05-07 00:00", "yellow"),
        ("2022-05-14 00:00", "green"),
    )
    new = resident(series, fact("contacts", last_exposure_at="2022-05-04 00:00"))
    assert (new.shows("2022-05-14 23:59:59"), new.shows("2022-05-15 00:00")) == ("red", "yellow")


def test_a_verdict_names_the_version_that_made_it() -> None:
    someone = resident(SERIES)
    assert someone.verdict(at("2022-05-04 00:00") - 1).policy.version == "2022-04-22"
    assert someone.verdict("2022-05-04 00:00").policy.version == "2022-05-04"


# --- Amendments an officer could write ---------------------------------------------------------------------------------


def test_the_option_of_two_tests_for_a_match_is_one_more_clear() -> None:
    """Chengdu's option in the table (auto2): off as published, switched on by replacing one rule."""
    auto2 = """
[[rule.clear]]
on = "tests"
when = "method = 'nat' and result = 'negative' and sampled_at between since and since + days(3)"
count = 2
apart_hours = 24
action = "test"
text.zh = "三天内两次核酸结果均为阴性，采样间隔24小时以上。"
text.en = "Two tests within three days, sampled at least 24 hours apart, are negative."
"""
    anchor = 'on = "clearances"\nwhen = "rule = \'A-P3\''
    policy = load_amended(A, ("A-P3", f"[[rule.clear]]\n{anchor}", f"{auto2}[[rule.clear]]\n{anchor}"))
    match = fact("exposures", last_at="2022-04-22 20:00", confirmed_at="2022-04-24 09:00")
    tests = (negative("2022-04-25 10:00"), negative("2022-04-26 10:00", "2022-04-26 20:00"))
    turns(resident(policy, match, *tests), ("2022-04-24 09:00", "popup:3"), ("2022-04-26 20:00", "green"))
    late = (negative("2022-04-25 10:00"), negative("2022-04-27 09:00:01"))
    assert resident(policy, match, *late).shows("2022-04-28 00:00") == "popup:3"


# --- What is shipped ---------------------------------------------------------------------------------------------------


def test_two_series_are_shipped_and_the_first_has_its_amendment() -> None:
    assert names() == (BEIJING, "protocol-9-2022-06-28")
    assert [p.version for p in SERIES.versions] == ["2022-04-22", "2022-05-04"]
    assert SERIES.versions[0].effective_from == at("2022-04-22")
    assert SERIES.versions[1].effective_from == at("2022-05-04")


def test_a_pinned_version_leaves_later_amendments_out() -> None:
    assert read(f"{BEIJING}@2022-04-22") == read(BEIJING)[:1]
    assert read(f"{BEIJING}@2022-05-04") == read(BEIJING)


@pytest.mark.parametrize("name", ["beijing", f"{BEIJING}@2022-04-23", f"{BEIJING}@"])
def test_what_is_not_shipped_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refused:
        read(name)
    assert refused.value.code is Code.BAD_POLICY


def test_the_reference_tells_every_rule_door_parameter_and_exception() -> None:
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "policies.md").read_text(encoding="utf-8")
    for policy in (A, A2, protocol_9()):
        told = [r.id for r in policy.rules] + [d.id for d in policy.doors]
        told += [*policy.parameters, *policy.standing_exceptions, policy.version]
        assert [name for name in told if f"`{name}`" not in reference] == []


def test_no_rule_speaks_of_vaccination() -> None:
    for policy in (A, A2, protocol_9()):
        facts = {r.on for r in policy.rules} | {c.on for r in policy.rules for c in (*r.clears, *r.unless)}
        assert "vaccinations" not in facts

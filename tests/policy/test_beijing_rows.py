"""Policy A, Beijing from 22 April 2022: every row of its table, as a nurse would tell it."""

from __future__ import annotations

import pytest
from resident import Resident, at, cleared, fact, frozen, negative, resident, turns

from kangma.tracing.rule import CompanionRule, TracingRule

A = frozen()


# --- A-R1, A-Y1: cases -------------------------------------------------------------------------------------------------


def test_a_case_is_red_until_discharged_then_yellow_for_seven_days() -> None:
    someone = resident(A, fact("cases", confirmed_at="2022-04-23 09:00", discharged_at="2022-05-02 15:00"))
    turns(
        someone,
        ("2022-04-23 09:00", "red"),
        ("2022-05-02 15:00", "yellow"),
        ("2022-05-10 00:00", "green"),
    )


def test_an_asymptomatic_case_is_red_as_well() -> None:
    someone = resident(A, fact("cases", kind="asymptomatic", confirmed_at="2022-04-23 09:00"))
    assert someone.shows("2022-04-23 09:00") == "red"


def test_a_case_still_in_hospital_stays_red_however_long() -> None:
    someone = resident(A, fact("cases", confirmed_at="2022-04-23 09:00"))
    assert someone.shows("2022-10-01 00:00") == "red"


def test_a_case_that_is_ruled_out_is_red_no_longer() -> None:
    someone = resident(A, fact("cases", confirmed_at="2022-04-23 09:00", excluded_at="2022-04-24 18:00"))
    turns(someone, ("2022-04-23 09:00", "red"), ("2022-04-24 18:00", "green"))


def test_a_case_ruled_out_after_discharge_is_monitored_no_longer() -> None:
    someone = resident(
        A,
        fact(
            "cases",
            confirmed_at="2022-04-23 09:00",
            discharged_at="2022-05-02 15:00",
            excluded_at="2022-05-03 08:00",
        ),
    )
    turns(someone, ("2022-04-23 09:00", "red"), ("2022-05-02 15:00", "yellow"), ("2022-05-03 08:00", "green"))


# --- A-R2, A-P0: first positives ---------------------------------------------------------------------------------------


def _positive(**said: object) -> tuple[str, dict[str, object]]:
    return fact(
        "tests", result="positive", sampled_at="2022-04-24 18:00", reported_at="2022-04-25 12:00", **said
    )


def test_a_single_positive_is_red_until_the_recheck_is_negative() -> None:
    someone = resident(A, _positive(), negative("2022-04-25 15:00", "2022-04-26 03:00"))
    turns(someone, ("2022-04-25 12:00", "red"), ("2022-04-26 03:00", "green"))


def test_a_first_positive_that_nobody_confirms_in_48_hours_becomes_a_reminder() -> None:
    someone = resident(A, _positive())
    turns(
        someone,
        ("2022-04-25 12:00", "red"),
        ("2022-04-27 12:00", "remind"),
        ("2022-05-04 12:00", "green"),
    )


@pytest.mark.parametrize(
    "other",
    [
        negative("2022-04-25 15:00", "2022-04-26 03:00", pooled=True),
        negative("2022-04-24 18:00", "2022-04-26 03:00"),
        negative("2022-04-25 15:00", "2022-04-26 03:00", method="antigen"),
        fact("tests", reported_at="2022-04-26 03:00"),
        fact("tests", result="invalid", sampled_at="2022-04-25 15:00", reported_at="2022-04-26 03:00"),
        fact("tests", result="pending", sampled_at="2022-04-25 15:00", reported_at="2022-04-26 03:00"),
    ],
    ids=["pooled", "not sampled later", "antigen", "no sampling time", "invalid", "pending"],
)
def test_what_is_not_a_later_single_negative_rechecks_nothing(other: tuple[str, dict[str, object]]) -> None:
    assert resident(A, _positive(), other).shows("2022-04-26 03:00") == "red"


@pytest.mark.parametrize("pooled", [True, False])
def test_an_antigen_test_colours_nobody(pooled: bool) -> None:
    said = {
        "method": "antigen",
        "result": "positive",
        "pooled": pooled,
        "pool_positive_at": "2022-04-25 13:00",
    }
    someone = resident(
        A, fact("tests", sampled_at="2022-04-25 11:00", reported_at="2022-04-25 12:00", **said)
    )
    assert someone.shows("2022-04-26 00:00") == "green"


def test_a_positive_recheck_makes_a_case_and_the_red_goes_on() -> None:
    someone = resident(A, _positive(), fact("cases", confirmed_at="2022-04-26 10:00"))
    assert someone.holds("2022-04-26 10:00") == {"A-R1", "A-R2"}
    assert someone.holds("2022-04-28 00:00") == {"A-R1", "A-R2"}  # A-R2 is capped and only reminds
    assert someone.shows("2022-04-28 00:00") == "red"


def _pooled(result: str = "negative", **said: object) -> tuple[str, dict[str, object]]:
    return fact(
        "tests",
        result=result,
        pooled=True,
        pool_id="t9",
        sampled_at="2022-04-24 18:00",
        reported_at="2022-04-25 12:00",
        **said,
    )


def test_everybody_of_a_positive_tube_rechecks_alone() -> None:
    someone = resident(
        A, _pooled(pool_positive_at="2022-04-25 13:00"), negative("2022-04-25 15:00", "2022-04-26 03:00")
    )
    turns(someone, ("2022-04-25 13:00", "popup:3"), ("2022-04-26 03:00", "green"))


def test_the_notice_of_a_positive_tube_ends_after_48_hours() -> None:
    someone = resident(A, _pooled("positive", pool_positive_at="2022-04-25 13:00"))
    turns(
        someone,
        ("2022-04-25 13:00", "popup:3"),
        ("2022-04-27 13:00", "remind:3"),
        ("2022-05-04 13:00", "green"),
    )


@pytest.mark.parametrize(
    "other",
    [
        negative("2022-04-25 15:00", "2022-04-26 03:00", pooled=True),
        negative("2022-04-24 18:00", "2022-04-26 03:00"),
        negative("2022-04-25 15:00", "2022-04-26 03:00", method="antigen"),
    ],
    ids=["pooled", "not sampled later", "antigen"],
)
def test_a_tube_is_rechecked_by_a_later_single_test_only(other: tuple[str, dict[str, object]]) -> None:
    someone = resident(A, _pooled(pool_positive_at="2022-04-25 13:00"), other)
    assert someone.shows("2022-04-26 03:00") == "popup:3"


def test_a_negative_tube_says_nothing() -> None:
    assert resident(A, _pooled()).shows("2022-04-25 12:00") == "green"


def test_a_positive_pooled_sample_alone_is_not_red() -> None:
    assert resident(A, _pooled("positive")).shows("2022-04-25 12:00") == "popup:3"


# --- A-R4, A-Y4, A-R5: contacts ----------------------------------------------------------------------------------------


def test_a_close_contact_is_red_for_fourteen_days_then_yellow_for_seven() -> None:
    someone = resident(A, fact("contacts", last_exposure_at="2022-04-22 17:00"))
    turns(
        someone,
        ("2022-04-22 17:00", "red"),
        ("2022-05-07 00:00", "yellow"),
        ("2022-05-14 00:00", "green"),
    )


def test_a_contact_is_told_when_to_test() -> None:
    assert A.rule("A-R4").test_days == (1, 4, 7, 14)
    assert A.rule("A-Y4").test_days == (16, 21)  # days 2 and 7 at home
    assert A.rule("A-R5").test_days == (1, 4, 7)


def test_days_are_counted_from_the_day_of_the_contact_in_beijing_time() -> None:
    late = resident(A, fact("contacts", last_exposure_at="2022-04-22 23:59:59"))
    later = resident(A, fact("contacts", last_exposure_at="2022-04-23 00:00"))
    assert (late.shows("2022-05-07 00:00"), later.shows("2022-05-07 00:00")) == ("yellow", "red")


def test_a_contact_is_free_when_the_case_is_ruled_out() -> None:
    someone = resident(
        A, fact("contacts", last_exposure_at="2022-04-22 17:00", index_excluded_at="2022-04-25 08:30")
    )
    turns(someone, ("2022-04-22 17:00", "red"), ("2022-04-25 08:30", "green"))


def test_one_case_ruled_out_does_not_free_from_another() -> None:
    someone = resident(
        A,
        fact("contacts", last_exposure_at="2022-04-22 17:00", index_excluded_at="2022-04-25 08:30"),
        fact("contacts", last_exposure_at="2022-04-22 17:00", index_case_id="c2"),
    )
    assert someone.shows("2022-04-26 00:00") == "red"


def test_an_upheld_appeal_ends_the_whole_chain() -> None:
    someone = resident(
        A,
        fact("contacts", last_exposure_at="2022-04-22 17:00"),
        cleared("A-R4", "released", "2022-04-24 11:00"),
    )
    turns(someone, ("2022-04-22 17:00", "red"), ("2022-04-24 11:00", "green"))
    assert someone.shows("2022-05-07 00:00") == "green"


def test_a_finding_of_last_month_does_not_answer_todays_hold() -> None:
    someone = resident(
        A,
        fact("contacts", last_exposure_at="2022-04-22 17:00"),
        cleared("A-R4", "released", "2022-03-24 11:00"),
    )
    assert someone.shows("2022-04-24 11:00") == "red"


def test_a_finding_about_another_rule_frees_nobody() -> None:
    someone = resident(
        A,
        fact("contacts", last_exposure_at="2022-04-22 17:00"),
        cleared("A-P3", "no_link", "2022-04-24 11:00"),
    )
    assert someone.shows("2022-04-24 11:00") == "red"


def test_a_contact_of_a_contact_is_red_for_seven_days() -> None:
    someone = resident(A, fact("contacts", degree=2, last_exposure_at="2022-04-22 17:00"))
    turns(someone, ("2022-04-22 17:00", "red"), ("2022-04-30 00:00", "green"))


def test_a_contact_of_a_contact_becomes_a_contact_when_the_one_between_turns_positive() -> None:
    someone = resident(
        A,
        fact(
            "contacts",
            degree=1,
            declared_degree=2,
            last_exposure_at="2022-04-22 17:00",
            index_positive_at="2022-04-26 10:00",
        ),
    )
    assert someone.holds("2022-04-26 09:59:59") == {"A-R5"}
    assert someone.holds("2022-04-26 10:00") == {"A-R4"}
    turns(
        someone,
        ("2022-04-22 17:00", "red"),
        ("2022-05-07 00:00", "yellow"),
        ("2022-05-14 00:00", "green"),
    )


def test_a_contact_between_who_turns_positive_late_makes_the_second_chain_begin_then() -> None:
    late = fact(
        "contacts",
        degree=1,
        declared_degree=2,
        last_exposure_at="2022-04-22 17:00",
        index_positive_at="2022-05-09 10:00",
    )
    turns(
        resident(A, late),
        ("2022-04-22 17:00", "red"),
        ("2022-04-30 00:00", "green"),
        ("2022-05-09 10:00", "yellow"),
        ("2022-05-14 00:00", "green"),
    )


# --- A-R6, A-Y6, A-R7: arrivals from abroad ----------------------------------------------------------------------------


def test_an_arrival_in_beijing_is_red_then_yellow_then_reminded() -> None:
    someone = resident(A, fact("entries", entered_on="2022-04-23"))
    turns(
        someone,
        ("2022-04-23 00:00", "red popup:2"),
        ("2022-05-08 00:00", "yellow popup:2"),
        ("2022-05-15 00:00", "remind:monitoring"),
        ("2022-05-22 00:00", "green"),
    )


def test_an_arrival_elsewhere_has_the_notice_for_twenty_one_days() -> None:
    someone = resident(A, fact("entries", entered_on="2022-04-23", port="PVG", port_city="上海市"))
    turns(someone, ("2022-04-23 00:00", "popup:2"), ("2022-05-15 00:00", "green"))


def test_an_arrival_is_released_by_appeal() -> None:
    someone = resident(
        A, fact("entries", entered_on="2022-04-23"), cleared("A-R6", "released", "2022-04-30 10:00")
    )
    turns(someone, ("2022-04-23 00:00", "red popup:2"), ("2022-04-30 10:00", "green"))
    assert someone.shows("2022-05-08 00:00") == "green"


# --- A-R8, A-Y8: risk areas --------------------------------------------------------------------------------------------


def _stay(level: str, **said: object) -> tuple[str, dict[str, object]]:
    usual = {
        "entered_at": "2022-04-24 10:00",
        "left_at": "2022-04-24 12:00",
        "level_from": "2022-04-20 16:00",
        "level": level,
    }
    return fact("risk_stays", **{**usual, **said})


@pytest.mark.parametrize(("level", "colour"), [("high", "red"), ("medium", "yellow")])
def test_a_visitor_of_a_risk_area_counts_fourteen_days_from_the_leave(level: str, colour: str) -> None:
    turns(resident(A, _stay(level)), ("2022-04-24 10:00", colour), ("2022-05-09 00:00", "green"))


@pytest.mark.parametrize(("level", "colour"), [("high", "red"), ("medium", "yellow")])
def test_who_lives_in_a_risk_area_counts_nothing_before_its_level_ends(level: str, colour: str) -> None:
    living = {"entered_at": "2022-03-01 00:00", "left_at": None, "level_from": "2022-04-24 16:00"}
    still = resident(A, _stay(level, **living))
    assert still.shows("2022-04-24 15:59:59") == "green"
    assert still.shows("2022-06-30 00:00") == colour
    ended = resident(A, _stay(level, **living, level_to="2022-05-08 14:00"))
    turns(ended, ("2022-04-24 16:00", colour), ("2022-05-23 00:00", "green"))


@pytest.mark.parametrize(("level", "colour"), [("high", "red"), ("medium", "yellow")])
def test_a_risk_area_elsewhere_colours_nobody_before_they_are_in_the_city(level: str, colour: str) -> None:
    stay = _stay(level, in_city=False)
    away = resident(A, stay, fact("people", away=True))
    assert away.shows("2022-04-25 00:00") == "green"
    come = resident(A, stay, fact("people", in_city_since="2022-04-26 09:30"))
    turns(come, ("2022-04-26 09:30", colour), ("2022-05-09 00:00", "green"))


def test_who_is_still_in_a_risk_area_elsewhere_is_not_coloured_by_it_here() -> None:
    stay = _stay("high", in_city=False, left_at=None)
    assert resident(A, stay).shows("2022-04-25 00:00") == "green"


def test_a_person_of_whom_nothing_else_is_known_is_judged_by_the_stay() -> None:
    someone = resident(A, _stay("high", in_city=False))
    someone.facts.pop("people")
    assert someone.shows("2022-04-25 00:00") == "red"


@pytest.mark.parametrize("level", ["high", "medium"])
def test_a_phone_counts_as_a_stay_after_four_hours_only(level: str) -> None:
    short = resident(A, _stay(level, source="telecom", left_at="2022-04-24 13:59:59"))
    long = resident(A, _stay(level, source="telecom", left_at="2022-04-24 14:00"))
    scanned = resident(A, _stay(level, source="scan", left_at="2022-04-24 10:01"))
    now = "2022-04-24 14:00"
    assert [x.shows(now) == "green" for x in (short, long, scanned)] == [True, False, False]


@pytest.mark.parametrize(
    ("level", "code"), [("high", "red"), ("medium", "yellow"), ("controlled", "popup:3")]
)
def test_a_phone_that_is_still_there_counts_from_the_fourth_hour_on(level: str, code: str) -> None:
    someone = resident(A, _stay(level, source="telecom", left_at=None))
    turns(someone, ("2022-04-24 14:00", code))
    assert someone.verdict("2022-04-24 13:59:59").next_change_at == at("2022-04-24 14:00")
    assert resident(A, _stay(level, source="ticket", left_at=None)).shows("2022-04-24 10:00") == code


def test_a_low_risk_area_colours_nobody() -> None:
    assert resident(A, _stay("low")).shows("2022-04-24 10:00") == "green"


def test_a_stay_that_never_was_is_lifted_by_two_officers() -> None:
    someone = resident(A, _stay("high"), cleared("A-R8", "no_link", "2022-04-25 09:00"))
    turns(someone, ("2022-04-24 10:00", "red"), ("2022-04-25 09:00", "green"))
    someone = resident(A, _stay("medium"), cleared("A-Y8", "released", "2022-04-25 09:00"))
    turns(someone, ("2022-04-24 10:00", "yellow"), ("2022-04-25 09:00", "green"))


# --- A-Y9, A-P1, A-P5: counties ----------------------------------------------------------------------------------------


def _county(**said: object) -> tuple[str, dict[str, object]]:
    return fact("county_stays", **{"entered_at": "2022-04-10 08:00", **said})


def test_who_is_in_a_county_with_a_risk_area_is_yellow_while_there_and_then_has_the_notice() -> None:
    someone = resident(A, _county(left_at="2022-04-20 18:00", risk_from="2022-04-12 00:00"))
    turns(
        someone,
        ("2022-04-12 00:00", "yellow"),
        ("2022-04-20 18:00", "popup:1"),
        ("2022-05-05 00:00", "green"),
    )


def test_a_county_that_is_low_again_colours_nobody() -> None:
    still = resident(A, _county(risk_from="2022-04-01 00:00", risk_to="2022-04-25 00:00"))
    turns(still, ("2022-04-10 08:00", "yellow"), ("2022-04-25 00:00", "green"))
    left = resident(
        A, _county(left_at="2022-04-20 18:00", risk_from="2022-04-12 00:00", risk_to="2022-04-25 00:00")
    )
    turns(
        left,
        ("2022-04-12 00:00", "yellow"),
        ("2022-04-20 18:00", "popup:1"),
        ("2022-04-25 00:00", "green"),
    )


def test_the_notice_of_an_infected_county_lasts_fourteen_days_from_the_leave() -> None:
    someone = resident(A, _county(left_at="2022-04-20 18:00", infected_from="2022-04-12 00:00"))
    turns(someone, ("2022-04-12 00:00", "popup:1"), ("2022-05-05 00:00", "green"))


def test_the_notice_of_an_infected_county_ends_when_the_county_is_clear() -> None:
    someone = resident(
        A,
        _county(left_at="2022-04-20 18:00", infected_from="2022-04-12 00:00", infected_to="2022-04-28 00:00"),
    )
    turns(someone, ("2022-04-12 00:00", "popup:1"), ("2022-04-28 00:00", "green"))


def test_the_notice_of_an_infected_county_is_lifted_by_the_community() -> None:
    someone = resident(
        A,
        _county(left_at="2022-04-20 18:00", infected_from="2022-04-12 00:00"),
        cleared("A-P1", "registered", "2022-04-22 10:00"),
    )
    turns(someone, ("2022-04-12 00:00", "popup:1"), ("2022-04-22 10:00", "green"))


def test_a_test_does_not_lift_the_notice_of_a_county() -> None:
    tested = (negative("2022-04-21 10:00"), negative("2022-04-23 10:00"))
    infected = _county(left_at="2022-04-20 18:00", infected_from="2022-04-12 00:00")
    assert resident(A, infected, *tested).shows("2022-04-24 00:00") == "popup:1"
    border = _county(left_at="2022-04-20 18:00", land_border=True)
    assert resident(A, border, *tested).shows("2022-04-24 00:00") == "popup:5"


def test_passing_an_infected_county_by_train_is_no_stay() -> None:
    someone = resident(
        A,
        _county(
            source="telecom", left_at="2022-04-10 11:59", infected_from="2022-04-01 00:00", land_border=True
        ),
    )
    assert someone.shows("2022-04-11 00:00") == "green"


COUNTY_CODES = [
    ({"risk_from": "2022-04-01 00:00"}, "yellow"),
    ({"infected_from": "2022-04-01 00:00"}, "popup:1"),
    ({"land_border": True}, "popup:5"),
]


@pytest.mark.parametrize(("said", "code"), COUNTY_CODES)
def test_a_phone_in_a_county_counts_from_the_fourth_hour_on(said: dict[str, object], code: str) -> None:
    there = resident(A, _county(source="telecom", **said))
    turns(there, ("2022-04-10 12:00", code))
    assert resident(A, _county(source="declared", **said)).shows("2022-04-10 08:00") == code
    short = resident(A, _county(source="telecom", left_at="2022-04-10 11:59:59", **said))
    long = resident(A, _county(source="telecom", left_at="2022-04-10 12:00", **said))
    now = "2022-04-10 12:00"
    assert short.shows(now) == "green"
    assert long.shows(now) == code.replace("yellow", "popup:1")


@pytest.mark.parametrize(("said", "code"), COUNTY_CODES)
def test_a_county_of_the_city_says_nothing_about_its_people(said: dict[str, object], code: str) -> None:
    assert resident(A, _county(**said)).shows("2022-04-11 00:00") == code
    assert resident(A, _county(in_city=True, **said)).shows("2022-04-11 00:00") == "green"


def test_who_leaves_a_county_after_its_risk_ended_was_yellow_until_then_only() -> None:
    someone = resident(
        A, _county(left_at="2022-04-20 18:00", risk_from="2022-04-01 00:00", risk_to="2022-04-15 00:00")
    )
    turns(someone, ("2022-04-10 08:00", "yellow"), ("2022-04-15 00:00", "green"))
    assert someone.shows("2022-04-20 18:00") == "green"


def test_who_leaves_a_county_after_it_was_clear_had_the_notice_until_then_only() -> None:
    someone = resident(
        A,
        _county(left_at="2022-04-20 18:00", infected_from="2022-04-01 00:00", infected_to="2022-04-15 00:00"),
    )
    turns(someone, ("2022-04-10 08:00", "popup:1"), ("2022-04-15 00:00", "green"))


def test_the_notice_of_a_land_border_county_lasts_fourteen_days_from_the_leave() -> None:
    someone = resident(A, _county(left_at="2022-04-20 18:00", land_border=True))
    turns(someone, ("2022-04-10 08:00", "popup:5"), ("2022-05-05 00:00", "green"))


def test_the_notice_of_a_land_border_county_is_lifted_by_the_community() -> None:
    someone = resident(
        A,
        _county(left_at="2022-04-20 18:00", land_border=True),
        cleared("A-P5", "registered", "2022-04-22 10:00"),
    )
    turns(someone, ("2022-04-10 08:00", "popup:5"), ("2022-04-22 10:00", "green"))


# --- A-P3, A-P3c, A-P3L: time and space --------------------------------------------------------------------------------

MATCHES = [("exposures", "A-P3"), ("companions", "A-P3c")]


def _match(kind: str, **said: object) -> tuple[str, dict[str, object]]:
    return fact(kind, **{"last_at": "2022-04-22 20:00", "confirmed_at": "2022-04-24 09:00", **said})


@pytest.mark.parametrize(("kind", "rule"), MATCHES)
def test_a_match_in_time_and_space_is_a_notice_from_the_finding_until_day_fourteen(
    kind: str, rule: str
) -> None:
    someone = resident(A, _match(kind))
    assert someone.holds("2022-04-24 09:00") == {rule}
    turns(someone, ("2022-04-24 09:00", "popup:3"), ("2022-05-07 00:00", "green"))


@pytest.mark.parametrize(("kind", "rule"), MATCHES)
def test_a_match_is_lifted_by_a_finding_of_no_link(kind: str, rule: str) -> None:
    someone = resident(A, _match(kind), cleared(rule, "no_link", "2022-04-25 16:00"))
    turns(someone, ("2022-04-24 09:00", "popup:3"), ("2022-04-25 16:00", "green"))


@pytest.mark.parametrize(("kind", "rule"), MATCHES)
def test_a_finding_of_a_link_lifts_nothing(kind: str, rule: str) -> None:
    assert (
        resident(A, _match(kind), cleared(rule, "link", "2022-04-25 16:00")).shows("2022-04-26 00:00")
        == "popup:3"
    )


@pytest.mark.parametrize(("kind", "rule"), MATCHES)
def test_a_match_ends_when_its_case_is_ruled_out(kind: str, rule: str) -> None:
    someone = resident(A, _match(kind, excluded_at="2022-04-26 12:00"))
    turns(someone, ("2022-04-24 09:00", "popup:3"), ("2022-04-26 12:00", "green"))


@pytest.mark.parametrize(("kind", "rule"), MATCHES)
def test_tests_do_not_lift_a_match_in_beijings_text(kind: str, rule: str) -> None:
    someone = resident(A, _match(kind), negative("2022-04-25 10:00"), negative("2022-04-26 12:00"))
    assert someone.shows("2022-04-27 00:00") == "popup:3"


def test_in_a_controlled_zone_the_notice_stands_until_it_is_lifted_and_four_days_of_care_follow() -> None:
    someone = resident(
        A,
        _stay(
            "controlled",
            entered_at="2022-03-01 00:00",
            left_at=None,
            level_from="2022-04-24 16:00",
            level_to="2022-05-04 10:00",
        ),
    )
    turns(
        someone,
        ("2022-04-24 16:00", "popup:3"),
        ("2022-05-04 10:00", "remind:monitoring"),
        ("2022-05-09 00:00", "green"),
    )
    assert A.rule("A-P3L").test_days == (1, 3, 5, 7, 10)
    assert A.rule("A-P3L").reason.zh.startswith("管控")


def test_a_locked_zone_is_a_controlled_zone() -> None:
    assert resident(A, _stay("locked", left_at=None)).shows("2022-04-24 10:00") == "popup:3"


def test_who_left_a_controlled_zone_before_it_ended_is_not_asked_to_wait_for_its_end() -> None:
    someone = resident(A, _stay("controlled", level_to="2022-05-04 10:00"))
    turns(someone, ("2022-04-24 10:00", "popup:3"), ("2022-04-24 12:00", "green"))
    assert someone.shows("2022-05-04 10:00") == "green"


def test_a_phone_in_a_zone_counts_as_a_stay_after_four_hours_only() -> None:
    now = "2022-04-24 13:00"
    short = _stay("controlled", source="telecom", left_at="2022-04-24 13:59:59")
    long = _stay("controlled", source="telecom", left_at="2022-04-24 14:00")
    assert (resident(A, short).shows(now), resident(A, long).shows(now)) == ("green", "popup:3")


def test_a_zone_elsewhere_says_nothing_here() -> None:
    assert resident(A, _stay("controlled", in_city=False)).shows("2022-04-24 10:00") == "green"


def test_who_does_not_live_in_the_zone_is_believed_by_the_community() -> None:
    someone = resident(A, _stay("controlled", left_at=None), cleared("A-P3L", "no_link", "2022-04-25 09:00"))
    turns(someone, ("2022-04-24 10:00", "popup:3"), ("2022-04-25 09:00", "green"))


# --- A-P4: tests that are due ------------------------------------------------------------------------------------------

ENTERED = fact("city_entries", at="2022-04-23 10:00")


def test_who_enters_is_reminded_for_72_hours_then_has_the_notice_until_its_cap() -> None:
    turns(
        resident(A, ENTERED),
        ("2022-04-23 10:00", "remind:4"),
        ("2022-04-26 10:00", "popup:4"),
        ("2022-05-01 00:00", "remind:4"),
        ("2022-05-08 00:00", "green"),
    )


@pytest.mark.parametrize(
    ("sampled", "counts"),
    [("2022-04-24 10:00", False), ("2022-04-24 10:00:01", True), ("2022-04-26 10:00", True)],
)
def test_the_test_after_entering_counts_when_sampled_after_the_first_24_hours(
    sampled: str, counts: bool
) -> None:
    someone = resident(A, ENTERED, negative(sampled, "2022-04-26 22:00"))
    assert someone.shows("2022-04-26 21:59:59") == "popup:4"
    assert someone.shows("2022-04-26 22:00") == ("green" if counts else "popup:4")


def test_a_test_sampled_late_lifts_the_notice_too() -> None:
    someone = resident(A, ENTERED, negative("2022-04-28 12:00", "2022-04-28 23:00"))
    turns(
        someone,
        ("2022-04-23 10:00", "remind:4"),
        ("2022-04-26 10:00", "popup:4"),
        ("2022-04-28 23:00", "green"),
    )


def test_a_result_without_sampling_time_counts_as_sampled_twelve_hours_before() -> None:
    early = resident(A, ENTERED, fact("tests", reported_at="2022-04-24 22:00"))
    later = resident(A, ENTERED, fact("tests", reported_at="2022-04-24 22:00:01"))
    assert (early.shows("2022-04-25 00:00"), later.shows("2022-04-25 00:00")) == ("remind:4", "green")


@pytest.mark.parametrize("said", [{"result": "positive"}, {"result": "pending"}, {"method": "antigen"}])
def test_only_a_negative_nucleic_acid_test_lifts_the_notice(said: dict[str, object]) -> None:
    someone = resident(
        A, ENTERED, fact("tests", sampled_at="2022-04-25 12:00", reported_at="2022-04-25 20:00", **said)
    )
    assert "A-P4a" in someone.holds("2022-04-26 10:00")


def test_a_child_of_three_need_not_test_after_entering() -> None:
    three = resident(A, ENTERED, fact("people", birth_date="2018-04-24"))
    four = resident(A, ENTERED, fact("people", birth_date="2018-04-23"))
    assert (three.shows("2022-04-26 10:00"), four.shows("2022-04-26 10:00")) == ("green", "popup:4")


def test_a_commuter_need_not_test_after_each_entry() -> None:
    commuting = fact(
        "occupations",
        occupation="commuter",
        from_at="2022-01-01 00:00",
        due_at="2022-12-01 00:00",
        every_days=14,
    )
    assert resident(A, ENTERED, commuting).shows("2022-04-26 10:00") == "green"
    former = fact(
        "occupations",
        occupation="commuter",
        from_at="2022-01-01 00:00",
        to_at="2022-04-23 10:00",
        due_at="2022-12-01 00:00",
        every_days=14,
    )
    assert resident(A, ENTERED, former).shows("2022-04-26 10:00") == "popup:4"


def test_who_leaves_within_72_hours_need_not_test() -> None:
    short = resident(A, fact("city_entries", at="2022-04-23 10:00", leaves_at="2022-04-26 09:59:59"))
    turns(short, ("2022-04-23 10:00", "remind:4"), ("2022-04-26 09:59:59", "green"))
    assert short.shows("2022-04-26 10:00") == "green"
    long = resident(A, fact("city_entries", at="2022-04-23 10:00", leaves_at="2022-04-26 10:00"))
    assert long.shows("2022-04-26 10:00") == "popup:4"


WHILES = [("purchases", "A-P4b"), ("clinic_visits", "A-P4c")]


@pytest.mark.parametrize(("kind", "rule"), WHILES)
def test_a_medicine_or_a_symptom_asks_for_one_test_within_72_hours(kind: str, rule: str) -> None:
    someone = resident(A, fact(kind, at="2022-04-23 10:00"))
    assert someone.holds("2022-04-26 10:00") == {rule}
    turns(
        someone,
        ("2022-04-23 10:00", "remind:4"),
        ("2022-04-26 10:00", "popup:4"),
        ("2022-05-01 00:00", "remind:4"),
        ("2022-05-08 00:00", "green"),
    )


@pytest.mark.parametrize(("kind", "rule"), WHILES)
def test_a_test_sampled_after_the_medicine_or_the_visit_lifts_it(kind: str, rule: str) -> None:
    bought = fact(kind, at="2022-04-23 10:00")
    at_once = resident(A, bought, negative("2022-04-23 10:00", "2022-04-23 22:00"))
    after = resident(A, bought, negative("2022-04-23 10:00:01", "2022-04-23 22:00"))
    assert at_once.shows("2022-04-26 10:00") == "popup:4"
    turns(after, ("2022-04-23 10:00", "remind:4"), ("2022-04-23 22:00", "green"))


MISSED = fact("missed_rounds", first_opened_at="2022-04-25 06:00", last_closed_at="2022-04-29 22:00")


def test_who_missed_all_three_rounds_has_the_notice_from_the_end_of_the_third() -> None:
    turns(
        resident(A, MISSED),
        ("2022-04-29 22:00", "popup:4"),
        ("2022-05-07 00:00", "remind:4"),
        ("2022-05-14 00:00", "green"),
    )


def test_any_negative_test_since_the_first_round_lifts_the_notice_of_missed_rounds() -> None:
    before = resident(A, MISSED, negative("2022-04-25 06:00", "2022-04-30 08:00"))
    since = resident(A, MISSED, negative("2022-04-25 06:00:01", "2022-04-30 08:00"))
    assert before.shows("2022-04-30 08:00") == "popup:4"
    turns(since, ("2022-04-29 22:00", "popup:4"), ("2022-04-30 08:00", "green"))


def test_who_missed_two_rounds_has_no_notice() -> None:
    said = {"first_opened_at": "2022-04-25 06:00", "last_closed_at": "2022-04-27 22:00"}
    assert resident(A, fact("missed_rounds", rounds=2, **said)).shows("2022-04-28 00:00") == "green"


def _work(**said: object) -> tuple[str, dict[str, object]]:
    usual = {
        "occupation": "cold_chain",
        "from_at": "2022-01-01 00:00",
        "last_sampled_at": "2022-04-22 09:00",
        "due_at": "2022-04-29 09:00",
    }
    return fact("occupations", **{**usual, **said})


def test_an_overdue_test_of_the_trade_is_a_notice_until_its_cap() -> None:
    turns(
        resident(A, _work()),
        ("2022-04-29 09:00", "popup:4"),
        ("2022-05-07 00:00", "remind:4"),
        ("2022-05-14 00:00", "green"),
    )


def test_a_new_test_lifts_the_notice_of_the_trade() -> None:
    someone = resident(A, _work(), negative("2022-04-30 10:00", "2022-04-30 20:00"))
    turns(someone, ("2022-04-29 09:00", "popup:4"), ("2022-04-30 20:00", "green"))
    old = resident(A, _work(), negative("2022-04-22 09:00", "2022-04-30 20:00"))
    assert old.shows("2022-04-30 20:00") == "popup:4"


def test_who_leaves_the_trade_loses_its_notice() -> None:
    someone = resident(A, _work(to_at="2022-05-01 00:00"))
    turns(someone, ("2022-04-29 09:00", "popup:4"), ("2022-05-01 00:00", "green"))


@pytest.mark.parametrize(
    ("rule", "known"),
    [
        ("A-P4a", ENTERED),
        ("A-P4b", fact("purchases", at="2022-04-23 10:00")),
        ("A-P4c", fact("clinic_visits", at="2022-04-23 10:00")),
        (
            "A-P4d",
            fact("missed_rounds", first_opened_at="2022-04-20 06:00", last_closed_at="2022-04-26 10:00"),
        ),
        ("A-P4e", _work(due_at="2022-04-26 10:00")),
    ],
)
def test_an_upheld_appeal_lifts_any_notice_of_a_due_test(
    rule: str, known: tuple[str, dict[str, object]]
) -> None:
    someone = resident(A, known, cleared(rule, "released", "2022-04-27 12:00"))
    assert (someone.shows("2022-04-27 11:59:59"), someone.shows("2022-04-27 12:00")) == ("popup:4", "green")


# --- A-U1, A-G ---------------------------------------------------------------------------------------------------------

CONTRADICTED = fact("city_entries", at="2022-04-23 10:00", itinerary="contradicted")


def test_an_itinerary_that_disagrees_with_the_record_is_unknown_for_72_hours_at_most() -> None:
    someone = resident(A, CONTRADICTED, negative("2022-04-24 12:00", "2022-04-24 20:00"))
    turns(
        someone,
        ("2022-04-23 10:00", "unknown remind:4"),
        ("2022-04-24 20:00", "unknown"),
        ("2022-04-26 10:00", "remind"),
        ("2022-05-03 10:00", "green"),
    )


def test_registering_with_the_community_ends_the_unknown_state() -> None:
    someone = resident(A, CONTRADICTED, cleared("A-U1", "registered", "2022-04-23 15:00"))
    turns(someone, ("2022-04-23 10:00", "unknown remind:4"), ("2022-04-23 15:00", "remind:4"))


@pytest.mark.parametrize("itinerary", ["agrees", "undeclared"])
def test_an_entry_that_nothing_contradicts_is_only_reminded(itinerary: str) -> None:
    someone = resident(A, fact("city_entries", at="2022-04-23 10:00", itinerary=itinerary))
    assert someone.shows("2022-04-23 10:00") == "remind:4"


def test_the_unknown_state_never_hides_a_colour() -> None:
    someone = resident(A, CONTRADICTED, fact("cases", confirmed_at="2022-04-23 12:00"))
    assert someone.shows("2022-04-23 12:00") == "red remind:4"


def test_who_has_no_hold_is_green() -> None:
    assert resident(A).shows("2022-04-23 12:00") == "green"
    assert resident(A).verdict("2022-04-23 12:00").next_change_at is None


def test_a_vaccination_never_colours_the_code() -> None:
    given = fact("vaccinations", product="p", dose=1, given_on="2022-04-01")
    assert resident(A, given).shows("2022-04-23 12:00") == "green"


# --- Doors -------------------------------------------------------------------------------------------------------------


def _tested(*more: tuple[str, dict[str, object]]) -> Resident:
    return resident(A, negative("2022-04-27 20:00", "2022-04-28 08:00"), *more)


@pytest.mark.parametrize("profile", ["board_to_beijing", "hospital"])
def test_boarding_and_hospitals_ask_for_a_test_within_48_hours(profile: str) -> None:
    someone = _tested()
    assert someone.door(profile, "2022-04-30 08:00") == "pass"
    assert someone.door(profile, "2022-04-30 08:00:01") == "refuse"
    assert resident(A).door(profile, "2022-04-30 08:00") == "unknown"  # no record: the manual lane


def test_public_places_ask_for_green_and_on_1_to_4_may_for_a_test_within_48_hours() -> None:
    someone = resident(A, negative("2022-04-28 20:00", "2022-04-29 08:00"))
    assert someone.door("public_place", "2022-04-30 23:59:59") == "pass"
    assert someone.door("public_place", "2022-05-01 08:00") == "pass"
    assert someone.door("public_place", "2022-05-01 08:00:01") == "refuse"
    assert someone.door("public_place", "2022-05-04 23:59:59") == "refuse"
    assert someone.door("public_place", "2022-05-05 00:00") == "pass"
    assert resident(A).door("public_place", "2022-04-30 23:59:59") == "pass"
    assert resident(A).door("public_place", "2022-05-01 00:00") == "unknown"


def test_a_commuter_needs_48_hours_the_first_time_and_fourteen_days_from_then_on() -> None:
    someone = _tested()
    assert someone.door("commuter", "2022-04-30 08:00") == "pass"
    assert someone.door("commuter", "2022-04-30 08:00:01") == "refuse"
    assert someone.door("commuter", "2022-04-30 08:00:01", entered="2022-04-29 07:00") == "pass"
    assert someone.door("commuter", "2022-05-12 08:00", entered="2022-04-29 07:00") == "pass"
    assert someone.door("commuter", "2022-05-12 08:00:01", entered="2022-04-29 07:00") == "refuse"


def test_a_ride_asks_for_green_alone() -> None:
    assert resident(A).door("ride_hailing", "2022-04-30 08:00") == "pass"


DOORS = ("board_to_beijing", "public_place", "commuter", "ride_hailing", "hospital")


@pytest.mark.parametrize("profile", DOORS)
@pytest.mark.parametrize("day", ["2022-04-29", "2022-05-01", "2022-05-05"])
def test_a_notice_is_not_green_at_a_door_and_a_reminder_is(profile: str, day: str) -> None:
    now, test = f"{day} 08:00", negative(f"{day} 06:00")
    noticed = resident(
        A, test, fact("exposures", last_at="2022-04-22 20:00", confirmed_at="2022-04-24 09:00")
    )
    reminded = resident(A, test, fact("purchases", at=f"{day} 07:00"))
    assert (noticed.shows(now), noticed.door(profile, now)) == ("popup:3", "refuse")
    assert (reminded.shows(now), reminded.door(profile, now)) == ("remind:4", "pass")


@pytest.mark.parametrize("profile", DOORS)
@pytest.mark.parametrize("day", ["2022-04-29", "2022-05-01", "2022-05-05"])
def test_a_colour_is_refused_and_an_unverified_code_is_not(profile: str, day: str) -> None:
    now, test = f"{day} 08:00", negative(f"{day} 06:00")
    red = resident(A, test, fact("contacts", last_exposure_at="2022-04-27 17:00"))
    yellow = resident(
        A, test, fact("risk_stays", level="medium", entered_at="2022-04-27 17:00", level_from="2022-04-20")
    )
    unknown = resident(A, test, fact("city_entries", at=f"{day} 07:00", itinerary="contradicted"))
    assert [x.door(profile, now) for x in (red, yellow, unknown)] == ["refuse", "refuse", "unknown"]


EXCEPTIONS = ("emergency_care", "go_home_own_residence", "test_site", "pharmacy_pickup_by_agreement")


@pytest.mark.parametrize("profile", DOORS)
def test_nobody_is_kept_from_care_home_a_test_or_medicine_at_any_door(profile: str) -> None:
    red = resident(A, fact("cases", confirmed_at="2022-04-23 09:00"))
    for purpose in EXCEPTIONS:
        assert red.door(profile, "2022-04-29 08:00", purpose=purpose) == "pass"
    assert red.door(profile, "2022-04-29 08:00", purpose="shopping") == "refuse"
    assert tuple(A.standing_exceptions) == EXCEPTIONS


def test_these_are_all_the_doors() -> None:
    assert {d.id for d in A.doors} == set(DOORS)
    assert all(d.never_block == EXCEPTIONS for d in A.doors)


# --- What the policy fixes besides -------------------------------------------------------------------------------------


def test_the_parameters_of_the_table() -> None:
    assert A.tracing == TracingRule(10, 0, 2, CompanionRule(800, 10, 30, 14, either=True))
    areas = {k: v for k, v in A.parameters.items() if k.startswith("area_")}
    assert areas == {"area_window_days": 14, "area_high_from_cases": 6, "area_medium_from_cases": 2}
    assert (A.nat.day_mode, A.nat.grace_days) == ("hours_from_report", 0)
    assert tuple(A.notices) == ("1", "2", "3", "4", "5", "monitoring")
    assert len(A.districts) == 16


# --- What every rule owes ----------------------------------------------------------------------------------------------

ROWS = [
    "A-R1",
    "A-Y1",
    "A-R2",
    "A-P0",
    "A-R4",
    "A-Y4",
    "A-R5",
    "A-R6",
    "A-Y6",
    "A-R7",
    "A-R8",
    "A-Y8",
    "A-Y9",
    "A-P1",
    "A-P3",
    "A-P3c",
    "A-P3L",
    "A-P4a",
    "A-P4b",
    "A-P4c",
    "A-P4d",
    "A-P4e",
    "A-P5",
    "A-U1",
]


def test_every_row_of_the_table_is_a_rule_and_nothing_else_is() -> None:
    assert {rule.id for rule in A.rules} == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_every_rule_says_in_both_languages_why_and_how_it_ends(name: str) -> None:
    rule = A.rule(name)
    texts = [
        rule.reason,
        rule.way_out,
        *(c.text for c in rule.clears),
        *(s.text for s in rule.stages[1:] if s.text),
    ]
    for text in texts:
        assert any("一" <= c <= "鿿" for c in text.zh)
        assert text.en.isascii()
        assert text.en.endswith(".")
    assert rule.basis.startswith("7.A ")


@pytest.mark.parametrize("name", [r for r in ROWS if r != "A-R1"])
def test_every_hold_but_that_of_the_sick_can_be_lifted_by_two_officers(name: str) -> None:
    assert any(clear.on == "clearances" for clear in A.rule(name).clears)


@pytest.mark.parametrize("name", [r for r in ROWS if r != "A-R1"])
def test_every_hold_but_that_of_the_sick_has_a_cap(name: str) -> None:
    assert A.rule(name).cap is not None

"""Policy B, the 9th edition from 28 June 2022: every row of its table, as a nurse would tell it."""

from __future__ import annotations

import pytest
from resident import cleared, fact, load_amended, negative, protocol_9, resident, turns

from kangma.tracing.rule import CompanionRule, TracingRule

B = protocol_9()


# --- B-R1, B-Y1: cases -------------------------------------------------------------------------------------------------


def test_a_case_is_red_until_discharged_then_yellow_for_seven_days() -> None:
    someone = resident(B, fact("cases", confirmed_at="2022-07-03 09:00", discharged_at="2022-07-12 15:00"))
    turns(
        someone,
        ("2022-07-03 09:00", "red"),
        ("2022-07-12 15:00", "yellow"),
        ("2022-07-20 00:00", "green"),
    )


def test_a_case_that_is_ruled_out_is_red_no_longer() -> None:
    someone = resident(B, fact("cases", confirmed_at="2022-07-03 09:00", excluded_at="2022-07-04 18:00"))
    turns(someone, ("2022-07-03 09:00", "red"), ("2022-07-04 18:00", "green"))


def test_a_case_ruled_out_after_discharge_is_monitored_no_longer() -> None:
    someone = resident(
        B,
        fact(
            "cases",
            confirmed_at="2022-07-03 09:00",
            discharged_at="2022-07-12 15:00",
            excluded_at="2022-07-13 08:00",
        ),
    )
    turns(someone, ("2022-07-03 09:00", "red"), ("2022-07-12 15:00", "yellow"), ("2022-07-13 08:00", "green"))


def test_a_case_still_in_hospital_stays_red_however_long() -> None:
    assert resident(B, fact("cases", confirmed_at="2022-07-03 09:00")).shows("2022-12-01 00:00") == "red"


# --- B-R2, B-P0: first positives ---------------------------------------------------------------------------------------


def _positive(**said: object) -> tuple[str, dict[str, object]]:
    return fact(
        "tests", result="positive", sampled_at="2022-07-04 18:00", reported_at="2022-07-05 12:00", **said
    )


def test_a_single_positive_is_red_until_the_recheck_is_negative() -> None:
    someone = resident(B, _positive(), negative("2022-07-05 15:00", "2022-07-06 03:00"))
    turns(someone, ("2022-07-05 12:00", "red"), ("2022-07-06 03:00", "green"))


def test_a_first_positive_that_nobody_confirms_in_48_hours_becomes_a_reminder() -> None:
    someone = resident(B, _positive())
    turns(
        someone,
        ("2022-07-05 12:00", "red"),
        ("2022-07-07 12:00", "remind"),
        ("2022-07-14 12:00", "green"),
    )


def test_everybody_of_a_positive_tube_rechecks_alone() -> None:
    tube = negative("2022-07-04 18:00", "2022-07-05 12:00", pooled=True, pool_positive_at="2022-07-05 13:00")
    rechecked = resident(B, tube, negative("2022-07-05 15:00", "2022-07-06 03:00"))
    turns(rechecked, ("2022-07-05 13:00", "popup:time-space"), ("2022-07-06 03:00", "green"))
    waiting = resident(B, tube)
    turns(
        waiting,
        ("2022-07-05 13:00", "popup:time-space"),
        ("2022-07-07 13:00", "remind:time-space"),
        ("2022-07-14 13:00", "green"),
    )


TUBE = negative("2022-07-04 18:00", "2022-07-05 12:00", pooled=True, pool_positive_at="2022-07-05 13:00")


@pytest.mark.parametrize(("known", "rule"), [(_positive(), "B-R2"), (TUBE, "B-P0")], ids=["positive", "tube"])
@pytest.mark.parametrize(
    "other",
    [
        negative("2022-07-05 15:00", "2022-07-06 03:00", pooled=True),
        negative("2022-07-04 18:00", "2022-07-06 03:00"),
        fact("tests", reported_at="2022-07-06 03:00"),
    ],
    ids=["pooled", "not sampled later", "no sampling time"],
)
def test_what_is_not_a_later_single_negative_rechecks_nothing(
    known: tuple[str, dict[str, object]], rule: str, other: tuple[str, dict[str, object]]
) -> None:
    assert rule in resident(B, known, other).holds("2022-07-06 03:00")


@pytest.mark.parametrize("pooled", [True, False])
def test_an_antigen_test_colours_nobody(pooled: bool) -> None:
    said = {
        "method": "antigen",
        "result": "positive",
        "pooled": pooled,
        "pool_positive_at": "2022-07-05 13:00",
    }
    someone = resident(
        B, fact("tests", sampled_at="2022-07-05 11:00", reported_at="2022-07-05 12:00", **said)
    )
    assert someone.shows("2022-07-06 00:00") == "green"


def test_a_positive_pooled_sample_alone_is_not_red_and_a_negative_tube_says_nothing() -> None:
    positive = fact(
        "tests", result="positive", pooled=True, sampled_at="2022-07-05 11:00", reported_at="2022-07-05 12:00"
    )
    assert resident(B, positive).shows("2022-07-05 12:00") == "popup:time-space"
    clean = negative("2022-07-05 11:00", "2022-07-05 12:00", pooled=True)
    assert resident(B, clean).shows("2022-07-05 12:00") == "green"


# --- B-R4, B-Y4, B-R5: contacts ----------------------------------------------------------------------------------------


def test_a_close_contact_is_red_for_seven_days_then_yellow_for_three() -> None:
    someone = resident(B, fact("contacts", last_exposure_at="2022-07-01 17:00"))
    turns(
        someone,
        ("2022-07-01 17:00", "red"),
        ("2022-07-09 00:00", "yellow"),
        ("2022-07-12 00:00", "green"),
    )
    assert B.rule("B-R4").test_days == (1, 2, 3, 5, 7)
    assert B.rule("B-Y4").test_days == (10,)  # day 3 at home


def test_a_contact_is_free_when_the_case_is_ruled_out_or_the_appeal_upheld() -> None:
    out = resident(
        B, fact("contacts", last_exposure_at="2022-07-01 17:00", index_excluded_at="2022-07-05 08:30")
    )
    turns(out, ("2022-07-01 17:00", "red"), ("2022-07-05 08:30", "green"))
    appealed = resident(
        B,
        fact("contacts", last_exposure_at="2022-07-01 17:00"),
        cleared("B-R4", "released", "2022-07-04 11:00"),
    )
    turns(appealed, ("2022-07-01 17:00", "red"), ("2022-07-04 11:00", "green"))
    assert appealed.shows("2022-07-09 00:00") == "green"


OWN_TESTS = (
    negative("2022-07-02 09:00", "2022-07-02 20:00"),
    negative("2022-07-05 09:00", "2022-07-05 20:00"),
    negative("2022-07-08 09:00", "2022-07-08 20:00"),
)


def _second(**said: object) -> tuple[str, dict[str, object]]:
    return fact("contacts", **{"degree": 2, "last_exposure_at": "2022-07-01 17:00", **said})


def test_a_contact_of_a_contact_is_free_on_day_seven_when_both_have_tested_negative() -> None:
    someone = resident(B, _second(index_second_negative_at="2022-07-03 20:00"), *OWN_TESTS)
    turns(someone, ("2022-07-01 17:00", "red"), ("2022-07-09 00:00", "green"))


def test_a_contact_of_a_contact_waits_for_the_last_own_test() -> None:
    late = (*OWN_TESTS[:2], negative("2022-07-09 08:00", "2022-07-09 20:00"))
    someone = resident(B, _second(index_second_negative_at="2022-07-03 20:00"), *late)
    turns(someone, ("2022-07-01 17:00", "red"), ("2022-07-09 20:00", "green"))


def test_a_missed_test_of_a_contact_of_a_contact_is_made_up_after_the_last_day() -> None:
    made_up = (OWN_TESTS[0], OWN_TESTS[2], negative("2022-07-09 08:00", "2022-07-09 20:00"))
    someone = resident(B, _second(index_second_negative_at="2022-07-03 20:00"), *made_up)
    turns(someone, ("2022-07-01 17:00", "red"), ("2022-07-09 20:00", "green"))


def test_a_contact_of_a_contact_waits_for_the_first_two_tests_of_the_one_between() -> None:
    someone = resident(B, _second(index_second_negative_at="2022-07-09 07:00"), *OWN_TESTS)
    turns(someone, ("2022-07-01 17:00", "red"), ("2022-07-09 07:00", "green"))


@pytest.mark.parametrize(
    "someone",
    [
        resident(B, _second(), *OWN_TESTS),
        resident(B, _second(index_second_negative_at="2022-07-03 20:00"), *OWN_TESTS[:2]),
        resident(B, _second()),
    ],
    ids=["the one between is not tested", "own test of day 7 missing", "nobody tested"],
)
def test_without_those_tests_the_red_of_a_contact_of_a_contact_ends_with_its_cap(someone: object) -> None:
    turns(
        someone,  # type: ignore[arg-type]
        ("2022-07-01 17:00", "red"),
        ("2022-07-12 00:00", "remind"),
        ("2022-07-19 00:00", "green"),
    )


def test_a_contact_of_a_contact_becomes_a_contact_when_the_one_between_turns_positive() -> None:
    someone = resident(
        B, _second(degree=1, declared_degree=2, index_positive_at="2022-07-04 10:00"), *OWN_TESTS
    )
    assert someone.holds("2022-07-04 09:59:59") == {"B-R5"}
    assert someone.holds("2022-07-04 10:00") == {"B-R4"}
    turns(
        someone,
        ("2022-07-01 17:00", "red"),
        ("2022-07-09 00:00", "yellow"),
        ("2022-07-12 00:00", "green"),
    )


# --- B-R6, B-Y6, other ports -------------------------------------------------------------------------------------------


def test_an_arrival_is_red_for_seven_days_then_yellow_for_three_with_the_notice() -> None:
    someone = resident(B, fact("entries", entered_on="2022-07-01"))
    turns(
        someone,
        ("2022-07-01 00:00", "red popup:arrival"),
        ("2022-07-09 00:00", "yellow popup:arrival"),
        ("2022-07-12 00:00", "green"),
    )
    assert B.rule("B-R6").test_days == (1, 2, 3, 5, 7)
    assert B.rule("B-Y6").test_days == (10,)


def test_an_arrival_elsewhere_stays_there_for_seven_and_three_days() -> None:
    someone = resident(B, fact("entries", entered_on="2022-07-01", port="PVG", port_city="上海市"))
    turns(someone, ("2022-07-01 00:00", "popup:arrival"), ("2022-07-12 00:00", "green"))


# --- B-R7, B-R8, B-R9, B-Y9: risk areas --------------------------------------------------------------------------------


def _stay(level: str, **said: object) -> tuple[str, dict[str, object]]:
    usual = {
        "entered_at": "2022-07-01 10:00",
        "left_at": "2022-07-01 12:00",
        "level_from": "2022-06-28 16:00",
        "level": level,
    }
    return fact("risk_stays", **{**usual, **said})


FIVE_TESTS = tuple(negative(f"2022-07-{day:02} 09:00", f"2022-07-{day:02} 20:00") for day in (2, 3, 4, 6, 8))


def test_who_left_a_high_risk_area_is_red_for_seven_days_with_five_tests() -> None:
    someone = resident(B, _stay("high"), *FIVE_TESTS)
    turns(someone, ("2022-07-01 12:00", "red"), ("2022-07-09 00:00", "green"))
    assert B.rule("B-R7").test_days == (1, 2, 3, 5, 7)


def test_who_left_a_high_risk_area_waits_for_the_last_result() -> None:
    tests = (*FIVE_TESTS[:4], negative("2022-07-08 21:00", "2022-07-09 05:30"))
    someone = resident(B, _stay("high"), *tests)
    turns(someone, ("2022-07-01 12:00", "red"), ("2022-07-09 05:30", "green"))


def test_a_scheduled_test_may_be_sampled_one_day_late() -> None:
    tests = (*FIVE_TESTS[:3], negative("2022-07-07 23:59:59"), FIVE_TESTS[4])
    assert resident(B, _stay("high"), *tests).shows("2022-07-09 00:00") == "green"


def test_without_its_tests_the_red_of_a_high_risk_area_ends_with_its_cap() -> None:
    turns(
        resident(B, _stay("high"), *FIVE_TESTS[:4]),
        ("2022-07-01 12:00", "red"),
        ("2022-07-12 00:00", "remind"),
        ("2022-07-19 00:00", "green"),
    )


def test_who_left_a_medium_risk_area_is_red_at_home_for_seven_days() -> None:
    turns(resident(B, _stay("medium")), ("2022-07-01 12:00", "red"), ("2022-07-09 00:00", "green"))
    assert B.rule("B-R8").test_days == (1, 4, 7)


def test_home_isolation_may_be_yellow_by_an_amendment() -> None:
    """The option of the table: one rule replaced, nothing else changed."""
    yellow = load_amended(B, ("B-R8", 'outcome = "red"', 'outcome = "yellow"'))
    turns(resident(yellow, _stay("medium")), ("2022-07-01 12:00", "yellow"), ("2022-07-09 00:00", "green"))


@pytest.mark.parametrize("level", ["high", "medium"])
def test_a_phone_counts_as_a_stay_after_four_hours_only(level: str) -> None:
    now = "2022-07-01 14:00"
    short = _stay(level, source="telecom", left_at="2022-07-01 13:59:59")
    long = _stay(level, source="telecom", left_at=now)
    assert resident(B, short).shows(now) == "green"
    assert resident(B, long).shows(now) == "red"
    short_until_the_end = _stay(
        level, source="telecom", left_at="2022-07-01 13:59:59", level_to="2022-07-01 12:00"
    )
    long_until_the_end = _stay(level, source="telecom", left_at=now, level_to="2022-07-01 12:00")
    assert resident(B, short_until_the_end).shows("2022-07-01 11:00") == "green"
    assert resident(B, long_until_the_end).shows("2022-07-01 11:00") != "green"


@pytest.mark.parametrize(("level", "colour"), [("high", "red"), ("medium", "yellow")])
def test_a_phone_that_is_still_there_counts_from_the_fourth_hour_on(level: str, colour: str) -> None:
    turns(resident(B, _stay(level, source="telecom", left_at=None)), ("2022-07-01 14:00", colour))
    assert resident(B, _stay(level, source="ticket", left_at=None)).shows("2022-07-01 10:00") == colour


def test_who_lives_in_a_risk_area_follows_its_level() -> None:
    living = {"entered_at": "2022-01-01 00:00", "left_at": None}
    someone = resident(
        B,
        _stay("high", **living, level_from="2022-07-01 16:00", level_to="2022-07-09 10:00"),
        _stay("medium", **living, level_from="2022-07-09 10:00", level_to="2022-07-12 10:00"),
    )
    turns(
        someone,
        ("2022-07-01 16:00", "red"),
        ("2022-07-09 10:00", "yellow"),
        ("2022-07-12 10:00", "green"),
    )
    assert someone.holds("2022-07-01 16:00") == {"B-R9"}
    assert someone.holds("2022-07-09 10:00") == {"B-Y9"}


def test_who_is_still_in_a_risk_area_has_its_colour_until_it_ends() -> None:
    assert resident(B, _stay("high", left_at=None)).holds("2022-09-01 00:00") == {"B-R9"}
    assert resident(B, _stay("medium", left_at=None)).holds("2022-09-01 00:00") == {"B-Y9"}


@pytest.mark.parametrize(("level", "rule"), [("high", "B-R7"), ("medium", "B-R8")])
def test_who_left_one_second_before_the_level_ended_counts_days(level: str, rule: str) -> None:
    left = _stay(level, left_at="2022-07-04 09:59:59", level_to="2022-07-04 10:00")
    assert resident(B, left).holds("2022-07-04 10:00") == {rule}
    stayed = _stay(level, left_at="2022-07-04 10:00", level_to="2022-07-04 10:00")
    assert resident(B, stayed).holds("2022-07-04 10:00") == set()
    assert resident(B, stayed).holds("2022-07-04 09:59:59") == {"B-R9" if level == "high" else "B-Y9"}


@pytest.mark.parametrize(
    ("rule", "stay"),
    [
        ("B-R7", _stay("high")),
        ("B-R8", _stay("medium")),
        ("B-R9", _stay("high", left_at=None)),
        ("B-Y9", _stay("medium", left_at=None)),
    ],
)
def test_a_stay_that_never_was_is_lifted_by_two_officers(
    rule: str, stay: tuple[str, dict[str, object]]
) -> None:
    someone = resident(B, stay, cleared(rule, "no_link", "2022-07-03 09:00"))
    assert someone.holds("2022-07-03 08:59:59") == {rule}
    assert someone.shows("2022-07-03 09:00") == "green"


# --- B-P1, B-P2, B-P5: counties ----------------------------------------------------------------------------------------


def _county(**said: object) -> tuple[str, dict[str, object]]:
    return fact("county_stays", **{"entered_at": "2022-07-01 08:00", "left_at": "2022-07-05 18:00", **said})


AWAY = fact("people", away=True)


def test_who_is_outside_beijing_has_the_notice_of_an_infected_county_for_seven_days() -> None:
    someone = resident(B, AWAY, _county(infected_from="2022-07-02 00:00"))
    turns(someone, ("2022-07-02 00:00", "popup:time-space"), ("2022-07-13 00:00", "green"))


def test_a_phone_in_a_county_counts_from_the_fourth_hour_on() -> None:
    infected = {"source": "telecom", "infected_from": "2022-06-20 00:00"}
    turns(resident(B, AWAY, _county(left_at=None, **infected)), ("2022-07-01 12:00", "popup:time-space"))
    for left, shown in (("2022-07-01 11:59:59", "green"), ("2022-07-01 12:00", "popup:time-space")):
        assert resident(B, AWAY, _county(left_at=left, **infected)).shows("2022-07-01 12:00") == shown
    risky = {"source": "telecom", "risk_from": "2022-06-20 00:00"}
    for left, shown in (("2022-07-01 11:59:59", "green"), ("2022-07-01 12:00", "remind:overdue")):
        assert resident(B, _county(left_at=left, **risky)).shows("2022-07-01 12:00") == shown


def test_a_county_of_the_city_says_nothing_about_its_people() -> None:
    here = {"in_city": True, "infected_from": "2022-06-20 00:00", "risk_from": "2022-06-20 00:00"}
    assert resident(B, AWAY, _county(**here)).shows("2022-07-06 00:00") == "green"
    assert resident(B, _county(**here)).shows("2022-07-06 00:00") == "green"


def test_a_person_of_whom_nothing_else_is_known_may_be_outside() -> None:
    someone = resident(B, _county(infected_from="2022-07-02 00:00"))
    someone.facts.pop("people")
    assert someone.shows("2022-07-06 00:00") == "popup:time-space"


def test_a_stay_that_goes_on_in_an_infected_county_keeps_its_notice_until_the_county_is_clear() -> None:
    still = resident(B, AWAY, _county(left_at=None, infected_from="2022-07-02 00:00"))
    assert still.shows("2022-09-01 00:00") == "popup:time-space"
    cleared_county = _county(left_at=None, infected_from="2022-06-20 00:00", infected_to="2022-07-20 00:00")
    turns(
        resident(B, AWAY, cleared_county),
        ("2022-07-01 08:00", "popup:time-space"),
        ("2022-07-20 00:00", "green"),
    )


def test_the_notice_of_an_infected_county_ends_when_it_is_clear_or_reviewed_remotely() -> None:
    clear = resident(B, AWAY, _county(infected_from="2022-07-02 00:00", infected_to="2022-07-08 00:00"))
    turns(clear, ("2022-07-02 00:00", "popup:time-space"), ("2022-07-08 00:00", "green"))
    reviewed = resident(
        B, AWAY, _county(infected_from="2022-07-02 00:00"), cleared("B-P1", "released", "2022-07-06 10:00")
    )
    turns(reviewed, ("2022-07-02 00:00", "popup:time-space"), ("2022-07-06 10:00", "green"))


def test_the_notice_of_an_infected_county_is_for_those_outside_beijing() -> None:
    assert resident(B, _county(infected_from="2022-07-02 00:00")).shows("2022-07-06 00:00") == "green"


def test_who_comes_from_the_low_risk_rest_of_a_county_tests_twice_in_three_days() -> None:
    home = fact("people", in_city_since="2022-07-05 21:00")
    turns(
        resident(B, home, _county(risk_from="2022-07-01 00:00")),
        ("2022-07-05 21:00", "remind:overdue"),
        ("2022-07-09 00:00", "popup:overdue"),
        ("2022-07-13 00:00", "remind:overdue"),
        ("2022-07-20 00:00", "green"),
    )


def test_two_tests_a_day_apart_end_the_three_days_two_tests() -> None:
    stay = _county(risk_from="2022-07-01 00:00")
    first = negative("2022-07-06 10:00", "2022-07-06 20:00")
    close = resident(B, stay, first, negative("2022-07-07 09:59:59", "2022-07-07 20:00"))
    apart = resident(B, stay, first, negative("2022-07-07 10:00", "2022-07-07 20:00"))
    assert close.shows("2022-07-09 00:00") == "popup:overdue"
    turns(apart, ("2022-07-05 18:00", "remind:overdue"), ("2022-07-07 20:00", "green"))
    once = resident(B, stay, first)
    assert once.shows("2022-07-09 00:00") == "popup:overdue"


def test_a_test_before_leaving_the_county_is_none_of_the_two() -> None:
    stay = _county(risk_from="2022-07-01 00:00")
    someone = resident(B, stay, negative("2022-07-05 17:00"), negative("2022-07-07 10:00"))
    assert someone.shows("2022-07-08 00:00") == "remind:overdue"


def test_who_comes_eight_days_after_leaving_the_county_tests_for_it_no_more() -> None:
    stay = _county(risk_from="2022-07-01 00:00")
    seventh = resident(B, stay, fact("people", in_city_since="2022-07-12 23:59:59"))
    eighth = resident(B, stay, fact("people", in_city_since="2022-07-13 00:00"))
    now = "2022-07-13 00:00"
    assert (seventh.shows(now), eighth.shows(now)) == ("remind:overdue", "green")


def test_who_is_not_in_the_city_yet_is_not_asked_to_test_here() -> None:
    stay = _county(risk_from="2022-07-01 00:00")
    assert resident(B, AWAY, stay).shows("2022-07-06 00:00") == "green"


def test_the_community_may_accept_the_two_tests_on_paper() -> None:
    stay = _county(risk_from="2022-07-01 00:00")
    someone = resident(B, stay, cleared("B-P2", "paper_report", "2022-07-09 12:00"))
    assert (someone.shows("2022-07-09 11:59:59"), someone.shows("2022-07-09 12:00")) == (
        "popup:overdue",
        "green",
    )


def test_a_land_border_county_says_nothing_under_the_ninth_edition() -> None:
    someone = resident(B, AWAY, _county(land_border=True))
    assert someone.shows("2022-07-06 00:00") == "green"
    assert "border" in B.notices


# --- B-P3: time and space ----------------------------------------------------------------------------------------------

MATCHES = [("exposures", "B-P3"), ("companions", "B-P3c")]


def _match(name: str, **said: object) -> tuple[str, dict[str, object]]:
    return fact(name, **{"last_at": "2022-07-02 20:00", "confirmed_at": "2022-07-04 09:00", **said})


@pytest.mark.parametrize(("name", "rule"), MATCHES)
def test_a_match_in_time_and_space_is_a_notice_until_its_cap(name: str, rule: str) -> None:
    someone = resident(B, _match(name))
    assert someone.holds("2022-07-04 09:00") == {rule}
    turns(
        someone,
        ("2022-07-04 09:00", "popup:time-space"),
        ("2022-07-10 00:00", "remind:time-space"),
        ("2022-07-17 00:00", "green"),
    )


@pytest.mark.parametrize(("name", "rule"), MATCHES)
def test_two_tests_a_day_apart_lift_a_match(name: str, rule: str) -> None:
    first = negative("2022-07-05 10:00", "2022-07-05 20:00")
    apart = resident(B, _match(name), first, negative("2022-07-06 10:00", "2022-07-06 20:00"))
    turns(apart, ("2022-07-04 09:00", "popup:time-space"), ("2022-07-06 20:00", "green"))
    close = resident(B, _match(name), first, negative("2022-07-06 09:59:59", "2022-07-06 20:00"))
    assert close.holds("2022-07-07 00:00") == {rule}


@pytest.mark.parametrize(("name", "rule"), MATCHES)
def test_a_test_from_before_the_match_was_found_does_not_lift_it(name: str, rule: str) -> None:
    someone = resident(B, _match(name), negative("2022-07-04 09:00"), negative("2022-07-05 10:00"))
    assert someone.holds("2022-07-06 00:00") == {rule}


@pytest.mark.parametrize(("name", "rule"), MATCHES)
def test_a_match_ends_by_a_finding_or_with_its_case(name: str, rule: str) -> None:
    found = resident(B, _match(name), cleared(rule, "no_link", "2022-07-05 16:00"))
    turns(found, ("2022-07-04 09:00", "popup:time-space"), ("2022-07-05 16:00", "green"))
    ruled_out = resident(B, _match(name, excluded_at="2022-07-06 12:00"))
    turns(ruled_out, ("2022-07-04 09:00", "popup:time-space"), ("2022-07-06 12:00", "green"))


# --- B-P4: tests that are due ------------------------------------------------------------------------------------------

DUE = [
    ("B-P4a", fact("city_entries", at="2022-07-03 10:00")),
    ("B-P4b", fact("purchases", at="2022-07-03 10:00")),
    ("B-P4c", fact("clinic_visits", at="2022-07-03 10:00")),
]
WORK = fact(
    "occupations",
    occupation="cold_chain",
    from_at="2022-01-01 00:00",
    last_sampled_at="2022-06-29 10:00",
    due_at="2022-07-06 10:00",
)


@pytest.mark.parametrize(("rule", "known"), DUE)
def test_a_due_test_is_reminded_for_72_hours_then_has_the_notice_until_its_cap(
    rule: str, known: tuple[str, dict[str, object]]
) -> None:
    someone = resident(B, known)
    assert someone.holds("2022-07-06 10:00") == {rule}
    turns(
        someone,
        ("2022-07-03 10:00", "remind:overdue"),
        ("2022-07-06 10:00", "popup:overdue"),
        ("2022-07-11 00:00", "remind:overdue"),
        ("2022-07-18 00:00", "green"),
    )


def test_an_overdue_test_of_the_trade_is_a_notice_until_its_cap() -> None:
    turns(
        resident(B, WORK),
        ("2022-07-06 10:00", "popup:overdue"),
        ("2022-07-14 00:00", "remind:overdue"),
        ("2022-07-21 00:00", "green"),
    )


@pytest.mark.parametrize(("rule", "known"), [*DUE, ("B-P4e", WORK)])
def test_a_test_or_a_report_on_paper_lifts_the_notice_of_a_due_test(
    rule: str, known: tuple[str, dict[str, object]]
) -> None:
    tested = resident(B, known, negative("2022-07-06 12:00", "2022-07-06 20:00"))
    paper = resident(B, known, cleared(rule, "paper_report", "2022-07-06 20:00"))
    for someone in (tested, paper):
        assert someone.shows("2022-07-06 19:59:59") == "popup:overdue"
        assert someone.shows("2022-07-06 20:00") == "green"


def test_the_test_after_entering_counts_when_sampled_after_the_first_24_hours() -> None:
    early = resident(B, DUE[0][1], negative("2022-07-04 10:00"))
    later = resident(B, DUE[0][1], negative("2022-07-04 10:00:01"))
    assert (early.shows("2022-07-05 00:00"), later.shows("2022-07-05 00:00")) == ("remind:overdue", "green")


def test_small_children_commuters_and_short_visitors_need_not_test_after_entering() -> None:
    child = resident(B, DUE[0][1], fact("people", birth_date="2018-07-04"))
    four = resident(B, DUE[0][1], fact("people", birth_date="2018-07-03"))
    assert four.shows("2022-07-06 10:00") == "popup:overdue"
    commuter = resident(
        B,
        DUE[0][1],
        fact("occupations", occupation="commuter", from_at="2022-01-01 00:00", due_at="2022-12-01 00:00"),
    )
    short = resident(B, fact("city_entries", at="2022-07-03 10:00", leaves_at="2022-07-05 10:00"))
    assert [x.shows("2022-07-06 10:00") for x in (child, commuter, short)] == ["green"] * 3


def test_who_leaves_the_trade_loses_its_notice() -> None:
    someone = resident(B, fact("occupations", **{**WORK[1], "to_at": "2022-07-08 00:00"}))
    turns(someone, ("2022-07-06 10:00", "popup:overdue"), ("2022-07-08 00:00", "green"))


# --- B-A1, B-A2 --------------------------------------------------------------------------------------------------------


def test_the_rules_about_areas_are_published_as_numbers() -> None:
    """Nothing runs on them: the level of an area comes in as evidence."""
    numbers = {k: v for k, v in B.parameters.items() if k.startswith("area_")}
    assert numbers == {
        "area_high_to_medium_days": 7,
        "area_high_round_on_day": 7,
        "area_then_to_low_days": 3,
        "area_medium_to_low_days": 7,
        "area_medium_round_on_day": 7,
    }


# --- Doors -------------------------------------------------------------------------------------------------------------

TESTED = negative("2022-07-01 15:00", "2022-07-02 03:00")
BY_DAYS = ("public_place", "unit", "compound", "transit")
BY_HOURS = (("board_to_beijing", 48), ("commuter", 72), ("ride_hailing", 72))


@pytest.mark.parametrize("profile", BY_DAYS)
def test_places_and_transit_pass_a_counter_of_three_days(profile: str) -> None:
    someone = resident(B, TESTED)
    assert someone.door(profile, "2022-07-04 23:59:59") == "pass"
    assert someone.door(profile, "2022-07-05 00:00") == "refuse"
    assert resident(B).door(profile, "2022-07-04 12:00") == "unknown"  # no record found: the manual lane


def test_the_day_of_grace_opens_the_doors_too() -> None:
    waiting = fact("tests", result="pending", sampled_at="2022-07-04 15:00", specimen_id="s2")
    assert resident(B, TESTED, waiting).door("transit", "2022-07-05 12:00") == "pass"


@pytest.mark.parametrize(("profile", "hours"), BY_HOURS)
def test_travel_asks_for_hours_since_the_result(profile: str, hours: int) -> None:
    someone = resident(B, TESTED)
    day = 2 + hours // 24
    assert someone.door(profile, f"2022-07-{day:02} 03:00") == "pass"
    assert someone.door(profile, f"2022-07-{day:02} 03:00:01") == "refuse"


@pytest.mark.parametrize("profile", [*BY_DAYS, *(p for p, _ in BY_HOURS)])
def test_no_door_passes_a_notice_or_a_colour_but_each_has_its_exceptions(profile: str) -> None:
    now = "2022-07-03 12:00"
    noticed = resident(B, TESTED, fact("entries", entered_on="2022-07-01", port_city="上海市"))
    red = resident(B, TESTED, fact("contacts", last_exposure_at="2022-07-01 17:00"))
    reminded = resident(B, TESTED, fact("purchases", at="2022-07-02 12:00"))
    assert [x.door(profile, now) for x in (noticed, red, reminded)] == ["refuse", "refuse", "pass"]
    for purpose in ("emergency_care", "go_home_own_residence", "test_site", "pharmacy_pickup_by_agreement"):
        assert red.door(profile, now, purpose=purpose) == "pass"


def test_these_are_all_the_doors() -> None:
    assert {d.id for d in B.doors} == {*BY_DAYS, *(p for p, _ in BY_HOURS)}
    assert all(set(d.never_block) == set(B.standing_exceptions) and not d.unchecked for d in B.doors)


def test_the_parameters_of_the_table() -> None:
    assert B.tracing == TracingRule(10, 0, 2, CompanionRule(800, 10, 30, 7, either=True))
    assert (B.nat.day_mode, B.nat.grace_days) == ("calendar_days_from_sample", 3)


# --- What every rule owes ----------------------------------------------------------------------------------------------

ROWS = [
    "B-R1",
    "B-Y1",
    "B-R2",
    "B-P0",
    "B-R4",
    "B-Y4",
    "B-R5",
    "B-R6",
    "B-Y6",
    "B-P6",
    "B-R7",
    "B-R8",
    "B-R9",
    "B-Y9",
    "B-P1",
    "B-P2",
    "B-P3",
    "B-P3c",
    "B-P4a",
    "B-P4b",
    "B-P4c",
    "B-P4e",
]


def test_every_row_of_the_table_is_a_rule_and_nothing_else_is() -> None:
    assert {rule.id for rule in B.rules} == set(ROWS)
    assert tuple(B.notices) == ("arrival", "time-space", "overdue", "border")


@pytest.mark.parametrize("name", ROWS)
def test_every_rule_says_in_both_languages_why_and_how_it_ends(name: str) -> None:
    rule = B.rule(name)
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
    assert rule.basis.startswith("7.B ")


@pytest.mark.parametrize("name", [r for r in ROWS if r != "B-R1"])
def test_every_hold_but_that_of_the_sick_can_be_lifted_by_two_officers(name: str) -> None:
    assert any(clear.on == "clearances" for clear in B.rule(name).clears)


@pytest.mark.parametrize("name", [r for r in ROWS if r not in ("B-R1", "B-R9", "B-Y9")])
def test_every_hold_has_a_cap_but_those_of_the_sick_and_of_a_level_that_holds(name: str) -> None:
    assert B.rule(name).cap is not None

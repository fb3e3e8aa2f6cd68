"""The worked dates of the design (7.C), each to the second, for one person and for the whole city."""

from __future__ import annotations

import pytest
from resident import (
    BEIJING,
    Resident,
    at,
    city,
    cleared,
    fact,
    frozen,
    negative,
    protocol_9,
    published,
    resident,
    turns,
    verdicts,
)

from kangma.policy.document import Policy, Timeline
from kangma.policy.nat import count
from kangma.terms import State

A, B = frozen(), protocol_9()

FIVE_TESTS = [negative(f"2022-07-{day:02} 09:00", f"2022-07-{day:02} 20:00") for day in (2, 3, 4, 6, 8)]
ENTERED = fact("city_entries", at="2022-04-20 10:00")
LATE_TEST = negative("2022-04-23 12:00", "2022-04-24 03:00")

WORKED: dict[str, tuple[Resident, list[tuple[str, str]]]] = {
    "entered the country on 1 May": (
        resident(A, fact("entries", entered_on="2022-05-01")),
        [
            ("2022-05-01 00:00", "red popup:2"),
            ("2022-05-16 00:00", "yellow popup:2"),
            ("2022-05-23 00:00", "remind:monitoring"),
            ("2022-05-30 00:00", "green"),
        ],
    ),
    "left a high-risk area on 1 July, all tests negative": (
        resident(
            B,
            fact(
                "risk_stays",
                level="high",
                entered_at="2022-06-30 10:00",
                left_at="2022-07-01 18:00",
                level_from="2022-06-28 00:00",
            ),
            *FIVE_TESTS,
        ),
        [("2022-07-01 18:00", "red"), ("2022-07-09 00:00", "green")],
    ),
    "contact of a case, last met on 1 July": (
        resident(B, fact("contacts", last_exposure_at="2022-07-01 15:00")),
        [("2022-07-01 15:00", "red"), ("2022-07-09 00:00", "yellow"), ("2022-07-12 00:00", "green")],
    ),
    "left an infected county on 10 April": (
        resident(
            A,
            fact(
                "county_stays",
                entered_at="2022-04-02 09:00",
                left_at="2022-04-10 16:00",
                infected_from="2022-03-30 00:00",
            ),
        ),
        [("2022-04-02 09:00", "popup:1"), ("2022-04-25 00:00", "green")],
    ),
    "entered Beijing on 20 April at 10:00, tested on the fourth day": (
        resident(A, ENTERED, LATE_TEST),
        [("2022-04-20 10:00", "remind:4"), ("2022-04-23 10:00", "popup:4"), ("2022-04-24 03:00", "green")],
    ),
    "entered Beijing on 20 April at 10:00, tested ten hours later": (
        resident(A, ENTERED, negative("2022-04-20 20:00", "2022-04-21 04:00")),
        [("2022-04-20 10:00", "remind:4"), ("2022-04-23 10:00", "popup:4"), ("2022-04-28 00:00", "remind:4")],
    ),
    "entered Beijing on 20 April at 10:00, tested on 21 April at 10:01": (
        resident(A, ENTERED, negative("2022-04-21 10:01", "2022-04-21 22:00")),
        [("2022-04-20 10:00", "remind:4"), ("2022-04-21 22:00", "green")],
    ),
    "entered Beijing on 20 April at 10:00, never tested": (
        resident(A, ENTERED),
        [
            ("2022-04-20 10:00", "remind:4"),
            ("2022-04-23 10:00", "popup:4"),
            ("2022-04-28 00:00", "remind:4"),
            ("2022-05-05 00:00", "green"),
        ],
    ),
    "a contact of a contact, whose contact tests positive the second time (A)": (
        resident(
            A,
            fact(
                "contacts",
                degree=1,
                declared_degree=2,
                last_exposure_at="2022-04-22 17:00",
                index_positive_at="2022-04-26 10:00",
            ),
        ),
        [("2022-04-22 17:00", "red"), ("2022-05-07 00:00", "yellow"), ("2022-05-14 00:00", "green")],
    ),
    "a contact of a contact, whose contact tests positive the second time (B)": (
        resident(
            B,
            fact(
                "contacts",
                degree=1,
                declared_degree=2,
                last_exposure_at="2022-07-01 17:00",
                index_positive_at="2022-07-04 10:00",
            ),
        ),
        [("2022-07-01 17:00", "red"), ("2022-07-09 00:00", "yellow"), ("2022-07-12 00:00", "green")],
    ),
    "two notices, of which a test clears one": (
        resident(
            A,
            ENTERED,
            LATE_TEST,
            fact("exposures", last_at="2022-04-19 20:00", confirmed_at="2022-04-22 12:00"),
        ),
        [
            ("2022-04-20 10:00", "remind:4"),
            ("2022-04-22 12:00", "popup:3 remind:4"),
            ("2022-04-23 10:00", "popup:3 popup:4"),
            ("2022-04-24 03:00", "popup:3"),
            ("2022-05-04 00:00", "green"),
        ],
    ),
    "two notices, of which a finding clears the other": (
        resident(
            A,
            ENTERED,
            fact("exposures", last_at="2022-04-19 20:00", confirmed_at="2022-04-22 12:00"),
            cleared("A-P3", "no_link", "2022-04-23 15:00"),
        ),
        [
            ("2022-04-20 10:00", "remind:4"),
            ("2022-04-22 12:00", "popup:3 remind:4"),
            ("2022-04-23 10:00", "popup:3 popup:4"),
            ("2022-04-23 15:00", "popup:4"),
            ("2022-04-28 00:00", "remind:4"),
        ],
    ),
    "a hold that was open on 4 May is shortened": (
        resident(published(BEIJING), fact("contacts", last_exposure_at="2022-04-22 17:00")),
        [("2022-04-22 17:00", "red"), ("2022-05-04 00:00", "yellow"), ("2022-05-10 00:00", "green")],
    ),
    "met at one second before midnight in Beijing": (
        resident(A, fact("contacts", last_exposure_at="2022-04-22 23:59:59")),
        [("2022-04-22 23:59:59", "red"), ("2022-05-07 00:00", "yellow"), ("2022-05-14 00:00", "green")],
    ),
    "met at midnight in Beijing": (
        resident(A, fact("contacts", last_exposure_at="2022-04-23 00:00")),
        [("2022-04-23 00:00", "red"), ("2022-05-08 00:00", "yellow"), ("2022-05-15 00:00", "green")],
    ),
    "met when it was midnight in London": (
        # 07:00 in Beijing: neither London's date nor its summer time has a say.
        resident(A, fact("contacts", last_exposure_at="2022-03-27 07:00")),
        [("2022-03-27 07:00", "red"), ("2022-04-11 00:00", "yellow"), ("2022-04-18 00:00", "green")],
    ),
}


@pytest.mark.parametrize("name", WORKED)
def test_each_worked_date_holds_to_the_second_for_one_person(name: str) -> None:
    someone, changes = WORKED[name]
    turns(someone, *changes)


def _policies() -> list[Policy | Timeline]:
    return [A, B, published(BEIJING)]


def _city_agrees(policy: Policy | Timeline, at_most: int | None) -> None:
    """All of them as one city, judged at the moments at which anybody turns and one second before."""
    chosen = [(someone, changes) for someone, changes in WORKED.values() if someone.policy is policy]
    con = city([someone for someone, _ in chosen])
    moments = sorted({at(when) for _, changes in chosen for when, _ in changes})
    assert moments
    step = 1 if at_most is None else -(-len(moments) // at_most)
    for now in (m + k for m in moments[::-step] for k in (-1, 0)):
        found = verdicts(con, policy, now)
        for i, (someone, _) in enumerate(chosen):
            one = someone.verdict(now)
            unlisted = (State.GREEN, (), (), one.next_change_at)
            assert found.get(i, unlisted) == (one.state, one.popups, one.reminds, one.next_change_at)


@pytest.mark.parametrize("policy", _policies(), ids=["A", "B", "A with its amendment"])
def test_the_whole_city_turns_to_the_second_as_each_of_its_people_does(policy: Policy | Timeline) -> None:
    _city_agrees(policy, at_most=2)


@pytest.mark.prove
@pytest.mark.parametrize("policy", _policies(), ids=["A", "B", "A with its amendment"])
def test_the_whole_city_turns_so_at_every_worked_date(policy: Policy | Timeline) -> None:
    _city_agrees(policy, at_most=None)


def test_the_days_of_the_contact_are_2_to_8_and_9_to_11_july() -> None:
    someone, _ = WORKED["contact of a case, last met on 1 July"]
    by_day = {day: someone.shows(f"2022-07-{day:02} 12:00") for day in range(2, 13)}
    assert by_day == {
        **dict.fromkeys(range(2, 9), "red"),
        **dict.fromkeys(range(9, 12), "yellow"),
        12: "green",
    }


def test_a_result_clears_within_the_hour_because_the_verdict_changes_with_its_report() -> None:
    someone, _ = WORKED["entered Beijing on 20 April at 10:00, tested on the fourth day"]
    assert someone.verdict("2022-04-23 12:00").next_change_at == at("2022-04-24 03:00")


def test_the_contact_of_a_contact_is_held_by_one_rule_at_a_time() -> None:
    someone, _ = WORKED["a contact of a contact, whose contact tests positive the second time (B)"]
    assert someone.holds("2022-07-04 09:59:59") == {"B-R5"}
    assert someone.holds("2022-07-04 10:00") == {"B-R4"}


# --- The counter beside the code (B) -----------------------------------------------------------------------------------

FIRST = negative("2022-07-01 15:00", "2022-07-02 03:00", specimen_id="s1")
SECOND = fact(
    "tests", result="pending", sampled_at="2022-07-04 15:00", reported_at="2022-07-04 15:00", specimen_id="s2"
)


def _days(when: str, *tests: tuple[str, dict[str, object]]) -> int | None:
    found = count(B, [row for _, row in tests], now=at(when))
    assert found is not None
    return found.days


def test_the_counter_shows_calendar_days_since_the_sample() -> None:
    assert _days("2022-07-02 03:00", FIRST) == 1
    assert _days("2022-07-02 23:59:59", FIRST) == 1
    assert _days("2022-07-03 00:00", FIRST) == 2
    assert _days("2022-07-04 00:00", FIRST) == 3
    assert _days("2022-07-05 00:00", FIRST) == 4


def test_the_counter_waits_one_day_for_the_result_of_a_sample_of_its_last_day() -> None:
    assert _days("2022-07-04 23:59:59", FIRST, SECOND) == 3
    assert _days("2022-07-05 00:00", FIRST, SECOND) == 3
    assert _days("2022-07-05 23:59:59", FIRST, SECOND) == 3
    assert _days("2022-07-06 00:00", FIRST, SECOND) == 5
    too_early = fact(
        "tests",
        result="pending",
        sampled_at="2022-07-03 15:00",
        reported_at="2022-07-03 15:00",
        specimen_id="s2",
    )
    assert _days("2022-07-05 00:00", FIRST, too_early) == 4


def test_the_counter_goes_by_the_sampling_time_where_it_is_known_and_else_by_the_clock_of_the_report() -> (
    None
):
    result = negative("2022-07-04 15:00", "2022-07-05 09:00", specimen_id="s2")
    assert _days("2022-07-05 08:59:59", FIRST, SECOND, result) == 3
    assert _days("2022-07-05 09:00", FIRST, SECOND, result) == 1
    unknown = fact("tests", reported_at="2022-07-05 09:00", specimen_id="s2")
    assert _days("2022-07-05 09:00", FIRST, SECOND, unknown) == 0
    at_night = fact("tests", reported_at="2022-07-05 05:59:59", specimen_id="s2")
    assert _days("2022-07-05 09:00", FIRST, at_night) == 1


def test_policy_a_counts_from_the_result() -> None:
    found = count(A, [FIRST[1]], now=at("2022-07-04 02:59:59"))
    assert found is not None
    assert found.days == 1
    assert found.hours == pytest.approx(48, abs=0.001)

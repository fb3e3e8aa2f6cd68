"""The counter beside the code counts as the policy says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_policy import SMALL

from kangma.policy.document import load
from kangma.policy.nat import count
from kangma.policy.rules import Nat
from kangma.terms import HOUR, moment

POLICY = load(SMALL)
BY_REPORT = replace(POLICY, nat=Nat("hours_from_report", 0))
BY_DAY = replace(POLICY, nat=Nat("calendar_days_from_sample", 3))


def at(text: str) -> int:
    return moment(text.replace(" ", "T") + "+08:00")


def sample(
    sampled: str | None, reported: str, result: str = "negative", specimen: str = "s1"
) -> dict[str, object]:
    return {
        "specimen_id": specimen,
        "method": "nat",
        "result": result,
        "sampled_at": None if sampled is None else at(sampled),
        "reported_at": at(reported),
    }


FIRST = sample("2022-07-01 09:00", "2022-07-02 03:00")
PENDING = sample("2022-07-04 09:00", "2022-07-04 09:05", "pending", "s2")


def shown(tests: list[dict[str, object]], now: str) -> int | None:
    counter = count(BY_DAY, tests, now=at(now))
    return None if counter is None else counter.days


def test_the_day_of_sampling_is_day_nought_and_days_turn_at_midnight():
    assert shown([FIRST], "2022-07-02 03:00") == 1
    assert shown([FIRST], "2022-07-02 23:59") == 1
    assert shown([FIRST], "2022-07-03 00:00") == 2
    assert shown([FIRST], "2022-07-04 12:00") == 3
    assert shown([FIRST], "2022-07-05 00:00") == 4


def test_a_sample_of_the_last_day_without_result_holds_the_counter_one_more_day():
    assert shown([FIRST, PENDING], "2022-07-05 08:00") == 3
    assert shown([FIRST, PENDING], "2022-07-06 00:00") == 5
    other_day = sample("2022-07-03 09:00", "2022-07-03 09:05", "pending", "s2")
    assert shown([FIRST, other_day], "2022-07-05 08:00") == 4


def test_the_result_of_that_sample_counts_from_its_sampling_day_when_it_is_known():
    result = sample("2022-07-04 09:00", "2022-07-05 09:00", specimen="s2")
    assert shown([FIRST, PENDING, result], "2022-07-05 09:00") == 1


NIGHT = [("2022-07-05 05:59", 1), ("2022-07-05 06:00", 0), ("2022-07-05 09:00", 0)]


@pytest.mark.parametrize(("reported", "days"), NIGHT)
def test_without_sampling_time_the_clock_of_the_report_decides_the_day(reported, days):
    result = sample(None, reported, specimen="s2")
    assert shown([FIRST, PENDING, result], "2022-07-05 10:00") == days


def test_an_invalid_result_of_the_waiting_sample_ends_the_grace():
    invalid = sample("2022-07-04 09:00", "2022-07-05 07:00", "invalid", "s2")
    assert shown([FIRST, PENDING, invalid], "2022-07-05 08:00") == 4


def test_counted_from_the_report_a_day_is_24_hours():
    early, late = (count(BY_REPORT, [FIRST], now=at(t)) for t in ("2022-07-04 02:59", "2022-07-04 03:00"))
    assert early is not None
    assert late is not None
    assert (early.days, late.days) == (1, 2)
    assert late.hours == 48.0


def test_a_positive_result_is_told_and_counts_nothing():
    positive = sample("2022-07-03 09:00", "2022-07-03 20:00", "positive", "s2")
    counter = count(BY_DAY, [FIRST, positive], now=at("2022-07-04 09:00"))
    assert counter is not None
    assert (counter.result, counter.days, counter.hours) == ("positive", None, None)


def test_what_is_reported_later_is_not_known_yet_and_antigen_does_not_count():
    assert count(BY_DAY, [FIRST], now=FIRST["reported_at"] - 1) is None
    assert count(BY_DAY, [{**FIRST, "method": "antigen"}], now=FIRST["reported_at"] + HOUR) is None


def test_a_tube_that_was_positive_found_nobody_in_it_well_and_nobody_ill():
    """The face says "pooled sample positive", and a test of one's own settles it."""
    mine = sample("2022-07-01 09:00", "2022-07-02 03:00") | {"pooled": True}
    tube = mine | {"pool_positive_at": at("2022-07-02 06:00")}
    whole = mine | {"result": "positive"}
    for told in (tube, whole):
        found = count(BY_DAY, [told], now=at("2022-07-02 09:00"))
        assert found is not None
        assert (found.result, found.pooled, found.days, found.hours) == ("positive", True, None, None)
    before = count(BY_DAY, [tube], now=at("2022-07-02 05:59"))
    assert before is not None
    assert (before.result, before.pooled, before.days) == ("negative", True, 1)
    single = sample("2022-07-02 12:00", "2022-07-02 18:00", specimen="s2")
    after = count(BY_DAY, [tube, single], now=at("2022-07-02 18:00"))
    assert after is not None
    assert (after.result, after.pooled, after.days) == ("negative", False, 0)

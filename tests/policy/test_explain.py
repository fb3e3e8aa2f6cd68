"""A person is told why, by whom, until when and what to do; nothing of anybody else."""

from __future__ import annotations

import json
from typing import Any

from resident import BEIJING, at, published
from small_policy import SMALL

from kangma.policy.document import load
from kangma.policy.explain import explain

POLICY = load(SMALL)
CONTACT = {
    "index_case_id": "CASE-77",
    "degree": 1,
    "last_exposure_at": at("2022-05-01 10:00"),
    "found_by": "officer Wu",
}
TEST = {
    "method": "nat",
    "result": "negative",
    "sampled_at": at("2022-05-02 09:00"),
    "reported_at": at("2022-05-02 20:00"),
}


def told(facts: dict[str, Any], now: str, policy: Any = POLICY) -> dict[str, Any]:
    return explain(policy, facts, now=at(now), person="ab" * 16)


def test_a_contact_is_told_the_rule_the_reason_the_end_and_what_follows():
    found = told({"contacts": [CONTACT], "tests": [TEST]}, "2022-05-03 09:00")
    assert found["colour"] == "red"
    hold = found["holds"][0]
    assert (hold["rule"], hold["outcome"], hold["then"]) == ("A-R4", "red", "A-Y4")
    assert (hold["since"], hold["until"], hold["cap"]) == (
        "2022-05-01T10:00:00+08:00",
        "2022-05-16T00:00:00+08:00",
        "2022-05-23T00:00:00+08:00",
    )
    assert (hold["evidence"], hold["authority"]) == ("contacts", "cdc")
    assert hold["reason"] == {"zh": "原因", "en": "the reason"}
    assert hold["test_days"] == [1, 4, 7, 14]
    assert found["next_change_at"] == "2022-05-16T00:00:00+08:00"
    assert hold["test_dates"] == ["2022-05-02", "2022-05-05", "2022-05-08", "2022-05-15"]
    assert [(leg["to"], leg["earliest"]) for leg in found["way"]] == [
        ("yellow", "2022-05-16T00:00:00+08:00"),
        ("green", "2022-05-23T00:00:00+08:00"),
    ]
    assert found["nat"] == {
        "result": "negative",
        "sampled_at": "2022-05-02T09:00:00+08:00",
        "reported_at": "2022-05-02T20:00:00+08:00",
        "days": 0,
        "pooled": False,
    }
    assert found["policy"] == {"id": "small", "version": "2022-04-22", "digest": POLICY.digest}


def test_of_another_person_nothing_is_told():
    text = json.dumps(told({"contacts": [CONTACT]}, "2022-05-03 09:00"))
    assert "CASE-77" not in text
    assert "officer Wu" not in text


def test_notices_stand_beside_a_green_code_with_their_kind_and_rule():
    facts = {"city_entries": [{"at": at("2022-04-20 10:00")}]}
    before, after = told(facts, "2022-04-21 09:00"), told(facts, "2022-04-24 09:00")
    assert (before["colour"], before["notices"]) == (
        "green",
        [{"code": "4", "kind": "remind", "rule": "A-P4a"}],
    )
    assert (after["colour"], after["notices"]) == ("green", [{"code": "4", "kind": "popup", "rule": "A-P4a"}])
    assert after["holds"][0]["clears"] == [{"zh": "做核酸检测", "en": "take a test"}]
    assert (after["holds"][0]["until"], after["holds"][0]["cap"]) == (None, "2022-04-28T00:00:00+08:00")


def test_the_way_is_told_step_by_step_with_its_dates_and_what_does_as_well():
    (leg,) = told({"city_entries": [{"at": at("2022-04-20 10:00")}]}, "2022-04-24 09:00")["way"]
    assert leg == {
        "to": "green",
        "zh": "办好以下事项，提示即解除",
        "en": "Once this is done, your notice ends",
        "earliest": "2022-04-24T09:00:00+08:00",
        "by_itself": "2022-04-28T00:00:00+08:00",
        "steps": [
            {
                "kind": "test",
                "zh": "4月24日（周日）起做一次核酸检测，结果须为阴性。",
                "en": "Take a test on or after Sun 24 Apr. It must be negative.",
                "since": "2022-04-24T09:00:00+08:00",
                "until": None,
                "tests": {"count": 1, "apart_hours": 0, "single": False},
                "or": [],
            }
        ],
        "or": [
            {
                "kind": "wait",
                "zh": "等到4月27日（周三）过完，提示自动解除。",
                "en": "Wait until the end of Wed 27 Apr. Then your notice ends by itself.",
                "since": None,
                "until": "2022-04-28T00:00:00+08:00",
            }
        ],
    }


def test_a_capped_hold_is_a_reminder_with_an_end():
    hold = told({"city_entries": [{"at": at("2022-04-20 10:00")}]}, "2022-04-29 09:00")["holds"][0]
    assert (hold["outcome"], hold["capped"], hold["until"]) == ("remind", True, "2022-05-05T00:00:00+08:00")


def test_green_is_explained_too_and_unknown_is_neither():
    assert told({}, "2022-05-03 09:00")["holds"] == []
    assert told({}, "2022-05-03 09:00")["nat"] is None
    doubted = {"city_entries": [{"at": at("2022-04-23 10:00"), "itinerary": "contradicted"}]}
    assert told(doubted, "2022-04-23 11:00", published(BEIJING))["colour"] == "unknown"


def test_vaccination_is_shown_and_changes_no_colour():
    dose = {"product": "X", "dose": 1, "given_on": 19_000}
    states = [
        told(
            {"vaccinations": [{**dose, "dose": i + 1, "given_on": 19_000 + i} for i in range(n)]},
            "2022-05-03",
        )
        for n in range(4)
    ]
    assert [s["vaccination"] for s in states] == ["none", "partial", "basic", "booster"]
    assert {s["colour"] for s in states} == {"green"}


def test_the_keys_are_the_documented_ones():
    found = told({"contacts": [CONTACT]}, "2022-05-03 09:00")
    assert set(found) == {
        "person", "as_of", "colour", "notices", "holds", "way", "next_change_at", "nat", "vaccination", "policy"
    }  # fmt: skip
    assert {
        "rule",
        "outcome",
        "since",
        "until",
        "cap",
        "evidence",
        "authority",
        "reason",
        "clears",
        "then",
    } <= set(found["holds"][0])

"""One hold of every published rule: when its cap is, who may lift it, that it has a way out, and that both judges
give it alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from resident import Resident, amended, at, city, cleared, fact, frozen, negative, protocol_9, resident

from kangma.intake.kinds import KINDS
from kangma.policy.document import Policy
from kangma.policy.explain import explain
from kangma.policy.judge import judge_all, judge_one
from kangma.policy.way import way_out
from kangma.terms import HOUR, State

A, A2, B = frozen(), amended(), protocol_9()
FINDINGS = KINDS["clearances"].column("finding").choices

Row = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Example:
    """A hold of `rule` that is active at `when`. `lifts` are the findings that end it, not before `from_`."""

    policy: Policy
    rule: str
    facts: tuple[Row, ...]
    when: str
    cap: str | None
    lifts: frozenset[str] = frozenset({"released"})
    from_: str = ""

    @property
    def someone(self) -> Resident:
        return resident(self.policy, *self.facts)

    def __str__(self) -> str:
        return f"{self.rule} of {self.policy.version}"


APPEAL = frozenset({"released"})
FINDING = frozenset({"no_link", "released"})
COMMUNITY = frozenset({"registered", "no_link", "released"})
PAPER = frozenset({"paper_report", "released"})


def _stay(level: str, entered: str, left: str | None, **said: Any) -> Row:
    return fact("risk_stays", level=level, entered_at=entered, left_at=left, **said)


def _county(left: str, **said: Any) -> Row:
    return fact("county_stays", **{"entered_at": "2022-04-10 08:00", "left_at": left, **said})


def _examples_a() -> list[Example]:
    case = fact("cases", confirmed_at="2022-04-20 09:00", discharged_at="2022-04-25 12:00")
    first = fact("tests", result="positive", sampled_at="2022-04-24 18:00", reported_at="2022-04-25 12:00")
    tube = negative("2022-04-24 18:00", "2022-04-25 12:00", pooled=True, pool_positive_at="2022-04-25 13:00")
    contact = fact("contacts", last_exposure_at="2022-04-22 17:00")
    second = fact("contacts", degree=2, last_exposure_at="2022-04-22 17:00")
    entry = fact("entries", entered_on="2022-04-23")
    elsewhere = fact("entries", entered_on="2022-04-23", port_city="上海市")
    met = fact("exposures", last_at="2022-04-22 20:00", confirmed_at="2022-04-24 09:00")
    near = fact("companions", last_at="2022-04-22 20:00", confirmed_at="2022-04-24 09:00")
    came = fact("city_entries", at="2022-04-23 10:00")
    bought, seen = fact("purchases", at="2022-04-23 10:00"), fact("clinic_visits", at="2022-04-23 10:00")
    rounds = fact("missed_rounds", first_opened_at="2022-04-25 06:00", last_closed_at="2022-04-29 22:00")
    work = fact("occupations", occupation="cold_chain", from_at="2022-01-01 00:00", due_at="2022-04-29 09:00")

    def stay(level: str) -> Row:
        return _stay(level, "2022-04-24 10:00", "2022-04-24 12:00", level_from="2022-04-20 16:00")

    zone = _stay(
        "controlled", "2022-03-01 00:00", None, level_from="2022-04-24 16:00", level_to="2022-05-04 10:00"
    )
    return [
        Example(A, "A-R1", (case,), "2022-04-21 00:00", None, frozenset()),
        Example(A, "A-Y1", (case,), "2022-04-26 00:00", "2022-05-10", APPEAL, "2022-04-25 12:00"),
        Example(A, "A-R2", (first,), "2022-04-26 00:00", "2022-04-27 12:00", APPEAL, "2022-04-25 12:00"),
        Example(A, "A-P0", (tube,), "2022-04-26 00:00", "2022-04-27 13:00", FINDING, "2022-04-25 13:00"),
        Example(A, "A-R4", (contact,), "2022-04-26 00:00", "2022-05-14", FINDING, "2022-04-22 17:00"),
        Example(A, "A-Y4", (contact,), "2022-05-09 00:00", "2022-05-21", FINDING, "2022-04-22 17:00"),
        Example(A, "A-R5", (second,), "2022-04-26 00:00", "2022-05-07", FINDING, "2022-04-22 17:00"),
        Example(A, "A-R6", (entry,), "2022-04-26 00:00", "2022-05-15", APPEAL, "2022-04-23 00:00"),
        Example(A, "A-Y6", (entry,), "2022-05-09 00:00", "2022-05-22", APPEAL, "2022-04-23 00:00"),
        Example(A, "A-R7", (elsewhere,), "2022-04-26 00:00", "2022-05-22", APPEAL, "2022-04-23 00:00"),
        Example(A, "A-R8", (stay("high"),), "2022-04-26 00:00", "2022-05-16", FINDING, "2022-04-24 10:00"),
        Example(A, "A-Y8", (stay("medium"),), "2022-04-26 00:00", "2022-05-16", FINDING, "2022-04-24 10:00"),
        Example(
            A,
            "A-Y9",
            (_county("2022-04-20 18:00", risk_from="2022-04-12 00:00"),),
            "2022-04-22 00:00",
            "2022-05-06",
            COMMUNITY,
            "2022-04-20 18:00",
        ),
        Example(
            A,
            "A-P1",
            (_county("2022-04-20 18:00", infected_from="2022-04-12 00:00"),),
            "2022-04-22 00:00",
            "2022-05-06",
            COMMUNITY,
            "2022-04-20 18:00",
        ),
        Example(
            A,
            "A-P3",
            (met,),
            "2022-04-26 00:00",
            "2022-05-07",
            FINDING,
            "2022-04-22 20:00",
        ),
        Example(
            A,
            "A-P3c",
            (near,),
            "2022-04-26 00:00",
            "2022-05-07",
            FINDING,
            "2022-04-22 20:00",
        ),
        Example(A, "A-P3L", (zone,), "2022-04-26 00:00", "2022-05-09", FINDING, "2022-04-24 16:00"),
        Example(
            A,
            "A-P4a",
            (came,),
            "2022-04-27 00:00",
            "2022-05-01",
            APPEAL,
            "2022-04-23 10:00",
        ),
        Example(
            A,
            "A-P4b",
            (bought,),
            "2022-04-27 00:00",
            "2022-05-01",
            APPEAL,
            "2022-04-23 10:00",
        ),
        Example(
            A,
            "A-P4c",
            (seen,),
            "2022-04-27 00:00",
            "2022-05-01",
            APPEAL,
            "2022-04-23 10:00",
        ),
        Example(A, "A-P4d", (rounds,), "2022-05-01 00:00", "2022-05-07", APPEAL, "2022-04-29 22:00"),
        Example(A, "A-P4e", (work,), "2022-05-01 00:00", "2022-05-07", APPEAL, "2022-04-29 09:00"),
        Example(
            A,
            "A-P5",
            (_county("2022-04-20 18:00", land_border=True),),
            "2022-04-22 00:00",
            "2022-05-06",
            COMMUNITY,
            "2022-04-20 18:00",
        ),
        Example(
            A,
            "A-U1",
            (fact("city_entries", at="2022-04-23 10:00", itinerary="contradicted"),),
            "2022-04-24 00:00",
            "2022-04-26 10:00",
            frozenset({"registered", "released"}),
            "2022-04-23 10:00",
        ),
    ]


def _examples_a2() -> list[Example]:
    contact = fact("contacts", last_exposure_at="2022-05-06 17:00")
    second = fact("contacts", degree=2, last_exposure_at="2022-05-06 17:00")
    entry = fact("entries", entered_on="2022-05-06")
    elsewhere = fact("entries", entered_on="2022-05-06", port_city="上海市")
    here = fact("people", in_city_since="2022-05-07 20:00")

    def stay(level: str) -> Row:
        return _stay(level, "2022-05-06 10:00", "2022-05-06 12:00", level_from="2022-05-01 16:00")

    return [
        Example(A2, "A-R4", (contact,), "2022-05-10 00:00", "2022-05-28", FINDING, "2022-05-06 17:00"),
        Example(A2, "A-Y4", (contact,), "2022-05-20 00:00", "2022-06-04", FINDING, "2022-05-06 17:00"),
        Example(A2, "A-R5", (second,), "2022-05-10 00:00", "2022-05-21", FINDING, "2022-05-06 17:00"),
        Example(A2, "A-R6", (entry,), "2022-05-10 00:00", "2022-05-28", APPEAL, "2022-05-06 00:00"),
        Example(A2, "A-Y6", (entry,), "2022-05-20 00:00", "2022-06-04", APPEAL, "2022-05-06 00:00"),
        Example(A2, "A-R7", (elsewhere,), "2022-05-10 00:00", "2022-06-04", APPEAL, "2022-05-06 00:00"),
        Example(A2, "A-Y7", (elsewhere, here), "2022-05-10 00:00", "2022-06-04", APPEAL, "2022-05-06 00:00"),
        Example(A2, "A-R8", (stay("high"),), "2022-05-10 00:00", "2022-05-28", FINDING, "2022-05-06 10:00"),
        Example(A2, "A-Y8", (stay("medium"),), "2022-05-10 00:00", "2022-05-28", FINDING, "2022-05-06 10:00"),
    ]


def _examples_b() -> list[Example]:
    case = fact("cases", confirmed_at="2022-07-02 09:00", discharged_at="2022-07-05 12:00")
    first = fact("tests", result="positive", sampled_at="2022-07-04 18:00", reported_at="2022-07-05 12:00")
    tube = negative("2022-07-04 18:00", "2022-07-05 12:00", pooled=True, pool_positive_at="2022-07-05 13:00")
    contact = fact("contacts", last_exposure_at="2022-07-01 17:00")
    second = fact("contacts", degree=2, last_exposure_at="2022-07-01 17:00")
    entry = fact("entries", entered_on="2022-07-01")
    elsewhere = fact("entries", entered_on="2022-07-01", port_city="上海市")
    away = fact("people", away=True)
    met = fact("exposures", last_at="2022-07-02 20:00", confirmed_at="2022-07-04 09:00")
    near = fact("companions", last_at="2022-07-02 20:00", confirmed_at="2022-07-04 09:00")
    came = fact("city_entries", at="2022-07-03 10:00")
    bought, seen = fact("purchases", at="2022-07-03 10:00"), fact("clinic_visits", at="2022-07-03 10:00")
    work = fact("occupations", occupation="cold_chain", from_at="2022-01-01 00:00", due_at="2022-07-06 10:00")
    left = {"entered_at": "2022-07-01 08:00"}

    def stay(level: str, left: str | None) -> Row:
        return _stay(level, "2022-07-01 10:00", left, level_from="2022-06-28 16:00")

    high, medium = stay("high", "2022-07-01 12:00"), stay("medium", "2022-07-01 12:00")

    return [
        Example(B, "B-R1", (case,), "2022-07-03 00:00", None, frozenset()),
        Example(B, "B-Y1", (case,), "2022-07-06 00:00", "2022-07-16", APPEAL, "2022-07-05 12:00"),
        Example(B, "B-R2", (first,), "2022-07-06 00:00", "2022-07-07 12:00", APPEAL, "2022-07-05 12:00"),
        Example(B, "B-P0", (tube,), "2022-07-06 00:00", "2022-07-07 13:00", FINDING, "2022-07-05 13:00"),
        Example(B, "B-R4", (contact,), "2022-07-06 00:00", "2022-07-12", FINDING, "2022-07-01 17:00"),
        Example(B, "B-Y4", (contact,), "2022-07-10 00:00", "2022-07-16", FINDING, "2022-07-01 17:00"),
        Example(B, "B-R5", (second,), "2022-07-06 00:00", "2022-07-12", FINDING, "2022-07-01 17:00"),
        Example(B, "B-R6", (entry,), "2022-07-06 00:00", "2022-07-12", APPEAL, "2022-07-01 00:00"),
        Example(B, "B-Y6", (entry,), "2022-07-10 00:00", "2022-07-16", APPEAL, "2022-07-01 00:00"),
        Example(B, "B-P6", (elsewhere,), "2022-07-06 00:00", "2022-07-16", APPEAL, "2022-07-01 00:00"),
        Example(
            B,
            "B-R7",
            (high,),
            "2022-07-06 00:00",
            "2022-07-12",
            FINDING,
            "2022-07-01 12:00",
        ),
        Example(
            B,
            "B-R8",
            (medium,),
            "2022-07-06 00:00",
            "2022-07-12",
            FINDING,
            "2022-07-01 12:00",
        ),
        Example(B, "B-R9", (stay("high", None),), "2022-07-06 00:00", None, FINDING, "2022-07-01 10:00"),
        Example(B, "B-Y9", (stay("medium", None),), "2022-07-06 00:00", None, FINDING, "2022-07-01 10:00"),
        Example(
            B,
            "B-P1",
            (_county("2022-07-05 18:00", infected_from="2022-07-02 00:00", **left), away),
            "2022-07-06 00:00",
            "2022-07-14",
            FINDING,
            "2022-07-02 00:00",
        ),
        Example(
            B,
            "B-P2",
            (_county("2022-07-05 18:00", risk_from="2022-07-01 00:00", **left),),
            "2022-07-10 00:00",
            "2022-07-13",
            frozenset({"paper_report", "no_link", "released"}),
            "2022-07-05 18:00",
        ),
        Example(
            B,
            "B-P3",
            (met,),
            "2022-07-06 00:00",
            "2022-07-10",
            FINDING,
            "2022-07-02 20:00",
        ),
        Example(
            B,
            "B-P3c",
            (near,),
            "2022-07-06 00:00",
            "2022-07-10",
            FINDING,
            "2022-07-02 20:00",
        ),
        Example(
            B,
            "B-P4a",
            (came,),
            "2022-07-07 00:00",
            "2022-07-11",
            PAPER,
            "2022-07-03 10:00",
        ),
        Example(
            B,
            "B-P4b",
            (bought,),
            "2022-07-07 00:00",
            "2022-07-11",
            PAPER,
            "2022-07-03 10:00",
        ),
        Example(
            B,
            "B-P4c",
            (seen,),
            "2022-07-07 00:00",
            "2022-07-11",
            PAPER,
            "2022-07-03 10:00",
        ),
        Example(B, "B-P4e", (work,), "2022-07-08 00:00", "2022-07-14", PAPER, "2022-07-06 10:00"),
    ]


EXAMPLES = [*_examples_a(), *_examples_a2(), *_examples_b()]
every_rule = pytest.mark.parametrize("example", EXAMPLES, ids=str)


def test_there_is_an_example_of_every_rule() -> None:
    assert {(e.policy.version, e.rule) for e in EXAMPLES} >= {
        (p.version, r.id) for p in (A, B) for r in p.rules
    }
    changed = {r.id for r in A2.rules if r not in A.rules}
    assert {e.rule for e in EXAMPLES if e.policy is A2} == changed


@every_rule
def test_the_cap_of_each_rule_is_that_of_its_table(example: Example) -> None:
    holds = [h for h in example.someone.verdict(example.when).holds if h.rule_id == example.rule]
    assert len(holds) == 1
    assert holds[0].cap == (None if example.cap is None else at(example.cap))
    assert not holds[0].capped


@every_rule
def test_each_rule_is_lifted_by_its_own_findings_and_no_others(example: Example) -> None:
    for finding in FINDINGS:
        someone = resident(example.policy, *example.facts, cleared(example.rule, finding, example.when))
        assert (example.rule not in someone.holds(example.when)) == (finding in example.lifts), finding


# An appeal about a county counts from the beginning of the stay, the community's word from the leave only.
COUNTIES = ("A-Y9", "A-P1", "A-P5")


@every_rule
def test_a_finding_from_before_the_hold_lifts_nothing(example: Example) -> None:
    for finding in example.lifts & {"registered"} if example.rule in COUNTIES else example.lifts:
        early = resident(example.policy, *example.facts, cleared(example.rule, finding, example.from_))
        early.facts["clearances"][0]["at"] -= 1
        assert example.rule in early.holds(example.when), finding


@every_rule
def test_a_finding_at_the_first_moment_lifts_it(example: Example) -> None:
    for finding in example.lifts - ({"paper_report"} if example.rule == "B-P4a" else set()):
        someone = resident(example.policy, *example.facts, cleared(example.rule, finding, example.from_))
        assert example.rule not in someone.holds(example.when), finding


@pytest.mark.parametrize("rule", COUNTIES)
def test_an_appeal_about_a_county_counts_from_the_beginning_of_the_stay(rule: str) -> None:
    begins = "2022-04-12 00:00"
    stay = _county(
        "2022-04-20 18:00", entered_at=begins, infected_from=begins, risk_from=begins, land_border=True
    )
    for finding in ("no_link", "released"):
        first = resident(A, stay, cleared(rule, finding, begins))
        early = resident(A, stay, cleared(rule, finding, "2022-04-11 23:59:59"))
        assert rule not in first.holds("2022-04-22 00:00")
        assert rule in early.holds("2022-04-22 00:00")


TESTED = [e for e in EXAMPLES if any(c.on == "tests" for c in e.policy.rule(e.rule).clears)]


def _two_tests(example: Example, **said: Any) -> Resident:
    """The example, and two tests of that kind a day apart before its moment."""
    tests = [
        fact(
            "tests",
            specimen_id=f"n{k}",
            sampled_at=at(example.when) - k * HOUR,
            reported_at=at(example.when),
            **said,
        )
        for k in (1, 26)
    ]
    return resident(example.policy, *example.facts, *tests)


@pytest.mark.parametrize("example", TESTED, ids=str)
def test_only_a_negative_nucleic_acid_test_lifts_what_a_test_can_lift(example: Example) -> None:
    assert example.rule not in _two_tests(example).holds(example.when)
    for other in (
        {"method": "antigen"},
        {"result": "positive"},
        {"result": "pending"},
        {"result": "invalid"},
    ):
        assert example.rule in _two_tests(example, **other).holds(example.when), other


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e not in TESTED], ids=str)
def test_no_test_lifts_what_a_test_cannot_lift(example: Example) -> None:
    assert example.rule in _two_tests(example).holds(example.when)


@pytest.mark.parametrize(
    ("policy", "day", "first", "second"),
    [(A, "04-26", "A-R4", "A-R5"), (A2, "05-09", "A-R4", "A-R5"), (B, "07-04", "B-R4", "B-R5")],
    ids=["A", "A2", "B"],
)
def test_a_contact_of_a_contact_changes_rules_in_the_second_in_which_the_one_between_turns_positive(
    policy: Policy, day: str, first: str, second: str
) -> None:
    month, number = day.split("-")
    someone = resident(
        policy,
        fact(
            "contacts",
            degree=1,
            declared_degree=2,
            last_exposure_at=f"2022-{month}-{int(number) - 3:02} 17:00",
            index_positive_at=f"2022-{day} 10:00",
        ),
    )
    assert someone.holds(f"2022-{day} 09:59:59") == {second}
    assert someone.holds(f"2022-{day} 10:00") == {first}


@pytest.mark.parametrize(
    ("policy", "met", "positive", "rule"),
    [
        (A, "2022-04-22 17:00", "2022-05-09 10:00", "A-Y4"),
        (A2, "2022-05-06 17:00", "2022-05-19 10:00", "A-Y4"),
        (B, "2022-07-01 17:00", "2022-07-09 10:00", "B-Y4"),
    ],
    ids=["A", "A2", "B"],
)
def test_when_the_one_between_turns_positive_late_the_second_chain_begins_then(
    policy: Policy, met: str, positive: str, rule: str
) -> None:
    someone = resident(
        policy,
        fact("contacts", degree=1, declared_degree=2, last_exposure_at=met, index_positive_at=positive),
    )
    before = judge_one(policy, someone.facts, now=at(positive) - 1)
    assert rule not in {h.rule_id for h in before.holds}
    assert before.next_change_at == at(positive)
    assert someone.holds(positive) == {rule}


@pytest.mark.parametrize(
    ("policy", "when"), [(A, "2022-04-27 00:00"), (B, "2022-07-07 00:00")], ids=["A", "B"]
)
def test_a_commuter_is_one_from_the_first_second_to_the_last(policy: Policy, when: str) -> None:
    entered = "2022-04-23 10:00" if policy is A else "2022-07-03 10:00"
    arrival = fact("city_entries", at=entered)
    rule = "A-P4a" if policy is A else "B-P4a"

    def commuting(begin: int, end: int | None) -> Resident:
        work = fact("occupations", occupation="commuter", from_at=begin, to_at=end, due_at="2022-12-01")
        return resident(policy, arrival, work)

    moment = at(entered)
    assert rule not in commuting(moment, None).holds(when)
    assert rule in commuting(moment + 1, None).holds(when)
    assert rule not in commuting(moment - 1, moment + 1).holds(when)
    assert rule in commuting(moment - 1, moment).holds(when)


def test_a_paper_for_an_entry_counts_when_the_test_would() -> None:
    entered = fact("city_entries", at="2022-07-03 10:00")
    early = resident(B, entered, cleared("B-P4a", "paper_report", "2022-07-04 10:00"))
    later = resident(B, entered, cleared("B-P4a", "paper_report", "2022-07-04 10:00:01"))
    assert (early.shows("2022-07-07 00:00"), later.shows("2022-07-07 00:00")) == ("popup:overdue", "green")


@every_rule
def test_whoever_follows_the_way_out_is_green_at_its_end(example: Example) -> None:
    someone, now = example.someone, at(example.when)
    legs = way_out(example.policy, someone.facts, now=now)
    if not legs:  # a reminder keeps nobody from passing
        assert judge_one(example.policy, someone.facts, now=now).state <= State.REMIND
        return
    assert legs[-1].reached is not None
    followed = judge_one(example.policy, legs[-1].facts, now=legs[-1].reached)
    assert followed.state.colour == "green"
    assert followed.popups == ()


@every_rule
def test_each_rule_explains_itself_and_names_nobody(example: Example) -> None:
    told = explain(example.policy, example.someone.facts, now=at(example.when))
    hold = next(h for h in told["holds"] if h["rule"] == example.rule)
    for key in ("reason", "way_out", "authority_name"):
        assert set(hold[key]) == {"zh", "en"}
    assert hold["clears"]
    for leg in told["way"]:
        assert leg["steps"]
        for said in (
            leg,
            *leg["steps"],
            *leg["or"],
            *(other for step in leg["steps"] for other in step["or"]),
        ):
            assert said["zh"]
            assert said["en"]
            # Rules and versions are for who checks it, and stand elsewhere.
            assert hold["rule"] not in said["zh"] + said["en"]


@pytest.mark.parametrize("policy", [A, A2, B], ids=lambda p: p.version)
def test_the_whole_city_has_the_same_holds_as_each_of_its_people(policy: Policy) -> None:
    chosen = [e for e in EXAMPLES if e.policy is policy]
    con = city([e.someone for e in chosen])
    for now in sorted({at(e.when) for e in chosen})[::3]:
        holds, _ = judge_all(con, policy, now=now)
        found = sorted(
            (h["person"], h["rule"], h["stage"], h["outcome"], h["since"], h["until"], h["cap"], h["capped"])
            for h in holds.to_pylist()
        )
        wanted = sorted(
            (i, h.rule, h.stage, int(h.outcome), h.since, h.until, h.cap, h.capped)
            for i, e in enumerate(chosen)
            for h in e.someone.verdict(now).holds
        )
        assert found == wanted

"""An appeal: what the resident sees, what officers can do, and that nothing but evidence follows from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hamlet import CASE, NURSE, TEACHER, Hamlet, hamlet, unlimited

from kangma.errors import Code, Refused
from kangma.publish.objections import corrected, require_theirs, standing
from kangma.store.appeals import ANSWERED_IN, WORDS_KEPT, Decision, Filed, Why
from kangma.terms import DAY

sys.path.append(str(Path(__file__).parents[1] / "cli"))
from town import kangma

WORDS = "我当天在另一个区 <b>not there</b> {{7*7}}"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Hamlet]:
    with hamlet(tmp_path, defence=unlimited()) as made:
        yield made


def filed(phone: TestClient, **more: object) -> dict[str, Any]:
    hold = phone.get("/v1/me/code").json()["holds"][0]
    asked = {"rule": hold["rule"], "since": hold["since"], "why": "not_there", "text": WORDS} | more
    said = phone.post("/v1/me/appeals", json=asked)
    assert said.status_code == 201, said.text
    got: dict[str, Any] = said.json()
    return got


def desk(at: Hamlet, *arguments: object) -> Any:
    verb, *rest = arguments
    return kangma("appeals", verb, at.path, *rest, "--now", f"{at.city.zone.iso(at.clock.now)}")


def test_a_teacher_appeals_two_officers_agree_and_the_evidence_ends_the_hold(at: Hamlet) -> None:
    phone = at.resident(TEACHER)
    said = filed(phone, evidence={"kind": "visits", "what": "canteen", "at": "2022-04-24"})
    assert (said["state"], said["machine"], said["late"]) == ("open", "stands", False)
    assert said["answer_by"] == "2022-04-26T18:05:00+08:00"
    shown = desk(at, "show", 1, "--officer", "Li", "--json")
    assert shown.code == 0, shown.err
    # The policy does not end this hold by any finding.
    assert desk(at, "decide", 1, "--officer", "Li", "--reason", "x", "--finding", "registered").code == 2
    assert (
        desk(at, "decide", 1, "--officer", "Li", "--reason", "查无关联。", "--finding", "no_link").code == 0
    )
    assert phone.get("/v1/me/appeals").json()["appeals"][0]["answer"] is None  # not before two agree
    assert not list((at.path / "inbox").iterdir())  # one officer does nothing
    assert desk(at, "agree", 1, "--officer", "l i").code == 2
    assert desk(at, "agree", 1, "--officer", "Wang").code == 0
    (one,) = phone.get("/v1/me/appeals").json()["appeals"]
    assert (one["state"], one["answer"], one["follows"]) == ("granted", "查无关联。", "clearance")
    assert [(s["who"], s["what"]) for s in one["steps"]] == [
        ("resident", "filed"), ("machine", "stands"), ("officer", "looked"), ("officer", "proposed"), ("officer",
        "granted"),
    ]  # fmt: skip
    assert not any("Li" in str(s) or "Wang" in str(s) for s in one["steps"])
    at.cycle()
    assert phone.get("/v1/me/code").json()["holds"] == []
    assert ("officer", "appeal") in {
        (x["who"], x["purpose"]) for x in phone.get("/v1/me/looks").json()["looks"]
    }
    assert phone.get("/v1/me/export").json()["appeals"] == [one]


def test_an_appeal_against_nothing_or_twice_or_without_end_is_refused(at: Hamlet) -> None:
    phone, nurse = at.resident(TEACHER), at.resident(NURSE)
    hold = phone.get("/v1/me/code").json()["holds"][0]
    asked = {"rule": hold["rule"], "since": hold["since"], "why": "other"}

    def code(by: TestClient, **more: object) -> tuple[int, str]:
        said = by.post("/v1/me/appeals", json=asked | more)
        return said.status_code, said.json().get("code", "")

    assert code(nurse) == (422, "no_hold")  # somebody else's hold is none of hers
    assert code(phone, rule="A-R1") == (422, "no_hold")
    assert code(phone, since="yesterday") == (422, "bad_time")
    assert code(phone, text="x" * 501)[0] == 422
    assert code(phone, why="please")[0] == 422
    assert code(phone, text="a\nb") == (422, "bad_value")
    assert code(phone)[0] == 201
    assert code(phone) == (422, "already_open")
    (mine,) = phone.get("/v1/me/appeals").json()["appeals"]
    assert nurse.delete(f"/v1/me/appeals/{mine['appeal']}").status_code == 404
    assert phone.delete(f"/v1/me/appeals/{mine['appeal']}").status_code == 204
    assert phone.delete(f"/v1/me/appeals/{mine['appeal']}").status_code == 404
    more = {"rule": "A-P3", "outcome": "popup", "why": Why.OTHER, "machine": "stands", "now": at.clock.now}
    person, appeals = at.city.appeals.get(1).person, at.city.appeals
    for n in range(9):
        made = appeals.file([person], since=n, filed=Filed("", {}), **more)  # type: ignore[arg-type]
        appeals.withdraw([person], made.appeal, now=at.clock.now)
    assert code(phone) == (422, "too_many_rows")


def test_a_dismissal_needs_two_as_well_and_a_second_officer_may_send_it_back(at: Hamlet) -> None:
    phone = at.resident(TEACHER)
    filed(phone)
    assert desk(at, "decide", 1, "--officer", "Li", "--reason", "对", "--dismiss").code == 0
    assert desk(at, "return", 1, "--officer", "Li").code == 2
    assert desk(at, "return", 1, "--officer", "Wang").code == 0
    assert desk(at, "agree", 1, "--officer", "Wang").code == 2  # nothing is proposed now
    assert desk(at, "decide", 1, "--officer", "Wang", "--reason", "对", "--dismiss").code == 0
    assert desk(at, "agree", 1, "--officer", "Li").code == 0
    (one,) = phone.get("/v1/me/appeals").json()["appeals"]
    assert (one["state"], one["answer"], one["follows"]) == ("dismissed", "对", None)
    assert not list((at.path / "inbox").iterdir())  # nothing follows


def test_a_retraction_takes_only_what_speaks_of_this_person(at: Hamlet) -> None:
    """The case's own document is not the teacher's to take back."""
    phone = at.resident(TEACHER)
    filed(phone)
    assert desk(at, "decide", 1, "--officer", "Li", "--reason", "x", "--retract", "clinic/c1").code == 2
    case = at.resident(CASE)
    filed(case, why="not_me")
    assert desk(at, "decide", 2, "--officer", "Li", "--reason", "错人。", "--retract", "clinic/c1").code == 0
    assert desk(at, "agree", 2, "--officer", "Wang").code == 0
    at.cycle()
    assert case.get("/v1/me/code").json()["colour"] == "green"
    assert phone.get("/v1/me/code").json()["holds"] == []  # whom the case had met is free too
    shown = desk(at, "show", 1, "--officer", "Li")  # and the teacher's appeal has nothing to answer any more
    assert "no longer gives it" in shown.out
    assert phone.get("/v1/me/appeals").json()["appeals"][0]["state"] == "settled"


def test_a_deadline_that_is_over_is_said_to_everybody(at: Hamlet) -> None:
    phone = at.resident(TEACHER)
    filed(phone)
    assert desk(at, "list").code == 0
    at.clock.now += ANSWERED_IN + 1
    late = desk(at, "list", "--json")
    assert late.code == 1
    assert '"late": true' in late.out
    assert at.city.appeals.late(now=at.clock.now) == 1
    token = at.city.tokens.make(1, at.city.store.resident(1).token_turn, now=at.clock.now)[0]
    assert at.client(token).get("/v1/me/appeals").json()["appeals"][0]["late"] is True


def test_words_are_sealed_and_go_when_they_are_no_longer_needed(at: Hamlet) -> None:
    phone = at.resident(TEACHER)
    made = filed(phone)
    raw = b"".join(f.read_bytes() for f in (at.path / "front").glob("appeals.sqlite*"))
    assert WORDS.encode() not in raw
    assert made["text"] == WORDS  # said back as it was written; the page shows it as text
    assert "sealed" in repr(at.city.appeals.get(1).filed)
    phone.delete(f"/v1/me/appeals/{made['appeal']}")
    assert at.city.appeals.forget(now=at.clock.now + WORDS_KEPT) == 0
    assert at.city.appeals.forget(now=at.clock.now + WORDS_KEPT + DAY) == 1
    (one,) = phone.get("/v1/me/appeals").json()["appeals"]
    assert (one["text"], one["state"], len(one["steps"])) == (None, "withdrawn", 3)


def test_no_decision_sets_a_colour(at: Hamlet) -> None:
    """What follows is one row of evidence of a kind that there is, or none; a crash between evidence and record is
    harmless."""
    phone = at.resident(TEACHER)
    filed(phone)
    a = at.city.appeals.get(1)
    with pytest.raises(Refused) as problem:
        require_theirs(at.state, a.person, "c1", "clinic")
    assert problem.value.code is Code.NO_PERSON
    assert standing(at.state, a.person, now=at.clock.now).ended_by("no_link", a.rule, a.since)
    at.city.appeals.propose(
        1, Decision(True, "Li", "x", {"kind": "clearance", "finding": "no_link"}), now=at.clock.now
    )
    said = {"officer": "Li", "second": "Wang", "reason": "x", "now": at.clock.now}
    for _ in range(2):  # the first time the machine died before it wrote that two had agreed
        _, decision = at.city.appeals.must_be_proposed(1, "Wang")
        document = corrected(at.state, 1, a.person, a.rule, decision.correction, **said)  # type: ignore[arg-type]
    at.city.appeals.agreed(1, "Wang", document=document, now=at.clock.now)
    at.state.absorb()
    with at.state.engine.work() as con:
        at.state.raw(con)
        rows = con.execute(
            "SELECT feed, document_id, finding, officer, second_officer FROM raw_clearances"
        ).fetchall()
    assert rows == [("appeals", "appeal-1", "no_link", "Li", "Wang")]

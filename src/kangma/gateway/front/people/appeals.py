"""A resident says that a hold is wrong, and sees what becomes of it. What follows from an appeal is evidence or nothing:
no route here, and none elsewhere, sets a colour. Officers answer by `kangma appeals`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response

from kangma.errors import Code, Refused, Where
from kangma.gateway.front import schema as s
from kangma.gateway.front.city import City, Here
from kangma.gateway.front.people.residents import Hex8, Me, _person, _persons
from kangma.gateway.register.problems import NotThere
from kangma.gateway.register.sent import Sent
from kangma.publish.objections import standing
from kangma.store.appeals import LIVE, Appeal, Filed, NoAppeal, Why
from kangma.store.front import Resident
from kangma.terms import moment


def file(asked: Annotated[s.Appealing, Depends(Sent(s.Appealing))], city: Here, mine: Me) -> s.AppealSaid:
    """This hold is wrong. Your code is derived again at once, from the evidence; whatever that gives, people
    answer within
    24 hours, and two of them must agree. Emergency care, going home, tests and medicine stay open to you meanwhile."""
    now = city.now
    try:
        since = moment(asked.since)
    except ValueError:
        raise Refused(Code.BAD_TIME, Where(path="since"), "as the hold says it") from None
    if not asked.text.isprintable():
        raise Refused(Code.BAD_VALUE, Where(path="text"), "printable characters")
    persons = _ordered(city, mine)
    held, stands = standing(city.state, mine.person, now=now).hold(asked.rule, since)
    if held is None:
        raise Refused(Code.NO_HOLD, Where(path="rule"), "no hold of this rule since then is on your code")
    evidence = {} if asked.evidence is None else asked.evidence.model_dump(exclude_none=True)
    made = city.appeals.file(
        persons, rule=asked.rule, since=since, outcome=str(held["outcome"]), why=Why(asked.why),
        filed=Filed(asked.text, evidence), machine="stands" if stands else "gone", now=now,
    )  # fmt: skip
    return _said(city, made)


def _ordered(city: City, mine: Resident) -> list[int]:
    """The numbers of this person, the one that stands for it first."""
    first = _person(city, mine)
    return [first, *(p for p in _persons(city, mine) if p != first)]


def appeals(city: Here, mine: Me) -> s.AppealsSaid:
    """Your appeals and what became of each, the newest first."""
    return s.AppealsSaid(appeals=appeals_of(city, mine))


def appeals_of(city: City, mine: Resident) -> list[s.AppealSaid]:
    """The same, for the export."""
    city.appeals.forget(now=city.now)
    return [_said(city, one) for one in city.appeals.of(_ordered(city, mine))]


def withdraw(appeal: Annotated[str, Hex8], city: Here, mine: Me) -> Response:
    """You take it back."""
    try:
        city.appeals.withdraw(_ordered(city, mine), appeal, now=city.now)
    except NoAppeal:
        raise NotThere("no open appeal of yours") from None
    return Response(status_code=204)


def _said(city: City, one: Appeal) -> s.AppealSaid:
    iso = city.zone.iso
    decided = one.decision if one.state not in LIVE else None
    said = {
        "appeal": one.appeal, "rule": one.rule, "since": iso(one.since), "outcome": one.outcome, "why": one.why.value,
        "text": None if one.filed is None else one.filed.text,
        "evidence": None if one.filed is None or not one.filed.evidence else dict(one.filed.evidence),
        "state": one.state.value, "filed_at": iso(one.filed_at), "answer_by": iso(one.answer_by),
        "late": one.late(city.now), "closed_at": None if one.closed_at is None else iso(one.closed_at),
        "machine": one.machine, "answer": None if decided is None else decided.reason,
        "follows": None if decided is None or not decided.correction else decided.correction["kind"],
        "steps": [{"at": iso(step.at), "who": step.who, "what": step.what} for step in one.steps],
    }  # fmt: skip
    return s.AppealSaid.model_validate(said)

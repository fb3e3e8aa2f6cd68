"""The members' pages: what members get, signing in, and the desk where records are drafted, reviewed and published.

Forms only; the one script is the passkey's (`members`). A save names the edit that it began with: whoever comes second
gets the difference and their own text back, and decides again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as Parameter
from fastapi.responses import RedirectResponse

from kangma.errors import Code, Conflict, Refused
from kangma.gateway.register import editing, wording
from kangma.gateway.register.accounts import news_of
from kangma.gateway.register.asked import Editor, Here, Member, Now, Viewer
from kangma.gateway.register.house import Language, render
from kangma.gateway.register.problems import NotThere
from kangma.gateway.register.sent import RECORD, SMALL, SentForm, SentTyped, Typed, edit_named
from kangma.incidents.difference import difference
from kangma.incidents.form import BadRecord, Fault, from_json, to_json
from kangma.incidents.levels import lowered, seen_by
from kangma.incidents.life import NEEDS, Act, Change, Right, Role, State
from kangma.incidents.record import Record
from kangma.incidents.words import Words
from kangma.store.register import Caller, Outdated, Register, Work
from kangma.terms import Moment

router = APIRouter(include_in_schema=False)

Small = Annotated[list[tuple[str, str]], Depends(SentForm(SMALL))]
Whole = Annotated[Typed, Depends(SentTyped(3 * RECORD, editing.MOST_FIELDS))]  # %-encoded Han is thrice


@router.get("/members")
def members(request: Request, register: Here, viewer: Viewer, lang: Language) -> Response:
    drafts = register.drafts(viewer) if viewer is not None and Right.WRITE in viewer.rights else []
    passkeys = register.members.passkeys(viewer.account) if viewer is not None else []
    return render(
        request, lang, "members.html", viewer, drafts=drafts, passkeys=passkeys, Role=Role, State=State, Change=Change,
        writes=viewer is not None and Right.WRITE in viewer.rights, news=news_of(request, register, viewer),
    )  # fmt: skip


# A new record


@router.get("/members/new")
def blank(request: Request, by: Editor, lang: Language) -> Response:
    return _form(request, lang, by, None, {}, ())


@router.post("/members/new")
def new(request: Request, register: Here, by: Editor, lang: Language, now: Now, form: Whole) -> Response:
    value = editing.json_of(form.pairs)
    if form.faults:
        return _form(request, lang, by, None, value, form.faults, status=form.status)
    try:
        record = from_json(value)
        register.new(by, record, now=now)
    except BadRecord as problem:
        return _form(request, lang, by, None, value, problem.faults, status=422)
    except Conflict:
        taken = Fault("id", Code.DUPLICATE_ID, "there is a record with this id")
        return _form(request, lang, by, None, value, (taken,), status=409)
    return _to(record.id)


# Work on a record


@router.get("/members/work/{id}")
def work(request: Request, id: str, register: Here, by: Editor, lang: Language, now: Now) -> Response:
    return _work(request, id, register, by, lang, now)


def _work(
    request: Request,
    id: str,
    register: Register,
    by: Caller,
    lang: str,
    now: Moment,
    *,
    status: int = 200,
    faults: tuple[Fault, ...] = (),
    since: Outdated | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    """The record at the desk; `typed` is what somebody wrote into the form of the act that was not done."""
    found = _found(register, by, id, now)
    published = register.show(id, by, now=now).entry.seen.record if found.version else Record(id=id)
    changes = difference(seen_by(published, member=True), seen_by(found.record, member=True))
    drafting = found.state in (State.DRAFT, State.IN_REVIEW)
    return render(
        request, lang, "work.html", by, status=status, id=id, work=found, changes=changes, since=since,
        may={act.value for act in Act if NEEDS[act] in by.rights}, State=State, Change=Change, Act=Act,
        alike=register.duplicates(by, found.record, now=now) if drafting else (),
        told=[(fault.path, wording.fault(fault.code, fault.hint, lang)) for fault in faults],
        hidden=lowered(published, found.record) if found.version else (), typed=typed or {},
    )  # fmt: skip


def _found(register: Register, by: Caller, id: str, now: Moment) -> Work:
    try:
        return register.work(by, id, now=now)
    except Refused as problem:
        if problem.code is Code.BAD_VALUE:
            raise NotThere from None
        raise


@router.get("/members/work/{id}/edit")
def edit(
    request: Request,
    id: str,
    register: Here,
    by: Editor,
    lang: Language,
    now: Now,
    other: Annotated[str, Parameter(alias="with", max_length=80, description="A record to take in.")] = "",
) -> Response:
    """The draft in a form; `with` another record, what that says besides it too, to be looked at and saved."""
    found = _found(register, by, id, now)
    if found.state is not State.DRAFT:
        raise Conflict(f"a record that is {found.state} cannot be edited")
    if other:
        record, began, differ = register.merged(by, id, other, now=now)
        hidden = _lowered(register, by, id, record, now)
        return _form(
            request, lang, by, id, to_json(record), (), after=began, hidden=hidden, taken_in=(other, differ)
        )
    hidden = _lowered(register, by, id, found.record, now)
    return _form(request, lang, by, id, to_json(found.record), (), after=found.edit, hidden=hidden)


def _lowered(register: Register, by: Caller, id: str, record: Record, now: Moment) -> tuple[str, ...]:
    """Fields that the newest published version shows to everybody and this one would not."""
    if not register.standing(by, id).version:
        return ()
    return lowered(register.show(id, by, now=now).entry.seen.record, record)


@router.post("/members/work/{id}/edit")
def save(
    request: Request, id: str, register: Here, by: Editor, lang: Language, now: Now, form: Whole
) -> Response:
    named = [v for n, v in form.pairs if n == "after_edit"]
    after = edit_named(named[0] if len(named) == 1 else "", "after_edit", "the edit that you began with")
    told = any(n == "known" and v == "lowered" for n, v in form.pairs)
    value = editing.json_of([(n, v) for n, v in form.pairs if n not in ("after_edit", "known")]) | {"id": id}
    if form.faults:
        return _form(request, lang, by, id, value, form.faults, after=after, status=form.status)
    try:
        record = from_json(value)
        if not told and (hidden := _lowered(register, by, id, record, now)):
            return _form(request, lang, by, id, value, (), after=after, hidden=hidden, asks=True, status=422)
        register.edit(by, record, after_edit=after, now=now)
    except BadRecord as problem:
        return _form(request, lang, by, id, value, problem.faults, after=after, status=422)
    except Outdated as problem:
        # Nothing of theirs is lost: it stands in the form, which now begins with the edit that is there.
        return _form(request, lang, by, id, value, (), after=problem.edit, since=problem, status=409)
    except Conflict:  # handed on while they wrote: what they wrote stays with them here too
        return _form(request, lang, by, id, value, (), after=after, handed_on=True, status=409)
    return _to(id)


def _form(
    request: Request,
    lang: str,
    by: Caller,
    id: str | None,
    value: dict[str, Any],
    faults: tuple[Fault, ...],
    *,
    after: int = 0,
    since: Outdated | None = None,
    handed_on: bool = False,
    hidden: tuple[str, ...] = (),
    asks: bool = False,
    taken_in: tuple[str, tuple[str, ...]] | None = None,
    status: int = 200,
) -> Response:
    groups = editing.form_of(value, lang, faults, with_id=id is None)
    there = editing.places(groups)
    told = [
        (fault.path, wording.fault(fault.code, fault.hint, lang), there.get(fault.path, ""))
        for fault in faults
    ]
    return render(
        request, lang, "edit.html", by, status=status, id=id, groups=groups, told=told, after=after, since=since,
        handed_on=handed_on, hidden=hidden, asks=asks, taken_in=taken_in,
    )  # fmt: skip


@router.post("/members/work/{id}/{act}")
def step(
    request: Request, id: str, act: str, register: Here, by: Member, lang: Language, now: Now, form: Small
) -> Response:
    """One act in a record's life. What it needs, `Register` asks for."""
    sent = dict(form)
    typed = {f"{act}.{name}": value for name, value in form}
    note = sent.get("note", "")
    try:
        match act:
            case "submit":
                register.submit(by, id, now=now, note=note)
            case "return":
                register.give_back(by, id, now=now, note=note)
            case "approve":
                read = edit_named(sent.get("edit", ""), "edit", "the edit that you read")
                register.approve(by, id, edit=read, now=now, note=note)
            case "discard":
                register.discard(by, id, now=now, note=note)
            case "publish":
                register.publish(by, id, now=now)
                return RedirectResponse(f"/incidents/{quote(id)}", 303)
            case "correct" | "withdraw":
                change = Change.CORRECTION if act == "correct" else Change.WITHDRAWAL
                reason = Words.of({tag: sent.get(f"reason.{tag}", "") for tag in ("zh", "en")})
                register.reopen(by, id, change, reason, now=now)
            case _:
                raise NotThere("no such act")
    except BadRecord as problem:
        return _work(request, id, register, by, lang, now, status=422, faults=problem.faults, typed=typed)
    except Outdated as problem:
        return _work(request, id, register, by, lang, now, status=409, since=problem, typed=typed)
    except Refused as problem:
        if problem.code is not Code.MISSING_VALUE:
            raise
        fault = Fault(problem.where.path or "reason", problem.code, problem.hint)
        return _work(request, id, register, by, lang, now, status=422, faults=(fault,), typed=typed)
    return RedirectResponse("/members", 303) if act == "discard" else _to(id)


def _to(id: str) -> Response:
    return RedirectResponse(f"/members/work/{quote(id)}", 303)

"""The register for programs: `/v1`. What a route gives is what `Register` gives its viewer; what it needs, it declares.

The order within a route: who asks (401), whether they may (403), what was sent (413, 415, 422), what stands there (404,
409). Every write names what it began with, so that sending it twice does no harm.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Response
from fastapi import Query as Parameter

from kangma.errors import Code, Refused, Where
from kangma.gateway.register import schema
from kangma.gateway.register.answers import PROBLEMS, answer
from kangma.gateway.register.asked import (
    Administrator,
    Asked,
    Editor,
    Here,
    Listed,
    Machine,
    Member,
    Now,
    Publisher,
    Reviewer,
    Viewer,
)
from kangma.gateway.register.problems import BadRequest, NoEditNamed, NotThere
from kangma.gateway.register.sent import FILE, PICTURE, Sent, SentBytes, SentJson, SentRecord, bad
from kangma.incidents.difference import Change as Difference
from kangma.incidents.difference import difference
from kangma.incidents.duplicates import Suggestion
from kangma.incidents.exchange import json as json_form
from kangma.incidents.exchange import stix, tables, veris
from kangma.incidents.exchange.report import Entry, Taken
from kangma.incidents.form import Fault, complete, to_json
from kangma.incidents.levels import seen_by
from kangma.incidents.life import Change, Right, require
from kangma.incidents.record import Record
from kangma.incidents.signal import Measured, Signal, alerts
from kangma.incidents.words import Words
from kangma.signing.keys import Algorithm
from kangma.store.register import Caller, Published, Register, Version
from kangma.terms import DAY, Moment, moment

router = APIRouter(prefix="/v1", responses=PROBLEMS)

Id = Annotated[str, Path(max_length=80, description="The record's id.")]
N = Annotated[int, Path(ge=1, le=2**31, description="The version.")]
SentRecord_ = Annotated[Record, Depends(SentRecord())]
Noted = Annotated[schema.Note, Depends(Sent(schema.Note))]


class Form(StrEnum):
    """What records are written to and read from."""

    JSON = "json"
    STIX = "stix"
    VERIS = "veris"
    CSV = "csv"
    PARQUET = "parquet"


MEDIA = {
    Form.JSON: "application/json",
    Form.STIX: "application/stix+json;version=2.1",
    Form.VERIS: "application/json",
    Form.CSV: "text/csv; charset=utf-8",
    Form.PARQUET: "application/vnd.apache.parquet",
}
FILES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {media: {} for media in dict.fromkeys(MEDIA.values())}}
}


# Finding and reading


@router.get("/incidents", tags=["reading"], responses={200: {"model": schema.Found}})
def find(register: Here, now: Now, viewer: Viewer, query: Listed) -> Response:
    """A page of published records, and how many each further filter would leave."""
    page = register.find(query, viewer, now=now)
    return answer({"total": page.total, "incidents": page.cards, "counts": page.counts, "next": page.next})


@router.get("/incidents/{id}", tags=["reading"], responses={200: {"model": schema.Shown}})
def show(register: Here, now: Now, viewer: Viewer, id: Id) -> Response:
    """The newest version of a record."""
    return answer(version_as_json(register, register.show(id, viewer, now=now)))


@router.get("/incidents/{id}/versions", tags=["reading"], responses={200: {"model": schema.History}})
def history(register: Here, id: Id) -> Response:
    """Every version that was published, oldest first."""
    return answer({"id": id, "versions": [_published(p) for p in register.history(id)]})


@router.get("/incidents/{id}/versions/{version}", tags=["reading"], responses={200: {"model": schema.Shown}})
def show_version(register: Here, now: Now, viewer: Viewer, id: Id, version: N) -> Response:
    """One version of a record."""
    return answer(version_as_json(register, register.show(id, viewer, now=now, version=version)))


@router.get(
    "/incidents/{id}/versions/{version}/signed",
    tags=["checking"],
    responses={200: {"content": {"application/cose": {}}, "description": "COSE_Sign1 of the statement."}},
)
def signed(register: Here, id: Id, version: N) -> Response:
    """What the register signed of a version. Its payload is the log's entry number `log_index`."""
    shown = register.show(id, None, now=0, version=version)
    return Response(shown.signed, media_type='application/cose; cose-type="cose-sign1"')


@router.get("/incidents/{id}/difference", tags=["reading"], responses={200: {"model": schema.Differences}})
def differences(
    register: Here,
    now: Now,
    viewer: Viewer,
    id: Id,
    from_: Annotated[int, Parameter(alias="from", ge=1, le=2**31)],
    to: Annotated[int, Parameter(ge=1, le=2**31)],
) -> Response:
    """What changed from one version to another, for this viewer."""
    return answer({"difference": _changes(register.differences(id, from_, to, viewer, now=now))})


@router.get(
    "/incidents/{id}/picture",
    tags=["reading"],
    responses={
        200: {
            "description": "The picture.",
            "content": {"image/png": {}, "image/jpeg": {}, "image/webp": {}},
        }
    },
)
def picture(register: Here, now: Now, viewer: Viewer, id: Id) -> Response:
    """The picture of a record, as it was kept."""
    found = register.picture(id, viewer, now=now)
    if found is None:
        raise NotThere("no picture")
    return Response(found[1], media_type=found[0])


@router.get("/export", tags=["reading"], responses=FILES)
def export(
    register: Here,
    now: Now,
    viewer: Viewer,
    query: Asked,
    form: Annotated[Form, Parameter(description="json, stix, veris, csv or parquet.")] = Form.JSON,
) -> Response:
    """Every record that is found, as this viewer sees it, in one file."""
    entries = list(register.entries(query, viewer, now=now))
    name = f'attachment; filename="incidents.{_ENDS[form]}"'
    return Response(
        written(entries, form, register), media_type=MEDIA[form], headers={"content-disposition": name}
    )


_ENDS = {
    Form.JSON: "json", Form.STIX: "stix.json", Form.VERIS: "veris.json", Form.CSV: "csv", Form.PARQUET: "parquet",
}  # fmt: skip


def written(entries: list[Entry], form: Form, register: Register) -> bytes:
    """The entries in a form. VERIS leaves out what has no year in it (docs/formats/incident.md)."""
    if form is Form.PARQUET:
        from kangma.incidents.exchange import parquet  # noqa: PLC0415  Arrow is slow to load and seldom needed

        return parquet.write(entries)
    if form is Form.STIX:
        return stix.write(entries, register.about)
    if form is Form.VERIS:
        return veris.write(entries)
    if form is Form.CSV:
        return tables.write_csv(entries)
    return json_form.write(entries, register.about)


@router.get("/key", tags=["checking"], responses={200: {"model": schema.Key}})
def key(register: Here) -> Response:
    """What this register's statements and its log's checkpoints are checked with."""
    return answer(
        {
            "algorithm": "EdDSA"
            if register.key.algorithm is Algorithm.EDDSA
            else register.key.algorithm.name,
            "key": register.key.raw.hex(),
            "origin": register.origin,
            "title": register.about.title,
            "base": register.about.base,
        }
    )


# Drafts


@router.get("/drafts", tags=["drafts"], responses={200: {"model": schema.Drafts}})
def drafts(register: Here, by: Editor) -> Response:
    """Records with open work."""
    return answer({"drafts": register.drafts(by)})


@router.post("/drafts", tags=["drafts"], status_code=201, responses={201: {"model": schema.Saved}})
def new(register: Here, now: Now, by: Editor, record: SentRecord_) -> Response:
    """Opens a draft. 409 when the id is taken."""
    alike = register.duplicates(by, record, now=now)
    edit = register.new(by, record, now=now)
    made = _saved(register, by, record.id) | {"perhaps_the_same": _alike(alike)}
    return answer(made, 201, etag=f'"{edit}"', location=f"/v1/drafts/{record.id}")


@router.get("/drafts/{id}", tags=["drafts"], responses={200: {"model": schema.WorkOn}})
def work(register: Here, now: Now, by: Editor, id: Id) -> Response:
    """The newest edit and how it got there. Its ETag is the edit's number."""
    found = register.work(by, id, now=now)
    made = {
        "id": id, "record": to_json(found.record), "state": found.state.value, "edit": found.edit,
        "version": found.version, "change": found.change.value, "reason": dict(found.reason.pairs),
        "authors": sorted(found.authors), "origin": found.origin, "lacking": _lacking(complete(found.record)),
        "acts": [
            {"what": a.what.value, "account": a.account, "at": a.at, "edit": a.edit, "note": a.note}
            for a in found.acts
        ],
    }  # fmt: skip
    return answer(made, etag=f'"{found.edit}"')


@router.put("/drafts/{id}", tags=["drafts"], responses={200: {"model": schema.Saved}})
def edit(
    register: Here,
    now: Now,
    by: Editor,
    id: Id,
    record: SentRecord_,
    after_edit: Annotated[int | None, Parameter(ge=1, le=2**53)] = None,
    if_match: Annotated[str | None, Header(description='The edit this began with: `"7"`.')] = None,
) -> Response:
    """Saves a draft. It names the edit that it began with (If-Match, or after_edit). 409 `outdated` when somebody saved
    since, with the difference that they made: nothing is lost, the sender decides."""
    if record.id != id:
        raise bad("id", Code.BAD_VALUE, "another record than the address names")
    saved = register.edit(by, record, after_edit=_began(after_edit, if_match), now=now)
    return answer(_saved(register, by, id), etag=f'"{saved}"')


def _began(after_edit: int | None, if_match: str | None) -> int:
    if after_edit is not None:
        return after_edit
    if if_match is None:
        raise NoEditNamed
    found = re.fullmatch(r'"(\d{1,15})"', if_match.strip(), re.ASCII)
    if found is None:
        raise BadRequest(Code.BAD_VALUE, Where(path="if-match"), 'an edit such as "7"')
    return int(found[1])


@router.get("/drafts/{id}/difference", tags=["drafts"], responses={200: {"model": schema.Differences}})
def draft_difference(register: Here, now: Now, by: Editor, id: Id) -> Response:
    """What a draft changes of what is published; all of it when nothing is."""
    found = register.work(by, id, now=now)
    before = register.show(id, by, now=now).entry.seen.record if found.version else Record(id=id)
    return answer(
        {"difference": _changes(difference(seen_by(before, member=True), seen_by(found.record, member=True)))}
    )


@router.get("/drafts/{id}/duplicates", tags=["drafts"], responses={200: {"model": schema.Suggested}})
def draft_duplicates(register: Here, now: Now, by: Editor, id: Id) -> Response:
    """Records that may be about the same incident as a draft."""
    found = register.work(by, id, now=now)
    return answer({"perhaps_the_same": _alike(register.duplicates(by, found.record, now=now))})


@router.get("/drafts/{id}/merged", tags=["drafts"], responses={200: {"model": schema.Merged}})
def merged(
    register: Here,
    now: Now,
    by: Editor,
    id: Id,
    other: Annotated[str, Parameter(alias="with", max_length=80)],
) -> Response:
    """A draft with what another record says besides it. Nothing is saved: whoever read it saves it, naming `edit`."""
    record, edit, differ = register.merged(by, id, other, now=now)
    return answer({"record": to_json(record), "edit": edit, "differ": list(differ)})


@router.post("/drafts/{id}/submit", tags=["drafts"], responses={200: {"model": schema.Saved}})
def submit(register: Here, now: Now, by: Editor, id: Id, sent: Noted) -> Response:
    """Asks for review. 422 with what is lacking."""
    register.submit(by, id, now=now, note=sent.note)
    return answer(_saved(register, by, id))


@router.post("/drafts/{id}/discard", tags=["drafts"], responses={200: {"model": schema.Saved}})
def discard(register: Here, now: Now, by: Editor, id: Id, sent: Noted) -> Response:
    """Gives a draft up. It is kept and no longer listed."""
    register.discard(by, id, now=now, note=sent.note)
    return answer(_saved(register, by, id))


@router.post("/drafts/{id}/return", tags=["drafts"], responses={200: {"model": schema.Saved}})
def give_back(
    register: Here,
    now: Now,
    by: Reviewer,
    id: Id,
    sent: Annotated[schema.Returning, Depends(Sent(schema.Returning))],
) -> Response:
    """Back to its editors, saying why."""
    register.give_back(by, id, now=now, note=sent.note)
    return answer(_saved(register, by, id))


@router.post("/drafts/{id}/approve", tags=["drafts"], responses={200: {"model": schema.Saved}})
def approve(
    register: Here,
    now: Now,
    by: Reviewer,
    id: Id,
    sent: Annotated[schema.Approving, Depends(Sent(schema.Approving))],
) -> Response:
    """Approves exactly the edit that was read. 403 for whoever wrote any of it."""
    register.approve(by, id, edit=sent.edit, now=now, note=sent.note)
    return answer(_saved(register, by, id))


@router.post("/drafts/{id}/publish", tags=["drafts"], responses={200: {"model": schema.PublishedNow}})
def publish(register: Here, now: Now, by: Publisher, id: Id) -> Response:
    """Signs an approved draft, enters it into the log, and shows it to everybody."""
    (version,) = register.publish(by, id, now=now)
    shown = register.show(id, None, now=0, version=version)
    return answer({"id": id, "version": version, "log_index": shown.log_index})


Why = Annotated[schema.Reason, Depends(Sent(schema.Reason))]


@router.post(
    "/incidents/{id}/corrections", tags=["drafts"], status_code=201, responses={201: {"model": schema.Saved}}
)
def correct(register: Here, now: Now, by: Editor, id: Id, why: Why) -> Response:
    """Opens a draft that corrects a published record. It goes the way of every draft."""
    return _reopened(register, by, id, Change.CORRECTION, why, now)


@router.post(
    "/incidents/{id}/withdrawals", tags=["drafts"], status_code=201, responses={201: {"model": schema.Saved}}
)
def withdraw(register: Here, now: Now, by: Editor, id: Id, why: Why) -> Response:
    """Opens a draft that withdraws a published record, which stays where it was, marked."""
    return _reopened(register, by, id, Change.WITHDRAWAL, why, now)


def _reopened(
    register: Register, by: Caller, id: str, change: Change, why: schema.Reason, now: Moment
) -> Response:
    edit = register.reopen(by, id, change, Words.of({"zh": why.zh, "en": why.en}), now=now)
    return answer(_saved(register, by, id), 201, etag=f'"{edit}"', location=f"/v1/drafts/{id}")


@router.post("/duplicates", tags=["drafts"], responses={200: {"model": schema.Suggested}})
def duplicates(register: Here, now: Now, by: Editor, record: SentRecord_) -> Response:
    """Records, published or in work, that may be about the same incident as the one sent."""
    return answer({"perhaps_the_same": _alike(register.duplicates(by, record, now=now))})


@router.post("/pictures", tags=["drafts"], status_code=201, responses={201: {"model": schema.Kept}})
def keep_picture(
    register: Here,
    by: Editor,
    sent: Annotated[
        tuple[str, bytes], Depends(SentBytes("image/png", "image/jpeg", "image/webp", most=PICTURE))
    ],
) -> Response:
    """Keeps a picture, to be named by a record: drawn anew, so that nothing but the pixels is kept. The digest is of what
    is kept."""
    from kangma.gateway.register.pictures import drawn_anew  # noqa: PLC0415  which imports this module's neighbours

    media, content = drawn_anew(sent[1], sent[0])
    return answer({"digest": register.keep_picture(by, content, media), "type": media}, 201)


# Import


@router.post("/import", tags=["drafts"], responses={200: {"model": schema.Imported}})
def import_(
    register: Here,
    now: Now,
    by: Editor,
    sent: Annotated[
        tuple[str, bytes],
        Depends(
            SentBytes(
                "application/json", "application/stix+json", "text/csv", "application/vnd.apache.parquet",
                "application/octet-stream", most=FILE,
            )
        ),
    ],
    form: Annotated[Form, Parameter(description="json, stix, veris, csv or parquet.")],
) -> Response:  # fmt: skip
    """Opens a draft for each record of a file, and lists what was refused, what had no place, and what may be there
    already; for the last its sender needs to read."""
    require(Right.READ, by.rights)
    taken = _read(form, sent[1])
    opened = register.take(by, taken, now=now)
    alike = register.alike(by, taken, opened, now=now)
    same = {id: [s.id for s in found] for id, found in alike.items()}
    return answer({"opened": opened, **taken.as_json(), "perhaps_the_same": same})


def _read(form: Form, content: bytes) -> Taken:
    if form is Form.PARQUET:
        from kangma.incidents.exchange import parquet  # noqa: PLC0415  as above

        return parquet.read(content)
    readers = {
        Form.JSON: json_form.read, Form.STIX: stix.read, Form.VERIS: veris.read, Form.CSV: tables.read_csv,
    }  # fmt: skip
    return readers[form](content)


# Signals


@router.post("/signals", tags=["signals"], responses={200: {"model": schema.Drafted}})
def our_signal(
    register: Here,
    now: Now,
    by: Machine,
    sent: Annotated[schema.OurSignal, Depends(Sent(schema.OurSignal, 512 * 1024))],
) -> Response:
    """One event as a defence saw it opens at most one draft, however often it is told."""
    try:
        began = moment(sent.began)
        ended = moment(sent.ended) if sent.ended else None
    except ValueError:
        raise bad("began", Code.BAD_TIME, "began and ended in RFC 3339, offset included") from None
    made = Signal(
        sent.source, sent.event, sent.kind, sent.system, sent.title, began, ended, tuple(sent.affected),
        tuple(sent.kept_working), tuple(Measured(f.what_zh, f.what_en, f.value, f.unit) for f in sent.figures),
    )  # fmt: skip
    return answer({"drafts": [register.signal(made, now=now)]})


@router.post("/signals/alertmanager", tags=["signals"], responses={200: {"model": schema.Drafted}})
def alertmanager(
    register: Here,
    now: Now,
    by: Machine,
    webhook: Annotated[Any, Depends(SentJson(schema.Webhook, 2**20))],
) -> Response:
    """Prometheus' Alertmanager tells of its alerts (`webhook_config`); each opens at most one draft."""
    found = alerts(webhook, system=register.about.title)
    return answer({"drafts": [register.signal(s, now=now) for s in found]})


# Accounts


@router.get("/me", tags=["members"], responses={200: {"model": schema.Me}})
def me(by: Member) -> Response:
    """Who is asking, as the register sees it."""
    return answer(
        {
            "account": by.account,
            "organisation": by.organisation,
            "role": by.role.value,
            "rights": sorted(r.value for r in by.rights),
        }
    )


@router.get("/accounts", tags=["accounts"], responses={200: {"model": schema.Accounts}})
def accounts(register: Here, by: Administrator) -> Response:
    return answer({"accounts": register.accounts(by)})


@router.post("/accounts", tags=["accounts"], status_code=201, responses={201: {"model": schema.Invited}})
def add_account(
    register: Here,
    now: Now,
    by: Administrator,
    sent: Annotated[schema.NewAccount, Depends(Sent(schema.NewAccount))],
) -> Response:
    """Makes an account, and a link by which it enrols its first passkey."""
    register.add_account(by, sent.account, sent.organisation, sent.role, now=now)
    return _invited(register, by, sent.account.strip(), now)


@router.post(
    "/accounts/invite", tags=["accounts"], status_code=201, responses={201: {"model": schema.Invited}}
)
def invite(
    register: Here,
    now: Now,
    by: Administrator,
    sent: Annotated[schema.WhichAccount, Depends(Sent(schema.WhichAccount))],
) -> Response:
    """A new link for an account, such as after a lost device. An unused one before it ends; its passkeys stay. For an
    account that had a passkey it waits for a second administrator, where there is one."""
    return _invited(register, by, sent.account, now)


@router.get("/accounts/waiting", tags=["accounts"], responses={200: {"model": schema.WaitingOnes}})
def waiting(register: Here, now: Now, by: Administrator) -> Response:
    """Invitations that wait for a second administrator."""
    return answer({"invitations": register.members.waiting(by.rights, now=now)})


@router.post("/accounts/agree", tags=["accounts"], responses={200: {"model": schema.Agreed}})
def agree(
    register: Here,
    now: Now,
    by: Administrator,
    sent: Annotated[schema.WhichAccount, Depends(Sent(schema.WhichAccount))],
) -> Response:
    """The second administrator agrees to an invitation, in person. 403 for who made it, 409 when none waits."""
    until = agreed(register, by, sent.account, now)
    return answer({"account": sent.account, "expires_at": until})


def agreed(register: Register, by: Caller, account: str, now: Moment) -> Moment:
    """As `Members.agree`; never by a token, which whoever found it could use."""
    if by.program:
        raise Refused(Code.NOT_ALLOWED, hint="in person, signed in")
    return register.members.agree(by.rights, by.account, account, now=now)


def _invited(register: Register, by: Caller, account: str, now: Moment) -> Response:
    token, until = register.members.invite(by.rights, by.account, account, now=now)
    return answer(
        {
            "account": account,
            "link": register.members.link(register.about.base, token),
            "expires_at": until,
            "waits_for_second": waits(register, by, account, now),
        },
        201,
    )


def waits(register: Register, by: Caller, account: str, now: Moment) -> bool:
    """Whether the account's invitation waits for a second administrator."""
    return account in {w["account"] for w in register.members.waiting(by.rights, now=now)}


@router.post("/accounts/close", tags=["accounts"], status_code=204)
def close_account(
    register: Here,
    now: Now,
    by: Administrator,
    sent: Annotated[schema.WhichAccount, Depends(Sent(schema.WhichAccount))],
) -> Response:
    """The account, its tokens, passkeys and sessions are no longer accepted. What it did stays under its name."""
    register.close_account(by, sent.account, now=now)
    return Response(status_code=204)


@router.get("/tokens", tags=["accounts"], responses={200: {"model": schema.Tokens}})
def tokens(register: Here, by: Member) -> Response:
    """One's own; an administrator's view everybody's."""
    return answer({"tokens": register.tokens(by)})


@router.post("/tokens", tags=["accounts"], status_code=201, responses={201: {"model": schema.TokenMade}})
def make_token(
    register: Here, now: Now, by: Member, sent: Annotated[schema.NewToken, Depends(Sent(schema.NewToken))]
) -> Response:
    """A token for a program, with fewer rights than its account or the same. It never makes another with more."""
    account, until = sent.account or by.account, now + sent.days * DAY
    scopes = frozenset(sent.scopes)
    token, secret = register.make_token(by, account, scopes, now=now, expires_at=until)
    return answer(
        {
            "token": token, "secret": secret, "account": account, "scopes": sorted(s.value for s in scopes),
            "expires_at": until,
        },
        201,
    )  # fmt: skip


@router.delete("/tokens/{token}", tags=["accounts"], status_code=204)
def close_token(
    register: Here, now: Now, by: Member, token: Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
) -> Response:
    """One's own, or an administrator anybody's."""
    register.close_token(by, token, now=now)
    return Response(status_code=204)


@router.get("/me/happened", tags=["members"], responses={200: {"model": schema.Happenings}})
def happened(register: Here, by: Member) -> Response:
    """What was done to one's account, and by whom."""
    return answer({"account": by.account, "happened": register.history_of(by, by.account)})


@router.get("/me/looks", tags=["members"], responses={200: {"model": schema.Looks}})
def my_looks(register: Here, by: Member) -> Response:
    """What one looked at oneself, as it is recorded; latest first, at most 10,000."""
    return answer({"looks": register.looks(by, account=by.account)})


@router.get("/oversight", tags=["checking"], responses={200: {"model": schema.Oversight}})
def oversight(register: Here) -> Response:
    """How many administrators there are, and how often they gave an account a new way in."""
    return answer(register.members.oversight())


@router.get("/looks", tags=["accounts"], responses={200: {"model": schema.Looks}})
def looks(register: Here, by: Administrator) -> Response:
    """Who looked at what only members see, latest first, at most 10,000."""
    return answer({"looks": register.looks(by)})


# As JSON


def version_as_json(register: Register, found: Version) -> dict[str, Any]:
    """A version as the API and the command line tell it; `salt` for members only."""
    made = {
        **json_form.as_json(found.entry),
        "address": register.about.address(found.entry.seen.record.id),
        "change": found.change.value,
        "reason": dict(found.reason.pairs),
        "versions": found.versions,
        "log_index": found.log_index,
        "statement": found.statement.as_json(),
        "signed": found.signed.hex(),
    }
    return made if found.salt is None else made | {"salt": found.salt.hex()}


def _published(p: Published) -> dict[str, Any]:
    return {
        "version": p.version, "change": p.change.value, "reason": dict(p.reason.pairs), "at": p.at,
        "log_index": p.log_index,
    }  # fmt: skip


def _changes(changes: tuple[Difference, ...]) -> list[dict[str, Any]]:
    return [c.as_json() for c in changes]


def _alike(found: tuple[Suggestion, ...]) -> list[dict[str, Any]]:
    return [{"id": s.id, "score": s.score, "reasons": list(s.reasons)} for s in found]


def _lacking(faults: tuple[Fault, ...]) -> list[dict[str, str]]:
    return [{"path": f.path, "hint": f.hint} for f in faults]


def _saved(register: Register, by: Caller, id: str) -> dict[str, Any]:
    found = register.standing(by, id)
    return {"id": id, "state": found.state.value, "edit": found.edit, "lacking": _lacking(found.lacking)}

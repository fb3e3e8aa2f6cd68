"""Members' own pages: one's passkeys and tokens, what happened to one's account, what one looked at; and, for
administrators, everybody's. Forms only; adding a passkey is the one thing that needs the script (`members`).
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as Parameter
from fastapi.responses import RedirectResponse

from kangma.errors import Code, Conflict, Refused, Where
from kangma.gateway.register.api import agreed, waits
from kangma.gateway.register.asked import Administrator, Here, Member, Now, session_of
from kangma.gateway.register.house import Language, render
from kangma.gateway.register.problems import BadRequest, NotSignedIn, NotThere
from kangma.gateway.register.sent import SMALL, SentForm
from kangma.incidents.life import Happening, Right, Role, require
from kangma.store.register import Caller, Register
from kangma.terms import DAY, Moment

router = APIRouter(include_in_schema=False)

Small = Annotated[list[tuple[str, str]], Depends(SentForm(SMALL))]
LOOKS = 100  # a page
DAYS = (30, 90, 366)
_OWN, _ALL = "/members/account", "/members/accounts"


def news_of(request: Request, register: Register, viewer: Caller | None) -> list[dict[str, Any]]:
    """What others did to this account and its owner has not read: for who is here in person."""
    session = session_of(request)
    if viewer is None or viewer.program or not session:
        return []
    return register.members.news(session)


def _one(form: list[tuple[str, str]], name: str, most: int = 64) -> str:
    """The one value of an input that must be there."""
    found = [v.strip() for n, v in form if n == name]
    if len(found) != 1 or not 0 < len(found[0]) <= most:
        raise BadRequest(Code.MISSING_VALUE, Where(path=name), "one value")
    return found[0]


# One's own


@router.get("/members/account")
def account(request: Request, register: Here, by: Member, lang: Language, now: Now) -> Response:
    return _account(request, register, by, lang, now)


def _account(
    request: Request, register: Register, by: Caller, lang: str, now: Moment, *, status: int = 200,
    secret: str = "", fault: str = "",
) -> Response:  # fmt: skip
    tokens = [t for t in register.tokens(by) if t["account"] == by.account]
    return render(
        request, lang, "account.html", by, status=status, passkeys=register.members.passkeys(by.account), now=now,
        tokens=tokens[::-1], history=register.history_of(by, by.account), news=news_of(request, register, by),
        secret=secret, fault=fault, rights=[r for r in Right if r in by.rights], days=DAYS, Happening=Happening,
    )  # fmt: skip


@router.post("/members/account/read")
def read(request: Request, register: Here, by: Member, form: Small) -> Response:
    upto = _one(form, "upto", 18)
    if not upto.isascii() or not upto.isdigit():
        raise BadRequest(Code.BAD_NUMBER, Where(path="upto"), "a number")
    session = session_of(request)
    if by.program or not session:
        raise NotSignedIn
    register.members.read_news(session, int(upto))
    return RedirectResponse("/members", 303)


@router.post("/members/account/tokens")
def make_token(
    request: Request, register: Here, by: Member, lang: Language, now: Now, form: Small
) -> Response:
    """A token of one's own; the page that answers shows it, this once."""
    scopes = {v for n, v in form if n == "scope"}
    days = [v for n, v in form if n == "days"]
    if not scopes or not scopes <= {r.value for r in by.rights} or days not in [[str(d)] for d in DAYS]:
        return _account(request, register, by, lang, now, status=422, fault="token")
    rights = {Right(s) for s in scopes}
    _, secret = register.make_token(by, by.account, rights, now=now, expires_at=now + int(days[0]) * DAY)
    return _account(request, register, by, lang, now, status=201, secret=secret)


@router.post("/members/account/tokens/close")
def close_token(register: Here, by: Member, now: Now, form: Small) -> Response:
    """One's own, or an administrator anybody's."""
    token = _one(form, "token")
    holder = next((t["account"] for t in register.tokens(by) if t["token"] == token), None)
    if holder is None:
        raise NotThere("no such token")
    register.close_token(by, token, now=now)
    return _back(by, holder, "tokens")


@router.post("/members/account/passkeys/close")
def close_passkey(register: Here, by: Member, now: Now, form: Small) -> Response:
    """One's own in person, or an administrator anybody's. Its sessions end."""
    told = _one(form, "passkey", 2_046)
    try:
        id = bytes.fromhex(told)
    except ValueError:
        raise BadRequest(Code.BAD_VALUE, Where(path="passkey"), "hexadecimal digits") from None
    if by.program:
        require(Right.ACCOUNTS, by.rights)
    own = id in {p.id for p in register.members.passkeys(by.account)}
    holder = by.account if own else _holder(register, by, id)
    register.members.close_passkey(by.rights, by.account, id, now=now)
    return _back(by, holder, "passkeys")


def _holder(register: Register, by: Caller, id: bytes) -> str:
    require(Right.ACCOUNTS, by.rights)
    try:
        return register.members.passkey(id).account
    except Refused:
        raise NotThere("no such passkey") from None


def _back(by: Caller, holder: str, part: str) -> Response:
    return RedirectResponse(f"{_OWN if holder == by.account else _address(holder)}#{part}", 303)


def _address(name: str) -> str:
    return f"{_ALL}/one?{urlencode({'account': name})}"


# Who looked


@router.get("/members/looks")
def looks(
    request: Request,
    register: Here,
    by: Member,
    lang: Language,
    account: Annotated[str, Parameter(max_length=64, description="Of one account.")] = "",
    before: Annotated[int | None, Parameter(ge=1, le=2**53, description="The page before's last.")] = None,
) -> Response:
    """One's own looks; an administrator's view everybody's, or one account's."""
    everybody = Right.ACCOUNTS in by.rights
    of = account if everybody else account or by.account
    found = register.looks(by, account=of, before=before, most=LOOKS + 1)
    return render(
        request, lang, "looks.html", by, looks=found[:LOOKS], of=of, everybody=everybody, first=before is None,
        next=found[LOOKS - 1]["look"] if len(found) > LOOKS else None,
    )  # fmt: skip


# Everybody's accounts


@router.get("/members/accounts")
def accounts(request: Request, register: Here, by: Administrator, lang: Language, now: Now) -> Response:
    return _accounts(request, register, by, lang, now)


def _accounts(
    request: Request,
    register: Register,
    by: Caller,
    lang: str,
    now: Moment,
    *,
    status: int = 200,
    **said: Any,
) -> Response:
    shown = {"link": None, "of": "", "waits": False, "fault": "", "typed": {}} | said
    return render(
        request, lang, "accounts.html", by, status=status, accounts=register.accounts(by), Role=Role,
        waiting=register.members.waiting(by.rights, now=now), oversight=register.members.oversight(), **shown,
    )  # fmt: skip


@router.post("/members/accounts")
def add_account(
    request: Request, register: Here, by: Administrator, lang: Language, now: Now, form: Small
) -> Response:
    typed = dict(form)
    name, role = typed.get("account", "").strip(), typed.get("role", "")
    try:
        if not name or role not in set(Role):
            raise Refused(Code.MISSING_VALUE, Where(path="account"))
        register.add_account(by, name, typed.get("organisation", ""), Role(role), now=now)
    except Conflict:
        return _accounts(request, register, by, lang, now, status=409, fault="taken", typed=typed)
    except Refused:
        return _accounts(request, register, by, lang, now, status=422, fault="name", typed=typed)
    return _linked(request, register, by, lang, now, name)


@router.post("/members/accounts/invite")
def invite(
    request: Request, register: Here, by: Administrator, lang: Language, now: Now, form: Small
) -> Response:
    return _linked(request, register, by, lang, now, _there(register, by, _one(form, "account")))


def _linked(request: Request, register: Register, by: Caller, lang: str, now: Moment, name: str) -> Response:
    """The link of an invitation, shown this once."""
    token, until = register.members.invite(by.rights, by.account, name, now=now)
    link = register.members.link(register.about.base, token)
    waiting = waits(register, by, name, now)
    return _accounts(
        request, register, by, lang, now, status=201, link=link, until=until, of=name, waits=waiting
    )


@router.post("/members/accounts/agree")
def agree(register: Here, by: Administrator, now: Now, form: Small) -> Response:
    """The second administrator's word."""
    name = _there(register, by, _one(form, "account"))
    agreed(register, by, name, now)
    return RedirectResponse(_address(name), 303)


@router.post("/members/accounts/close")
def close(register: Here, by: Administrator, now: Now, form: Small) -> Response:
    name = _there(register, by, _one(form, "account"))
    if [v for n, v in form if n == "sure"] != ["yes"]:
        raise BadRequest(Code.MISSING_VALUE, Where(path="sure"), "tick the box: it cannot be undone")
    register.close_account(by, name, now=now)
    return RedirectResponse(_address(name), 303)


@router.get("/members/accounts/one")
def one(
    request: Request,
    register: Here,
    by: Administrator,
    lang: Language,
    now: Now,
    account: Annotated[str, Parameter(max_length=64)] = "",
) -> Response:
    """One account: what it may, what happened to it, and what an administrator can do."""
    if not account:
        return RedirectResponse(_ALL, 303)
    found = next((a for a in register.accounts(by) if a["account"] == account), None)
    if found is None:
        raise NotThere("no such account")
    return render(
        request, lang, "one_account.html", by, a=found, role=Role(found["role"]), now=now, Happening=Happening,
        passkeys=register.members.passkeys(account), history=register.history_of(by, account),
        tokens=[t for t in register.tokens(by) if t["account"] == account][::-1],
        waiting=[w for w in register.members.waiting(by.rights, now=now) if w["account"] == account],
    )  # fmt: skip


def _there(register: Register, by: Caller, name: str) -> str:
    """The name of an account that there is."""
    if name not in {a["account"] for a in register.accounts(by)}:
        raise NotThere("no such account")
    return name

"""What every handler takes from a request: the register, the time, who looks, and what is looked for.

A route takes exactly the query parameters that its signature declares (its dependencies' among them): an unknown or a
repeated one is 400 and named. So a page declares `query: Asked`, and not what it fishes out of `request.query_params`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi import Query as Parameter

from kangma.errors import Code, Refused, Where
from kangma.gateway.register.problems import BadRequest, NotSignedIn
from kangma.incidents.finding import FACETS
from kangma.incidents.life import Right, require
from kangma.store.register import Caller, Register
from kangma.store.register_finder import MOST_PAGE, PAGE, Query, Sort
from kangma.terms import Day, Moment, calendar, day_number

MOST_VALUES = 20


def register_of(request: Request) -> Register:
    return cast(Register, request.app.state.register)


def now_of(request: Request) -> Moment:
    return cast(Moment, request.app.state.clock())


def cookie_of(register: Register) -> str:
    """The name of the session's cookie; under https the browser itself holds it to this host, and to https."""
    return "__Host-kangma" if register.about.base.startswith("https://") else "kangma"


def viewer_of(request: Request) -> Caller | None:
    """Whoever looks, by bearer token or session cookie; None for anybody. NotSignedIn for a credential that is none: an
    ended session is said to be over, and does not silently show less. Its cookie is forgotten with the answer."""
    register, now = register_of(request), now_of(request)
    told = request.headers.get("authorization")
    if told is not None:
        scheme, _, token = told.partition(" ")
        try:
            if scheme.lower() != "bearer" or not token:
                raise NotSignedIn
            return register.bearer(token.strip(), now=now)
        except Refused:
            raise NotSignedIn("no such token") from None
    session = session_of(request)
    if not session:
        return None
    try:
        return register.member(register.members.session(session, now=now))
    except Refused:
        raise NotSignedIn("the session is over: sign in again", {"Set-Cookie": forgotten(register)}) from None


def session_of(request: Request) -> str:
    """The session's token, "" when there is none."""
    return request.cookies.get(cookie_of(register_of(request)), "")


def cookie(register: Register, value: str, seconds: int) -> str:
    """The Set-Cookie of a session: for scripts and other sites it does not exist."""
    secure = "; Secure" if register.about.base.startswith("https://") else ""
    return f"{cookie_of(register)}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}"


def forgotten(register: Register) -> str:
    return cookie(register, "", 0)


class Needs:
    """A dependency: a member with this right. NotSignedIn for anybody, Refused (not_allowed) for who lacks it. Every
    route that is not for everybody declares one, first of all: before its body is read."""

    def __init__(self, right: Right) -> None:
        self.right = right

    def __call__(self, viewer: Annotated[Caller | None, Depends(viewer_of)]) -> Caller:
        if viewer is None:
            raise NotSignedIn
        require(self.right, viewer.rights)
        return viewer


class NeedsAny(Needs):
    """A member, whatever they may."""

    def __init__(self) -> None:
        super().__init__(Right.READ)

    def __call__(self, viewer: Annotated[Caller | None, Depends(viewer_of)]) -> Caller:
        if viewer is None:
            raise NotSignedIn
        return viewer


Here = Annotated[Register, Depends(register_of)]
Now = Annotated[Moment, Depends(now_of)]
Viewer = Annotated[Caller | None, Depends(viewer_of)]
Member = Annotated[Caller, Depends(NeedsAny())]
Editor = Annotated[Caller, Depends(Needs(Right.WRITE))]
Reviewer = Annotated[Caller, Depends(Needs(Right.REVIEW))]
Publisher = Annotated[Caller, Depends(Needs(Right.PUBLISH))]
Administrator = Annotated[Caller, Depends(Needs(Right.ACCOUNTS))]
Machine = Annotated[Caller, Depends(Needs(Right.SIGNAL))]


def _day(name: str, text: str | None) -> Day | None:
    if not text:
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            raise ValueError
        return day_number(date.fromisoformat(text))
    except ValueError:
        raise BadRequest(Code.BAD_DATE, Where(path=name), "a day such as 2022-04-28") from None


def _values(name: str, text: str) -> tuple[str, ...]:
    """Several values of a facet are one parameter with commas; a victim's name may have commas of its own."""
    values = (text,) if name == "victim" else tuple(v for v in text.split(",") if v)
    if len(values) > MOST_VALUES:
        raise BadRequest(Code.TOO_MANY_ROWS, Where(path=name), f"at most {MOST_VALUES}")
    return values


_DAY = Parameter(description="A day such as 2022-04-28.", max_length=10)
_FACET = Parameter(max_length=400, description="Records with this value; several with commas: any of them.")


def asked(
    q: Annotated[
        str, Parameter(max_length=400, description="Words, Chinese or other; all must be there.")
    ] = "",
    year: Annotated[str, _FACET] = "",
    country: Annotated[str, _FACET] = "",
    sector: Annotated[str, _FACET] = "",
    organisation: Annotated[str, _FACET] = "",
    kind: Annotated[str, _FACET] = "",
    certainty: Annotated[str, _FACET] = "",
    confidentiality: Annotated[str, _FACET] = "",
    integrity: Annotated[str, _FACET] = "",
    availability: Annotated[str, _FACET] = "",
    motive: Annotated[str, _FACET] = "",
    technique: Annotated[str, _FACET] = "",
    actor: Annotated[str, _FACET] = "",
    victim: Annotated[
        str, Parameter(max_length=400, description="Records of this victim, by its name.")
    ] = "",
    since: Annotated[str, _DAY] = "",
    until: Annotated[str, _DAY] = "",
) -> Query:
    """The filters that lists, feeds, exports, chart, map and API share. An empty value is none."""
    given = locals()
    chosen = {name: values for name in FACETS if (values := _values(name, given[name]))}
    chosen = {name: values for name, values in chosen.items() if values != ("",)}
    return Query(q, chosen, _day("since", since), _day("until", until))


def listed(
    query: Annotated[Query, Depends(asked)],
    sort: Annotated[
        Sort, Parameter(description="newest, oldest (by date), published (latest first).")
    ] = Sort.NEWEST,
    size: Annotated[int, Parameter(ge=1, le=MOST_PAGE, description="Records a page.")] = PAGE,
    after: Annotated[str, Parameter(max_length=200, description="`next` of the page before.")] = "",
) -> Query:
    """The filters with an order and a page."""
    return Query(query.words, query.chosen, query.since, query.until, sort, after, size)


#: What is looked for, without and with order and page.
Asked = Annotated[Query, Depends(asked)]
Listed = Annotated[Query, Depends(listed)]


def as_parameters(query: Query) -> dict[str, str]:
    """The parameters that `asked` reads as this query (order and page left out), in one order: for links and exports."""
    made = {"q": query.words} | {name: ",".join(query.chosen.get(name, ())) for name in FACETS}
    made |= {
        n: calendar(d).isoformat()
        for n, d in (("since", query.since), ("until", query.until))
        if d is not None
    }
    return {name: value for name, value in made.items() if value}


def _only(known: Iterable[str], given: Iterable[str]) -> None:
    allowed, seen = set(known), set[str]()
    for name in given:
        if name not in allowed:
            raise BadRequest(
                Code.UNKNOWN_COLUMN, Where(path=_shown(name)), "a parameter that is not known here"
            )
        if name in seen:
            raise BadRequest(
                Code.DUPLICATE_COLUMN, Where(path=_shown(name)), "a parameter that is there twice"
            )
        seen.add(name)


def _shown(name: str) -> str:
    """A parameter's name as it may be said back: it is the one thing that we repeat, so it is plain and short."""
    return re.sub(r"[^A-Za-z0-9_.-]", "?", name)[:40]


def only_known(request: Request) -> None:
    """Canonical addresses: a dependency of the whole app."""
    route = request.scope.get("route")
    _only(parameters_of(route), (name for name, _ in request.query_params.multi_items()))


def parameters_of(route: object) -> set[str]:
    """The query parameters that a route's signature declares, its dependencies' among them."""
    found, left = set[str](), [getattr(route, "dependant", None)]
    while left:
        if (dependant := left.pop()) is not None:
            found.update(p.alias for p in dependant.query_params)
            left += dependant.dependencies
    return found

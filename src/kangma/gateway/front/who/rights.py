"""Who may do what. Deny by default: a route without a declaration keeps the application from starting.

A declaration says three things: the role that may call, the purpose for which it may, and whose things it gets at. It is
a dependency of its route and is met before the body is read. Ownership is not checked by comparing: a resident's routes
take the resident from the token and from nowhere else, a source's and a partner's the client, so there is no address by
which to ask for another's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Protocol, cast

from fastapi import Depends, FastAPI, Request

from kangma.errors import Code, Corrupt, Refused
from kangma.gateway.register.problems import NotSignedIn, NotThere

if TYPE_CHECKING:
    from kangma.gateway.front.city import City


class Role(StrEnum):
    NOBODY = "nobody"
    RESIDENT = "resident"
    SOURCE = "source"
    PARTNER = "partner"
    VENUE = "venue"  # the device of a door that is registered


class Purpose(StrEnum):
    """What a call is for; admission goes by it too (`admission.SHARES`), the first is the last to be turned away."""

    SHOW = "show"  # the own code, and what it takes to show it
    VERIFY = "verify"  # what a door needs
    CHECK = "check"  # a partner's question
    ENTER = "enter"  # a phone scans in at a door
    REPORT = "report"  # evidence comes in
    MAKE = "make"  # what takes signatures or drawing: credentials for days ahead, a paper
    BIND = "bind"  # a document, a device, another person
    HISTORY = "history"  # what is known of oneself
    APPEAL = "appeal"  # this is wrong, says the person whom it holds
    ABOUT = "about"  # this API itself


class Own(StrEnum):
    """Whose things a route gets at."""

    NOTHING = "nothing"  # public, or nobody's yet
    SELF = "self"  # the caller's own, and theirs who agreed or are in the caller's care


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. A resident has a slot, a client (source, partner) a name and the scopes that it was given."""

    role: Role
    slot: int = 0
    client: str = ""
    scopes: frozenset[str] = frozenset()


class Clients(Protocol):
    """Whoever knows the access tokens of sources and partners."""

    def caller(self, token: str) -> Caller | None:
        """The client whose token this is; None for any other text."""
        ...


#: Where the layers leave who calls for whoever comes after them.
CALLER = "kangma.caller"
#: In the scope of a request whose token was looked at already and is no resident's.
NO_RESIDENT = "kangma.no_resident"


NOBODY = Caller(Role.NOBODY)


def identified(city: City, scope: MutableMapping[str, Any]) -> Caller | None:
    """Who sent the request, by its bearer token; NOBODY without one. None for a token that is none: unknown, expired and
    revoked are the same."""
    told = [v for k, v in scope["headers"] if k == b"authorization"]
    if not told:
        return NOBODY
    scheme, _, token = told[0].decode("latin-1").partition(" ")
    if len(told) == 1 and scheme.lower() == "bearer":
        slot = None if NO_RESIDENT in scope else city.tokens.slot_of(token, now=city.clock())
        if slot is not None:
            return Caller(Role.RESIDENT, slot)
        venue = city.venues.caller(token, now=city.clock())
        if venue is not None:
            return Caller(Role.VENUE, client=venue)
        return city.clients.caller(token)
    return None


def bad_token() -> NotSignedIn:
    return NotSignedIn("no token that is good now")


def caller_of(request: Request) -> Caller:
    """The same for a handler: found once a request."""
    found = request.scope.get(CALLER)
    if found is None:
        found = request.scope[CALLER] = identified(request.app.state.city, request.scope)
    if found is None:
        raise bad_token()
    return cast(Caller, found)


Calling = Annotated[Caller, Depends(caller_of)]


@dataclass(frozen=True)
class Needs:
    """A declaration. As a dependency it gives the Caller; it raises NotSignedIn for nobody and for a bad token, and
    Refused (not_allowed) for another role or a client without the scope, NotThere for a kind that there is not.

    A route for nobody is for everybody, and looks at no token: one that is out of date hinders nobody from binding anew.
    `scope` may hold `{kind}`: the path parameter of that name, which is one of `kinds`. Another is told as what it is to
    whoever has the role, and to nobody else.
    """

    role: Role
    purpose: Purpose
    own: Own = Own.NOTHING
    scope: str = ""
    kinds: frozenset[str] = frozenset()

    def __call__(self, request: Request) -> Caller:
        if self.role is Role.NOBODY:
            return Caller(Role.NOBODY)
        caller = caller_of(request)
        self.judge(caller, request.path_params)
        return caller

    def judge(self, caller: Caller, parameters: Mapping[str, Any]) -> None:
        """Nothing, when the caller may. The layers ask before the body is read, and the route asks again: a layer that
        was left out opens nothing."""
        if self.role is Role.NOBODY:
            return
        if caller.role is Role.NOBODY:
            raise NotSignedIn("send a token")
        if caller.role is not self.role:
            raise Refused(Code.NOT_ALLOWED, hint="this is for others")
        if self.kinds and parameters["kind"] not in self.kinds:
            raise NotThere("no such kind of document: docs/reference/kinds.md")
        if self.scope and self.scope.format(**parameters) not in caller.scopes:
            raise Refused(Code.NOT_ALLOWED, hint="your scopes do not hold this")


def operations(app: FastAPI) -> Iterator[tuple[str, str, Any]]:
    """(path, method, route) of every route, mounted routers' too."""
    left: list[Any] = list(app.routes)
    while left:
        route = left.pop(0)
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        if inner is not None:
            left = [*inner, *left]
        else:
            for method in sorted(getattr(route, "methods", None) or {"any"}):
                yield getattr(route, "path_format", str(getattr(route, "path", "?"))), method, route


def needs_of(route: Any) -> Needs | None:
    """What a route declares."""
    left: list[Any] = [getattr(route, "dependant", None)]
    found: list[Needs] = []
    while left:
        dependant = left.pop()
        if dependant is not None:
            found += [dependant.call] if isinstance(dependant.call, Needs) else []
            left += dependant.dependencies
    return found[0] if len(found) == 1 else None


def require_declared(app: FastAPI) -> None:
    """Corrupt unless every route declares, once, who may call it."""
    bare = sorted({f"{method} {path}" for path, method, route in operations(app) if needs_of(route) is None})
    if bare:
        raise Corrupt(f"no right is declared for {', '.join(bare)}")

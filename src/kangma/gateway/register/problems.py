"""What goes wrong, as HTTP says it (RFC 9457). The only file that knows status codes of failures.

A problem tells the closed code, the place and our own hint. It never carries what was sent or what is stored: the hint
of a refusal is ours, and a conflict's difference is shown only to an editor who may read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from kangma.errors import Code, Conflict, Corrupt, Refused, Unavailable, Where
from kangma.incidents import canonical
from kangma.incidents.form import BadRecord
from kangma.store.register import NoRecord, Outdated

MEDIA = "application/problem+json"

#: Renders a problem for a person. `pages.problem_page` is one.
ProblemPage = Callable[[Request, "Problem"], Response]

TITLES: Mapping[int, str] = {
    400: "This request cannot be understood",
    401: "Sign in first",
    403: "Not allowed",
    404: "There is nothing here",
    405: "This cannot be done here",
    409: "Somebody was first",
    413: "Too large",
    415: "Not a form that is read here",
    421: "Not this server",
    422: "Not taken",
    428: "Say which edit you began with",
    429: "Too many requests",
    431: "The headers are too large",
    500: "Our fault",
    503: "Not now",
}

_STATUS: Mapping[Code, int] = {Code.NOT_ALLOWED: 403, Code.SAME_OFFICER: 403, Code.TOO_MANY_BYTES: 413}


class NotThere(NoRecord):
    """Nothing at this address."""

    def __init__(self, hint: str = "nothing at this address") -> None:
        super().__init__("", hint)


class NotSignedIn(Refused):
    """A credential is missing, or it is none of ours; the same for unknown, ended and closed ones."""

    def __init__(
        self, hint: str = "sign in, or send a token", headers: Mapping[str, str] | None = None
    ) -> None:
        self.headers = headers or {}  # such as a cookie to forget
        super().__init__(Code.NOT_ALLOWED, hint=hint)


class BadRequest(Refused):
    """The request itself makes no sense: an unknown parameter, a wrong mark."""


class WrongMedia(Refused):
    """A body of another media type than those that are read here."""

    def __init__(self, wanted: str) -> None:
        super().__init__(Code.UNKNOWN_KIND, Where(path="content-type"), wanted)


class NoEditNamed(Refused):
    """A save must say which edit it began with."""

    def __init__(self) -> None:
        super().__init__(Code.MISSING_VALUE, Where(path="if-match"), 'If-Match: "7", or after_edit=7')


class Elsewhere(Refused):
    """A request that another site's page made a browser send."""

    def __init__(self) -> None:
        super().__init__(Code.NOT_ALLOWED, hint="from another site")


class HeadersTooLarge(Refused):
    def __init__(self, hint: str) -> None:
        super().__init__(Code.TOO_MANY_BYTES, Where(path="headers"), hint)


class OtherHost(Refused):
    def __init__(self) -> None:
        super().__init__(Code.NOT_IN_LIST, Where(path="host"), "this register is at another address")


_OF_KIND: Mapping[type[Refused], int] = {
    BadRequest: 400, WrongMedia: 415, NoEditNamed: 428, Elsewhere: 403, OtherHost: 421, HeadersTooLarge: 431,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """One failure as it is told. `code` is closed (docs/reference/refusals.md); `more` holds further members."""

    status: int
    code: str
    detail: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return TITLES.get(self.status, TITLES[400])

    def as_json(self) -> dict[str, Any]:
        made = {"title": self.title, "status": self.status, "code": self.code, **self.more}
        if self.detail:
            made["detail"] = self.detail
        return made

    def response(self) -> Response:
        """For programs."""
        return Response(
            canonical.dumps(self.as_json()), self.status, headers=dict(self.headers), media_type=MEDIA
        )


def problem_of(error: Exception) -> Problem:
    """The problem that an error is. Anything unforeseen is a 500 that says nothing."""
    if isinstance(error, NoRecord):
        return Problem(404, "not_found", error.hint)
    if isinstance(error, NotSignedIn):
        return Problem(
            401, error.code.value, error.hint, headers={"WWW-Authenticate": "Bearer", **error.headers}
        )
    if isinstance(error, BadRecord):
        faults = [{"path": f.path, "code": f.code.value, "hint": f.hint} for f in error.faults]
        return Problem(422, error.code.value, error.hint, {"faults": faults})
    if isinstance(error, Outdated):
        changes = [c.as_json() for c in error.difference]
        return Problem(409, "outdated", "somebody saved since", {"edit": error.edit, "difference": changes})
    if isinstance(error, Refused):
        status = next(
            (n for kind, n in _OF_KIND.items() if isinstance(error, kind)), _STATUS.get(error.code, 422)
        )
        where = {"where": str(error.where)} if str(error.where) else {}
        return Problem(status, error.code.value, error.hint, where)
    if isinstance(error, Conflict):
        return Problem(409, "conflict", str(error))
    if isinstance(error, Unavailable):
        return Problem(503, "unavailable", "try again", headers={"Retry-After": "2"})
    if isinstance(error, Corrupt):
        return Problem(500, "corrupt", "what is stored is damaged; the operator can see where")
    if isinstance(
        error, HTTPException
    ):  # of the framework: no route, no such method, a body above the route's limit
        named = {404: "not_found", 405: "method_not_allowed", 413: Code.TOO_MANY_BYTES.value}
        status = error.status_code if error.status_code in named else 400
        return Problem(status, named.get(status, "bad_request"), headers=dict(error.headers or {}))
    if isinstance(error, RequestValidationError):
        faults = [
            {"path": ".".join(str(x) for x in e["loc"])[:80], "code": Code.BAD_VALUE.value, "hint": e["type"]}
            for e in error.errors()
        ]
        return Problem(422, Code.BAD_VALUE.value, "a parameter that cannot be", {"faults": faults})
    return Problem(500, "internal")


def wants_page(request: Request) -> bool:
    """Whether a person asks: a browser, and not at an address for programs."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1")

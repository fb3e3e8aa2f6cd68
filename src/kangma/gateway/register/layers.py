"""What every request goes through before and after its route, one layer a class. `app.make_app` has them in their order
and says why. Plain ASGI: no layer reads a body but the one that counts it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kangma.errors import Code, KangmaError, Unavailable, Where
from kangma.gateway.register.problems import (
    BadRequest,
    Elsewhere,
    HeadersTooLarge,
    OtherHost,
    Problem,
    problem_of,
)

MOST_HEADERS = 8 * 1024  # bytes of all headers together
MOST_TARGET = 4 * 1024  # bytes of path and query
#: Seconds to send a whole body: a few, and for each byte that is announced as long as a slow line takes, up to a minute.
#: Without a length they are a stranger's few. A stranger cannot keep many connections at work for long.
LEAST_SECONDS, MOST_SECONDS, LEAST_RATE = 5.0, 60.0, 20_000.0
PUBLIC_SECONDS = 60  # that a stranger's answer may be kept
SAFE = ("GET", "HEAD", "OPTIONS")

Teller = Callable[[Request, Problem], Response]


class Log(Protocol):
    """Where the layers tell what happened: `kangma.store.logs.EventLog`."""

    def info(self, event: str, **fields: object) -> None: ...

    def warning(self, event: str, **fields: object) -> None: ...


def _headers(message: Message) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = message.setdefault("headers", [])
    return found


def _header(scope_or_message: MutableMapping[str, Any], name: bytes) -> str | None:
    found = [v for k, v in scope_or_message.get("headers", ()) if k.lower() == name]
    return found[0].decode("latin-1") if found else None


class Heard:
    """One line a request: method, route as it is declared, status, milliseconds. Never the path, the query, a header or
    an account: what somebody looked for is nobody's to keep. Who went away before they were answered has `left`."""

    def __init__(self, app: ASGIApp, log: Log) -> None:
        self.app, self.log = app, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.perf_counter(), 0
        method = scope["method"] if scope["method"] in _METHODS else "other"

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            took = round(time.perf_counter() - began, 4)
            if status:
                self.log.info("answered", method=method, route=route, status=status, seconds=took)
            else:
                self.log.info("left", method=method, route=route, seconds=took)


_METHODS = (*SAFE, "POST", "PUT", "PATCH", "DELETE")


class Net:
    """Whatever falls through becomes a problem that says nothing; the log gets the kind of failure and the place in our
    code, not its message, which may carry what somebody wrote. A client that went away with its body half sent is no
    failure of ours and is there to be told nothing."""

    def __init__(self, app: ASGIApp, log: Log, tell: Teller) -> None:
        self.app, self.log, self.tell = app, log, tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except ClientDisconnect:
            return
        except Exception as problem:
            if not isinstance(problem, KangmaError):
                self.log.warning("failed", why=_place(problem))
            if not begun:
                await self.tell(Request(scope), problem_of(problem))(scope, receive, send)


def _place(problem: Exception) -> str:
    frames, at = problem.__traceback__, "?"
    while frames is not None:
        name = str(frames.tb_frame.f_globals.get("__name__", ""))
        if name.startswith("kangma."):
            at = f"{name}:{frames.tb_lineno}"
        frames = frames.tb_next
    return f"{type(problem).__name__} at {at}"


POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
#: Of what is no page of ours: it may do nothing, whatever is in it.
BARE_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"


class Dressed:
    """Headers that hold for every answer, also those of the layers below; what a route said itself stands."""

    def __init__(self, app: ASGIApp, secure: bool, credential: Callable[[Scope], bool]) -> None:
        self.app, self.credential = app, credential
        self.always = {
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "same-origin",  # not no-referrer: browsers then send "Origin: null" with our own forms
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        }
        if secure:
            self.always["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        private = self.credential(scope)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = _headers(message)
                there = {k.lower().decode("latin-1") for k, _ in headers}
                page = (_header(message, b"content-type") or "").startswith("text/html")
                told = self.told(page=page, private=private)
                headers += [(k.encode(), v.encode()) for k, v in told.items() if k not in there]
            await send(message)

        await self.app(scope, receive, dressed)

    def told(self, *, page: bool, private: bool) -> dict[str, str]:
        """Headers of an answer that says none of them itself."""
        return {
            **self.always,
            "content-security-policy": POLICY if page else BARE_POLICY,
            "cache-control": "no-store",
            "cross-origin-resource-policy": "same-origin" if private or page else "cross-origin",
        }


class Hosts:
    """Only names that are ours: what a Host header says ends up in nobody's link, cache or passkey."""

    def __init__(self, app: ASGIApp, names: Iterable[str], tell: Teller) -> None:
        self.app, self.names, self.tell = app, frozenset(names), tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._ours(scope):
            return await self.tell(Request(scope), problem_of(OtherHost()))(scope, receive, send)
        await self.app(scope, receive, send)

    def _ours(self, scope: Scope) -> bool:
        told = [v for k, v in scope["headers"] if k == b"host"]
        return len(told) == 1 and host_name(told[0].decode("latin-1")) in self.names


def host_name(authority: str) -> str:
    """The name in `name:port`, lower case; "" for what is no authority."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?", authority, re.ASCII)
    return found[1].lower() if found else ""


class Limits:
    """Headers and address within their bounds, a body that arrives in time. How large a body may be is said by whoever
    reads it (`sent`), who may read it before that."""

    def __init__(self, app: ASGIApp, tell: Teller, credential: Callable[[Scope], bool]) -> None:
        self.app, self.tell, self.credential = app, tell, credential

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        problem = self._beyond(scope)
        if problem is not None:
            return await self.tell(Request(scope), problem)(scope, receive, send)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds(scope)
        whole = False

        async def in_time() -> Message:
            nonlocal whole
            if whole:  # what follows a whole body is only that the client went away
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise TooSlow from None
            whole = not message.get("more_body", False)
            return message

        await self.app(scope, in_time, send)

    def _seconds(self, scope: Scope) -> float:
        length = _header(scope, b"content-length")
        if length is not None and length.isascii() and length.isdigit() and len(length) < 12:
            return min(MOST_SECONDS, LEAST_SECONDS + int(length) / LEAST_RATE)
        return MOST_SECONDS if self.credential(scope) else LEAST_SECONDS

    def _beyond(self, scope: Scope) -> Problem | None:
        if sum(len(k) + len(v) + 4 for k, v in scope["headers"]) > MOST_HEADERS:
            return problem_of(HeadersTooLarge(f"at most {MOST_HEADERS} bytes"))
        if len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"]) > MOST_TARGET:
            return problem_of(
                BadRequest(Code.VALUE_TOO_LONG, Where(path="address"), f"at most {MOST_TARGET} bytes")
            )
        if any(k == b"content-encoding" for k, _ in scope["headers"]):
            return problem_of(
                BadRequest(Code.UNKNOWN_KIND, Where(path="content-encoding"), "bodies come plain")
            )
        return None


class TooSlow(Unavailable):
    def __init__(self) -> None:
        super().__init__("the body did not arrive in time")


class SameSite:
    """A browser that another site's page set to work is refused. Fetch metadata says so where the browser sends it, else
    Origin does; a request with a session cookie and neither is refused too. What carries an Authorization header was
    sent by a program: no page of another site can add one, and the cookie beside it does not count."""

    def __init__(self, app: ASGIApp, cookie: str, tell: Teller) -> None:
        self.app, self.cookie, self.tell = app, cookie, tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE and not self._allowed(scope):
            return await self.tell(Request(scope), problem_of(Elsewhere()))(scope, receive, send)
        await self.app(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        site, origin, host = (_header(scope, n) for n in (b"sec-fetch-site", b"origin", b"host"))
        if site is not None:
            return site == "same-origin"
        if origin is not None:
            return urlsplit(origin).netloc.lower() == (host or "").lower()
        return self.cookie not in Request(scope).cookies or _header(scope, b"authorization") is not None


class Headless:
    """HEAD is GET without its body, for every route. The layers outside have read the method before."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self.app(scope, receive, send)

        async def bodiless(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        scope["method"] = "GET"
        await self.app(scope, receive, bodiless)


class Kept:
    """How long an answer may be kept, and by whom: a member's by nobody; a stranger's for a minute, with a validator, and
    304 when it is still the same. A failure and what sets a cookie are kept by nobody."""

    def __init__(self, app: ASGIApp, credential: Callable[[Scope], bool]) -> None:
        self.app, self.credential = app, credential

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if scope["method"] != "GET" or self.credential(scope):
            return await self.app(scope, receive, _with(send, (b"cache-control", b"private, no-store")))
        start: Message | None = None
        pieces: list[bytes] = []

        async def whole(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if message["type"] != "http.response.body":
                return await send(message)
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                assert start is not None
                await self._answer(scope, start, b"".join(pieces), send)

        await self.app(scope, receive, whole)

    async def _answer(self, scope: Scope, start: Message, body: bytes, send: Send) -> None:
        headers = _headers(start)
        there = {k.lower() for k, _ in headers}
        if start["status"] != 200 or b"set-cookie" in there:
            if b"cache-control" not in there:
                headers.append((b"cache-control", b"no-store"))
        else:
            if b"cache-control" not in there:
                headers.append((b"cache-control", b"public, max-age=%d" % PUBLIC_SECONDS))
            if b"vary" not in there:
                headers.append((b"vary", b"Accept-Language, Authorization, Cookie"))
            tag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
            headers.append((b"etag", tag))
            asked = [v for k, v in scope["headers"] if k == b"if-none-match"]
            if any(t.strip().removeprefix(b"W/") in (tag, b"*") for v in asked for t in v.split(b",")):
                dropped = (b"content-length", b"content-type")
                start = {
                    **start,
                    "status": 304,
                    "headers": [h for h in headers if h[0].lower() not in dropped],
                }
                body = b""
        await send(start)
        await send({"type": "http.response.body", "body": body})


def _with(send: Send, header: tuple[bytes, bytes]) -> Send:
    async def added(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = _headers(message)
            if header[0] not in {k.lower() for k, _ in headers}:
                headers.append(header)
        await send(message)

    return added

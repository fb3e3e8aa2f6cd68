"""The layers that keep the door open under a flood, one a class; `app.make_app` has their order and the reasons.

None of them knows what a request is about beyond its route's declaration, and none keeps a word of it.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil

from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kangma.errors import Code, KangmaError, Refused, Where
from kangma.gateway.front.admission import Admission
from kangma.gateway.front.city import City
from kangma.gateway.front.limits import ELSE, RATES, Counted, Limiter, Network, OfTogether, Rate, Together
from kangma.gateway.front.rights import CALLER, Caller, Needs, Purpose, Role, identified, needs_of, operations
from kangma.gateway.front.sensors import Sensors
from kangma.gateway.register.layers import Log, Teller
from kangma.gateway.register.problems import BadRequest, Problem, problem_of

BODY = 64 * 1024  # bytes, of everything but what sources send


@dataclass(frozen=True)
class Defence:
    """What the layers go by. The defaults are for a city; tests and small machines have others."""

    rates: Mapping[tuple[Role, Purpose], Rate] = field(default_factory=lambda: RATES)
    held_seconds: float = 1.0
    most_held: int = 1_000
    most_held_of_a_network: int = 500
    proxies: Iterable[str] = ()
    together: Together | None = None  # where several workers count; None: one counts alone
    ticks: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random  # of a jitter: nobody guesses anything by it
    admission: Callable[[], Admission] = Admission


class Table:
    """Path → what its route declares, found without the framework: who is turned away costs little."""

    def __init__(self, app: FastAPI) -> None:
        self._plain: dict[tuple[str, str], tuple[str, Needs]] = {}
        self._others: list[tuple[str, re.Pattern[str], str, Needs]] = []
        for path, method, route in operations(app):
            needs = needs_of(route)
            assert needs is not None
            if "{" in path:
                self._others.append((method, route.path_regex, path, needs))
            else:
                self._plain[method, path] = (path, needs)

    def find(self, method: str, path: str) -> tuple[str, Needs, dict[str, str]] | None:
        method = "GET" if method == "HEAD" else method
        found = self._plain.get((method, path))
        if found is not None:
            return (*found, {})
        for of, pattern, declared, needs in self._others:
            if of == method and (matched := pattern.match(path)):
                return declared, needs, matched.groupdict()
        return None


NOWHERE = Needs(Role.NOBODY, Purpose.ABOUT)


class Heard:
    """Counts every answer, and logs those that somebody may want to look into: refusals by a limit or for a bad token
    come by the thousand in a flood and are only counted. Method, declared route, status, seconds: never more."""

    def __init__(self, app: ASGIApp, log: Log, sensors: Sensors, table: Table) -> None:
        self.app, self.log, self.sensors, self.table = app, log, sensors, table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.perf_counter(), 0
        found = self.table.find(scope["method"], scope["path"])
        route, needs = ("none", NOWHERE) if found is None else found[:2]
        scope["kangma.needs"], scope["kangma.parameters"] = needs, {} if found is None else found[2]

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            took = time.perf_counter() - began
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self.sensors.answers.labels(method, route, status).inc()
            self.sensors.seconds.labels(needs.purpose.value).observe(took)
            if status >= 500 and status != 503:
                self.sensors.failed.inc()
            if status not in _COUNTED_ONLY:
                self.log.info("answered", method=method, route=route, status=status, seconds=round(took, 4))


_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_COUNTED_ONLY = (304, 401, 429)


class Held:
    """A refusal for a bad token is answered late, from a pool with an end: whoever tries tokens waits, and the honest
    are served meanwhile. Beyond the pool, and beyond one network's share of it, the answer comes at once."""

    def __init__(self, app: ASGIApp, defence: Defence, sensors: Sensors) -> None:
        self.app, self.defence, self.sensors = app, defence, sensors
        self.network = Network(defence.proxies)
        self.held = 0
        self.of: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def late(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                await self._wait(self.network.of(scope))
            await send(message)

        await self.app(scope, receive, late)

    async def _wait(self, network: str) -> None:
        full = self.held >= self.defence.most_held
        if full or self.of[network] >= self.defence.most_held_of_a_network or not self.defence.held_seconds:
            return
        self.held += 1
        self.of[network] += 1
        self.sensors.held.set(self.held)
        try:
            await asyncio.sleep(self.defence.held_seconds)
        finally:
            self.held -= 1
            self.of[network] -= 1
            if not self.of[network]:
                del self.of[network]
            self.sensors.held.set(self.held)


class Known:
    """Who calls, whether they may, and whether they ask too often: before a byte of the body is read.

    One address, one thing: an address with an escape is none of ours, so nobody gets past a cache by spelling anew.
    """

    def __init__(
        self,
        app: ASGIApp,
        city: City | None,
        defence: Defence,
        limiters: Limiters,
        sensors: Sensors,
        tell: Teller,
    ) -> None:
        self.app, self.city, self.defence, self.tell = app, city, defence, tell
        self.limiters, self.sensors, self.network = limiters, sensors, Network(defence.proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        problem = self._judged(scope)
        if problem is not None:
            return await self.tell(Request(scope), problem)(scope, receive, send)
        await self.app(scope, receive, send)

    def _judged(self, scope: Scope) -> Problem | None:
        raw = scope.get("raw_path") or b""
        if b"%" in raw or b"//" in raw:
            where = Where(path="address")
            return problem_of(BadRequest(Code.BAD_VALUE, where, "an address as it is written here"))
        needs: Needs = scope["kangma.needs"]
        try:
            caller = Caller(Role.NOBODY)
            if needs.role is not Role.NOBODY and self.city is not None:
                caller = identified(self.city, scope)
            scope[CALLER] = caller
            key = caller.slot or caller.client or self.network.of(scope)
            wait = self.limiters.of(caller.role, needs.purpose).after(key, self.defence.ticks())
            if wait:
                self.sensors.turned_away.labels("rate", needs.purpose.value).inc()
                return too_many(wait, self.defence.chance())
            needs.judge(caller, scope["kangma.parameters"])
        except KangmaError as problem:
            return problem_of(problem)
        return None


class Limiters:
    """A limiter for each role and purpose, made when first needed. The hot path asks the same ones."""

    def __init__(self, rates: Mapping[tuple[Role, Purpose], Rate], table: Together | None = None) -> None:
        """`table`: where several processes count together."""
        self._rates, self._table = rates, table
        self._made: dict[tuple[Role, Purpose], Counted] = {}

    def of(self, role: Role, purpose: Purpose) -> Counted:
        found = self._made.get((role, purpose))
        if found is None:
            rate = self._rates.get((role, purpose), ELSE)
            found = (
                Limiter(rate) if self._table is None else OfTogether(rate, f"{role} {purpose}", self._table)
            )
            self._made[role, purpose] = found
        return found


def too_many(wait: float, chance: float) -> Problem:
    """Come back after the wait and up to as much again, so that those who were turned away together do not come back
    together; at least one second, at most two minutes."""
    seconds = max(1, min(120, ceil(wait * (1 + chance))))
    return Problem(429, "too_many_requests", "later", headers={"Retry-After": str(seconds)})


class Whole:
    """A body is taken whole before anything is begun for it: slow senders hold up their own request and no other. What
    sources send is read as it comes, by its route."""

    def __init__(self, app: ASGIApp, tell: Teller) -> None:
        self.app, self.tell = app, tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        needs = scope.get("kangma.needs")
        if scope["type"] != "http" or (needs is not None and needs.purpose is Purpose.REPORT):
            return await self.app(scope, receive, send)
        pieces, size, more = [], 0, scope["method"] not in ("GET", "HEAD", "OPTIONS")
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return None  # the client went away
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > BODY:
                problem = problem_of(
                    Refused(Code.TOO_MANY_BYTES, Where(path="body"), f"at most {BODY} bytes")
                )
                return await self.tell(Request(scope), problem)(scope, receive, send)
            more = message.get("more_body", False)
        given = False

        async def whole() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": b"".join(pieces), "more_body": False}

        await self.app(scope, whole, send)


class Admitted:
    """No more at once than can be done, and the most needed first (`admission.py`)."""

    def __init__(
        self, app: ASGIApp, admission: Admission, defence: Defence, sensors: Sensors, tell: Teller
    ) -> None:
        self.app, self.admission, self.defence, self.sensors, self.tell = (
            app,
            admission,
            defence,
            sensors,
            tell,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        purpose = scope["kangma.needs"].purpose
        if not await self.admission.come(purpose):
            self.sensors.turned_away.labels("busy", purpose.value).inc()
            problem = too_many(2.0, self.defence.chance())
            return await self.tell(Request(scope), problem)(scope, receive, send)
        began = self.defence.ticks()
        try:
            await self.app(scope, receive, send)
        finally:
            self.admission.leave(purpose, self.defence.ticks() - began)

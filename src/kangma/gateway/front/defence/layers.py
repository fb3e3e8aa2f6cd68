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
from dataclasses import dataclass, field, replace
from functools import cache
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kangma.errors import Code, KangmaError, Refused, Where
from kangma.gateway.front.city import City
from kangma.gateway.front.defence.admission import Admission
from kangma.gateway.front.defence.alarm import Alarm
from kangma.gateway.front.defence.limits import (
    ELSE,
    RATES,
    STRICT,
    Counted,
    Limiter,
    Network,
    OfTogether,
    Rate,
    Together,
)
from kangma.gateway.front.defence.work import HEADER
from kangma.gateway.front.pages import missing
from kangma.gateway.front.watch.sensors import Sensors
from kangma.gateway.front.who.rights import (
    CALLER,
    NOBODY,
    Caller,
    Needs,
    Purpose,
    Role,
    bad_token,
    identified,
    needs_of,
    operations,
)
from kangma.gateway.register.layers import Dressed, Log, Teller
from kangma.gateway.register.problems import MEDIA, BadRequest, Problem, problem_of
from kangma.incidents import canonical

BODY = 64 * 1024  # bytes, of everything but what sources send


@dataclass(frozen=True)
class Defence:
    """What the layers go by. The defaults are for a city; tests and small machines have others."""

    rates: Mapping[tuple[Role, Purpose], Rate] = field(default_factory=lambda: RATES)
    held_seconds: float = 1.0
    most_held: int = 8_000
    most_held_of_a_network: int = 4_000
    alarm: Alarm = field(default_factory=Alarm)
    proxies: Iterable[str] = ()
    together: Together | None = None  # where several workers count; None: one counts alone
    ticks: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random  # of a jitter: nobody guesses anything by it
    admission: Callable[[], Admission] = Admission


class Table:
    """Path → what its route declares, found without the framework: who is turned away costs little."""

    def __init__(self, app: FastAPI) -> None:
        self._plain: dict[tuple[str, str], tuple[str, Needs, dict[str, str]]] = {}
        self._others: dict[str, list[tuple[re.Pattern[str], str, Needs]]] = {}
        self._everywhere: set[str] = set()
        self._asking: set[str] = set()
        for path, method, route in operations(app):
            needs = needs_of(route)
            assert needs is not None
            if _takes_parameters(route.dependant):
                self._asking.add(path)
            if "{" in path:
                self._others.setdefault(method, []).append((route.path_regex, path, needs))
            else:
                self._plain[method, path] = (path, needs, {})
                self._everywhere.add(path)

    def find(self, method: str, path: str) -> tuple[str, Needs, dict[str, str]] | None:
        method = "GET" if method == "HEAD" else method
        found = self._plain.get((method, path))
        if found is not None:
            return found
        for pattern, declared, needs in self._others.get(method, ()):
            if matched := pattern.match(path):
                return declared, needs, matched.groupdict()
        return None

    def knows(self, path: str) -> bool:
        """Whether there is anything at this address, by whatever method."""
        return path in self._everywhere or any(
            p.match(path) for of in self._others.values() for p, _, _ in of
        )

    def takes_parameters(self, declared: str) -> bool:
        return declared in self._asking


def _takes_parameters(dependant: Dependant) -> bool:
    return bool(dependant.query_params) or any(map(_takes_parameters, dependant.dependencies))


NOWHERE = Needs(Role.NOBODY, Purpose.ABOUT)
JUDGED = "kangma.judged"  # in the scope of a request that `Known` let pass


class Heard:
    """Counts every answer, and logs those that somebody may want to look into: refusals by a limit or for a bad token
    come by the thousand in a flood and are only counted. Method, declared route, status, seconds: never more."""

    def __init__(self, app: ASGIApp, log: Log, sensors: Sensors) -> None:
        self.app, self.log, self.sensors = app, log, sensors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.perf_counter(), 0
        route, needs = scope["kangma.route"], scope["kangma.needs"]

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
            self.sensors.answered(method, route, status)
            self.sensors.took(needs.purpose.value, took)
            if status >= 500 and status != 503:
                self.sensors.failed += 1
            if status not in _COUNTED_ONLY:
                self.log.info("answered", method=method, route=route, status=status, seconds=round(took, 4))


_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_COUNTED_ONLY = (304, 401, 429)


TICK = 0.01  # seconds


class Pool:
    """Those who are answered late: whoever tries tokens or asks too often waits a second, and the honest are served
    meanwhile. It has an end, and each network a share of it.

    While somebody waits a clock ticks a hundred times a second. With a tick those leave whose time has come, and those
    are taken up who came since and are in no hurry (`desk.Arrivals`): one wake for all, and not one for each.
    """

    def __init__(self, defence: Defence, sensors: Sensors) -> None:
        self.defence, self.sensors = defence, sensors
        self.network = Network(defence.proxies)
        self.held = 0
        self.of: Counter[str] = Counter()
        self._due: dict[
            int, list[tuple[str, Callable[..., None], tuple[Any, ...]]]
        ] = {}  # by tick: who leaves with it
        self._last = 0  # the last tick
        self.ticking = False
        self.take_up: Callable[[], None] = lambda: None  # with each tick, before anybody leaves

    def enter(self, scope: Scope) -> tuple[str, float] | None:
        """The network, and the seconds that somebody of it waits, counted until `leave`; None when the pool is full, or
        the network's share of it."""
        network, seconds = self.network.of(scope), self.defence.held_seconds
        if self.held >= self.defence.most_held or self.of[network] >= self.defence.most_held_of_a_network:
            return None
        self.held += 1
        self.of[network] += 1
        self.sensors.held = self.held
        # Up to as long again, so that those who came together do not go, and come back, together.
        return network, seconds * (1 + self.defence.chance())

    def leave(self, network: str) -> None:
        self.held -= 1
        self.of[network] -= 1
        if not self.of[network]:
            del self.of[network]
        self.sensors.held = self.held

    async def wait(self, scope: Scope) -> bool:
        """A second or two later; at once, and False, when there is no room."""
        if not self.defence.held_seconds:
            return True
        entered = self.enter(scope)
        if entered is None:
            return False
        network, seconds = entered
        try:
            await asyncio.sleep(seconds)
        finally:
            self.leave(network)
        return True

    def later(self, scope: Scope, then: Callable[..., None], *given: Any) -> bool:
        """The same without anybody who waits: `then` is called with what was given, at once or late. False, and it is
        not, when there is no room. In the loop's thread."""
        if not self.defence.held_seconds:
            then(*given)
            return True
        entered = self.enter(scope)
        if entered is None:
            return False
        network, seconds = entered
        tick = max(self._last + 1, ceil((asyncio.get_running_loop().time() + seconds) / TICK))
        self._due.setdefault(tick, []).append((network, then, given))
        if not self.ticking:
            self._begin()
        return True

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self.ticking, self._last = True, int(loop.time() / TICK)
        loop.call_at((self._last + 1) * TICK, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self.take_up()
        now = int(loop.time() / TICK + 0.5)  # a timer may be a moment early
        for tick in range(self._last + 1, now + 1):
            for network, then, given in self._due.pop(tick, ()):
                self.leave(network)
                try:
                    then(*given)
                except Exception as problem:  # one that fails takes nobody along
                    loop.call_exception_handler({"message": "a refusal was not told", "exception": problem})
        self._last = max(self._last, now)
        if self._due:
            loop.call_at((self._last + 1) * TICK, self._tick)
        else:
            self.ticking = False  # first: who comes from now on wakes the loop
            self.take_up()  # who came until now


class Held:
    """A refusal for a bad token or signature that a route found is answered late too."""

    def __init__(self, app: ASGIApp, pool: Pool) -> None:
        self.app, self.pool = app, pool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def late(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self.pool.defence.alarm.refused("token")
                await self.pool.wait(scope)
            await send(message)

        await self.app(scope, receive, late)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, ready to be sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def messages(self) -> tuple[Message, Message]:
        """As ASGI sends it."""
        return (
            {"type": "http.response.start", "status": self.status, "headers": self.headers},
            {"type": "http.response.body", "body": self.body},
        )

    async def send(self, send: Send) -> None:
        for message in self.messages():
            await send(message)


class Exit:
    """How a refusal leaves that was made at a glance: late, dressed as every answer, counted, for a tenth of what the
    ordinary way costs. Beyond the pool it leaves at once and takes its connection along."""

    def __init__(self, pool: Pool, sensors: Sensors, dressed: Dressed) -> None:
        self.pool, self.sensors, self.dressed = pool, sensors, dressed
        self.alarm = pool.defence.alarm
        self._made: dict[tuple[object, ...], Answer] = {}
        self._always = {
            private: [
                (k.encode(), v.encode())
                for k, v in (dressed.told(page=False, private=private) | {"content-type": MEDIA}).items()
            ]
            for private in (False, True)
        }
        page = missing()
        told = {**dressed.told(page=True, private=False), **page.headers}
        told |= {"content-type": page.media, "content-length": str(len(page.content))}
        self._missing = Answer(404, [(k.encode(), v.encode()) for k, v in told.items()], page.content)

    async def refuse(self, scope: Scope, send: Send, problem: Problem, why: str) -> None:
        began, answer = time.perf_counter(), self._answer(scope, problem, why)
        if self._late(problem) and not await self.pool.wait(scope):
            answer = _and_gone(answer)
        self.count(scope, answer.status, time.perf_counter() - began)
        await answer.send(send)

    def refuse_later(self, scope: Scope, problem: Problem, why: str, say: Callable[[Answer], None]) -> None:
        """The same, where the answer is said by a call: now, or when its time has come."""
        began, answer = time.perf_counter(), self._answer(scope, problem, why)
        if not self._late(problem):
            self._leave(scope, answer, began, say)
        elif not self.pool.later(scope, self._leave, scope, answer, began, say):
            self._leave(scope, _and_gone(answer), began, say)

    def _leave(self, scope: Scope, answer: Answer, began: float, say: Callable[[Answer], None]) -> None:
        self.count(scope, answer.status, time.perf_counter() - began)
        say(answer)

    def _late(self, problem: Problem) -> bool:
        return problem.status in _LATE or self.alarm.pressed

    def _answer(self, scope: Scope, problem: Problem, why: str) -> Answer:
        self.alarm.refused(why)
        if (problem is NO_ADDRESS or problem is ESCAPED) and _is_person(scope):
            made = self._missing
        else:
            made = self._as_sent(problem, private=self.dressed.credential(scope))
        return replace(made, body=b"") if scope["method"] == "HEAD" else made

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.sensors.answered(method, scope["kangma.route"], status)
        self.sensors.took(scope["kangma.needs"].purpose.value, seconds)

    def _as_sent(self, problem: Problem, *, private: bool) -> Answer:
        """What a problem says beside its code and detail is made each time, but for those that never change; the rest is
        remembered."""
        more = bool(problem.more)
        key: tuple[object, ...] = (
            problem.status, problem.code, problem.detail, private, more, *problem.headers.items()
        )  # fmt: skip
        lasting = not more or problem is ESCAPED or problem is PARAMETER
        made = self._made.get(key) if lasting else None
        if made is None:
            body = canonical.dumps(problem.as_json())
            own = {k.lower().encode(): v.encode() for k, v in problem.headers.items()}
            own[b"content-length"] = b"%d" % len(body)
            headers = [h for h in self._always[private] if h[0] not in own]
            made = Answer(problem.status, [*headers, *own.items()], body)
            if lasting and len(self._made) < 512:
                self._made[key] = made
        return made


def _and_gone(answer: Answer) -> Answer:
    return replace(answer, headers=[*answer.headers, (b"connection", b"close")])


_LATE = (401, 429)
BAD_TOKEN = problem_of(bad_token())
NO_ADDRESS = Problem(404, "not_found", "nothing at this address")
ESCAPED = problem_of(BadRequest(Code.BAD_VALUE, Where(path="address"), "an address as it is written here"))
PARAMETER = problem_of(
    BadRequest(Code.UNKNOWN_COLUMN, Where(path="address"), "this address takes no parameters")
)
_PROGRAMS = ("v1", "oauth", "source", "partner", "public")  # the first part of addresses for programs


def _is_person(scope: Scope) -> bool:
    """Whether a browser asks for a page: by what it accepts, and not at an address for programs."""
    return (
        scope["method"] in ("GET", "HEAD")
        and scope["path"][1:].partition("/")[0] not in _PROGRAMS
        and any(k == b"accept" and b"text/html" in v for k, v in scope["headers"])
    )


class Known:
    """Who calls, whether they may, and whether they ask too often, in front of everything but the hot path: what can be
    refused at a glance is refused for little, before a byte of the body is read.

    One address, one thing: an address with an escape is none of ours, so nobody gets past a cache by spelling anew; nor
    by parameters where none are taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        city: City | None,
        defence: Defence,
        limiters: Limiters,
        sensors: Sensors,
        table: Table,
        admission: Admission,
        exit: Exit,
    ) -> None:
        self.admission = admission
        self.app, self.city, self.defence, self.table, self.exit = app, city, defence, table, exit
        self.limiters, self.sensors, self.network = limiters, sensors, exit.pool.network

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        refused = None if scope.get(JUDGED) else self.judge(scope)
        if refused is not None:
            return await self.exit.refuse(scope, send, *refused)
        await self.app(scope, receive, send)

    def judge(self, scope: Scope) -> tuple[Problem, str] | None:
        """What is wrong at a glance, and its kind; None: it may go on, and is not judged again. Waits for nothing."""
        found = self.table.find(scope["method"], scope["path"])
        route, needs, parameters = ("none", NOWHERE, {}) if found is None else found
        scope["kangma.route"], scope["kangma.needs"], scope["kangma.parameters"] = route, needs, parameters
        refused = self._judged(scope, route, needs)
        scope[JUDGED] = refused is None
        return refused

    def _judged(self, scope: Scope, route: str, needs: Needs) -> tuple[Problem, str] | None:
        """The problem and its kind."""
        raw, alarm = scope.get("raw_path") or b"", self.defence.alarm
        if b"%" in raw or b"//" in raw:
            return ESCAPED, "address"
        if scope["query_string"] and route != "none" and not self.table.takes_parameters(route):
            return PARAMETER, "address"
        if route == "none" and not self.table.knows(scope["path"]):
            return NO_ADDRESS, "address"
        try:
            caller: Caller | None = NOBODY
            if needs.role is not Role.NOBODY and self.city is not None:
                caller = scope.get(CALLER) or identified(self.city, scope)
            if caller is None:
                return BAD_TOKEN, "token"
            scope[CALLER] = caller
            strict = alarm.on
            if (
                strict
                and needs.role is Role.NOBODY
                and needs.purpose is Purpose.BIND
                and self.city is not None
            ):
                if not self._worked(scope):
                    self.sensors.turned_away["work", needs.purpose.value] += 1
                    return self._work(), "work"
                strict = False  # who has worked has as much as on a quiet day
            key = caller.slot or caller.client or self.network.of(scope)
            limiter = self.limiters.of(caller.role, needs.purpose, strict=strict)
            wait = limiter.after(key, self.defence.ticks())
            if wait:
                self.sensors.turned_away["rate", needs.purpose.value] += 1
                return too_many(wait, self.defence.chance()), "rate"
            needs.judge(caller, scope["kangma.parameters"])
            if self.admission.hopeless(needs.purpose):
                self.sensors.turned_away["busy", needs.purpose.value] += 1
                return too_many(2.0, self.defence.chance()), "busy"
        except KangmaError as problem:
            return problem_of(problem), "token"
        return None

    def _worked(self, scope: Scope) -> bool:
        told = [v for k, v in scope["headers"] if k == HEADER]
        assert self.city is not None
        return len(told) == 1 and self.city.work.takes(told[0], now=self.city.clock())

    def _work(self) -> Problem:
        """Come back later, or at once with this solved (`work.py`)."""
        assert self.city is not None
        set_ = self.city.work.challenge(now=self.city.clock())
        detail = "the door is under attack: solve this and ask again, or come later"
        return Problem(429, "work_needed", detail, {"work": set_}, {"Retry-After": "60"})


class Limiters:
    """A limiter for each role and purpose, made when first needed. The hot path asks the same ones. `strict` are those of
    an attack, of the purposes that have such; they begin to count when it does."""

    def __init__(self, rates: Mapping[tuple[Role, Purpose], Rate], table: Together | None = None) -> None:
        """`table`: where several processes count together."""
        self._rates, self._table = rates, table
        self._made: dict[tuple[Role, Purpose, bool], Counted] = {}

    def of(self, role: Role, purpose: Purpose, *, strict: bool = False) -> Counted:
        found = self._made.get((role, purpose, strict))
        if found is None:
            rate = self._rates.get((role, purpose), ELSE)
            if strict:
                tight = STRICT.get((role, purpose), rate)
                rate = Rate(min(rate.a_second, tight.a_second), min(rate.burst, tight.burst))
            name = f"{role} {purpose}{' strict' if strict else ''}"
            found = Limiter(rate) if self._table is None else OfTogether(rate, name, self._table)
            self._made[role, purpose, strict] = found
        return found


def too_many(wait: float, chance: float) -> Problem:
    """Come back after the wait and up to as much again, so that those who were turned away together do not come back
    together; at least one second, at most two minutes."""
    seconds = max(1, min(120, ceil(wait * (1 + chance))))
    return _later(seconds)


@cache
def _later(seconds: int) -> Problem:
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
            self.sensors.turned_away["busy", purpose.value] += 1
            self.defence.alarm.refused("busy")
            problem = too_many(2.0, self.defence.chance())
            return await self.tell(Request(scope), problem)(scope, receive, send)
        began = self.defence.ticks()
        try:
            await self.app(scope, receive, send)
        finally:
            self.admission.leave(purpose, self.defence.ticks() - began)

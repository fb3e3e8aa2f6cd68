"""What is told without a task of its own is what the application tells, counted once, and as late."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hamlet import NURSE, Hamlet, hamlet

from kangma.gateway.front import serving
from kangma.gateway.front.at_once.desk import Arrivals
from kangma.gateway.front.defence.alarm import Event
from kangma.gateway.front.defence.layers import Answer, Defence
from kangma.gateway.front.defence.limits import Rate
from kangma.gateway.front.who.rights import Purpose, Role
from kangma.gateway.front.who.tokens import Tokens

BAD = {"authorization": "Bearer " + "x" * 35}


def scope(method: str, address: str, headers: dict[str, str]) -> dict[str, Any]:
    """As the server gives it."""
    path, _, query = address.partition("?")
    told = {"host": "door.example", **headers}
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "client": ("192.0.2.7", 4_000), "headers": [(k.encode(), v.encode()) for k, v in told.items()],
    }  # fmt: skip


def told(door: Hamlet, asked: dict[str, Any], *, within: float = 0.0) -> Answer | None:
    """What the desk says, at once or within so many seconds."""
    said: list[Answer] = []

    async def ask() -> None:
        if door.app.answers(asked, said.append):
            until = asyncio.get_running_loop().time() + within
            while not said and asyncio.get_running_loop().time() < until:
                await asyncio.sleep(0.005)

    asyncio.run(ask())
    return said[0] if said else None


@pytest.mark.parametrize(
    ("method", "address", "headers", "status"),
    [
        ("GET", "/v1/me/tests", BAD, 401),
        ("GET", "/v1/me/code", BAD, 401),
        ("GET", "/v1/me/tests", {}, 401),
        ("POST", "/v1/me/paper", {"authorization": "Basic x"}, 401),
        ("GET", "/public/latest.json?v=7", {}, 400),
        ("GET", "/public/status/1/0", {}, 404),
        ("HEAD", "/wp-login.php", {}, 404),
        ("GET", "/public/latest.json", {}, 200),
        ("HEAD", "/public/latest.json", {}, 200),
        ("GET", "/public/checkpoint", {"range": "bytes=3-9"}, 206),
        ("GET", "/public/checkpoint", {"range": "bytes=999999-"}, 416),
        ("GET", "/", {"accept-encoding": "identity"}, 200),
    ],
)
def test_the_desk_tells_what_the_application_tells(
    shared: Hamlet, method: str, address: str, headers: dict[str, str], status: int
) -> None:
    desk = told(shared, scope(method, address, headers))
    with shared.client() as client:
        client.headers.clear()
        ordinary = client.request(method, address, headers=headers)
    assert desk is not None
    assert desk.status == ordinary.status_code == status
    assert desk.body == ordinary.content
    assert {k.decode(): v.decode() for k, v in desk.headers} == dict(ordinary.headers)


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("POST", "/v1/me/visits"), ("GET", "/v1/me/tests"), ("POST", "/v1/bindings"), ("GET", "/openapi.json"),
        ("PUT", "/v1/me/code"),
    ],
)  # fmt: skip
def test_what_takes_work_goes_the_ordinary_way(door: Hamlet, method: str, address: str) -> None:
    token = door.bound(NURSE)["token"]
    assert told(door, scope(method, address, {"authorization": f"Bearer {token}"})) is None


def through(door: Hamlet, asked: dict[str, Any]) -> int:
    """The status of the application's answer to the same request."""
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    asyncio.run(door.app(asked, receive, send))
    return int(said[0]["status"])


def test_whoever_was_let_pass_at_the_desk_is_not_counted_again(tmp_path: Path) -> None:
    rates = {(Role.NOBODY, Purpose.ABOUT): Rate(0.001, 3)}
    with hamlet(tmp_path, defence=Defence(rates=rates, held_seconds=0.0)) as door:
        for _ in range(3):
            asked = scope("GET", "/openapi.json", {})
            assert told(door, asked) is None
            assert through(door, asked) == 200
        fourth = told(door, scope("GET", "/openapi.json", {}))
        assert fourth is not None
        assert fourth.status == 429


def test_a_refusal_leaves_late_and_its_place_is_free_again(tmp_path: Path) -> None:
    with hamlet(tmp_path, defence=Defence(held_seconds=0.05, most_held=3, chance=lambda: 0.0)) as door:
        said: list[Answer] = []

        async def ask() -> list[int]:
            for _ in range(5):
                assert door.app.answers(scope("GET", "/v1/me/tests", BAD), said.append)
            at_once = [len(said), door.sensors.held]
            while len(said) < 5:
                await asyncio.sleep(0.005)
            return at_once

        assert asyncio.run(ask()) == [2, 3]  # two found no room
        gone = [(b"connection", b"close") in answer.headers for answer in said]
        assert gone == [True, True, False, False, False]
        assert door.sensors.held == 0
        assert door.sensors.registry.get_sample_value("kangma_front_held") == 0


def test_one_who_cannot_be_told_takes_nobody_along(tmp_path: Path) -> None:
    with hamlet(tmp_path, defence=Defence(held_seconds=0.05, chance=lambda: 0.0)) as door:
        said: list[Answer] = []

        def gone(_: Answer) -> None:
            raise ConnectionError

        async def ask() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            for say in (said.append, gone, said.append, gone, said.append):
                assert door.app.answers(scope("GET", "/v1/me/tests", BAD), say)
            await asyncio.sleep(0.3)

        asyncio.run(ask())
        assert len(said) == 3
        assert door.sensors.held == 0


def test_a_desk_that_fails_lets_nobody_pass(door: Hamlet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server then goes the ordinary way with the same scope: it is judged there."""
    asked = scope("GET", "/v1/me/tests", BAD)

    def broken(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(door.app.known, "_judged", broken)
        with pytest.raises(RuntimeError):
            told(door, asked)
    answer = told(door, asked)
    assert answer is not None
    assert answer.status == 401


class Waking:
    """A loop that was asked to wake so often; the first to ask is remembered."""

    def __init__(self) -> None:
        self.wakes: list[Callable[[], None]] = []

    def call_soon_threadsafe(self, called: Callable[[], None], **_: Any) -> None:
        self.wakes.append(called)


def arrivals(door: Hamlet, loop: Any, taken: list[Any]) -> Arrivals:
    return Arrivals(loop, door.app, lambda request, _: taken.append(request))


@pytest.fixture
def quick(tmp_path: Path) -> Any:
    with hamlet(tmp_path, defence=Defence(held_seconds=0.05, chance=lambda: 0.0)) as door:
        yield door


def test_those_who_come_together_wake_the_loop_once_and_nobody_is_left_out(shared: Hamlet) -> None:
    loop, taken = Waking(), list[Any]()
    line = arrivals(shared, loop, taken)
    for n in range(5):
        line.add(n, scope("GET", "/v1/me/tests", BAD))
    assert (len(loop.wakes), taken) == (1, [])
    loop.wakes[0]()
    assert taken == [0, 1, 2, 3, 4]
    line.add(5, scope("GET", "/v1/me/tests", BAD))
    assert len(loop.wakes) == 2


def test_whoever_is_refused_anyway_waits_for_the_tick_and_wakes_nobody(quick: Hamlet) -> None:
    """As a flood of bad tokens does it: the first wakes the loop, the others come up with the clock of those who wait."""
    said: list[Answer] = []
    seen: list[bool] = []

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        line = Arrivals(loop, quick.app, lambda _, asked: seen.append(quick.app.answers(asked, said.append)))
        line.add("first", scope("GET", "/v1/me/code", BAD))
        await asyncio.sleep(0.03)
        assert seen == [True]
        assert quick.app.known.exit.pool.ticking
        wakes: list[Any] = []
        loop.call_soon_threadsafe = lambda *given, **_: wakes.append(given)  # type: ignore[method-assign,assignment]  # counted here
        others = [scope("GET", "/v1/me/code", BAD) for _ in range(20)]

        def come() -> None:
            for other in others:
                line.add("another", other)

        came = threading.Thread(target=come)
        came.start()
        await asyncio.sleep(0.5)
        came.join()
        del loop.call_soon_threadsafe
        assert wakes == []

    asyncio.run(ask())
    assert [answer.status for answer in said] == [401] * 21
    assert quick.sensors.held == 0
    assert not quick.app.known.exit.pool.ticking


def test_who_comes_as_the_clock_stops_is_taken_up(quick: Hamlet) -> None:
    taken: list[Any] = []
    pool = quick.app.known.exit.pool

    async def stop() -> None:
        line = arrivals(quick, Waking(), taken)
        all_, pool.ticking = line._all, True

        def none_yet() -> None:  # the tick looks, and nobody is there; then somebody comes
            pool.take_up = all_
            line.add("late", scope("GET", "/v1/me/code", BAD))

        pool.take_up = none_yet
        pool._tick()

    asyncio.run(stop())
    assert taken == ["late"]
    assert not pool.ticking


@pytest.mark.parametrize(
    ("method", "address", "quiet", "attacked"),
    [
        ("GET", "/v1/me/code", False, False),  # it was not shown: it will be refused, and late
        ("GET", "/public/latest.json", True, True),
        ("GET", "/", True, True),
        ("POST", "/v1/me/visits", True, True),
        ("GET", "/public/latest.json?v=1", True, False),
        ("GET", "/public/status/77/0", True, False),
        ("POST", "/v1/bindings", True, False),
    ],
)
def test_under_attack_only_scan_ins_and_what_is_in_memory_do_not_wait_for_the_tick(
    quick: Hamlet, method: str, address: str, quiet: bool, attacked: bool
) -> None:
    assert told(quick, scope("GET", "/public/latest.json", {})) is not None
    asked = scope(method, address, {})
    assert quick.app.soon(asked) is quiet
    quick.app.known.defence.alarm.event = Event(0)
    assert quick.app.soon(asked) is attacked


def test_a_token_is_looked_at_once_whatever_becomes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good one over its limit costs what a bad one costs."""
    rates = {(Role.RESIDENT, Purpose.SHOW): Rate(0.001, 1)}
    with hamlet(tmp_path, defence=Defence(rates=rates, held_seconds=0.0)) as door:
        good = {"authorization": f"Bearer {door.bound(NURSE)['token']}"}
        assert door.app.code(scope("GET", "/v1/me/code", good)) is not None
        over, bad = scope("GET", "/v1/me/code", good), scope("GET", "/v1/me/code", BAD)
        assert door.app.code(over) is door.app.code(bad) is None

        def again(*_: Any, **__: Any) -> None:
            raise AssertionError("looked at twice")

        monkeypatch.setattr(Tokens, "slot_of", again)
        found = [told(door, asked) for asked in (over, bad)]
        assert [answer and answer.status for answer in found] == [429, 401]


def test_what_is_always_said_the_same_is_written_once(quick: Hamlet) -> None:
    for method, address, headers in (
        ("GET", "/v1/me/tests", BAD),
        ("GET", "/public/latest.json?v=1", {}),
        ("GET", "/public/%6catest.json", {}),
        ("GET", "/nothing", {}),
    ):
        first, second = (told(quick, scope(method, address, headers), within=1.0) for _ in range(2))
        assert first is not None
        assert first is second


def test_a_flood_that_waits_sets_off_no_search_for_what_nobody_holds(tmp_path: Path) -> None:
    """Two thousand bad tokens at once. Each such search keeps everybody waiting (docs/decisions/0162)."""
    searches = 0

    def searched(phase: str, _: dict[str, int]) -> None:
        nonlocal searches
        searches += phase == "start"

    async def ask() -> None:
        line = Arrivals(
            asyncio.get_running_loop(), door.app, lambda r, asked: door.app.answers(asked, lambda _: None)
        )
        for n in range(2_000):
            line.add(n, scope("GET", "/v1/me/code", BAD))
        await asyncio.sleep(0.05)
        assert door.sensors.held == 2_000

    before = gc.get_threshold()
    with hamlet(tmp_path, defence=Defence()) as door:
        serving.settled()
        gc.callbacks.append(searched)
        try:
            asyncio.run(ask())
        finally:
            gc.callbacks.remove(searched)
            gc.set_threshold(*before)
            gc.unfreeze()
    assert searches == 0

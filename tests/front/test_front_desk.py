"""What is told without a task of its own is what the application tells, counted once, and as late."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hamlet import NURSE, Hamlet, hamlet

from kangma.gateway.front.defence import Answer, Defence
from kangma.gateway.front.limits import Rate
from kangma.gateway.front.rights import Purpose, Role

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

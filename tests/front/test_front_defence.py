"""Under a flood: bad tokens wait, each caller has its share, what can wait goes last, and nobody's memory grows."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hamlet import BASE, NURSE, TEACHER, Hamlet, hamlet
from hypothesis import given, settings
from hypothesis import strategies as st

from kangma.gateway.front.defence.admission import SHARES, Admission
from kangma.gateway.front.defence.layers import Defence, too_many
from kangma.gateway.front.defence.limits import RATES, Limiter, Network, Rate, network
from kangma.gateway.front.watch.gauges import watch_city
from kangma.gateway.front.watch.inner import make_inner
from kangma.gateway.front.who.rights import Purpose, Role

BAD = {"authorization": "Bearer " + "x" * 35}


def together(app: Any, *requests: tuple[str, str, dict[str, str]]) -> list[tuple[int, float]]:
    """(status, seconds) of requests that are sent at the same time."""

    async def one(
        client: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str]
    ) -> tuple[int, float]:
        began = time.monotonic()
        said = await client.request(method, path, headers=headers)
        return said.status_code, time.monotonic() - began

    async def all_() -> list[tuple[int, float]]:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE) as client:
            return list(await asyncio.gather(*(one(client, *r) for r in requests)))

    return asyncio.run(all_())


# bad tokens ------------------------------------------------------------------------------------------


def test_bad_tokens_wait_the_honest_do_not_and_the_pool_has_an_end(tmp_path: Path) -> None:
    with hamlet(tmp_path, defence=Defence(held_seconds=0.6, most_held=5)) as door:
        token = {"authorization": f"Bearer {door.bound(NURSE)['token']}"}
        bad = [("GET", "/v1/me/code", BAD)] * 12
        *refused, honest = together(door.app, *bad, ("GET", "/v1/me/code", token))
        assert honest[0] == 200
        assert honest[1] < 0.5
        assert {status for status, _ in refused} == {401}
        assert sum(took >= 0.6 for _, took in refused) == 5
        assert door.sensors.registry.get_sample_value("kangma_front_held") == 0


def test_one_network_cannot_fill_the_pool(tmp_path: Path) -> None:
    with hamlet(tmp_path, defence=Defence(held_seconds=0.4, most_held=50, most_held_of_a_network=3)) as door:
        took = [t for _, t in together(door.app, *[("GET", "/v1/me/tests", BAD)] * 8)]
        assert sum(t >= 0.4 for t in took) == 3


# rates ------------------------------------------------------------------------------------------


def test_three_at_once_then_one_a_second() -> None:
    limiter = Limiter(Rate(1, 3))
    assert [limiter.after("lin", 0.0) for _ in range(3)] == [0.0] * 3
    assert limiter.after("lin", 0.0) == pytest.approx(1.0)
    assert limiter.after("wang", 0.0) == 0.0
    assert limiter.after("lin", 1.0) == 0.0
    assert limiter.after("lin", 1.5) == pytest.approx(0.5)
    assert [limiter.after("lin", 100.0) for _ in range(4)][3] > 0


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 8), st.lists(st.floats(0, 30, allow_nan=False), max_size=60))
def test_no_window_lets_through_more_than_the_burst_and_what_the_rate_adds(
    rate: int, burst: int, gaps: list[float]
) -> None:
    limiter, now, admitted = Limiter(Rate(rate, burst)), 0.0, list[float]()
    for gap in gaps:
        now += gap / 10
        if limiter.after("k", now) == 0.0:
            admitted.append(now)
    for i, start in enumerate(admitted):
        for j, end in enumerate(admitted[i:], 1):
            assert j <= burst + (end - start) * rate + 1e-6


@settings(deadline=None)
@given(st.integers(1, 8), st.lists(st.integers(0, 160).map(lambda n: n / 4), max_size=60))  # exact in binary
def test_what_is_forgotten_was_worth_nothing(burst: int, gaps: list[float]) -> None:
    """Against a limiter that forgets nothing: a bucket that fills at one a second."""
    limiter, now, level, filled = Limiter(Rate(1, burst)), 0.0, float(burst), 0.0
    for gap in gaps:
        now += gap
        level, filled = min(burst, level + now - filled), now
        assert (limiter.after("k", now) == 0.0) == (level >= 1)
        level -= level >= 1


def test_a_million_strangers_do_not_fill_the_memory() -> None:
    limiter = Limiter(Rate(1, 10), most=1_000)
    for n in range(10_000):
        limiter.after(n, 0.001 * n)
    assert len(limiter._due) + len(limiter._before) <= 2_000


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.7", "192.0.2.0/24"), ("2001:db8:1:2::7", "2001:db8:1::/48"), ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("", ""), ("unix", ""),
    ],
)  # fmt: skip
def test_a_network_is_a_24_or_a_48(address: str, found: str) -> None:
    assert network(address) == found


def test_only_our_own_proxy_says_where_a_request_comes_from() -> None:
    scope = {"client": ("10.0.0.9", 1), "headers": [(b"x-forwarded-for", b"1.2.3.4, 192.0.2.7")]}
    assert Network().of(scope) == "10.0.0.0/24"
    assert Network(["10.0.0.9"]).of(scope) == "192.0.2.0/24"


def test_whoever_asks_too_often_is_told_when_to_come_back_and_nobody_else_is(tmp_path: Path) -> None:
    rates = dict(RATES) | {(Role.RESIDENT, Purpose.SHOW): Rate(0.001, 5)}
    with hamlet(tmp_path, defence=Defence(rates=rates, held_seconds=0.0)) as door:
        nurse, teacher = door.resident(NURSE), door.resident(TEACHER)
        said = [nurse.get("/v1/me/code") for _ in range(6)]
        assert [s.status_code for s in said] == [200] * 5 + [429]
        assert said[5].headers["content-type"] == "application/problem+json"
        assert 1 <= int(said[5].headers["retry-after"]) <= 120
        assert teacher.get("/v1/me/code").status_code == 200
        assert nurse.get("/v1/me/looks").status_code == 200  # another purpose, another share
        away = door.sensors.registry.get_sample_value(
            "kangma_front_turned_away_total", {"why": "rate", "purpose": "show"}
        )
        assert away == 1


def test_those_who_were_turned_away_together_do_not_come_back_together() -> None:
    waits = [int(too_many(10, chance / 10).headers["Retry-After"]) for chance in range(10)]
    assert min(waits) >= 10
    assert max(waits) <= 21
    assert len(set(waits)) == 10


# what goes first ------------------------------------------------------------------------------------------


def test_when_it_is_full_history_waits_and_codes_are_shown() -> None:
    admission = Admission(least=8, most=10)
    assert all(admission.enter(Purpose.ABOUT) for _ in range(4))
    assert not admission.enter(Purpose.ABOUT)
    assert admission.enter(Purpose.HISTORY)
    assert not admission.enter(Purpose.HISTORY)
    assert all(admission.enter(Purpose.BIND) for _ in range(2))
    assert not admission.enter(Purpose.BIND)
    assert all(admission.enter(Purpose.SHOW) for _ in range(3))
    assert not admission.enter(Purpose.SHOW)
    admission.leave(Purpose.ABOUT, 0.1)
    assert not admission.enter(Purpose.HISTORY)
    assert admission.enter(Purpose.SHOW)
    assert list(SHARES.values()) == sorted(SHARES.values(), reverse=True)
    assert set(SHARES) == set(Purpose)


def test_who_finds_no_room_waits_a_moment_and_the_most_needed_is_called_first() -> None:
    admission, order = Admission(least=1, most=1, patience=0.5), list[str]()

    async def one(purpose: Purpose, hold: float) -> None:
        if not await admission.come(purpose):
            order.append(f"not {purpose}")
            return
        order.append(purpose)
        await asyncio.sleep(hold)
        admission.leave(purpose, hold)

    async def run() -> None:
        first = asyncio.create_task(one(Purpose.BIND, 0.1))
        await asyncio.sleep(0.01)
        others = [one(Purpose.HISTORY, 0.0), one(Purpose.SHOW, 0.7), one(Purpose.ABOUT, 0.0)]
        await asyncio.gather(first, *others)

    asyncio.run(run())
    assert order[:2] == ["bind", "show"]
    assert sorted(order[2:]) == ["not about", "not history"]
    assert (admission.at_work, admission.waiting) == (0, 0)


def test_few_look_into_the_evidence_at_a_time() -> None:
    admission = Admission()
    assert [admission.enter(Purpose.HISTORY) for _ in range(4)] == [True] * 3 + [False]
    assert admission.enter(Purpose.BIND)


def test_under_attack_what_keeps_the_evidence_busy_goes_one_by_one() -> None:
    room = Admission()
    assert [room.enter(Purpose.HISTORY) for _ in range(4)] == [True, True, True, False]
    room.pressed = lambda: True
    assert room.enter(Purpose.MAKE)
    assert not room.enter(Purpose.MAKE)
    room.leave(Purpose.HISTORY, 0.1)
    assert not room.enter(Purpose.HISTORY)  # two are at it still
    assert all(room.enter(Purpose.SHOW) for _ in range(6))
    room.pressed = lambda: False
    assert room.enter(Purpose.HISTORY)


def test_who_goes_away_while_waiting_leaves_no_gap() -> None:
    admission = Admission(least=1, most=1, patience=5)

    async def run() -> None:
        assert await admission.come(Purpose.SHOW)
        gone = asyncio.create_task(admission.come(Purpose.SHOW))
        await asyncio.sleep(0.01)
        admission.leave(Purpose.SHOW, 0.0)  # called, and cancelled before it hears
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert (admission.at_work, admission.waiting) == (0, 0)

    asyncio.run(run())


def test_the_room_shrinks_while_answers_are_slow_and_grows_back() -> None:
    admission = Admission(least=8, most=24)
    for _ in range(200):
        assert admission.enter(Purpose.SHOW)
        admission.leave(Purpose.SHOW, 9.0)
    assert admission.room == 8
    for _ in range(6_000):
        admission.enter(Purpose.SHOW)
        admission.leave(Purpose.SHOW, 0.01)
    assert admission.room == 24


# bodies, headers, addresses ------------------------------------------------------------------------------------------


def test_a_slow_sender_takes_nobodys_place(tmp_path: Path) -> None:
    made: list[Admission] = []

    def admission() -> Admission:
        made.append(Admission())
        return made[-1]

    with hamlet(tmp_path, defence=Defence(held_seconds=0.0, admission=admission)) as door:
        scope = {
            "type": "http", "method": "POST", "path": "/v1/bindings", "raw_path": b"/v1/bindings",
            "query_string": b"", "client": ("192.0.2.7", 1), "http_version": "1.1", "scheme": "https",
            "headers": [(b"host", b"door.example"), (b"content-type", b"application/json"), (b"content-length", b"9")],
        }  # fmt: skip

        async def slow() -> dict[str, Any]:
            await asyncio.sleep(3_600)
            return {}

        async def nothing(_: Any) -> None: ...

        async def run() -> int:
            senders = [asyncio.create_task(door.app(dict(scope), slow, nothing)) for _ in range(50)]
            await asyncio.sleep(0.1)
            at_work = made[0].at_work
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)
            return at_work

        assert asyncio.run(run()) == 0


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("POST", "/v1/bindings", {"content": b"x" * 65_537, "headers": {"content-type": "application/json"}}, 413),
        ("POST", "/v1/bindings", {"content": b"{", "headers": {"content-type": "application/json"}}, 422),
        ("POST", "/v1/bindings", {"content": b"{}", "headers": {"content-type": "text/plain"}}, 415),
        ("POST", "/v1/bindings?x=1", {"json": {}}, 400),
        ("GET", "/v1/%6de/code", {}, 400),
        ("GET", "/v1//me/code", {}, 400),
        ("GET", "/public/root", {"headers": {"host": "evil.example"}}, 421),
        ("GET", "/public/root", {"headers": {"x": "y" * 9_000}}, 431),
        ("GET", "/nothing", {}, 404),
        ("PATCH", "/v1/me/code", {}, 405),
        ("GET", "/v1/me/code", {}, 401),
        ("GET", "/v1/me/code", {"headers": BAD}, 401),
        ("POST", "/v1/me/credentials", {"content": b"x" * 10**6}, 401),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_form(
    shared: Hamlet, method: str, path: str, more: Any, status: int
) -> None:
    said = shared.client().request(method, path, **more)
    assert said.status_code == status, said.text
    assert said.headers["content-type"] == "application/problem+json"
    assert said.json()["status"] == status
    assert said.headers["cache-control"] in ("no-store", "private, no-store")
    assert said.headers["x-content-type-options"] == "nosniff"


# what operators read ------------------------------------------------------------------------------------------


def test_health_means_something(door: Hamlet) -> None:
    from fastapi.testclient import TestClient  # noqa: PLC0415

    inner = TestClient(make_inner(door.city, door.sensors))
    assert inner.get("/health/live").status_code == 200
    door.clock.now += 77
    said = inner.get("/health/ready")
    assert (said.status_code, said.json()) == (
        200, {"ready": True, "release": 1, "answers_release": 1, "release_age_s": 77},
    )  # fmt: skip
    (door.path / "front" / "codes.slots").unlink()
    assert inner.get("/health/ready").status_code == 503
    assert door.client().get("/health/ready").status_code == 404  # not at the door
    assert door.client().get("/metrics").status_code == 404


def test_metrics_count_by_declared_route_and_name_nobody(door: Hamlet) -> None:
    phone = door.resident(NURSE)
    phone.get("/v1/me/code")
    phone.get("/v1/me/others/3/code")
    phone.get(f"/{NURSE.id_number}")
    text = door.sensors.text().decode()
    assert 'route="/v1/me/others/{other}/code",status="404"' in text
    assert 'route="none",status="404"' in text
    assert "kangma_front_codes_total 1.0" in text
    assert NURSE.id_number not in text


def test_every_metric_is_explained(door: Hamlet) -> None:
    page = (Path(__file__).parents[2] / "docs/gateway.md").read_text("utf-8")
    watch_city(door.sensors, door.city)
    for metric in door.sensors.registry.collect():
        assert f"`{metric.name}" in page, metric.name


def test_a_provider_that_fails_is_counted_and_heard_by_nobody(door: Hamlet) -> None:
    def fails(_: Any) -> None:
        raise OSError("the provider is down")

    counted: list[int] = []
    door.letters.send = fails  # type: ignore[method-assign]
    door.city.outbox._failed = lambda: counted.append(1)  # type: ignore[assignment]
    assert door.client().post("/v1/bindings", json=NURSE.asked).status_code == 202
    door.city.outbox.empty()
    assert counted == [1]

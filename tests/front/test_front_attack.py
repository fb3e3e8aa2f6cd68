"""Under attack: refusals are cheap and late, what anybody may read comes out of memory, and the alarm begins quickly,
ends slowly and is off in quiet times."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hamlet import NURSE, Hamlet, hamlet
from hypothesis import given
from hypothesis import strategies as st

from kangma.cli import serve
from kangma.gateway.front import serving
from kangma.gateway.front.defence.admission import LINE_A_PLACE, Admission
from kangma.gateway.front.defence.alarm import BEGINS, CALM, ENDS, WINDOW, Alarm
from kangma.gateway.front.defence.layers import Defence
from kangma.gateway.front.defence.limits import RATES, STRICT
from kangma.gateway.front.who.rights import Purpose, Role

BAD = {"authorization": "Bearer " + "x" * 35}
NOW = 1_650_881_100


# the alarm ------------------------------------------------------------------------------------------------------------


def seconds(alarm: Alarm, count: int, *, refused: int = 0, late: float = 0.0, now: int = NOW) -> None:
    for second in range(count):
        for _ in range(refused):
            alarm.refused("token")
        alarm.tick(1.0, late=late, now=now + second)


def test_a_quiet_day_is_no_attack() -> None:
    """People mistype, phones come back with old tokens, a crawler tries its luck: for an hour, nothing."""
    alarm = Alarm()
    seconds(alarm, 3_600, refused=40, late=0.02)
    assert not alarm.on


def test_a_flood_is_one_within_five_seconds_and_lasts_until_a_minute_was_calm() -> None:
    alarm = Alarm()
    seconds(alarm, WINDOW, refused=2_000)
    assert alarm.on
    event = alarm.event
    assert event is not None
    seconds(alarm, 58, refused=0, now=NOW + 5)
    assert alarm.on  # an attacker's pause is no end
    seconds(alarm, 10, refused=300, now=NOW + 63)
    seconds(alarm, int(CALM) + WINDOW, refused=1, now=NOW + 73)
    assert not alarm.on
    assert event.ended is not None
    assert event.began <= NOW
    assert NOW + 70 <= event.ended <= NOW + 80
    assert 13_000 <= event.refused["token"] <= 13_000 + CALM + WINDOW
    assert event.peak == 2_000


def test_one_bad_second_is_no_attack() -> None:
    alarm = Alarm()
    seconds(alarm, 60)
    seconds(alarm, 1, refused=int(BEGINS * WINDOW) - 1)
    seconds(alarm, 60)
    assert not alarm.on
    seconds(alarm, WINDOW - 1, late=2.0)  # a long answer, a busy machine
    seconds(alarm, 1)
    assert not alarm.on


def test_being_late_all_the_time_is_one_too() -> None:
    alarm = Alarm()
    seconds(alarm, WINDOW, late=0.4)
    assert alarm.on


@given(st.lists(st.integers(0, 60).filter(lambda n: n < BEGINS), max_size=200))
def test_it_never_begins_below_its_bound_whatever_the_order(counts: list[int]) -> None:
    alarm = Alarm()
    for n in counts:
        seconds(alarm, 1, refused=n)
        assert not alarm.on


@given(st.lists(st.integers(int(ENDS) + 1, 500), min_size=1, max_size=200))
def test_it_never_ends_while_it_goes_on(counts: list[int]) -> None:
    alarm = Alarm()
    seconds(alarm, WINDOW, refused=1_000)
    for n in counts:
        seconds(alarm, 1, refused=n)
        assert alarm.on


def test_under_attack_everybody_has_less_at_once_and_nobody_more() -> None:
    assert set(STRICT) == set(RATES)
    for key, rate in RATES.items():
        assert STRICT[key].a_second <= rate.a_second
        assert STRICT[key].burst <= rate.burst
    # and still enough for a person: the code every minute, the credentials of five people, a look at one's tests
    assert STRICT[Role.RESIDENT, Purpose.SHOW].burst >= 10
    assert STRICT[Role.RESIDENT, Purpose.MAKE].burst >= 3
    assert STRICT[Role.RESIDENT, Purpose.HISTORY].burst >= 3


def test_a_phone_goes_on_under_attack_and_one_that_hammers_does_not(tmp_path: Path) -> None:
    with hamlet(tmp_path) as door:
        phone = door.resident(NURSE)
        alarm = Alarm()
        seconds(alarm, WINDOW, refused=1_000)
        door.defence.alarm.event = alarm.event
        said = [phone.get("/v1/me/code").status_code for _ in range(30)]
        assert said[:10] == [200] * 10
        assert said[15:] == [429] * 15


# refusals at a glance -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/me/code", 401),
        ("POST", "/v1/me/paper", 401),
        ("GET", "/public/latest.json?v=7", 400),
        ("GET", "/public/%6catest.json", 400),
        ("GET", "/public/status/1/0", 404),
        ("GET", "/wp-login.php", 404),
        ("HEAD", "/wp-login.php", 404),
        ("PUT", "/v1/me/code", 405),
    ],
)
def test_what_is_refused_at_a_glance_looks_like_any_refusal(
    shared: Hamlet, method: str, path: str, status: int
) -> None:
    said = shared.client().request(method, path, headers=BAD if status == 401 else {})
    assert said.status_code == status
    ordinary = shared.client().get("/v1/me/code/none" if status != 401 else "/v1/me/looks", headers=BAD)
    missing = set(ordinary.headers) - set(said.headers) - {"www-authenticate"}
    assert missing == set()
    if method != "HEAD":
        assert said.json()["status"] == status
        assert said.headers["content-type"] == "application/problem+json"
    assert str(len(said.content)) == said.headers["content-length"] or method == "HEAD"


def test_it_is_counted_as_any_answer_is(door: Hamlet) -> None:
    door.client().get("/v1/me/tests", headers=BAD)
    door.client().get("/nothing/here")
    text = door.sensors.text().decode()
    assert 'kangma_front_answers_total{method="GET",route="/v1/me/tests",status="401"} 1.0' in text
    assert 'kangma_front_answers_total{method="GET",route="none",status="404"} 1.0' in text


def test_beyond_the_pool_a_refusal_takes_its_connection_along(tmp_path: Path) -> None:
    with hamlet(tmp_path, defence=Defence(held_seconds=9.0, most_held=0)) as door:
        began = time.monotonic()
        said = door.client().get("/v1/me/tests", headers=BAD)
        assert said.status_code == 401
        assert said.headers["connection"] == "close"
        assert time.monotonic() - began < 5


def test_a_caller_who_is_wrong_waits_only_while_there_is_an_attack(tmp_path: Path) -> None:
    with hamlet(tmp_path, defence=Defence(held_seconds=0.4, chance=lambda: 0.0)) as door:
        took = []
        for on in (False, True):
            alarm = Alarm()
            seconds(alarm, WINDOW, refused=1_000 if on else 0)
            door.defence.alarm.event = alarm.event
            began = time.monotonic()
            assert door.client().get("/favicon.ico").status_code == 404
            took.append(time.monotonic() - began)
        assert took[0] < 0.4 <= took[1]


def test_few_wait_for_what_few_can_do_at_a_time_and_the_rest_is_told_before_anything_was_done() -> None:
    """Three look into the evidence at a time: of a thousand who ask at once most would wait in vain."""
    admission = Admission(patience=5)

    async def run() -> None:
        waiting = [asyncio.create_task(admission.come(Purpose.HISTORY)) for _ in range(3 + 3 * LINE_A_PLACE)]
        await asyncio.sleep(0)
        assert admission.hopeless(Purpose.HISTORY)
        assert not await admission.come(Purpose.HISTORY)
        assert not admission.hopeless(Purpose.SHOW)
        assert not admission.hopeless(Purpose.BIND)
        for _ in waiting:
            await asyncio.sleep(0)
            admission.leave(Purpose.HISTORY, 0.1)
        assert all(await asyncio.gather(*waiting))
        assert (admission.at_work, admission.waiting) == (0, 0)

    asyncio.run(run())


def test_a_bad_second_makes_refusals_late_before_the_alarm_is_sure() -> None:
    alarm = Alarm()
    seconds(alarm, 3)
    for _ in range(int(BEGINS)):
        alarm.refused("address")
    assert alarm.pressed
    assert not alarm.on
    seconds(alarm, 1)
    assert not alarm.pressed


# the shelf ------------------------------------------------------------------------------------------------------------

ASKED: list[dict[str, str]] = [
    {}, {"range": "bytes=0-9"}, {"range": "bytes=-5"}, {"range": "bytes=999999-"}, {"range": "bytes=5-2"},
    {"range": "lines=1-2"}, {"range": "bytes=0-1,3-4"}, {"range": "bytes=0-9", "if-range": '"other"'},
    {"if-none-match": '"other"'}, {"accept-encoding": "gzip"}, {"accept-encoding": "identity"},
]  # fmt: skip


def ordinary(door: Hamlet, monkeypatch: pytest.MonkeyPatch, method: str, path: str, headers: Any) -> Any:
    """The same by the framework's route."""
    from kangma.gateway.front.at_once import shelf  # noqa: PLC0415  only to step around it

    with monkeypatch.context() as patched:
        patched.setattr(shelf.Shelf, "_plain", lambda *_: False)
        return door.client().request(method, path, headers=headers)


@pytest.mark.parametrize("headers", ASKED, ids=str)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_comes_out_of_memory_is_what_the_route_says(
    shared: Hamlet, monkeypatch: pytest.MonkeyPatch, method: str, headers: dict[str, str]
) -> None:
    for path in ("/public/latest.json", "/public/checkpoint", "/public/root", "/", "/scan", "/sw.js"):
        out = shared.client().request(method, path, headers=headers)
        route = ordinary(shared, monkeypatch, method, path, headers)
        assert (out.status_code, out.content) == (route.status_code, route.content), path
        assert dict(out.headers) == dict(route.headers), path
        again = {**headers, "if-none-match": out.headers["etag"]}
        assert shared.client().request(method, path, headers=again).status_code == 304
        assert ordinary(shared, monkeypatch, method, path, again).status_code == 304


def test_a_file_that_was_replaced_is_the_new_one_at_once_and_one_that_is_gone_is_gone(door: Hamlet) -> None:
    client, file = door.client(), door.path / "public" / "latest.json"
    before = client.get("/public/latest.json")
    fresh = file.with_name(".latest.tmp")
    fresh.write_bytes(b'{"release": 99}')
    fresh.rename(file)
    after = client.get("/public/latest.json")
    assert after.content == b'{"release": 99}'
    assert after.headers["etag"] != before.headers["etag"]
    file.unlink()
    assert client.get("/public/latest.json").status_code == 404


def test_a_link_out_of_the_folder_is_not_followed(door: Hamlet) -> None:
    door.client().get("/public/latest.json")
    file = door.path / "public" / "latest.json"
    file.unlink()
    file.symlink_to(door.path / "front" / "token.key")
    assert door.client().get("/public/latest.json").status_code == 404


def test_the_shelf_keeps_no_more_than_it_may(door: Hamlet, monkeypatch: pytest.MonkeyPatch) -> None:
    from kangma.gateway.front.at_once import shelf  # noqa: PLC0415  as above

    monkeypatch.setattr(shelf, "MOST_ALL", 10)
    assert door.client().get("/public/latest.json").status_code == 200  # from the disk


# stopping -------------------------------------------------------------------------------------------------------------


def test_a_door_that_was_told_to_stop_before_it_listened_stops() -> None:
    """On a busy machine the word came while the door was loading: it opened, never closed, and its supervisor waited."""
    said: list[str] = []

    async def run() -> None:
        await asyncio.wait_for(serving._watch(lambda: None, lambda: True, lambda: said.append("stop")), 5)

    asyncio.run(run())
    assert said == ["stop"]


def test_who_watches_the_supervisor_rests_once_all_is_to_stop() -> None:
    """It used to ask for its parent as fast as it could, for ever, while the part was stopping."""
    stopping = threading.Event()
    stopping.set()
    watching = threading.Thread(target=serve._watch, args=(os.getppid(), stopping), daemon=True)
    watching.start()
    watching.join(5)
    assert not watching.is_alive()

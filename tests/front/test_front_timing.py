"""Known and unknown take the same time: a two-sample test over HTTP, on a machine with nothing else to do."""

from __future__ import annotations

import random
import secrets
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hamlet import CASE, ELDER, NURSE, STRANGER, TEACHER, Hamlet, hamlet, phone_key, result, unlimited
from laboratory import lines, registered, send
from test_front_rides import agree, check, new_ride, room


def differ(one: list[float], other: list[float], *, rounds: int = 2_000, seed: int = 1) -> float:
    """The chance that two samples of one kind differ so much in their medians: a permutation test."""
    seen = abs(statistics.median(one) - statistics.median(other))
    both, chance, more = one + other, random.Random(seed), 0
    for _ in range(rounds):
        chance.shuffle(both)
        more += abs(statistics.median(both[: len(one)]) - statistics.median(both[len(one) :])) >= seen
    return more / rounds


def samples(
    one: Callable[[], object], other: Callable[[], object], n: int, *, slower: float = 0.0
) -> tuple[list[float], list[float]]:
    """Seconds of so many of each, in an order by chance."""
    took = (list[float](), list[float]())
    for _ in range(n):
        for i in random.sample((0, 1), 2):
            began = time.perf_counter()
            if slower and i == 0:
                time.sleep(slower)
            (one, other)[i]()
            took[i].append(time.perf_counter() - began)
    return took


def asking(door: Hamlet, what: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """The same call about somebody who is known, and about nobody."""
    phone = door.resident(NURSE)
    if what in ("bindings", "others", "children"):
        client = door.client() if what == "bindings" else phone
        path = "/v1/bindings" if what == "bindings" else f"/v1/me/{what}"
        known, unknown = (lambda p=p: client.post(path, json=p.asked) for p in (ELDER, STRANGER))
        return known, unknown
    if what == "a code that is wrong":
        sent = {"device_key": phone_key().public.compressed.hex()}
        known, unknown = (
            lambda p=p: door.client().post(
                f"/v1/bindings/{door.client().post('/v1/bindings', json=p.asked).json()['binding']}/confirm",
                json=sent | {"code": "000000"},
            )
            for p in (ELDER, STRANGER)
        )
        return known, unknown
    if what == "a token's renewal":
        there = door.bound(TEACHER)["resident"]
        sent = {"at": door.clock.now, "signature": "0" * 128}
        known, unknown = (
            lambda r=r: door.client().post("/v1/tokens", json=sent | {"resident": r})
            for r in (there, "0" * 32)
        )
        return known, unknown
    if what == "a batch of results":
        lab = registered(door, "lab", "source:tests").http()
        known, unknown = (
            lambda p=p: send(
                lab, "tests", lines([result(p, secrets.token_hex(6), "2022-04-25T17:00:00+08:00")])
            )
            for p in (ELDER, STRANGER)
        )
        return known, unknown
    cars, ride = registered(door, "cars", "ride:check"), new_ride()
    for _ in range(60):
        room(door, cars, phone, 20)
    case = door.resident(CASE)
    consents = [agree(case, "cars", ride)["consent"], secrets.token_urlsafe(24)]
    http = cars.http()
    known, unknown = (lambda c=c: check(http, ride, c) for c in consents)
    return known, unknown


WHAT = (
    "bindings", "a code that is wrong", "others", "children", "a token's renewal", "a batch of results", "a ride's check"
)  # fmt: skip


@pytest.mark.prove
@pytest.mark.parametrize("what", WHAT)
def test_a_stopwatch_does_not_tell_who_is_known(tmp_path: Path, what: str) -> None:
    """Every route that takes a subject's data."""
    n = 400 if what != "a batch of results" else 150
    with hamlet(tmp_path, defence=unlimited()) as door:
        known, unknown = asking(door, what)
        samples(known, unknown, n // 8)
        one, other = samples(known, unknown, n)
        p = differ(one, other)
        print(
            f"{what}: medians {statistics.median(one) * 1e3:.2f} and {statistics.median(other) * 1e3:.2f} ms, p = {p:.3f}"
        )
        assert p > 0.01 / len(WHAT)


@pytest.mark.prove
def test_the_stopwatch_is_good_enough_to_see_a_difference(tmp_path: Path) -> None:
    """The control: half a millisecond more for one of them is seen."""
    with hamlet(tmp_path, defence=unlimited()) as door:
        known, unknown = asking(door, "bindings")
        assert differ(*samples(known, unknown, 400, slower=0.0005)) < 0.01 / len(WHAT)

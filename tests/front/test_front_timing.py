"""Known and unknown take the same time: a two-sample test over HTTP, on a machine with nothing else to do."""

from __future__ import annotations

import math
import random
import re
import secrets
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hamlet import CASE, ELDER, NURSE, STRANGER, TEACHER, Hamlet, hamlet, phone_key, result, unlimited
from laboratory import lines, registered, send
from test_front_openapi import tokens
from test_front_rides import agree, check, new_ride, room
from test_front_rights import described, named

from kangma.gateway.front.people import residents
from kangma.gateway.front.who.rights import Role


def differ(one: list[float], other: list[float]) -> float:
    """The chance of pairs so uneven if neither of the two were slower: Wilcoxon's signed ranks, with the normal
    approximation. What befalls both of a pair, because the machine is busy, falls out."""
    apart = np.array(one) - np.array(other)
    ranks = np.argsort(np.argsort(np.abs(apart))) + 1
    n = len(apart)
    z = float(np.sum(np.sign(apart) * ranks)) / math.sqrt(n * (n + 1) * (2 * n + 1) / 6)
    return math.erfc(abs(z) / math.sqrt(2))


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


# the crawl -----------------------------------------------------------------------------------------------------------


def crawl(door: Hamlet) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Every route, as nobody and as who it is for: with the document and name of somebody who is known and did not agree
    to anything, and of somebody who is not; where an address names something, with the number there too."""
    of, calls = tokens(door), {}
    for path, methods in sorted(described(door)["paths"].items()):
        for method, told in sorted(methods.items()):
            if (path, method) in (("/v1/me", "delete"), ("/v1/me/paper", "post")):
                continue  # nobody is named: one leaves, one gets one's own sheet
            for role in {Role.NOBODY, Role(told["x-role"])}:
                for there in {named(path), re.sub(r"\{[^}]+\}", "{}", path)}:
                    calls[f"{role} {method} {there}"] = tuple(
                        lambda p=p, method=method, there=there, role=role: door.client(of[role]).request(
                            method, there.format(p.id_number), json=p.asked
                        )
                        for p in (ELDER, STRANGER)
                    )
    return calls  # type: ignore[return-value]  # two of each


SEEN, SHARE = 0.001, 0.02  # what must not hide in a call's own spread: seconds, or that part of a longer call
MOST_PAIRS = 2_000


def sharp(one: list[float], other: list[float], calls: int) -> bool:
    """A difference worth `SEEN` or `SHARE` would be found among so many calls: it is twice what chance alone has to
    reach (3.9 standard errors of the median pair, for a hundredth among a hundred)."""
    apart = np.array(one) - np.array(other)
    spread = 1.4826 * float(np.median(np.abs(apart - np.median(apart))))
    needed = statistics.NormalDist().inv_cdf(1 - 0.005 / calls)
    return 2 * needed * spread / math.sqrt(len(apart)) <= max(SEEN, SHARE * statistics.median(one))


def crawled(door: Hamlet, n: int) -> dict[str, tuple[list[float], list[float], set[tuple[int, int, int]]]]:
    """Call → seconds of the known and of the unknown, and what statuses and sizes either was answered with. At least
    `n` pairs, and of calls whose own time is uneven as many as it takes to see a difference."""
    calls, took = crawl(door), {}
    for what, pair in calls.items():
        took[what] = ([], [], set())
        for call in pair:
            call()

    def once(what: str) -> None:
        for i in random.sample((0, 1), 2):
            began = time.perf_counter()
            said = calls[what][i]()
            took[what][i].append(time.perf_counter() - began)
            took[what][2].add((i, said.status_code, len(said.content)))

    for _ in range(n):  # all of them in turn, so that whatever the machine does meanwhile befalls all of them
        for what in calls:
            once(what)
    for what, (one, other, _) in took.items():
        while not sharp(one, other, len(calls)):
            assert len(one) < MOST_PAIRS, f"{what}: the machine is too busy to see a difference"
            for _ in range(n // 4):
                once(what)
    print({what: len(one) for what, (one, _, _) in took.items() if len(one) > n}, "pairs, of the others", n)
    return took


@pytest.mark.prove
def test_crawling_takes_the_same_time_for_the_known_and_the_unknown(tmp_path: Path) -> None:
    with hamlet(tmp_path, defence=unlimited()) as door:
        took = crawled(door, 100)
    for what, (_, _, said) in took.items():
        known, unknown = ({x[1:] for x in said if x[0] == i} for i in (0, 1))
        assert known == unknown, what
    found = {what: differ(one, other) for what, (one, other, _) in took.items()}
    worst = sorted(found.items(), key=lambda x: x[1])[:5]
    print(f"{len(found)} calls, lowest chances {worst}")
    assert worst[0][1] > 0.01 / len(found)


@pytest.mark.prove
def test_a_handler_that_takes_a_millisecond_longer_for_the_known_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the crawl: in the product, and not in the stopwatch."""
    known = residents._known

    def slower(*asked: Any) -> Any:
        got = known(*asked)
        if got[0] is not None:
            time.sleep(0.001)
        return got

    monkeypatch.setattr(residents, "_known", slower)
    with hamlet(tmp_path, defence=unlimited()) as door:
        took = crawled(door, 100)
    found = {what for what, (one, other, _) in took.items() if differ(one, other) <= 0.01 / len(took)}
    assert {
        "nobody post /v1/bindings",
        "resident post /v1/me/others",
        "resident post /v1/me/children",
    } <= found

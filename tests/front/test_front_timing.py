"""Known and unknown take the same time: a two-sample test over HTTP, on a machine with nothing else to do."""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path

import pytest
from hamlet import ELDER, NURSE, STRANGER, Hamlet, Person, hamlet, unlimited


def differ(one: list[float], other: list[float], *, rounds: int = 2_000, seed: int = 1) -> float:
    """The chance that two samples of one kind differ so much in their medians: a permutation test."""
    seen = abs(statistics.median(one) - statistics.median(other))
    both, chance, more = one + other, random.Random(seed), 0
    for _ in range(rounds):
        chance.shuffle(both)
        more += abs(statistics.median(both[: len(one)]) - statistics.median(both[len(one) :])) >= seen
    return more / rounds


def samples(
    door: Hamlet, person: Person, other: Person, n: int, *, slower: float = 0.0
) -> tuple[list[float], list[float]]:
    client, took = door.client(), (list[float](), list[float]())
    for _ in range(n):
        for i in random.sample((0, 1), 2):
            began = time.perf_counter()
            if slower and i == 0:
                time.sleep(slower)
            client.post("/v1/bindings", json=(person, other)[i].asked)
            took[i].append(time.perf_counter() - began)
    return took


@pytest.mark.prove
def test_a_stopwatch_does_not_tell_who_is_known(tmp_path: Path) -> None:
    with hamlet(tmp_path, defence=unlimited()) as door:
        samples(door, ELDER, STRANGER, 50)
        known, unknown = samples(door, ELDER, STRANGER, 400)
        p = differ(known, unknown)
        print(
            f"medians {statistics.median(known) * 1e3:.2f} and {statistics.median(unknown) * 1e3:.2f} ms, p = {p:.3f}"
        )
        assert p > 0.01


@pytest.mark.prove
def test_the_stopwatch_is_good_enough_to_see_a_difference(tmp_path: Path) -> None:
    """The control: half a millisecond more for one of them is seen."""
    with hamlet(tmp_path, defence=unlimited()) as door:
        assert differ(*samples(door, NURSE, STRANGER, 400, slower=0.0005)) < 0.01

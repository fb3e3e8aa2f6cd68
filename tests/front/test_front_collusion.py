"""Two platforms put together all that they were ever told, and try to find out which of their users are one person.

Each knows its own users; nothing that was told says which user of the other one somebody is. The attacks look at
everything: words, parts of words, sizes, times, bits. What each may know of its users by right, the results, is granted
to the attack as its beginning: among those of whom both know the same it can only guess.
"""

from __future__ import annotations

import base64
import json
import random
import re
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hamlet import Hamlet, Tables, hamlet, result, unlimited
from laboratory import registered
from multitude import crowd, registered_people
from platform_side import listening
from test_front_hooks import platform, teller, turns
from test_front_rides import agree, check, new_ride

from kangma.gateway.front.clients.partners import MOST_SAID
from kangma.terms import HOUR, moment

MORE = 0.001  # by which a guess may be better for all that was told
ROUNDED = 600  # seconds to which times are known: what is said of them ends with ten minutes of the clock


@dataclass(frozen=True)
class Heard:
    """One ride, as the platform knows it."""

    at: int
    ride: str
    consent: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def result(self) -> str:
        return str(json.loads(self.body)["result"])

    @property
    def until(self) -> int:
        return moment(json.loads(self.body)["expires_at"])

    @property
    def words(self) -> set[str]:
        """Everything of it that can be read, but what it says of the passage and its time."""
        said = {k: v for k, v in json.loads(self.body).items() if k not in ("result", "expires_at")}
        return set(
            re.findall(r"[A-Za-z0-9_.-]+", f"{self.ride} {self.consent} {self.headers} {json.dumps(said)}")
        )


#: User → what the platform heard of them, ride after ride. One person has one place in both; no attack looks at it.
Log = list[list[Heard]]


def evidence(n: int, chance: random.Random) -> Tables:
    """People of whom each has a past of their own: so everybody's code would be a mark, if anything of it were told."""
    people = crowd(n)

    def at() -> str:
        return f"2022-04-25T{chance.randrange(17):02d}:{chance.randrange(60):02d}:{chance.randrange(60):02d}+08:00"

    said = ["positive" if i % 50 == 7 else "negative" for i in range(n)]
    rows = [result(p, f"K-{i}", at(), said[i]) for i, p in enumerate(people) if i % 10]
    return {**registered_people(people), "tests": rows}


def a_day(door: Hamlet, n: int, rides: int, seed: int) -> tuple[Log, Log]:
    """So many people ride so often with either platform, at times drawn by chance, and each ride is asked about."""
    chance = random.Random(seed)
    door.cycle(evidence(n, chance))
    fleets = [registered(door, name, "ride:check") for name in ("one-cars", "other-cars")]
    phones = [door.client(door.bound_without_answers(p)["token"]) for p in crowd(n)]
    door.answers.turn()
    logs: tuple[Log, Log] = ([[] for _ in phones], [[] for _ in phones])
    events = sorted(
        (door.clock.now + chance.randrange(12 * HOUR), i, which)
        for i in range(n)
        for which in (0, 1)
        for _ in range(rides)
    )
    https, since = [fleet.http() for fleet in fleets], door.clock.now
    for at, i, which in events:
        door.clock.now = at
        if at > since + 500:
            https, since = [fleet.http() for fleet in fleets], at
        ride = new_ride()
        consent = agree(phones[i], fleets[which].name, ride)["consent"]
        said = check(https[which], ride, consent)
        assert said.status_code == 200, said.text
        logs[which][i].append(Heard(at, ride, consent, tuple(said.headers.items()), said.content))
    return logs


# attacks: for each pair of users how much speaks for one person -------------------------------------------------------

Attack = Callable[[list[Heard], list[Heard]], "np.ndarray[Any, Any]"]


def _idf(names: list[list[set[str]]]) -> np.ndarray[Any, Any]:
    """What both have and few others: users × users."""
    where: list[defaultdict[str, list[int]]] = [defaultdict(list), defaultdict(list)]
    for side, users in enumerate(names):
        for i, words in enumerate(users):
            for word in words:
                where[side][word].append(i)
    n = len(names[0])
    score = np.zeros((n, n))
    for word in where[0].keys() & where[1].keys():
        mine, theirs = where[0][word], where[1][word]
        weight = np.log(1 + n / max(len(mine), len(theirs))) - np.log(2)
        if weight > 0:
            score[np.ix_(mine, theirs)] += weight
    return score


def words(one: list[Heard], other: list[Heard]) -> np.ndarray[Any, Any]:
    return _idf([[h.words for h in log] for log in (one, other)])


def parts(one: list[Heard], other: list[Heard]) -> np.ndarray[Any, Any]:
    """Four letters in a row of what names ride and consent, wherever they stand."""
    return _idf(
        [
            [{t[i : i + 4] for t in (h.ride, h.consent) for i in range(len(t) - 3)} for h in log]
            for log in (one, other)
        ]
    )


def bits(one: list[Heard], other: list[Heard]) -> np.ndarray[Any, Any]:
    """How few bits differ between two consents."""
    rows = [
        np.array(
            [np.unpackbits(np.frombuffer(base64.urlsafe_b64decode(h.consent), np.uint8)) for h in log],
            np.int16,
        )
        for log in (one, other)
    ]
    mine, theirs = (2 * x - 1 for x in rows)
    return np.asarray(mine @ theirs.T)


def numbers(of: Callable[[Heard], float]) -> Attack:
    def attack(one: list[Heard], other: list[Heard]) -> np.ndarray[Any, Any]:
        mine, theirs = (np.array([of(h) for h in log]) for log in (one, other))
        return np.asarray(-np.abs(mine[:, None] - theirs[None, :]))

    return attack


ATTACKS: dict[str, Attack] = {
    "words": words,
    "parts of words": parts,
    "bits of consents": bits,
    "first bytes of consents": numbers(
        lambda h: float(int.from_bytes(base64.urlsafe_b64decode(h.consent)[:6], "big"))
    ),
    "sizes": numbers(lambda h: len(h.body) + sum(len(k) + len(v) for k, v in h.headers)),
    "until when": numbers(lambda h: h.until - h.at // ROUNDED * ROUNDED),
    "time of day": numbers(lambda h: h.at // ROUNDED),
}


def linked(score: np.ndarray[Any, Any]) -> float:
    """How many of a hundred users are found, in the mean: each is held for the one for whom most speaks; among equals one
    is drawn."""
    best = score.max(axis=1)
    equal = score >= best[:, None] - 1e-9
    right = np.diagonal(score) >= best - 1e-9
    return float(np.mean(right / equal.sum(axis=1)))


def granted(one: list[Heard], other: list[Heard]) -> np.ndarray[Any, Any]:
    """What both may know: whoever is refused here is refused there."""
    mine, theirs = (np.array([h.result for h in log]) for log in (one, other))
    return np.asarray((mine[:, None] == theirs[None, :]) * 1e9)


def by(attack: Attack, one: list[Heard], other: list[Heard]) -> float:
    return linked(granted(one, other) + attack(one, other))


def pairs(logs: tuple[Log, Log]) -> Iterator[tuple[list[Heard], list[Heard]]]:
    """One ride of each user here and one there, in every combination: trials that chance makes nearly independent."""
    for here in zip(*logs[0], strict=True):
        for there in zip(*logs[1], strict=True):
            yield list(here), list(there)


def linkage(logs: tuple[Log, Log]) -> dict[str, float]:
    """Attack → by how much it is better than guessing among those of whom the same is known."""
    trials = list(pairs(logs))
    known = float(np.mean([linked(granted(*trial)) for trial in trials]))
    return {
        name: float(np.mean([by(attack, *trial) for trial in trials])) - known
        for name, attack in ATTACKS.items()
    }


def said_alike(logs: tuple[Log, Log]) -> None:
    """One schema, one size, one set of headers; until when follows the clock."""
    heard = [h for log in logs for rides in log for h in rides]
    assert {frozenset(json.loads(h.body)) for h in heard} == {frozenset({"result", "expires_at"})}
    assert {h.result for h in heard} <= {"pass", "refuse", "unknown"}
    assert {len(h.body) for h in heard} == {MOST_SAID}
    assert len({h.headers for h in heard}) == 1
    assert {h.until for h in heard if h.at // ROUNDED == heard[0].at // ROUNDED} == {heard[0].until}
    assert len({x for h in heard for x in (h.ride, h.consent)}) == 2 * len(heard)


@pytest.mark.parametrize(("n", "rides"), [(30, 1), pytest.param(1_000, 4, marks=pytest.mark.prove)])
def test_two_platforms_guess_no_better_for_all_that_they_were_told(
    tmp_path: Path, n: int, rides: int
) -> None:
    with hamlet(tmp_path, defence=unlimited()) as door:
        logs = a_day(door, n, rides, seed=1)
    said_alike(logs)
    told = {h.result for log in logs for rides_ in log for h in rides_}
    assert {"pass", "refuse"} <= told  # or there were nothing to know
    found = linkage(logs)
    known = float(np.mean([linked(granted(*trial)) for trial in pairs(logs)]))
    print(f"{n} people, guessing {1 / n:.4f}, by the results {known:.4f}; better by", found)
    # A guess hits one of n users in the mean; sixteen trials of a thousand users make that a quarter of a user exact.
    assert max(found.values()) <= (MORE if n >= 1_000 else 5 / n)


LEAKS: dict[str, Callable[[Heard, str], Heard]] = {
    "words": lambda h, mark: replace(h, headers=(*h.headers, ("etag", mark))),
    "parts of words": lambda h, mark: replace(h, consent=h.consent[:9] + mark[:8] + h.consent[17:]),
    "bits of consents": lambda h, mark: replace(h, consent=_nearly(mark, h.consent)),
    "first bytes of consents": lambda h, mark: replace(h, consent=mark[:7] + h.consent[7:]),
    "sizes": lambda h, mark: replace(h, body=h.body + b" " * (int(mark, 16) % 5_000)),
    "until when": lambda h, mark: replace(h, body=_until(h, mark), at=h.at % ROUNDED),
    "time of day": lambda h, mark: replace(h, at=ROUNDED * (int(mark, 16) % 5_000)),
}  # fmt: skip


def _until(h: Heard, mark: str) -> bytes:
    minute, second = int(mark[:1], 16), int(mark[1:3], 16) % 60
    said = {"result": h.result, "expires_at": f"2022-04-26T00:{minute:02d}:{second:02d}+08:00"}
    return json.dumps(said).encode()


def _nearly(mark: str, consent: str) -> str:
    """The same for one person but for a third of its bits, which differ each time."""
    mine = np.unpackbits(np.frombuffer(mark.encode()[:24], np.uint8))
    drawn = np.unpackbits(np.frombuffer(base64.urlsafe_b64decode(consent), np.uint8))
    other = np.where(np.arange(192) % 3 == 0, drawn, mine)
    return base64.urlsafe_b64encode(np.packbits(other).tobytes()).decode()


def made_up(n: int, rides: int, seed: int) -> tuple[Log, Log]:
    """What is heard when all is well."""
    chance = random.Random(seed)
    body = json.dumps({"result": "pass", "expires_at": "2022-04-26T00:00:00+08:00"}).encode().ljust(MOST_SAID)

    def heard() -> Heard:
        consent = base64.urlsafe_b64encode(chance.randbytes(24)).decode()
        return Heard(
            moment("2022-04-25T18:00:00+08:00") + chance.randrange(HOUR),
            chance.randbytes(12).hex(),
            consent,
            (),
            body,
        )

    one, other = ([[heard() for _ in range(rides)] for _ in range(n)] for _ in range(2))
    return one, other


@pytest.mark.parametrize("what", list(LEAKS))
def test_each_attack_finds_the_leak_that_it_is_for(what: str) -> None:
    """The control: a mark of the person in that place, and nowhere else."""
    n, marks = 120, [secrets.token_hex(24) for _ in range(120)]
    clean = made_up(n, 1, seed=2)
    leaky = tuple([[LEAKS[what](h, marks[i]) for h in rides] for i, rides in enumerate(log)] for log in clean)
    assert abs(linkage(clean)[what]) < 6 / n
    assert linkage(leaky)[what] > 0.4  # type: ignore[arg-type]  # a pair


# what times give away ------------------------------------------------------------------------------------------------


def by_time(door: Hamlet, together: int, seed: int, people: list[Any], fleets: list[Any]) -> float:
    """So many people ride with both at once, and the code of each turns with one release: how many are found by the
    moments at which the two platforms are told."""
    rides: list[dict[str, int]] = [{}, {}]
    https = [fleet.http() for fleet in fleets]
    for i in range(together):
        for which, fleet in enumerate(fleets):
            ride = new_ride()
            consent = agree(people[i], fleet.name, ride)["consent"]
            assert check(https[which], ride, consent).status_code == 200
            rides[which][ride] = i
    with teller(door, spread=20, chance=random.Random(seed)) as hooks:
        turns(door, "green" if seed % 2 else "red")
        assert hooks.look() >= 2 * together
    with door.city.store.read() as on:
        due = dict(on.exec_driver_sql("SELECT ride, next_at FROM messages").fetchall())
        named = {
            row.ride: door.city.hooks.keys.open(bytes(row.name))
            for row in on.exec_driver_sql("SELECT ride, name FROM watches")
        }
    moments = [np.zeros(together), np.zeros(together)]
    for ride, at in due.items():
        for which in (0, 1):
            if named[ride] in rides[which]:
                moments[which][rides[which][named[ride]]] = at
    return linked(-np.abs(moments[0][:, None] - moments[1][None, :]))


def test_turns_that_come_together_hide_among_each_other_and_a_lone_one_does_not(tmp_path: Path) -> None:
    """Said plainly (decision 0134): two platforms that carry one person at one time, whose code alone turns, know it.
    With k people for whom that is so at once they guess one in k."""
    with hamlet(tmp_path, defence=unlimited()) as door, listening() as heard:
        together = 8
        door.cycle(registered_people(crowd(together)))
        fleets = [platform(door, heard, name) for name in ("one-cars", "other-cars")]
        people = [door.client(door.bound_without_answers(p)["token"]) for p in crowd(together)]
        door.answers.turn()
        assert by_time(door, 1, 0, people, fleets) == 1.0
        _over(door)
        trials = []
        for seed in range(1, 7):
            trials.append(by_time(door, together, seed, people, fleets))
            _over(door)
        assert np.mean(trials) < 0.5
        assert Counter(trials)[1.0] == 0


def _over(door: Hamlet) -> None:
    door.clock.now += 7_201
    door.city.hooks.forget_over(now=door.clock.now)

"""The key by which partners are told changes: they hear of the next one a day before it signs, and nothing is missed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hamlet import Hamlet, hamlet, unlimited
from platform_side import Heard, example, listening
from test_front_hooks import done, platform, riding, teller, turns
from test_front_rides import agree, check, new_ride, room

from kangma.cli import main
from kangma.errors import Conflict, Corrupt
from kangma.gateway.front.clients.outward import target
from kangma.gateway.front.clients.signatures import key_id, signed
from kangma.store.hook_keys import KEY, LAST, NEXT, HookKeys
from kangma.terms import DAY, HOUR


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Hamlet]:
    with hamlet(tmp_path, defence=unlimited()) as made:
        yield made


@pytest.fixture
def heard() -> Iterator[Heard]:
    with listening() as made:
        yield made


def told_keys(door: Hamlet) -> list[dict[str, str]]:
    keys: list[dict[str, str]] = door.client().get("/partner/v1/keys").json()["keys"]
    return keys


def a_message(door: Hamlet, url: str = "https://cars.example/told") -> tuple[dict[str, str], bytes]:
    body = b'{"ride":"x","result":"pass","expires_at":""}'
    return signed(
        door.city.hooks.keys.signing, url, body, message=os.urandom(16).hex(), created=door.clock.now
    ), body


def kid_of(headers: dict[str, str]) -> str:
    return headers["signature-input"].partition('keyid="')[2].partition('"')[0]


def test_the_key_turns_during_a_ride_and_the_platform_is_told_of_the_ride_all_the_same(
    door: Hamlet, heard: Heard
) -> None:
    """The next key has been told for a day; then it signs what the last one sealed, in programs that ran all along."""
    cars, keys = platform(door, heard), HookKeys(door.city.store)  # the operator's program
    before = told_keys(door)
    keys.announce(now=door.clock.now)
    both = told_keys(door)
    assert both[0] == before[0]
    assert len(both) == 2
    door.clock.now += DAY
    _, ride = riding(door, cars)
    with teller(door) as hooks:
        keys.turn(now=door.clock.now)
        assert told_keys(door) == [both[1]]
        turns(door)
        done(hooks)
    told = example().Told(target(heard.url, private=True).url, both)
    (said,) = [told.read(headers, body, now=door.clock.now) for _, headers, body in heard.came]
    assert (said["ride"], said["result"]) == (ride, "refuse")
    assert kid_of(heard.came[0][1]) == both[1]["kid"]


@pytest.mark.parametrize("hour", range(0, 24, 5))
def test_who_looks_once_a_day_believes_every_message_of_three_turns(door: Hamlet, hour: int) -> None:
    keys, told, now = HookKeys(door.city.store), None, door.clock.now
    kids = set[str]()
    for h in range(24 * 7):
        door.clock.now = now + h * HOUR
        if h % 24 == hour or told is None:
            told = example().Told("https://cars.example/told", told_keys(door))
        if h % 48 == 1:
            keys.announce(now=door.clock.now)
        if h % 48 == 25:
            keys.turn(now=door.clock.now)
        headers, body = a_message(door)
        assert told.read(headers, body, now=door.clock.now)["result"] == "pass"
        kids.add(kid_of(headers))
    assert len(kids) == 4


def test_no_key_signs_before_partners_had_a_day_to_hear_of_it(door: Hamlet) -> None:
    keys, now = HookKeys(door.city.store), door.clock.now
    before = told_keys(door)
    with pytest.raises(Conflict, match="no next key"):
        keys.turn(now=now)
    keys.announce(now=now)
    with pytest.raises(Conflict, match="told it already"):
        keys.announce(now=now + DAY)
    with pytest.raises(Conflict, match="once a day"):
        keys.turn(now=now + DAY - 1)
    assert told_keys(door)[:1] == before
    keys.turn(now=now + DAY)
    assert before[0] not in told_keys(door)


@pytest.mark.parametrize("announced", [True, False])
def test_a_stolen_key_is_out_at_once(door: Hamlet, announced: bool) -> None:
    """Whoever meets the new key looks, and then believes the stolen one no more."""
    keys, now = HookKeys(door.city.store), door.clock.now
    stolen = Ed25519PrivateKey.from_private_bytes(keys.signing.private_bytes_raw())
    url, body = "https://cars.example/told", b'{"ride":"x","result":"pass","expires_at":""}'
    told = example().Told(url, told_keys(door), lambda: told_keys(door))
    if announced:
        keys.announce(now=now)
    keys.turn(now=now, stolen=True)
    assert [x["kid"] for x in told_keys(door)] == [key_id(keys.signing.public_key())]
    headers, own = a_message(door)
    assert told.read(headers, own, now=now)["result"] == "pass"
    forged = signed(stolen, url, body, message="f" * 32, created=now)
    with pytest.raises(ValueError, match="not the city's"):
        told.read(forged, body, now=now)


def test_who_meets_unknown_keys_looks_once_a_minute(door: Hamlet) -> None:
    """Whoever sends rubbish to a partner does not make it ask the city each time."""
    looks = list[int]()
    told = example().Told("https://cars.example/told", [], lambda: looks.append(1) or told_keys(door))
    for _ in range(5):
        body = b"{}"
        rubbish = signed(
            Ed25519PrivateKey.generate(), told.url, body, message="f" * 32, created=door.clock.now
        )
        with pytest.raises(ValueError, match="not the city's"):
            told.read(rubbish, body, now=door.clock.now)
    assert len(looks) == 1


def test_a_ride_whose_name_nobody_opens_any_more_holds_up_no_other(door: Hamlet, heard: Heard) -> None:
    """Two keys stolen within one ride."""
    cars, keys = platform(door, heard), HookKeys(door.city.store)
    phone, _ = riding(door, cars)
    for _ in range(2):
        keys.turn(now=door.clock.now, stolen=True)
    room(door, cars, phone, 2)
    later = new_ride()
    check(cars.http(), later, agree(phone, "cars", later)["consent"])
    with teller(door) as hooks:
        turns(door)
        done(hooks)
        assert [json.loads(body)["ride"] for _, _, body in heard.came] == [later]
        assert len(door.city.hooks.open(now=door.clock.now)) == 1


@pytest.mark.parametrize("at", ["last", "next", "used"])
def test_killed_in_the_middle_of_a_turn_nothing_is_lost(
    door: Hamlet, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    keys, now = HookKeys(door.city.store), door.clock.now
    keys.announce(now=now)
    sealed, before = keys.seal("a ride"), told_keys(door)
    real = Path.replace

    class Killed(BaseException):
        pass

    def dies(self: Path, to: Path) -> Path:
        if at == "last" or (at == "next" and to.name == KEY):
            raise Killed
        done_ = real(self, to)
        if to.name == KEY:
            raise Killed
        return done_

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(Killed):
        keys.turn(now=now + DAY)
    monkeypatch.undo()
    after = HookKeys(door.city.store)
    assert after.open(sealed) == "a ride"
    assert told_keys(door) == (before[1:] if at == "used" else before)
    if at != "used":
        after.turn(now=now + DAY)
    assert after.open(sealed) == "a ride"
    assert told_keys(door) == before[1:]


def test_the_files_are_for_their_owner_alone_and_a_key_is_not_printed(door: Hamlet) -> None:
    keys, folder = HookKeys(door.city.store), door.path / "front"
    keys.announce(now=door.clock.now)
    keys.turn(now=door.clock.now + DAY)
    keys.announce(now=door.clock.now + DAY)
    assert {(folder / name).stat().st_mode & 0o777 for name in (KEY, NEXT, LAST)} == {0o600}
    assert "KM" not in repr(keys)
    with pytest.raises(TypeError):
        __import__("pickle").dumps(keys)
    (folder / KEY).unlink()
    with pytest.raises(Corrupt):
        keys.seal("x")


def test_the_operator_turns_the_key(door: Hamlet, capsys: pytest.CaptureFixture[str]) -> None:
    def kangma(*words: str) -> tuple[int, Any]:
        with pytest.raises(SystemExit) as ended:
            main(["client", str(door.path), "hook-key", *words, "--json"])
        out = capsys.readouterr().out
        return int(ended.value.code or 0), json.loads(out) if out else None

    code, one = kangma("show")
    assert (code, len(one["keys"])) == (0, 1)
    assert [one["keys"][0]["key"]] == told_keys(door)
    code, two = kangma("next", "--now", "2022-05-01T10:00:00+08:00")
    assert (code, [x["key"] for x in two["keys"]]) == (0, told_keys(door))
    assert kangma("turn", "--now", "2022-05-02T09:59:59+08:00")[0] != 0
    code, turned = kangma("turn", "--now", "2022-05-02T10:00:00+08:00")
    assert (code, [x["key"] for x in turned["keys"]]) == (0, told_keys(door))
    assert turned["keys"][0]["key"] == two["keys"][1]["key"]
    code, again = kangma("turn", "--stolen")
    assert (code, len(again["keys"])) == (0, 1)
    assert again["keys"][0]["key"] != turned["keys"][0]["key"]

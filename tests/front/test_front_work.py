"""Proof of work: asked of who has no token, only while the door is under attack; solved by the device, good once."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hamlet import NURSE, Hamlet, hamlet, phone_key
from hypothesis import given
from hypothesis import strategies as st

from kangma.gateway.front.defence.alarm import Event
from kangma.gateway.front.defence.work import LIVES, MOST_NUMBER, Work, solved

NOW = 1_650_881_100
KEY = bytes(32)


def attacked(door: Hamlet, on: bool = True) -> None:
    door.defence.alarm.event = Event(door.clock.now) if on else None


def changed(solution: bytes, **more: Any) -> bytes:
    return base64.b64encode(json.dumps(json.loads(base64.b64decode(solution)) | more).encode())


# at the door ----------------------------------------------------------------------------------------------------------


def test_in_quiet_times_nobody_is_asked(door: Hamlet) -> None:
    assert door.client().post("/v1/bindings", json=NURSE.asked).status_code == 202
    assert (
        door.client().post("/v1/bindings", json=NURSE.asked, headers={"kangma-work": "x"}).status_code == 202
    )


def test_under_attack_a_phone_works_a_moment_and_is_bound(door: Hamlet) -> None:
    """Each step asks for its own work; with it the nurse is as quick as on any other day."""
    attacked(door)
    client = door.client()

    def asked(path: str, body: Any) -> Any:
        said = client.post(path, json=body)
        assert said.status_code == 429
        assert said.json()["code"] == "work_needed"
        assert int(said.headers["retry-after"]) > 0
        return client.post(path, json=body, headers={"kangma-work": solved(said.json()["work"]).decode()})

    binding = asked("/v1/bindings", NURSE.asked)
    assert binding.status_code == 202
    door.city.outbox.empty()
    body = {"code": door.letters.sent[-1].code, "device_key": phone_key().public.compressed.hex()}
    bound = asked(f"/v1/bindings/{binding.json()['binding']}/confirm", body)
    assert bound.status_code == 201
    phone = door.client(bound.json()["token"])
    assert phone.get("/v1/me/devices").status_code == 200  # who has a token is asked for nothing
    assert phone.get("/v1/me/tests").status_code == 200
    assert client.get("/public/root").status_code == 200
    attacked(door, on=False)
    assert client.post("/v1/bindings", json=NURSE.asked).status_code == 202


def test_a_solution_opens_the_door_once(door: Hamlet) -> None:
    attacked(door)
    client = door.client()
    work = client.post("/v1/bindings", json=NURSE.asked).json()["work"]
    headers = {"kangma-work": solved(work).decode()}
    assert client.post("/v1/bindings", json=NURSE.asked, headers=headers).status_code == 202
    again = client.post("/v1/bindings", json=NURSE.asked, headers=headers)
    assert (again.status_code, again.json()["code"]) == (429, "work_needed")
    assert again.json()["work"] != work


def test_who_has_worked_is_not_kept_out_by_neighbours_who_have_not(tmp_path: Path) -> None:
    """A carrier's whole network behind one address, and an attacker in it."""
    with hamlet(tmp_path) as door:
        attacked(door)
        client = door.client()
        for _ in range(300):
            assert client.post("/v1/bindings", json={}).status_code == 429
        work = client.post("/v1/bindings", json=NURSE.asked).json()["work"]
        headers = {"kangma-work": solved(work).decode()}
        assert client.post("/v1/bindings", json=NURSE.asked, headers=headers).status_code == 202


# what is taken --------------------------------------------------------------------------------------------------------


@pytest.fixture
def work() -> Work:
    return Work(KEY, most=500)


def test_what_was_found_is_taken_once_in_time(work: Work) -> None:
    solution = solved(work.challenge(now=NOW))
    assert work.takes(solution, now=NOW + 20)
    assert not work.takes(solution, now=NOW + 21)
    late = solved(work.challenge(now=NOW))
    assert not work.takes(late, now=NOW + LIVES)
    assert work.takes(solved(work.challenge(now=NOW)), now=NOW + LIVES - 1)


def test_a_worker_takes_what_another_has_set_and_another_city_does_not(work: Work) -> None:
    assert Work(KEY, most=500).takes(solved(work.challenge(now=NOW)), now=NOW)
    assert not Work(bytes([1] * 32), most=500).takes(solved(work.challenge(now=NOW)), now=NOW)


def test_a_challenge_that_one_set_oneself_is_none(work: Work) -> None:
    salt = f"{'0' * 24}?expires={NOW + 60}&"
    challenge = hashlib.sha256(f"{salt}0".encode()).hexdigest()
    own = {
        "algorithm": "SHA-256",
        "challenge": challenge,
        "maxnumber": 0,
        "salt": salt,
        "signature": "0" * 64,
    }
    assert not work.takes(solved(own), now=NOW)


def test_digits_cannot_be_moved_from_the_number_into_the_time(work: Work) -> None:
    """Without its last character, a salt of `expires=1` and the number 23 would be one of `expires=12` and 3."""
    told = work.challenge(now=NOW)
    number = json.loads(base64.b64decode(solved(told)))["number"]
    whole = f"{told['salt']}{number}"
    for cut in range(len(told["salt"]) - 14, len(whole)):
        rest = whole[cut:]
        if rest.isdigit() and cut != len(told["salt"]):
            assert not work.takes(changed(solved(told), salt=whole[:cut], number=int(rest)), now=NOW)
    assert told["salt"].endswith("&")


@pytest.mark.parametrize(
    "more",
    [
        {"number": 501}, {"number": -1}, {"number": True}, {"number": "7"}, {"number": 7.0}, {"number": None},
        {"algorithm": "SHA-1"}, {"algorithm": "none"}, {"signature": ""}, {"signature": "0" * 64},
        {"challenge": "0" * 64}, {"challenge": "A" * 64}, {"salt": "00?expires=9999999999&"}, {"salt": ""},
        {"maxnumber": 1}, {"more": 1}, {"signature": 5}, {"salt": None},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_another_than_the_one_form_is_not_taken(work: Work, more: dict[str, Any]) -> None:
    solution = solved(work.challenge(now=NOW))
    assert not work.takes(changed(solution, **more), now=NOW)
    assert work.takes(solution, now=NOW)  # and nothing was used up by it


def test_a_guess_is_not_taken(work: Work) -> None:
    solution = solved(work.challenge(now=NOW))
    right = json.loads(base64.b64decode(solution))["number"]
    assert not any(work.takes(changed(solution, number=n), now=NOW) for n in range(501) if n != right)


@given(st.binary(max_size=700))
def test_whatever_comes_is_answered(content: bytes) -> None:
    work = Work(KEY)
    assert not work.takes(content, now=NOW)
    assert not work.takes(base64.b64encode(content), now=NOW)


def test_the_memory_of_what_was_used_has_an_end(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kangma.gateway.front.defence.work.MOST_USED", 3)
    assert [work.takes(solved(work.challenge(now=NOW)), now=NOW) for _ in range(4)] == [True] * 3 + [False]
    later = NOW + LIVES
    assert work.takes(solved(work.challenge(now=later)), now=later)
    assert len(work._used) == 1


def test_how_much_there_is_to_find_is_not_the_callers_to_say() -> None:
    """The number is chosen by us among all of them, evenly: the mean is half."""
    chosen: list[int] = []
    work = Work(KEY, chance=lambda most: chosen.append(most) or 7)
    assert work.challenge(now=NOW)["maxnumber"] == MOST_NUMBER
    assert chosen == [MOST_NUMBER + 1]

"""From a document to a code at a door, over HTTP: a resident binds, takes credentials, and a door believes them."""

from __future__ import annotations

import base64
import json

import httpx2
from hamlet import BASE, CASE, CITY, NOW, NURSE, STRANGER, TEACHER, Hamlet, phone_key, result

from kangma.credential import holder, issue
from kangma.credential.marks import MarksInMemory
from kangma.credential.outcome import Verified
from kangma.credential.verify import Verifier
from kangma.publish.answers import code_of
from kangma.signing.trust import decode_root
from kangma.store.public_reader import lists_there


class OverClient:
    """The public folder as a door fetches it."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def read(self, path: str, most: int) -> bytes | None:
        said = self.client.get(f"/public/{path}")
        return said.content if said.status_code == 200 else None


def door_of(client: httpx2.Client, base: str = CITY.base) -> Verifier:
    """A door that fetched everything, from the front door and from nowhere else."""
    public = OverClient(client)
    made = Verifier(decode_root(public.read("root", 10_000) or b""), MarksInMemory())
    made.take_trust(public.read("trust", 100_000) or b"")
    for path in lists_there(public):
        made.take_list(f"{base}/{path}", public.read(path, 10**7) or b"")
    return made


def test_a_nurse_binds_her_passport_and_passes_a_door(door: Hamlet) -> None:
    held = door.bound(NURSE)
    phone = door.client(held["token"])
    assert held["expires_at"].endswith("+08:00")
    shown = phone.get("/v1/me/code")
    assert shown.status_code == 200
    code = shown.json()
    assert (code["colour"], code["nat"]["result"], code["vaccination"]) == ("green", "negative", "basic")
    assert (code["release"], code["as_of"]) == (1, "2022-04-25T18:05:00+08:00")
    assert code["name_mask"] == held["name_mask"]
    keys = [phone_key() for _ in range(3)]
    asked = {"holders": [k.public.compressed.hex() for k in keys]}
    made = phone.post("/v1/me/credentials", json=asked)
    assert made.status_code == 201
    taken = made.json()["credentials"]
    assert [c["day"] for c in taken] == ["2022-04-25", "2022-04-26", "2022-04-27"]
    signed = base64.urlsafe_b64decode(taken[0]["text"] + "==")
    text = issue.shown(signed, holder.prove(signed, holder.step_of(NOW), keys[0]))
    found = door_of(door.client()).verify(text, now=NOW)
    assert isinstance(found, Verified), found
    assert (found.colour, found.kind.name) == ("green", "PHONE")


def test_the_answer_is_the_one_of_the_command_line(door: Hamlet) -> None:
    for person in (NURSE, TEACHER, CASE):
        got = door.resident(person).get("/v1/me/code").json()
        wanted = code_of(door.state, person.id_type, person.id_number, now=NOW)
        del wanted["person"], got["name_mask"], got["release"]
        assert got == wanted


def test_a_teacher_is_told_why_and_sees_the_turn_when_the_wheel_has_turned(door: Hamlet) -> None:
    phone = door.resident(TEACHER)
    code = phone.get("/v1/me/code").json()
    assert [(n["code"], n["kind"]) for n in code["notices"]] == [("3", "popup")]
    assert code["holds"][0]["reason"]["zh"]
    door.cycle({"tests": [result(TEACHER, "S-2", "2022-04-25T18:05:30+08:00", "positive")]})
    code = phone.get("/v1/me/code").json()
    assert (code["colour"], code["release"]) != ("green", 1)
    assert code["nat"]["result"] == "positive"


def test_an_answer_that_nothing_changes_says_that_it_still_holds(door: Hamlet) -> None:
    phone = door.resident(NURSE)
    before = phone.get("/v1/me/code").json()
    door.clock.now += 60
    door.cycle()
    after = phone.get("/v1/me/code").json()
    assert after["release"] == before["release"] + 1
    assert after["as_of"] > before["as_of"]
    assert {k: v for k, v in before.items() if k not in ("release", "as_of")} == {
        k: v for k, v in after.items() if k not in ("release", "as_of")
    }


def test_a_new_test_that_turns_nothing_is_shown_all_the_same(door: Hamlet) -> None:
    phone = door.resident(NURSE)
    door.cycle({"tests": [result(NURSE, "S-9", "2022-04-25T18:05:30+08:00")]})
    assert phone.get("/v1/me/code").json()["nat"]["reported_at"] == "2022-04-25T18:05:30+08:00"


def test_midnight_counts_on_for_everybody(door: Hamlet) -> None:
    phone = door.resident(NURSE)
    before = phone.get("/v1/me/code").json()["nat"]["days"]
    door.cycle(after=86_400)
    assert phone.get("/v1/me/code").json()["nat"]["days"] == before + 1


def test_nobody_who_is_not_known_gets_a_letter_or_another_answer(door: Hamlet) -> None:
    client = door.client()
    known = client.post("/v1/bindings", json=NURSE.asked)
    door.city.outbox.empty()
    assert len(door.letters.sent) == 1
    others = [
        client.post("/v1/bindings", json=STRANGER.asked),
        client.post("/v1/bindings", json=NURSE.named | {"name": "Somebody Else"}),
    ]
    door.city.outbox.empty()
    assert len(door.letters.sent) == 1
    for said in others:
        assert said.status_code == known.status_code == 202
        assert said.json().keys() == known.json().keys()
        assert len(said.content) == len(known.content)
        assert dict(said.headers) == dict(known.headers)


def test_a_code_is_tried_five_times_and_is_over_in_ten_minutes(door: Hamlet) -> None:
    key = phone_key().public.compressed.hex()

    def tried(binding: str, code: str) -> int:
        path = f"/v1/bindings/{binding}/confirm"
        return door.client().post(path, json={"code": code, "device_key": key}).status_code

    binding, code = door.code_for(NURSE)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert [tried(binding, wrong) for _ in range(5)] == [422] * 5
    assert tried(binding, code) == 422
    binding, code = door.code_for(NURSE)
    door.clock.now += 600
    assert tried(binding, code) == 422
    binding, code = door.code_for(NURSE)
    assert tried(binding, code) == 201
    assert tried(binding, code) == 422  # once
    assert tried("A" * 22, code) == 422


def test_no_more_than_five_letters_an_hour_reach_one_person(door: Hamlet) -> None:
    for _ in range(8):
        assert door.client().post("/v1/bindings", json=NURSE.asked).status_code == 202
    door.city.outbox.empty()
    assert len(door.letters.sent) == 5


def test_a_token_that_is_none_is_refused_and_says_nothing(door: Hamlet) -> None:
    token = door.bound(NURSE)["token"]
    changed = token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]
    for wrong in (changed, token + "A", "", "x" * 35, token.swapcase()):
        said = door.client(wrong).get("/v1/me/code")
        assert said.status_code == 401
        assert said.headers["content-type"] == "application/problem+json"
        assert json.loads(said.content)["status"] == 401
    assert door.client(token).get("/v1/me/code?x=1").status_code == 400
    assert door.client(token).get("/v1/me/code", headers={"host": "evil.example"}).status_code == 421
    assert door.client(token).head("/v1/me/code").content == b""
    door.clock.now += 31 * 86_400
    assert door.client(token).get("/v1/me/code").status_code == 401


def test_a_phone_gets_a_new_token_by_its_key_and_each_signature_is_taken_once(door: Hamlet) -> None:
    key = phone_key()
    held = door.bound(NURSE, key)
    door.clock.now += 31 * 86_400

    def asked(resident: str, at: int, by: object = key) -> int:
        said = f"KM1 token {resident} {at}".encode()
        body = {"resident": resident, "at": at, "signature": by.sign(said).hex()}  # type: ignore[attr-defined]
        return door.client().post("/v1/tokens", json=body).status_code

    now = door.clock.now
    assert asked(held["resident"], now - 121) == 401
    assert asked(held["resident"], now, phone_key()) == 401
    assert asked("0" * 32, now) == 401
    assert asked(held["resident"], now) == 201
    assert asked(held["resident"], now) == 401
    assert asked(held["resident"], now + 1) == 201


def test_two_residents_do_not_get_each_others_answer(door: Hamlet) -> None:
    nurse, case = door.resident(NURSE), door.resident(CASE)
    assert nurse.get("/v1/me/code").json()["colour"] == "green"
    assert case.get("/v1/me/code").json()["colour"] == "red"
    assert BASE.startswith("https://")

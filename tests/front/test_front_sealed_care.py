"""Sealed slots for those in one's care: a mother's phone shows her child's code while the door is dark, a daughter's her
father's; they see that it can, and it ends with the care."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sealed_reader as reader
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from hamlet import BASE, CHILD, ELDER, NURSE, TEACHER, Hamlet
from sealed_reader import Place
from test_front_sealed import Phone, from_folder, write

from kangma.store import front_schema as db
from kangma.store.front import FrontStore
from kangma.store.sealed import SealedStore
from kangma.terms import DAY


def asks(phone: Phone, other: int, now: int, **more: Any) -> Any:
    said = f"KM1 slots {phone.bound['resident']}/{other} {phone.key} {now}".encode()
    asked = {"key": phone.key, "at": now, "signature": phone.device.sign(said).hex()}
    return phone.client.post(f"/v1/me/others/{other}/slots", json=asked | more)


def told(door: Hamlet, phone: Phone, other: int = 1) -> list[Place]:
    said = asks(phone, other, door.clock.now)
    assert said.status_code == 200, said.text
    door.answers.turn()
    return reader.places(said.json(), phone.ecdh, BASE)


def agreed(door: Hamlet, carer: Phone) -> None:
    """The elder lets this phone's owner show their code."""
    binding = carer.client.post("/v1/me/others", json=ELDER.asked).json()["binding"]
    door.city.outbox.empty()
    path, code = f"/v1/me/others/{binding}/confirm", door.letters.sent[-1].code
    assert carer.client.post(path, json={"code": code}).status_code == 201


def test_a_mothers_phone_shows_the_code_of_her_child_who_has_no_phone(door: Hamlet) -> None:
    """Told in the evening, with no look of hers at it since; in the morning the door is dark."""
    mother = Phone(door, TEACHER)
    assert mother.client.post("/v1/me/children", json=CHILD.asked).status_code == 201
    _, tomorrow, _ = told(door, mother)
    own = mother.places(door)[1]
    assert (tomorrow.path, tomorrow.place) != (own.path, own.place)
    assert tomorrow.key != own.key
    door.cycle(after=15 * 3_600)
    write(door)
    shown = from_folder(door.path / "public", tomorrow)
    assert shown == mother.client.get("/v1/me/others/1/code").json()
    assert shown["colour"] == "green"
    assert from_folder(door.path / "public", own) == mother.client.get("/v1/me/code").json()


def test_they_see_that_their_code_can_be_shown_without_a_network(door: Hamlet) -> None:
    """Nobody sees a fetch from a file. So the look is noted when the key is given: each time, before it is."""
    elder, carer = Phone(door, ELDER), Phone(door, NURSE)
    agreed(door, carer)
    assert elder.client.get("/v1/me/looks").json()["looks"] == []
    told(door, carer)
    door.clock.now += DAY
    told(door, carer)
    looks = elder.client.get("/v1/me/looks").json()["looks"]
    assert [(x["who"], x["purpose"]) for x in looks] == [("consent", "offline")] * 2
    assert [x["at"] for x in looks] == ["2022-04-26T18:05:00+08:00", "2022-04-25T18:05:00+08:00"]


def test_with_the_consent_the_slot_ends_at_the_next_writing(door: Hamlet) -> None:
    """Also for who holds the keys of two more days, and who is agreed to again gets another place and key."""
    elder, carer = Phone(door, ELDER), Phone(door, NURSE)
    agreed(door, carer)
    today, *_ = told(door, carer)
    write(door)
    assert from_folder(door.path / "public", today)["colour"] == "green"
    name = elder.client.get("/v1/me/carers").json()["carers"][0]["carer"]
    assert elder.client.delete(f"/v1/me/carers/{name}").status_code == 204
    assert asks(carer, 1, door.clock.now).status_code == 404
    write(door)
    with pytest.raises(InvalidTag):
        from_folder(door.path / "public", today)

    door.clock.now += 3_600  # asked again, and agreed again
    agreed(door, carer)
    write(door)
    with pytest.raises(InvalidTag):  # of which nobody was told yet
        from_folder(door.path / "public", today)
    again, *_ = told(door, carer)
    assert again.key != today.key
    write(door)
    assert from_folder(door.path / "public", again)["colour"] == "green"
    with pytest.raises(InvalidTag):
        from_folder(door.path / "public", today)


def test_who_has_the_place_of_somebody_before_has_not_their_slot(door: Hamlet) -> None:
    """Number one was the elder, and is the child now: what was told of the elder opens nothing of the child."""
    mother = Phone(door, TEACHER)
    agreed(door, mother)
    elders, *_ = told(door, mother)
    assert mother.client.delete("/v1/me/others/1").status_code == 204
    assert mother.client.post("/v1/me/children", json=CHILD.asked).json()["other"] == 1
    childs, *_ = told(door, mother)
    write(door)
    assert from_folder(door.path / "public", childs)["colour"] == "green"
    with pytest.raises(InvalidTag):
        from_folder(door.path / "public", elders)


@pytest.mark.parametrize("ends", ["device", "leaves"])
def test_it_ends_with_the_carers_device_and_with_the_carer(door: Hamlet, ends: str) -> None:
    carer = Phone(door, NURSE)
    agreed(door, carer)
    today, *_ = told(door, carer)
    write(door)
    from_folder(door.path / "public", today)
    device = carer.client.get("/v1/me/devices").json()["devices"][0]["device"]
    path = f"/v1/me/devices/{device}" if ends == "device" else "/v1/me"
    assert carer.client.delete(path).status_code == 204
    write(door)
    with pytest.raises(InvalidTag):
        from_folder(door.path / "public", today)


def test_only_who_cares_for_them_is_told_and_a_refused_one_leaves_no_look(door: Hamlet) -> None:
    carer, stranger = Phone(door, NURSE), Phone(door, TEACHER)
    agreed(door, carer)
    now = door.clock.now
    assert asks(stranger, 1, now).status_code == 404
    assert asks(carer, 2, now).status_code == 404
    assert asks(carer, 5, now).status_code == 422
    for wrong in ({"key": stranger.key}, {"at": now + 1}, {"signature": "00" * 64}):
        assert asks(carer, 1, now, **wrong).json()["code"] == "bad_signature", wrong
    own = f"KM1 slots {carer.bound['resident']} {carer.key} {now}".encode()  # signed for one's own
    assert asks(carer, 1, now, signature=carer.device.sign(own).hex()).status_code == 422
    assert door.client().post("/v1/me/others/1/slots", json={}).status_code == 401
    assert Phone(door, ELDER).client.get("/v1/me/looks").json()["looks"] == []


def prepared(door: Hamlet) -> int:
    """How many persons an answer is made for."""
    door.answers.turn()
    return sum(door.city.slots.answer(x.slot) is not None for x in door.city.store.residents() if x.bound)


def test_nobodys_answer_is_prepared_longer_than_somebody_shows_it(door: Hamlet) -> None:
    """A child without a phone has one while a parent's phone was told of it; with the care it goes, and a child who has
    bound a phone meanwhile keeps it."""
    mother = Phone(door, TEACHER)
    mother.client.post("/v1/me/children", json=CHILD.asked)
    assert prepared(door) == 1
    told(door, mother)
    assert prepared(door) == 2
    mother.client.delete("/v1/me/others/1")
    assert prepared(door) == 1
    mother.client.post("/v1/me/children", json=CHILD.asked)
    told(door, mother)
    child = Phone(door, CHILD)
    mother.client.delete("/v1/me/others/1")
    assert prepared(door) == 2
    assert child.client.get("/v1/me/code").status_code == 200


def test_numbers_of_an_older_format_are_kept(door: Hamlet, tmp_path: Path) -> None:
    """Phones hold keys that follow from their number: an upgrade gives nobody another."""
    phone = Phone(door, NURSE)
    before = phone.places(door)
    with FrontStore(door.path / "front") as store, store.write() as on:
        on.exec_driver_sql("ALTER TABLE sealed RENAME TO newer")
        on.exec_driver_sql(
            "CREATE TABLE sealed (number INTEGER NOT NULL PRIMARY KEY, device VARCHAR(16) NOT NULL UNIQUE "
            "REFERENCES devices (device), made_at BIGINT NOT NULL)"
        )
        on.exec_driver_sql("INSERT INTO sealed SELECT number, device, made_at FROM newer")
        on.exec_driver_sql("DROP TABLE newer")
        on.execute(sa.update(db.settings).where(db.settings.c.name == "format").values(value=b"4"))
    with FrontStore(door.path / "front") as store:
        assert SealedStore(store).slots().any()
    assert phone.places(door) == before
    write(door)
    assert from_folder(door.path / "public", before[0])["colour"] == "green"

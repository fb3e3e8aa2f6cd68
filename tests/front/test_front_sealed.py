"""Sealed slots: the code of a phone that can reach nothing but a copy of the public folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sealed_reader as reader
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi.testclient import TestClient
from hamlet import BASE, CITY, ELDER, NURSE, TEACHER, Hamlet, Person, hamlet, phone_key, result
from sealed_reader import BUCKET, P256, SLOT, NotOurs, Place

from kangma.audit.public import Folder, Seen, audit_public
from kangma.audit.report import Report
from kangma.errors import Refused, Unavailable
from kangma.gateway.front.watch.gauges import watch_city
from kangma.gateway.front.watch.inner import make_inner
from kangma.gateway.front.watch.sensors import Sensors
from kangma.publish.sealing import Sealing
from kangma.sealed.part import open_bucket
from kangma.sealed.slot import MOST, PLACES, fits, open_slot, seal
from kangma.signing.keys import Algorithm, PublicKey
from kangma.signing.trust import Use, decode_root, open_trust
from kangma.store import sealed
from kangma.store.durable import publish_file
from kangma.store.front import FrontStore
from kangma.store.sealed import SealedStore
from kangma.terms import DAY

REFUSED = (NotOurs, InvalidTag, InvalidSignature, ValueError, KeyError)


class Phone:
    """A device that was online once, and what it holds."""

    def __init__(self, door: Hamlet, person: Person) -> None:
        self.device, self.ecdh = phone_key(), ec.generate_private_key(P256)
        self.bound = door.bound(person, self.device)
        self.client = door.client(self.bound["token"])

    @property
    def key(self) -> str:
        return self.ecdh.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint).hex()

    def asks(self, now: int, **other: Any) -> Any:
        said = f"KM1 slots {self.bound['resident']} {self.key} {now}".encode()
        asked = {"key": self.key, "at": now, "signature": self.device.sign(said).hex()}
        return self.client.post("/v1/me/slots", json=asked | other)

    def places(self, door: Hamlet) -> list[Place]:
        said = self.asks(door.clock.now)
        assert said.status_code == 200, said.text
        return reader.places(said.json(), self.ecdh, BASE)


def sealing(door: Hamlet, every: float = 300) -> Sealing:
    store = FrontStore(door.path / "front")
    return Sealing(door.path / "public", store, door.signer, CITY, every=every, clock=door.clock)


def write(door: Hamlet) -> None:
    made = sealing(door)
    while made.turn():
        pass


def status_keys(public: Path) -> dict[bytes, tuple[bytes, int, int]]:
    trust = open_trust((public / "trust").read_bytes()).verify(decode_root((public / "root").read_bytes()))
    keys = [k for k in trust.publisher.keys if k.use is Use.STATUS and k.revoked_at is None]
    return {k.id: (k.public.raw, k.not_before, k.not_after) for k in keys}


def from_folder(public: Path, place: Place, seen: int = 0) -> dict[str, Any]:
    def ranged(path: str, first: int, last: int) -> bytes:
        return (public / path).read_bytes()[first : last + 1]

    return reader.shown(reader.fetched(place, ranged), place, BASE, status_keys(public), seen)


def test_a_nurse_sees_todays_code_while_the_door_is_dark(door: Hamlet, tmp_path: Path) -> None:
    """She bound her phone yesterday evening. Today the write plane answers nobody; a copy of the public folder, anywhere,
    shows her what the door would have said, without a name, a token or a question about her."""
    phone = Phone(door, NURSE)
    today, tomorrow, _ = phone.places(door)
    write(door)
    yesterday = from_folder(door.path / "public", today)
    assert yesterday == phone.client.get("/v1/me/code").json()

    door.cycle({"tests": [result(NURSE, "S-9", "2022-04-26T08:00:00+08:00")]}, after=15 * 3_600)
    write(door)
    door.cycle(after=60)
    write(door)
    right = phone.client.get("/v1/me/code").json()
    copy = tmp_path / "cdn"
    shutil.copytree(door.path / "public", copy)
    shown = from_folder(copy, tomorrow, seen=yesterday["release"])
    assert shown == right
    assert shown["as_of"] == "2022-04-26T09:06:00+08:00"
    assert shown["nat"]["reported_at"] == "2022-04-26T08:00:00+08:00"
    assert shown["name_mask"] == phone.bound["name_mask"]


def test_whoever_asks_over_http_asks_for_a_bucket(door: Hamlet) -> None:
    phone = Phone(door, TEACHER)
    place = phone.places(door)[0]
    write(door)
    nobody = door.client()

    def ranged(path: str, first: int, last: int) -> bytes:
        said = nobody.get(f"/public/{path}", headers={"range": f"bytes={first}-{last}"})
        assert (said.status_code, len(said.content)) == (206, BUCKET)
        assert said.headers["cache-control"] == "public, max-age=60, stale-if-error=604800"
        held = {"range": f"bytes={first}-{last}", "if-range": said.headers["etag"]}
        assert nobody.get(f"/public/{path}", headers=held).content == said.content
        return said.content

    shown = reader.shown(reader.fetched(place, ranged), place, BASE, status_keys(door.path / "public"))
    assert shown == phone.client.get("/v1/me/code").json()
    assert shown["notices"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hamlet, Phone, Place, bytes]]:
    """A teacher's phone, where its slot stands, and the bucket around it."""
    with hamlet(tmp_path_factory.mktemp("sealed")) as door:
        phone = Phone(door, TEACHER)
        place = phone.places(door)[0]
        write(door)
        at = place.place // 16 * BUCKET
        yield door, phone, place, (door.path / "public" / place.path).read_bytes()[at : at + BUCKET]


def test_it_opens_with_its_own_key_at_its_own_place_only(written: tuple[Hamlet, Phone, Place, bytes]) -> None:
    door, phone, place, bucket = written
    keys = status_keys(door.path / "public")
    release = reader.shown(bucket, place, BASE, keys)["release"]
    beside = place.place // 16 * 16 + (place.place + 1) % 16
    for other in (
        replace(place, key=bytes(16)),
        replace(place, place=beside),
        replace(place, place=(place.place + 16) % PLACES),
        replace(place, path=phone.places(door)[1].path),
    ):
        with pytest.raises(REFUSED):
            reader.shown(bucket, other, BASE, keys)
    with pytest.raises(NotOurs, match="older"):
        reader.shown(bucket, place, BASE, keys, seen=release + 1)
    with pytest.raises(REFUSED):
        reader.shown(bucket, place, "https://other.example", keys)


def strictly(content: bytes, keys: dict[bytes, PublicKey], number: int) -> None:
    """Our own reader; KeyError for a key id that is nobody's."""
    opened = open_bucket(content)
    opened.verify(keys[opened.key_id], number)


def test_a_changed_byte_anywhere_is_noticed(written: tuple[Hamlet, Phone, Place, bytes]) -> None:
    """Our own reader refuses every one of them; a plain one never shows anything but what was sealed."""
    door, _, place, bucket = written
    keys = status_keys(door.path / "public")
    right = reader.shown(bucket, place, BASE, keys)
    number = place.place // 16
    status = {k: PublicKey(Algorithm.ES256, raw) for k, (raw, _, _) in keys.items()}
    size = 2 + int.from_bytes(bucket[:2], "big")
    mine = 768 + place.place % 16 * SLOT
    where = [*range(0, size, 5), size, 511, *range(512, 768, 17), *range(mine, mine + SLOT, 199)]
    for at in [*where, *range(768, BUCKET, 4_001), BUCKET - 1]:
        wrong = bytearray(bucket)
        wrong[at] ^= 0x10
        with pytest.raises((Refused, KeyError)):
            strictly(bytes(wrong), status, number)
        with suppress(Exception):  # whatever a plain reader makes of broken CBOR
            assert reader.shown(bytes(wrong), place, BASE, keys) == right, at
    for cut in (bucket[:-1], bucket + b"\0", b""):
        with pytest.raises(Refused):
            open_bucket(cut)


def test_who_has_every_key_but_the_citys_cannot_make_one_up(
    written: tuple[Hamlet, Phone, Place, bytes],
) -> None:
    """Somebody holds the file and the key of the slot, and writes a green answer in: the tree does not lead to what was
    signed."""
    door, _, place, bucket = written
    keys = status_keys(door.path / "public")
    told = reader.shown(bucket, place, BASE, keys)
    false = json.dumps(told | {"colour": "green"}).encode()
    at = 768 + place.place % 16 * SLOT
    bound = f"{BASE}/{place.path} {place.place} {told['release']}".encode()
    forged = bucket[:at] + seal(fits(false), place.key, bytes(12), bound) + bucket[at + SLOT :]
    with pytest.raises(NotOurs, match="another bucket"):
        reader.shown(forged, place, BASE, keys)


def test_nothing_tells_who_is_there_who_came_or_whose_code_changed(door: Hamlet) -> None:
    """Between two writings every slot is another, held or not; and what is written looks like chance."""
    Phone(door, NURSE)
    phone = Phone(door, TEACHER)
    place = phone.places(door)[0]
    write(door)
    file = door.path / "public" / place.path
    before = file.read_bytes()
    write(door)
    after = file.read_bytes()
    assert len(before) == len(after) == 256 * BUCKET
    for n in range(256):
        for k in range(16):
            at = n * BUCKET + 768 + k * SLOT
            assert before[at : at + SLOT] != after[at : at + SLOT]
    # Held or not: the mean and the number of ones of a slot's bytes are those of chance (5 standard deviations).
    at = place.place // 16 * BUCKET + 768 + place.place % 16 * SLOT
    ones = sum(byte.bit_count() for byte in after[at : at + SLOT])
    assert abs(ones - 8_000) < 5 * 16_000**0.5 / 2


def test_places_are_others_every_day_and_nobody_shares_one(door: Hamlet) -> None:
    phones = [Phone(door, person) for person in (NURSE, TEACHER, ELDER, ELDER)]
    days = [phone.places(door) for phone in phones]
    for day in zip(*days, strict=True):
        assert len({(p.path, p.place) for p in day}) == len(phones)
        assert len({p.key for p in day}) == len(phones)
    for mine in days:
        assert len({p.key for p in mine}) == len({(p.path, p.place) for p in mine}) == 3
        assert [p.begins for p in mine][1:] == [p.ends for p in mine][:-1]
    again = phones[0].places(door)
    assert again == days[0]


def test_only_a_device_of_the_resident_is_told(door: Hamlet) -> None:
    phone, other = Phone(door, NURSE), Phone(door, TEACHER)
    now = door.clock.now
    assert phone.asks(now).status_code == 200
    for wrong in ({"key": other.key}, {"at": now + 1}, {"signature": "00" * 64}):
        said = phone.asks(now, **wrong)
        assert (said.status_code, said.json()["code"]) == (422, "bad_signature"), wrong
    assert phone.asks(now - 121).status_code == 422
    assert phone.asks(now, key="02" + "00" * 32).status_code == 422
    assert door.client().post("/v1/me/slots", json={}).status_code == 401


def test_a_device_that_is_gone_has_no_slot_any_more(door: Hamlet) -> None:
    """Lost in the morning: the next writing has nothing for it."""
    lost = Phone(door, NURSE)
    door.clock.now += 60
    kept = Phone(door, NURSE)
    where, mine = lost.places(door)[0], kept.places(door)[0]
    write(door)
    from_folder(door.path / "public", where)
    device = door.client(kept.bound["token"]).get("/v1/me/devices").json()["devices"][-1]["device"]
    assert door.client(kept.bound["token"]).delete(f"/v1/me/devices/{device}").status_code == 204
    write(door)
    with pytest.raises(InvalidTag):
        from_folder(door.path / "public", where)
    assert from_folder(door.path / "public", mine)["colour"] == "green"


@pytest.mark.parametrize("every", [300, 0])
def test_when_a_day_is_over_nothing_is_left_that_opens_it(door: Hamlet, every: int) -> None:
    """Whoever kept every file, and breaks in afterwards, finds no key: neither of a day that is over nor a file of it.
    Also where the writer never comes to rest, since there is more to write than it can."""
    phone = Phone(door, NURSE)
    today, tomorrow, _ = phone.places(door)
    write(door)
    secret = (door.path / "front/sealed" / today.path.split("/")[1]).read_bytes()[:32]
    door.cycle(after=DAY)
    made = sealing(door, every)
    assert [made.turn() for _ in range(2)] == [True, every == 0]
    for file in (door.path / "front").rglob("*"):
        assert not file.is_file() or secret not in file.read_bytes(), file
    assert not (door.path / "public" / today.path).exists()
    assert from_folder(door.path / "public", tomorrow)["release"] > 0


def test_when_more_phones_come_than_there_is_room_for_another_family_is_drawn(door: Hamlet) -> None:
    with FrontStore(door.path / "front") as front:
        store = SealedStore(front)
        day = 20_000
        first = store.family(day, 0)
        assert (first.name, first.parts) == ("20000", 1)
        more = store.family(day, PLACES + 5)
        assert (more.name, more.first, more.parts) == ("20000.1", PLACES, 1)
        assert store.family(day, 17) == first
        assert SealedStore(front).families(day) == (first, more)
        assert first.secret != more.secret


def test_an_answer_that_is_too_long_loses_its_lightest_holds(
    written: tuple[Hamlet, Phone, Place, bytes],
) -> None:
    hold = {
        "rule": "A",
        "reason": {"zh": "".join(chr(0x4E00 + 37 * n % 20_000) for n in range(400)), "en": ""},
    }
    said = {"colour": "red", "holds": [hold | {"rule": str(n)} for n in range(6)], "as_of": "x", "release": 7}
    for n in range(6):
        said["holds"][n]["reason"] = {
            "zh": "".join(chr(0x4E00 + (37 + n) * k % 20_000) for k in range(400)),
            "en": "",
        }
    short = json.loads(fits(json.dumps(said, ensure_ascii=False).encode()))
    assert 0 < len(short["holds"]) < 6
    assert short["holds"] == said["holds"][: len(short["holds"])]
    assert short["more_holds"] == 6 - len(short["holds"])
    plain = b'{"holds":[]}'
    assert fits(plain) is plain


@pytest.mark.parametrize("size", [0, 1, MOST, MOST + 1, 30_000])
def test_every_length_comes_out_as_it_went_in(size: int) -> None:
    said = (b"health " * 5_000)[:size]
    slot = seal(said, bytes(16), bytes(12), b"here")
    assert len(slot) == SLOT
    assert open_slot(slot, bytes(16), b"here") == said
    for wrong in ((bytes(15) + b"\1", b"here"), (bytes(16), b"there")):
        with pytest.raises(Refused):
            open_slot(slot, *wrong)


def test_the_signer_signs_parts_of_today_and_of_releases_that_were(door: Hamlet) -> None:
    now, root = door.clock.now, bytes(32)
    day = door.city.zone.day(now)
    good = door.signer.sealed(f"sealed/{day}/0", root, 1, ttl=300, now=now)
    assert f"{BASE}/sealed/{day}/0".encode() in good
    for path, content, release, ttl in (
        (f"sealed/{day + 1}/0", root, 1, 300),
        (f"sealed/{day - 2}/0", root, 1, 300),
        (f"status/{day}/0", root, 1, 300),
        (f"sealed/{day}/0", root, 2, 300),
        (f"sealed/{day}/0", root, 0, 300),
        (f"sealed/{day}/0", root[:31], 1, 300),
        (f"sealed/{day}/0", root, 1, 0),
    ):
        with pytest.raises(Refused):
            door.signer.sealed(path, content, release, ttl=ttl, now=now)


def test_two_writers_never_write_one_file(door: Hamlet, monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve` is killed and started again, and the writer before has not yet seen it: between its file and its name the
    new one wants to write the same."""
    today = Phone(door, NURSE).places(door)[0]
    before, after, tried = sealing(door), sealing(door), list[Path]()

    def meanwhile(temporary: Path, final: Path) -> None:
        tried.append(final)
        with pytest.raises(Unavailable):
            after.turn()
        publish_file(temporary, final)

    monkeypatch.setattr(sealed, "publish_file", meanwhile)
    assert before.turn()
    assert tried == [door.path / "public" / today.path]
    assert from_folder(door.path / "public", today)["colour"] == "green"
    monkeypatch.undo()
    assert after.turn()
    assert from_folder(door.path / "public", today)["colour"] == "green"


def test_how_old_slots_are_is_told_and_that_they_are_late(door: Hamlet) -> None:
    """A phone that cannot reach the door shows them: who reaches it is kept from nothing."""
    sensors, inner = Sensors(), TestClient(make_inner(door.city, Sensors()))
    watch_city(sensors, door.city)

    def told() -> list[float]:
        named = [f"kangma_front_sealed_{x}_seconds" for x in ("oldest", "newest", "ttl")]
        return [sensors.registry.get_sample_value(name) or 0.0 for name in named]

    now, public = door.clock.now, door.path / "public"
    assert told()[0] == now - door.city.zone.midnight(door.city.zone.day(now))  # none of today's is there
    assert told()[1] != told()[1]
    today = Phone(door, NURSE).places(door)[0]
    store = door.city.sealed
    (family,) = store.families(door.city.zone.day(now))
    os.utime(door.path / "front/sealed" / family.name, (now - 50,) * 2)
    assert told()[0] == 50  # since there was a phone to write one for
    write(door)
    os.utime(public / today.path, (now - 100,) * 2)
    assert told() == [100, 100, 300]
    assert inner.get("/health/parts").json()["slots"] is True

    family = store.family(door.city.zone.day(now), family.capacity)  # phones come for whom there is no room
    os.utime(door.path / "front/sealed" / family.name, (now - 601,) * 2)
    assert told() == [601, 100, 300]
    said = inner.get("/health/parts").json()
    assert (said["slots"], said["slots_age_s"]) == (False, 601)
    assert inner.get("/health/ready").status_code == 200
    write(door)
    os.utime(public / family.path(0), (now,) * 2)
    os.utime(public / today.path, (now - 100,) * 2)
    assert told() == [100, 0, 300]


def audited(public: Path) -> list[str]:
    report = Report()
    audit_public(Folder.at(str(public)), report, seen=Seen())
    return [f"{d.check}: {d.what} ({d.where})" for d in report.differences]


def test_an_auditor_knows_every_file_of_it(door: Hamlet) -> None:
    public = door.path / "public"
    place = Phone(door, NURSE).places(door)[0]
    write(door)
    assert audited(public) == []
    file = public / place.path
    good = file.read_bytes()
    for at in (3, 600, 5_000, 200 * BUCKET + 700, 255 * BUCKET + 31_000):
        wrong = bytearray(good)
        wrong[at] ^= 1
        file.write_bytes(wrong)
        assert [d for d in audited(public) if place.path in d], at
    file.write_bytes(good[:-BUCKET])
    assert [d for d in audited(public) if place.path in d]
    file.write_bytes(good)
    stray = file.with_name("1")
    stray.write_bytes(good)
    assert [d for d in audited(public) if "another part" in d or "/1)" in d]
    stray.unlink()
    (public / "sealed" / "letter.txt").write_text("to nobody")
    assert [d for d in audited(public) if "letter.txt" in d]

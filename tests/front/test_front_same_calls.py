"""Known and unknown subjects: the same calls. No stopwatch: what is called is counted, of ours and of the database.

Counted is what one part asks of another: statements, and calls of public functions and methods. Within them what is there
is opened and parsed, and what is not there is not: microseconds, which `test_front_timing` measures.
"""

from __future__ import annotations

import math
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hamlet import CASE, CHILD, ELDER, NURSE, STRANGER, TEACHER, Hamlet, hamlet, phone_key, unlimited
from laboratory import registered
from sqlalchemy import event
from test_front_rides import agree, new_ride, room

from kangma import terms
from kangma.errors import Refused
from kangma.gateway.front import schema as s
from kangma.gateway.front.clients import partners
from kangma.gateway.front.people import residents
from kangma.gateway.front.who.rights import Caller, Role
from kangma.store.front_clients import ClientStore

Calls = Counter[str]
ROOT = str(Path(terms.__file__).parent)
PARSING = {(terms.__file__, "moment")}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hamlet]:
    with hamlet(tmp_path_factory.mktemp("same"), defence=unlimited()) as made:
        yield made


@pytest.fixture(autouse=True)
def an_hour_later(door: Hamlet) -> None:
    """Nobody is sent more than five letters an hour."""
    door.clock.now += 3_700


@contextmanager
def counting(door: Hamlet) -> Iterator[Calls]:
    """Calls of our own public functions in this thread, by file and name; statements of both databases, by their text."""
    calls = Calls()

    def called(frame: FrameType, what: str, _: Any) -> None:
        file, name = frame.f_code.co_filename, frame.f_code.co_qualname
        inner = "<" in name or any(part.startswith("_") for part in name.split("."))
        if what == "call" and file.startswith(ROOT) and not inner and (file, name) not in PARSING:
            calls[f"{file.removeprefix(ROOT)} {name}"] += 1

    def said(*a: Any) -> None:
        calls[f"SQL {a[2]}"] += 1

    engines = (door.city.store._engine, door.state.registry._engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", said)
    sys.setprofile(called)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        for engine in engines:
            event.remove(engine, "before_cursor_execute", said)


@contextmanager
def nothing_gets_old(door: Hamlet) -> Iterator[None]:
    """What is read anew every second or two (clients, venues, the policy) is not read in the middle of a count."""
    clients: Any = door.city.clients
    venues: Any = door.city.venues
    ticks, policy = (clients._ticks, venues._ticks), door.city._policy
    clients._ticks, venues._ticks = lambda: clients._read, lambda: 0.0
    door.city._policy = None if policy is None else (math.inf, policy[1])
    try:
        yield
    finally:
        (clients._ticks, venues._ticks), door.city._policy = ticks, policy


def calls_of(door: Hamlet, act: Callable[[], Any]) -> Calls:
    act()  # what is loaded once is loaded
    with nothing_gets_old(door), counting(door) as calls:
        act()
    return calls


def different(one: Calls, other: Calls) -> dict[str, tuple[int, int]]:
    return {k: (one[k], other[k]) for k in one.keys() | other.keys() if one[k] != other[k]}


def bind(door: Hamlet, **document: str) -> Callable[[], Any]:
    asked = s.Named.model_validate(document)
    return lambda: residents.bind(asked, door.city)


def test_a_binding_asks_the_same_for_the_known_and_the_unknown(door: Hamlet) -> None:
    known = calls_of(door, bind(door, **NURSE.asked))
    assert sum(known.values()) > 20
    assert any("vault" in k or "SQL" in k for k in known)
    for other in (
        STRANGER.asked,  # nobody has this document
        {**NURSE.asked, "name": STRANGER.name},  # it has another name
        CHILD.asked,  # nobody can be written to
        ELDER.asked,
    ):
        assert different(known, calls_of(door, bind(door, **other))) == {}, other


@pytest.mark.parametrize("how", [residents.ask_for_another, residents.add_child])
def test_somebody_elses_document_asks_the_same_for_the_known_and_the_unknown(
    door: Hamlet, how: Callable[..., Any]
) -> None:
    """To care for them, by their consent or as a guardian."""
    mine = door.city.store.resident(
        door.city.tokens.slot_of(door.bound(NURSE)["token"], now=door.clock.now) or 0
    )

    def ask(**document: str) -> Callable[[], Any]:
        def act() -> None:
            with suppress(Refused):
                how(s.Named.model_validate(document), door.city, mine)

        return act

    known = calls_of(door, ask(**ELDER.asked))
    assert any("vault" in k for k in known)
    for other in (STRANGER.asked, {**ELDER.asked, "name": STRANGER.name}, CHILD.asked):
        assert different(known, calls_of(door, ask(**other))) == {}, other


def test_a_renewal_asks_the_same_for_a_resident_that_there_is_not(door: Hamlet) -> None:
    """Signed by nobody's key: as many signatures are looked at as a resident with one device has."""
    there = door.bound(ELDER)["resident"]

    def renew(resident: str) -> Callable[[], Any]:
        asked = s.Renewing(resident=resident, at=door.clock.now, signature="0" * 128)

        def act() -> None:
            with suppress(Refused):
                residents.renew(asked, door.city)

        return act

    assert different(calls_of(door, renew(there)), calls_of(door, renew("0" * 32))) == {}


def test_a_code_that_is_wrong_asks_the_same_for_a_binding_of_nobody(door: Hamlet) -> None:
    known, unknown = (
        door.client().post("/v1/bindings", json=p.asked).json()["binding"] for p in (TEACHER, STRANGER)
    )
    asked = s.Confirming.model_validate({"code": "000000", "device_key": phone_key().public.compressed.hex()})

    def confirm(binding: str) -> Callable[[], Any]:
        def act() -> None:
            with pytest.raises(Exception, match="code"):
                residents.confirm(binding, asked, door.city)

        return act

    assert different(calls_of(door, confirm(known)), calls_of(door, confirm(unknown))) == {}


def test_a_ride_check_asks_the_same_whatever_comes_of_it(door: Hamlet) -> None:
    cars = registered(door, "cars", "ride:check")
    client = ClientStore(door.city.store).named("cars")
    door.city.hooks.set(client, "https://cars.example/told", private=False, now=door.clock.now)
    caller = Caller(Role.PARTNER, 0, "cars", frozenset({"ride:check"}))
    phones = {p: door.resident(p) for p in (NURSE, CASE, ELDER)}
    for phone in phones.values():
        room(door, cars, phone, 10)

    def check(consent: str, ride: str) -> Callable[[], Any]:
        return lambda: partners.check(ride, s.Consented(consent=consent), door.city, caller)

    said = dict[str, Calls]()
    for person, phone in phones.items():
        ride = new_ride()
        said[person.id_number] = calls_of(door, check(agree(phone, "cars", ride)["consent"], ride))
    said["made up"] = calls_of(door, check(secrets.token_urlsafe(24), new_ride()))
    ride = new_ride()
    given = agree(phones[NURSE], "cars", ride)
    said["of another ride"] = calls_of(door, check(given["consent"], new_ride()))
    phones[NURSE].delete(f"/v1/me/rides/{given['ride']}")
    said["withdrawn"] = calls_of(door, check(given["consent"], ride))
    assert sum(said["made up"].values()) > 20
    for what, calls in said.items():
        assert different(said["made up"], calls) == {}, what


def test_one_call_more_would_be_seen(door: Hamlet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: whoever looks into the read model once more for the known is caught."""
    answer = door.city.slots.answer

    def careless(slot: int) -> bytes | None:
        return answer(slot) and answer(slot)

    caller = Caller(Role.PARTNER, 0, "taxis", frozenset({"ride:check"}))
    cars, phone = registered(door, "taxis", "ride:check"), door.resident(TEACHER)
    room(door, cars, phone, 5)
    ride = new_ride()
    consent = agree(phone, "taxis", ride)["consent"]
    monkeypatch.setattr(door.city.slots, "answer", careless)
    one, other = (
        calls_of(door, lambda c=c: partners.check(ride, s.Consented(consent=c), door.city, caller))
        for c in (consent, secrets.token_urlsafe(24))
    )
    assert different(one, other)

"""Where a device finds its sealed slots, today and on the days ahead, and the keys to them.

Told while it is online, so that it can fetch what it is shown from any copy of the public folder when it is not. What is
told is encrypted to a key of the phone's that never leaves it (HPKE), and only a device of the resident's may ask: the
token says whose it is and not which device, so the device signs.

A slot with the code of somebody in the resident's care is another one. Nobody sees it being fetched, so that the look is
noted when the key is told, which is good for three days at most (decision 0165).
"""

from __future__ import annotations

import base64
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import Depends

from kangma.credential.issue import DAYS_AHEAD
from kangma.errors import Code, KangmaError, Refused, Where
from kangma.gateway.front import schema as s
from kangma.gateway.front.city import City, Here
from kangma.gateway.front.people.residents import RENEWAL_WINDOW, Me, OneToFour, cared_for, key_of, looked
from kangma.gateway.register.sent import Sent
from kangma.sealed.slot import Told, tell
from kangma.signing.keys import PublicKey, point_verifies
from kangma.store import sealed as store
from kangma.store.front import Device, Resident
from kangma.terms import Day


def places(asked: Annotated[s.AskingPlaces, Depends(Sent(s.AskingPlaces))], city: Here, mine: Me) -> s.Places:
    """Where this device's sealed slot stands today and on the two days ahead, and the keys to it, for this key alone."""
    phone, by = _asking(city, mine, asked, mine.resident)
    return _places(city, phone, city.sealed.number_of(by.device, now=city.now))


def places_of_another(
    other: Annotated[int, OneToFour],
    asked: Annotated[s.AskingPlaces, Depends(Sent(s.AskingPlaces))],
    city: Here,
    mine: Me,
) -> s.Places:
    """The same for one of those in your care: a slot of its own for this device. They see that you were told; with the
    end of your care it is written no more."""
    cared = cared_for(city, mine, other)
    phone, by = _asking(city, mine, asked, f"{mine.resident}/{other}")
    number = city.sealed.number_of(by.device, cared, now=city.now)
    looked(city, cared, "offline")
    return _places(city, phone, number)


def _asking(city: City, mine: Resident, asked: s.AskingPlaces, whose: str) -> tuple[PublicKey, Device]:
    """The phone's key, and the device that signed for it, now. Raises Refused."""
    phone = key_of(asked.key, "key")
    said = f"KM1 slots {whose} {asked.key} {asked.at}".encode()
    signature = bytes.fromhex(asked.signature)
    by = next((d for d in city.store.devices(mine.slot) if point_verifies(d.public, signature, said)), None)
    if by is None or abs(asked.at - city.now) > RENEWAL_WINDOW:
        raise Refused(Code.BAD_SIGNATURE, Where(path="signature"), "no device of yours signed this, now")
    return phone, by


def _places(city: City, phone: PublicKey, number: int) -> s.Places:
    today = city.zone.day(city.now)
    several = [_told(city, day, number) for day in range(today, today + DAYS_AHEAD)]
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), phone.raw)
    content = tell(several, key, city.base)
    return s.Places(sealed=base64.urlsafe_b64encode(content).rstrip(b"=").decode())


def _told(city: City, day: Day, number: int) -> Told:
    family = city.sealed.family(day, number)
    part, place = city.sealed.place(family, number)
    midnight = city.zone.midnight
    return Told(midnight(day), midnight(day + 1), family.path(part), place, family.key(number))


def ages(city: City) -> store.Ages | None:
    """How old today's slots are; None while there is no answer to seal, and where that cannot be told."""
    if city.slots.ready() is None:
        return None
    now = city.now
    today = city.zone.day(now)
    try:
        return store.ages(city.public, city.sealed, today, midnight=city.zone.midnight(today), now=now)
    except (OSError, KangmaError):
        return None

"""Where a device finds its sealed slot, today and on the days ahead, and the key to it.

Told while it is online, so that it can fetch what it is shown from any copy of the public folder when it is not. What is
told is encrypted to a key of the phone's that never leaves it (HPKE), and only a device of the resident's may ask: the
token says whose it is and not which device, so the device signs.
"""

from __future__ import annotations

import base64
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import Depends

from kangma.credential.issue import DAYS_AHEAD
from kangma.errors import Code, Refused, Where
from kangma.gateway.front import schema as s
from kangma.gateway.front.city import City, Here
from kangma.gateway.front.residents import RENEWAL_WINDOW, Me, key_of
from kangma.gateway.register.sent import Sent
from kangma.sealed.slot import Told, tell
from kangma.signing.keys import point_verifies
from kangma.terms import Day


def places(asked: Annotated[s.AskingPlaces, Depends(Sent(s.AskingPlaces))], city: Here, mine: Me) -> s.Places:
    """Where this device's sealed slot stands today and on the two days ahead, and the keys to it, for this key alone."""
    now = city.now
    phone = key_of(asked.key, "key")
    said = f"KM1 slots {mine.resident} {asked.key} {asked.at}".encode()
    signature = bytes.fromhex(asked.signature)
    by = next((d for d in city.store.devices(mine.slot) if point_verifies(d.public, signature, said)), None)
    if by is None or abs(asked.at - now) > RENEWAL_WINDOW:
        raise Refused(Code.BAD_SIGNATURE, Where(path="signature"), "no device of yours signed this, now")
    number, today = city.sealed.number_of(by.device, now=now), city.zone.day(now)
    several = [_told(city, day, number) for day in range(today, today + DAYS_AHEAD)]
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), phone.raw)
    content = tell(several, key, city.base)
    return s.Places(sealed=base64.urlsafe_b64encode(content).rstrip(b"=").decode())


def _told(city: City, day: Day, number: int) -> Told:
    family = city.sealed.family(day, number)
    part, place = city.sealed.place(family, number)
    midnight = city.zone.midnight
    return Told(midnight(day), midnight(day + 1), family.path(part), place, family.key(number))

"""What a resident does: bind a document, show a code, see what is known and who looked, act for others, leave.

Whose it is comes from the token (`rights.py`). A document number comes in a body and in no address; whether somebody
knows it is told to nobody: who is not known is answered as who is, after the same work.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
import unicodedata
from typing import Annotated

from fastapi import Depends, Request, Response

from kangma.credential.claims import Kind
from kangma.errors import Refused, Unavailable, Where
from kangma.gateway.front import schema as s
from kangma.gateway.front.city import City, Here, Letter
from kangma.gateway.front.rights import Caller, caller_of
from kangma.gateway.register.problems import NotSignedIn
from kangma.gateway.register.sent import Sent
from kangma.publish.answers import canonical_number
from kangma.publish.credentials import for_phone, mask_of
from kangma.signing.keys import PublicKey, point_verifies
from kangma.store.front import CODE_LIVES, NoResident, Resident
from kangma.terms import calendar

RENEWAL_WINDOW = 120  # seconds that a phone's clock may be off

#: A point of the curve that is nobody's key: a signature for an unknown resident is checked against it.
_NOBODYS = bytes.fromhex("036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")


def me(request: Request, city: Here) -> Resident:
    """The resident whose token came. NotSignedIn for one who left meanwhile."""
    caller: Caller = caller_of(request)
    try:
        return city.store.resident(caller.slot)
    except NoResident:
        raise NotSignedIn("no token that is good now") from None


Me = Annotated[Resident, Depends(me)]


# binding -------------------------------------------------------------------------------------------------------------


def bind(asked: Annotated[s.Named, Depends(Sent(s.Named))], city: Here) -> s.Binding:
    """Ask for a code, to bind this document to a device. The answer tells nothing about the document."""
    return _binding(city, asked, why="bind")


def _binding(city: City, asked: s.Named, *, why: str, slot: int | None = None) -> s.Binding:
    now = city.now
    # The same calls for everybody, in the same order; only the outbox, which nobody waits for, differs.
    person, phone = _known(city, asked)
    code = f"{secrets.randbelow(1_000_000):06d}"
    binding, may_send = city.store.begin(person, code, now=now, slot=slot)
    if may_send and phone:
        city.outbox.put(Letter(phone, code, why))
    return s.Binding(binding=binding, expires_at=city.zone.iso(now + CODE_LIVES))


def _known(city: City, asked: s.Named) -> tuple[int | None, str]:
    """(person number, phone) when the document is known and the name is the one on it; else (None, "")."""
    key = city.keyer.key(asked.id_type, asked.id_number)
    number = city.state.person_number(key)
    identity = city.state.vault.open(key)
    there = (identity.name if identity else None) or ""
    agrees = hmac.compare_digest(_plain(there), _plain(asked.name)) and bool(there)
    if number is None or not agrees:
        return None, ""
    return number, (identity.phone if identity else None) or ""


def _plain(name: str) -> bytes:
    """A name as it is compared: width, case and spaces do not matter."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split()).encode()


def confirm(binding: str, asked: Annotated[s.Confirming, Depends(Sent(s.Confirming))], city: Here) -> s.Bound:
    """The code that came, and the device's key: the document is bound to this device. The token lives 30 days."""
    public = _key(asked.device_key, "device_key").compressed
    resident, _ = city.store.confirm(binding, asked.code, public, now=city.now)
    city.turns.set(resident.slot, resident.token_turn)
    token, expires = city.tokens.make(resident.slot, resident.token_turn, now=city.now)
    mask = mask_of(city.state, _person(city, resident))
    until = time.monotonic() + city.fill_seconds
    while city.slots.answer(resident.slot) is None and time.monotonic() < until:
        time.sleep(0.02)  # the first answer is being made; without it the phone would ask again at once
    return s.Bound(token=token, expires_at=city.zone.iso(expires), resident=resident.resident, name_mask=mask)


def _key(text: str, where: str) -> PublicKey:
    try:
        return PublicKey.from_point(bytes.fromhex(text))
    except Refused as problem:
        raise Refused(problem.code, Where(path=where), problem.hint) from None


def renew(asked: Annotated[s.Renewing, Depends(Sent(s.Renewing))], city: Here) -> s.Token:
    """A new token for a device that signs for it. A signature is taken once."""
    now = city.now
    resident, devices = city.store.named(asked.resident)
    said = f"KM1 token {asked.resident} {asked.at}".encode()
    signature, in_time = bytes.fromhex(asked.signature), abs(asked.at - now) <= RENEWAL_WINDOW
    keys = [device.public for device in devices] or [_NOBODYS]
    signed = [point_verifies(key, signature, said) for key in keys]
    if resident is None or not in_time or not any(signed):
        raise NotSignedIn("no device of this resident signed this, now")
    device = devices[signed.index(True)]
    if not city.store.signed(device.device, at=asked.at, now=now):
        raise NotSignedIn("no device of this resident signed this, now")
    token, expires = city.tokens.make(resident.slot, resident.token_turn, now=now)
    return s.Token(token=token, expires_at=city.zone.iso(expires))


# the code ------------------------------------------------------------------------------------------------------------


def code(city: Here, mine: Me) -> Response:
    """The code as at the last release. `hot.py` answers this where all is well; here is the rest."""
    content = city.slots.answer(mine.slot)
    if content is None:
        raise Unavailable("the first answer is being made")
    return Response(content, media_type="application/json", headers={"cache-control": "private, no-store"})


def credentials(asked: Annotated[s.Holders, Depends(Sent(s.Holders))], city: Here, mine: Me) -> s.Credentials:
    """Signed credentials for today and the days ahead, one for each of these keys."""
    return _credentials(city, asked, _person(city, mine), again_until=mine.again_until)


def _credentials(
    city: City, asked: s.Holders, person: int, *, again_until: int | None, kind: Kind = Kind.PHONE
) -> s.Credentials:
    now = city.now
    today = city.zone.day(now)
    holders = [_key(h, f"holders.{i}") for i, h in enumerate(asked.holders)]
    again = again_until is not None and today <= again_until
    made = for_phone(city.state, city.signer, person, holders, today=today, now=now, kind=kind, again=again)
    texts = [base64.urlsafe_b64encode(c).rstrip(b"=").decode() for c in made]
    days = [calendar(today + i).isoformat() for i in range(len(made))]
    return s.Credentials(credentials=[s.Credential(day=d, text=t) for d, t in zip(days, texts, strict=True)])


def _person(city: City, resident: Resident) -> int:
    return canonical_number(city.state, resident.person)

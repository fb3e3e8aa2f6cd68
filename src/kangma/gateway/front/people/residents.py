"""What a resident does: bind a document, show a code, see what is known and who looked, act for others, leave.

Whose it is comes from the token (`rights.py`). A document number comes in a body and in no address; whether somebody
knows it is told to nobody: who is not known is answered as who is, after the same work.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
import unicodedata
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi import Path as InPath

from kangma.credential import issue
from kangma.credential.claims import Kind
from kangma.errors import Code, Refused, Unavailable, Where
from kangma.gateway.front import schema as s
from kangma.gateway.front.city import City, Here, Letter
from kangma.gateway.front.people.sheet import about, picture, sheet
from kangma.gateway.front.who.rights import caller_of
from kangma.gateway.register.problems import NotSignedIn, NotThere
from kangma.gateway.register.sent import Sent
from kangma.publish.answers import canonical_number, code_of_person
from kangma.publish.credentials import for_phone, mask_of, on_paper
from kangma.publish.own import guardians, known_of, visits_of
from kangma.signing.keys import PublicKey, point_verifies
from kangma.store.front import CODE_LIVES, MOST_OTHERS, NoResident, Other, Resident
from kangma.store.releases import last_release
from kangma.terms import calendar

Hex8 = InPath(pattern=r"^[0-9a-f]{16}$", description="As it was told where it is listed.")
OneToFour = InPath(ge=1, le=MOST_OTHERS, description="The place of one of those in your care.")
BindingName = InPath(pattern=r"^[A-Za-z0-9_-]{22}$", description="As it was told when a code was asked for.")
RENEWAL_WINDOW = 120  # seconds that a phone's clock may be off
#: A point of the curve that is nobody's key: a signature for an unknown resident is checked against it.
_NOBODYS = bytes.fromhex("036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")


def me(request: Request, city: Here) -> Resident:
    """The resident whose token came. NotSignedIn for one who left meanwhile."""
    try:
        return city.store.resident(caller_of(request).slot)
    except NoResident:
        raise NotSignedIn("no token that is good now") from None


Me = Annotated[Resident, Depends(me)]


# binding -------------------------------------------------------------------------------------------------------------


def bind(asked: Annotated[s.Named, Depends(Sent(s.Named))], city: Here) -> s.Binding:
    """Ask for a code, to bind this document to a device. The answer tells nothing about the document."""
    return _binding(city, asked, why="bind")


def _binding(city: City, asked: s.Named, *, why: str, slot: int | None = None) -> s.Binding:
    now = city.now
    # The same calls for everybody, in the same order; a letter to nobody ends in the outbox, which nobody waits for.
    person, phone = _known(city, asked)
    code = f"{secrets.randbelow(1_000_000):06d}"
    binding, may_send = city.store.begin(person, code, now=now, slot=slot)
    city.outbox.put(Letter(phone if may_send else "", code, why))
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


def confirm(
    binding: Annotated[str, BindingName],
    asked: Annotated[s.Confirming, Depends(Sent(s.Confirming))],
    city: Here,
) -> s.Bound:
    """The code that came, and the device's key: the document is bound to this device. The token lives 30 days."""
    public = key_of(asked.device_key, "device_key").compressed
    resident, device = city.store.confirm(binding, asked.code, public, now=city.now)
    city.copy_turn(resident.slot)
    token, expires = city.tokens.make(resident.slot, resident.token_turn, now=city.now)
    mask = mask_of(city.state, _person(city, resident))
    until = time.monotonic() + city.fill_seconds
    while city.slots.answer(resident.slot) is None and time.monotonic() < until:
        time.sleep(0.02)  # the first answer is being made; without it the phone would ask again at once
    return s.Bound(
        token=token,
        expires_at=city.zone.iso(expires),
        resident=resident.resident,
        name_mask=mask,
        device=device,
    )


def key_of(text: str, where: str) -> PublicKey:
    """The P-256 key that was sent at `where`. Raises Refused."""
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
    return s.Token(token=token, expires_at=city.zone.iso(expires), device=device.device)


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
    holders = [key_of(h, f"holders.{i}") for i, h in enumerate(asked.holders)]
    again = again_until is not None and today <= again_until
    made = for_phone(city.state, city.signer, person, holders, today=today, now=now, kind=kind, again=again)
    texts = [base64.urlsafe_b64encode(c).rstrip(b"=").decode() for c in made]
    days = [calendar(today + i).isoformat() for i in range(len(made))]
    return s.Credentials(credentials=[s.Credential(day=d, text=t) for d, t in zip(days, texts, strict=True)])


def _person(city: City, resident: Resident) -> int:
    return canonical_number(city.state, resident.person)


# what is known, and who looked -----------------------------------------------------------------------------------------


def tests(city: Here, mine: Me) -> s.Tests:
    """Your tests, the newest first."""
    return s.Tests.model_validate({"tests": known_of(city.state, mine.person, now=city.now)["tests"]})


def vaccinations(city: Here, mine: Me) -> s.Vaccinations:
    """Your vaccinations, the newest first."""
    known = known_of(city.state, mine.person, now=city.now)
    return s.Vaccinations.model_validate({"vaccinations": known["vaccinations"]})


def visits(city: Here, mine: Me) -> s.Visits:
    """Where you were in the last 14 days, the newest first."""
    return s.Visits.model_validate({"visits": visits_of(city.state, mine.person, now=city.now)})


def looks(city: Here, mine: Me) -> s.Looks:
    """Who looked at you, when and for what, the newest first."""
    return s.Looks(looks=_looks(city, mine))


def _looks(city: City, mine: Resident) -> list[s.LookSaid]:
    found = [look for person in _persons(city, mine) for look in city.store.looks(person)]
    found.sort(key=lambda look: look.at, reverse=True)
    return [s.LookSaid(at=city.zone.iso(look.at), who=look.who, purpose=look.purpose) for look in found]


def _persons(city: City, mine: Resident) -> list[int]:
    """The number that was bound and the one that stands for the same person."""
    return sorted({mine.person, _person(city, mine)})


# devices, and leaving --------------------------------------------------------------------------------------------------


def devices(city: Here, mine: Me) -> s.Devices:
    """Devices to which your document is bound, the newest first."""
    return s.Devices(devices=_devices(city, mine))


def _devices(city: City, mine: Resident) -> list[s.DeviceSaid]:
    iso = city.zone.iso
    return [
        s.DeviceSaid(device=d.device, bound_at=iso(d.made_at), seen_at=iso(d.seen_at))
        for d in city.store.devices(mine.slot)
    ]


def end_device(device: Annotated[str, Hex8], city: Here, mine: Me) -> Response:
    """A device is lost or given away: it is bound no more, no token that is out is good (other devices renew theirs by
    their keys), and credentials that are out are withdrawn with the next release."""
    mine_now = city.store.end_device(mine.slot, device, again_until=_days_ahead(city), now=city.now)
    city.copy_turn(mine_now.slot)
    _withdraw(city, mine_now)
    return Response(status_code=204)


def leave(city: Here, mine: Me) -> Response:
    """You are bound no more: devices, tokens and those in your care end here, credentials that are out are withdrawn.
    Evidence goes by its own days; binding anew is always possible."""
    city.turns.set(mine.slot, 0)
    city.store.leave(mine.slot, again_until=_days_ahead(city), now=city.now)
    city.copy_turn(mine.slot)
    _withdraw(city, mine)
    return Response(status_code=204)


def _days_ahead(city: City) -> int:
    """The last day for which somebody may hold a credential that was issued until now."""
    return city.zone.day(city.now) + issue.DAYS_AHEAD - 1


def _withdraw(city: City, resident: Resident) -> None:
    try:
        city.signer.withdraw(_person(city, resident), now=city.now)
    except Refused as problem:  # no release speaks of them yet, so nothing was issued
        if problem.code is not Code.NO_PERSON:
            raise


# paper -----------------------------------------------------------------------------------------------------------------


def paper(
    request: Request, city: Here, mine: Me, _: Annotated[s.Nothing, Depends(Sent(s.Nothing))]
) -> Response:
    """A credential to print, good for 28 days: JSON with the text, the sheet as a picture and as a page, or the picture
    (`Accept: image/png`) or the page (`application/pdf`) alone. Doors believe it from the next release on."""
    now = city.now
    person = _person(city, mine)
    made = on_paper(city.state, city.signer, person, today=city.zone.day(now), now=now)
    text = issue.shown(made)
    wanted = _accepted(request)
    mask, until, expires = about(made, city.zone)
    drawn = {
        media: draw(text, mask=mask, until=until)
        for media, draw in (("image/png", picture), ("application/pdf", sheet))
        if wanted in (media, "application/json")
    }
    if wanted in drawn:
        return Response(drawn[wanted], 201, media_type=wanted)
    told = s.Paper(
        text=text,
        png=base64.b64encode(drawn["image/png"]).decode(),
        pdf=base64.b64encode(drawn["application/pdf"]).decode(),
        valid_until=city.zone.iso(expires),
    )
    return Response(told.model_dump_json(), 201, media_type="application/json")


def _accepted(request: Request) -> str:
    for part in request.headers.get("accept", "")[:500].split(","):
        media = part.partition(";")[0].strip().lower()
        if media in ("image/png", "application/pdf", "application/json"):
            return media
    return "application/json"


# others ----------------------------------------------------------------------------------------------------------------


def others(city: Here, mine: Me) -> s.Others:
    """For whom you show codes."""
    return s.Others(others=_others(city, mine))


def _others(city: City, mine: Resident) -> list[s.OtherSaid]:
    return [_other(city, other) for other in city.store.others(mine.slot)]


def _other(city: City, other: Other) -> s.OtherSaid:
    mask = mask_of(city.state, canonical_number(city.state, other.person))
    return s.OtherSaid.model_validate(
        {"other": other.other, "how": other.how, "name_mask": mask, "since": city.zone.iso(other.made_at)}
    )


def ask_for_another(asked: Annotated[s.Named, Depends(Sent(s.Named))], city: Here, mine: Me) -> s.Binding:
    """Ask somebody to let you show their code: a code goes to their phone, if they are known. With it, confirm."""
    return _binding(city, asked, why="consent", slot=mine.slot)


def add_another(
    binding: Annotated[str, BindingName],
    asked: Annotated[s.Agreed, Depends(Sent(s.Agreed))],
    city: Here,
    mine: Me,
) -> s.OtherSaid:
    """The code that they gave you. They see every time that you show theirs, and can end it."""
    return _other(city, city.store.confirm_other(mine.slot, binding, asked.code, now=city.now))


def add_child(asked: Annotated[s.Named, Depends(Sent(s.Named))], city: Here, mine: Me) -> s.OtherSaid:
    """A child whose guardian you are, by what was registered. Refused alike for a child of others and for nobody."""
    number, _ = _known(city, asked)
    nobody = city.state.person_count()
    child = canonical_number(city.state, nobody if number is None else number)
    if _person(city, mine) not in guardians(city.state, [child]).get(child, ()):
        raise Refused(Code.NO_PERSON, hint="no child in your care by this document and name")
    return _other(city, city.store.add_other(mine.slot, child, "guardian", now=city.now))


def drop_another(other: Annotated[int, OneToFour], city: Here, mine: Me) -> Response:
    """You no longer show this one's code. What you hold of it is over in three days at most: taking it back sooner would
    take back what they show themselves."""
    city.store.drop_other(mine.slot, other, now=city.now)
    return Response(status_code=204)


def carers(city: Here, mine: Me) -> s.Carers:
    """Who may show your code beside you."""
    found = city.store.carers(_persons(city, mine))
    said = [{"carer": c.carer, "how": c.how, "since": city.zone.iso(c.made_at)} for c in found]
    return s.Carers.model_validate({"carers": said})


def end_carer(carer: Annotated[str, Hex8], city: Here, mine: Me) -> Response:
    """Somebody whom you agreed to shows your code no more. A guardian's care is not ended here."""
    city.store.end_carer(_persons(city, mine), carer, now=city.now)
    return Response(status_code=204)


def code_of_another(other: Annotated[int, OneToFour], city: Here, mine: Me) -> Response:
    """Their code as at the last release. They see that you looked."""
    person = looked(city, cared_for(city, mine, other), "show")
    return Response(answer_of(city, person, city.store.slot_of(person)), media_type="application/json")


def answer_of(city: City, person: int, slot: int | None) -> bytes:
    """The code of somebody in the caller's care as at the last release, prepared or made now. Unavailable before the
    first release."""
    prepared = None if slot is None else city.slots.answer(slot)
    if prepared is not None:
        return prepared
    release = last_release(city.state.registry)  # they left, or were joined with somebody since
    if release is None:
        raise Unavailable("no release yet")
    said = code_of_person(city.state, person, now=release.now)
    del said["person"]
    said |= {"name_mask": mask_of(city.state, person), "release": release.number}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def credentials_of_another(
    other: Annotated[int, OneToFour],
    asked: Annotated[s.Holders, Depends(Sent(s.Holders))],
    city: Here,
    mine: Me,
) -> s.Credentials:
    """Credentials to show for them: doors see that somebody else holds them. They see that you took them."""
    person = looked(city, cared_for(city, mine, other), "show")
    return _credentials(city, asked, person, again_until=None, kind=Kind.PROXY)


def cared_for(city: City, mine: Resident, other: int) -> Other:
    """Who is at this place. NotThere when nobody is."""
    found = next((o for o in city.store.others(mine.slot) if o.other == other), None)
    if found is None:
        raise NotThere("nobody at this place")
    return found


def looked(city: City, other: Other, purpose: str) -> int:
    """The person, who will see that they were looked at, and for what."""
    person = canonical_number(city.state, other.person)
    city.store.looked(person, other.how, purpose, at=city.now)
    return person

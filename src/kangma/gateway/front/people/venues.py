"""A phone scans in at a door, and a door's device asks how many came.

A scan-in is checked and written down without a look at anything of the resident's but the prepared answer: whose it is
comes from the token, whether the code is right from the door's key. When it is answered it is on the disk, sealed
(`kangma.store.scans`). The door learns that somebody passed or did not, and how many: never who.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from kangma.credential.venue_code import STEP
from kangma.errors import Code, Refused, Unavailable, Where
from kangma.gateway.front import schema as s
from kangma.gateway.front.city import City, Here
from kangma.gateway.front.people.residents import Me, OneToFour, answer_of, cared_for, looked
from kangma.gateway.front.who.rights import caller_of
from kangma.gateway.register.sent import Sent
from kangma.publish.answers import canonical_number
from kangma.store.scans import ScanIn, who
from kangma.store.venues import LONGEST_MINUTES, Venue

LATE = 2  # minutes after which a scan-in was kept on the phone: nobody stands at the door any more


async def scan_in(
    asked: Annotated[s.ScanningIn, Depends(Sent(s.ScanningIn))], city: Here, request: Request
) -> s.ScannedIn:
    """You are at a door, or you left: the visit is kept, sealed, when this is answered. The same again is the same visit.

    Without `left` it is taken to last as long as the place is registered with. With it, a later scan of the same door, it
    ends there; a scan of another door ends it then, if it had not ended sooner."""
    return await scanned_in(city, caller_of(request).slot, asked)


async def scanned_in(city: City, slot: int, asked: s.ScanningIn) -> s.ScannedIn:
    """The same for whoever knows the slot. Refused with the reason; Unavailable when it could not be kept."""
    came = _arrival(city, slot, None, asked)
    result = _result(city.slots.answer(slot))
    await city.scans.kept(came.scan)
    return _told(city, came, result)


def scan_in_another(
    other: Annotated[int, OneToFour],
    asked: Annotated[s.ScanningIn, Depends(Sent(s.ScanningIn))],
    city: Here,
    mine: Me,
) -> s.ScannedIn:
    """Somebody in your care is at a door, or left: their visit, as if their own phone had scanned. They see it among
    their visits, and that it was you who registered it."""
    cared = cared_for(city, mine, other)
    person = canonical_number(city.state, cared.person)
    slot = city.store.slot_of(person)
    came = _arrival(city, slot or 0, person if slot is None else None, asked)
    looked(city, cared, "enter")  # before anything of theirs is said
    result = "unknown"
    with contextlib.suppress(Unavailable):  # no release yet: a visit needs none
        result = _RESULTS.get(json.loads(answer_of(city, person, slot))["colour"], "unknown")
    city.scans.put(came.scan).result()
    return _told(city, came, result)


@dataclass(frozen=True, slots=True)
class _Came:
    """A scan that was found right, before anything is written."""

    scan: ScanIn
    place: str
    now: int
    late: bool
    leaves: bool


def _arrival(city: City, slot: int, person: int | None, asked: s.ScanningIn) -> _Came:
    now = city.clock()
    venue, entered = city.venues.checked(
        asked.entered.venue, asked.entered.minute, asked.entered.code, now=now
    )
    begins = entered * STEP
    ends, version = begins + venue.assumed_minutes * STEP, 0
    if asked.left is not None:
        ends, version = _ended(city, venue, entered, ends, asked.left, now)
    came = entered if asked.left is None else asked.left.minute
    late = came < now // STEP - LATE
    visit = city.venues.name_of_visit(who(slot, person), venue.venue, entered)
    scan = ScanIn(slot, venue.venue, begins, ends, version, visit, person)
    return _Came(scan, venue.name, now, late, asked.left is not None)


def _told(city: City, came: _Came, result: str) -> s.ScannedIn:
    """What the phone is told of a scan-in that is on the disk, and the door's figures."""
    scan, iso = came.scan, city.zone.iso
    what = "late" if came.late else "left" if came.leaves else result
    city.tallies.note(scan.venue, what, came.now, once=f"{scan.visit} {scan.version}")
    said = {
        "visit": scan.visit, "place": came.place, "entered_at": iso(scan.entered), "left_at": iso(scan.left),
        "assumed": scan.version == 0, "late": came.late, "result": None if came.late or came.leaves else result,
        "sealed": True,
    }  # fmt: skip
    return s.ScannedIn.model_validate(said)


def _ended(city: City, venue: Venue, entered: int, assumed: int, left: s.Scan, now: int) -> tuple[int, int]:
    """(end, version) of a visit that a later scan ended. The version grows with the end: the latest word counts,
    in whatever order they come."""
    where, minute = city.venues.checked(left.venue, left.minute, left.code, now=now)
    if minute < entered:
        raise Refused(Code.ENDS_BEFORE_START, Where(path="left.minute"), "before you came")
    here = where.venue == venue.venue
    ends = (minute + 1) * STEP if here else max(minute * STEP, (entered + 1) * STEP)
    if not here and ends >= assumed:
        return assumed, 0  # elsewhere, and later than it is taken to last: nothing new
    if ends - entered * STEP > LONGEST_MINUTES * STEP:
        raise Refused(Code.BAD_TIME, Where(path="left.minute"), "a visit lasts a day at most")
    return ends, (ends - entered * STEP) // STEP


_COLOUR = b'{"colour":"'
_RESULTS = {"green": "pass", "yellow": "wait", "red": "wait"}
_NOTICE = b'"kind":"popup"'
_BY_LETTER = {name[:1].encode(): result for name, result in _RESULTS.items()}


def _result(answer: bytes | None) -> str:
    """pass, wait or unknown, of the prepared answer: what a door would say. A green code with a notice waits
    (docs/decisions/0174)."""
    if answer is None or not answer.startswith(_COLOUR):
        return "unknown"
    result = _BY_LETTER.get(answer[len(_COLOUR) : len(_COLOUR) + 1], "unknown")
    return "wait" if result == "pass" and _NOTICE in answer else result


def venue(city: Here, request: Request) -> s.VenueSaid:
    """Your door: how many came today, and the results of the last minutes. Nobody is named here."""
    number, now = caller_of(request).client, city.now
    there = city.venues.venue(number)
    city.tallies.write()
    counts = city.venues.counts(number, city.zone.day(now))
    recent = [{"at": at, "result": result} for at, result in city.venues.recent(number, now=now)]
    said = {"venue": number, "name": there.name, "now": now, "today": counts, "recent": recent}
    return s.VenueSaid.model_validate(said)

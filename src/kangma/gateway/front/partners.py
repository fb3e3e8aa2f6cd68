"""A ride: a resident agrees that one partner may ask about it, and the partner asks.

The partner is told pass, refuse or unknown and until when, and never anything else. `unknown` is one answer for
everything: nothing is known of the passenger, the consent is over, for another ride, for another partner, or made up.
Until when it holds follows the clock alone, since anything of the person's own would be a mark by which two partners know
them again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Depends, Response
from fastapi import Path as InPath

from kangma.errors import Code, Refused
from kangma.gateway.front import schema as s
from kangma.gateway.front.city import City, Here
from kangma.gateway.front.residents import Me
from kangma.gateway.front.rights import Calling
from kangma.gateway.register.problems import NotThere, Problem
from kangma.gateway.register.sent import Sent
from kangma.policy.doors import admit
from kangma.policy.judge import Verdict
from kangma.policy.nat import Count
from kangma.policy.rules import Policy
from kangma.store.front_clients import NoClient
from kangma.store.front_rides import Asked, NoRide, TooManyChecks
from kangma.terms import HOUR, Moment, State, moment

PROFILE = "ride_hailing"  # the door of a policy by which passengers are let in
STEP = 600  # seconds: an answer holds until the end of the next of these
MOST_SAID = 96  # bytes of one answer, spaces at its end
OwnRide = InPath(pattern=r"^[0-9a-f]{16}$")
RidePath = InPath(pattern=s.RIDE, description="The partner's own name of the ride.")
_COLOURS = {"green": State.GREEN, "yellow": State.YELLOW, "red": State.RED, "unknown": State.UNKNOWN}
_NOTHING = b'{"colour":"unknown","notices":[],"nat":null}'


# residents -----------------------------------------------------------------------------------------------------------


def agree(asked: Annotated[s.Riding, Depends(Sent(s.Riding))], city: Here, mine: Me) -> s.Consent:
    """Let this partner ask about this ride, for two hours. Once for each ride; give the consent to the partner's app."""
    partner = city.registered.client(asked.partner)
    if partner is None:
        raise NoClient
    ride, consent = city.rides.agree(mine.slot, partner, asked.ride, now=city.now)
    return s.Consent(consent=consent, ride=ride.ride, expires_at=city.zone.iso(ride.expires_at))


def rides(city: Here, mine: Me) -> s.Rides:
    """The rides about which a partner may ask now, the newest first."""
    iso = city.zone.iso
    return s.Rides(
        rides=[
            s.RideSaid(ride=x.ride, partner=x.partner, since=iso(x.made_at), expires_at=iso(x.expires_at))
            for x in city.rides.rides(mine.slot, now=city.now)
        ]
    )


def withdraw(own_ride: Annotated[str, OwnRide], city: Here, mine: Me) -> Response:
    """The consent is over. The partner is told what it is told of any consent that is not good."""
    try:
        city.rides.withdraw(mine.slot, own_ride, now=city.now)
    except NoRide as problem:
        raise NotThere(problem.hint) from None
    return Response(status_code=204)


# partners ------------------------------------------------------------------------------------------------------------


def check(
    ride: Annotated[str, RidePath],
    asked: Annotated[s.Consented, Depends(Sent(s.Consented))],
    city: Here,
    caller: Calling,
) -> Response:
    """Whether the passenger who gave this consent may ride. They see that you asked."""
    return _answered(city, caller, [Asked(ride, asked.consent)], alone=True)


def checks(asked: Annotated[s.Checks, Depends(Sent(s.Checks))], city: Here, caller: Calling) -> Response:
    """The same for up to 400 rides at once. Beyond the day's checks none of them is answered."""
    return _answered(city, caller, [Asked(x.ride, x.consent) for x in asked.checks], alone=False)


def _answered(city: City, caller: Calling, asked: Sequence[Asked], *, alone: bool) -> Response:
    now = city.now
    day = city.zone.day(now)
    try:
        slots = city.rides.check(
            city.registered.of(caller), asked, day=day, midnight=city.zone.midnight(day), now=now
        )
    except TooManyChecks as problem:
        return Problem(429, "too_many_requests", problem.hint, headers={"Retry-After": "60"}).response()
    policy, until = city.policy(), city.zone.iso((now // STEP + 2) * STEP)
    said = [
        s.Checked.model_validate({"result": _result(city, policy, slot, now), "expires_at": until})
        for slot in slots
    ]
    told: s.Checked | s.ManyChecked = said[0] if alone else s.ManyChecked(checks=said)
    content = told.model_dump_json().encode()
    return Response(content.ljust(MOST_SAID * (len(said) + (not alone))), media_type="application/json")


def _result(city: City, policy: Policy, slot: int, now: Moment) -> str:
    content = city.slots.answer(slot)  # of slot 0, which is nobody's, there is none
    known = slot and content is not None
    result = result_of(policy, json.loads(content if known and content else _NOTHING), now=now)
    return result if known else "unknown"


def result_of(policy: Policy, code: Mapping[str, Any], *, now: Moment) -> str:
    """pass, refuse or unknown for a code as `GET /v1/me/code` has it: by the policy's door for rides; without one green
    passes, yellow and red do not."""
    state = _COLOURS[code["colour"]]
    popups = tuple(n["code"] for n in code["notices"] if n["kind"] == "popup")
    verdict = Verdict(state, popups, (), (), None, policy, now)
    try:
        return admit(policy, PROFILE, verdict, _count(code["nat"], now), now=now).answer.value
    except Refused as problem:
        if problem.code is not Code.BAD_VALUE:
            raise
    return "unknown" if state is State.UNKNOWN else "pass" if state is State.GREEN else "refuse"


def _count(nat: Mapping[str, Any] | None, now: Moment) -> Count | None:
    if nat is None:
        return None
    sampled, reported = nat["sampled_at"], moment(nat["reported_at"])
    hours = (now - reported) / HOUR if nat["result"] == "negative" else None
    return Count(nat["result"], None if sampled is None else moment(sampled), reported, nat["days"], hours)

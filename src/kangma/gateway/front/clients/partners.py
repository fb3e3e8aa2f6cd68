"""A ride: a resident agrees that one partner may ask about it, and the partner asks.

The partner is told pass, refuse or unknown and until when, and never anything else. `unknown` is one answer for
everything: nothing is known of the passenger, the consent is over, for another ride, for another partner, or made up.
Until when it holds follows the clock alone, since anything of the person's own would be a mark by which two partners know
them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Response
from fastapi import Path as InPath

from kangma.gateway.front import schema as s
from kangma.gateway.front.city import City, Here
from kangma.gateway.front.clients.passing import holds_until, result_at
from kangma.gateway.front.clients.signatures import public_jwk
from kangma.gateway.front.people.residents import Me
from kangma.gateway.front.who.rights import Caller, Calling
from kangma.gateway.register.problems import NotThere, Problem
from kangma.gateway.register.sent import Sent
from kangma.store.front_clients import NoClient
from kangma.store.front_rides import Asked, NoRide, TooManyChecks

MOST_SAID = 96  # bytes of one answer, spaces at its end
OwnRide = InPath(pattern=r"^[0-9a-f]{16}$", description="What the resident calls the ride.")
RidePath = InPath(pattern=s.RIDE, description="The partner's own name of the ride.")


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


def end(ride: Annotated[str, RidePath], city: Here, caller: Calling) -> Response:
    """The ride is over: you are told no more of it, and its consent ends. The same for a ride that there never was."""
    city.rides.end(city.registered.of(caller), ride, now=city.now)
    return Response(status_code=204)


def keys(city: Here) -> s.Keys:
    """The keys by which what partners are told unasked is signed (RFC 8037). The first is in use; a second, which
    is there at times, follows it in a day or later. Look once a day, and when you meet a key that you do not know."""
    return s.Keys(keys=[s.KeySaid.model_validate(public_jwk(one.key)) for one in city.hooks.keys.told()])


def turned(_told: s.Turned) -> None:
    """Sent to the address that the operator registered for a partner, when a code turns during an open ride about which
    it asked. Signed by RFC 9421: docs/gateway.md. Whatever answers with 2xx has it; anything else is sent again, with
    the same Webhook-Id."""


def _answered(city: City, caller: Caller, asked: Sequence[Asked], *, alone: bool) -> Response:
    now = city.now
    day, policy = city.zone.day(now), city.policy()
    try:
        results = city.rides.check(
            city.registered.of(caller), asked, lambda slot: result_at(city.slots.answer(slot), policy, now=now),
            day=day, midnight=city.zone.midnight(day), now=now,
        )  # fmt: skip
    except TooManyChecks as problem:
        return Problem(429, "too_many_requests", problem.hint, headers={"Retry-After": "60"}).response()
    until = city.zone.iso(holds_until(now))
    said = [s.Checked.model_validate({"result": result, "expires_at": until}) for result in results]
    told: s.Checked | s.ManyChecked = said[0] if alone else s.ManyChecked(checks=said)
    content = told.model_dump_json().encode()
    return Response(content.ljust(MOST_SAID * (len(said) + (not alone))), media_type="application/json")

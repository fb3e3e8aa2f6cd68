"""Consent to one partner for one ride, and the partner's checks by it.

What a partner can find out is decided here: whether a consent is for this partner, this ride, and now. A consent is
chance, and the partner's name of a ride is kept as a keyed digest that differs for every partner, so what two partners
hold of one person has nothing in common.

A check is one transaction with the same statements whatever comes of it: it is counted, the consent is looked up, the
look is noted, and what the partner is told, if it has a hook (`kangma.store.front_hooks`); for a consent that is good for
nothing it is nobody's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kangma.errors import Code, Conflict, Refused, Where
from kangma.store import front_schema as db
from kangma.store.front import LOOKS_KEPT, FrontStore
from kangma.store.front_clients import PARTNER, Client
from kangma.store.front_hooks import forget_over, watch
from kangma.store.hook_keys import HookKeys
from kangma.terms import DAY, Day, Moment

CONSENT_LIVES = 7_200  # seconds
MOST_OPEN = 20  # rides to which a resident agrees at once
TENTHS = 12  # checks a day for each ten rides
_NOBODY = -1
PURPOSE = "ride"


@dataclass(frozen=True, slots=True)
class Ride:
    """A ride as the resident who agreed to it sees it."""

    ride: str  # 16 hex digits, of no meaning to the partner
    partner: str
    made_at: Moment
    expires_at: Moment


@dataclass(frozen=True, slots=True)
class Asked:
    """One check: the partner's own name of the ride, and the consent that it was given."""

    ride: str
    consent: str


class TooManyChecks(Refused):
    """Beyond the rides of the day."""

    def __init__(self) -> None:
        super().__init__(Code.TOO_MANY_ROWS, Where(path="checks"), "at most 12 checks a day for ten rides")


class NoRide(Refused):
    def __init__(self) -> None:
        super().__init__(Code.NOT_IN_LIST, Where(path="ride"), "no ride of yours has this name")


class RideStore:
    """The rides of a front store. What returned is durable."""

    def __init__(self, front: FrontStore) -> None:
        self._front, self._keys = front, HookKeys(front)

    def agree(self, slot: int, partner: Client, ride: str, *, now: Moment) -> tuple[Ride, str]:
        """A consent for this ride. Conflict when there was one; Refused for what is no partner, or when too many are
        open."""
        if partner.kind != PARTNER or partner.closed_at is not None:
            raise Refused(Code.NOT_IN_LIST, Where(path="partner"), "no partner of this name")
        c = db.rides.c
        named = self._front.digest("ride", partner.number, ride)
        consent, name = secrets.token_urlsafe(24), secrets.token_hex(8)
        with self._front.write() as on:
            on.execute(sa.delete(db.rides).where(c.expires_at < now - 2 * DAY))
            there = sa.select(c.ride).where(c.client == partner.number, c.slot == slot, c.named == named)
            if on.execute(there).first() is not None:
                raise Conflict("this ride had your consent")
            live = (c.slot == slot, c.expires_at > now, c.withdrawn_at.is_(None))
            if on.execute(sa.select(sa.func.count()).where(*live)).scalar_one() >= MOST_OPEN:
                raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {MOST_OPEN} open rides")
            on.execute(
                sa.insert(db.rides).values(
                    ride=name, client=partner.number, slot=slot, named=named, made_at=now,
                    consent=self._front.digest("consent", consent), expires_at=now + CONSENT_LIVES,
                )
            )  # fmt: skip
        return Ride(name, partner.name, now, now + CONSENT_LIVES), consent

    def rides(self, slot: int, *, now: Moment) -> list[Ride]:
        """The open rides of a resident, the newest first."""
        c = db.rides.c
        query = (
            sa.select(c.ride, db.clients.c.name, c.made_at, c.expires_at)
            .join(db.clients, db.clients.c.client == c.client)
            .where(c.slot == slot, c.expires_at > now, c.withdrawn_at.is_(None))
            .order_by(c.made_at.desc(), c.ride)
        )
        with self._front.read() as on:
            return [Ride(*row) for row in on.execute(query)]

    def withdraw(self, slot: int, ride: str, *, now: Moment) -> None:
        """No check by this consent passes any more. Raises NoRide."""
        c = db.rides.c
        with self._front.write() as on:
            done = on.execute(
                sa.update(db.rides)
                .where(c.slot == slot, c.ride == ride, c.withdrawn_at.is_(None))
                .values(withdrawn_at=now)
            )
            if not done.rowcount:
                raise NoRide
            forget_over(on, now=now)

    def end(self, partner: Client, ride: str, *, now: Moment) -> None:
        """The partner says that this ride is over: its consents end. The same for a ride that there never was."""
        c, named = db.rides.c, self._front.digest("ride", partner.number, ride)
        with self._front.write() as on:
            on.execute(
                sa.update(db.rides)
                .where(c.client == partner.number, c.named == named, c.withdrawn_at.is_(None))
                .values(withdrawn_at=now)
            )
            forget_over(on, now=now)

    def check(
        self,
        partner: Client,
        asked: Sequence[Asked],
        result: Callable[[int], str],
        *,
        day: Day,
        midnight: Moment,
        now: Moment,
    ) -> list[str]:
        """For each check `result` of the slot of who agreed, of 0 where nobody did; they will see it. Raises
        TooManyChecks, and then none of them was made. `midnight`: of the local `day`. A ride counts on every day on
        which its consent is good.
        """
        c, k = db.rides.c, db.checks.c
        with self._front.write() as on:
            on.execute(sa.delete(db.checks).where(k.client == partner.number, k.day < day - 1))
            of_today = (k.client == partner.number, k.day == day)
            before = on.execute(sa.select(k.asked).where(*of_today)).scalar()
            rides = on.execute(
                sa.select(sa.func.count(sa.distinct(c.named))).where(
                    c.client == partner.number, c.expires_at > midnight
                )
            ).scalar_one()
            if 10 * ((before or 0) + len(asked)) > TENTHS * rides:
                raise TooManyChecks
            if before is None:
                on.execute(sa.insert(db.checks).values(client=partner.number, day=day, asked=len(asked)))
            else:
                on.execute(sa.update(db.checks).where(*of_today).values(asked=before + len(asked)))
            on.execute(sa.delete(db.looks).where(db.looks.c.at < now - LOOKS_KEPT))
            return [self._one(on, partner, one, result, now) for one in asked]

    def _one(
        self, on: sa.Connection, partner: Client, asked: Asked, result: Callable[[int], str], now: Moment
    ) -> str:
        c, p = db.rides.c, db.residents.c
        named = self._front.digest("ride", partner.number, asked.ride)
        row: Any = on.execute(
            sa.select(db.rides, p.person, p.closed_at)
            .join(db.residents, p.slot == c.slot)
            .where(c.consent == self._front.digest("consent", asked.consent))
        ).first()
        good = (
            row is not None
            and row.client == partner.number
            and bytes(row.named) == named
            and row.withdrawn_at is None
            and row.closed_at is None
            and now < row.expires_at
        )
        on.execute(
            sa.insert(db.looks).values(
                person=row.person if good else _NOBODY, at=now, who=partner.name, purpose=PURPOSE
            )
        )
        told, mine = result(row.slot if good else 0), row.ride if good else ""
        watch(on, mine, self._keys.seal(asked.ride), told)
        return told

"""Who is registered at the front door: sources that send evidence and partners that check passengers.

A client shows who it is by a key whose public half is kept here; there is no secret to lose. What was registered is seen
by a gateway that runs within a second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kangma.errors import Code, Conflict, Refused, Where
from kangma.intake.kinds import KINDS
from kangma.store import front_schema as db
from kangma.store.front import FrontStore
from kangma.terms import Moment

SOURCE, PARTNER = "source", "partner"
#: Every scope there is, in the order in which a token counts them: new ones come at the end.
SCOPES = (*(f"source:{kind}" for kind in KINDS), "ride:check")
RESERVED = (
    "local",
    "guardian",
    "consent",
    "officer",
    "operator",
)  # what a look or a feed may be called already
MOST_KEYS = 2  # the one in use and the next
BRAKE_FACTOR, BRAKE_FLOOR = 10, 50
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Client:
    """One registered client. `keys`: public JWKs. `zone`: of times without offset in its messages."""

    number: int
    name: str
    kind: str
    scopes: frozenset[str]
    keys: tuple[dict[str, Any], ...]
    zone: str | None
    brake_factor: int
    brake_floor: int
    made_at: Moment
    closed_at: Moment | None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "kind": self.kind, "scopes": sorted(self.scopes), "keys": list(self.keys),
            "zone": self.zone, "brake": {"factor": self.brake_factor, "floor": self.brake_floor},
            "made_at": self.made_at, "closed_at": self.closed_at,
        }  # fmt: skip


class NoClient(Refused):
    def __init__(self) -> None:
        super().__init__(Code.NOT_IN_LIST, Where(path="client"), "no client of this name is registered")


class ClientStore:
    """The clients of a front store. What returned is durable."""

    def __init__(self, front: FrontStore) -> None:
        self._front = front

    def add(
        self,
        name: str,
        kind: str,
        scopes: Collection[str],
        keys: Sequence[dict[str, Any]],
        *,
        now: Moment,
        zone: str | None = None,
        brake_factor: int = BRAKE_FACTOR,
        brake_floor: int = BRAKE_FLOOR,
    ) -> Client:
        """A new client. Refused for a name, scope or key that cannot be; Conflict for a name that was ever used."""
        if not _NAME.fullmatch(name) or name in RESERVED:
            raise Refused(
                Code.BAD_VALUE, Where(path="name"), "1 to 32 of a-z, 0-9 and -, and no reserved word"
            )
        fits = {s for s in SCOPES if (s == "ride:check") is (kind == PARTNER)}
        if kind not in (SOURCE, PARTNER) or not scopes or not set(scopes) <= fits:
            raise Refused(Code.NOT_IN_LIST, Where(path="scope"), f"one or more of {', '.join(sorted(fits))}")
        _check(keys)
        if brake_factor < 0 or brake_floor < 0:
            raise Refused(Code.BAD_NUMBER, Where(path="brake"), "not below 0")
        values = {
            "name": name, "kind": kind, "scopes": " ".join(sorted(scopes)), "keys": json.dumps(list(keys)), "zone": zone,
            "brake_factor": brake_factor, "brake_floor": brake_floor, "made_at": now, "closed_at": None,
        }  # fmt: skip
        with self._front.write() as on:
            if (
                on.execute(sa.select(db.clients.c.client).where(db.clients.c.name == name)).first()
                is not None
            ):
                raise Conflict("a client of this name is or was registered")
            on.execute(sa.insert(db.clients).values(**values))
        return self.named(name)

    def all(self) -> list[Client]:
        """Every client, closed ones too, in the order of registration."""
        with self._front.read() as on:
            return [_client(row) for row in on.execute(sa.select(db.clients).order_by(db.clients.c.client))]

    def named(self, name: str) -> Client:
        """The client of that name, perhaps closed. Raises NoClient."""
        with self._front.read() as on:
            row = on.execute(sa.select(db.clients).where(db.clients.c.name == name)).first()
        if row is None:
            raise NoClient
        return _client(row)

    def open(self, name: str) -> Client:
        """The client of that name that is not closed. Raises NoClient."""
        found = self.named(name)
        if found.closed_at is not None:
            raise NoClient
        return found

    def change(
        self,
        name: str,
        *,
        keys: Sequence[dict[str, Any]] | None = None,
        brake_factor: int | None = None,
        brake_floor: int | None = None,
    ) -> Client:
        """Other keys, or another brake. Raises NoClient."""
        if keys is not None:
            _check(keys)
        said = {
            "keys": None if keys is None else json.dumps(list(keys)),
            "brake_factor": brake_factor, "brake_floor": brake_floor,
        }  # fmt: skip
        self._set(name, {k: v for k, v in said.items() if v is not None})
        return self.named(name)

    def close(self, name: str, *, now: Moment) -> None:
        """No token of this client is good any more. Raises NoClient."""
        self._set(name, {"closed_at": now})

    def _set(self, name: str, values: dict[str, Any]) -> None:
        c = db.clients.c
        with self._front.write() as on:
            mine = sa.select(c.client).where(c.name == name, c.closed_at.is_(None))
            if on.execute(mine).first() is None:
                raise NoClient
            if values:
                on.execute(sa.update(db.clients).where(c.name == name).values(**values))

    def first_time(self, client: Client, assertion: str, *, expires: Moment, now: Moment) -> bool:
        """Whether this assertion was not taken before; it is now."""
        c = db.assertions.c
        digest = self._front.digest("assertion", assertion)
        with self._front.write() as on:
            on.execute(sa.delete(db.assertions).where(c.expires_at < now - 600))
            mine = (c.client == client.number, c.digest == digest)
            if on.execute(sa.select(c.client).where(*mine)).first() is not None:
                return False
            on.execute(
                sa.insert(db.assertions).values(client=client.number, digest=digest, expires_at=expires)
            )
        return True


def _check(keys: Sequence[dict[str, Any]]) -> None:
    if not 1 <= len(keys) <= MOST_KEYS:
        raise Refused(Code.TOO_MANY_ROWS, Where(path="key"), f"1 to {MOST_KEYS} keys")


def _client(row: sa.Row[Any]) -> Client:
    return Client(
        row.client, row.name, row.kind, frozenset(row.scopes.split()), tuple(json.loads(row.keys)), row.zone,
        row.brake_factor, row.brake_floor, row.made_at, row.closed_at,
    )  # fmt: skip

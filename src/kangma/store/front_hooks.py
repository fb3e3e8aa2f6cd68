"""What partners are told without asking: that a code turned during a ride about which they asked.

1 a check by a partner with a hook leaves a watch: the ride's name, sealed, and what the partner was told
2 a look at the answers finds that it would be told something else now: a message is durable, one for a ride, the newest
3 the message is sent, again and again, until the partner has it, the ride is over, or a newer one takes its place
4 the message is gone, and the watch knows what the partner was told
A kill between 3 and 4 sends the same message once more, under the same name, so that the partner can drop it.

The file holds the names of rides only while these are open, and only sealed (`kangma.store.hook_keys`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import sqlalchemy as sa

from kangma.errors import Corrupt
from kangma.store import front_schema as db
from kangma.store.front import FrontStore
from kangma.store.front_clients import Client
from kangma.store.hook_keys import HookKeys
from kangma.terms import Moment


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a partner is told, and how it goes: messages that wait, the longest-tried one's tries and why it failed."""

    partner: str
    url: str
    private: bool
    waiting: int
    tries: int
    why: str | None

    def as_json(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "private": self.private,
            "waiting": self.waiting,
            "tries": self.tries,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Watch:
    """An open ride, whose code, what its partner knows, and what it is still to be told (until when that holds)."""

    ride: str
    slot: int
    told: str
    waits: str | None
    waits_until: Moment


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be told of a ride now."""

    ride: str
    result: str
    expires_at: Moment


@dataclass(frozen=True, slots=True)
class Message:
    """One message on its way. `name`: the ride as its partner calls it."""

    message: str  # 32 hex digits
    client: int
    partner: str
    url: str
    private: bool
    name: str
    result: str
    expires_at: Moment
    tries: int


_WATCH = sa.text(
    "INSERT INTO watches (ride, name, told) SELECT ride, :name, :told FROM rides JOIN hooks USING (client) "
    "WHERE ride = :ride ON CONFLICT (ride) DO UPDATE SET told = excluded.told"
)


def watch(on: sa.Connection, ride: str, sealed: bytes, told: str) -> None:
    """The partner was told this of its ride; nothing where it has no hook, or the ride is nobody's (""). In the caller's
    transaction."""
    on.execute(_WATCH, {"ride": ride, "name": sealed, "told": told})


def forget_over(on: sa.Connection, *, now: Moment) -> None:
    """Watches and messages of rides that are over. In the caller's transaction."""
    c = db.rides.c
    over = sa.select(c.ride).where(sa.or_(c.expires_at <= now, c.withdrawn_at.is_not(None)))
    for table in (db.messages, db.watches):
        on.execute(sa.delete(table).where(table.c.ride.in_(over)))


class HookStore:
    """The hooks of a front store and what waits for them. What returned is durable."""

    def __init__(self, front: FrontStore) -> None:
        self._front, self.keys = front, HookKeys(front)

    def set(self, client: Client, url: str, *, private: bool, now: Moment) -> None:
        """From now on this partner is told there."""
        with self._front.write() as on:
            on.execute(sa.delete(db.hooks).where(db.hooks.c.client == client.number))
            on.execute(
                sa.insert(db.hooks).values(client=client.number, url=url, private=private, made_at=now)
            )

    def end(self, client: Client) -> None:
        """This partner is told nothing more unasked; what waited for it is gone."""
        mine = sa.select(db.rides.c.ride).where(db.rides.c.client == client.number)
        with self._front.write() as on:
            on.execute(sa.delete(db.hooks).where(db.hooks.c.client == client.number))
            for table in (db.messages, db.watches):
                on.execute(sa.delete(table).where(table.c.ride.in_(mine)))

    def hooks(self) -> dict[str, Hook]:
        """Partner → its hook."""
        c, m = db.hooks.c, db.messages.c
        query = (
            sa.select(
                db.clients.c.name, c.url, c.private, sa.func.count(m.ride), sa.func.coalesce(sa.func.max(m.tries), 0),
                sa.func.max(m.why),
            )
            .join(db.clients, db.clients.c.client == c.client)
            .outerjoin(db.rides, db.rides.c.client == c.client)
            .outerjoin(db.messages, m.ride == db.rides.c.ride)
            .group_by(c.client)
        )  # fmt: skip
        with self._front.read() as on:
            return {row[0]: Hook(*row) for row in on.execute(query)}

    def open(self, *, now: Moment) -> list[Watch]:
        """Every open ride that is watched."""
        w, m, c = db.watches.c, db.messages.c, db.rides.c
        query = (
            sa.select(w.ride, c.slot, w.told, m.result, sa.func.coalesce(m.expires_at, 0))
            .join(db.rides, c.ride == w.ride)
            .join(db.residents, db.residents.c.slot == c.slot)
            .outerjoin(db.messages, m.ride == w.ride)
            .where(*_still(now), db.residents.c.closed_at.is_(None))
        )
        with self._front.read() as on:
            return [Watch(*row) for row in on.execute(query)]

    def tell(self, turns: Iterable[Turn], *, at: Iterable[Moment]) -> None:
        """Messages, each to be sent at its moment, in place of what waited for the same ride."""
        with self._front.write() as on:
            for turn, when in zip(turns, at, strict=True):
                on.execute(sa.delete(db.messages).where(db.messages.c.ride == turn.ride))
                there = sa.select(db.watches.c.ride).where(db.watches.c.ride == turn.ride)
                if on.execute(there).first() is not None:
                    on.execute(
                        sa.insert(db.messages).values(
                            ride=turn.ride, message=token_hex(16), result=turn.result, expires_at=turn.expires_at,
                            tries=0, next_at=when,
                        )
                    )  # fmt: skip

    def forget_over(self, *, now: Moment) -> None:
        """Nothing is kept of rides that are over."""
        with self._front.write() as on:
            forget_over(on, now=now)

    def due(self, *, now: Moment, most: int, without: Iterable[int] = ()) -> list[Message]:
        """At most so many messages whose time has come, the longest waiting first, but for these clients. A ride whose
        name no key opens any more is forgotten: its partner asks again."""
        w, m, c, h = db.watches.c, db.messages.c, db.rides.c, db.hooks.c
        query = (
            sa.select(
                m.message, c.client, db.clients.c.name.label("partner"), h.url, h.private, w.name, m.result,
                m.expires_at, m.tries,
            )
            .join(db.watches, w.ride == m.ride)
            .join(db.rides, c.ride == m.ride)
            .join(db.hooks, h.client == c.client)
            .join(db.clients, db.clients.c.client == c.client)
            .where(m.next_at <= now, m.expires_at > now, *_still(now), db.clients.c.closed_at.is_(None))
            .where(c.client.not_in(list(without)))
            .order_by(m.next_at, m.ride)
            .limit(most)
        )  # fmt: skip
        with self._front.read() as on:
            rows = on.execute(query).all()
        found, lost = list[Message](), list[str]()
        for row in rows:
            try:
                said = {**row._mapping, "name": self.keys.open(bytes(row.name))}
            except Corrupt:
                lost.append(row.message)
            else:
                found.append(Message(**said))
        if lost:
            self._forget(lost)
        return found

    def _forget(self, messages: list[str]) -> None:
        rides = sa.select(db.messages.c.ride).where(db.messages.c.message.in_(messages))
        with self._front.write() as on:
            on.execute(sa.delete(db.watches).where(db.watches.c.ride.in_(rides)))
            on.execute(sa.delete(db.messages).where(db.messages.c.message.in_(messages)))

    def delivered(self, message: Message) -> None:
        """The partner has it."""
        m, w = db.messages.c, db.watches.c
        mine = sa.select(m.ride).where(m.message == message.message)
        with self._front.write() as on:
            on.execute(sa.update(db.watches).where(w.ride.in_(mine)).values(told=message.result))
            on.execute(sa.delete(db.messages).where(m.message == message.message))

    def failed(self, message: Message, why: str, *, again_at: Moment) -> None:
        """The partner does not have it, or did not say so; it is sent again then."""
        m = db.messages.c
        with self._front.write() as on:
            on.execute(
                sa.update(db.messages)
                .where(m.message == message.message)
                .values(tries=m.tries + 1, next_at=again_at, why=why)
            )


def _still(now: Moment) -> tuple[sa.ColumnElement[bool], ...]:
    return (db.rides.c.expires_at > now, db.rides.c.withdrawn_at.is_(None))

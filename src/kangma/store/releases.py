"""What a cycle leaves in the registry: who may turn the wheel, and what each turn came to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kangma.errors import Conflict
from kangma.store import registry as r
from kangma.store.registry import Registry
from kangma.terms import Moment


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to be the one writer called `name` until `expires_at`; worth nothing once a higher `term` is out."""

    name: str
    holder: str
    term: int
    expires_at: Moment


def acquire(registry: Registry, name: str, holder: str, *, now: Moment, seconds: int = 600) -> Lease:
    """The lease, durable on return; every acquisition has a higher term than all before.

    Conflict while another holder's lease has not expired. A holder may acquire its own again.
    """
    c = r.leases.c
    with registry.write() as on:
        there = on.execute(sa.select(r.leases).where(c.name == name)).first()
        if there is not None and there.holder not in ("", holder) and there.expires_at > now:
            raise Conflict(f"another {name} is at work, until {there.expires_at}")
        lease = Lease(name, holder, 1 if there is None else there.term + 1, now + seconds)
        values = {"holder": holder, "term": lease.term, "expires_at": lease.expires_at}
        if there is None:
            on.execute(sa.insert(r.leases).values(name=name, **values))
        else:
            on.execute(sa.update(r.leases).where(c.name == name).values(**values))
    return lease


def renew(registry: Registry, lease: Lease, *, now: Moment, seconds: int = 600) -> Lease:
    """The same lease, longer. Conflict when somebody took it over since."""
    with registry.write() as on:
        check(on, lease)
        on.execute(sa.update(r.leases).where(r.leases.c.name == lease.name).values(expires_at=now + seconds))
    return Lease(lease.name, lease.holder, lease.term, now + seconds)


def release(registry: Registry, lease: Lease) -> None:
    """Others may acquire it at once. Nothing happens when somebody took it over since."""
    c = r.leases.c
    with registry.write() as on:
        on.execute(
            sa.update(r.leases)
            .where(c.name == lease.name, c.term == lease.term)
            .values(holder="", expires_at=0)
        )


def check(on: sa.Connection, lease: Lease) -> None:
    """Conflict unless this lease is the newest; inside the transaction whose write it is to protect."""
    c = r.leases.c
    term = on.execute(sa.select(c.term).where(c.name == lease.name, c.holder == lease.holder)).scalar()
    if term != lease.term:
        raise Conflict(f"this {lease.name} was replaced by a newer one")


@dataclass(frozen=True, slots=True)
class Head:
    """The log at one moment: how many entries, and the root over them."""

    size: int
    root: bytes  # 32 bytes


@dataclass(frozen=True, slots=True)
class Release:
    """One finished turn of the wheel. `generation` is the evidence that it judged; `head` the log with it in it, None
    for a city that publishes nothing; `announced` whether the public folder holds all of it."""

    number: int
    now: Moment
    generation: int
    policy_digest: str
    counts: Mapping[str, object]
    verdict_digest: str
    head: Head | None = None
    announced: bool = True


def record_release(registry: Registry, lease: Lease, release: Release, *, upon: Head | None) -> None:
    """`release` is the last one, durable on return: the compare-and-swap of publication.

    Conflict when the lease was lost in between, its number does not follow on the last release, or the log's head
    there is not `upon`.
    """
    with registry.write() as on:
        check(on, lease)
        if r.next_number(on, "releases") != release.number:
            raise Conflict("another release came first")
        last = on.execute(_NEWEST).first()
        if (None if last is None else _release(last).head) != upon:
            raise Conflict("the log moved on in between")
        on.execute(
            sa.insert(r.releases).values(
                number=release.number,
                now=release.now,
                generation=release.generation,
                policy_digest=release.policy_digest,
                counts=json.dumps(release.counts, sort_keys=True),
                verdict_digest=release.verdict_digest,
                tree_size=None if release.head is None else release.head.size,
                tree_root=None if release.head is None else release.head.root.hex(),
                announced=release.announced,
            )
        )


def require_first(registry: Registry, lease: Lease, number: int) -> None:
    """Conflict when the lease was lost, or release `number` is there: whoever comes late leaves its folder alone."""
    with registry.read() as on:
        check(on, lease)
        if r.counter(on, "releases") >= number:
            raise Conflict("another release came first")


def record_announced(registry: Registry, number: int) -> None:
    """The public folder holds all of this release, and of every one before it. May be repeated."""
    c = r.releases.c
    with registry.write() as on:
        on.execute(
            sa.update(r.releases).where(c.number <= number, c.announced.is_(False)).values(announced=True)
        )


def last_release(registry: Registry) -> Release | None:
    """The newest release, None before the first."""
    with registry.read() as on:
        found = on.execute(_NEWEST).first()
    return None if found is None else _release(found)


def releases(registry: Registry, *, since: int = 1, unannounced: bool = False) -> list[Release]:
    """Releases in order, from number `since` on; with `unannounced` only those that the public folder may lack."""
    c = r.releases.c
    query = sa.select(r.releases).where(c.number >= since).order_by(c.number)
    if unannounced:
        query = query.where(c.announced.is_(False))
    with registry.read() as on:
        return [_release(x) for x in on.execute(query)]


_NEWEST = sa.select(r.releases).order_by(r.releases.c.number.desc()).limit(1)


def _release(x: sa.Row[Any]) -> Release:
    head = None if x.tree_size is None else Head(x.tree_size, bytes.fromhex(x.tree_root))
    return Release(
        x.number,
        x.now,
        x.generation,
        x.policy_digest,
        json.loads(x.counts),
        x.verdict_digest,
        head,
        x.announced,
    )

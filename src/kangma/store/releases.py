"""What a cycle leaves in the registry: who may turn the wheel, and what each turn came to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

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
class Release:
    """One finished turn of the wheel. `generation` is the evidence that it judged."""

    number: int
    now: Moment
    generation: int
    policy_digest: str
    counts: Mapping[str, object]
    verdict_digest: str


def record_release(
    registry: Registry,
    lease: Lease,
    *,
    number: int,
    now: Moment,
    generation: int,
    policy_digest: str,
    counts: Mapping[str, object],
    verdict_digest: str,
) -> Release:
    """The release `number` is the last one, durable on return.

    Conflict when the lease was lost in between, or `number` does not follow on the last release.
    """
    with registry.write() as on:
        check(on, lease)
        if r.next_number(on, "releases") != number:
            raise Conflict("another release came first")
        on.execute(
            sa.insert(r.releases).values(
                number=number,
                now=now,
                generation=generation,
                policy_digest=policy_digest,
                counts=json.dumps(counts, sort_keys=True),
                verdict_digest=verdict_digest,
            )
        )
    return Release(number, now, generation, policy_digest, counts, verdict_digest)


def last_release(registry: Registry) -> Release | None:
    """The newest release, None before the first."""
    query = sa.select(r.releases).order_by(r.releases.c.number.desc()).limit(1)
    with registry.read() as on:
        x = on.execute(query).first()
    if x is None:
        return None
    return Release(x.number, x.now, x.generation, x.policy_digest, json.loads(x.counts), x.verdict_digest)

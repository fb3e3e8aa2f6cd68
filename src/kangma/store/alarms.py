"""What an operator must look at: raised in the transaction of what happened, never taken back.

What to do about each stands in docs/operate.md. An alarm has numbers and codes, and nothing that a sender wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from kangma.store import registry as r
from kangma.store.registry import Registry
from kangma.terms import Moment


class What(StrEnum):
    """The kinds of alarm."""

    SEQUENCE_GAP = "sequence_gap"  # a manifest's number is not the next one: a batch never came
    MANIFEST_MISMATCH = "manifest_mismatch"  # a file is not what its manifest says
    QUARANTINE = "quarantine"  # bytes broke the reader three times
    BRAKE = "brake"  # a batch has far more positives than its source usually sends
    SCANS_DAMAGED = "scans_damaged"  # a file of scan-ins does not open
    DELETION_STOPPED = "deletion_stopped"  # a deletion would have taken too much


@dataclass(frozen=True, slots=True)
class Alarm:
    """`detail`: numbers and codes. `feed` None: of no source. `at` None: the sender's own clock was not known."""

    number: int
    what: What
    feed: str | None
    detail: Mapping[str, object]
    at: Moment | None


def raise_alarm(
    on: sa.Connection, what: What, feed: str | None, detail: Mapping[str, object], now: Moment | None
) -> None:
    """An alarm is in the registry when the transaction ends well; `detail` holds numbers and codes only."""
    on.execute(
        sa.insert(r.alarms).values(
            alarm=r.next_number(on, "alarms"),
            what=what,
            feed=feed,
            detail=json.dumps(detail, sort_keys=True),
            at=now,
        )
    )


def alarms(registry: Registry, *, after: int = 0) -> list[Alarm]:
    """The alarms with a number above `after`, oldest first."""
    c = r.alarms.c
    with registry.read() as on:
        found = on.execute(sa.select(r.alarms).where(c.alarm > after).order_by(c.alarm)).all()
    return [Alarm(x.alarm, What(x.what), x.feed, json.loads(x.detail), x.at) for x in found]


def counted(registry: Registry) -> dict[What, int]:
    """How many of each kind were ever raised; every kind is there."""
    c = r.alarms.c
    with registry.read() as on:
        found = on.execute(sa.select(c.what, sa.func.count()).group_by(c.what)).all()
    return dict.fromkeys(What, 0) | {What(what): n for what, n in found}

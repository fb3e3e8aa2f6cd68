"""Two levels of disclosure. A `Seen` is the only thing that exports, feeds, pages and differences take: whoever holds
one holds nothing that its viewer may not see, and knows of how many things that is so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kangma.incidents.record import FIELDS, Record
from kangma.incidents.vocabulary import Level

_BLANK = Record()


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as one kind of viewer sees it. `hidden`: field → how many things of it are for members only; empty for
    a member. In what a stranger sees `levels` is empty: a field's level shows in `hidden` and nowhere else."""

    record: Record
    member: bool
    hidden: Mapping[str, int]


def seen_by(record: Record, *, member: bool) -> Seen:
    """What a member, or anybody else, sees of a record."""
    if member:
        return Seen(record, True, {})
    shown: dict[str, Any] = {}
    hidden: dict[str, int] = {}
    for name in FIELDS:
        value = getattr(record, name)
        if record.level(name) is Level.MEMBER:
            count = len(value) if isinstance(value, tuple) else int(value != getattr(_BLANK, name))
            shown[name] = getattr(_BLANK, name)
        elif isinstance(value, tuple) and any(_for_members(item) for item in value):
            shown[name] = tuple(item for item in value if not _for_members(item))
            count = len(value) - len(shown[name])
        else:
            continue
        if count:
            hidden[name] = count
    return Seen(replace(record, **shown, levels={}), False, hidden)


def lowered(before: Record, after: Record) -> tuple[str, ...]:
    """The fields of which `after` keeps something for members that `before` showed to everybody: the version before stays
    readable, so that this hides it from nobody who looks there."""
    was, will = seen_by(before, member=False), seen_by(after, member=False)
    found = []
    for name in will.hidden:
        old, new = getattr(was.record, name), getattr(will.record, name)
        if not isinstance(old, tuple):
            gone = old != getattr(_BLANK, name)
        else:
            more = will.hidden[name] > was.hidden.get(name, 0) or after.level(name) is Level.MEMBER
            gone = more and any(item not in new for item in old)
        if gone:
            found.append(name)
    return tuple(found)


def _for_members(item: Any) -> bool:
    return getattr(item, "level", Level.PUBLIC) is Level.MEMBER

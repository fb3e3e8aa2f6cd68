"""Our own JSON: one document of many records, complete for whoever it was made for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kangma.errors import Code, Refused
from kangma.incidents import canonical
from kangma.incidents.exchange.report import MOST_RECORDS, About, Entry, Taken, hidden_of
from kangma.incidents.form import FORMAT, from_json, to_json
from kangma.incidents.levels import Seen

COLLECTION = "kangma-incidents/1"


def as_json(entry: Entry) -> dict[str, Any]:
    """One entry as the API gives it."""
    made: dict[str, Any] = {
        "record": to_json(entry.seen.record),
        "created": entry.created,
        "modified": entry.modified,
        "version": entry.version,
    }
    if entry.withdrawn:
        made["withdrawn"] = True
    if entry.seen.member:
        made["member"] = True
    if entry.seen.hidden:
        made["for_members"] = dict(entry.seen.hidden)
    return made


def write(entries: Iterable[Entry], about: About) -> bytes:
    """The whole collection, canonical."""
    listed = [as_json(e) for e in entries]
    return canonical.dumps({"format": COLLECTION, "register": about.base, "incidents": listed})


def read(content: bytes) -> Taken:
    """A collection, a list of records, or one record. Refused whole only when it is no JSON of ours at all."""
    value = canonical.loads(content)
    taken = Taken()
    if isinstance(value, dict) and value.get("format") == COLLECTION:
        listed = value.get("incidents")
        for key in value:
            if key not in ("format", "register", "incidents"):
                taken.note(key[:60], "no place for it")
    else:
        listed = [{"record": value}] if isinstance(value, dict) else value
        if isinstance(listed, list):
            listed = [x if isinstance(x, dict) and "record" in x else {"record": x} for x in listed]
    if not isinstance(listed, list):
        raise Refused(Code.UNREADABLE, hint=f"no {COLLECTION} and no {FORMAT}")
    if len(listed) > MOST_RECORDS:
        raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {MOST_RECORDS}")
    for i, item in enumerate(listed):
        where = f"incidents[{i}]"
        try:
            taken.take(where, _entry(item, taken, where))
        except Refused as problem:
            taken.refuse(where, problem)
    return taken


def _entry(item: Any, taken: Taken, where: str) -> Entry:
    if not isinstance(item, dict):
        raise Refused(Code.BAD_VALUE, hint="an object")
    record = from_json(item.get("record"))
    numbers = {}
    for key, least in (("created", 0), ("modified", 0), ("version", 1)):
        value = item.get(key, least)
        sound = isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**53
        if not sound:
            taken.note(f"{where}.{key}", "not a number that can be meant")
        numbers[key] = value if sound else least
    for key in item:
        if key not in ("record", "created", "modified", "version", "withdrawn", "member", "for_members"):
            taken.note(f"{where}.{key[:60]}", "no place for it")
    hidden = hidden_of(item.get("for_members"))
    member = item.get("member") is True
    return Entry(Seen(record, member, hidden), **numbers, withdrawn=item.get("withdrawn") is True)

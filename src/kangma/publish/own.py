"""What is known of one person, as it is told to that person. Nothing here names anybody else."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pyarrow as pa

from kangma.evidence.facts import FACTS, FactType
from kangma.evidence.views import documents
from kangma.publish import MEMORY
from kangma.publish.answers import canonical_number, evidence_of, facts_of
from kangma.publish.policies import policies
from kangma.store.engine import engine
from kangma.store.scans import FEED
from kangma.store.state import State
from kangma.terms import DAY, Moment, Zone, calendar, zone

VISIT_DAYS = 14
#: Facts that are a person's own, and what of each is told. What is left out names others: whose case it was, whose tube.
OWN: dict[str, tuple[str, ...]] = {
    "people": ("birth_date", "nationality", "district"),
    "tests": ("specimen_id", "sampled_at", "reported_at", "method", "pooled", "result", "lab"),
    "vaccinations": ("product", "dose", "given_on"),
    "entries": ("country", "port", "port_city", "entered_on"),
    "city_entries": ("at", "from_county", "means"),
    "purchases": ("at", "medicine_class", "pharmacy"),
    "clinic_visits": ("at", "symptom_class", "clinic"),
    "occupations": ("occupation", "every_days", "from_at", "to_at", "last_sampled_at", "due_at"),
    "isolations": ("kind", "from_at", "to_at", "site"),
}
_NEWEST = {"tests": "reported_at", "vaccinations": "given_on"}


def known_of(state: State, number: int, *, now: Moment) -> dict[str, list[dict[str, Any]]]:
    """Fact name → the person's own, the newest first; times in ISO 8601. What was reported after `now` is left out."""
    policy = policies(state).in_force(now)
    here = zone(policy.zone)
    with evidence_of(state, policy, [number]) as con:
        facts = facts_of(con)
    told = {}
    for name, columns in OWN.items():
        types = FACTS[name].columns
        rows = [
            {c: _told(row[c], types[c][0], here) for c in columns}
            for row in facts[name]
            if name != "tests" or row["reported_at"] <= now
        ]
        told[name] = _newest_first(rows, _NEWEST.get(name, "at"))
    return told


def _newest_first(rows: list[dict[str, Any]], when: str) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row.get(when, "")), reverse=True)


def _told(value: Any, kind: FactType, here: Zone) -> Any:
    if value is None:
        return None
    if kind is FactType.TIME:
        return here.iso(value)
    return calendar(value).isoformat() if kind is FactType.DATE else value


def visits_of(state: State, number: int, *, now: Moment) -> list[dict[str, Any]]:
    """Where the person was in the last 14 days, the newest first: place, kind, district, entered_at, left_at,
    source; `visit`, what a phone that scanned in calls it, or None."""
    here = zone(policies(state).in_force(now).zone)
    person = canonical_number(state, number)
    with engine(state.path / "tmp", memory=MEMORY) as con:
        state.raw(con)
        documents(con, ("visits", "places"))
        rows = con.execute(
            "SELECT p.name AS place, p.kind, p.district, v.entered_at, v.left_at, v.source, "
            "CASE WHEN v.feed = $feed THEN v.document_id END AS document "
            "FROM live_visits v LEFT JOIN live_places p USING (place) "
            "WHERE v.person = $person AND v.entered_at BETWEEN $since AND $now ORDER BY v.entered_at DESC, v.left_at",
            {"person": person, "since": now - VISIT_DAYS * DAY, "now": now, "feed": FEED},
        ).fetchall()
    return [
        {
            "place": place,
            "kind": kind,
            "district": district,
            "entered_at": here.iso(entered),
            "left_at": here.iso(left),
            "source": source,
            "visit": document and document.removeprefix("in-"),
            "sealed": document is not None,
        }
        for place, kind, district, entered, left, source, document in rows
    ]


def guardians(state: State, children: Collection[int]) -> dict[int, set[int]]:
    """Child → who cares for it by the evidence: all canonical numbers. The work is the same whether there is a guardian
    or not, and whether there is such a child."""
    with engine(state.path / "tmp", memory=MEMORY) as con:
        state.raw(con)
        documents(con, ("people",))
        con.register("children", pa.table({"child": pa.array(list(children), pa.uint32())}))
        found = con.sql(
            "SELECT child, coalesce(c.canonical, p.guardian) FROM children JOIN live_people p ON p.person = child "
            "LEFT JOIN canonical c ON c.person = p.guardian WHERE p.guardian IS NOT NULL"
        ).fetchall()
    cared: dict[int, set[int]] = {}
    for child, guardian in found:
        cared.setdefault(child, set()).add(guardian)
    return cared

"""The closed list of facts: what a rule may speak of, and the type of each column.

A fact is one row about one person, derived from live evidence by `facts.sql` (and, for `exposures` and `companions`,
by tracing). Policy conditions are checked against this list, and all judges read exactly these
columns. Every fact has `person` (uint32, the canonical person number) first. A TIME is int64 seconds since 1970, a
DATE int32 days since 1970, both nullable where marked `?`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import pyarrow as pa


class FactType(Enum):
    TEXT = "text"
    TIME = "time"
    DATE = "date"
    INT = "int"
    REAL = "real"
    BOOL = "bool"

    @property
    def arrow(self) -> pa.DataType:
        return {
            FactType.TEXT: pa.string(),
            FactType.TIME: pa.int64(),
            FactType.DATE: pa.int32(),
            FactType.INT: pa.int64(),
            FactType.REAL: pa.float64(),
            FactType.BOOL: pa.bool_(),
        }[self]


@dataclass(frozen=True, slots=True)
class Fact:
    """One kind of fact: its columns (name → type, nullable) and what a row of it says."""

    name: str
    meaning: str
    columns: dict[str, tuple[FactType, bool]]

    @property
    def schema(self) -> pa.Schema:
        fields = [pa.field("person", pa.uint32(), nullable=False)]
        fields += [pa.field(n, t.arrow, nullable=null) for n, (t, null) in self.columns.items()]
        return pa.schema(fields)


def _columns(text: str) -> dict[str, tuple[FactType, bool]]:
    """`"case_id text, onset_at time?"` → typed columns."""
    out = {}
    for part in text.split(","):
        name, kind = part.split()
        out[name] = (FactType(kind.rstrip("?")), kind.endswith("?"))
    return out


FACTS: dict[str, Fact] = {
    name: Fact(name, meaning, _columns(columns))
    for name, columns, meaning in (
        (
            "people",
            "birth_date date?, nationality text?, district text?, away bool, in_city_since time?",
            "One row per person known. `away`: known to be outside the city now, without an end. `in_city_since`: when "
            "the last known absence from the city ended; null when none is known.",
        ),
        (
            "tests",
            "specimen_id text, sampled_at time?, reported_at time, method text, pooled bool, pool_id text?, "
            "result text, lab text, pool_positive_at time?",
            "One reported specimen. `pool_positive_at`: when the first positive of the same tube was reported.",
        ),
        ("vaccinations", "product text, dose int, given_on date", "One dose."),
        (
            "cases",
            "case_id text, kind text, confirmed_at time, onset_at time?, infectious_from time?, discharged_at time?, "
            "excluded_at time?",
            "This person is a case.",
        ),
        (
            "contacts",
            "index_case_id text?, degree int, declared_degree int, last_exposure_at time, found_by text, "
            "index_positive_at time?, index_second_negative_at time?, index_excluded_at time?",
            "A contact named by a tracer. `degree` is the effective one: a contact of a contact counts as degree 1 "
            "from `index_positive_at` on, when the contact between has tested positive or become a case. "
            "`index_second_negative_at`: when the first two tests of the contact between were both known negative. "
            "`index_excluded_at`: when the case at the head of the chain was ruled out.",
        ),
        (
            "exposures",
            "case_id text, minutes real, meetings int, first_at time, last_at time, confirmed_at time, excluded_at time?",
            "This person's meetings with one case, summed (tracing).",
        ),
        (
            "companions",
            "case_id text, minutes real, cumulative_hours real, first_at time, last_at time, confirmed_at time, "
            "excluded_at time?",
            "Same 800 m cell as a case for long enough, both conditions met (tracing).",
        ),
        (
            "risk_stays",
            "area_id text, name text, district text, county text, in_city bool, level text, source text, "
            "entered_at time, left_at time?, level_from time, level_to time?, overlap_from time, overlap_to time?",
            "One stay in an area during one stretch in which the area had a level other than low. `overlap_*` is what "
            "both cover; open while both go on.",
        ),
        (
            "county_stays",
            "county text, in_city bool, land_border bool, source text, entered_at time, left_at time?, "
            "infected_from time?, infected_to time?, risk_from time?, risk_to time?",
            "One stay in a county. `infected_*`: the stretch with local infections that the stay overlaps. `risk_*`: "
            "the stretch, overlapping the stay, in which the county had an area of medium or high risk.",
        ),
        (
            "entries",
            "country text, port text, port_city text, entered_on date",
            "Came into the country.",
        ),
        (
            "city_entries",
            "at time, from_county text, means text, itinerary text, leaves_at time?",
            "Came into the city. `itinerary`: agrees, contradicted or undeclared, the declared stays of the 14 days "
            "before against the telecom ones. `leaves_at`: the first later stay outside the city.",
        ),
        ("purchases", "at time, medicine_class text, pharmacy text", "Bought a registered medicine."),
        (
            "clinic_visits",
            "at time, symptom_class text, clinic text",
            "Seen at a clinic with a listed symptom.",
        ),
        (
            "missed_rounds",
            "district text, rounds int, first_opened_at time, last_closed_at time",
            "Not sampled in any of three consecutive screening rounds of the own district.",
        ),
        (
            "occupations",
            "occupation text, every_days int, from_at time, to_at time?, last_sampled_at time?, due_at time",
            "Must test on a schedule. `due_at`: when the next test is overdue, by the last negative specimen.",
        ),
        ("isolations", "kind text, from_at time, to_at time?, site text", "In isolation or monitoring."),
        (
            "clearances",
            "rule text, finding text, at time, reason text",
            "Two officers found something about one rule's hold on this person.",
        ),
    )
}

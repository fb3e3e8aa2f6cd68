"""The closed list of evidence: every kind of document that may come in, with its columns.

One list serves intake (what is refused), evidence (what is stored), the synthetic city (what it writes) and the
reference (docs/reference/kinds.md is generated from it). Source: the table of the design's evidence chapter.

A column of type PERSON is named in the outer forms by two columns `<stem>id_type`, `<stem>id_number`, and inside the
boundary by one column holding the 16-byte key. The reserved words `from` and `to` are stored as `from_at`, `to_at`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import pyarrow as pa


class Type(Enum):
    """What a column holds outside → the Arrow type that stores it."""

    TEXT = "text"
    TIME = "time"  # ISO 8601 with offset → int64 seconds since 1970, UTC
    DATE = "date"  # YYYY-MM-DD → int32 days since 1970
    INT = "int"  # → int64
    REAL = "real"  # → float64
    BOOL = "bool"  # true/false, 1/0, yes/no
    PERSON = "person"  # → fixed_size_binary(16)

    @property
    def arrow(self) -> pa.DataType:
        return {
            Type.TEXT: pa.string(),
            Type.TIME: pa.int64(),
            Type.DATE: pa.int32(),
            Type.INT: pa.int64(),
            Type.REAL: pa.float64(),
            Type.BOOL: pa.bool_(),
            Type.PERSON: pa.binary(16),
        }[self]


@dataclass(frozen=True, slots=True)
class Column:
    """`outer` is the name in a table that comes in; `name` the one that is stored."""

    name: str
    type: Type
    required: bool = True
    choices: tuple[str, ...] = ()
    outer: str = ""
    secret: bool = False  # goes to the identity vault and nowhere else
    default: bool | int | None = None

    @property
    def outer_names(self) -> tuple[str, ...]:
        if self.type is Type.PERSON:
            stem = self.outer or ("" if self.name == "person" else f"{self.name}_")
            return (f"{stem}id_type", f"{stem}id_number")
        return (self.outer or self.name,)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of document. `at` names the column that says when it happened: retractions by time go by it."""

    name: str
    columns: tuple[Column, ...]
    at: str | None
    spans: tuple[tuple[str, str], ...] = ()  # (start, end) columns; an end before its start is refused
    either: tuple[tuple[str, ...], ...] = ()  # groups of which at least one column must have a value
    by_day: bool = False  # stored in one folder a day, by `at`
    _index: dict[str, Column] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._index.update({c.name: c for c in self.columns})

    def column(self, name: str) -> Column:
        return self._index[name]

    @property
    def stored(self) -> tuple[Column, ...]:
        """The columns that become evidence: all but the secret ones."""
        return tuple(c for c in self.columns if not c.secret)

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of accepted documents: `document_id`, `document_version`, then the stored columns."""
        fields = [
            pa.field("document_id", pa.string()),
            pa.field("document_version", pa.int64(), nullable=False),
        ]
        fields += [pa.field(c.name, c.type.arrow, nullable=not c.required) for c in self.stored]
        return pa.schema(fields)


ID_TYPES = {
    "10": "resident identity card",
    "14": "Hong Kong/Macao permit",
    "15": "Taiwan permit",
    "16": "one-time Taiwan permit",
    "20": "passport",
    "34": "foreign permanent-resident card",
    "99": "other",
}

T, D, M = Type.TEXT, Type.DATE, Type.TIME
PERSON = Column("person", Type.PERSON)
PLACE_KINDS = ("venue", "home", "work", "school", "transit", "hospital", "hotel", "grid")
VISIT_SOURCES = ("scan", "scan_static", "telecom", "transit", "declared", "ticket")
LEVELS = ("low", "medium", "high", "locked", "controlled")


def _opt(name: str, kind: Type, choices: tuple[str, ...] = (), outer: str = "") -> Column:
    return Column(name, kind, required=False, choices=choices, outer=outer)


_FROM = Column("from_at", M, outer="from")
_TO = _opt("to_at", M, outer="to")

KINDS: dict[str, Kind] = {
    k.name: k
    for k in (
        Kind(
            "people",
            (
                PERSON,
                Column("name", T, secret=True),
                Column("birth_date", D),
                _opt("nationality", T),
                Column("phone", T, required=False, secret=True),
                _opt("district", T),
                _opt("guardian", Type.PERSON),
            ),
            at=None,
        ),
        Kind(
            "identities",
            (
                PERSON,
                Column("same_as", Type.PERSON),
                Column("decided_by", T),
                Column("undo", Type.BOOL, required=False, default=False),
            ),
            at=None,
        ),
        Kind(
            "places",
            (
                Column("place_id", T),
                Column("name", T),
                Column("kind", T, choices=PLACE_KINDS),
                Column("lat", Type.REAL),
                Column("lon", Type.REAL),
                Column("district", T),
                _opt("area_id", T),
            ),
            at=None,
        ),
        Kind(
            "visits",
            (
                PERSON,
                Column("place_id", T),
                Column("entered_at", M),
                Column("left_at", M),
                Column("source", T, choices=VISIT_SOURCES),
            ),
            at="entered_at",
            spans=(("entered_at", "left_at"),),
            by_day=True,
        ),
        Kind(
            "tests",
            (
                Column("specimen_id", T),
                PERSON,
                _opt("sampled_at", M),
                Column("reported_at", M),
                Column("method", T, choices=("nat", "antigen")),
                Column("pooled", Type.BOOL),
                _opt("pool_id", T),
                Column("result", T, choices=("negative", "positive", "invalid", "pending")),
                Column("lab", T),
            ),
            at="reported_at",
            spans=(("sampled_at", "reported_at"),),
        ),
        Kind(
            "vaccinations",
            (
                PERSON,
                Column("product", T),
                Column("dose", Type.INT),
                Column("given_on", D),
                _opt("batch", T),
                _opt("site", T),
            ),
            at="given_on",
        ),
        Kind(
            "cases",
            (
                Column("case_id", T),
                PERSON,
                Column("kind", T, choices=("confirmed", "asymptomatic")),
                Column("confirmed_at", M),
                _opt("onset_at", M),
                _opt("infectious_from", M),
                _opt("discharged_at", M),
                _opt("excluded_at", M),
            ),
            at="confirmed_at",
            spans=(("confirmed_at", "discharged_at"),),
        ),
        Kind(
            "contacts",
            (
                PERSON,
                _opt("index_case_id", T),
                Column("index_person", Type.PERSON, required=False, outer="index_"),
                Column("degree", Type.INT, choices=("1", "2")),
                Column("last_exposure_at", M),
                Column("found_by", T),
            ),
            at="last_exposure_at",
            either=(("index_case_id", "index_person"),),
        ),
        Kind(
            "areas",
            (
                Column("area_id", T),
                Column("name", T),
                Column("district", T),
                Column("county", T),
                Column("level", T, choices=LEVELS),
                _FROM,
                _TO,
            ),
            at="from_at",
            spans=(("from_at", "to_at"),),
        ),
        Kind(
            # One row per area on one official list, and one row with an empty area for the list itself, so that an
            # area's absence from a later list is evidence too. Made from the risk-area JSON only.
            "area_lists",
            (
                Column("listed_at", M),
                _opt("area_id", T),
                _opt("name", T),
                _opt("district", T),
                _opt("county", T),
                _opt("level", T, choices=LEVELS),
            ),
            at="listed_at",
        ),
        Kind(
            "counties",
            (
                Column("county", T),
                Column("local_infections_from", M),
                _opt("local_infections_to", M),
                Column("land_border", Type.BOOL),
            ),
            at="local_infections_from",
            spans=(("local_infections_from", "local_infections_to"),),
        ),
        Kind(
            "area_stays",
            (
                PERSON,
                _opt("area_id", T),
                _opt("county", T),
                Column("entered_at", M),
                _opt("left_at", M),
                Column("source", T, choices=VISIT_SOURCES),
            ),
            at="entered_at",
            spans=(("entered_at", "left_at"),),
            either=(("area_id", "county"),),
        ),
        Kind(
            "entries",
            (
                PERSON,
                Column("country", T),
                Column("port", T),
                Column("port_city", T),
                Column("entered_on", D),
            ),
            at="entered_on",
        ),
        Kind(
            "city_entries",
            (PERSON, Column("at", M), Column("from_county", T), Column("means", T)),
            at="at",
        ),
        Kind(
            "purchases",
            (PERSON, Column("at", M), Column("medicine_class", T), Column("pharmacy", T)),
            at="at",
        ),
        Kind(
            "clinic_visits",
            (PERSON, Column("at", M), Column("symptom_class", T), Column("clinic", T)),
            at="at",
        ),
        Kind(
            "screening_rounds",
            (
                Column("round_id", T),
                Column("district", T),
                Column("opened_at", M),
                Column("closed_at", M),
                Column("due", T),
            ),
            at="opened_at",
            spans=(("opened_at", "closed_at"),),
        ),
        Kind(
            "occupations",
            (PERSON, Column("occupation", T), Column("every_days", Type.INT), _FROM, _TO),
            at="from_at",
            spans=(("from_at", "to_at"),),
        ),
        Kind(
            "isolations",
            (
                PERSON,
                Column("kind", T, choices=("central", "home", "monitoring")),
                _FROM,
                _TO,
                Column("site", T),
            ),
            at="from_at",
            spans=(("from_at", "to_at"),),
        ),
        Kind(
            "clearances",
            (
                PERSON,
                Column("rule", T),
                Column("finding", T, choices=("no_link", "link", "registered", "paper_report", "released")),
                Column("officer", T),
                Column("second_officer", T),
                Column("at", M),
                Column("reason", T),
            ),
            at="at",
        ),
        Kind(
            "retractions",
            (
                Column("retracts", T, required=False, outer="document_id"),
                _opt("source", T),
                _opt("from_at", M, outer="from"),
                _TO,
                Column("reason", T),
                Column("by", T),
            ),
            at=None,
            spans=(("from_at", "to_at"),),
            either=(("retracts", "source"),),
        ),
    )
}

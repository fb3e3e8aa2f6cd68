"""The record: what happened to a system, to whom, when, how far it reached, and how we know.

Immutable values. An empty text, an empty tuple and `unknown` all say "not known" or "not said"; nothing is guessed.
`kangma.incidents.form` reads and writes them; a `Record` that came through it keeps every limit and vocabulary below.
Every field has a level, and every item of a list one of its own (see `kangma.incidents.levels`).
"""

from __future__ import annotations

# ruff: noqa: RUF009  text() and words() make dataclass fields
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kangma.incidents.vocabulary import (
    ActorType,
    Attribution,
    Basis,
    Certainty,
    Confidence,
    Degree,
    Exactness,
    Kind,
    Level,
    Licence,
    Organisation,
    Relation,
    Reliability,
    Sector,
    Term,
    Unit,
)
from kangma.incidents.words import Dated, Words

#: Limits, in characters and items; a record of 100,000 characters is long, one of a million an attack.
NAME, LINE, NOTE, ARTICLE, ITEMS, TAGS = 200, 600, 4_000, 40_000, 100, 20


def text(most: int, form: str = "") -> Any:
    """A text field of at most so many characters; "" means not said. `form` names a further check of `form.py`."""
    return field(default="", metadata={"most": most, "form": form})


def words(most: int) -> Any:
    return field(default_factory=Words, metadata={"most": most})


@dataclass(frozen=True, slots=True)
class Victim:
    """Who it happened to: the system and the organisation behind it."""

    name: str = text(NAME)  # as its own people call it
    names: Words = words(NAME)  # in other languages, the own one among them
    organisation: Organisation = Organisation.UNKNOWN
    sector: Sector = Sector.UNKNOWN
    country: str = field(default="unknown", metadata={"most": 7, "form": "country"})
    place: Words = words(NAME)


@dataclass(frozen=True, slots=True)
class Location:
    """Where it happened or was felt, where that is not simply the victim's place."""

    country: str = field(default="unknown", metadata={"most": 7, "form": "country"})
    place: Words = words(NAME)


@dataclass(frozen=True, slots=True)
class Effect:
    """On one of confidentiality, integrity, availability."""

    degree: Degree = Degree.UNKNOWN
    note: Words = words(NOTE)


@dataclass(frozen=True, slots=True)
class Motive:
    """Why, and on what ground that is said: nobody says it is a speculation that is none."""

    term: Term = Term.UNKNOWN
    basis: Basis = Basis.SPECULATED
    confidence: Confidence = Confidence.UNKNOWN
    note: Words = words(NOTE)
    level: Level = Level.PUBLIC


@dataclass(frozen=True, slots=True)
class Technique:
    """Of MITRE ATT&CK. `name` is the table's where it knows the id."""

    id: str = text(9, "technique")
    name: str = text(NAME)
    note: Words = words(NOTE)
    level: Level = Level.PUBLIC


@dataclass(frozen=True, slots=True)
class Actor:
    """`name` "" : not named by anybody. `attribution` none with a type `unknown` : nobody knows, and that is said."""

    name: str = text(NAME)
    type: ActorType = ActorType.UNKNOWN
    country: str = field(default="unknown", metadata={"most": 7, "form": "country"})
    place: Words = words(NAME)
    attribution: Attribution = Attribution.NONE
    by: str = text(NAME)  # who attributes
    note: Words = words(NOTE)
    level: Level = Level.PUBLIC


@dataclass(frozen=True, slots=True)
class Figure:
    """How much: a decimal number as text, so that it is the same everywhere (`1400000`, `0.7`)."""

    what: Words = words(LINE)
    value: str = text(24, "decimal")
    unit: Unit = Unit.OTHER
    exactness: Exactness = Exactness.ABOUT
    level: Level = Level.PUBLIC


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that went on working."""

    what: Words = words(LINE)
    level: Level = Level.PUBLIC


@dataclass(frozen=True, slots=True)
class Action:
    """What was done about it, when and by whom."""

    what: Words = words(NOTE)
    at: Dated | None = None
    by: str = text(NAME)
    level: Level = Level.PUBLIC


@dataclass(frozen=True, slots=True)
class Related:
    """Another record, of this register or one that is not here (yet). Circles are no fault."""

    id: str = text(80, "id")
    relation: Relation = Relation.RELATED
    note: Words = words(NOTE)
    level: Level = Level.PUBLIC


@dataclass(frozen=True, slots=True)
class Source:
    """`digest`: SHA-256 (hex) of the copy that we keep, "" when we keep none."""

    title: str = text(LINE)
    publisher: str = text(NAME)
    url: str = text(2_000, "url")
    date: Dated | None = None
    digest: str = text(64, "sha256")
    reliability: Reliability = Reliability.F
    level: Level = Level.PUBLIC


@dataclass(frozen=True, slots=True)
class Picture:
    """`digest`: SHA-256 (hex) of the file, which the register keeps beside the record."""

    digest: str = text(64, "sha256")
    type: str = text(20, "picture")  # image/png, image/jpeg, image/webp
    licence: Licence = Licence.OWN
    credit: str = text(LINE)
    alt: Words = words(LINE)  # what is seen, for those who do not see it


@dataclass(frozen=True, slots=True)
class Record:
    """`levels` names the fields that only members see; a field that it does not name is public."""

    id: str = text(80, "id")
    certainty: Certainty = Certainty.UNKNOWN
    kinds: tuple[Kind, ...] = ()
    victim: Victim | None = None
    date: Dated | None = None
    location: Location | None = None
    summary: Words = words(LINE)
    description: Words = words(ARTICLE)
    confidentiality: Effect = Effect()
    integrity: Effect = Effect()
    availability: Effect = Effect()
    motives: tuple[Motive, ...] = ()
    techniques: tuple[Technique, ...] = ()
    actors: tuple[Actor, ...] = ()
    impact: tuple[Figure, ...] = ()
    kept_working: tuple[Kept, ...] = ()
    actions: tuple[Action, ...] = ()
    related: tuple[Related, ...] = ()
    sources: tuple[Source, ...] = ()
    picture: Picture | None = None
    levels: Mapping[str, Level] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.id)

    def fields(self) -> Iterator[tuple[str, Any]]:
        """(name, value) of every field that has a level, in the order in which people read them."""
        for name in FIELDS:
            yield name, getattr(self, name)

    def level(self, name: str) -> Level:
        return self.levels.get(name, Level.PUBLIC)


#: Every field that has a level: all but the address and the levels themselves.
FIELDS = tuple(name for name in Record.__dataclass_fields__ if name not in ("id", "levels"))

"""Which documents can matter to whom: the raw relations of a cycle that judges few persons.

What concerns areas, counties, cases and who is who concerns everybody; it is little, and taken whole. Of the rest only
what can matter to the persons in question is laid before kangma.evidence, every relation closed under what the facts
look at: all versions of a document, all numbers of a person, the contacts between a person and a case, the positive
tests of a tube, all that was said of a place. tests/publish/test_parts.py holds such a city equal to one judged whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kangma.codes.turns import Persons
from kangma.evidence.views import PERSONAL, who_is_who
from kangma.intake.kinds import KINDS, Type
from kangma.store.by_person import Documents, Part, Rows, raw_schema

#: Kinds of few documents, which concern everybody.
WHOLE = (
    "identities",
    "retractions",
    "cases",
    "areas",
    "area_lists",
    "counties",
    "screening_rounds",
)


class Reach:
    """The raw relations on `con`: first what concerns everybody, then of whom they are asked for."""

    def __init__(self, con: duckdb.DuckDBPyConnection, documents: Documents) -> None:
        self.con, self.documents = con, documents
        self._tables: dict[str, pa.Table] = {}
        tables = {kind: documents.whole(kind) if kind in WHOLE else raw_schema(kind).empty_table() for kind in KINDS}
        self._register(tables)
        known = who_is_who(con)
        order = np.argsort(known["person"].to_numpy())
        self._alias = known["person"].to_numpy()[order]
        self._stands = known["canonical"].to_numpy()[order]

    # who is who ------------------------------------------------------------------------------------------------------

    def canonical(self, persons: NDArray[np.uint32]) -> Persons:
        """The persons for whom these numbers stand, ascending, each once."""
        return np.unique(self._stand_for(persons))

    def numbers(self, persons: NDArray[np.uint32]) -> Persons:
        """Every number under which documents of these persons may have come in."""
        persons = self.canonical(persons)
        more = self._alias[np.isin(self._stands, persons)]
        return np.union1d(persons, more) if len(more) else persons

    def _stand_for(self, persons: NDArray[np.uint32]) -> NDArray[np.uint32]:
        if not len(self._alias):
            return persons
        at = np.minimum(np.searchsorted(self._alias, persons), len(self._alias) - 1)
        return np.where(self._alias[at] == persons, self._stands[at], persons)

    # contacts ----------------------------------------------------------------------------------------------------------

    def between(self, persons: Persons) -> Persons:
        """These persons, and the contacts between them and a case, up to its head; canonical."""
        reached = fresh = self.canonical(persons)
        while len(fresh):
            numbers = self.numbers(fresh)
            found = [
                part.table["index_person"].take(pa.array(part.rows_of(numbers))).drop_null().to_numpy()
                for part in self.documents.parts("contacts")
            ]
            there = self.canonical(np.concatenate([np.empty(0, np.uint32), *found]))
            fresh = np.setdiff1d(there, reached, assume_unique=True)
            reached = np.union1d(reached, fresh)
        return reached

    def behind(self, persons: Persons) -> Persons:
        """These persons, and whoever is a contact of theirs, of a case of theirs, or of such a contact; canonical."""
        cases = self.documents.whole("cases")
        reached = fresh = self.canonical(persons)
        while len(fresh):
            numbers = pa.array(self.numbers(fresh))
            theirs = cases["case_id"].filter(pc.is_in(cases["person"], numbers)).unique()
            found = []
            for part in self.documents.parts("contacts"):
                near = pc.is_in(part.table["index_person"], numbers)
                near = pc.or_(near, pc.is_in(part.table["index_case_id"].cast(pa.string()), theirs))
                found.append(part.person[near.to_numpy()])
            there = self.canonical(np.concatenate([np.empty(0, np.uint32), *found]))
            fresh = np.setdiff1d(there, reached, assume_unique=True)
            reached = np.union1d(reached, fresh)
        return reached

    # documents ---------------------------------------------------------------------------------------------------------

    def of_cases(self) -> None:
        """On `con`: what tracing asks of the persons of all cases."""
        numbers = self.numbers(self.documents.whole("cases")["person"].to_numpy())
        self._register({kind: self.documents.chosen(kind, _of(numbers)) for kind in ("tests", "isolations")})

    def of_persons(self, persons: Persons) -> None:
        """On `con`: everything that can matter to these persons."""
        numbers = self.numbers(self.between(persons))
        tables = {
            kind: self.documents.chosen(kind, _of(numbers), tubes=kind == "tests") for kind in PERSONAL
        }
        tables["places"] = self._places()
        tables["visits"] = self._visits(numbers)
        self._register(tables)

    def risky_places(self) -> NDArray[np.uint32]:
        """Places of which a document says that they lie in an area of which a document says that it was at risk."""
        areas: list[pa.Array] = []
        for kind in ("areas", "area_lists"):
            table = self.documents.whole(kind)
            areas.append(table["area_id"].filter(pc.not_equal(table["level"], "low")).drop_null())
        risky = pa.chunked_array([c for a in areas for c in a.chunks], pa.string()).unique()
        found = [
            part.table["place"].filter(pc.is_in(part.table["area_id"].cast(pa.string()), risky)).to_numpy()
            for part in self.documents.parts("places")
        ]
        return np.unique(np.concatenate([np.empty(0, np.uint32), *found]))

    def _places(self) -> pa.Table:
        risky = self.risky_places()

        def said(part: Part) -> Rows:
            return np.flatnonzero(np.isin(part.table["place"].to_numpy(), risky))

        return self.documents.chosen("places", said)

    def _visits(self, numbers: Persons) -> pa.Table:
        parts = self.documents.visits_at(self.risky_places())
        return self.documents.chosen_of("visits", parts, [part.rows_of(numbers) for part in parts])

    def _register(self, tables: Mapping[str, pa.Table]) -> None:
        for kind, table in tables.items():
            self.con.register(f"raw_{kind}", table)
        self._tables |= tables
        # The text of a row names persons and places by their keys.
        columns = [
            table[c.name].drop_null().unique().to_numpy()
            for kind, table in self._tables.items()
            for c in KINDS[kind].stored
            if c.type is Type.PERSON and table.num_rows
        ]
        persons = np.unique(np.concatenate([np.empty(0, np.uint32), *columns]))
        self.con.register("person_keys", self.documents.keys.take(pa.array(persons)))
        places = self._tables["visits"]["place"].unique().to_numpy()
        self.con.register("place_numbers", self.documents.place_ids(np.sort(places)))


def _of(numbers: Persons) -> Callable[[Part], Rows]:
    return lambda part: part.rows_of(numbers)

"""Which documents can matter to whom: the raw rows of a cycle that judges few persons.

What concerns areas, counties, cases and who is who concerns everybody; it is little, and taken whole. Of the rest only
what can matter to the persons in question is laid before kangma.evidence, every relation closed under what the facts
look at: all versions of a document, all numbers of a person, the contacts between a person and a case, the positive
tests of a tube, all that was said of a place. tests/publish/test_parts.py holds such a city equal to one judged whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kangma.codes.turns import ALIASES, Persons
from kangma.evidence.few import Few, Names
from kangma.evidence.runs import distinct
from kangma.evidence.views import PERSONAL, raw_schema
from kangma.store.by_person import Documents, Part, Rows, documents_of
from kangma.store.state import State

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
    """Raw rows in memory: first what concerns everybody, then of whom they are asked for.

    It is kept from cycle to cycle (`reach_of`), and with it what kangma.evidence made of the kinds that concern
    everybody: they seldom change.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, documents: Documents) -> None:
        self.con, self.documents = con, documents
        self.few = Few(con, Names(documents.key_of, documents.place_id_of))
        self._who = ""
        self._risky = ("", np.empty(0, np.uint32))
        self._places = ("", raw_schema("places").empty_table())

    def refresh(self) -> None:
        """What is visible now."""
        self.documents.refresh()
        self.few.give({kind: self.documents.whole(kind) for kind in WHOLE})
        who = self.documents.digest(["identities", "retractions"])
        if who != self._who:
            self.few.who_is_who()
            self._who = who

    def city_wide(self) -> str:
        """Digest of the evidence that concerns everybody, but for cases: `Few.facts` depends on its names of places."""
        return self.documents.digest([*(kind for kind in WHOLE if kind != "cases"), "places"])

    # who is who ------------------------------------------------------------------------------------------------------

    def canonical(self, persons: NDArray[np.uint32]) -> Persons:
        """The persons for whom these numbers stand, ascending, each once."""
        return distinct([self.few.canonical(persons)], np.uint32)

    def numbers(self, persons: NDArray[np.uint32]) -> Persons:
        """Every number under which documents of these persons may have come in."""
        persons = self.canonical(persons)
        more = self.few.alias[np.isin(self.few.stands, persons)]
        return np.union1d(persons, more) if len(more) else persons

    def aliases(self) -> pa.Table:
        """ALIASES: every number that stands for another one, and for whose."""
        return pa.table({"person": self.few.alias, "canonical": self.few.stands}).cast(ALIASES)

    # contacts ----------------------------------------------------------------------------------------------------------

    def between(self, persons: Persons) -> Persons:
        """These persons, and the contacts between them and a case, up to its head; canonical."""
        reached = fresh = self.canonical(persons)
        while len(fresh):
            numbers = self.numbers(fresh)
            found = [
                part.column("index_person", part.rows_of(numbers)).drop_null().to_numpy()
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
                near = pc.is_in(part.column("index_person"), numbers)
                near = pc.or_(near, pc.is_in(part.column("index_case_id"), theirs))
                found.append(part.person[near.to_numpy(zero_copy_only=False)])
            there = self.canonical(np.concatenate([np.empty(0, np.uint32), *found]))
            fresh = np.setdiff1d(there, reached, assume_unique=True)
            reached = np.union1d(reached, fresh)
        return reached

    # documents ---------------------------------------------------------------------------------------------------------

    def of_cases(self, cases: pa.Array | None) -> None:
        """On `con`, as live documents: what tracing asks of the persons of these cases, None of all."""
        table = self.documents.whole("cases")
        if cases is not None:

            def named(part: Part) -> Rows:
                there = pc.is_in(part.column("case_id"), cases)
                return np.flatnonzero(there.to_numpy(zero_copy_only=False))

            table = self.documents.chosen("cases", named)
        numbers = self.numbers(table["person"].to_numpy())
        chosen = {kind: self.documents.chosen(kind, _of(numbers)) for kind in ("tests", "isolations")}
        self.few.give({"cases": table, **chosen})
        self.few.documents(("cases", "tests", "isolations"))

    def told(self, kind: str, generation: int) -> list[tuple[Part, Rows]]:
        """The rows of a kind that are new since a generation, and those of other versions of the same documents."""
        parts = self.documents.since(kind, generation)
        if not parts:
            return []
        return [(part, np.arange(part.rows)) for part in parts] + self.documents.versions(kind, parts)

    def cases_of(self, persons: NDArray[np.uint32]) -> pa.Array:
        """The ids of the cases of these persons."""
        table = self.documents.whole("cases")
        return (
            table["case_id"]
            .filter(pc.is_in(table["person"], pa.array(self.numbers(persons))))
            .combine_chunks()
        )

    def of_persons(self, persons: Persons) -> None:
        """Everything that can matter to these persons."""
        numbers = self.numbers(self.between(persons))
        tables = {kind: self.documents.chosen(kind, _of(numbers), tubes=kind == "tests") for kind in PERSONAL}
        tables["places"] = self._risky_descriptions()
        tables["visits"] = self._visits(numbers)
        tables["cases"] = self.documents.whole("cases")
        self.few.give(tables)

    def risky_places(self) -> NDArray[np.uint32]:
        """Places of which a document says that they lie in an area of which a document says that it was at risk."""
        key = self.documents.digest(["areas", "area_lists", "places"])
        if self._risky[0] != key:
            self._risky = (key, self._find_risky_places())
        return self._risky[1]

    def _find_risky_places(self) -> NDArray[np.uint32]:
        areas: list[pa.Array] = []
        for kind in ("areas", "area_lists"):
            table = self.documents.whole(kind)
            areas.append(table["area_id"].filter(pc.not_equal(table["level"], "low")).drop_null())
        risky = pa.chunked_array([c for a in areas for c in a.chunks], pa.string()).unique()
        found = [
            part.column("place").filter(pc.is_in(part.column("area_id"), risky)).to_numpy()
            for part in self.documents.parts("places")
        ]
        return distinct(found, np.uint32)

    def _risky_descriptions(self) -> pa.Table:
        """All that was said of risky places."""
        key = self.documents.digest(["areas", "area_lists", "places"])
        if self._places[0] != key:
            risky = self.risky_places()

            def said(part: Part) -> Rows:
                return np.flatnonzero(np.isin(part.column("place").to_numpy(), risky))

            self._places = (key, self.documents.chosen("places", said))
        return self._places[1]

    def _visits(self, numbers: Persons) -> pa.Table:
        parts = self.documents.visits_at(self.risky_places())
        return self.documents.chosen_of("visits", parts, [part.rows_of(numbers) for part in parts])


@contextmanager
def reach_of(state: State) -> Iterator[Reach]:
    """The reach of an open state as of now, kept until the state closes; made anew after a failure, which may have
    left half of something on its connection. For whoever holds the state's lock."""
    if "reach" not in state.kept:
        stack = state.closing.enter_context(ExitStack())
        state.kept["reach"] = (stack, Reach(stack.enter_context(state.engine.alone()), documents_of(state)))
    stack, reach = state.kept["reach"]
    try:
        reach.refresh()
        yield reach
    except BaseException:
        del state.kept["reach"]
        stack.close()
        raise


def column(told: list[tuple[Part, Rows]], name: str) -> pa.Array:
    """The values of a column in these rows, nulls left out."""
    return pa.concat_arrays([part.column(name, rows).drop_null() for part, rows in told])


def _of(numbers: Persons) -> Callable[[Part], Rows]:
    return lambda part: part.rows_of(numbers)

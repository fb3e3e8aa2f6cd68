"""Documents in memory, by person: what a program that lives long asks, so that a cycle of few persons reads few rows.

Parquet serves whole scans: a few hundred persons lie scattered over all row groups of a segment, and reading them costs
as much as reading everybody. So every live segment of the kinds that speak of persons is read once, sorted by person,
and kept with an index of its documents and tubes for as long as it is live. Nothing of this is written: a program that
begins anew reads the segments anew, and what was shredded leaves with its segment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kangma.evidence.runs import bounds, distinct, is_among, spread
from kangma.evidence.views import raw_columns, raw_schema
from kangma.intake.kinds import KINDS
from kangma.store import numbers, segments
from kangma.store import registry as r
from kangma.store.engine import parquet
from kangma.store.segments import PLACE_NUMBERS, Segment

if TYPE_CHECKING:
    from kangma.store.state import State

U64 = NDArray[np.uint64]
Rows = NDArray[np.int64]  # (n,) row numbers of one part, ascending, each once

#: A text column of which so many rows share a word, in the mean, is kept as a dictionary.
_OFTEN = 8


@dataclass(frozen=True, eq=False)
class Index:
    """Where each value lies.

    value: (n,) ascending, values may repeat
    row:   (n,) uint32, the row of each
    """

    value: NDArray[Any]
    row: NDArray[np.uint32]

    @classmethod
    def of(cls, value: NDArray[Any], row: NDArray[np.uint32]) -> Index:
        order = np.argsort(value, kind="stable")
        return cls(value[order], row[order])

    def __call__(self, wanted: NDArray[Any]) -> Rows:
        """The rows of these values."""
        return np.sort(self.row[spread(*bounds(self.value, wanted))].astype(np.int64))


@dataclass(frozen=True, eq=False)
class Part:
    """One segment, ascending by person where its kind has one; a column that says the same everywhere takes no room.

    varying:  name → (rows,) the column, texts that repeat as dictionaries
    constant: name → the one value of the column
    document: (rows,) hash of feed and document id; empty where no row has an id
    named:    (rows,) bool, whether the row has a document id; the hash of others says nothing; empty likewise
    tube:     (rows,) hash of laboratory and tube; of tests only
    """

    rows: int
    varying: Mapping[str, pa.Array]
    constant: Mapping[str, pa.Scalar]
    document: U64
    named: NDArray[np.bool_]
    tube: U64 | None

    def column(self, name: str, rows: Rows | None = None) -> pa.Array:
        """A column, whole or in these rows; dictionaries as plain texts."""
        if name in self.constant:
            return pa.repeat(self.constant[name], self.rows if rows is None else len(rows))
        values = self.varying[name] if rows is None else self.varying[name].take(pa.array(rows))
        return values.cast(pa.string()) if pa.types.is_dictionary(values.type) else values

    def take(self, kind: str, rows: Rows | None = None) -> pa.Table:
        """Rows as raw_<kind> has them."""
        schema = raw_schema(kind)
        return pa.table([self.column(f.name, rows) for f in schema], schema=schema)

    @cached_property
    def person(self) -> NDArray[np.uint32]:
        column: NDArray[np.uint32] = self.column("person").to_numpy()
        return column

    @cached_property
    def by_document(self) -> Index:
        rows = np.flatnonzero(self.named).astype(np.uint32)
        return Index.of(self.document[rows], rows)

    @cached_property
    def by_tube(self) -> Index:
        return self._tubes(self.column("pool_id").is_valid())

    @cached_property
    def by_positive_tube(self) -> Index:
        return self._tubes(
            pc.and_(self.column("pool_id").is_valid(), pc.equal(self.column("result"), "positive"))
        )

    def _tubes(self, which: pa.Array) -> Index:
        assert self.tube is not None
        rows = np.flatnonzero(which.to_numpy(zero_copy_only=False)).astype(np.uint32)
        return Index.of(self.tube[rows], rows)

    def rows_of(self, persons: NDArray[np.uint32]) -> Rows:
        """The rows of these persons (ascending, each once)."""
        return spread(*bounds(self.person, persons))

    def tubes(self, rows: Rows) -> U64:
        """The tubes of these rows of tests."""
        assert self.tube is not None
        pooled = self.column("pool_id", rows).is_valid().to_numpy(zero_copy_only=False)
        tubes: U64 = self.tube[rows[pooled]]
        return tubes

    def documents(self, rows: Rows) -> U64:
        """The documents of these rows that have an id."""
        return self.document[rows[self.named[rows]]] if len(self.named) else self.document

    @property
    def ids(self) -> U64:
        """The documents of all rows that have an id."""
        return self.document[self.named]


class Documents:
    """The live documents of one state as they were at the last `refresh`. One thread at a time."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._parts: dict[str, Part] = {}
        self._tables: dict[str, tuple[tuple[str, ...], pa.Table]] = {}
        self._near: dict[str, Part] = {}
        self._several: dict[str, tuple[set[str], U64]] = {}
        self._near_places = b""
        self._visit_ids: dict[str, U64] = {}
        self.segments: dict[str, list[Segment]] = {}
        self.generation = -1
        self.persons = 0
        self.keys = numbers.person_table(state.path / "persons.keys", 0)

    def refresh(self) -> int:
        """What is visible now; its generation. Parts whose segment is no longer live are let go."""
        state = self._state
        with state.registry.read() as on:
            self.generation, persons = r.counter(on, "generation"), r.counter(on, "persons")
            found = segments.live(state, on)
        if persons != self.persons:
            self.persons = persons
            self.keys = numbers.person_table(state.path / "persons.keys", persons)
        self.segments = {}
        for s in found:
            self.segments.setdefault(s.kind, []).append(s)
        live = {s.segment for s in found}
        self._parts = {name: part for name, part in self._parts.items() if name in live}
        self._visit_ids = {name: ids for name, ids in self._visit_ids.items() if name in live}
        return self.generation

    @property
    def key_bytes(self) -> NDArray[np.uint8]:
        """(persons, 16) the key of each person number."""
        keys = self.keys["key"].combine_chunks()
        return np.frombuffer(keys.buffers()[1] or b"", np.uint8)[: 16 * self.persons].reshape(-1, 16)

    def key_of(self, persons: NDArray[np.uint32]) -> list[bytes]:
        """The 16-byte key of each of these persons."""
        return [bytes(key) for key in self.key_bytes[persons]]

    def place_id_of(self, places: NDArray[np.uint32]) -> list[str]:
        """The id of each of these places."""
        found: list[str] = self.place_ids(places)["place_id"].to_pylist()
        return found

    def digest(self, kinds: Collection[str]) -> str:
        """`State.evidence_digest` as at the last refresh."""
        return segments.digest(s for kind in kinds for s in self.segments.get(kind, []))

    def parts(self, kind: str) -> list[Part]:
        """The parts of a kind, one a segment."""
        return [self._part(s) for s in self.segments.get(kind, [])]

    def since(self, kind: str, generation: int) -> list[Part]:
        """The parts with a row that became visible after that generation."""
        return [self._part(s) for s in self.segments.get(kind, []) if s.newest > generation]

    def whole(self, kind: str) -> pa.Table:
        """All rows of a kind of few documents, as raw_<kind> has them."""
        names = tuple(s.segment for s in self.segments.get(kind, []))
        there = self._tables.get(kind)
        if there is None or there[0] != names:
            parts = [part.take(kind) for part in self.parts(kind)]
            there = (names, pa.concat_tables([raw_schema(kind).empty_table(), *parts]).combine_chunks())
            self._tables[kind] = there
        return there[1]

    def chosen(self, kind: str, choose: Callable[[Part], Rows], *, tubes: bool = False) -> pa.Table:
        """The rows of a kind that `choose` names, part by part, with every other version of the same documents, as
        raw_<kind> has them. `tubes`: and with whatever is positive in the tubes of these tests."""
        several = self._in_several_rows(kind)
        parts = self.parts(kind)
        rows = [choose(part) for part in parts]
        if tubes:
            wanted = distinct(part.tubes(found) for part, found in zip(parts, rows, strict=True))
            rows = [
                _both(found, part.by_positive_tube(wanted)) for part, found in zip(parts, rows, strict=True)
            ]
        return self.chosen_of(kind, parts, rows, several)

    @staticmethod
    def chosen_of(kind: str, parts: list[Part], rows: list[Rows], several: U64 | None = None) -> pa.Table:
        """These rows of these parts, with every other version, in these parts, of the same documents. `several`: no other
        documents have more rows than one."""
        pairs = list(zip(parts, rows, strict=True))
        wanted = distinct(part.documents(found) for part, found in pairs)
        if several is not None:
            wanted = wanted[is_among(wanted, several)]
        tables = [part.take(kind, _both(found, part.by_document(wanted))) for part, found in pairs]
        return pa.concat_tables([raw_schema(kind).empty_table(), *tables]).combine_chunks()

    def _in_several_rows(self, kind: str) -> U64:
        """Hashes of the documents of a kind that may have more rows than one, ascending: all that have, some that had.
        Most have one, and looking for others in every part would cost more than all the rest."""
        seen, several = self._several.get(kind, (set[str](), np.empty(0, np.uint64)))
        parts = {s.segment: self._part(s) for s in self.segments.get(kind, [])}
        for name in parts.keys() - seen:
            ids = parts[name].by_document.value
            found = [several, ids[1:][ids[1:] == ids[:-1]]]
            found += [ids[is_among(ids, other.by_document.value)] for n, other in parts.items() if n != name]
            several = distinct(found)
        self._several[kind] = (set(parts), several)
        return several

    def visits_at(self, places: NDArray[np.uint32], *, since: int = -1) -> list[Part]:
        """The visits at these places, and every version of the same documents: by segment, of those that are visible
        only after the generation `since`."""
        found = self.segments.get("visits", [])
        name = places.tobytes()
        if self._near_places != name:
            self._near_places, self._near = name, {}
        fresh = [s for s in found if s.segment not in self._near]
        for s in fresh:
            self._near[s.segment] = read_part(self._state, s, places=places)
        gone = self._near.keys() - {s.segment for s in found}
        for segment in gone:
            del self._near[segment]
        if (fresh or gone) and any(len(self.visit_ids(s)) for s in found):
            self._with_versions(found)
        return [self._near[s.segment] for s in found if s.newest > since]

    def visit_ids(self, segment: Segment) -> U64:
        """Hashes of the documents of a segment of visits that have an id, ascending."""
        ids = self._visit_ids.get(segment.segment)
        if ids is None:
            with self._state.engine.work() as con:
                query = f"SELECT hash(feed, document_id) AS document FROM {parquet([segment.path])}"
                ids = np.sort(
                    con.sql(f"{query} WHERE document_id IS NOT NULL").to_arrow_table()["document"].to_numpy()
                )
            self._visit_ids[segment.segment] = ids
        return ids

    def _with_versions(self, found: list[Segment]) -> None:
        """Visits near places that have other versions elsewhere: read anew with those."""
        wanted = distinct(part.ids for part in self._near.values())
        there = sum(
            (np.subtract(*bounds(self.visit_ids(s), wanted)[::-1]) for s in found),
            np.zeros(len(wanted), np.int64),
        )
        here = np.sort(np.concatenate([part.ids for part in self._near.values()]))
        more = wanted[there > np.subtract(*bounds(here, wanted)[::-1])]
        if not len(more):
            return
        for s in found:
            starts, ends = bounds(self.visit_ids(s), more)
            if (ends > starts).any():
                places = np.frombuffer(self._near_places, np.uint32)
                self._near[s.segment] = read_part(self._state, s, places=places, documents=more)

    def place_ids(self, places: NDArray[np.uint32]) -> pa.Table:
        """(place, place_id) of these places."""
        found = self.segments.get(PLACE_NUMBERS, [])
        names = tuple(s.segment for s in found)
        there = self._tables.get(PLACE_NUMBERS)
        if not found:
            return pa.table({"place": pa.array([], pa.uint32()), "place_id": pa.array([], pa.string())})
        if there is None or there[0] != names:
            query = f"SELECT place, place_id FROM {parquet([s.path for s in found])} ORDER BY place"
            with self._state.engine.work() as con:
                there = self._tables[PLACE_NUMBERS] = (
                    names,
                    con.sql(query).to_arrow_table().combine_chunks(),
                )
        at = np.searchsorted(there[1]["place"].to_numpy(), places)
        return there[1].take(pa.array(at))

    def versions(self, kind: str, fresh: Iterable[Part]) -> list[tuple[Part, Rows]]:
        """The rows, of all parts, of the documents that the `fresh` parts hold a version of."""
        wanted = distinct(part.ids for part in fresh)
        return [(part, part.by_document(wanted)) for part in self.parts(kind)]

    def _part(self, segment: Segment) -> Part:
        part = self._parts.get(segment.segment)
        if part is None:
            part = self._parts[segment.segment] = read_part(self._state, segment)
        return part


_OPENING = Lock()


def documents_of(state: State) -> Documents:
    """The documents of an open state: the same object for as long as it is open."""
    with _OPENING:
        if "documents" not in state.kept:
            state.kept["documents"] = Documents(state)
        found: Documents = state.kept["documents"]
        return found


def read_part(
    state: State,
    segment: Segment,
    *,
    places: NDArray[np.uint32] | None = None,
    documents: U64 | None = None,
) -> Part:
    """The rows of a segment; where given, only those at one of these places or of one of these documents."""
    columns = raw_columns(KINDS[segment.kind])
    listed = ", ".join(f'"{name}"::{sql} AS "{name}"' for name, sql in columns.items())
    tube = "hash(lab, pool_id)" if segment.kind == "tests" else "NULL"
    order = " ORDER BY person" if "person" in columns else ""
    where = []
    with state.engine.work() as con:
        if places is not None:
            con.register("near_places", pa.table({"place": places}))
            where.append("place IN (SELECT place FROM near_places)")
        if documents is not None:
            con.register("near_documents", pa.table({"document": documents}))
            named = "document_id IS NOT NULL AND hash(feed, document_id)"
            where.append(f"{named} IN (SELECT document FROM near_documents)")
        table = con.sql(
            f"SELECT {listed}, hash(feed, document_id) AS document, document_id IS NOT NULL AS named, {tube} AS tube "
            f"FROM {parquet([segment.path])} WHERE {' OR '.join(where) or 'true'}{order}"
        ).to_arrow_table()
    found = {name: table.column(name).combine_chunks() for name in table.column_names}
    constant = {n: found[n][0] for n in columns if _says_one_thing(found[n])}
    some = bool(pc.any(found["named"]).as_py())
    return Part(
        table.num_rows,
        {n: _shorter(found[n]) for n in columns if n not in constant},
        constant,
        found["document"].to_numpy() if some else np.empty(0, np.uint64),
        found["named"].to_numpy(zero_copy_only=False) if some else np.empty(0, bool),
        found["tube"].to_numpy() if segment.kind == "tests" else None,
    )


def _says_one_thing(column: pa.Array) -> bool:
    if len(column) == 0 or column.null_count not in (0, len(column)):
        return False
    return column.null_count > 0 or bool(pc.all(pc.equal(column, column[0])).as_py())


def _shorter(column: pa.Array) -> pa.Array:
    if column.type != pa.string() or not len(column):
        return column
    words = column.dictionary_encode()
    if len(words.dictionary) * _OFTEN > len(words):
        return column
    width = pa.int8() if len(words.dictionary) < 2**7 else pa.int32()
    return pa.DictionaryArray.from_arrays(words.indices.cast(width), words.dictionary)


def _both(one: Rows, other: Rows) -> Rows:
    return distinct([one, other], np.int64) if len(other) else one

"""Live documents and facts of a few persons, out of tables in memory: what a cycle needs of those it judges.

`kangma.evidence.views` says what counts and what follows, in SQL. For some thousand persons most of its statements do
so little that planning them is the work; here the plain ones are done on Arrow tables: which version counts, what was
taken back, whose number stands for whom, and the facts that repeat a document or look up one thing more. What needs
areas, counties, rounds or chains of contacts stays SQL, over these tables. Both ways give the same facts; a property
test (tests/publish/test_parts.py) holds them equal, whatever documents come.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kangma.evidence import views
from kangma.evidence.city import City
from kangma.evidence.facts import FACTS
from kangma.evidence.row_text import row_text
from kangma.evidence.runs import distinct, is_among
from kangma.intake.kinds import KINDS, Kind, Type
from kangma.terms import DAY

Persons = NDArray[np.uint32]
Rows = NDArray[np.int64]

#: Facts that stay SQL.
_BY_SQL = ("contacts", "risk_stays", "county_stays", "city_entries", "missed_rounds")


@dataclass(frozen=True)
class Names:
    """What a row is called in its canonical text: the keys of person numbers, and the ids of place numbers."""

    keys: Callable[[Persons], list[bytes]]
    place_ids: Callable[[NDArray[np.uint32]], list[str]]


@dataclass(frozen=True)
class _Taken:
    """What was taken back: (document id, feed or None for any), and (feed, from or None, to or None)."""

    ids: frozenset[tuple[str, str | None]] = frozenset()
    spans: tuple[tuple[str, int | None, int | None], ...] = ()
    by_row: bool = False  # some of the ids are derived ones


class Few:
    """Documents in reach of a few persons on a connection of their own, kept from cycle to cycle.

    `give` sets raw rows, `who_is_who` must follow when identities or retractions changed, `facts` asks.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, names: Names) -> None:
        self.con, self.names = con, names
        self.raw: dict[str, pa.Table] = {kind: views.raw_schema(kind).empty_table() for kind in KINDS}
        # Numbers that stand for another one, ascending; and for which.
        self.alias = self.stands = np.empty(0, np.uint32)
        self._taken = _Taken()
        self._live: dict[str, pa.Table] = {}
        self._made = ""  # for which city-wide evidence the relations on the connection stand

    def give(self, tables: Mapping[str, pa.Table]) -> None:
        """These are the rows of these kinds, as raw_<kind> has them."""
        for kind, table in tables.items():
            if self.raw[kind] is not table:
                self.raw[kind] = table
                self._live.pop(kind, None)

    def who_is_who(self) -> None:
        """Identities and retractions, anew."""
        self._lay(("identities", "retractions"))
        known = views.who_is_who(self.con)
        order = np.argsort(known["person"].to_numpy())
        self.alias = known["person"].to_numpy()[order]
        self.stands = known["canonical"].to_numpy()[order]
        ids = self.con.sql("FROM retracted_documents").to_arrow_table()
        spans = self.con.sql("FROM retracted_spans").to_arrow_table()
        self._taken = _Taken(
            frozenset(zip(*(ids[n].to_pylist() for n in ("document_id", "feed")), strict=True)),
            tuple(zip(*(spans[n].to_pylist() for n in ("feed", "from_at", "to_at")), strict=True)),
            any(name.startswith("row-") for name in ids["document_id"].to_pylist()),
        )
        self._live.clear()
        self._made = ""

    def canonical(self, persons: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """For each of these numbers the one that stands for it."""
        if not len(self.alias):
            return persons
        at = np.minimum(np.searchsorted(self.alias, persons), len(self.alias) - 1)
        return np.where(self.alias[at] == persons, self.stands[at], persons)

    # live documents ------------------------------------------------------------------------------------------------

    def live(self, name: str) -> pa.Table:
        """The documents of a kind that count, as live_<kind> has them; on the connection under that name."""
        found = self._live.get(name)
        if found is None:
            found = self._counting(KINDS[name])
            if name == "cases":
                found = one_a_case(found)
            elif name == "people":
                found = self._registered(found)
            self._live[name] = found
            self.con.register(f"live_{name}", found)
        return found

    def documents(self, kinds: Collection[str]) -> None:
        """live_<kind> of these kinds on the connection: what tracing needs."""
        for kind in kinds:
            self.live(kind)

    def _counting(self, kind: Kind) -> pa.Table:
        raw = self.raw[kind.name]
        unnamed = raw["document_id"].null_count
        if unnamed and self._taken.by_row:  # every text must be hashed, which SQL does best
            self._lay([kind.name])
            found = views.live_rows(self.con, kind.name, merged=len(self.alias) > 0)
            return found.cast(raw.schema)
        kept = np.ones(raw.num_rows, bool)
        if unnamed < raw.num_rows:
            kept[self._older(kind, raw)] = False
            kept[self._taken_by_id(raw)] = False
        for feed, from_at, to_at in self._taken.spans:
            kept &= ~_within(kind, raw, feed, from_at, to_at)
        found = raw if kept.all() else raw.filter(pa.array(kept))
        return self._standing(kind, found)

    def _older(self, kind: Kind, raw: pa.Table) -> Rows:
        """Rows of which there is a newer version: higher in version, then in the kind's own time, then in text."""
        named = np.flatnonzero(raw["document_id"].is_valid().to_numpy())
        document = _codes(raw["document_id"].combine_chunks())[named]
        feed = _codes(raw["feed"].combine_chunks())[named]
        name = document * (feed.max(initial=0) + 1) + feed
        order = np.argsort(name, kind="stable")
        ordered = name[order]
        same = ordered[1:] == ordered[:-1]
        if not same.any():
            return np.empty(0, np.int64)
        twice = np.zeros(len(order), bool)
        twice[1:] |= same
        twice[:-1] |= same
        rows = named[order[twice]]
        groups: dict[int, list[int]] = {}
        for row, group in zip(rows.tolist(), ordered[twice].tolist(), strict=True):
            groups.setdefault(group, []).append(row)
        at = np.full(raw.num_rows, -(2**62))
        if kind.at is not None:
            at = raw[kind.at].cast(pa.int64()).fill_null(-(2**62)).to_numpy()
        version = raw["document_version"].to_numpy()
        gone = []
        for those in groups.values():
            best = max((version[row], at[row]) for row in those)
            ties = [row for row in those if (version[row], at[row]) == best]
            newest = ties[0] if len(ties) == 1 else max(ties, key=lambda row: self._text(kind, raw, row))
            gone += [row for row in those if row != newest]
        return np.array(gone, np.int64)

    def _text(self, kind: Kind, raw: pa.Table, row: int) -> bytes:
        (said,) = raw.slice(row, 1).to_pylist()
        for column in kind.stored:
            if column.type is Type.PERSON and said[column.name] is not None:
                (said[column.name],) = self.names.keys(np.array([said[column.name]], np.uint32))
        if "place" in said and kind.name != "places":
            (said["place_id"],) = self.names.place_ids(np.array([said["place"]], np.uint32))
        return row_text(kind, said["feed"], said).encode()

    def _taken_by_id(self, raw: pa.Table) -> Rows:
        if not self._taken.ids:
            return np.empty(0, np.int64)
        ids = pa.array(sorted({name for name, _ in self._taken.ids}), pa.string())
        rows = np.flatnonzero(pc.is_in(raw["document_id"], value_set=ids).to_numpy())
        some = raw.select(["document_id", "feed"]).take(pa.array(rows))
        names, feeds = some["document_id"].to_pylist(), some["feed"].to_pylist()
        gone = [
            row
            for row, name, feed in zip(rows.tolist(), names, feeds, strict=True)
            if (name, None) in self._taken.ids or (name, feed) in self._taken.ids
        ]
        return np.array(gone, np.int64)

    def _standing(self, kind: Kind, rows: pa.Table) -> pa.Table:
        """The rows with canonical persons."""
        if not len(self.alias) or not rows.num_rows:
            return rows
        for column in kind.stored:
            if column.type is Type.PERSON:
                said = rows[column.name].combine_chunks()
                numbers = self.canonical(said.fill_null(0).to_numpy())
                meant = pa.array(numbers, pa.uint32(), mask=said.is_null().to_numpy(zero_copy_only=False))
                rows = rows.set_column(rows.schema.get_field_index(column.name), column.name, meant)
        return rows

    def _registered(self, registrations: pa.Table) -> pa.Table:
        """One row a person."""
        person = np.sort(registrations["person"].to_numpy())
        if not (person[1:] == person[:-1]).any():
            return registrations.select(["person", "birth_date", "nationality", "district", "guardian"])
        self._lay(["people"])  # the keys that the texts name
        self.con.register("registrations", registrations)
        return views.one_a_person(self.con)

    # facts ---------------------------------------------------------------------------------------------------------

    def facts(
        self, persons: Persons, city: City, traced: Mapping[str, pa.Table], *, city_wide: str
    ) -> dict[str, pa.Table]:
        """Fact name → its rows, schema of `kangma.evidence.facts`, of these persons (canonical, ascending).

        traced:    `exposures` and `companions` as tracing has them, at least of these persons
        city_wide: digest of the evidence that concerns everybody but for cases; while it is the same, what follows from
                   it is not made again
        """
        self.con.register("wanted", pa.table({"person": pa.array(persons, pa.uint32())}))
        heads = case_heads(self.live("cases"))
        self.con.register("case_heads", heads)
        made = f"{city_wide} {city}"
        known = self._made == made
        self._made = ""
        if not known:
            self._lay((*views.CITY_WIDE, "places"))
            views.city_wide(self.con, city)
        self.documents((*views.PERSONAL, "visits"))
        self._spell(city)
        if not known:
            views.rounds(self.con)
        self._made = made

        there = {kind for kind, table in self.raw.items() if table.num_rows}
        stayed = bool({"area_stays", "city_entries"} & there)
        if stayed:
            views.stays(self.con)
        found: dict[str, pa.Table] = {}
        for name, fact in FACTS.items():
            if name in views.REPEATED:
                found[name] = self._of(self.live(name), persons).select(fact.schema.names).cast(fact.schema)
            elif name in _BY_SQL:
                possible = views.possible(name, there)
                found[name] = views.fact(self.con, name, city) if possible else fact.schema.empty_table()
        found["tests"] = self._tests(persons)
        found["occupations"] = self._occupations(persons)
        for name in ("exposures", "companions"):
            found[name] = self._met(name, traced[name], heads, persons)
        found["people"] = self._people(persons, found, absent=stayed)
        return found

    def _spell(self, city: City) -> None:
        """`written_counties`: what `views.spell` looks for, in tables."""
        told = [self.raw["area_stays"]["county"], self.raw["counties"]["county"]]
        if self.raw["screening_rounds"].num_rows:
            told += [self.raw["screening_rounds"]["district"], self.raw["people"]["district"]]
        words = {word for column in told for word in pc.unique(column).to_pylist() if word is not None}
        views.spell(self.con, sorted(words), city)

    @staticmethod
    def _of(table: pa.Table, persons: Persons) -> pa.Table:
        return table.filter(pa.array(is_among(table["person"].to_numpy(), persons)))

    def _tests(self, persons: Persons) -> pa.Table:
        """With the moment at which the first positive of the same tube was reported; a tube is one laboratory's."""
        schema = FACTS["tests"].schema
        live = self.live("tests")
        pooled = live.filter(
            pc.and_(pc.is_valid(live["pool_id"]), pc.equal(live["result"], pa.scalar("positive")))
        )
        tubes: dict[tuple[str, str], int] = {}
        for lab, pool, at in zip(
            *(pooled[n].to_pylist() for n in ("lab", "pool_id", "reported_at")), strict=True
        ):
            tubes[lab, pool] = min(at, tubes.get((lab, pool), at))
        rows = self._of(live, persons).select([n for n in schema.names if n != "pool_positive_at"])
        positive_at: list[int | None] = [None] * rows.num_rows
        if tubes:
            pools = pa.array(sorted({pool for _, pool in tubes}), pa.string())
            near = np.flatnonzero(pc.is_in(rows["pool_id"], value_set=pools).to_numpy())
            some = rows.select(["lab", "pool_id"]).take(pa.array(near))
            for i, lab, pool in zip(
                near.tolist(), some["lab"].to_pylist(), some["pool_id"].to_pylist(), strict=True
            ):
                positive_at[i] = tubes.get((lab, pool))
        return rows.append_column("pool_positive_at", pa.array(positive_at, pa.int64())).cast(schema)

    def _occupations(self, persons: Persons) -> pa.Table:
        """With the last negative specimen, and `every_days` times 24 hours after it or after the duty began."""
        schema = FACTS["occupations"].schema
        rows = self._of(self.live("occupations"), persons)
        if not rows.num_rows:
            return schema.empty_table()
        tests = self.live("tests")
        nat, negative = (
            pc.equal(tests[name], pa.scalar(word))
            for name, word in (("method", "nat"), ("result", "negative"))
        )
        tests = tests.filter(pc.and_(nat, negative))
        owners = distinct([rows["person"].to_numpy()], np.uint32)
        tests = self._of(tests, owners)
        never = np.iinfo(np.int64).min
        last = np.full(len(owners), never)
        sampled = pc.coalesce(tests["sampled_at"], tests["reported_at"]).fill_null(never).to_numpy()
        np.maximum.at(last, np.searchsorted(owners, tests["person"].to_numpy()), sampled)
        last = last[np.searchsorted(owners, rows["person"].to_numpy())]
        begins = np.maximum(rows["from_at"].to_numpy(), last)
        days = np.clip(rows["every_days"].to_numpy(), 0, views.CENTURY)
        columns = {
            "last_sampled_at": pa.array(last, pa.int64(), mask=last == never),
            "due_at": pa.array(begins + days * DAY, pa.int64()),
        }
        return pa.table(
            [columns.get(n, rows[n] if n in rows.column_names else None) for n in schema.names], schema=schema
        )

    def _met(self, name: str, traced: pa.Table, heads: pa.Table, persons: Persons) -> pa.Table:
        """What tracing found, of cases that still are. Nobody meets themselves."""
        schema = FACTS[name].schema
        person = self.canonical(traced["person"].to_numpy())
        case = pc.index_in(traced["case_id"], value_set=heads["case_id"].combine_chunks())
        kept = is_among(person, persons) & case.is_valid().to_numpy()
        rows, person = traced.filter(pa.array(kept)), person[kept]
        case = case.filter(pa.array(kept)).combine_chunks()
        cases = self.live("cases")
        own = set(zip(cases["case_id"].to_pylist(), cases["person"].to_pylist(), strict=True))
        ill = np.flatnonzero(np.isin(person, cases["person"].to_numpy()))
        themselves = [i for i in ill.tolist() if (rows["case_id"][i].as_py(), int(person[i])) in own]
        columns = {"person": pa.array(person, pa.uint32())}
        columns |= {n: heads[n].combine_chunks().take(case) for n in ("confirmed_at", "excluded_at")}
        found = pa.table(
            [columns.get(n, rows[n] if n in rows.column_names else None) for n in schema.names], schema.names
        )
        if themselves:
            others = np.ones(found.num_rows, bool)
            others[themselves] = False
            found = found.filter(pa.array(others))
        return found.cast(schema)

    def _people(self, persons: Persons, found: Mapping[str, pa.Table], *, absent: bool) -> pa.Table:
        """One row per person of whom anything live is known. Visits alone make nobody known; being at risk, or exposed,
        by one does."""
        schema = FACTS["people"].schema
        people = self._of(self.live("people"), persons)
        registered = people["person"].to_numpy()
        known = [
            self.live(kind)["person"].to_numpy() for kind in (*views.PERSONAL, "cases") if kind != "people"
        ]
        known += [found[name]["person"].to_numpy() for name in ("risk_stays", "exposures", "companions")]
        others = distinct(known, np.uint32)
        others = others[is_among(others, persons)]
        others = np.setdiff1d(others, registered)
        nothing = {
            n: pa.nulls(len(others), schema.field(n).type) for n in ("birth_date", "nationality", "district")
        }
        rows = pa.concat_tables(
            [
                people.select(["person", *nothing]),
                pa.table({"person": pa.array(others, pa.uint32()), **nothing}).cast(
                    people.select(["person", *nothing]).schema
                ),
            ]
        )
        away = pa.array(np.zeros(rows.num_rows, bool))
        since = pa.nulls(rows.num_rows, pa.int64())
        if absent:
            absences = self.con.sql("SELECT person, away, in_city_since FROM absences").to_arrow_table()
            at = pc.index_in(rows["person"], value_set=absences["person"].combine_chunks()).combine_chunks()
            away = absences["away"].combine_chunks().take(at).fill_null(False)
            since = absences["in_city_since"].combine_chunks().take(at)
        return rows.append_column("away", away).append_column("in_city_since", since).cast(schema)

    def _lay(self, kinds: Collection[str]) -> None:
        """raw_<kind> on the connection, with the names that the texts of its rows need."""
        persons: list[Persons] = []
        places: list[NDArray[np.uint32]] = []
        for kind in kinds:
            table = self.raw[kind]
            self.con.register(f"raw_{kind}", table)
            persons += [
                table[c.name].drop_null().to_numpy() for c in KINDS[kind].stored if c.type is Type.PERSON
            ]
            if kind == "visits":
                places.append(table["place"].to_numpy())
        person, place = distinct(persons, np.uint32), distinct(places, np.uint32)
        keys = pa.array(self.names.keys(person), pa.binary(16))
        self.con.register("person_keys", pa.table({"person": pa.array(person, pa.uint32()), "key": keys}))
        ids = pa.array(self.names.place_ids(place), pa.string())
        self.con.register("place_numbers", pa.table({"place": pa.array(place, pa.uint32()), "place_id": ids}))


def one_a_case(reported: pa.Table) -> pa.Table:
    """One row per case and person, as live.sql has it: all live reports of it taken together."""
    words = {
        "kind": "max",
        "confirmed_at": "min",
        "onset_at": "min",
        "infectious_from": "min",
        "discharged_at": "max",
        "excluded_at": "max",
    }
    grouped = reported.group_by(["case_id", "person"], use_threads=False).aggregate(list(words.items()))
    columns = {"case_id": grouped["case_id"], "person": grouped["person"]}
    return pa.table(columns | {name: grouped[f"{name}_{how}"] for name, how in words.items()})


def case_heads(cases: pa.Table) -> pa.Table:
    """case_id, confirmed_at, excluded_at: a case by its id, whoever is named under it; ruled out when it is ruled out
    for everybody named."""
    grouped = cases.group_by("case_id", use_threads=False).aggregate(
        [("confirmed_at", "min"), ("excluded_at", "max"), ("excluded_at", "count"), ("person", "count")]
    )
    everybody = pc.equal(grouped["excluded_at_count"], grouped["person_count"])
    excluded = pc.if_else(everybody, grouped["excluded_at_max"], pa.scalar(None, pa.int64()))
    return pa.table(
        {"case_id": grouped["case_id"], "confirmed_at": grouped["confirmed_at_min"], "excluded_at": excluded}
    )


def _codes(words: pa.Array) -> NDArray[np.int64]:
    """A number for each word, -1 for null."""
    found: NDArray[np.int64] = words.dictionary_encode().indices.fill_null(-1).to_numpy().astype(np.int64)
    return found


def _within(
    kind: Kind, raw: pa.Table, feed: str, from_at: int | None, to_at: int | None
) -> NDArray[np.bool_]:
    """The rows of that feed that happened in [from_at, to_at); a missing bound is no bound. Of a kind that has no time of
    its own only a retraction without bounds takes any; a day counts from 00:00 UTC."""
    theirs: NDArray[np.bool_] = pc.equal(raw["feed"], pa.scalar(feed)).to_numpy()
    if from_at is None and to_at is None:
        return theirs
    if kind.at is None:
        return np.zeros(raw.num_rows, bool)
    unit = DAY if kind.column(kind.at).type is Type.DATE else 1
    at = raw[kind.at].cast(pa.int64())
    inside: NDArray[np.bool_] = at.is_valid().to_numpy() & theirs
    moments = at.fill_null(0).to_numpy() * unit
    if from_at is not None:
        inside &= moments >= from_at
    if to_at is not None:
        inside &= moments < to_at
    return inside

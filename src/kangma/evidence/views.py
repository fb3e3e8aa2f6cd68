"""From the raw rows of the store to live documents to facts, as views and small tables of one DuckDB connection.

`prepare` is all that others call. It needs, on the connection, `raw_<kind>` for every kind of evidence,
`person_keys(person, key)` and `place_numbers(place, place_id)`, and leaves there

- `canonical(person, canonical)`: person numbers that stand for another number's person, and for whose; all others stand
  for themselves;
- `live_<kind>`: documents that count, with canonical person numbers;
- `fact_<name>`: the facts of kangma.evidence.facts.FACTS, exactly their columns.

Big relations (visits, tests, stays) stay views over the raw ones, so nothing is copied; small ones become tables. All
of them say what the evidence said when `prepare` ran: after an absorb, prepare again. Relations are made in the
connection's own database, which is expected to be in memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template

import duckdb
import pyarrow as pa

from kangma.evidence.city import City
from kangma.evidence.facts import FACTS, FactType
from kangma.evidence.row_text import text_sql
from kangma.intake.kinds import KINDS, Kind, Type
from kangma.terms import DAY, HOUR

__all__ = [
    "PERSONAL",
    "City",
    "documents",
    "prepare",
    "raw_columns",
    "raw_schema",
    "statements",
    "who_is_who",
]

_DUCK = {
    Type.TEXT: "VARCHAR",
    Type.TIME: "BIGINT",
    Type.DATE: "INTEGER",
    Type.INT: "BIGINT",
    Type.REAL: "DOUBLE",
    Type.BOOL: "BOOLEAN",
    Type.PERSON: "UINTEGER",
}
_ARROW = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "UINTEGER": pa.uint32(),
}
_FACT_DUCK = {
    FactType.TEXT: "VARCHAR",
    FactType.TIME: "BIGINT",
    FactType.DATE: "INTEGER",
    FactType.INT: "BIGINT",
    FactType.REAL: "DOUBLE",
    FactType.BOOL: "BOOLEAN",
}

# Kinds that live under another name until they are folded to one row per person, place or case.
_FOLDED = {"people": "registrations", "places": "described_places", "cases": "reported_cases"}

# Facts that repeat a live kind column by column.
REPEATED = ("vaccinations", "cases", "entries", "purchases", "clinic_visits", "isolations", "clearances")

# Kinds that concern everybody, and of which there is little.
CITY_WIDE = ("areas", "area_lists", "counties", "screening_rounds")

# An `every_days` beyond this is held to it (facts.sql).
CENTURY = 36_525

# Facts made once, because making them is work and they are few; the others are views.
_SMALL = ("contacts", "risk_stays", "city_entries", "missed_rounds")

# What a fact needs at least: without any of one of these kinds ("a|b": of both) it has no row.
_NEEDED = {
    "contacts": "contacts",
    "risk_stays": "areas|area_lists area_stays|visits",
    "county_stays": "area_stays",
    "city_entries": "city_entries",
    "missed_rounds": "screening_rounds people",
    "occupations": "occupations",
    "exposures": "cases",
    "companions": "cases",
}

# Kinds of which one person's facts need only that person's documents; visits too, of which they need few.
PERSONAL = (
    "people",
    "tests",
    "vaccinations",
    "contacts",
    "area_stays",
    "entries",
    "city_entries",
    "purchases",
    "clinic_visits",
    "occupations",
    "isolations",
    "clearances",
)


@cache
def statements(name: str) -> Mapping[str, str]:
    """The named statements of one of this package's SQL files ("live.sql", "facts.sql"), comments kept."""
    text = resources.files("kangma.evidence").joinpath(name).read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (body.strip() for body in parts[2::2]), strict=True))


def raw_columns(kind: Kind) -> dict[str, str]:
    """Columns of raw_<kind>, name → DuckDB type, in order. Visits name their place by number only."""
    out = {"feed": "VARCHAR", "document_id": "VARCHAR", "document_version": "BIGINT"}
    for column in kind.stored:
        if column.name == "place_id":
            out["place"] = "UINTEGER"
        if column.name != "place_id" or kind.name == "places":
            out[column.name] = _DUCK[column.type]
    return out


def raw_schema(kind: str) -> pa.Schema:
    """raw_<kind> in Arrow's types."""
    return pa.schema([(name, _ARROW[sql]) for name, sql in raw_columns(KINDS[kind]).items()])


# What a connection is given ------------------------------------------------------------------------------------------


def prepare(con: duckdb.DuckDBPyConnection, *, city: City, persons: str | None = None) -> None:
    """Live documents and facts on `con`, of everybody or of the canonical persons in the table `persons(person)`.

    With `persons`, only documents that can matter to these persons are read, and `live_<kind>` holds no others.
    Tables `exposures` and `companions` (tracing's) are made empty when missing; the facts made of them follow when
    tracing replaces them (create or replace table).
    """
    live, facts = statements("live.sql"), statements("facts.sql")
    rows = {name: f"raw_{name}" for name in KINDS}
    taken, merged = _what_and_who(con, rows)

    def live_(name: str) -> None:
        _live(con, name, rows, taken, merged=merged)
        if name in ("people", "places"):
            _fold(con, name)
        if name in _FOLDED:
            _view(con, f"live_{name}", live[f"live_{name}"])

    # What concerns areas, counties and cases concerns everybody; it is little.
    live_("cases")
    _table(con, "case_heads", facts["case_heads"])
    for name in CITY_WIDE:
        live_(name)
    _areas(con, city)
    if persons is not None:
        rows["places"] = _some(
            con,
            "places",
            "place in (select place from raw_places where area_id in (select area_id from area_spans))",
        )
    live_("places")
    _table(con, "risky_places", facts["risky_places"])

    # What concerns persons.
    if persons is not None:
        _wanted(con, persons)
        _reach(con)
        for name in PERSONAL:
            rows[name] = _some(con, name, "person in (select person from reached_numbers)")
        # Segments of visits are sorted by place: asked by place as well, few of them are read.
        near = "person in (select person from reached_numbers) and place in (select place from risky_places)"
        rows["visits"] = _some(con, "visits", near)
    for name in (*PERSONAL, "visits"):
        live_(name)
    spell(con, _written(con, rows), city)
    _view(con, "stays", facts["stays"])
    for name in ("absences", "tubes"):
        _table(con, name, facts[name])
    rounds(con)
    _traced(con)

    there = {name for name, (count, _) in _census(con, rows).items() if count}
    for name in sorted(FACTS, key="people".__eq__):  # people last: who is known depends on the other facts
        if name == "people":
            _unregistered(con, wanted=persons is not None)
        make = _table if name in _SMALL else _view
        make(con, f"fact_{name}", _fact(name, city, there, wanted=persons is not None))


def possible(fact: str, there: Collection[str]) -> bool:
    """Whether the fact can have a row where only these kinds have documents."""
    return all(any(kind in there for kind in group.split("|")) for group in _NEEDED.get(fact, "").split())


def _fact(name: str, city: City, there: Collection[str], *, wanted: bool) -> str:
    """The SELECT of a fact; `wanted`: of the persons in the table of that name."""
    columns = FACTS[name].columns
    if not possible(name, there):
        nothing = ", ".join(f'null::{_FACT_DUCK[t]} as "{c}"' for c, (t, _) in columns.items())
        return f"select null::uinteger as person, {nothing} where false"
    lengths = {"telecom_stay": city.telecom_hours * HOUR, "itinerary": city.itinerary_days * DAY}
    statement = f"select * from live_{name}" if name in REPEATED else statements("facts.sql")[name]
    typed = ", ".join(f'"{c}"::{_FACT_DUCK[t]} as "{c}"' for c, (t, _) in columns.items())
    body = Template(statement).substitute(lengths)
    only = "\nwhere person in (select person from wanted)" if wanted else ""
    return f"select person::uinteger as person, {typed}\nfrom (\n{body}\n){only}"


# In pieces, for kangma.evidence.few ------------------------------------------------------------------------------------


def city_wide(con: duckdb.DuckDBPyConnection, city: City) -> None:
    """What concerns everybody but cases, as tables, of the raw relations of areas, counties, rounds and places;
    `rounds` follows when `spell` has."""
    live = statements("live.sql")
    rows = {name: f"raw_{name}" for name in KINDS}
    taken, merged = _Taken.of(con), _any(con, "canonical")
    for name in CITY_WIDE:
        _live(con, name, rows, taken, merged=merged, make=_table)
    _areas(con, city)
    _live(con, "places", rows, taken, merged=merged, make=_table)
    _fold(con, "places")
    _table(con, "live_places", live["live_places"])
    _table(con, "risky_places", statements("facts.sql")["risky_places"])


def live_rows(con: duckdb.DuckDBPyConnection, name: str, *, merged: bool) -> pa.Table:
    """The documents that count of raw_<name>, not folded to one a person, place or case."""
    found: list[pa.Table] = []

    def taken_out(con: duckdb.DuckDBPyConnection, _: str, statement: str) -> None:
        found.append(con.sql(statement).to_arrow_table())

    _live(con, name, {name: f"raw_{name}"}, _Taken.of(con), merged=merged, make=taken_out)
    return found[0]


def one_a_person(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """live_people of the relation `registrations`."""
    _fold(con, "people")
    return con.sql(statements("live.sql")["live_people"]).to_arrow_table()


def spell(con: duckdb.DuckDBPyConnection, words: Sequence[str], city: City) -> None:
    """Table `written_counties(written, county, in_city)`: every spelling of a county or district in the evidence, with
    its one name. The spellings are few; the rows that bear them are many."""
    _spelled(con, "written_counties", {"written": list(words)}, [city.county(w) for w in words], city)


def stays(con: duckdb.DuckDBPyConnection) -> None:
    """Tables `stays` and `absences` of the live area stays and arrivals."""
    for name in ("stays", "absences"):
        _table(con, name, statements("facts.sql")[name])


def rounds(con: duckdb.DuckDBPyConnection) -> None:
    """Tables `rounds` and `round_triples`."""
    for name in ("rounds", "round_triples"):
        _table(con, name, statements("facts.sql")[name])


def fact(con: duckdb.DuckDBPyConnection, name: str, city: City) -> pa.Table:
    """A fact of the persons in the table `wanted`, where every kind that it needs has documents."""
    return con.sql(_fact(name, city, KINDS, wanted=True)).to_arrow_table().cast(FACTS[name].schema)


def documents(con: duckdb.DuckDBPyConnection, kinds: Collection[str]) -> None:
    """`canonical` and `live_<kind>` of these kinds on `con`, without the facts: what tracing needs, at a part of the
    cost."""
    live = statements("live.sql")
    rows = {name: f"raw_{name}" for name in KINDS}
    taken, merged = _what_and_who(con, rows)
    for name in kinds:
        _live(con, name, rows, taken, merged=merged)
        if name in ("people", "places"):
            _fold(con, name)
        if name in _FOLDED:
            _view(con, f"live_{name}", live[f"live_{name}"])


def who_is_who(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """(person, canonical) of `raw_identities` and `raw_retractions` on `con`: the table `canonical`."""
    _what_and_who(con, {name: f"raw_{name}" for name in KINDS})
    return con.sql("FROM canonical").to_arrow_table()


def _what_and_who(con: duckdb.DuckDBPyConnection, rows: Mapping[str, str]) -> tuple[_Taken, bool]:
    """What was taken back, and `canonical`: who is who, and whether any two numbers are one person."""
    live = statements("live.sql")
    _macros(con)
    _table(con, "retracted_documents", live["retracted_documents"])
    _table(con, "retracted_spans", live["retracted_spans"])
    _view(con, "live_retractions", "select * from raw_retractions")
    taken = _Taken.of(con)
    _live(con, "identities", rows, taken, merged=False)
    return taken, _canonical(con)


@dataclass(frozen=True)
class _Taken:
    """What kinds of retraction there are at all."""

    by_id: bool
    by_row: bool  # some of the ids are derived ones
    by_span: bool

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection) -> _Taken:
        ((by_id, by_row, by_span),) = con.execute(
            "select count(*) > 0, coalesce(bool_or(starts_with(document_id, 'row-')), false),"
            " (select count(*) > 0 from retracted_spans) from retracted_documents"
        ).fetchall()
        return cls(by_id, by_row, by_span)


def _census(con: duckdb.DuckDBPyConnection, rows: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Per kind, how many rows its relation has and how many of them bear a document id."""
    counts = " union all ".join(
        f"select '{kind}' as kind, count(*) as documents, count(document_id) as named from {relation}"
        for kind, relation in rows.items()
    )
    return {kind: (documents, named) for kind, documents, named in con.execute(counts).fetchall()}


def _table(con: duckdb.DuckDBPyConnection, name: str, statement: str) -> None:
    con.execute(f"create or replace table {name} as\n{statement}")


def _view(con: duckdb.DuckDBPyConnection, name: str, statement: str) -> None:
    con.execute(f"create or replace view {name} as\n{statement}")


def _any(con: duckdb.DuckDBPyConnection, relation: str) -> bool:
    return bool(
        con.execute(f"select 1 from {relation} limit 1").fetchall()
    )  # to the end, or the connection is busy


def _macros(con: duckdb.DuckDBPyConnection) -> None:
    """`meets`: whether two half-open spans share a moment, null ends open; a stay of no length is its one moment."""
    con.execute(
        "create or replace macro meets(entered, gone, begins, ends) as"
        " (ends is null or (entered < ends and begins < ends))"
        " and (gone is null or begins < gone or (entered = gone and begins = entered))"
    )
    con.execute(
        "create or replace macro netstring(word) as"
        " case when word is null then '-,' else strlen(word) || ':' || word || ',' end"
    )


def _live(
    con: duckdb.DuckDBPyConnection,
    name: str,
    relations: Mapping[str, str],
    taken: _Taken,
    *,
    merged: bool,
    make: Callable[[duckdb.DuckDBPyConnection, str, str], None] = _view,
) -> None:
    """The view (or table, as `make` says) of what counts of a kind's rows. Each step is left out where it has nothing
    to do, so that the bulk kinds, which come without ids, stay a plain scan."""
    live = statements("live.sql")
    kind, rows = KINDS[name], relations[name]
    columns, at = raw_columns(kind), _moment(kind, "r.")
    documents, named = _census(con, {name: rows})[name]
    source, unless = rows, []

    if named:
        _table(con, f"versions_{name}", Template(live["versions"]).substitute(rows=rows))
        if _any(con, f"versions_{name}"):
            last = _moment(kind, "") or "null::bigint"
            fill = {"rows": rows, "versions": f"versions_{name}", "at": last, **text_sql(kind)}
            _table(con, f"newest_{name}", Template(live["newest"]).substitute(fill))
            source = (
                f"(select * from {rows} where document_id is null"
                f" or hash(feed, document_id) not in (select document from versions_{name})"
                f" union all select * from newest_{name})"
            )
        if taken.by_id:
            unless.append(
                "not exists (select 1 from retracted_documents as t"
                " where t.document_id = r.document_id and (t.feed is null or t.feed = r.feed))"
            )
    if documents and taken.by_span:
        inside = (
            f"(t.from_at is null or t.from_at <= {at}) and (t.to_at is null or {at} < t.to_at)"
            if at
            else "t.from_at is null and t.to_at is null"
        )
        unless.append(f"not exists (select 1 from retracted_spans as t where t.feed = r.feed and {inside})")
    if documents > named and taken.by_row:
        _table(con, f"taken_{name}", Template(live["taken_rows"]).substitute(rows=rows, **text_sql(kind)))
        if _any(con, f"taken_{name}"):
            same = " and ".join(f't."{c}" is not distinct from r."{c}"' for c in columns)
            unless.append(f"not exists (select 1 from taken_{name} as t where {same})")

    selected, joins = [], ""
    persons = {c.name for c in kind.stored if c.type is Type.PERSON}
    for column in columns:
        if merged and column in persons:
            selected.append(f'coalesce(is_{column}.canonical, r."{column}") as "{column}"')
            joins += f'\nleft join canonical as is_{column} on is_{column}.person = r."{column}"'
        else:
            selected.append(f'r."{column}"')
    where = "\nwhere " + "\n    and ".join(unless) if unless else ""
    make(
        con,
        _FOLDED.get(name, f"live_{name}"),
        f"select {', '.join(selected)}\nfrom {source} as r{joins}{where}",
    )


def _fold(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Tables `<word>_twice`, and `<word>_once_and_for_all`: the one row of each person or place that has several."""
    live, word = statements("live.sql"), {"places": "described", "people": "registered"}[name]
    _table(con, f"{word}_twice", live[f"{word}_twice"])
    texts = text_sql(KINDS[name]) if _any(con, f"{word}_twice") else {"text": "''", "keys": ""}
    _table(con, f"{word}_once_and_for_all", Template(live[f"{word}_once_and_for_all"]).substitute(texts))


def _canonical(con: duckdb.DuckDBPyConnection) -> bool:
    """The table `canonical`; whether any two numbers are one person.

    Joins are few and decided by hand, so their connected components are walked here. A component is called after the
    member with the smallest key, which does not depend on who came first.
    """
    _view(con, "joined", statements("live.sql")["joined"])
    parent: dict[int, int] = {}

    def root(number: int) -> int:
        while parent.setdefault(number, number) != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for one, other in con.execute("select one, other from joined").fetchall():
        parent[root(one)] = root(other)
    con.execute("create or replace table canonical (person uinteger, canonical uinteger)")
    if not parent:
        return False
    members = pa.table(
        {
            "person": pa.array(parent, pa.uint32()),
            "component": pa.array([root(number) for number in list(parent)], pa.uint32()),
        }
    )
    con.register("members", members)
    con.execute(
        """
        insert into canonical
        select person, canonical
        from (
            select person, first_value(person) over (partition by component order by key) as canonical
            from members inner join person_keys using (person)
        )
        where person <> canonical
        """
    )
    con.unregister("members")
    return True


def _wanted(con: duckdb.DuckDBPyConnection, persons: str) -> None:
    """Table `wanted`: the persons, canonical."""
    _table(
        con,
        "wanted",
        f"select distinct coalesce(c.canonical, p.person)::uinteger as person"
        f" from {persons} as p left join canonical as c on c.person = p.person",
    )


def _reach(con: duckdb.DuckDBPyConnection) -> None:
    """Table `reached_numbers`: every number under which documents of the wanted, or of the contacts between them and a
    case, may have come in."""
    _table(
        con,
        "reached_numbers",
        """
        with recursive chains as (
            select
                coalesce(c.canonical, r.person) as person,
                coalesce(i.canonical, r.index_person) as index_person
            from raw_contacts as r
            left join canonical as c on c.person = r.person
            left join canonical as i on i.person = r.index_person
            where r.index_person is not null
        ),
        reached as (
            select person from wanted
            union
            select chains.index_person as person from chains inner join reached on reached.person = chains.person
        )
        select person from reached
        union
        select c.person from canonical as c inner join reached as r on r.person = c.canonical
        """,
    )


def _some(con: duckdb.DuckDBPyConnection, name: str, match: str) -> str:
    """The relation that holds the documents of a kind that match, with all versions of them."""
    rows, some = f"raw_{name}", f"some_{name}"
    _table(con, some, f"select * from {rows} where {match}")
    if name == "tests":  # a tube's positive may have been reported of another person in it
        positives = """
            from raw_tests as r
            where
                r.result = 'positive'
                and exists (select 1 from some_tests as t where t.pool_id = r.pool_id and t.lab = r.lab)
                and not exists (select 1 from reached_numbers as n where n.person = r.person)
        """
        if con.execute(f"select 1 {positives} limit 1").fetchone():
            con.execute(f"insert into some_tests select r.* {positives}")
    if _any(con, f"{some} where document_id is not null"):
        _table(con, f"matched_{name}", f"select * from {some}")
        _table(
            con,
            some,
            Template(statements("live.sql")["some"]).substitute(rows=rows, matched=f"matched_{name}"),
        )
    return some


def _unregistered(con: duckdb.DuckDBPyConnection, *, wanted: bool) -> None:
    """Tables `without_registration`, every number without a registration, and `unregistered`, those of them of whom a
    live document speaks. Most cities have few of either, so documents are looked through for these persons only."""
    facts = statements("facts.sql")
    everybody = (
        "select distinct coalesce(c.canonical, k.person) as person"
        " from person_keys as k left join canonical as c on c.person = k.person"
    )
    persons = "select person from wanted" if wanted else everybody
    _table(con, "without_registration", Template(facts["without_registration"]).substitute(persons=persons))
    kinds = [k for k in PERSONAL if k != "people"]
    sources = [*(f"live_{k}" for k in kinds), "live_cases", "fact_risk_stays"]
    documents = "\n    union all\n    ".join(f"select person from {s}" for s in sources)
    _table(con, "unregistered", Template(facts["unregistered"]).substitute(documents=documents))


def _areas(con: duckdb.DuckDBPyConnection, city: City) -> None:
    """What follows from areas and counties alone. Table `written_areas(district, written, county, in_city)`: every
    spelling of an area's county, with its name."""
    pairs = con.execute(
        "select district, county from raw_areas union select district, county from raw_area_lists"
    ).fetchall()
    columns = {"district": [d for d, _ in pairs], "written": [c for _, c in pairs]}
    _spelled(con, "written_areas", columns, [city.county_of_area(d, c) for d, c in pairs], city)
    spell(con, [w for (w,) in con.execute("select distinct county from raw_counties").fetchall()], city)
    for name in ("area_spans", "area_counties", "county_stretches", "border_counties"):
        _table(con, name, statements("facts.sql")[name])


def _written(con: duckdb.DuckDBPyConnection, rows: Mapping[str, str]) -> list[str]:
    """Every word for a county or district in the documents of persons, counties and rounds."""
    written = [f"select county as written from {rows[k]}" for k in ("area_stays", "counties")]
    if _any(con, rows["screening_rounds"]):
        written += [f"select district from {rows[k]}" for k in ("screening_rounds", "people")]
    return [w for (w,) in con.execute(" union ".join(written)).fetchall() if w is not None]


def _spelled(
    con: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, list[str | None]],
    found: list[str],
    city: City,
) -> None:
    arrays = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    arrays["county"] = pa.array(found, pa.string())
    arrays["in_city"] = pa.array([city.in_city(c) for c in found], pa.bool_())
    con.register("spelled", pa.table(arrays))
    _table(con, table, "select * from spelled")
    con.unregister("spelled")


def _traced(con: duckdb.DuckDBPyConnection) -> None:
    """What tracing writes, empty where it has not written yet."""
    for name, columns in (
        ("exposures", "minutes double, meetings bigint, first_at bigint, last_at bigint"),
        ("companions", "minutes double, cumulative_hours double, first_at bigint, last_at bigint"),
    ):
        con.execute(f"create table if not exists {name} (case_id varchar, person uinteger, {columns})")


def _moment(kind: Kind, row: str) -> str | None:
    """When a document of this kind happened, for retractions by time: a day counts from 00:00 UTC."""
    if kind.at is None:
        return None
    return (
        f'{row}"{kind.at}"::bigint * {DAY}' if kind.column(kind.at).type is Type.DATE else f'{row}"{kind.at}"'
    )

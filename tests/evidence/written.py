"""Evidence as a nurse would write it down, and the facts that come of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date

import duckdb
import pyarrow as pa

from kangma.evidence.facts import FACTS, FactType
from kangma.evidence.sets import memory
from kangma.evidence.views import City, prepare
from kangma.intake.kinds import KINDS, Type
from kangma.terms import calendar, day_number, moment

BEIJING = City("北京市", ("东城区", "西城区", "朝阳区", "海淀区", "大兴区"))

Document = tuple[str, str, pa.Table]


def key(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def at(text: str) -> int:
    """ "04-20 10:00" → the moment, in 2022, in Beijing."""
    day, _, hour = text.partition(" ")
    return moment(f"2022-{day}T{hour or '00:00'}+08:00")


def on(text: str) -> int:
    return day_number(date.fromisoformat(f"2022-{text}"))


def doc(
    kind: str, feed: str = "city", /, *, id: str | None = None, version: int = 0, **fields: object
) -> Document:
    """One document: persons by name, times as "04-20 10:00" in Beijing, days as "04-20"."""
    row: dict[str, list[object]] = {"document_id": [id], "document_version": [version]}
    for column in KINDS[kind].stored:
        value = fields.pop(column.name, None)
        if isinstance(value, str) and column.type is Type.PERSON:
            value = key(value)
        elif isinstance(value, str) and column.type is Type.TIME:
            value = at(value)
        elif isinstance(value, str) and column.type is Type.DATE:
            value = on(value)
        row[column.name] = [value]
    assert not fields, f"{kind} has no {sorted(fields)}"
    return (feed, kind, pa.table(row, schema=KINDS[kind].schema))


def connection(
    documents: Iterable[Document], *, city: City = BEIJING, of: Iterable[str] | None = None, traced: str = ""
) -> duckdb.DuckDBPyConnection:
    """A connection with the facts of the documents; `of` limits them to persons by name, `traced` is SQL run before."""
    con = duckdb.connect()
    con.execute("set threads = 1")
    memory(con, documents)
    con.execute("create or replace macro named(who) as (select person from person_keys where key = who)")
    if traced:
        con.execute(traced)
    if of is None:
        prepare(con, city=city)
    else:
        con.execute("create table asked (person uinteger)")
        for name in of:
            con.execute("insert into asked select person from person_keys where key = ?", [key(name)])
        prepare(con, city=city, persons="asked")
    return con


def facts(
    documents: Iterable[Document],
    name: str,
    *,
    city: City = BEIJING,
    of: Iterable[str] | None = None,
    traced: str = "",
) -> list[dict[str, object]]:
    """The rows of one fact, persons by name, moments and days as they were written; in some fixed order."""
    documents = list(documents)
    con = connection(documents, city=city, of=of, traced=traced)
    return rows(con, name)


def rows(con: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, object]]:
    columns = FACTS[name].columns
    table = con.execute(
        f"select k.key as person, {', '.join(f'f.{c}' for c in columns)} "
        f"from fact_{name} as f inner join person_keys as k using (person)"
    )
    out = []
    for row in table.fetchall():
        written: dict[str, object] = {"person": NAMES.get(row[0], row[0])}
        for (column, (kind, _)), value in zip(columns.items(), row[1:], strict=True):
            written[column] = readable(kind, value)
        out.append(written)
    return sorted(out, key=repr)


def readable(kind: FactType, value: object) -> object:
    if isinstance(value, int) and kind is FactType.TIME:
        return shown(value)
    if isinstance(value, int) and kind is FactType.DATE:
        return calendar(value).isoformat()[5:]
    return value


def shown(when: int) -> str:
    local = when + 8 * 3600
    text = f"{calendar(local // 86400).isoformat()[5:]} {local % 86400 // 3600:02}:{local % 3600 // 60:02}"
    return text.removesuffix(" 00:00")


NAMES = {key(n): n for n in ("Chen", "Li", "Ma", "Sun", "Wang", "Zhao", "Zhou", "Wu", "Xu", "He")}

"""Random mixed documents of every kind, and many worlds of them in one connection.

A world is one set of documents under names of its own (persons, cases, places, areas, counties, laboratories, document
ids all end in the world's number), so that a thousand worlds lie side by side in one evidence without touching, each in
an order of its own. What all worlds share: senders, moments, and the moments of official lists.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

import duckdb
import pyarrow as pa

from kangma.evidence.facts import FACTS
from kangma.evidence.row_text import derived_id
from kangma.evidence.sets import memory
from kangma.evidence.views import City, prepare
from kangma.intake.kinds import KINDS, Column, Type
from kangma.terms import DAY, HOUR

PERSONS = ("Chen", "Li", "Ma", "Sun", "Wang", "Zhao")
FEEDS = ("city", "lab", "local")
START = 1_649_606_400  # 11 April 2022, 00:00 in Beijing
MOMENTS = tuple(START + DAY * d + HOUR * h for d in range(0, 20, 2) for h in (0, 9))
POOLS = {
    "case_id": ("C1", "C2", "C3"),
    "index_case_id": ("C1", "C2", "C3"),
    "place_id": ("P1", "P2", "P3"),
    "area_id": ("A1", "A2", "A3"),
    "county": ("朝阳区", "北京市朝阳区", "湖北省武汉市武昌区", "吉林省长春市朝阳区"),
    "from_county": ("湖北省武汉市武昌区",),
    "district": ("朝阳区", "海淀区"),
    "lab": ("L1", "L2"),
    "specimen_id": ("S1", "S2", "S3", "S4"),
    "pool_id": ("T1", "T2"),
    "round_id": tuple(f"R{n}" for n in range(8)),
    "due": ("everyone", "everyone", "courier"),
    "occupation": ("courier", "cold chain"),
}
OWN = {
    "case_id",
    "index_case_id",
    "place_id",
    "area_id",
    "county",
    "from_county",
    "district",
    "lab",
}  # of each world
AMOUNTS = {
    "tests": 8,
    "contacts": 5,
    "cases": 3,
    "screening_rounds": 6,
    "area_stays": 6,
    "areas": 3,
    "area_lists": 4,
}


@dataclass(frozen=True)
class Written:
    """A document before it belongs to a world: persons by name, `takes` another document that it retracts by row id."""

    feed: str
    kind: str
    id: str | None
    version: int
    row: dict[str, object]
    takes: Written | None = field(default=None, compare=False)

    def of(self, world: int) -> dict[str, object]:
        """The row with KINDS[kind].schema, in the names of one world."""
        row: dict[str, object] = {"document_id": own(self.id, world), "document_version": self.version}
        for column in KINDS[self.kind].stored:
            value = self.row[column.name]
            if column.type is Type.PERSON and value is not None:
                value = key(str(value), world)
            elif column.name in OWN:
                value = own(value, world)
            row[column.name] = value
        if self.kind == "retractions":
            row["retracts"] = own(self.row["retracts"], world)
            if self.takes:
                row["retracts"] = derived_id(KINDS[self.takes.kind], self.takes.feed, self.takes.of(world))
        return row


def own(name: object, world: int) -> str | None:
    return None if name is None else f"{name}#{world:04}"


def key(name: str, world: int) -> bytes:
    """The order of two persons is the same in every world."""
    return hashlib.blake2b(name.encode(), digest_size=12).digest() + world.to_bytes(4, "big")


def city(worlds: Iterable[int]) -> City:
    return City("北京市", tuple(f"{d}#{w:04}" for w in worlds for d in POOLS["district"]))


def document(random: Random, kind: str) -> Written:
    row = {c.name: value(random, c) for c in KINDS[kind].stored}
    for start, end in KINDS[kind].spans:
        a, b = row[start], row[end]
        if isinstance(a, int) and isinstance(b, int) and b < a:
            row[start], row[end] = b, a
    for group in KINDS[kind].either:
        if all(row[c] is None for c in group):
            row[group[0]] = value(random, replace(KINDS[kind].column(group[0]), required=True))
    id = random.choice((None, None, "D1", "D2"))
    return Written(
        random.choice(FEEDS), kind, id and f"{kind} {id}", random.choice((0, 0, 1)) if id else 0, row
    )


def value(random: Random, column: Column) -> object:
    if not column.required and random.random() < 0.4:
        return None
    if column.name == "degree":
        return random.choice((1, 2))
    match column.type:
        case Type.PERSON:
            return random.choice(PERSONS)
        case Type.TIME:
            return random.choice(MOMENTS)
        case Type.DATE:
            return START // DAY + random.randrange(6)
        case Type.INT:
            return random.randrange(1, 4)
        case Type.REAL:
            return random.choice((39.9, 116.4))
        case Type.BOOL:
            return random.random() < 0.3
        case Type.TEXT:
            return random.choice(column.choices or POOLS.get(column.name, ("x", "y")))


def mixed(random: Random) -> list[Written]:
    """Some of every kind; retractions by id, by derived id and by time; joins of persons, some of them undone."""
    out = [
        document(random, kind) for kind in KINDS if kind != "retractions" for _ in range(AMOUNTS.get(kind, 2))
    ]
    for moment in random.sample(MOMENTS, 2):  # official lists that name nothing
        blank = dict.fromkeys((c.name for c in KINDS["area_lists"].stored), None)
        out.append(Written("city", "area_lists", None, 0, {**blank, "listed_at": moment}))
    blank = dict.fromkeys((c.name for c in KINDS["retractions"].stored), None) | {"reason": "x", "by": "y"}
    named = [d for d in out if d.id]
    for chosen in random.sample(named, 3):
        source = random.choice((None, chosen.feed))
        row = {**blank, "retracts": chosen.id, "source": source}
        out.append(Written(random.choice(FEEDS), "retractions", None, 0, row))
    for chosen in random.sample([d for d in out if not d.id and d.kind != "retractions"], 2):
        out.append(Written(chosen.feed, "retractions", None, 0, {**blank, "retracts": "row"}, takes=chosen))
    first, last = sorted(random.sample(MOMENTS, 2))
    span = {"from_at": first, "to_at": min(last, first + 2 * DAY)}
    out.append(Written("city", "retractions", None, 0, {**blank, "source": "lab", **span}))
    return out


def gather(worlds: dict[int, list[Written]], random: Random) -> Iterator[tuple[str, str, pa.Table]]:
    """All documents of all worlds in one random order, cut into batches anywhere, some of them twice."""
    rows = [(d, world) for world, documents in worlds.items() for d in documents]
    rows += random.sample(rows, len(rows) // 10)
    random.shuffle(rows)
    while rows:
        size = random.choice((1, 10, len(rows)))
        batch, rows = rows[:size], rows[size:]
        lots: dict[tuple[str, str], list[dict[str, object]]] = {}
        for written, world in batch:
            lots.setdefault((written.feed, written.kind), []).append(written.of(world))
        for (feed, kind), lot in lots.items():
            yield feed, kind, pa.Table.from_pylist(lot, schema=KINDS[kind].schema)


Facts = dict[str, Counter[tuple[object, ...]]]


def connect(worlds: dict[int, list[Written]], random: Random) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("set threads = 1")
    memory(con, gather(worlds, random))
    return con


def derive(worlds: dict[int, list[Written]], random: Random) -> dict[int, Facts]:
    """The facts of each world, in names that no longer tell the worlds apart."""
    con = connect(worlds, random)
    prepare(con, city=city(worlds))
    return read(con, worlds)


def read(con: duckdb.DuckDBPyConnection, worlds: Iterable[int]) -> dict[int, Facts]:
    names = {key(p, 0)[:12]: p for p in PERSONS}
    out: dict[int, Facts] = {w: {name: Counter() for name in FACTS} for w in worlds}
    for name, fact in FACTS.items():
        columns = ", ".join(f'f."{c}"' for c in fact.columns)
        query = f"select k.key, {columns} from fact_{name} as f inner join person_keys as k using (person)"
        for person, *row in con.execute(query).fetchall():
            plain = [re.sub(r"#\d{4}", "", v) if isinstance(v, str) else v for v in row]
            out[int.from_bytes(person[12:], "big")][name][names[person[:12]], *plain] += 1
    return out

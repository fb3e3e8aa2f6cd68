"""Absorbing: rows of the inbox become segments, sorted, numbered and visible in one step.

The order of one absorb, and what a crash after each step leaves:
 1 new person keys appended to persons.keys, fsynced       → bytes beyond the high-water mark, cut off by the next
 2 segment files written, fsynced, renamed                  → files that no manifest names; a sweep removes them
 3 one registry transaction: the manifest names the files, the high-water marks move, the batches are absorbed
                                                            → everything is visible; the inbox files are remains
 4 the inbox files are unlinked                             → done
Whoever repeats it after a crash finds either the batches still waiting (before 3) or nothing to do (after 3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from kangma.errors import Conflict, Corrupt
from kangma.intake.kinds import KINDS, Kind
from kangma.store import numbers
from kangma.store import registry as r
from kangma.store.durable import (
    file_digest,
    fsync_folder,
    publish_file,
    sweep_claims,
    unavailable_when_the_disk_is,
)
from kangma.store.engine import parquet
from kangma.terms import DAY

if TYPE_CHECKING:
    from kangma.store.state import State

ROW_GROUP = 16_384
#: A (kind, day) of more segments than this is compacted.
MOST_SEGMENTS = 8
#: Days of one absorb that get a folder of their own; rows of the others, which only a hostile or broken feed spreads so
#: wide, share the folder `all`.
MOST_DAYS = 64
#: An absorb of no more rows than this looks their persons up one by one.
FEW = 10_000
#: Which column says that a visit or stay was over; retention goes by it.
ENDS = {"visits": "left_at", "area_stays": "left_at"}
ORDER = {"visits": "place, entered_at, person, left_at"}
#: The one manifest kind that is not a kind of evidence: (place, place_id).
PLACE_NUMBERS = "place_numbers"


@dataclass(frozen=True, slots=True)
class Absorbed:
    """What one absorb took over. `generation` names the evidence that is visible since."""

    generation: int
    batches: int
    rows: dict[str, int]
    new_persons: int
    new_places: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One live file of the manifest."""

    segment: str
    kind: str
    day: int | None
    path: Path
    rows: int
    bytes: int
    digest: str
    first_at: int | None
    last_at: int | None
    first_end: int | None
    last_end: int | None
    since: int  # the generation from which on it is visible
    newest: (
        int  # the generation from which on its newest row is, in this file or in one that was merged into it
    )


def live(state: State, on: sa.Connection, kinds: Sequence[str] | None = None) -> list[Segment]:
    """The manifest as it is now, in the order of (kind, day, generation, name)."""
    c = r.segments.c
    query = sa.select(r.segments).where(c.dropped.is_(None))
    if kinds is not None:
        query = query.where(c.kind.in_(kinds))
    return [
        Segment(
            x.segment,
            x.kind,
            x.day,
            state.path / "segments" / x.file,
            x.rows,
            x.bytes,
            x.digest,
            x.first_at,
            x.last_at,
            x.first_end,
            x.last_end,
            x.since,
            x.newest,
        )
        for x in on.execute(query.order_by(c.kind, c.day, c.since, c.segment))
    ]


def digest(found: Iterable[Segment]) -> str:
    """SHA-256 over these segments: the key of whatever is derived from them."""
    lines = sorted(f"{s.kind} {s.digest} {s.rows}\n" for s in found)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def absorb(state: State) -> Absorbed:
    """Every accepted batch is in the segments, visible and durable, when this returns.

    Absorbing again does nothing; the evidence is the same set whatever the order and the cuts of the batches were.
    """
    state.require_writable()
    with state.lock.hold(), unavailable_when_the_disk_is():
        sweep(state)
        b = r.batches.c
        with state.registry.read() as on:
            generation = r.counter(on, "generation")
            persons, places = r.counter(on, "persons"), r.counter(on, "places")
            waiting = on.execute(sa.select(r.batches).where(b.state == "accepted").order_by(b.number)).all()
        if not waiting:
            return Absorbed(generation, 0, {}, 0, 0)
        by_kind: dict[str, list[Path]] = {}
        expected: dict[str, int] = {}
        for x in waiting:
            by_kind.setdefault(x.kind, []).append(state.path / "inbox" / x.file)
            expected[x.kind] = expected.get(x.kind, 0) + x.rows
        for files in by_kind.values():
            for file in files:
                if not file.exists():
                    raise Corrupt(f"an accepted batch is gone: {file.name}")
        sources = [(KINDS[k], parquet(files)) for k, files in by_kind.items()]
        entries: list[dict[str, Any]] = []
        with state.engine.work() as con:
            placed = any(c.name == "place_id" for kind, _ in sources for c in kind.stored)
            state.numbers_on(con, places=placed)
            if sum(expected.values()) <= FEW:  # no join below reads a million keys for the sake of a case
                known = numbers.person_table(state.path / "persons.keys", persons)
                con.register("person_keys", numbers.keys_named(con, sources, known))
            new_keys = numbers.new_persons(con, sources)
            if len(new_keys):
                numbers.append_keys(state.path / "persons.keys", persons, new_keys)
                con.register(
                    "person_keys",
                    numbers.person_table(state.path / "persons.keys", persons + len(new_keys)),
                )
            new_ids = numbers.new_places(con, sources)
            if len(new_ids):
                fresh = pa.table(
                    {
                        "place": pa.array(range(places, places + len(new_ids)), pa.uint32()),
                        "place_id": new_ids,
                    }
                )
                con.register("fresh_places", fresh)
                entries.append(
                    write_segment(
                        con,
                        state,
                        PLACE_NUMBERS,
                        None,
                        select="SELECT * FROM fresh_places",
                        order="place",
                    )
                )
                con.execute("INSERT INTO place_numbers SELECT * FROM fresh_places")
            for kind, relation in sources:
                entries += _segments_of(con, state, kind, relation)
        for name, rows in expected.items():
            if sum(e["rows"] for e in entries if e["kind"] == name) != rows:
                raise Corrupt(f"absorbing {name} would not keep the number of its rows")
        with state.registry.write() as on:
            if r.counter(on, "generation") != generation:
                raise Conflict("the evidence changed while it was being absorbed")
            r.set_counter(on, "generation", generation + 1)
            r.set_counter(on, "persons", persons + len(new_keys))
            r.set_counter(on, "places", places + len(new_ids))
            for e in entries:
                on.execute(sa.insert(r.segments).values(since=generation + 1, newest=generation + 1, **e))
            on.execute(
                sa.update(r.batches).where(b.number.in_([x.number for x in waiting])).values(state="absorbed")
            )
        for files in by_kind.values():
            for file in files:
                file.unlink()
        compact(state, until=generation)
    return Absorbed(generation + 1, len(waiting), expected, len(new_keys), len(new_ids))


def _segments_of(
    con: duckdb.DuckDBPyConnection, state: State, kind: Kind, relation: str
) -> list[dict[str, Any]]:
    order = ORDER.get(kind.name, f'"{kind.at or "document_id"}"')
    if not kind.by_day:
        return [
            write_segment(con, state, kind.name, None, select=numbers.numbered(kind, relation), order=order)
        ]
    found = con.execute(
        f'SELECT floor("{kind.at}" / {DAY})::BIGINT AS day, count(*) FROM {relation} GROUP BY day '
        f"ORDER BY count(*) DESC, day"
    ).fetchall()
    days, strays = sorted(d for d, _ in found[:MOST_DAYS]), [d for d, _ in found[MOST_DAYS:]]
    out = []
    for day in days:
        chosen = (
            f'(SELECT * FROM {relation} WHERE "{kind.at}" >= {day * DAY} AND "{kind.at}" < {(day + 1) * DAY})'
        )
        out.append(
            write_segment(con, state, kind.name, day, select=numbers.numbered(kind, chosen), order=order)
        )
    if strays:
        listed = ", ".join(map(str, strays))
        chosen = f'(SELECT * FROM {relation} WHERE floor("{kind.at}" / {DAY})::BIGINT IN ({listed}))'
        out.append(
            write_segment(con, state, kind.name, None, select=numbers.numbered(kind, chosen), order=order)
        )
    return out


def write_segment(
    con: duckdb.DuckDBPyConnection, state: State, kind: str, day: int | None, *, select: str, order: str
) -> dict[str, Any]:
    """The rows of `select` as one durable segment file, not yet visible; its manifest entry, without `since`."""
    segment = token_hex(8)
    folder = state.path / "segments" / kind / ("all" if day is None else str(day))
    make_folders(folder, state.path)
    final, temporary = folder / f"{segment}.parquet", folder / f"{segment}.tmp"
    con.execute(
        f"COPY ({select} ORDER BY {order}) TO '{temporary}' "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
    )
    publish_file(temporary, final)
    at, end = KINDS[kind].at if kind in KINDS else None, ENDS.get(kind)
    bounds: tuple[int | None, ...] = (None, None, None, None)
    if at is not None:
        ends = f"min({end}), CASE WHEN count({end}) = count(*) THEN max({end}) END" if end else "NULL, NULL"
        found = con.execute(f'SELECT min("{at}"), max("{at}"), {ends} FROM {parquet([final])}').fetchall()
        bounds = tuple(found[0])
    return {
        "segment": segment,
        "kind": kind,
        "day": day,
        "file": str(final.relative_to(state.path / "segments")),
        "rows": pq.read_metadata(final).num_rows,
        "bytes": final.stat().st_size,
        "digest": file_digest(final),
        "first_at": bounds[0],
        "last_at": bounds[1],
        "first_end": bounds[2],
        "last_end": bounds[3],
    }


def make_folders(folder: Path, root: Path) -> None:
    """`folder` and the folders between it and `root` exist, their names durable."""
    if folder.exists():
        return
    make_folders(folder.parent, root)
    folder.mkdir(exist_ok=True)
    fsync_folder(folder.parent)


def compact(state: State, *, until: int) -> int:
    """Every (kind, day) has at most about MOST_SEGMENTS segments, not counting what became visible after generation
    `until`: a row must not be taken for new again because it lies beside a new one. How many files were merged.

    The small ones are merged; one that outweighs all the smaller ones together four times stays as it is, so that a
    day of small batches never rewrites the big segment beside them. Segments marked for deletion are left alone: what
    waits there for its end must not hide in a file that is not marked.
    """
    with state.registry.read() as on:
        segments = live(state, on)
        marked = set(
            on.execute(
                sa.select(r.deletion_marks.c.segment)
                .join(r.deletions, r.deletions.c.run == r.deletion_marks.c.run)
                .where(r.deletions.c.state == "marked")
            ).scalars()
        )
    groups: dict[tuple[str, int | None], list[Segment]] = {}
    for s in segments:
        if s.segment not in marked and s.newest <= until:
            groups.setdefault((s.kind, s.day), []).append(s)
    merged = 0
    for (kind, day), group in groups.items():
        if len(group) > MOST_SEGMENTS:
            small = _small(group)
            with state.engine.work() as con:
                by = "place" if kind == PLACE_NUMBERS else KINDS[kind].at or "document_id"
                order = ORDER.get(kind, f'"{by}"')
                select = f"SELECT * FROM {parquet([s.path for s in small])}"
                entry = write_segment(con, state, kind, day, select=select, order=order)
            if entry["rows"] != sum(s.rows for s in small):
                raise Corrupt(f"compacting {kind} would not keep the number of its rows")
            replace(state, small, [entry | {"newest": max(s.newest for s in small)}])
            merged += len(small)
    return merged


def _small(group: list[Segment]) -> list[Segment]:
    by_size = sorted(group, key=lambda s: s.rows)
    taken, weight = by_size[:2], sum(s.rows for s in by_size[:2])
    for s in by_size[2:]:
        if s.rows > 4 * weight and len(group) - len(taken) < MOST_SEGMENTS:
            break
        taken.append(s)
        weight += s.rows
    return taken


def replace(state: State, old: Sequence[Segment], new: Sequence[dict[str, Any]]) -> int:
    """One transaction: `old` leave the manifest and `new` enter it. Conflict when one of `old` has left before.

    The old files stay until the next sweep, so that a reader that looked a moment ago can finish.
    """
    with state.registry.write() as on:
        generation = r.next_number(on, "generation")
        swap(on, generation, old, new)
    return generation


def swap(on: sa.Connection, generation: int, old: Sequence[Segment], new: Sequence[dict[str, Any]]) -> None:
    """Within a transaction: `old` are dropped and `new` live from `generation` on, with rows as new as `generation` where
    the entry does not say otherwise. Conflict as `replace`."""
    for s in old:
        gone = on.execute(
            sa.update(r.segments)
            .where(r.segments.c.segment == s.segment, r.segments.c.dropped.is_(None))
            .values(dropped=generation)
        )
        if gone.rowcount != 1:
            raise Conflict("a segment was replaced by somebody else")
    for entry in new:
        on.execute(sa.insert(r.segments).values({"since": generation, "newest": generation, **entry}))


def sweep(state: State) -> int:
    """Removes what no row of the registry names and no living program claims; how many files. Needs the lock."""
    with state.registry.read() as on:
        kept = {s.path for s in live(state, on)}
        kept |= {
            state.path / "inbox" / f
            for f in on.execute(sa.select(r.batches.c.file).where(r.batches.c.state == "accepted")).scalars()
        }
    removed = 0
    for folder in (state.path / "inbox", state.path / "segments", state.path / "tmp"):
        for file in sorted(folder.rglob("*"), reverse=True):
            if file.is_dir():
                if not any(file.iterdir()):
                    file.rmdir()
            elif file not in kept:
                file.unlink()
                removed += 1
    return removed + sweep_claims(state.path / "spool")

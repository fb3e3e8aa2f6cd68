"""Retention: visits and stays that are over for long enough leave, in two steps and never too many at once.

 mark    the rows to go are counted per segment and canaries chosen: rows that must survive. Nothing is deleted.
 wait    a day, in which an operator may look and stop the run.
 shred   the marked segments leave, rewritten without the rows to go or not at all: new files first, then one
         transaction, then the unlink. A crash before the transaction leaves everything, after it nothing.
A rule gone wrong once deleted 209,550 police records in weeks unseen (design, dangers 2.4, 27). Hence the wait, the cap,
and canaries that are looked for with another question than the one that chose what goes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import sqlalchemy as sa

from kangma.errors import Conflict, Corrupt
from kangma.intake.kinds import KINDS
from kangma.store import registry as r
from kangma.store import segments
from kangma.store.alarms import What, raise_alarm
from kangma.store.columns import drop_day
from kangma.store.durable import unavailable_when_the_disk_is
from kangma.store.engine import parquet
from kangma.store.numbers import segment_columns
from kangma.store.segments import ENDS, Segment
from kangma.terms import DAY, Day, Moment, Zone

if TYPE_CHECKING:
    from kangma.store.state import State

DAYS = 14
MOST_DAYS = 28  # the policy may ask for less, never for more
WAIT = DAY
CAP = 0.25  # of a kind's rows in one run; a day of fifteen is 0.07
_CANARIES = 16  # a kind, at each end of what must stay


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What one call did: the run that it shredded, the run that it marked, or why it stopped one."""

    shredded_run: int | None
    shredded: Mapping[str, int]  # kind → rows that are gone
    marked_run: int | None
    marked: Mapping[str, int]  # kind → rows that will go
    ready_at: Moment | None  # when the marked run may be shredded
    stopped: str | None  # "cap": too large a part of a kind; the run is over and nothing went


def cutoff(now: Moment, days: int, zone: Zone) -> Moment:
    """What was over before this moment goes: it lived `days` whole calendar days after its last day.

    Over on 1 April with 14 days, it is kept through 15 April and goes from 16 April on. ValueError above MOST_DAYS.
    """
    if not 0 < days <= MOST_DAYS:
        raise ValueError(f"retention is 1 to {MOST_DAYS} days")
    today: Day = zone.day(now)
    return zone.midnight(today - days)


def forget(
    state: State,
    now: Moment,
    *,
    zone: Zone,
    days: int = DAYS,
    wait: int = WAIT,
    cap: float = CAP,
) -> Forgotten:
    """Shreds the run that has waited long enough, then marks what has come of age since.

    A visit or stay goes by the moment it was over, all versions of a document together; a stay that goes on stays.
    `cap` is the largest part of a kind's rows that one run may take (1.0: an operator has said so). Calling it often is
    harmless: a marked run waits.
    """
    before = cutoff(now, days, zone)
    state.require_writable()
    with state.lock.hold(), unavailable_when_the_disk_is():
        d = r.deletions.c
        with state.registry.read() as on:
            open_run = on.execute(sa.select(r.deletions).where(d.state == "marked")).first()
        shredded_run: int | None = None
        shredded: dict[str, int] = {}
        if open_run is not None:
            if open_run.ready_at > now:
                counts = {k: v["rows"] for k, v in json.loads(open_run.counts).items()}
                return Forgotten(None, {}, open_run.run, counts, open_run.ready_at, None)
            gone = _shred(state, open_run, now)
            if gone is None:
                stop(state, open_run.run)
            else:
                shredded_run, shredded = open_run.run, gone
        marked_run, marked, stopped = _mark(state, now, before=before, days=days, ready=now + wait, cap=cap)
        ready = now + wait if marked_run is not None and stopped is None else None
    return Forgotten(shredded_run, shredded, marked_run, marked, ready, stopped)


def stop(state: State, run: int) -> None:
    """A marked run is over and deletes nothing. Conflict when it is not waiting."""
    d = r.deletions.c
    with state.lock.hold(), state.registry.write() as on:
        changed = on.execute(
            sa.update(r.deletions).where(d.run == run, d.state == "marked").values(state="stopped")
        )
        if changed.rowcount != 1:
            raise Conflict(f"deletion run {run} is not waiting")


def _mark(
    state: State, now: Moment, *, before: Moment, days: int, ready: Moment, cap: float
) -> tuple[int | None, dict[str, int], str | None]:
    found = state.live_segments(list(ENDS))
    marks: dict[str, int] = {}
    counts: dict[str, dict[str, int]] = {}
    canaries: dict[str, list[tuple[int, str]]] = {}
    with state.engine.work() as con:
        for kind, end in ENDS.items():
            of_kind = [s for s in found if s.kind == kind]
            counts[kind] = {"rows": 0, "of": sum(s.rows for s in of_kind)}
            _hold(con, of_kind, end, before)
            for s in of_kind:
                if s.first_end is not None and s.first_end < before:
                    n = _count(con, s, end, before)
                    if n:
                        marks[s.segment] = n
                    counts[kind]["rows"] += n
        going = {k: c["rows"] for k, c in counts.items() if c["rows"]}
        if not going:  # as in almost every cycle; canaries read everything
            return None, {}, None
        for kind in ENDS:
            files = [s.path for s in found if s.kind == kind]
            canaries[kind] = _canaries(con, kind, files, now - days * DAY)
    stopped = "cap" if any(c["rows"] > cap * c["of"] for c in counts.values()) else None
    with state.registry.write() as on:
        run = r.next_number(on, "deletions")
        on.execute(
            sa.insert(r.deletions).values(
                run=run,
                marked_at=now,
                ready_at=ready,
                before=before,
                state="stopped" if stopped else "marked",
                counts=json.dumps(counts, sort_keys=True),
                canaries=json.dumps(canaries),
            )
        )
        for segment, rows in marks.items():
            on.execute(sa.insert(r.deletion_marks).values(run=run, segment=segment, rows=rows))
        if stopped:
            raise_alarm(on, What.DELETION_STOPPED, None, {"run": run, "why": stopped}, now)
    total = sum(going.values())
    state.log.info("rows marked for deletion", run=run, marked=total, why=stopped or "", files=len(marks))
    return run, going, stopped


def _canaries(
    con: duckdb.DuckDBPyConnection, kind: str, files: Sequence[Path], safe: Moment
) -> list[tuple[int, str]]:
    """(end, digest) of rows that must survive: the newest, and those over soonest after `safe`.

    `safe` is `days` times 86,400 seconds ago, by no calendar: what was over since then cannot be old enough in any
    zone, so that a wrong cut-off is caught here and not only a wrong comparison.
    """
    if not files:
        return []
    end, found = ENDS[kind], list[tuple[int, str]]()
    for order in ("ASC", "DESC"):
        rows = con.execute(
            f"SELECT {end}, {_columns(kind)} FROM {parquet(files)} WHERE {end} >= {safe} "
            f"ORDER BY {end} {order} LIMIT {_CANARIES}"
        ).fetchall()
        found += [(row[0], _digest(kind, row[1:])) for row in rows]
    return sorted(set(found))


def _hold(con: duckdb.DuckDBPyConnection, of_kind: Sequence[Segment], end: str, before: Moment) -> None:
    """The table `held(feed, document_id)`: documents with a version over before that moment and another that is not.

    All versions of a document go together. An older one that stayed behind would count again, as if nobody had
    corrected it; so the newer waits until both are over.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE held (feed VARCHAR, document_id VARCHAR)")
    near = [s.path for s in of_kind if s.first_end is not None and s.first_end < before]
    if near:
        con.execute(
            f"INSERT INTO held SELECT DISTINCT feed, document_id FROM {parquet([s.path for s in of_kind])} "
            f"SEMI JOIN (SELECT DISTINCT feed, document_id FROM {parquet(near)} WHERE {end} < {before} "
            f"AND document_id IS NOT NULL) USING (feed, document_id) WHERE {end} IS NULL OR {end} >= {before}"
        )


def _goes(end: str, before: Moment) -> str:
    """The condition on a row of the relation `v` under which it goes; needs `held`."""
    return (
        f"coalesce(v.{end} < {before}, false) AND NOT EXISTS (SELECT 1 FROM held AS h "
        "WHERE h.feed = v.feed AND h.document_id = v.document_id)"
    )


def _count(con: duckdb.DuckDBPyConnection, s: Segment, end: str, before: Moment) -> int:
    """How many rows of a segment go."""
    query = f"SELECT count(*) FROM {parquet([s.path])} AS v WHERE {_goes(end, before)}"
    return int(con.execute(query).fetchall()[0][0])


def _columns(kind: str) -> str:
    return ", ".join(n for n, _ in segment_columns(KINDS[kind]))


def _digest(kind: str, row: tuple[object, ...]) -> str:
    return hashlib.sha256(repr((kind, row)).encode()).hexdigest()[:32]


def _shred(state: State, run: Any, now: Moment) -> dict[str, int] | None:
    """Kind → rows that are gone; None when a version came in meanwhile that holds back what was marked."""
    with state.registry.read() as on:
        marks = dict(
            on.execute(
                sa.select(r.deletion_marks.c.segment, r.deletion_marks.c.rows).where(
                    r.deletion_marks.c.run == run.run
                )
            )
            .tuples()
            .all()
        )
    found = state.live_segments(list(ENDS))
    going = [s for s in found if s.segment in marks]
    if len(going) != len(marks):
        raise Corrupt(f"deletion run {run.run} marked segments that are not there")
    entries: list[dict[str, Any]] = []
    gone: dict[str, int] = {}
    with state.engine.work() as con:
        for kind, end in ENDS.items():
            _hold(con, [s for s in found if s.kind == kind], end, run.before)
            for s in (s for s in going if s.kind == kind):
                over = f"SELECT count(*) FROM {parquet([s.path])} WHERE {end} < {run.before}"
                if con.execute(over).fetchall()[0][0] < marks[s.segment]:
                    raise Corrupt(f"deletion run {run.run} would take other rows than it marked")
                if _count(con, s, end, run.before) < marks[s.segment]:
                    return None
        for s in going:
            kept = s.rows - marks[s.segment]
            if kept:
                end = ENDS[s.kind]
                _hold(con, [o for o in found if o.kind == s.kind], end, run.before)
                select = f"SELECT * FROM {parquet([s.path])} AS v WHERE NOT ({_goes(end, run.before)})"
                entry = segments.write_segment(
                    con, state, s.kind, s.day, select=select, order=segments.ORDER.get(s.kind, end)
                )
                if entry["rows"] != kept:
                    raise Corrupt(f"deletion run {run.run} would take other rows than it marked")
                entries.append(entry)
            gone[s.kind] = gone.get(s.kind, 0) + marks[s.segment]
        left = [s for s in found if s.segment not in marks]
        _look_for_canaries(con, state, run, left, entries)
    counts = json.loads(run.counts)
    for kind, n in gone.items():
        counts[kind]["shredded"] = n
    with state.registry.write() as on:
        generation = r.next_number(on, "generation")
        changed = on.execute(
            sa.update(r.deletions)
            .where(r.deletions.c.run == run.run, r.deletions.c.state == "marked")
            .values(state="shredded", shredded_at=now, counts=json.dumps(counts, sort_keys=True))
        )
        if changed.rowcount != 1:
            raise Conflict(f"deletion run {run.run} was stopped")
        segments.swap(on, generation, going, entries)
    for s in going:
        s.path.unlink()
    # The batches that brought the rows were unlinked when they were absorbed; the columns derived from them must not
    # outlive what they were made from either.
    for s in going:
        if s.kind == "visits":
            drop_day(state, s.day)
    segments.sweep(state)
    state.registry.empty_journal()
    state.log.info("rows shredded", run=run.run, shredded=sum(gone.values()), files=len(going))
    return gone


def _look_for_canaries(
    con: duckdb.DuckDBPyConnection,
    state: State,
    run: Any,
    left: Sequence[Segment],
    entries: Sequence[Mapping[str, Any]],
) -> None:
    """Corrupt unless every canary, and at least as many rows as must stay, are in files that outlive the run."""
    counts, canaries = json.loads(run.counts), json.loads(run.canaries)
    for kind, end in ENDS.items():
        files = [s.path for s in left if s.kind == kind]
        files += [state.path / "segments" / e["file"] for e in entries if e["kind"] == kind]
        stay = counts[kind]["of"] - counts[kind]["rows"]
        there = con.execute(f"SELECT count(*) FROM {parquet(files)}").fetchall()[0][0] if files else 0
        if there < stay:
            raise Corrupt(f"deletion run {run.run} would leave {there} rows of {kind}, not {stay}")
        wanted = {digest for _, digest in canaries.get(kind, [])}
        if wanted:
            ends = ", ".join(str(int(e)) for e, _ in canaries[kind])
            query = f"SELECT {_columns(kind)} FROM {parquet(files)} WHERE {end} IN ({ends})"
            wanted -= {_digest(kind, row) for row in con.execute(query).fetchall()} if files else set()
        if wanted:
            raise Corrupt(f"deletion run {run.run} would take {len(wanted)} rows that must survive")

"""The 1,954 official exposure sites of New Zealand, August to October 2021, with every correction and withdrawal.

    .venv/bin/python examples/auckland-2021/run.py

Each published event is a case of its own that visited one place; the cases and the residents who met them are invented.
The publications come in as they were made, errors included. After each of them what the state holds is compared with a
derivation from scratch out of the same documents, and with a plain search written here without the platform. Meanwhile
the state forgets visits of long ago, as it must; verdicts must not depend on that.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from kangma.codes.turns import Digest, nobody, turn
from kangma.errors import Corrupt
from kangma.evidence.sets import memory
from kangma.evidence.views import prepare
from kangma.intake.limits import DEFAULT
from kangma.intake.tables import read_table
from kangma.policy.document import Timeline, timeline
from kangma.policy.judge import judge_all
from kangma.publish.cycle import cycle
from kangma.publish.policies import checked, city_of
from kangma.publish.release import read_table as read_release
from kangma.store.forget import DAYS, cutoff
from kangma.store.receive import receive, sandbox_for
from kangma.store.releases import last_release
from kangma.store.sandbox import Sandbox
from kangma.store.state import State, create
from kangma.terms import DAY, HOUR, Moment, moment, zone
from kangma.tracing.columns import Columns
from kangma.tracing.derive import derive

HERE = zone("Pacific/Auckland")
POLICY = Path(__file__).with_name("policy.toml")
FEED = "ministry"
MIN_OVERLAP = 60
#: An event that leaves the list sooner than this after its end was withdrawn: until then somebody may be isolating
#: because of it. Of all events 97 in a hundred leave the list 16 days or more after their end.
LISTED_FOR = 14 * DAY

Row = dict[str, str]
Met = tuple[str, bytes]  # case, key of the person who met it
Exposure = tuple[float, int, Moment, Moment]  # minutes, meetings, first, last


@dataclass(frozen=True, slots=True)
class Visit:
    """A stay of somebody at an address. `number` is of an invented document of type 99."""

    number: str
    place: str
    entered: Moment
    left: Moment


@dataclass(frozen=True, slots=True)
class Step:
    """What one publication changed."""

    at: Moment
    rows: int
    refused: int
    corrected: int  # events whose place or time is not what it was
    withdrawn: int
    exposures: int
    exposed: int  # persons
    joined: int
    left: int
    judged: int | None
    turns: int
    forgotten: int  # visits


@dataclass
class Outcome:
    """`refusals`: (kind, code) → rows. `received`: kind → [received, accepted, duplicate, refused, quarantined]."""

    steps: list[Step] = field(default_factory=list)
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    received: dict[str, list[int]] = field(default_factory=dict)
    publications: int = 0
    versions: int = 0
    corrected: int = 0
    withdrawn: int = 0
    compared: int = 0
    digest: str = ""


# The official material -------------------------------------------------------------------------------------------------


def published(data: Path) -> dict[Moment, list[Row]]:
    """Publication → its rows, in time order: 317 publications of 5,148 versions."""
    out: dict[Moment, list[Row]] = defaultdict(list)
    with gzip.open(
        data / "nz_locations_of_interest" / "event_versions.csv.gz", "rt", encoding="utf-8"
    ) as file:
        for row in csv.DictReader(file):
            out[moment(row["published_utc"])].append(row)
    return dict(sorted(out.items()))


def withdrawals(data: Path) -> dict[Moment, list[str]]:
    """Publication → the events that it withdrew: those last listed less than LISTED_FOR after their end.

    An event is withdrawn by the first list without it. Lists that changed nothing left no trace in the material, so
    that is the next one of which anything is known. What is on the last list of all was not withdrawn.
    """
    with (data / "nz_locations_of_interest" / "events.csv").open(encoding="utf-8") as file:
        events = [e for e in csv.DictReader(file) if e["end_utc"]]
    last = {e["id"]: moment(e["last_published_utc"]) for e in events}
    lists = sorted({*published(data), *last.values()})
    out: dict[Moment, list[str]] = defaultdict(list)
    for event in events:
        gone = [at for at in lists if at > last[event["id"]]]
        if gone and last[event["id"]] < moment(event["end_utc"]) + LISTED_FOR:
            out[gone[0]].append(event["id"])
    return dict(sorted(out.items()))


def case_number(event: str) -> str:
    """The invented document of an event's case. Event ids differ in case only, document numbers may not."""
    return "CASE-" + event.encode().hex()


def documents(row: Row, first: str) -> dict[str, Row]:
    """A published row as its sender would write it, errors included, by kind. `first`: when the event first appeared.

    The address is the place: who corrects the address of an event moves the visit. Where no time could be read the
    sender's own notation stands.
    """
    start, end = (row[f"{side}_utc"] or row[side.capitalize()] for side in ("start", "end"))
    named = {"document_id": row["id"], "document_version": str(moment(row["published_utc"]))}
    person = {"id_type": "99", "id_number": case_number(row["id"])}
    return {
        "cases": named
        | person
        | {
            "case_id": row["id"],
            "kind": "confirmed",
            "confirmed_at": max(first, end) if row["end_utc"] else end,
            "infectious_from": start,
        },
        "visits": named
        | person
        | {"place_id": row["Location"], "entered_at": start, "left_at": end, "source": "declared"},
        "places": named
        | {
            "place_id": row["Location"],
            "name": row["Event"],
            "kind": "venue",
            "lat": row["LAT"],
            "lon": row["LNG"],
            "district": row["City"],
        },
    }


# The invented residents ------------------------------------------------------------------------------------------------


def population(
    publications: dict[Moment, list[Row]], residents: int, seed: int
) -> tuple[list[Visit], list[Row]]:
    """Stays of residents at published addresses, about the published times, and their tests, both by time.

    Some were there at a time that was published and corrected later, some at an address that was.
    """
    chance = random.Random(seed)
    rows = [r for rows in publications.values() for r in rows if r["start_utc"] and r["end_utc"]]
    rows = [r for r in rows if r["start_utc"] <= r["end_utc"] and r["Location"].isprintable()]
    stays, tests = set[Visit](), list[Row]()
    for resident in range(residents):
        number = f"RESIDENT-{resident:06d}"
        for _ in range(chance.randint(1, 4)):
            row = chance.choice(rows)
            start, end = moment(row["start_utc"]), moment(row["end_utc"])
            entered = start + 60 * chance.randint(-90, (end - start) // 60 + 15)
            stay = Visit(number, row["Location"], entered, entered + 60 * chance.randint(5, 120))
            stays.add(stay)
            for day in (5, 12):
                if chance.random() < 0.4:
                    sampled = HERE.midnight(HERE.day(stay.left) + day) + 60 * chance.randint(8 * 60, 20 * 60)
                    reported = sampled + HOUR * chance.randint(6, 36)
                    tests.append(
                        {
                            "specimen_id": f"S{len(tests):06d}",
                            "id_type": "99",
                            "id_number": number,
                            "sampled_at": HERE.iso(sampled),
                            "reported_at": HERE.iso(reported),
                            "method": "nat",
                            "pooled": "false",
                            "result": "negative",
                            "lab": "invented",
                        }
                    )
    by_left = sorted(stays, key=lambda v: (v.left, v.number, v.place, v.entered))
    return by_left, sorted(tests, key=lambda t: moment(t["reported_at"]))


def visit_row(visit: Visit) -> Row:
    return {
        "id_type": "99",
        "id_number": visit.number,
        "place_id": visit.place,
        "entered_at": HERE.iso(visit.entered),
        "left_at": HERE.iso(visit.left),
        "source": "scan",
    }


# The plain search ------------------------------------------------------------------------------------------------------


class Notebook:
    """The official events as they stand, kept with pencil and paper: nothing of the platform is used."""

    def __init__(self) -> None:
        self.visits: dict[str, tuple[str, float, float]] = {}  # event → address, start, end
        self.windows: dict[str, tuple[float, float]] = {}  # event → infectious from, to
        self.refused: Counter[str] = Counter()

    def write(self, row: Row, first: str) -> bool:
        """Takes down a published row, as far as it can be read; whether the visit is another than it was."""
        before = self.visits.get(row["id"])
        try:
            start, end = (datetime.fromisoformat(row[f"{s}_utc"]).timestamp() for s in ("start", "end"))
        except ValueError:
            self.refused.update(["cases", "visits"])
            return False
        self.windows[row["id"]] = (start, max(end, datetime.fromisoformat(first).timestamp()))
        if start <= end and row["Location"] and row["Location"].isprintable():
            self.visits[row["id"]] = (row["Location"], start, end)
        else:
            self.refused["visits"] += 1
        return before not in (None, self.visits.get(row["id"]))

    def strike(self, event: str) -> bool:
        self.windows.pop(event, None)
        return self.visits.pop(event, None) is not None

    def exposures(self, residents: Iterable[Visit]) -> dict[tuple[str, str], Exposure]:
        """(event, number) → exposure, by looking at everybody who was at the address."""
        there: dict[str, set[tuple[str, float, float]]] = defaultdict(set)
        for v in residents:
            there[v.place].add((v.number, v.entered, v.left))
        for event, (place, start, end) in self.visits.items():
            there[place].add((case_number(event), start, end))
        found: dict[tuple[str, str], Exposure] = {}
        for event, (place, start, end) in self.visits.items():
            begins, ends = self.windows[event]
            for number, entered, left in there[place]:
                from_at, to_at = max(start, begins, entered), min(end, ends, left)
                if number != case_number(event) and to_at - from_at >= MIN_OVERLAP:
                    minutes, meetings, first, last = found.get((event, number), (0.0, 0, from_at, to_at))
                    found[event, number] = (
                        minutes + (to_at - from_at) / 60,
                        meetings + 1,
                        int(min(first, from_at)),
                        int(max(last, to_at)),
                    )
        return found


# From scratch ----------------------------------------------------------------------------------------------------------


def from_scratch(
    batches: list[tuple[str, str, pa.RecordBatch]], times: Timeline, now: Moment
) -> tuple[str, dict[Met, Exposure]]:
    """Verdict digest and exposures of these documents, derived whole and in memory, with nothing kept from before."""
    policy = times.in_force(now)
    with duckdb.connect() as con:
        con.execute("SET threads = 1")
        memory(con, batches)
        prepare(con, city=city_of(policy))
        exposures = derive(con, live_columns(con), policy.tracing).exposures.arrow()
        con.register("exposures", exposures)
        prepare(con, city=city_of(policy))
        _, verdicts = judge_all(con, times, now=now)
        keys = dict(con.execute("SELECT person, key FROM person_keys").fetchall())
    out = turn(nobody(), verdicts, None).out
    table = np.zeros((max(keys, default=-1) + 1, 16), np.uint8)
    for person, key in keys.items():
        table[person] = np.frombuffer(key, np.uint8)
    return Digest.of(out, table).hex(), by_key(exposures, keys)


def live_columns(con: duckdb.DuckDBPyConnection) -> Columns:
    """All live visits, sorted as the kernel wants them."""
    table = con.sql("SELECT person, place, entered_at, left_at FROM live_visits").to_arrow_table()
    columns = {name: table[name].to_numpy() for name in table.column_names}
    day = columns["entered_at"] // DAY
    return Columns.build(
        {int(d): {name: values[day == d] for name, values in columns.items()} for d in np.unique(day)}
    )


def by_key(exposures: pa.Table, keys: dict[int, bytes]) -> dict[Met, Exposure]:
    rows = exposures.to_pylist()
    return {
        (r["case_id"], keys[r["person"]]): (r["minutes"], r["meetings"], r["first_at"], r["last_at"])
        for r in rows
    }


# The scenario ----------------------------------------------------------------------------------------------------------


@dataclass
class Office:
    """Whoever sends files to the state, and keeps what was accepted of them for the derivation from scratch."""

    state: State
    sandbox: Sandbox
    files: Path
    outcome: Outcome
    sent: list[tuple[Path, str, str]] = field(default_factory=list)
    batches: list[tuple[str, str, pa.RecordBatch]] = field(default_factory=list)

    def send(self, kind: str, rows: list[Row], feed: str, now: Moment) -> int:
        """One CSV file of these rows; returns how many of them were refused."""
        if not rows:
            return 0
        path = self.files / f"{kind}-{len(self.sent):05d}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        got = receive(self.state, path, feed=feed, now=now, sandbox=self.sandbox)
        if got.code is not None or got.received != len(rows):
            raise Corrupt(f"{len(rows)} rows were sent, the receipt says {got.as_json()}")
        self.sent.append((path, kind, feed))
        total = self.outcome.received.setdefault(kind, [0] * 5)
        for i, n in enumerate((got.received, got.accepted, got.duplicate, got.refused, got.quarantined)):
            total[i] += n
        for code, n in got.as_json()["codes"].items():
            self.outcome.refusals[kind, code] += n
        with path.open("rb") as source:
            read = read_table(source, kind=kind, form="csv", keyer=self.state.keyer(), limits=DEFAULT)
            self.batches += [(feed, kind, batch.accepted) for batch in read]
        return got.refused


def run(
    data: Path,
    out: Path,
    *,
    publications: int | None = None,
    residents: int = 3_000,
    seed: int = 1,
    tell: bool = False,
) -> Outcome:
    """Lives through all publications in a new state directory under `out`, and compares after each.

    With `publications` the clock stops that many times only, evenly spread, each time with everything published since;
    the end is the same. Raises Corrupt where the state, a derivation from scratch and the plain search differ.
    """
    news, gone = published(data), withdrawals(data)
    stays, tests = population(news, residents, seed)
    stops = sorted({*news, *gone})
    if publications is not None:
        stops = [
            stops[i] for i in sorted({*np.linspace(0, len(stops) - 1, publications).astype(int).tolist()})
        ]
    first: dict[str, str] = {}
    outcome, book = Outcome(publications=len(news)), Notebook()
    text = POLICY.read_bytes()
    times = timeline(checked([text.decode()]))
    files = out / "files"
    files.mkdir(parents=True)
    with create(out / "state", policy=[text], now=stops[0]) as state, sandbox_for(state) as sandbox:
        office = Office(state, sandbox, files, outcome)
        since, exposed_before = 0, set[bytes]()
        addresses: list[Row] = []
        for now in stops:
            refused = office.send(
                "visits", [visit_row(v) for v in stays if since < v.left <= now], "scans", now
            )
            reports = [t for t in tests if since < moment(t["reported_at"]) <= now]
            refused += office.send("tests", reports, "laboratory", now)

            fresh = [row for at, rows in news.items() if since < at <= now for row in rows]
            sheets: dict[str, list[Row]] = {"cases": [], "visits": []}
            corrected = 0
            for row in fresh:
                first.setdefault(row["id"], row["published_utc"])
                corrected += book.write(row, first[row["id"]])
                written = documents(row, first[row["id"]])
                addresses.append(written.pop("places"))
                for kind, sheet in sheets.items():
                    sheet.append(written[kind])
            # Once a day: what addresses are called touches everybody, and nobody's exposures.
            if HERE.day(now) != HERE.day(since) or now == stops[-1]:
                refused += office.send("places", addresses, FEED, now)
                addresses = []
            refused += sum(office.send(kind, rows, FEED, now) for kind, rows in sheets.items())
            taken = [event for at, events in gone.items() if since < at <= now for event in events]
            notes = [{"document_id": e, "reason": "left the list early", "by": FEED} for e in taken]
            refused += office.send("retractions", notes, FEED, now)
            for event in taken:
                book.strike(event)

            done = cycle(state, now=now)
            exposures = _compare(office, book, [v for v in stays if v.left <= now], times, now)
            exposed = {person for _, person in exposures}
            step = Step(
                now,
                len(fresh),
                refused,
                corrected,
                len(taken),
                len(exposures),
                len(exposed),
                len(exposed - exposed_before),
                len(exposed_before - exposed),
                done.judged,
                done.turns.num_rows,
                done.forgotten.shredded.get("visits", 0),
            )
            outcome.steps.append(step)
            outcome.versions += len(fresh)
            outcome.corrected += corrected
            outcome.withdrawn += len(taken)
            outcome.compared += 1
            outcome.digest = done.release.verdict_digest
            since, exposed_before = now, exposed
            if tell:
                _tell(step)
        for kind in ("cases", "visits"):
            if outcome.received[kind][3] != book.refused[kind]:
                raise Corrupt(
                    f"{kind}: {outcome.received[kind][3]} rows refused, by hand {book.refused[kind]}"
                )
        if (other := _elsewhere(office, out / "elsewhere", text, stops[-1], seed)) != outcome.digest:
            raise Corrupt(f"a new state directory comes to {other}, this one to {outcome.digest}")
    return outcome


def _compare(
    office: Office, book: Notebook, stays: list[Visit], times: Timeline, now: Moment
) -> dict[Met, Exposure]:
    """The exposures of the last release, once everybody agrees on them and on everybody's verdict."""
    state, keyer = office.state, office.state.keyer()
    release = last_release(state.registry)
    assert release is not None
    table = read_release(state, release, "exposures")
    numbers = table["person"].unique()
    keys = dict(zip(numbers.to_pylist(), state.person_keys(numbers), strict=True))
    kept = by_key(table, keys)
    verdicts, derived = from_scratch(office.batches, times, now)
    by_hand = {(case, keyer.key("99", n)): e for (case, n), e in book.exposures(stays).items()}
    when = HERE.iso(now)
    if derived != by_hand:
        raise Corrupt(
            f"{when}: {len(derived.items() ^ by_hand.items())} exposures are not those found by hand"
        )
    # Of what began before this the state may have forgotten a visit. It must not hold anything else instead.
    horizon = cutoff(now, DAYS, HERE)
    whole = {met: exposure for met, exposure in derived.items() if exposure[2] >= horizon}
    rest = {met: exposure for met, exposure in kept.items() if met not in whole}
    if len(whole.items() & kept.items()) != len(whole) or not rest.keys() <= derived.keys():
        raise Corrupt(f"{when}: the exposures are not those from scratch")
    if verdicts != release.verdict_digest:
        raise Corrupt(f"{when}: the verdicts differ from those from scratch")
    return kept


def _elsewhere(office: Office, path: Path, policy: bytes, now: Moment, seed: int) -> str:
    """The verdict digest of a new state directory with the same key, to which all files come in another order."""
    sent = office.sent.copy()
    random.Random(seed).shuffle(sent)
    with create(path, policy=[policy], now=now) as state:
        (path / "keys" / "person.key").write_bytes((office.state.path / "keys" / "person.key").read_bytes())
        with sandbox_for(state) as sandbox:
            for file, kind, feed in sent:
                receive(state, file, kind=kind, feed=feed, now=now, sandbox=sandbox)
        return cycle(state, now=now).release.verdict_digest


# Telling ---------------------------------------------------------------------------------------------------------------

COLUMNS = (
    *("rows", "refused", "corrected", "withdrawn", "exposures", "exposed", "joined", "left"),
    *("judged", "turns", "forgotten"),
)


def _tell(step: Step) -> None:
    values = ((name, getattr(step, name)) for name in COLUMNS)
    shown = ((name, "all" if value is None else value) for name, value in values)
    print(f"{HERE.iso(step.at):27}" + "".join(f"{v:>{len(n) + 2}}" for n, v in shown), flush=True)


def summary(outcome: Outcome) -> Iterator[str]:
    yield f"{outcome.publications} publications, {outcome.versions:,} versions of events"
    yield f"{outcome.compared} comparisons, nothing differed"
    yield f"{outcome.corrected} corrections of a place or time, {outcome.withdrawn} withdrawals"
    yield "kind            received  accepted  duplicate  refused"
    for kind, (received, accepted, duplicate, refused, _) in outcome.received.items():
        yield f"{kind:14}{received:>10,}{accepted:>10,}{duplicate:>11,}{refused:>9,}"
    for (kind, code), count in sorted(outcome.refusals.items()):
        yield f"refused: {count:>5} {kind:8} {code}"
    last = outcome.steps[-1]
    yield f"at the end {last.exposures:,} exposures of {last.exposed:,} persons"
    yield f"verdicts {outcome.digest}: kept, from scratch, and in a new state directory in another order"


def main() -> None:
    told = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    told.add_argument("--data", type=Path, default=Path(os.environ.get("KANGMA_DATA", "../shared/data")))
    told.add_argument(
        "--publications", type=int, default=None, metavar="N", help="stop the clock N times only"
    )
    told.add_argument("--residents", type=int, default=3_000)
    told.add_argument("--out", type=Path, default=None, help="keep the state and the files here")
    asked: Any = told.parse_args()
    if not (asked.data / "nz_locations_of_interest").is_dir():
        told.exit(2, f"the official events are not at {asked.data}; set KANGMA_DATA\n")
    print(f"{'publication':27}" + "".join(f"  {name}" for name in COLUMNS))
    with TemporaryDirectory() as folder:
        outcome = run(
            asked.data,
            asked.out or Path(folder),
            publications=asked.publications,
            residents=asked.residents,
            tell=True,
        )
    print("\n".join(summary(outcome)))


if __name__ == "__main__":
    sys.exit(main())

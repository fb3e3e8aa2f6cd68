"""The 561 official risk-area lists of 15 April to 31 August 2022, against 50,000 invented residents of Beijing.

    .venv/bin/python examples/beijing-2022/run.py

The lists are official and come in as they were published, one by one, each followed by a cycle. The residents and their
stays in the named communities are invented. Colours are counted each midnight.
"""

from __future__ import annotations

import argparse
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kangma.city import make_city
from kangma.intake.limits import DEFAULT
from kangma.intake.risk_areas import read_risk_areas
from kangma.publish.cycle import Cycled, cycle
from kangma.publish.policies import texts_of
from kangma.publish.release import read_table
from kangma.store.receive import receive, sandbox_for
from kangma.store.releases import last_release
from kangma.store.state import State, create
from kangma.terms import DAY, HOUR, Moment, calendar, moment, zone
from kangma.terms import State as Colour

HERE = zone("Asia/Shanghai")
SONGYULI = "北京市/朝阳区/潘家园街道/松榆里社区"
FIRST = moment("2022-04-15T00:00:00+08:00")
POLICIES = ("beijing-2022-04-22", "protocol-9-2022-06-28")


@dataclass(frozen=True, slots=True)
class Visitor:
    """One of the people who were in Songyuli once and in no other named community."""

    id_type: str
    id_number: str
    left_at: Moment


@dataclass
class Outcome:
    """Midnight → persons by state, and what each visitor of Songyuli was shown at each midnight."""

    days: dict[str, dict[str, int]] = field(default_factory=dict)
    visitors: dict[Visitor, dict[str, Colour]] = field(default_factory=dict)
    lists: int = 0
    cycles: int = 0
    turns: int = 0


def run(
    data: Path,
    out: Path,
    *,
    residents: int = 50_000,
    visitors: int = 60,
    until: Moment | None = None,
    every_list: bool = True,
    seed: int = 1,
) -> Outcome:
    """Lives through the lists up to `until` in a new state directory under `out`; without `every_list` a cycle turns at
    midnight only."""
    lists = list(official_lists(data))
    if until is not None:
        lists = [(at, name, content) for at, name, content in lists if at < until]
    end = HERE.midnight(HERE.day(lists[-1][0]) + 1)
    people, stays, cohort = population(named_communities(lists), residents, visitors, end, seed)
    outcome = Outcome(visitors={v: {} for v in cohort})
    texts = [t.encode() for name in POLICIES for t in texts_of(name)]
    files = out / "files"
    files.mkdir(parents=True)
    with create(out / "state", policy=texts, now=FIRST) as state, sandbox_for(state) as sandbox:

        def take(name: str, table: pa.Table) -> None:
            pq.write_table(table, files / name)
            got = receive(state, files / name, feed="invented", sandbox=sandbox)
            assert got.accepted == table.num_rows, got.as_json()

        take("people.parquet", people)
        waiting = iter(lists)
        coming = next(waiting, None)
        left = stays["left_at"].to_numpy()
        for midnight in range(FIRST + DAY, end + 1, DAY):
            while coming is not None and coming[0] <= midnight:
                at, name, content = coming
                (files / name).write_bytes(content)
                got = receive(state, files / name, feed="state-council", now=at, sandbox=sandbox)
                assert got.code is None, got.as_json()
                outcome.lists += 1
                if every_list:
                    _note(outcome, cycle(state, now=at))
                coming = next(waiting, None)
            today = (left > midnight - DAY) & (left <= midnight)
            if today.any():
                rows = stays.filter(pa.array(today))
                iso = (
                    [HERE.iso(int(t)) for t in rows["entered_at"].to_numpy()],
                    [HERE.iso(int(t)) for t in rows["left_at"].to_numpy()],
                )
                rows = rows.set_column(3, "entered_at", pa.array(iso[0])).set_column(
                    4, "left_at", pa.array(iso[1])
                )
                take(f"area_stays-{calendar(HERE.day(midnight - 1))}.parquet", rows)
            done = cycle(state, now=midnight)
            _note(outcome, done)
            day = calendar(HERE.day(midnight)).isoformat()
            outcome.days[day] = {s.name.lower(): n for s, n in done.by_state.items() if n}
            _look(outcome, state, day)
    return outcome


def official_lists(data: Path) -> Iterator[tuple[Moment, str, bytes]]:
    """(time of the list, file name, content) in time order. Two lists of one hour keep the order of their names."""
    with tarfile.open(data / "china_risk_areas" / "all_snapshots.tar.xz") as archive:
        found = []
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            content = file.read()
            at = next(read_risk_areas(content, limits=DEFAULT)).accepted["listed_at"][0].as_py()
            found.append((at, member.name, content))
    yield from sorted(found)


def named_communities(lists: list[tuple[Moment, str, bytes]]) -> list[str]:
    """The ids of all communities of Beijing that a list calls of medium or high risk."""
    names: set[str] = set()
    for _, _, content in lists:
        for entry in (e for level in ("highlist", "middlelist") for e in json.loads(content)["data"][level]):
            if entry["province"] == "北京市":
                inside = f"{entry['province']}/{entry['city']}/{entry['county']}/"
                names |= {inside + community.strip() for community in entry["communitys"]}
    return sorted(names)


def population(
    communities: list[str], residents: int, visitors: int, end: Moment, seed: int
) -> tuple[pa.Table, pa.Table, list[Visitor]]:
    """People, their stays in the named communities (moments in seconds), and the visitors of Songyuli.

    Everybody has one stay of half an hour to ten hours on a day drawn evenly; one in twenty lives in a community
    instead and is there for a fortnight. The visitors come in the weeks around Songyuli's days of high risk.
    """
    people = make_city(residents, 1, seed, infected=0).documents(0)["people"]
    chance = np.random.default_rng(seed)
    n = people.num_rows
    where = chance.integers(len(communities), size=n)
    span = (end - FIRST) // HOUR
    entered = FIRST + chance.integers(span, size=n) * HOUR + chance.integers(HOUR, size=n)
    lasts = chance.integers(HOUR // 2, 10 * HOUR, size=n)
    at_home = chance.random(n) < 0.05
    lasts[at_home] = 14 * DAY
    cohort = np.arange(visitors)
    where[cohort] = communities.index(SONGYULI) if SONGYULI in communities else 0
    first = moment("2022-04-20T09:00:00+08:00")
    entered[cohort] = first + cohort * (24 * DAY // max(1, visitors))
    lasts[cohort] = 2 * HOUR
    left = entered + lasts
    areas = pa.array(communities).take(pa.array(where))
    stays = pa.table(
        {
            "id_type": people["id_type"],
            "id_number": people["id_number"],
            "area_id": areas,
            "entered_at": pa.array(entered),
            "left_at": pa.array(left),
            "source": pa.array(["declared"] * n),
        }
    )
    named = zip(people["id_type"].to_pylist(), people["id_number"].to_pylist(), left.tolist(), strict=True)
    return (
        people,
        stays.filter(pa.array(left <= end)),
        [Visitor(*v) for v, _ in zip(named, cohort, strict=False)],
    )


def _note(outcome: Outcome, done: Cycled) -> None:
    outcome.cycles += 1
    outcome.turns += done.turns.num_rows


def _look(outcome: Outcome, state: State, day: str) -> None:
    """What each visitor is shown now."""
    keyer = state.keyer()
    out = read_table(state, last_release(state.registry), "out")
    shown = dict(zip(out["person"].to_pylist(), out["state"].to_pylist(), strict=True))
    for visitor, seen in outcome.visitors.items():
        number = state.person_number(keyer.key(visitor.id_type, visitor.id_number))
        seen[day] = Colour(shown.get(number, 0))


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    told.add_argument("--data", type=Path, default=Path(os.environ.get("KANGMA_DATA", "../shared/data")))
    told.add_argument("--residents", type=int, default=50_000)
    told.add_argument("--until", type=moment, default=None, metavar="ISO8601")
    told.add_argument("--out", type=Path, default=None, help="keep the state and the files here")
    asked = told.parse_args()
    if not (asked.data / "china_risk_areas").is_dir():
        told.exit(2, f"the official lists are not at {asked.data}; set KANGMA_DATA\n")
    with TemporaryDirectory() as folder:
        outcome = run(asked.data, asked.out or Path(folder), residents=asked.residents, until=asked.until)
    print(f"{outcome.lists} official lists, {outcome.cycles} cycles, {outcome.turns:,} codes turned")
    print(f"{'midnight':12}{'red':>8}{'yellow':>8}{'popup':>8}{'remind':>8}")
    for day, counts in outcome.days.items():
        print(f"{day:12}" + "".join(f"{counts.get(s, 0):>8,}" for s in ("red", "yellow", "popup", "remind")))


if __name__ == "__main__":
    main()

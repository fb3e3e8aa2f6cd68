"""How fast a case is traced: the kernel beside tuned DuckDB, in one run, on the same visits, with the same rows.

    python bench/tracing.py [--full] [--out FILE]

Every measured answer of the kernel is compared with DuckDB's, row by row, before a figure counts.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kangma.terms import DAY, HOUR, day_number
from kangma.tracing.columns import HEADER, Columns, Day
from kangma.tracing.kernel import trace, warm
from kangma.tracing.sql import sql
from kangma.tracing.tables import EXPOSURES, ExposureTable, Windows

DAYS = 14
VISITS = 8  # a person and day
MIN_OVERLAP = 600
ROW_GROUP = 16_384
FIRST_DAY = day_number(date(2022, 4, 15))


def residents_day(residents: int, number: int, seed: int) -> dict[str, np.ndarray]:
    """One day's visits of everybody: home over night, work in two halves, two rides, lunch, a shop, an evening out.

    Two and a half people to a home; firms, shops and the rest have sizes that fall as rank^-0.6 (Zipf-like); a
    vehicle has 500 rides a day. What is somebody's home and firm stays the same over the days.
    """
    who = np.arange(residents, dtype=np.uint32)
    fixed, chance = np.random.default_rng(seed), np.random.default_rng([seed, number])
    homes, firms, vehicles = int(residents / 2.5), residents // 10, max(residents // 250, 1)
    cafes, shops, venues = residents // 100, residents // 50, residents // 100
    firsts = np.cumsum([0, homes, firms, vehicles, cafes, shops, venues])

    def popular(rng: np.random.Generator, places: int) -> np.ndarray:
        return np.minimum(places * rng.random(residents) ** 2.5, places - 1)

    def around(hour: float, spread: float) -> np.ndarray:
        return (hour + spread * chance.standard_normal(residents)) * HOUR

    def lasting(minutes: float) -> np.ndarray:
        return np.maximum(60, 60 * minutes * chance.lognormal(0, 0.5, residents))

    home = fixed.integers(0, homes, residents)
    firm = popular(fixed, firms)
    line = fixed.integers(0, vehicles, residents)
    leaves, starts = around(7.5, 0.8), lasting(25)
    arrives = leaves + starts
    lunch = around(12.2, 0.4)
    ends = around(17.8, 0.9)
    back = ends + lasting(25)
    out = back + lasting(40)
    rows = [
        (firsts[2] + line, leaves, arrives),
        (firsts[1] + firm, arrives, lunch),
        (firsts[3] + popular(chance, cafes), lunch, lunch + lasting(30)),
        (firsts[1] + firm, lunch + lasting(35), ends),
        (firsts[2] + (line + 1) % vehicles, ends, back),
        (firsts[4] + popular(chance, shops), back, back + lasting(20)),
        (firsts[5] + popular(chance, venues), out, out + lasting(70)),
        (firsts[0] + home, around(21.5, 0.7), around(31.3, 0.6)),
    ]
    assert len(rows) == VISITS
    midnight = (FIRST_DAY + number) * DAY
    entered = np.concatenate([row[1] for row in rows]).clip(0, DAY - 1).astype(np.int64)
    left = np.maximum(np.concatenate([row[2] for row in rows]).astype(np.int64), entered)
    return {
        "person": np.tile(who, VISITS),
        "place": np.concatenate([row[0] for row in rows]).astype(np.uint32),
        "entered_at": midnight + entered,
        "left_at": midnight + left,
    }


def mapped(folder: Path, day: Day) -> Day:
    """The day written to disk and mapped from there, as a running platform has it."""
    folder.mkdir()
    for name, content in day.to_buffers().items():
        (folder / name).write_bytes(content)
    buffers: dict[str, Any] = {}
    for path in folder.iterdir():
        with path.open("rb") as file:
            if path.name == HEADER or not path.stat().st_size:
                buffers[path.name] = file.read()
            else:
                buffers[path.name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return Day.from_buffers(buffers)


def city(folder: Path, residents: int, seed: int, *, parquet: bool) -> tuple[Columns, list[Took]]:
    """Columns of DAYS days, mapped from `folder`, and how long each day took to build."""
    days, took = [], []
    for number in range(DAYS):
        visits = residents_day(residents, number, seed)
        begun = clock()
        day = Day.build(FIRST_DAY + number, **visits)
        took.append(since(begun))
        del visits
        if parquet:
            places = np.repeat(
                np.arange(len(day.place_starts) - 1, dtype=np.uint32),
                np.diff(day.place_starts.astype(np.int64)),
            )
            table = pa.table(
                {
                    "person": day.person,
                    "place": places,
                    "entered_at": day.base + day.entered.astype(np.int64),
                    "left_at": day.base + day.left.astype(np.int64),
                }
            )
            pq.write_table(table, folder / f"visits-{number:02}.parquet", row_group_size=ROW_GROUP)
            del table, places
        days.append(mapped(folder / f"columns-{number:02}", day))
    return Columns.of(days), took


def lean_sql() -> str:
    """exposures.sql without what this material does not need: no static scans, no grids, no visit told twice, no
    order of rows. The peer is spared that work; the kernel still answers in order."""
    text = sql("exposures")
    for needless, lean in (
        ("select distinct", "select"),
        ("v.source <> 'scan_static'\n        and ", ""),
        (
            "        and not exists (select 1 from places as p where p.place = v.place and p.kind = 'grid')\n",
            "",
        ),
        ("order by case_id, person\n", ""),
    ):
        assert needless in text
        text = text.replace(needless, lean)
    return text


def peer(folder: Path) -> duckdb.DuckDBPyConnection:
    """DuckDB as its friends would set it up for this question."""
    con = duckdb.connect(config={"threads": 2})
    con.execute("SET dynamic_or_filter_threshold = 1000")
    con.execute("SET parquet_metadata_cache = true")
    con.execute(
        f"CREATE VIEW visits AS SELECT *, 'scan' AS source FROM read_parquet('{folder}/visits-*.parquet')"
    )
    con.execute("CREATE TABLE places AS SELECT 0::UINTEGER AS place, 'home' AS kind")
    return con


Took = tuple[float, float]  # seconds on the clock, seconds of processor: the second bears a busy machine


def clock() -> Took:
    return time.perf_counter(), time.process_time()


def since(begun: Took) -> Took:
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def by_peer(con: duckdb.DuckDBPyConnection, windows: Windows, text: str) -> tuple[Took, pa.Table]:
    table = pa.table(
        {
            "case_id": pa.array(windows.case_ids).take(pa.array(windows.case)),
            "person": windows.person,
            "from_at": windows.from_at,
            "to_at": windows.to_at,
        }
    )
    con.register("given", table)
    con.execute("CREATE OR REPLACE TEMP TABLE windows AS SELECT * FROM given")
    begun = clock()
    found = con.sql(text, params={"min_overlap": MIN_OVERLAP, "linger": 0}).to_arrow_table()
    took = since(begun)
    return took, found.cast(EXPOSURES).sort_by([("case_id", "ascending"), ("person", "ascending")])


def by_kernel(columns: Columns, windows: Windows) -> tuple[Took, ExposureTable]:
    begun = clock()
    found = trace(columns, windows, min_overlap=MIN_OVERLAP)
    return since(begun), found


def cases(residents: int, count: int, seed: int) -> Windows:
    """`count` distinct persons, infectious all of the days."""
    chosen = np.random.default_rng([seed, count]).choice(residents, count, replace=False)
    return Windows.of(
        (f"C{i:04}", int(person), FIRST_DAY * DAY, (FIRST_DAY + DAYS) * DAY)
        for i, person in enumerate(chosen)
    )


def spread(took: list[Took]) -> dict[str, float]:
    seconds = [wall for wall, _ in took]
    return {
        "median_s": statistics.median(seconds),
        "least_s": min(seconds),
        "most_s": max(seconds),
        "processor_s": statistics.median(cpu for _, cpu in took),
        "runs": len(took),
    }


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "load_1_min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numba": numba.__version__,
        "duckdb": duckdb.__version__,
        "numpy": np.__version__,
    }


def peak() -> float:
    """Peak resident memory of this process so far, GB; mapped files that were touched are in it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def resident() -> dict[str, float]:
    """Resident memory now, GB: our own, and pages of mapped files, which the system may take back."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return {"own_gb": int(sizes["RssAnon"]) * 1024 / 1e9, "mapped_gb": int(sizes["RssFile"]) * 1024 / 1e9}


def cold_start() -> dict[str, float]:
    """Seconds of `warm()` in a fresh process: with nothing compiled before, and with the cache there."""
    code = (
        "import time; from kangma.tracing.kernel import warm;"
        "begun = time.perf_counter(); warm(); print(time.perf_counter() - begun)"
    )
    with tempfile.TemporaryDirectory() as empty:
        env = os.environ | {"NUMBA_CACHE_DIR": empty}
        first, second = (
            float(
                subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True).stdout
            )
            for _ in range(2)
        )
    return {"nothing_compiled_s": first, "from_cache_s": second}


def beside(
    columns: Columns, con: duckdb.DuckDBPyConnection, residents: int, count: int, *, ours: int, theirs: int
) -> dict[str, Any]:
    """`count` cases at a time, traced by both: `ours` sets of them by the kernel, the first `theirs` by DuckDB too."""
    lean = lean_sql()
    ours_took, theirs_took, exposures = [], [], 0
    for i in range(ours):
        windows = cases(residents, count, 100 + i)
        by_kernel(columns, windows)  # both sides find their pages in memory
        took, found = by_kernel(columns, windows)
        ours_took.append(took)
        exposures += len(found.case)
        if i < theirs:
            if count == 1 or i == 0:
                by_peer(con, windows, lean)
            took, same = by_peer(con, windows, lean)
            theirs_took.append(took)
            if not found.arrow().equals(same):
                raise SystemExit("the kernel and DuckDB differ: no figure counts")
    unabridged, same = by_peer(con, cases(residents, count, 100), sql("exposures"))
    kernel, duck = spread(ours_took), spread(theirs_took)
    return {
        "kernel": kernel,
        "duckdb": duck,
        "duckdb_unabridged_s": unabridged[0],
        "times_faster": duck["median_s"] / kernel["median_s"],
        "times_less_processor": duck["processor_s"] / kernel["processor_s"],
        "exposures_a_case": exposures / (ours * count),
    }


def growth(sizes: tuple[int, int]) -> dict[str, Any]:
    """One case in a city and in one ten times as large; 51 cases each, every one traced twice, the second counts."""
    report: dict[str, Any] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            columns, _ = city(Path(scratch), size, 2, parquet=False)
            times, exposures = [], 0
            for i in range(51):
                windows = cases(size, 1, 500 + i)
                by_kernel(columns, windows)
                took, found = by_kernel(columns, windows)
                times.append(took)
                exposures += len(found.case)
            report[str(size)] = spread(times) | {
                "exposures_a_case": exposures / 51,
                "columns_gb": columns.nbytes / 1e9,
            }
            del columns
    few, many = (report[str(size)]["median_s"] for size in sizes)
    return report | {"times": many / few}


def run(full: bool, say: Callable[[str], None] = print, *, residents: int | None = None) -> dict[str, Any]:
    """Everything measured, as a dict for JSON."""
    residents = residents or (1_000_000 if full else 200_000)
    report: dict[str, Any] = {
        "machine": machine(),
        "residents": residents,
        "days": DAYS,
        "visits": residents * DAYS * VISITS,
        "compile": cold_start(),
        "traced": {},
    }
    warm()
    with tempfile.TemporaryDirectory() as scratch:
        columns, took = city(Path(scratch), residents, 1, parquet=True)
        report["columns_gb"] = columns.nbytes / 1e9
        report["build_a_day"] = spread(took) | {"rows": columns.days[0].rows, "peak_gb": peak()}
        day_s = report["build_a_day"]["median_s"]
        say(
            f"{columns.rows:,} visits in {columns.nbytes / 1e9:.2f} GB of columns, a day built in {day_s:.1f} s"
        )
        trace(columns, cases(residents, 1000, 100), min_overlap=MIN_OVERLAP)
        report["resident_after_1000_cases"] = resident()
        with peer(Path(scratch)) as con:
            for count, ours, theirs in ((1, 25, 7), (100, 7, 3), (1000, 5, 2)):
                found = beside(columns, con, residents, count, ours=ours, theirs=theirs)
                report["traced"][str(count)] = found
                say(
                    f"{count:5} cases: kernel {found['kernel']['median_s'] * 1e3:8.2f} ms, "
                    f"DuckDB {found['duckdb']['median_s'] * 1e3:8.0f} ms, {found['times_faster']:.0f} times "
                    f"({found['times_less_processor']:.0f} in processor time); "
                    f"{found['exposures_a_case']:,.0f} exposures a case"
                )
        report["peak_gb_duckdb_included"] = peak()
        del columns
    if full:
        report["growth"] = growth((200_000, 2_000_000))
        say(f"200,000 → 2,000,000 residents: {report['growth']['times']:.2f} times as long")
    report["machine"]["load_1_min_at_end"] = round(os.getloadavg()[0], 2)
    return report


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="How fast a case is traced.")
    wishes.add_argument(
        "--full", action="store_true", help="1 million residents, and the growth to 2 million"
    )
    wishes.add_argument("--residents", type=int, help="another size")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    measured = run(wish.full, residents=wish.residents)
    if wish.out:
        wish.out.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")

"""A day's visits, from accepted rows to one sorted, durable segment; beside tuned DuckDB over the same rows.

Ours is the whole way: duplicates looked for against the file itself and everything that is here, persons and places
numbered, one segment sorted by (place, entered) in row groups of 16,384, SHA-256 of the files, every fsync, two
registry transactions. DuckDB reads, removes duplicates, sorts by the texts as they are and writes the same Parquet,
without an fsync and without numbering.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kangma.intake.kinds import KINDS
from kangma.store.state import create

DEFAULT_ROWS, FULL_ROWS = 1_000_000, 8_000_000
VISITS_A_PERSON, PERSONS_A_PLACE = 8, 4
DAY = 19_107
ROUNDS = 3
MEMORY = "1200MB"


def visits(rows: int, seed: int = 1) -> Iterator[pa.RecordBatch]:
    """Made-up visits of one day: 8 a person, places visited alike, random minutes."""
    chance = np.random.default_rng(seed)
    persons = rows // VISITS_A_PERSON
    keys = np.frombuffer(chance.bytes(16 * persons), np.uint8).reshape(persons, 16)
    places = pa.array([f"place-{n}" for n in range(persons // PERSONS_A_PLACE + 1)])
    for start in range(0, rows, 65_536):
        n = min(65_536, rows - start)
        who = np.ascontiguousarray(keys[chance.integers(0, persons, n)])
        entered = DAY * 86_400 + chance.integers(0, 86_400, n)
        columns = [
            pa.nulls(n, pa.string()),
            pa.array(np.zeros(n, np.int64)),
            pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), n, [None, pa.py_buffer(who)]),
            places.take(pa.array(chance.integers(0, len(places), n))),
            pa.array(entered),
            pa.array(entered + chance.integers(60, 7_200, n)),
            pa.array(["scan"] * n),
        ]
        yield pa.record_batch(columns, schema=KINDS["visits"].schema)


def write_source(file: Path, rows: int) -> None:
    with pq.ParquetWriter(file, KINDS["visits"].schema, compression="lz4") as out:
        for batch in visits(rows):
            out.write_batch(batch)


def ours(source: Path, folder: Path) -> dict[str, float]:
    with create(folder / "state") as state:
        begin = time.perf_counter()
        batches = pq.ParquetFile(source).iter_batches(65_536)
        receipt = state.inbox.accept("bench", "visits", (b.cast(KINDS["visits"].schema) for b in batches))
        accepted = time.perf_counter()
        absorbed = state.absorb()
        end = time.perf_counter()
    assert receipt.tallies["visits"].accepted == absorbed.rows["visits"]
    return {"accept_s": accepted - begin, "absorb_s": end - accepted, "total_s": end - begin}


def theirs(source: Path, folder: Path) -> dict[str, float]:
    con = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(folder / "spill")})
    begin = time.perf_counter()
    con.execute(
        f"COPY (SELECT DISTINCT * FROM read_parquet('{source}') ORDER BY place_id, entered_at) "
        f"TO '{folder / 'peer.parquet'}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 16384)"
    )
    return {"total_s": time.perf_counter() - begin}


def once(which: str, source: str) -> None:
    """One measurement in a process of its own, so that its peak memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        cpu = time.process_time()
        found = {"ours": ours, "theirs": theirs}[which](Path(source), Path(folder))
        found["cpu_s"] = time.process_time() - cpu
        found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


def run(full: bool) -> dict[str, Any]:
    """Ours and theirs in turn, ROUNDS times each; seconds of wall clock."""
    rows = FULL_ROWS if full else DEFAULT_ROWS
    taken: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "visits.parquet"
        write_source(source, rows)
        for _ in range(ROUNDS):
            for which, found in taken.items():
                command = [sys.executable, __file__, which, str(source)]
                found.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))

    def of(which: str, what: str) -> list[float]:
        return sorted(x[what] for x in taken[which])

    total, peer = of("ours", "total_s"), of("theirs", "total_s")
    return {
        "name": "absorb",
        "size": rows,
        "median_s": statistics.median(total),
        "spread": [total[0], total[-1]],
        "accept_s": statistics.median(of("ours", "accept_s")),
        "absorb_s": statistics.median(of("ours", "absorb_s")),
        "cpu_s": statistics.median(of("ours", "cpu_s")),
        "peak_mb": max(of("ours", "peak_mb")),
        "peer": {
            "name": "DuckDB: read, distinct, sort, write Parquet",
            "median_s": statistics.median(peer),
            "spread": [peer[0], peer[-1]],
            "cpu_s": statistics.median(of("theirs", "cpu_s")),
            "peak_mb": max(of("theirs", "peak_mb")),
        },
        # Above 1 we are faster; by CPU time beside it, which neighbours on the machine disturb less.
        "ratio": statistics.median(peer) / statistics.median(total),
        "cpu_ratio": statistics.median(of("theirs", "cpu_s")) / statistics.median(of("ours", "cpu_s")),
    }


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in ("ours", "theirs"):
        once(sys.argv[1], sys.argv[2])
    else:
        wishes = argparse.ArgumentParser(description="How fast a day's visits are absorbed.")
        wishes.add_argument("--full", action="store_true", help="8 million visits")
        wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
        wish = wishes.parse_args()
        found = run(wish.full)
        print(json.dumps(found, indent=2))
        if wish.out:
            wish.out.write_text(json.dumps(found))

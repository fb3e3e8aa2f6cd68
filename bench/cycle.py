"""A cycle of a whole city: from a confirmed case to everybody's turned codes, and a midnight at which many turn.

The peer is the same city judged whole instead of in parts: what every cycle would cost without knowing who is touched.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kangma.city import make_city, write_city
from kangma.policy.published import read
from kangma.publish.cycle import cycle
from kangma.store.receive import receive, receive_all, sandbox_for
from kangma.store.state import create
from kangma.terms import DAY, HOUR, zone

DAYS = 14
CASES = 12


def run(full: bool, *, residents: int | None = None) -> dict[str, Any]:
    residents = residents or (1_000_000 if full else 100_000)
    here = zone("Asia/Shanghai")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        city = make_city(residents, DAYS, 1)
        started = time.perf_counter()
        write_city(city, folder / "tables")
        made_s = time.perf_counter() - started
        with create(folder / "state", policy=[t.encode() for t in read("beijing-2022-04-22")]) as state:
            started = time.perf_counter()
            rows = sum(r.accepted for r in receive_all(state, [folder / "tables"], feed="city"))
            ingest_s = time.perf_counter() - started
            now = city.zero + DAYS * DAY
            started = time.perf_counter()
            first = cycle(state, now=now)
            first_s = time.perf_counter() - started
            print(
                f"{residents:,} residents: made {made_s:.1f} s, {rows:,} rows in {ingest_s:.1f} s, "
                f"first cycle {first_s:.1f} s",
                flush=True,
            )
            whole, parts, turned = [], [], []
            people = city.documents(0)["people"]
            with sandbox_for(state) as sandbox:
                for n in range(CASES):
                    row = people.slice(1 + n * (people.num_rows // CASES), 1).select(["id_type", "id_number"])
                    now += HOUR // 4
                    at = here.iso(now)
                    table = row.append_column("case_id", pa.array([f"bench-{n}"])).append_column(
                        "kind", pa.array(["confirmed"])
                    )
                    table = table.append_column("confirmed_at", pa.array([at]))
                    path = folder / f"cases-{n}.parquet"
                    pq.write_table(table, path)
                    started = time.perf_counter()
                    assert receive(state, path, kind="cases", feed="cdc", sandbox=sandbox).accepted == 1
                    done = cycle(state, now=now)
                    parts.append(time.perf_counter() - started)
                    turned.append(done.turns.num_rows)
            for _ in range(3):
                now += 60
                started = time.perf_counter()
                cycle(state, now=now, everybody=True)
                whole.append(time.perf_counter() - started)
            midnight = here.midnight(here.day(now) + 1)
            started = time.perf_counter()
            due = cycle(state, now=midnight)
            midnight_s = time.perf_counter() - started
    parts.sort()
    return {
        "residents": residents,
        "rows": rows,
        "city_made_s": made_s,
        "ingest_s": ingest_s,
        "first_cycle_s": first_s,
        "first_turns": first.turns.num_rows,
        "case_to_turns": {
            "median_s": statistics.median(parts),
            "p95_s": parts[int(len(parts) * 0.95)],
            "spread": [parts[0], parts[-1]],
            "turns": turned,
        },
        "everybody_s": {"median_s": statistics.median(whole), "spread": [min(whole), max(whole)]},
        "times_faster_than_everybody": statistics.median(whole) / statistics.median(parts),
        "midnight": {"s": midnight_s, "judged": due.judged, "turns": due.turns.num_rows},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="How long a cycle takes.")
    wishes.add_argument("--full", action="store_true", help="1 million residents")
    wishes.add_argument("--residents", type=int, help="another size")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    found = run(wish.full, residents=wish.residents)
    print(json.dumps(found, indent=2))
    if wish.out:
        wish.out.write_text(json.dumps(found))

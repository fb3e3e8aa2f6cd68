"""A cycle of a whole city: from a confirmed case to everybody's turned codes, and a midnight at which everybody turns.

The peer is the same city judged whole instead of in parts: what every cycle would cost without knowing who is touched.
Seconds are given with the processor's beside them, because the machine is seldom ours alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kangma.city import make_city, write_city
from kangma.policy.published import read
from kangma.publish.cycle import STEPS, Cycled, cycle
from kangma.publish.signer import ReleaseSigner
from kangma.store.receive import receive, receive_all, sandbox_for
from kangma.store.state import State, create, open_state
from kangma.terms import DAY, Moment, zone

DAYS = 14
CASES = 20
MINUTE = 60  # between cycles of a city that is served
HERE = zone("Asia/Shanghai")


def run(full: bool, *, residents: int | None = None, made: Path | None = None) -> dict[str, Any]:
    """`made`: a folder of an earlier run (with `--keep`), whose city is taken instead of making one."""
    residents = residents or (1_000_000 if full else 100_000)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        figures = city_of(residents, folder, made)
        people, now = people_of(folder), begins(folder)

        with open_state(folder / "state") as state, sandbox_for(state) as sandbox:

            def confirmed(n: int, now: Moment) -> None:
                confirm(state, sandbox, folder, people, n, now)

            # The first after opening reads what is kept in memory; the tables of the last release come from the disk.
            confirmed(0, now := now + MINUTE)
            figures["first_after_opening"], _ = timed(state, now)
            print("first after opening", figures["first_after_opening"], flush=True)
            parts, receipts = [], []
            for n in range(1, CASES):
                started = time.perf_counter()
                confirmed(n, now := now + MINUTE)
                receipts.append(time.perf_counter() - started)
                found, done = timed(state, now)
                parts.append(found | {"judged": done.judged, "turns": done.turns.num_rows})
            print("case to turns", summary(parts), flush=True)
            whole = [timed(state, now := now + MINUTE, everybody=True)[0] for _ in range(1 if full else 3)]
            print("everybody", summary(whole), flush=True)
            figures |= {
                "receive_case_s": statistics.median(receipts),
                "case_to_turns": summary(parts),
                "everybody": summary(whole),
                "times_faster_than_everybody": statistics.median(w["cpu_s"] for w in whole)
                / statistics.median(p["cpu_s"] for p in parts),
                "midnight": midnight(state, people, folder, now, sandbox),
            }
    return figures | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def city_of(
    residents: int,
    folder: Path,
    made: Path | None,
    first: Callable[[State, Moment], Cycled] | None = None,
    **epidemic: Any,
) -> dict[str, Any]:
    """`folder` holds a city of two weeks, taken in, absorbed and judged once by `first`; from the folder `made` when it
    was left there before, and left there when not. `epidemic`: as `make_city` takes it; else it reaches nearly all."""
    if made is not None and (made / "ready").exists():
        shutil.copytree(made, folder, dirs_exist_ok=True)
        os.sync()  # what was copied is not to be written out while somebody waits for a release
        return {"residents": residents}
    first = first or (lambda state, now: cycle(state, now=now))
    figures = {"residents": residents} | _make(residents, folder, first, epidemic)
    if made is not None:
        shutil.copytree(folder, made, dirs_exist_ok=True)
    return figures


def people_of(folder: Path) -> pa.Table:
    """Everybody, as the city's people were taken in."""
    return pq.read_table(folder / "people.parquet")


def begins(folder: Path) -> Moment:
    """The moment of the city's first cycle."""
    return int((folder / "ready").read_text())


def confirm(state: State, sandbox: Any, folder: Path, people: pa.Table, n: int, now: Moment) -> None:
    """Case `n` of CASES is confirmed and taken in, as a file."""
    row = people.slice(1 + n * (people.num_rows // CASES), 1).select(["id_type", "id_number"])
    row = row.append_column("case_id", pa.array([f"bench-{n}"]))
    row = row.append_column("kind", pa.array(["confirmed"]))
    path = folder / f"cases-{n}.parquet"
    pq.write_table(row.append_column("confirmed_at", pa.array([HERE.iso(now)])), path)
    assert receive(state, path, kind="cases", feed="cdc", sandbox=sandbox).accepted == 1


def _make(
    residents: int, folder: Path, cycle_once: Callable[[State, Moment], Cycled], epidemic: dict[str, Any]
) -> dict[str, Any]:
    figures: dict[str, Any] = {}

    def took(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        made = work()
        figures[name] = time.perf_counter() - started
        print(f"{name} {figures[name]:.1f}", flush=True)
        return made

    city = make_city(residents, DAYS, 1, **epidemic)
    took("city_made_s", lambda: write_city(city, folder / "tables"))
    pq.write_table(city.documents(0)["people"], folder / "people.parquet")
    with create(folder / "state", policy=[t.encode() for t in read("beijing-2022-04-22")]) as state:
        receipts = took("ingest_s", lambda: list(receive_all(state, [folder / "tables"], feed="city")))
        figures["rows"] = sum(r.accepted for r in receipts)
        shutil.rmtree(folder / "tables")
        took("absorb_s", state.absorb)
        first = took("first_cycle_s", lambda: cycle_once(state, city.zero + DAYS * DAY))
        figures["first_turns"] = first.turns.num_rows
        figures["by_state"] = first.release.counts["by_state"]
    (folder / "ready").write_text(str(city.zero + DAYS * DAY))
    return figures


def midnight(
    state: State,
    people: pa.Table,
    folder: Path,
    now: Moment,
    sandbox: Any,
    signer: ReleaseSigner | None = None,
) -> dict[str, Any]:
    """Everybody has bought a medicine at one midnight and had no test since: three days later, at midnight, every code
    is told to test, whatever its colour."""
    bought = HERE.midnight(HERE.day(now) + 1)
    table = people.select(["id_type", "id_number"])
    for name, word in (("at", HERE.iso(bought)), ("medicine_class", "fever"), ("pharmacy", "bench")):
        table = table.append_column(name, pa.array([word] * people.num_rows))
    pq.write_table(table, folder / "purchases.parquet")
    receive(state, folder / "purchases.parquet", kind="purchases", feed="pharmacies", sandbox=sandbox)
    timed(state, bought, signer=signer)
    found, done = timed(state, HERE.midnight(HERE.day(bought) + 3), signer=signer)
    return found | {"judged": done.judged, "turns": done.turns.num_rows}


def timed(
    state: State, now: Moment, *, everybody: bool = False, signer: ReleaseSigner | None = None
) -> tuple[dict[str, Any], Cycled]:
    """A cycle, with its seconds, the processor's, and those of each step; `to_turns_s` ends when turns are known."""
    marks: list[tuple[str, float]] = []
    started, cpu = time.perf_counter(), time.process_time()
    done = cycle(
        state,
        now=now,
        everybody=everybody,
        signer=signer,
        step=lambda name: marks.append((name, time.perf_counter())),
    )
    ended = time.perf_counter()
    at = [t for _, t in marks] + [ended]
    steps = {name: round(at[i + 1] - at[i], 3) for i, (name, _) in enumerate(marks)}
    assert tuple(steps) == STEPS
    to_turns = at[STEPS.index("publish")] - started
    return {
        "s": ended - started,
        "to_turns_s": to_turns,
        "cpu_s": time.process_time() - cpu,
        "steps": steps,
    }, done


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name in ("s", "to_turns_s", "cpu_s"):
        values = sorted(f[name] for f in found)
        late = values[min(len(values) - 1, int(len(values) * 0.95))]
        out[name] = {"p50": statistics.median(values), "p95": late, "spread": [values[0], values[-1]]}
    out["steps"] = {s: statistics.median(f["steps"][s] for f in found) for s in STEPS}
    for name in ("judged", "turns"):
        out[name] = [f[name] for f in found if name in f]
    return out


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="How long a cycle takes.")
    wishes.add_argument("--full", action="store_true", help="1 million residents")
    wishes.add_argument("--residents", type=int, help="another size")
    wishes.add_argument(
        "--keep", type=Path, help="take the city from here, or leave it here for the next run"
    )
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    found = run(wish.full, residents=wish.residents, made=wish.keep)
    print(json.dumps(found, indent=2))
    if wish.out:
        wish.out.write_text(json.dumps(found))

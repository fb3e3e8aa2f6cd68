"""From a confirmed case to every turned code published, and the midnight at which everybody's code turns.

One long-lived program, as `kangma serve` runs it: a case is sent in, a cycle follows, and the clock stops when the
public folder holds the signed lists. Beside it, in the same run, what the bare cryptography of each release would cost:
every SHA-256 and every signature, and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kangma.city import make_city, write_city
from kangma.policy.published import read
from kangma.publish.city import CityName, has_keys, name_city
from kangma.publish.commit import commit
from kangma.publish.cycle import cycle
from kangma.publish.signer import LocalSigner
from kangma.signing.keys import Algorithm, Environment, KeySigner, new_secret
from kangma.store.receive import receive, receive_all, sandbox_for
from kangma.store.state import create
from kangma.terms import DAY, HOUR, Text, zone

DAYS = 14
CASES = 20
CITY = CityName(
    "cn-bench",
    Text("测试市", "Bench City"),
    "https://kangma.example",
    "kangma.example/bench",
    Environment.DEVELOPMENT,
    "Asia/Shanghai",
)


def run(full: bool, *, residents: int | None = None) -> dict[str, Any]:
    residents = residents or (1_000_000 if full else 100_000)
    here = zone(CITY.zone)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        city = make_city(residents, DAYS, 1)
        write_city(city, folder / "tables")
        home = folder / "state"
        with create(home, policy=[t.encode() for t in read("beijing-2022-04-22")]) as state:
            name_city(home, CITY)
            for _ in receive_all(state, [folder / "tables"], feed="city"):
                pass
            now = city.zero + DAYS * DAY
            has_keys(home, now=now)
            with LocalSigner(home) as signer:
                # The first release of a city tells of a fortnight at once; the ceiling is for what comes after.
                signer._ceilings = lambda use, at: _unbounded(type(signer)._ceilings(signer, use, at))  # type: ignore[method-assign]
                started = time.perf_counter()
                first = cycle(state, now=now, signer=signer)
                first_s = time.perf_counter() - started
                print(
                    f"{residents:,}: first cycle {first_s:.1f} s, {first.turns.num_rows:,} turns", flush=True
                )
                case = _cases(state, signer, city, folder, here, now)
                now = case.pop("now")
                midnight = _midnight(state, signer, now + HOUR)
    return {
        "residents": residents,
        "first_cycle_s": first_s,
        "first_turns": first.turns.num_rows,
        "case_to_published": case,
        "midnight_everybody": midnight,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _cases(state: Any, signer: Any, city: Any, folder: Path, here: Any, now: int) -> dict[str, Any]:
    taken, all_, turned, bare = [], [], [], []
    people = city.documents(0)["people"]
    with sandbox_for(state) as sandbox:
        for n in range(CASES + 1):
            row = people.slice(1 + n * (people.num_rows // (CASES + 1)), 1).select(["id_type", "id_number"])
            now += HOUR // 4
            table = row.append_column("case_id", pa.array([f"bench-{n}"])).append_column(
                "kind", pa.array(["confirmed"])
            )
            table = table.append_column("confirmed_at", pa.array([here.iso(now)]))
            path = folder / f"cases-{n}.parquet"
            pq.write_table(table, path)
            started = time.perf_counter()
            assert receive(state, path, kind="cases", feed="cdc", sandbox=sandbox).accepted == 1
            between = time.perf_counter()
            done = cycle(state, now=now, signer=signer)
            ended = time.perf_counter()
            if n == 0:
                print(f"case 0 (warming): {ended - started:.2f} s", flush=True)
                continue
            taken.append(between - started)
            all_.append(ended - started)
            turned.append(done.turns.num_rows)
            bare.append(_bare(done.turns.num_rows))
    ordered = sorted(all_)
    found = {
        "median_s": statistics.median(all_),
        "p95_s": ordered[int(len(ordered) * 0.95) - 1],
        "spread": [ordered[0], ordered[-1]],
        "ingest_median_s": statistics.median(taken),
        "turns": turned,
        "bare_cryptography_median_s": statistics.median(bare),
        "times_bare": statistics.median(all_) / statistics.median(bare),
    }
    print(json.dumps(found), flush=True)
    return found | {"now": now}


def _midnight(state: Any, signer: Any, now: int) -> dict[str, Any]:
    """Every resident's code turns in one release: what publication alone costs, from the table of turns to the signed
    folder. (What deriving them costs is in bench/cycle.py.)"""
    from kangma.codes.turns import ALIASES, OUT  # noqa: PLC0415
    from kangma.publish.release import TABLES  # noqa: PLC0415
    from kangma.publish.tables import Table  # noqa: PLC0415
    from kangma.store.releases import Release, acquire, last_release  # noqa: PLC0415

    last = last_release(state.registry)
    assert last is not None
    shown = signer.book.shown
    n = len(shown)
    will = np.where(shown == 2, 0, 2).astype(np.uint8)  # a notice for whoever has none
    turns = pa.table(
        {
            "person": np.arange(n, dtype=np.uint32),
            "from_state": shown,
            "to_state": will,
            "from_popups": np.zeros(n, np.uint32),
            "to_popups": np.ones(n, np.uint32),
            "from_reminds": np.zeros(n, np.uint32),
            "to_reminds": np.zeros(n, np.uint32),
        }
    )
    lease = acquire(state.registry, "cycle", "bench", now=now)
    counts = {**last.counts, "turns": n}
    release = Release(last.number + 1, now, last.generation, last.policy_digest, counts, last.verdict_digest)
    tables = {name: schema.empty_table() for name, schema in TABLES.items()} | {
        "out": OUT.empty_table(),
        "aliases": ALIASES.empty_table(),
    }
    started = time.perf_counter()
    made = {name: Table(name, table) for name, table in (tables | {"turns": turns}).items()}
    commit(state, lease, signer, release, made, zone=CITY.zone, upon=last.head)
    taken = time.perf_counter() - started
    bare = _bare(n)
    found = {
        "turns": n,
        "s": taken,
        "turns_per_s": n / taken,
        "bare_cryptography_s": bare,
        "times_bare": taken / bare,
    }
    print(json.dumps(found), flush=True)
    return found


def _unbounded(ceilings: Any) -> Any:
    from dataclasses import replace  # noqa: PLC0415

    return replace(ceilings, worse_an_hour=2**31, worse_ppm_an_hour=1_000_000)


def _bare(turns: int) -> float:
    """Four SHA-256 a turn (opening, commitment, leaf, node), three lists of 512 KiB hashed, four signatures."""
    key = KeySigner(Algorithm.ES256, new_secret(Algorithm.ES256), Environment.TEST)
    message, raw = bytes(74), bytes(1 << 19)
    started = time.perf_counter()
    for _ in range(4 * turns):
        hashlib.sha256(message).digest()
    for _ in range(3):
        hashlib.sha256(raw).digest()
    for _ in range(4):
        key.sign(message)
    return time.perf_counter() - started


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="How long publication takes.")
    wishes.add_argument("--full", action="store_true", help="1 million residents")
    wishes.add_argument("--residents", type=int, help="another size")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    found = run(wish.full, residents=wish.residents)
    print(json.dumps(found, indent=2))
    if wish.out:
        wish.out.write_text(json.dumps(found))

"""From a confirmed case to every turned code published, and the midnight at which everybody's code turns.

One long-lived program, as `kangma serve` runs it: a case is sent in as a file, a cycle follows, and the clock stops when
the public folder holds the signed lists. Beside it, in the same run, what the bare cryptography of each release would
cost: every SHA-256 and every signature, and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from cycle import CASES, MINUTE, begins, city_of, confirm, midnight, people_of, timed
from kangma.publish.city import CityName, has_keys, name_city
from kangma.publish.cycle import Cycled, cycle
from kangma.publish.signer import LocalSigner
from kangma.signing.keys import Algorithm, Environment, KeySigner, new_secret
from kangma.signing.trust import Ceilings, Use
from kangma.store.receive import sandbox_for
from kangma.store.state import State, open_state
from kangma.terms import Moment, Text

CITY = CityName(
    "cn-bench",
    Text("测试市", "Bench City"),
    "https://kangma.example",
    "kangma.example/bench",
    Environment.DEVELOPMENT,
    "Asia/Shanghai",
)

#: About twenty cases a million in two weeks, as Beijing had in April 2022: hardly anybody is not green when a case comes.
OUTBREAK = {"infected": 5, "contagion": 0.4}


class AtOnce(LocalSigner):
    """The first release of this city tells of a fortnight at once, and its cases come a minute apart; the ceiling is for
    cities that live a day a day."""

    def _ceilings(self, use: Use, at: Moment) -> Ceilings:
        return replace(super()._ceilings(use, at), worse_an_hour=2**31, worse_ppm_an_hour=1_000_000)


def run(full: bool, *, residents: int | None = None, made: Path | None = None) -> dict[str, Any]:
    """`made`: a folder of an earlier run (with `--keep`), whose city is taken instead of making one."""
    residents = residents or (1_000_000 if full else 100_000)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        figures = city_of(residents, folder, made, first=_first, **OUTBREAK)
        people, now, home = people_of(folder), begins(folder), folder / "state"
        with open_state(home) as state, sandbox_for(state) as sandbox, AtOnce(home) as signer:
            seen: list[dict[str, Any]] = []
            for n in range(CASES):
                now += MINUTE
                started, cpu = time.perf_counter(), time.process_time()
                confirm(state, sandbox, folder, people, n, now)
                taken = time.perf_counter() - started
                found, done = timed(state, now, signer=signer)
                seen.append(
                    {
                        "s": time.perf_counter() - started,
                        "cpu_s": time.process_time() - cpu,
                        "ingest_s": taken,
                        "steps": found["steps"],
                        "judged": done.judged,
                        "turns": done.turns.num_rows,
                        "bare_s": _bare(done.turns.num_rows),
                    }
                )
                print(json.dumps(seen[-1]), flush=True)
            figures |= {"first_after_opening": seen[0], "case_to_published": _told(seen[1:])}
            print(json.dumps(figures["case_to_published"]), flush=True)
            figures["midnight"] = midnight(state, people, folder, now, sandbox, signer)
            bare = _bare(figures["midnight"]["turns"])
            figures["midnight"] |= {"bare_s": bare, "times_bare": figures["midnight"]["s"] / bare}
    return figures | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _first(state: State, now: Moment) -> Cycled:
    name_city(state.path, CITY)
    has_keys(state.path, now=now)
    with AtOnce(state.path) as signer:
        return cycle(state, now=now, signer=signer)


def _told(seen: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians, the 95th percentile and the extremes of what was seen, cases one after the other."""
    ordered = sorted(x["s"] for x in seen)
    return {
        "cases": len(seen),
        "median_s": statistics.median(ordered),
        "p95_s": ordered[-(-len(ordered) * 95 // 100) - 1],
        "spread_s": [ordered[0], ordered[-1]],
        "cpu_median_s": statistics.median(x["cpu_s"] for x in seen),
        "ingest_median_s": statistics.median(x["ingest_s"] for x in seen),
        "steps_median_s": {
            name: statistics.median(x["steps"][name] for x in seen) for name in seen[0]["steps"]
        },
        "judged": [x["judged"] for x in seen],
        "turns": [x["turns"] for x in seen],
        "times_bare": statistics.median(x["s"] / x["bare_s"] for x in seen),
    }


def _bare(turns: int) -> float:
    """Seconds of four SHA-256 a turn (opening, commitment, leaf, node), three lists of 512 KiB hashed, and four
    signatures."""
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
    wishes = argparse.ArgumentParser(description="How long it takes from a case to published codes.")
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

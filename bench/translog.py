"""How fast the log grows: entries appended, all tiles and bundles made, beside the bare limit of the hash.

    python bench/translog.py [--full] [--out FILE]

The peer does the hashing that no log of this shape can avoid, one hash a leaf and one a node, in a bare loop over
hashlib, and keeps nothing. Ours and the peer take turns in one run; the ratio is of the medians of CPU time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import ssl
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.translog import entries, tiles, tree
from kangma.translog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from kangma.translog.fsck import fsck
from kangma.translog.log import Log

RUNS = 5
PIECE = 65_536  # entries an append
ORIGIN = "log.example/bench"


def bare(made: list[bytes]) -> None:
    """One hash a leaf, one a node."""
    sha256, pair = hashlib.sha256, bytes(64)
    for entry in made:
        sha256(b"\x00" + entry).digest()
    for _ in made:
        sha256(b"\x01" + pair).digest()


def grown(made: list[bytes], piece: int = PIECE) -> tuple[Log, dict[str, bytes]]:
    log, files = Log.EMPTY, {}
    for start in range(0, len(made), piece):
        log, some = log.append(made[start : start + piece])
        files |= some
    return log, files


def committed(persons: int) -> list[bytes]:
    """A release in which everybody turns: the entries, from the columns that the cycle has."""
    chance = np.random.default_rng(1)
    salts = chance.integers(0, 256, (persons, 32), dtype=np.uint8)
    keys = chance.integers(0, 256, (persons, 16), dtype=np.uint8)
    some = chance.integers(0, 2**32, persons, dtype=np.uint32)
    state = chance.integers(0, 5, persons, dtype=np.uint8)
    turns = entries.turn_bytes(
        keys,
        41,
        from_state=state,
        to_state=state,
        from_popups=some,
        to_popups=some,
        from_reminds=some,
        to_reminds=some,
    )
    return entries.commit(entries.openings(salts, 41), turns)


def rates(count: int, runs: int = RUNS, **work: Callable[[], Any]) -> dict[str, dict[str, float]]:
    """Each in turn, `runs` times: how many a second, and a second of CPU, which a busy machine changes less."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(runs):
        for name, one in work.items():
            begun, worked = time.perf_counter(), time.process_time()
            one()
            spent[name].append((time.perf_counter() - begun, time.process_time() - worked))
    found = {}
    for name, pairs in spent.items():
        wall, cpu = zip(*pairs, strict=True)
        found[name] = {
            "best": count / min(wall),
            "median": count / statistics.median(wall),
            "worst": count / max(wall),
            "cpu_median": count / statistics.median(cpu),
        }
    return found


def run(full: bool, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything measured, as a dict for JSON."""
    count = 1 << 20 if full else 1 << 18
    made = committed(count)
    report: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "load_1_min": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "openssl": ssl.OPENSSL_VERSION,
        },
        "entries": count,
        "runs": RUNS,
    }
    found = rates(count, bare=lambda: bare(made), append=lambda: grown(made), commit=lambda: committed(count))
    log, files = grown(made)
    head = Checkpoint(ORIGIN, log.size, log.root)
    found |= rates(count, 2, fsck=lambda: _sound(files, head))
    found |= rates(1_000, 2, small_appends=lambda: grown(made[:1_000], 1))
    report["per_second"] = found
    report["append_over_bare"] = found["append"]["cpu_median"] / found["bare"]["cpu_median"]
    report["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9

    signer = KeySigner(Algorithm.EDDSA, bytes(32), Environment.TEST)
    signed = sign_checkpoint(head, signer)
    proof = tiles.inclusion(files.__getitem__, 12_345, log.size)
    leaf = tree.leaf_hash(made[12_345])
    once = rates(
        1,
        200,
        root=lambda: log.root,
        inclusion=lambda: tiles.inclusion(files.__getitem__, 12_345, log.size),
        verify_inclusion=lambda: tree.verify_inclusion(leaf, 12_345, log.size, proof, log.root),
        consistency=lambda: tiles.consistency(files.__getitem__, log.size // 3, log.size),
        open_checkpoint=lambda: open_checkpoint(signed, ORIGIN, signer.public),
    )
    report["microseconds"] = {name: 1e6 / rate["median"] for name, rate in once.items()}
    say(
        f"{count:,} entries: append {found['append']['best']:,.0f}/s best, {found['append']['median']:,.0f} median, "
        f"{found['append']['cpu_median']:,.0f} a second of CPU; bare hashing {found['bare']['best']:,.0f}/s, "
        f"{found['bare']['cpu_median']:,.0f} of CPU; ratio {report['append_over_bare']:.2f}; "
        f"one at a time {found['small_appends']['best']:,.0f}/s"
    )
    say(f"turns committed {found['commit']['best']:,.0f}/s; fsck {found['fsck']['best']:,.0f} entries/s")
    say(", ".join(f"{name} {spent:.0f} µs" for name, spent in report["microseconds"].items()))
    report["machine"]["load_1_min_at_end"] = round(os.getloadavg()[0], 2)
    return report


def _sound(files: dict[str, bytes], head: Checkpoint) -> None:
    fault = fsck(files.__getitem__, head)
    if fault is not None:
        raise SystemExit(f"{fault}: no figure counts")


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="How fast the log grows.")
    wishes.add_argument("--full", action="store_true", help="a million entries")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    measured = run(wish.full)
    if wish.out:
        wish.out.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")

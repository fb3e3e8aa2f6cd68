"""Sealed slots: what a part costs to write, and a bucket out of it over nginx beside a plain file of the same size.

    python bench/sealed.py [--full] [--out FILE]

A part is written by the very code of the city, every one of its 4,096 places held by a phone, answers of 600 bytes and,
for one in a hundred, of 3,000: seconds of processor of this process, the disk's sync in between aside. Nothing in a part
knows how many others there are, so a million bound phones cost 269 of them and 22 million 5,909 (with a tenth of room).

Over nginx: one worker on one core, `sendfile off`, wrk with 64 connections on the other, each request another bucket of
an 8 MiB file by Range; beside it, in turns, one of 256 plain files of 32,768 bytes, so that both read the same memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import ROUNDS, load, middle, nginx
from kangma.publish.city import CityName
from kangma.publish.sealing import Sealing
from kangma.sealed.part import BUCKET, BUCKETS, PART, Statement, state
from kangma.sealed.slot import PLACES, Family, Told, fits, tell
from kangma.signing.keys import Algorithm, Environment, KeySigner, new_secret
from kangma.store.front import FrontStore, prepare
from kangma.store.slots import SlotReader, SlotWriter
from kangma.terms import DAY, Moment, Text

CITY = CityName("cn-bench", Text("测", "B"), "https://kangma.example", "k/b", Environment.DEVELOPMENT, "UTC")
ROOM = 1.1
SCRIPT = """
local asked, i = {}, 0
function init(args)
  for n = 0, 255 do
    if args[1] == "part" then
      asked[n] = wrk.format("GET", "/part", {["Range"] = "bytes=" .. n * 32768 .. "-" .. n * 32768 + 32767})
    else
      asked[n] = wrk.format("GET", "/file" .. n)
    end
  end
end
function request() i = (i + 101) % 256; return asked[i] end
"""


class Signs:
    def __init__(self) -> None:
        self.key = KeySigner(Algorithm.ES256, new_secret(Algorithm.ES256), Environment.DEVELOPMENT)

    def sealed(self, path: str, root: bytes, release: int, *, ttl: int, now: Moment) -> bytes:
        return state(Statement(f"{CITY.base}/{path}", now, now + DAY, ttl, release, 1, root), self.key)


def answer(n: int) -> bytes:
    hold = {
        "rule": f"R{n}",
        "reason": {"zh": "与确诊病例时空重合，请做核酸检测。" * 5, "en": "You were where a case was. " * 9},
    }
    said: dict[str, Any] = {
        "colour": "green",
        "holds": [hold] * (6 if n % 100 == 0 else 0),
        "name_mask": "*丽",
        "n": n,
    }
    said["filling"] = "" if said["holds"] else "x" * 540
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()[:-1]


def written(folder: Path, rounds: int) -> dict[str, Any]:
    """Seconds of processor for a part that is full, and of its steps."""
    (folder / "state").mkdir(mode=0o700)
    front = prepare(folder / "state")
    writer = SlotWriter(front)
    for slot in range(1, PLACES):
        writer.put(slot, answer(slot), 1)
    writer.put_tail(b',"as_of":"2022-04-28T08:41:07+08:00","release":1}', 1)
    with FrontStore(front) as store:
        made = Sealing(folder / "public", store, Signs(), CITY, every=300, clock=lambda: 1)
        made._slots = np.arange(PLACES, dtype=np.uint32)
        made._reader.ready()
        family = Family("0", 0, 0, 1, bytes(32))
        took, whole = [], []
        for _ in range(rounds):
            before, began = time.process_time(), time.perf_counter()
            made.write(family, 0, release=1, now=1)
            took.append(time.process_time() - before)
            whole.append(time.perf_counter() - began)
        made._slots = np.zeros(1, np.uint32)
        before = time.process_time()
        made.write(family, 0, release=1, now=1)
        empty = time.process_time() - before
    reader = SlotReader(front)
    reader.ready()
    sizes = sorted(len(fits(reader.answer(slot) or b"")) for slot in range(1, PLACES))
    writer.close()
    cpu = statistics.median(took)
    return {
        "part_cpu_s": cpu,
        "part_wall_s": statistics.median(whole),
        "empty_part_cpu_s": empty,
        "seal_us": (cpu - empty) / (PLACES - 1) * 1e6,
        "answer_bytes": [sizes[0], sizes[len(sizes) // 2], sizes[-1]],
        **{f"cpu_s_of_{n}": cpu * parts(n) for n in (1_000_000, 22_000_000)},
        **{f"bytes_of_{n}": PART * parts(n) for n in (1_000_000, 22_000_000)},
    }


def parts(phones: int) -> int:
    return -(-int(phones * ROOM) // PLACES)


def told(times: int = 500) -> float:
    """Microseconds of processor to tell a phone its places of three days."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    several = [Told(DAY * n, DAY * (n + 1), f"sealed/{n}/17", 4_000, bytes(16)) for n in range(3)]
    before = time.process_time()
    for _ in range(times):
        tell(several, key, CITY.base)
    return (time.process_time() - before) / times * 1e6


def run(full: bool) -> dict[str, Any]:
    seconds = 8 if full else 4
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cost = written(folder, 9 if full else 5) | {"tell_us": told()}
        (folder / "files").mkdir()
        (folder / "files" / "part").write_bytes(os.urandom(PART))
        for n in range(BUCKETS):
            (folder / "files" / f"file{n}").write_bytes(os.urandom(BUCKET))
        script = folder / "ranges.lua"
        script.write_text(SCRIPT)
        plain, ranged = [], []
        with nginx(folder / "nginx", folder / "files") as (port, worker):
            for what in ("file", "part"):
                load(port, "", 1, worker, script=script, args=[what])
            for _ in range(ROUNDS):
                plain.append(load(port, "", seconds, worker, script=script, args=["file"]))
                ranged.append(load(port, "", seconds, worker, script=script, args=["part"]))
    figures = {"name": "sealed", "load": os.getloadavg()[0], "written": cost, "buckets": BUCKETS}
    figures |= {"nginx_static": middle(plain), "nginx_bucket": middle(ranged)}
    figures["ratio"] = statistics.median(
        r["a_second"] / p["a_second"] for r, p in zip(ranged, plain, strict=True)
    )
    figures["ratio_cpu"] = figures["nginx_static"]["cpu_us"] / figures["nginx_bucket"]["cpu_us"]
    told_of(figures)
    return figures


def told_of(f: dict[str, Any]) -> None:
    w, n, b = f["written"], f["nginx_static"], f["nginx_bucket"]
    print(
        f"a part of 4,096 phones: {w['part_cpu_s'] * 1e3:.0f} ms processor ({w['empty_part_cpu_s'] * 1e3:.0f} ms with "
        f"nobody in it, {w['seal_us']:.1f} us a seal), {w['part_wall_s'] * 1e3:.0f} ms with the disk\n"
        f"every slot anew: 1 million {w['cpu_s_of_1000000']:.0f} s and {w['bytes_of_1000000'] / 1e9:.1f} GB, "
        f"22 million {w['cpu_s_of_22000000']:.0f} s and {w['bytes_of_22000000'] / 1e9:.1f} GB\n"
        f"a phone told its places: {w['tell_us']:.0f} us\n"
        f"nginx, a file of 32,768 bytes: {n['a_second']:,.0f} a second, {n['cpu_us']:.1f} us processor\n"
        f"nginx, a bucket by range: {b['a_second']:,.0f} a second = {f['ratio']:.2f} "
        f"(by processor {f['ratio_cpu']:.2f}), {b['cpu_us']:.1f} us processor, p99 {b['p99_ms']:.1f} ms"
    )


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(
        description="What sealed slots cost, and a bucket over nginx beside a plain file."
    )
    wishes.add_argument("--full", action="store_true", help="longer rounds")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    measured = run(wish.full)
    if measured["nginx_bucket"]["failed"]:
        sys.exit("nginx refused ranges")
    if wish.out:
        wish.out.write_text(json.dumps(measured))

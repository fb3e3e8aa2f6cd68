"""Status lists: made for everybody, made for one list, told as a delta, and read by a verifier; beside bare zlib over
the same bytes in the same run.

    python bench/status.py [--full] [--out FILE]

22 million residents, 0.6 % of them not green, indices as the daily permutation scatters them: 22 lists of 2^20 values
of 4 bits. Ours is the whole way: values to packed bytes, deflated, claims, signature. The peer only deflates (level 9)
or inflates. Seconds are the least of the rounds, which neighbours disturb least, with the median beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.status import lists
from kangma.status.delta import delta_cwt, open_delta
from kangma.status.lists import Status
from kangma.status.token import Claims, open_cwt, open_jwt, to_cwt, to_jwt

SIGNER = KeySigner(Algorithm.ES256, (1).to_bytes(32, "big"), Environment.DEVELOPMENT)
NOW, WEEK = 1_650_844_800, 7 * 86_400
NOT_GREEN = 0.006
KINDS = np.array([Status.NOTICE, Status.YELLOW, Status.RED, Status.INVALID], np.uint8)
SHARES = [0.25, 0.5, 0.2, 0.05]
LISTS, FULL_LISTS = 4, 22
ROUNDS = 5
STRATEGIES = {
    "level 9": (9, 8, zlib.Z_DEFAULT_STRATEGY),
    "level 9, memory 9": (9, 9, zlib.Z_DEFAULT_STRATEGY),
    "level 9, filtered": (9, 8, zlib.Z_FILTERED),
    "level 6": (6, 8, zlib.Z_DEFAULT_STRATEGY),
    "level 9, runs (ours)": (9, 8, zlib.Z_RLE),
    "level 9, runs, memory 9": (9, 9, zlib.Z_RLE),
    "level 9, Huffman only": (9, 8, zlib.Z_HUFFMAN_ONLY),
    "level 9, fixed codes": (9, 8, zlib.Z_FIXED),
}


def city(count: int, seed: int = 1) -> NDArray[np.uint8]:
    """(count, 2^20) values."""
    chance = np.random.default_rng(seed)
    values = np.zeros(count * lists.ENTRIES, np.uint8)
    turned = chance.permutation(values.size)[: int(values.size * NOT_GREEN)]
    values[turned] = chance.choice(KINDS, turned.size, p=SHARES)
    return values.reshape(count, lists.ENTRIES)


def turn(values: NDArray[np.uint8], changes: int, seed: int) -> NDArray[np.uint8]:
    """As many values changed: a third of them back to green, as far as there are so many not green."""
    chance = np.random.default_rng(seed)
    after = values.reshape(-1).copy()
    back = chance.permutation(np.flatnonzero(after))[: changes // 3]
    out = chance.permutation(np.flatnonzero(after == 0))[: changes - back.size]
    after[back] = Status.VALID
    after[out] = chance.choice(KINDS[:3], out.size, p=[0.25, 0.55, 0.2])
    return after.reshape(values.shape)


def information(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Bytes that no code for these changes falls below: which places, then which of the values, each by its share."""
    changed = after[before != after]
    n, m = before.size, changed.size
    places = (math.lgamma(n + 1) - math.lgamma(m + 1) - math.lgamma(n - m + 1)) / math.log(2)
    shares = np.unique(changed, return_counts=True)[1] / m
    return (places - m * float((shares * np.log2(shares)).sum())) / 8


def timed(call: Callable[[], Any], rounds: int = ROUNDS) -> dict[str, float]:
    spent = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        spent.append(time.perf_counter() - begun)
    return {"least_s": min(spent), "median_s": statistics.median(spent)}


def made(values: NDArray[np.uint8], number: int, iat: int = NOW) -> Claims:
    lst = lists.compress(lists.pack(values, lists.BITS))
    return Claims(
        f"https://kangma.example/status/19107/{number}", iat, iat + WEEK, 300, lists.BITS, lst, 7, 12_345
    )


def publish(values: NDArray[np.uint8], number: int) -> bytes:
    return to_cwt(made(values, number), SIGNER)


def run(full: bool, say: Callable[[str], None] = print) -> dict[str, Any]:
    count = FULL_LISTS if full else LISTS
    values = city(count)
    raws = [lists.pack(v, lists.BITS) for v in values]
    tokens = [publish(v, n) for n, v in enumerate(values)]
    sizes = [len(t) for t in tokens]

    rebuild = timed(lambda: [publish(v, n) for n, v in enumerate(values)], 3)
    with ThreadPoolExecutor(2) as pool:
        threads = timed(lambda: list(pool.map(publish, values, range(count))), 3)
    peer_all = timed(lambda: [zlib.compress(raw, 9) for raw in raws], 2)
    one, peer_one = timed(lambda: publish(values[0], 0)), timed(lambda: zlib.compress(raws[0], 9))
    strategies = {}
    for name, (level, memory, strategy) in STRATEGIES.items():

        def deflated(how: tuple[int, int, int] = (level, memory, strategy)) -> bytes:
            stream = zlib.compressobj(how[0], zlib.DEFLATED, 15, how[1], how[2])
            return stream.compress(raws[0]) + stream.flush()

        strategies[name] = {"bytes": len(deflated()), **timed(deflated, 3)}
    bits = NOT_GREEN * math.log2(NOT_GREEN) + (1 - NOT_GREEN) * math.log2(1 - NOT_GREEN)
    each = NOT_GREEN * sum(s * math.log2(s) for s in SHARES)

    token, jwt = tokens[0], to_jwt(made(values[0], 0), SIGNER)
    held = open_cwt(token).verify(SIGNER.public)
    lst = open_cwt(token).claims.lst
    reads = np.random.default_rng(2).integers(0, lists.ENTRIES, 100_000).tolist()
    verifier = {
        "list": timed(lambda: open_cwt(token).verify(SIGNER.public)),
        "list_jwt": timed(lambda: open_jwt(jwt).verify(SIGNER.public)),
        "inflate": timed(lambda: lists.inflate(lst)),
        "peer_inflate": timed(lambda: zlib.decompress(lst)),
        "reads": timed(lambda: [held.value(i) for i in reads]),
    }
    verifier["reads"]["a_second"] = len(reads) / verifier["reads"]["least_s"]

    deltas = []
    for changes in (0, 45, 1_000, 10_000):
        after = turn(values[0], changes, seed=3)
        later = made(after, 0, NOW + 900)
        raw = lists.pack(after, lists.BITS)
        content = delta_cwt(raws[0], NOW, raw, later, SIGNER)
        assert content is not None
        change = open_delta(content).verify(SIGNER.public)
        assert change.apply(held).raw == raw
        xor = bytes(a ^ b for a, b in zip(raws[0], raw, strict=True))
        deltas.append(
            {
                "changes": changes,
                "token_bytes": len(content),
                "changes_bytes": len(change.changes),
                "information_bytes": information(values[0], after) if changes else 0.0,
                "peer_xor_zlib_bytes": len(zlib.compress(xor, 9)),
                "list_bytes": len(to_cwt(later, SIGNER)),
                "make": timed(lambda r=raw, x=later: delta_cwt(raws[0], NOW, r, x, SIGNER)),
                "apply": timed(lambda c=content: open_delta(c).verify(SIGNER.public).apply(held)),
            }
        )
    scattered = turn(values, 1_000, seed=4)
    over_all = 0
    for n in range(count):
        content = delta_cwt(
            raws[n], NOW, lists.pack(scattered[n], 4), made(scattered[n], n, NOW + 900), SIGNER
        )
        over_all += len(content or b"")

    found = {
        "name": "status",
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "load": os.getloadavg()[0],
        "lists": count,
        "entries": lists.ENTRIES,
        "token_bytes": {"least": min(sizes), "most": max(sizes), "all": sum(sizes)},
        "jwt_bytes": len(jwt),
        "information_bytes": -(bits + each) * lists.ENTRIES / 8,
        "rebuild_all": {**rebuild, "two_threads": threads, "peer_zlib_9": peer_all},
        "rebuild_one": {**one, "peer_zlib_9": peer_one},
        # Below 1 we are faster than zlib alone at level 9.
        "ratio_all": rebuild["least_s"] / peer_all["least_s"],
        "ratio_one": one["least_s"] / peer_one["least_s"],
        "strategies": strategies,
        "verifier": verifier,
        "ratio_inflate": verifier["list"]["least_s"] / verifier["peer_inflate"]["least_s"],
        "deltas": deltas,
        "thousand_changes_over_all_lists_bytes": over_all,
    }
    say(
        f"{count} lists: {max(sizes):,} bytes at most, {sum(sizes):,} together; all {rebuild['least_s']:.3f} s "
        f"({threads['least_s']:.3f} by two threads), zlib 9 alone {peer_all['least_s']:.3f} s; "
        f"one {one['least_s'] * 1e3:.1f} ms, zlib 9 alone {peer_one['least_s'] * 1e3:.1f} ms"
    )
    for d in deltas:
        say(
            f"  {d['changes']:,} changes: {d['token_bytes']:,} bytes signed, {d['changes_bytes']:,} of changes "
            f"(information {d['information_bytes']:.0f}, xor and zlib {d['peer_xor_zlib_bytes']:,})"
        )
    say(
        f"  verifier: list {verifier['list']['least_s'] * 1e3:.2f} ms (bare inflate "
        f"{verifier['peer_inflate']['least_s'] * 1e3:.2f}), {verifier['reads']['a_second']:,.0f} reads a second"
    )
    return found


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="How fast status lists are made and read.")
    wishes.add_argument("--full", action="store_true", help="22 million residents")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    measured = run(wish.full)
    print(json.dumps(measured, indent=2))
    if wish.out:
        wish.out.write_text(json.dumps(measured))

"""How long a door's browser takes for a scan, from the text that the camera read to the verdict: Debian's Chromium and
Node beside the Python verifier, in one run, on the same code, offline.

    python bench/web.py [--full] [--out FILE]

The peer of our inflater is the browser's own DecompressionStream, on the same status list of 2^20 entries.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "web"))

from chromium import browser, served  # noqa: E402  the tests' folder is put on the path above
from web_built import DIST, built, vectors  # noqa: E402  as above

from kangma.credential.marks import MarksInMemory  # noqa: E402  as above
from kangma.credential.verify import Verifier  # noqa: E402  as above
from kangma.signing.trust import decode_root  # noqa: E402  as above
from kangma.status import lists  # noqa: E402  as above

ROUNDS = 5  # on a machine that others use the best of them is the browser's, the rest is theirs
GOAL_MS = 20.0  # of a scan in a browser, behind the camera


def a_city_list() -> str:
    """The `lst` of 2^20 credentials of which 0.6 % are not green, in base64."""
    import numpy as np  # noqa: PLC0415  NumPy is the bench's alone

    values = np.zeros(lists.ENTRIES, np.uint8)
    dice = np.random.default_rng(2022)
    some = dice.choice(lists.ENTRIES, lists.ENTRIES * 6 // 1000, replace=False)
    values[some] = dice.choice([0x3, 0xC, 0xD], some.size)
    return base64.b64encode(lists.compress(lists.pack(values, lists.BITS))).decode()


def in_python(vector: dict[str, Any], scans: int) -> dict[str, float]:
    verifier = Verifier(decode_root(base64.b64decode(vector["root"])), MarksInMemory())
    verifier.take_trust(base64.b64decode(vector["trust"]))
    for uri, content in vector["lists"].items():
        verifier.take_list(uri, base64.b64decode(content))
    spent = []
    for _ in range(scans):
        begun = time.perf_counter()
        verifier.verify(vector["text"], now=vector["now"])
        spent.append((time.perf_counter() - begun) * 1e3)
    spent.sort()
    return {
        "scans": scans,
        "median": statistics.median(spent),
        "p99": spent[int(scans * 0.99)],
        "most": spent[-1],
    }


def run(full: bool, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything measured, as a dict for JSON; times in milliseconds."""
    scans = 5_000 if full else 1_000
    found = {v["name"]: v for v in vectors("verify")}
    report: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "load_1_min": round(os.getloadavg()[0], 2)}
    }
    built("test/browser.js")
    with browser() as chromium, served(DIST) as address:
        report["chromium"] = chromium.version
        page = chromium.new_context().new_page()
        page.goto(f"{address}/test/index.html")
        page.context.set_offline(True)
        for name in ("phone_green", "paper_green", "worst_sizes"):
            rounds = [
                page.evaluate("given => kangma.bench(...given)", [found[name], scans]) for _ in range(ROUNDS)
            ]
            here = min(rounds, key=lambda one: one["p99"])
            there = in_python(found[name], scans)
            report[name] = {
                "chromium": here,
                "p99_of_rounds": [one["p99"] for one in rounds],
                "python": there,
                "times_python": here["median"] / there["median"],
            }
            say(
                f"{name}: Chromium {here['median']:.2f} ms a scan, {here['p99']:.2f} at p99 (goal {GOAL_MS:.0f}), "
                f"files taken in {here['takeFiles']:.1f} ms; Python {there['median']:.2f} ms"
            )
        report["inflate"] = page.evaluate(
            "given => kangma.benchInflate(...given)", [a_city_list(), 100 if full else 30]
        )
        ours, theirs = report["inflate"]["ours"], report["inflate"]["theirs"]
        say(
            f"a list of 2^20: ours {ours:.1f} ms, DecompressionStream {theirs:.1f} ms, {ours / theirs:.1f} times; "
            f"a credential: ours {report['inflate']['oursSmall']:.3f} ms, "
            f"DecompressionStream {report['inflate']['theirsSmall']:.3f} ms"
        )
    report["goal_ms"] = GOAL_MS
    report["reached"] = all(report[n]["chromium"]["p99"] <= GOAL_MS for n in ("phone_green", "worst_sizes"))
    return report


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="How long a scan takes in a browser.")
    wishes.add_argument("--full", action="store_true", help="more scans")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    measured = run(wish.full)
    if wish.out:
        wish.out.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")

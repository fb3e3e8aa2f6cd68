"""How fast a door checks codes: paper (one signature) and phones (two), one core, beside the peer that is the least any
checker does: the bare ECDSA verification of the same signatures by the cryptographic library.

Also: what importing the verifier costs, what an issuer signs a second, and a day's indices of the whole city.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from kangma.credential import holder, issue, text
from kangma.credential.claims import Claims, Kind
from kangma.credential.index import Permutation
from kangma.credential.marks import MarksInMemory
from kangma.credential.outcome import Verified
from kangma.credential.verify import Verifier
from kangma.signing import cose
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.signing.trust import Authority, Ceilings, Root, TrustedKey, TrustList, Use, sign_trust
from kangma.status import lists
from kangma.status.token import Claims as ListClaims
from kangma.status.token import to_cwt
from kangma.terms import DAY, Text

NOW, DAY_NUMBER = 1_651_106_467, 19_110
BASE = "https://code.kangma.example"
CODES = 400  # different ones, each with a key of its own


def key(name: str) -> KeySigner:
    return KeySigner(Algorithm.ES256, hashlib.sha256(f"bench {name}".encode()).digest(), Environment.TEST)


def world() -> tuple[Verifier, KeySigner, dict[str, list[str]]]:
    """A verifier that holds a full list of 2^20, and the texts of phones and papers."""
    roots, credential, status = [key(f"root {n}") for n in range(3)], key("credential"), key("status")

    def trusted(signer: KeySigner, use: Use, kinds: tuple[str, ...] = ()) -> TrustedKey:
        dates = (NOW - 10 * DAY, NOW + 20 * DAY, NOW - 12 * DAY)
        return TrustedKey(signer.public, Environment.TEST, use, *dates, None, Ceilings(1, 1, 1), kinds)

    keys = (trusted(credential, Use.CREDENTIAL, ("phone", "paper")), trusted(status, Use.STATUS))
    city = Authority("cn-bj", Text("北京", "Beijing"), BASE, "log.kangma.example", keys, "Asia/Shanghai")
    root = Root(Environment.TEST, 2, tuple(k.public for k in roots))
    trust = TrustList(1, NOW - 3600, NOW + 30 * DAY, Environment.TEST, (city,))
    verifier = Verifier(root, MarksInMemory())
    verifier.take_trust(sign_trust(trust, roots[:2]))
    uri = f"{BASE}/status/{DAY_NUMBER}/21"
    values = np.zeros(2**20, np.uint8)
    values[np.random.default_rng(1).integers(0, 2**20, 6_000)] = 0xC
    said = ListClaims(uri, NOW - 60, NOW - 60 + 7 * DAY, 300, 4, lists.compress(lists.pack(values, 4)), 1, 1)
    verifier.take_list(uri, to_cwt(said, status))
    codes: dict[str, list[str]] = {"paper": [], "phone": []}
    for n in range(CODES):
        phone = key(f"phone {n}")
        index = n * 2_621
        begins = NOW - NOW % DAY
        paper_claims = Claims("cn-bj", begins, begins + 28 * DAY, uri, index, Kind.PAPER, "张*")
        phone_claims = Claims(
            "cn-bj", begins, begins + DAY, uri, index, Kind.PHONE, "张*", phone.public.compressed
        )
        codes["paper"].append(text.pack(issue.sign(paper_claims, credential)))
        made = issue.sign(phone_claims, credential)
        codes["phone"].append(text.pack(made + holder.prove(made, holder.step_of(NOW), phone)))
    return verifier, credential, codes


def bare(codes: list[str], signer: KeySigner) -> Callable[[], None]:
    """The peer: the signatures of these codes, everything prepared, verified and nothing else."""
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), signer.public.raw)
    ready = []
    for code in codes:
        opened, _ = cose.first1(text.unpack(code), most=text.MOST_INFLATED)
        r, s = (int.from_bytes(half, "big") for half in (opened.signature[:32], opened.signature[32:]))
        message = cose.dumps(["Signature1", opened.protected, b"", opened.payload])
        ready.append((encode_dss_signature(r, s), message))
    how = ec.ECDSA(SHA256())

    def work() -> None:
        for signature, message in ready:
            public.verify(signature, message, how)

    return work


def scans(verifier: Verifier, codes: list[str]) -> Callable[[], None]:
    def work() -> None:
        for code in codes:
            if not isinstance(verifier.verify(code, now=NOW), Verified):
                raise SystemExit("a code was not verified: no figure counts")

    return work


def spent(work: Callable[[], None]) -> float:
    """Microseconds of processor time for each code."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) / CODES * 1e6


def imported() -> dict[str, float]:
    """What `import kangma.credential.verify` brings in, in a fresh process."""
    code = (
        "import sys, time\n"
        "def held(): return int(open('/proc/self/statm').read().split()[1]) / 256\n"
        "before, m, t = len(sys.modules), held(), time.perf_counter()\nimport kangma.credential.verify\n"
        "print(len(sys.modules) - before, (time.perf_counter() - t) * 1e3, held() - m)"
    )
    runs = [
        [
            float(x)
            for x in subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            ).stdout.split()
        ]
        for _ in range(5)
    ]
    modules, ms, mb = (min(column) for column in zip(*runs, strict=True))
    return {"modules": modules, "ms": ms, "mb": mb}


def run(full: bool, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything measured, as a dict for JSON. The peer and ours take turns, so that a busy machine slows both."""
    verifier, signer, codes = world()
    works = {
        "bare": bare(codes["paper"], signer),
        "paper": scans(verifier, codes["paper"]),
        "phone": scans(verifier, codes["phone"]),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(60 if full else 15):
        for name, work in works.items():
            times[name].append(spent(work))
    report: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "load_1_min": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "openssl": backend.openssl_version_text(),
        }
    }
    for name, seen in times.items():
        ratios = [mine / peer for mine, peer in zip(seen, times["bare"], strict=True)]
        report[name] = {
            "median_us": statistics.median(seen),
            "least_us": min(seen),
            "most_us": max(seen),
            "a_second_median": 1e6 / statistics.median(seen),
            "a_second_best": 1e6 / min(seen),
            "times_bare": statistics.median(ratios),
            "runs": len(seen),
        }
        say(
            f"{name:6} {1e6 / statistics.median(seen):8,.0f} a second (best {1e6 / min(seen):,.0f}); "
            f"{statistics.median(ratios):.2f} times one bare verification"
        )
    report["import"] = imported()
    say("import {modules:.0f} modules, {ms:.0f} ms, {mb:.1f} MB".format(**report["import"]))
    claims = Claims(
        "cn-bj", NOW - NOW % DAY, NOW - NOW % DAY + DAY, f"{BASE}/status/{DAY_NUMBER}/3", 9, Kind.PAPER, "张*"
    )
    begun = time.process_time()
    for _ in range(2_000):
        issue.sign(claims, signer)
    report["issued_a_second"] = 2_000 / (time.process_time() - begun)
    residents = 22_000_000 if full else 2_000_000
    begun = time.process_time()
    places = Permutation(bytes(32), str(DAY_NUMBER), residents).all_places()
    report["indices"] = {
        "residents": residents,
        "s": time.process_time() - begun,
        "highest": int(places.max()),
    }
    say(
        f"issued {report['issued_a_second']:,.0f} a second; {residents:,} indices in {report['indices']['s']:.2f} s"
    )
    report["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return report


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="How fast a code is verified.")
    wishes.add_argument("--full", action="store_true", help="more rounds, and the indices of 22 million")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    measured = run(wish.full)
    if wish.out:
        wish.out.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")

"""How fast a door checks codes: paper (one signature) and phones (two), one core, beside the floor, which is the least
any checker does with the cryptographic library: for paper the bare ECDSA verification of the same signatures, for a phone
that, the loading of the holder's point, which is another one each time, and the verification of the holder's proof.
Beside both, where there is one, the system's own `openssl speed ecdsap256`.

Also: where the time of a scan goes, by the numbered steps; what importing the verifier costs, what an issuer signs a
second, and a day's indices of the whole city.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from kangma.credential import claims as claims_
from kangma.credential import holder, issue, text
from kangma.credential import verify as verify_
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


def der(signature: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


def bare(codes: list[str], signer: KeySigner) -> Callable[[int], None]:
    """The floor: the signatures of these codes, everything prepared, verified and nothing else; of phones the holders'
    as well, whose keys are met for the first time and so are loaded from the point."""
    curve, how = ec.SECP256R1(), ec.ECDSA(SHA256())
    point = ec.EllipticCurvePublicKey.from_encoded_point
    public = point(curve, signer.public.raw)
    ready, holders = [], []
    for code in codes:
        content = text.unpack(code)
        opened, end = cose.first1(content, most=text.MOST_INFLATED)
        message = cose.dumps(["Signature1", opened.protected, b"", opened.payload])
        ready.append((der(opened.signature), message))
        key = claims_.decode(opened.payload).holder
        if key is not None:
            step, proof = holder.read(content[end:])
            holders.append((key, der(proof), holder.signed(content[:end], step)))

    def paper(n: int) -> None:
        signature, message = ready[n]
        public.verify(signature, message, how)

    def phone(n: int) -> None:
        paper(n)
        key, proof, said = holders[n]
        point(curve, key).verify(proof, said, how)

    return phone if holders else paper


def openssl() -> dict[str, Any] | None:
    """What the system's own OpenSSL says of itself: verifications with P-256 a second of processor time."""
    if shutil.which("openssl") is None:
        return None
    asked = ["openssl", "speed", "-seconds", "2", "ecdsap256"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    return {"version": version.strip(), "a_second": float(said[-1].split()[-1])}


def by_step(verifier: Verifier, codes: list[str]) -> Callable[[], list[float]]:
    """Microseconds of each of the nine steps, each in the median of all codes: `Verifier.verify` with a look at the
    clock at each of its numbered comments. In place, because what follows a signature finds the caches full of it."""
    source = textwrap.dedent(inspect.getsource(Verifier.verify))
    source, stamps = re.subn(r"(?m)^    # \d ", lambda found: f"    clock()\n{found[0]}", source)
    last = r"return Verified\((.*?)\n    \)"
    source, ends = re.subn(
        last, r"made = Verified(\1)\n    clock()\n    return made", source, flags=re.DOTALL
    )
    if (stamps, ends) != (9, 1):
        raise SystemExit("the verifier no longer has nine numbered steps and one end")
    times: list[int] = []
    names = {**vars(verify_), "clock": lambda: times.append(time.perf_counter_ns())}
    exec(compile(f"from __future__ import annotations\n{source}", "steps", "exec"), names)

    def work() -> list[float]:
        times.clear()
        for code in codes:
            names["verify"](verifier, code, now=NOW)
        return [float(us) for us in np.median(np.diff(np.reshape(times, (-1, 10))), axis=0) / 1e3]

    return work


def scans(verifier: Verifier, codes: list[str]) -> Callable[[int], None]:
    def scan(n: int) -> None:
        if not isinstance(verifier.verify(codes[n], now=NOW), Verified):
            raise SystemExit("a code was not verified: no figure counts")

    return scan


def spent(work: Callable[[int], None]) -> tuple[float, float]:
    """Microseconds for one code: by the clock, of the median code, which nothing interrupted even where other programs
    want the core; and by the processor's time, of all codes, with what interruptions cost."""
    stamps, begun = [time.perf_counter_ns()], time.process_time()
    for n in range(CODES):
        work(n)
        stamps.append(time.perf_counter_ns())
    processor = (time.process_time() - begun) / CODES * 1e6
    return float(np.median(np.diff(stamps))) / 1e3, processor


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
    """Everything measured, as a dict for JSON. Floors and ours take turns, so that a busy machine slows both."""
    verifier, signer, codes = world()
    works = {
        "floor of paper": bare(codes["paper"], signer),
        "paper": scans(verifier, codes["paper"]),
        "floor of phone": bare(codes["phone"], signer),
        "phone": scans(verifier, codes["phone"]),
    }
    stepped = {name: by_step(verifier, codes[name]) for name in codes}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    steps: dict[str, list[list[float]]] = {name: [] for name in codes}
    for _ in range(60 if full else 15):
        for name, work in works.items():
            times[name].append(spent(work))
        for name, looked in stepped.items():
            steps[name].append(looked())
    report: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "load_1_min": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "openssl": backend.openssl_version_text(),
        },
        "openssl_speed": openssl(),
    }
    if report["openssl_speed"] is not None:
        say("{version}: {a_second:,.0f} bare verifications a second".format(**report["openssl_speed"]))
    for name, seen in times.items():
        floor = times[f"floor of {name.split()[-1]}"]
        us, processor = (statistics.median(column) for column in zip(*seen, strict=True))
        report[name] = {
            "median_us": us,
            "least_us": min(seen)[0],
            "most_us": max(seen)[0],
            "processor_us": processor,
            "a_second_median": 1e6 / us,
            "a_second_best": 1e6 / min(seen)[0],
            "times_floor": statistics.median(m / p for (m, _), (p, _) in zip(seen, floor, strict=True)),
            "runs": len(seen),
        }
        say(
            "{name:14} {a_second_median:7,.0f} a second (best {a_second_best:,.0f}): {median_us:.1f} us (processor, with "
            "interruptions: {processor_us:.1f}), {times_floor:.2f} times the floor".format(
                name=name, **report[name]
            )
        )
    for name, seen_steps in steps.items():
        report[f"{name}_steps_us"] = [statistics.median(column) for column in zip(*seen_steps, strict=True)]
        each = "  ".join(f"{n} {us:.1f}" for n, us in enumerate(report[f"{name}_steps_us"], 1))
        say(f"{name} by step: {each} us")
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

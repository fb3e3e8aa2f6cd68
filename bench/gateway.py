"""The front door beside nginx, on one pinned core, from the other core: codes, public files, batches of sources.

    python bench/gateway.py [--full] [--out FILE]

N is nginx handing out a file of 600 bytes: `sendfile off`, one worker, kept connections, 64 of them. Beside it in the
same run, in turns, the whole of `kangma serve`: a city with as many residents as tokens, every request another
resident's. Both are loaded by wrk (Debian's package) on the other core. Seconds of processor are the server process's
own, as the system counts them. p99 at half of the maximum: the same 64 connections, each pausing at random so long that
half comes of it. A public file is asked for by one connection, because a network may ask for 4,000 at once and no more.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from joserfc import jwt
from joserfc.jwk import ECKey

from kangma.city import make_city
from kangma.gateway.front.who.assertions import ASSERTION_TYPE, public_key
from kangma.gateway.front.who.tokens import Tokens
from kangma.publish.city import CityName, name_city, the_signer
from kangma.publish.cycle import cycle
from kangma.publish.policies import texts_of
from kangma.signing.keys import Environment
from kangma.store import front_schema as db
from kangma.store.front import FrontStore, prepare, token_key
from kangma.store.front_clients import ClientStore
from kangma.store.receive import receive_all
from kangma.store.state import create
from kangma.terms import DAY, Text, calendar, zone

CITY = CityName(
    "cn-bench", Text("测试市", "Bench City"), "http://127.0.0.1", "kangma.example/bench", Environment.DEVELOPMENT,
    "Asia/Shanghai",
)  # fmt: skip
SERVER, LOADER = "0", "1"  # cores
CONNECTIONS = 64
ROUNDS = 3
BATCH = 20_000  # rows

#: Every request another resident's; with a third argument each connection pauses up to twice so many milliseconds.
SCRIPT = """
local asked, n, i, most = {}, 0, 0, 0
function init(args)
  for line in io.lines(args[1]) do
    n = n + 1
    asked[n] = wrk.format("GET", "/v1/me/code", {["Authorization"] = "Bearer " .. line})
  end
  most = tonumber(args[2] or "0")
  math.randomseed(tonumber(args[3] or "1"))
  i = math.random(n)
end
function request() i = i % n + 1; return asked[i] end
"""
PAUSES = SCRIPT + "\nfunction delay() return math.random(0, most) end\n"


class OfAll:
    """Everybody's token turn is the first."""

    def of(self, _: int) -> int:
        return 1


def make(folder: Path, residents: int) -> tuple[ECKey, pa.Table]:
    """A city of one day, everybody bound, a laboratory's key, and the day's check-ins, which nobody has sent yet."""
    now = int(time.time())
    city = make_city(residents, 1, 1, start=calendar(zone(CITY.zone).day(now) - 1))
    home, evening = folder / "state", city.zero + DAY
    with create(home, policy=[t.encode() for t in texts_of("beijing-2022-04-22")], now=city.zero) as state:
        name_city(home, CITY)
        with the_signer(home, now=city.zero) as signer:
            tables = folder / "tables"
            tables.mkdir()
            arrivals = dict(city.arrivals(0))
            visits = arrivals.pop("visits")
            for kind, rows in arrivals.items():
                pq.write_table(rows, tables / f"{kind}.parquet")
            for receipt in receive_all(state, [tables], feed="city", now=evening):
                assert receipt.code is None, receipt.as_json()
            cycle(state, now=evening, signer=signer)
    front = prepare(home)
    key = ECKey.generate_key("P-256")
    with FrontStore(front) as store:
        with store._write() as on:
            rows = [
                {
                    "slot": n + 1, "person": n, "resident": secrets.token_hex(16), "token_turn": 1, "change": n + 1,
                    "made_at": now,
                }
                for n in range(residents)
            ]  # fmt: skip
            on.execute(sa.insert(db.residents), rows)
        public = public_key(key.as_pem(private=False))
        ClientStore(store).add("bench", "source", ["source:visits"], [public], now=now)
    tokens = Tokens(token_key(front), OfAll())  # type: ignore[arg-type]  # stands in for the turns' file
    made = (tokens.make(n + 1, 1, now=now)[0] for n in range(residents))
    (folder / "tokens").write_text("".join(f"{token}\n" for token in made))
    return key, visits


# what is run -----------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def spent(pid: int) -> float:
    """Processor seconds of a process so far."""
    said = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(said[11]) + int(said[12])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> dict[int, list[str]]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(stat[1]) == pid:
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().decode().split("\0")[:-1]
            except OSError:
                continue
    return found


@contextmanager
def nginx(folder: Path, served: Path) -> Iterator[tuple[int, int]]:
    """(port, process) of nginx with one worker over the files of a folder."""
    folder.mkdir()
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; pid {folder}/pid; error_log {folder}/error crit; daemon off; user root;\n"
        "events { worker_connections 4096; }\n"
        "http { access_log off; sendfile off; keepalive_requests 100000000; default_type application/json;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ root {served}; }} }} }}\n"
    )
    # `user` is for root, who would else put the worker under somebody who may not read a temporary folder.
    process = subprocess.Popen(
        ["taskset", "-c", SERVER, "/usr/sbin/nginx", "-c", str(folder / "nginx.conf"), "-e", "stderr"],
        stderr=subprocess.DEVNULL,
    )
    until(lambda: answers(port, "/"))
    try:
        yield port, next(iter(children(process.pid)))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def kangma(state: Path, token: str) -> Iterator[tuple[int, int]]:
    """(port, process of the gateway) of `kangma serve`, all of it on one core, once everybody's answer is there."""
    port = free_port()
    command = [
        "taskset",
        "-c",
        SERVER,
        sys.executable,
        "-m",
        "kangma",
        "serve",
        str(state),
        "--every",
        "3600",
    ]
    process = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        bearer = {"Authorization": f"Bearer {token}"}
        until(lambda: answers(port, "/v1/me/code", bearer) == 200, 600)
        time.sleep(3)  # what the start has left to do
        gateway = next(p for p, line in children(process.pid).items() if line[-1] == "gateway")
        yield port, gateway
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def answers(port: int, path: str, headers: dict[str, str] | None = None) -> int:
    try:
        asking = HTTPConnection("127.0.0.1", port, timeout=30)
        asking.request("GET", path, headers=headers or {})
        return asking.getresponse().status
    except OSError:
        return 0


def until(holds: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.2)


def load(
    port: int, path: str, seconds: int, server: int, *, script: Path | None = None, args: Any = ()
) -> Any:
    """What wrk saw, and what the server spent."""
    command = ["taskset", "-c", LOADER, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    command += ["-s", str(script)] if script else []
    command += [f"http://127.0.0.1:{port}{path}", *(["--", *args] if script else [])]
    before, began = spent(server), os.times()
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after, ended = spent(server), os.times()
    requests = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]  # wrk always says so
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    loader = ended.children_user + ended.children_system - began.children_user - began.children_system
    return {
        "a_second": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),  # type: ignore[index]  # as above
        "p50_ms": _ms(re.search(r"50%\s+([\d.]+)(us|ms|s)", said)),
        "p99_ms": _ms(re.search(r"99%\s+([\d.]+)(us|ms|s)", said)),
        "cpu_us": (after - before) / max(1, requests) * 1e6,
        "server_busy": (after - before) / seconds,
        "loader_busy": loader / seconds,
        "failed": int(failed[1]) if failed else 0,
        "requests": requests,
    }


def one_by_one(port: int, path: str, server: int, times: int = 2_000) -> dict[str, Any]:
    """The same of one connection, which asks again when it is answered."""
    asking = HTTPConnection("127.0.0.1", port, timeout=30)
    before, began, size = spent(server), time.perf_counter(), 0
    for _ in range(times):
        asking.request("GET", path)
        said = asking.getresponse()
        size = len(said.read())
        assert said.status == 200, said.status
    took = time.perf_counter() - began
    return {"cpu_us": (spent(server) - before) / times * 1e6, "a_second": times / took, "bytes": size}


def _ms(found: re.Match[str] | None) -> float:
    assert found is not None
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]


def middle(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Median of each figure, with least and most of the rate."""
    found: dict[str, Any] = {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}
    rates = sorted(r["a_second"] for r in rounds)
    return found | {"least_a_second": rates[0], "most_a_second": rates[-1]}


# sources -----------------------------------------------------------------------------------------------------------


def batches(visits: pa.Table, most: int) -> list[tuple[int, bytes]]:
    """(rows, NDJSON), at most so many."""
    made, rows = [], min(BATCH, visits.num_rows // most)
    for start in range(0, most * rows, rows):
        lines = []
        for row in visits.slice(start, rows).to_pylist():
            said = {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()}
            lines.append(json.dumps({k: v for k, v in said.items() if v is not None}, ensure_ascii=False))
        made.append((rows, ("\n".join(lines) + "\n").encode()))
    return made


def sent(port: int, key: ECKey, bodies: list[tuple[int, bytes]]) -> dict[str, Any]:
    """Batches one after the other over one connection: each is durable when its receipt comes."""
    asking = HTTPConnection("127.0.0.1", port, timeout=120)
    now = int(time.time())
    claims = {
        "iss": "bench", "sub": "bench", "aud": f"{CITY.base}/oauth/token", "jti": secrets.token_urlsafe(16), "iat": now,
        "exp": now + 120,
    }  # fmt: skip
    fields = {
        "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": jwt.encode({"alg": "ES256"}, claims, key),
    }  # fmt: skip
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    asking.request("POST", "/oauth/token", urlencode(fields), form)
    token = json.loads(asking.getresponse().read())["access_token"]
    took, rows = [], 0
    for count, body in bodies:
        headers = {
            "Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson",
            "Idempotency-Key": secrets.token_urlsafe(16),
        }  # fmt: skip
        began = time.perf_counter()
        asking.request("POST", "/source/v1/visits", body, headers)
        said = asking.getresponse()
        receipt = json.loads(said.read())
        took.append(time.perf_counter() - began)
        assert said.status in (200, 201), receipt
        assert receipt["accepted"] + receipt["duplicate"] == receipt["received"] == count, receipt
        rows += receipt["received"]
    return {
        "rows": rows,
        "batches": len(took),
        "rows_a_second": rows / sum(took),
        "median_batch_s": statistics.median(took),
        "most_batch_s": max(took),
        "bytes_a_row": sum(len(body) for _, body in bodies) / rows,
    }


# all of it -----------------------------------------------------------------------------------------------------------


def run(full: bool, *, residents: int | None = None, seconds: int | None = None) -> dict[str, Any]:
    residents, seconds = residents or (20_000 if full else 16_000), seconds or (8 if full else 4)
    for program in ("nginx", "wrk", "taskset"):
        if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
            sys.exit(f"{program} is not installed: its Debian package is what this is measured with")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        key, visits = make(folder, residents)
        tokens, state = folder / "tokens", folder / "state"
        (folder / "files").mkdir()
        (folder / "files" / "file").write_bytes(b"x" * 600)
        scripts = {"codes": folder / "codes.lua", "pauses": folder / "pauses.lua"}
        scripts["codes"].write_text(SCRIPT)
        scripts["pauses"].write_text(PAUSES)
        last = tokens.read_text().split()[-1]
        with (
            kangma(state, last) as (port, gateway),
            nginx(folder / "nginx", folder / "files") as (peer, worker),
        ):
            lists = sorted((state / "public" / "status").rglob("0"))
            path = f"/public/{lists[0].relative_to(state / 'public').as_posix()}"
            shutil.copy(lists[0], folder / "files" / "list")
            for warm in ((peer, "/file", worker, None), (port, "", gateway, scripts["codes"])):
                load(warm[0], warm[1], 1, warm[2], script=warm[3], args=[str(tokens)])
            n, codes = [], []
            for turn in range(ROUNDS):
                n.append(load(peer, "/file", seconds, worker))
                codes.append(
                    load(
                        port,
                        "",
                        seconds,
                        gateway,
                        script=scripts["codes"],
                        args=[str(tokens), "0", str(turn + 7)],
                    )
                )
            most = statistics.median(c["a_second"] for c in codes)
            pause = 2 * CONNECTIONS * 1e3 / (most / 2)
            half: dict[str, Any] = {}
            for turn in range(3):  # the pause is fitted to the rate that came of the last one
                args = [str(tokens), str(round(pause)), str(turn + 97)]
                half = load(port, "", seconds, gateway, script=scripts["pauses"], args=args)
                pause = max(1.0, pause + 2 * CONNECTIONS * 1e3 * (2 / most - 1 / half["a_second"]))
            turned_away = sum(c["failed"] for c in (*codes, half))
            # A resident may ask twice a second and waits for a refusal: the wait would be measured.
            if turned_away:
                sys.exit(f"{turned_away:,} were turned away: more --residents, or fewer --seconds")
            public = one_by_one(port, path, gateway)
            public_peer = one_by_one(peer, "/list", worker)
            taken = sent(port, key, batches(visits, 12 if full else 4))
    figures = {
        "name": "gateway",
        "load": os.getloadavg()[0],
        "residents": residents,
        "connections": CONNECTIONS,
        "nginx_static_600": middle(n),
        "codes": middle(codes),
        "codes_rounds": codes,
        "nginx_rounds": n,
        "half": half,
        "public_list": public,
        "public_list_nginx": public_peer,
        "sources": taken,
        "versions": {
            "nginx": subprocess.run(
                ["/usr/sbin/nginx", "-v"], capture_output=True, text=True, check=True
            ).stderr.strip(),
            "granian": importlib.metadata.version("granian"),
        },
    }
    figures["ratio"] = statistics.median(c["a_second"] / p["a_second"] for c, p in zip(codes, n, strict=True))
    figures["ratio_cpu"] = figures["nginx_static_600"]["cpu_us"] / figures["codes"]["cpu_us"]
    tell(figures)
    return figures


def tell(f: dict[str, Any]) -> None:
    n, c, half = f["nginx_static_600"], f["codes"], f["half"]
    print(
        f"nginx static (N): {n['a_second']:,.0f} a second, {n['cpu_us']:.1f} us processor, "
        f"loader {n['loader_busy']:.0%}\n"
        f"GET /v1/me/code, {f['residents']:,} residents: {c['a_second']:,.0f} a second = {f['ratio']:.2f} N "
        f"(by processor {f['ratio_cpu']:.2f}), {c['cpu_us']:.1f} us processor, p99 {c['p99_ms']:.1f} ms, "
        f"loader {c['loader_busy']:.0%}\n"
        f"at half of it ({half['a_second']:,.0f} a second): p50 {half['p50_ms']:.2f}, p99 {half['p99_ms']:.2f} ms, "
        f"{half['cpu_us']:.1f} us processor\n"
        f"a status list of {f['public_list']['bytes']:,} bytes: {f['public_list']['cpu_us']:.0f} us processor from the "
        f"gateway, {f['public_list_nginx']['cpu_us']:.0f} us from nginx\n"
        f"check-ins of a source: {f['sources']['rows_a_second']:,.0f} rows a second, durable, "
        f"{f['sources']['batches']} batches of {f['sources']['rows'] // f['sources']['batches']:,}"
    )


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="How fast the front door answers, beside nginx.")
    wishes.add_argument("--full", action="store_true", help="20,000 residents, longer rounds")
    wishes.add_argument("--residents", type=int, help="another number of them")
    wishes.add_argument("--seconds", type=int, help="seconds a round")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    measured = run(wish.full, residents=wish.residents, seconds=wish.seconds)
    if wish.out:
        wish.out.write_text(json.dumps(measured))

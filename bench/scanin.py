"""How many phones can scan in at doors, one request each, every one on the disk before it is answered: a gateway
of its own, and beside it, in the same run, the disk alone, asked to sync one line at a time.

At the end the gateway is killed with SIGKILL in the middle of the work, and every scan-in that it acknowledged must be
evidence after `take_in`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from kangma.city import make_city
from kangma.credential.venue_code import code_at, minute_of
from kangma.gateway.front.who.tokens import Tokens
from kangma.policy.published import read
from kangma.publish.city import CityName, has_keys, name_city
from kangma.publish.cycle import cycle
from kangma.publish.prepared import Answers
from kangma.publish.signer import LocalSigner
from kangma.signing.keys import Algorithm, Environment, KeySigner, new_secret
from kangma.store.front import FrontStore, prepare, token_key
from kangma.store.receive import receive_all
from kangma.store.scans import FEED, take_in
from kangma.store.slots import TokenTurns
from kangma.store.state import State, create, open_state
from kangma.store.venues import Venues
from kangma.terms import Text

CITY = CityName(
    "cn-bench", Text("示例市", "Bench"), "https://bench.example", "bench.example/city", Environment.DEVELOPMENT,
    "Asia/Shanghai"
)  # fmt: skip
VENUES = 40


def world(path: Path, residents: int) -> tuple[list[str], list[tuple[str, bytes]]]:
    """A city in which everybody is bound; their tokens, and the doors with their keys."""
    import pyarrow.parquet as pq  # noqa: PLC0415  only here

    now = int(time.time())
    city = make_city(residents, 1, 1)
    point = KeySigner(Algorithm.ES256, new_secret(Algorithm.ES256), Environment.DEVELOPMENT).public.compressed
    with create(path, policy=[t.encode() for t in read("beijing-2022-04-22")], now=now - 86_400) as state:
        name_city(path, CITY)
        has_keys(path, now=now - 86_400)
        with tempfile.TemporaryDirectory() as folder, LocalSigner(path) as signer:
            for kind, rows in city.arrivals(0).items():
                if kind in ("people", "places"):
                    pq.write_table(rows, Path(folder) / f"{kind}.parquet")
            list(receive_all(state, [Path(folder)], feed="city", now=now))
            cycle(state, now=now, signer=signer)
        place = _place(state)
        folder_ = prepare(path)
        with FrontStore(folder_) as store, Venues(folder_) as venues:
            tokens = []
            for person in range(residents):
                binding, _ = store.begin(person, "123456", now=now)
                resident, _ = store.confirm(binding, "123456", point, now=now)
                tokens.append((resident.slot, resident.token_turn))
            turns = TokenTurns(folder_, store.turns())
            made = [Tokens(token_key(folder_), turns).make(slot, turn, now=now)[0] for slot, turn in tokens]
            turns.close()
            doors = []
            for n in range(VENUES):
                venue, key = venues.register(place, f"door {n}", now=now - 3_600)
                doors.append((venue.venue, key))
            with Answers(state, store) as answers:
                answers.turn()
    return made, doors


def _place(state: State) -> str:
    with state.engine.work() as con:
        state.raw(con)
        found = con.execute("SELECT place_id FROM raw_places WHERE kind = 'venue' LIMIT 1").fetchone()
    assert found is not None
    return str(found[0])


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Load:
    """Phones that scan in as fast as they are answered, over so many connections."""

    def __init__(self, port: int, tokens: list[str], doors: list[tuple[str, bytes]]) -> None:
        self.port, self.tokens, self.doors = port, tokens, doors
        self.next = 0
        self.took: list[float] = []
        self.acknowledged: list[str] = []
        self.refused: dict[str, int] = {}
        self.stop = False

    def request(self) -> bytes:
        n = self.next
        self.next += 1
        venue, key = self.doors[(n // len(self.tokens)) % len(self.doors)]
        # Minutes of the last hours, so that each request is a visit of its own.
        minute = minute_of(int(time.time())) - (n // (len(self.tokens) * len(self.doors))) % 50
        body = json.dumps(
            {"entered": {"venue": venue, "minute": minute, "code": code_at(key, minute)}}
        ).encode()
        return (
            b"POST /v1/me/visits HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer "
            + self.tokens[n % len(self.tokens)].encode()
            + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )  # fmt: skip

    async def phone(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            while not self.stop:
                began = time.perf_counter()
                writer.write(self.request())
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                body = await reader.readexactly(size)
                self.took.append(time.perf_counter() - began)
                if head.startswith(b"HTTP/1.1 201"):
                    self.acknowledged.append(json.loads(body)["visit"])
                else:
                    status = head[9:12].decode()
                    self.refused[status] = self.refused.get(status, 0) + 1
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def run(self, connections: int, seconds: float, kill: Any = None) -> float:
        began = time.perf_counter()
        phones = [asyncio.create_task(self.phone()) for _ in range(connections)]
        await asyncio.sleep(seconds)
        if kill is not None:
            kill()
        self.stop = True
        await asyncio.gather(*phones)
        return time.perf_counter() - began


def disk(folder: Path, seconds: float = 2.0) -> float:
    """Lines a second that the disk keeps one at a time."""
    fd = os.open(folder / "sync.try", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began, n = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        os.write(fd, b"x" * 120)
        os.fdatasync(fd)
        n += 1
    os.close(fd)
    return n / (time.perf_counter() - began)


def main() -> None:
    wishes = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    wishes.add_argument("--residents", type=int, default=0)
    wishes.add_argument("--full", action="store_true")
    wishes.add_argument("--connections", type=int, default=64)
    wishes.add_argument("--seconds", type=float, default=8.0)
    wishes.add_argument("--out", type=Path)
    asked = wishes.parse_args()
    asked.residents = asked.residents or (2_000 if asked.full else 600)
    with tempfile.TemporaryDirectory(
        prefix="kangma-scanin-", dir=os.environ.get("KANGMA_BENCH_DIR")
    ) as folder:
        path = Path(folder) / "state"
        tokens, doors = world(path, asked.residents)
        alone = disk(Path(folder))
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "kangma",
            "serve",
            str(path),
            "--port",
            str(port),
            "--only",
            "gateway",
        ]
        gateway = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while True:
            time.sleep(0.1)
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
        load = Load(port, tokens, doors)
        asyncio.run(load.run(asked.connections, 1.0))  # warm
        warm, load.took, load.stop = load.acknowledged, [], False
        load.acknowledged, load.refused = [], {}
        process = psutil.Process(gateway.pid)
        before = process.cpu_times()
        spent = asyncio.run(load.run(asked.connections, asked.seconds))
        after = process.cpu_times()
        rate = len(load.acknowledged) / spent
        took = sorted(load.took)
        memory = process.memory_info().rss / 2**20
        busy = (after.user + after.system - before.user - before.system) / spent
        first, load.acknowledged, load.stop = load.acknowledged, [], False
        asyncio.run(load.run(asked.connections, 1.0, lambda: gateway.send_signal(signal.SIGKILL)))
        gateway.wait()
        everything = {*warm, *first, *load.acknowledged}
        with open_state(path) as state:
            took_in = time.perf_counter()
            done = take_in(state, now=int(time.time()))
            took_in = time.perf_counter() - took_in
            state.absorb()
            with state.engine.work() as con:
                state.raw(con)
                rows = con.execute(
                    "SELECT DISTINCT document_id FROM raw_visits WHERE feed = ?", [FEED]
                ).fetchall()
        there = {row[0].removeprefix("in-") for row in rows}
        lost = len(everything - there)
        said = {
            "scan_ins_a_second": round(rate), "connections": asked.connections, "residents": asked.residents,
            "p50_ms": round(1_000 * statistics.median(took), 2), "p99_ms": round(1_000 * took[int(0.99 * len(took))], 2),
            "refused": load.refused, "gateway_cores": round(busy, 2), "gateway_mib": round(memory),
            "disk_alone_syncs_a_second": round(alone), "acknowledged": len(everything), "lost_after_kill": lost,
            "taken_in": done.visits, "taken_in_a_second": round(done.visits / took_in), "seed": secrets.token_hex(2),
        }  # fmt: skip
    for name, value in said.items():
        print(f"{name:28} {value}")
    if asked.out:
        asked.out.write_text(json.dumps(said, indent=2))
    if lost:
        sys.exit(f"{lost} acknowledged scan-ins were lost")


if __name__ == "__main__":
    main()

"""The front door under attack: how long honest residents wait and how many are answered, unattacked and attacked in one
run, for each kind of attack at ten times the honest rate, and at thirty.

A real `kangma serve` of an invented city on loopback. The honest ask for their code at a fixed rate, over connections
that they keep for ten answers, timed from the moment at which each request was due; others fetch what doors need from the
public folder; a door verifies codes from what it has. Server and clients have a core each where there are two; the honest
go before the attackers on theirs (SCHED_FIFO where that is granted, and nice). Where sessions are scheduled as groups
(autogroup) nice counts within one only: put the whole run into a cgroup. The `idle` row has a busy loop in place of an
attack: what is left of one machine.

    python bench/attack.py [--full] [--only NAME] [--out FILE]

TLS ends before the gateway; haproxy is started in front of it for the rows with `tls`, and slowhttptest for two, where
the machine has them. What it has not is said, not skipped in silence.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from crowd import Wish
from kangma.city import make_city
from kangma.cli.demo import CITY
from kangma.credential.issue import shown
from kangma.credential.marks import MarksInMemory
from kangma.credential.outcome import Verified
from kangma.credential.verify import Verifier
from kangma.gateway.front.who.tokens import Tokens
from kangma.policy.published import read
from kangma.publish.city import name_city, the_signer
from kangma.publish.credentials import on_paper
from kangma.publish.cycle import cycle
from kangma.signing.keys import Algorithm, Environment, KeySigner, new_secret
from kangma.signing.trust import decode_root
from kangma.store.front import FrontStore, prepare, token_key
from kangma.store.receive import receive_all
from kangma.store.slots import TokenTurns
from kangma.store.state import create
from kangma.terms import DAY, calendar, zone

HERE = Path(__file__).parent
RESIDENTS, DAYS = 4_000, 3
HONEST, THIEVES = 3_000, 300  # residents who are bound: who behaves, and whose token an attacker has
QUIET, ATTACKED, AFTER = 4.0, 8.0, 2.0  # seconds
MARGIN = 1.0  # of an attack's beginning that is told apart, and of a phase's that is not counted
TIMES = 10
CORES = sorted(os.sched_getaffinity(0))
SERVER, CLIENTS = CORES[:1], CORES[1:] or CORES
GOAL_RATIO, GOAL_SUCCESS = 2.0, 0.999
FULL_GET = "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n{}\r\n"


def get(path: str, token: str = "", more: str = "") -> str:
    return FULL_GET.format(path, (f"Authorization: Bearer {token}\r\n" if token else "") + more)


def post(path: str, body: str, token: str = "") -> str:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"


def networks(first: int, count: int) -> list[str]:
    """So many addresses of loopback, each of a /24 of its own."""
    return [f"127.{first}.{n}.7" for n in range(count)]


# the city --------------------------------------------------------------------------------------------------------------


@dataclass
class Door:
    """Whoever scans: it has the lists, it asks nobody."""

    verifier: Verifier
    codes: list[tuple[str, str]]  # text, colour
    right: int = 0
    wrong: int = 0

    def watch(self, stopping: threading.Event) -> None:
        turn = random.Random(7)
        while not stopping.wait(0.02):
            text, colour = turn.choice(self.codes)
            found = self.verifier.verify(text, now=int(time.time()))
            good = isinstance(found, Verified) and found.colour.value == colour
            self.right, self.wrong = self.right + good, self.wrong + (not good)


@dataclass
class Town:
    path: Path
    tokens: list[str]
    public: list[str]
    door: Door
    port: int = 0
    inner: int = 0
    server: psutil.Process | None = None
    base: float = 0.0  # honest requests a second
    fronts: dict[str, Any] = field(default_factory=dict)

    @property
    def honest(self) -> list[str]:
        return self.tokens[:HONEST]

    @property
    def stolen(self) -> list[str]:
        return self.tokens[HONEST:]


def found(folder: Path) -> Town:
    """A city of a few thousand whose days end today, most of them bound to a phone."""
    path = folder / "state"
    today = zone(CITY.zone).day(int(time.time()))
    city = make_city(RESIDENTS, DAYS, 1, start=calendar(today - DAYS))
    with create(path, policy=[t.encode() for t in read("beijing-2022-04-22")], now=city.zero) as state:
        name_city(path, CITY)
        with the_signer(path, now=city.zero) as signer:
            assert signer is not None
            for day in range(DAYS):
                tables = folder / "tables" / str(day)
                tables.mkdir(parents=True)
                for kind, rows in city.arrivals(day).items():
                    pq.write_table(rows, tables / f"{kind}.parquet")
                now = city.zero + (day + 1) * DAY
                assert all(r.code is None for r in receive_all(state, [tables], feed="city", now=now))
                cycle(state, now=now, signer=signer)
            now = int(time.time())
            codes = [shown(on_paper(state, signer, n, today=today, now=now)) for n in range(200)]
            cycle(state, now=now, signer=signer)
        public = state.path / "public"
        root = decode_root((public / "root").read_bytes())
        verifier = Verifier(root, MarksInMemory())
        verifier.take_trust((public / "trust").read_bytes())
        assert verifier.trust is not None
        files = [p.relative_to(public).as_posix() for p in sorted(public.rglob("*")) if p.is_file()]
        for name in files:
            if name.startswith("status/") and not name.endswith(".delta"):
                verifier.take_list(f"{CITY.base}/{name}", (public / name).read_bytes())
        said = []
        for code in codes:
            seen = verifier.verify(code, now=now)
            assert isinstance(seen, Verified), seen
            said.append((code, seen.colour.value))
    front = prepare(path)
    phone = KeySigner(Algorithm.ES256, new_secret(Algorithm.ES256), Environment.DEVELOPMENT).public.compressed
    with FrontStore(front) as store:
        with store._write() as on:  # at once, as if each had had its code
            bound = [store._bound(on, person, phone, now)[0] for person in range(HONEST + THIEVES)]
        turns = TokenTurns(front, store.turns())
        maker = Tokens(token_key(front), turns)
        tokens = [maker.make(r.slot, r.token_turn, now=now)[0] for r in bound]
        turns.close()
    # Deltas come and go with each release; everything else stays where it is.
    shown_files = [f"/public/{n}" for n in files if not n.startswith("parts/") and not n.endswith(".delta")]
    return Town(path, tokens, shown_files, Door(verifier, said))


@contextmanager
def served(town: Town) -> Iterator[Town]:
    """`kangma serve`, all its parts on the server's core."""
    town.port, town.inner = _free(), _free()
    command = [sys.executable, "-m", "kangma", "serve", str(town.path), "--every", "10"]
    command += ["--port", str(town.port), "--inner-port", str(town.inner)]
    command += ["--proxy", "127.0.0.1"]  # haproxy's; the crowds come from other addresses
    log = (town.path.parent / "serve.log").open("wb")
    child = subprocess.Popen(_pinned(SERVER, command), stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while not _ready(town):
            if time.monotonic() > until or child.poll() is not None:
                raise SystemExit((town.path.parent / "serve.log").read_text())
            time.sleep(0.2)
        town.server = psutil.Process(child.pid)
        yield town
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
        log.close()


def _free() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def _ready(town: Town) -> bool:
    """The door answers everybody who is bound."""
    try:
        for token in (town.tokens[0], town.tokens[-1]):
            asked = HTTPConnection("127.0.0.1", town.port, timeout=2)
            asked.request("GET", "/v1/me/code", headers={"Authorization": f"Bearer {token}"})
            if asked.getresponse().status != 200:
                return False
            asked.close()
    except OSError:
        return False
    return True


def gateway(town: Town) -> psutil.Process:
    assert town.server is not None
    for child in town.server.children(recursive=True):
        with suppress(psutil.Error):
            if "gateway" in child.cmdline():
                return child
    raise SystemExit("the gateway is gone")


# who asks --------------------------------------------------------------------------------------------------------------


def residents(town: Town, begin: float, until: float, **more: Any) -> Wish:
    asks = [get("/v1/me/code", token) for token in town.honest]
    random.Random(1).shuffle(asks)
    given: dict[str, Any] = {"port": town.port, "rate": town.base, "connections": 200, "fresh": 10}
    return Wish(
        begin=begin, until=until, requests=asks, sources=networks(10, 200), holds='"colour"', cores=CLIENTS,
        fifo=True, nice=-10, **(given | more),
    )  # fmt: skip


def visitors(town: Town, begin: float, until: float, **more: Any) -> Wish:
    """Doors that fetch lists, people that read."""
    given: dict[str, Any] = {"port": town.port, "rate": town.base / 20, "connections": 40, "fresh": 10}
    asks = [get(path) for path in town.public]
    return Wish(
        begin=begin, until=until, requests=asks, sources=networks(20, 40), cores=CLIENTS, fifo=True, nice=-10,
        **(given | more),
    )  # fmt: skip


def crowd(wish: Wish) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, str(HERE / "crowd.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(asdict(wish)).encode())
    child.stdin.close()
    child.stdin = None  # so that `communicate` leaves it alone
    return child


# the attacks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attack:
    name: str
    what: str
    crowds: Callable[[Town, float, float, float], list[Wish]]  # town, begin, until, requests a second
    program: Callable[[Town, int], list[str]] | None = None
    times: float = TIMES
    tls: bool = False


def _attackers(
    town: Town, begin: float, until: float, rate: float, asks: list[str], **more: Any
) -> list[Wish]:
    given: dict[str, Any] = {"port": town.port, "connections": 2_000, "sources": networks(30, 200)}
    return [
        Wish(
            begin=begin, until=until, rate=rate, requests=asks, impatient=True, cores=CLIENTS, nice=10,
            **(given | more),
        )
    ]  # fmt: skip


def _noise(count: int, letters: int) -> list[str]:
    chance = random.Random(3)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return ["".join(chance.choices(alphabet, k=letters)) for _ in range(count)]


def bad_tokens(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    asks = [get("/v1/me/code", t) for t in _noise(1_000, 35)]
    return _attackers(town, begin, until, rate, asks)


def bad_tokens_one_place(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    asks = [get("/v1/me/tests", t) for t in _noise(1_000, 35)]
    return _attackers(town, begin, until, rate, asks, sources=["127.40.0.7"])


def few_tokens(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    asks = [get("/v1/me/code", t) for t in town.stolen[:3]]
    return _attackers(town, begin, until, rate, asks)


def busting(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    asks = [get(f"{path}?v={n}") for path, n in zip(town.public * 50, _noise(1_000, 8), strict=False)]
    asks += [get(f"/public/status/{n}/0") for n in range(1_000)]
    asks += [get(path, more=f"Range: bytes={n}-\r\n") for n in range(20) for path in town.public[:20]]
    asks += [get("/public/%6catest.json"), get("/public//latest.json"), get("/public/../state.json")]
    random.Random(4).shuffle(asks)
    return _attackers(town, begin, until, rate, asks)


def costly(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    chosen = town.stolen
    asks = [get("/v1/me/export", t) for t in chosen] + [get("/v1/me/visits", t) for t in chosen]
    asks += [post("/v1/me/paper", "{}", t) for t in chosen]
    asks += [post("/v1/me/credentials", json.dumps({"holders": [_POINT]}), t) for t in chosen]
    random.Random(5).shuffle(asks)
    return _attackers(town, begin, until, rate, asks)


_POINT = KeySigner(
    Algorithm.ES256, new_secret(Algorithm.ES256), Environment.DEVELOPMENT
).public.compressed.hex()


def bindings(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    """Codes asked for for anybody: each costs the vault and a durable write."""
    said = json.dumps({"id_type": "20", "id_number": "KX0000001", "name": "Nobody"})
    wrong = json.dumps({"code": "000000", "device_key": _POINT})
    asks = [post("/v1/bindings", said)] * 3 + [post(f"/v1/bindings/{'0' * 32}/confirm", wrong)]
    return _attackers(town, begin, until, rate, asks)


def slow_heads(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    ask = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: \0" + "x" * 1_000
    return _attackers(
        town, begin, until, rate, [ask], connections=3_000, sources=networks(50, 100), trickle=1.0
    )


def slow_bodies(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    ask = "POST /v1/bindings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    ask += "Content-Length: 60000\r\n\r\n{\0" + " " * 1_000
    return _attackers(
        town, begin, until, rate, [ask], connections=3_000, sources=networks(51, 100), trickle=1.0
    )


def slow_readers(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    big = max(town.public, key=lambda n: (town.path / n.removeprefix("/")).stat().st_size)
    return _attackers(
        town, begin, until, rate, [get(big)], connections=3_000, sources=networks(52, 100), sip=1.0
    )


def nothing_sent(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    """Connections on which nothing is ever sent."""
    return _attackers(
        town, begin, until, rate, ["\0x"], connections=6_000, sources=networks(53, 100), trickle=60.0
    )


def new_connections(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    return _attackers(town, begin, until, rate, [get("/v1/me/code", t) for t in _noise(9, 35)], fresh=1)


def hellos(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    return _attackers(
        town, begin, until, rate, [""], connections=500, port=town.fronts["tls"], tls=True, hello=True,
        sources=networks(60, 8),
    )  # fmt: skip


def in_front(
    crowds: Callable[[Town, float, float, float], list[Wish]], *, tls: bool = True
) -> Callable[[Town, float, float, float], list[Wish]]:
    """The same crowds at haproxy's door; without `tls` they never get as far as a greeting."""

    def at_the_front(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
        return [replace(wish, port=town.fronts["tls"], tls=tls) for wish in crowds(town, begin, until, rate)]

    return at_the_front


def loop(town: Town, begin: float, until: float, rate: float) -> list[Wish]:
    return []


def slowhttptest(*options: str) -> Callable[[Town, int], list[str]]:
    def command(town: Town, seconds: int) -> list[str]:
        return [
            "slowhttptest", "-c", "3000", "-r", "1000", "-l", str(seconds), "-p", "3", *options,
            "-u", f"http://127.0.0.1:{town.port}/",
        ]  # fmt: skip

    return command


ATTACKS = (
    Attack("idle", "no attack: a busy loop on the clients' core", loop),
    Attack("bad-tokens", "tokens that are none, from 200 networks", bad_tokens),
    Attack("bad-tokens-one", "the same from one address", bad_tokens_one_place),
    Attack("few-tokens", "three good tokens, all over 2,000 connections", few_tokens),
    Attack("new-connections", "a new connection for each bad token", new_connections),
    Attack("cache-busting", "parameters, ranges, escapes and names that are none", busting),
    Attack("costly", "export, visits, paper, credentials with 300 stolen tokens", costly),
    Attack("bindings", "codes asked for and guessed, 200 networks", bindings),
    Attack("slow-heads", "3,000 connections, a byte of the headers a second", slow_heads),
    Attack("slow-bodies", "3,000 connections, a byte of the body a second", slow_bodies),
    Attack("slow-readers", "3,000 connections that read 16 bytes a second", slow_readers),
    Attack("nothing-sent", "6,000 connections on which nothing is sent", nothing_sent),
    Attack("slowhttptest-heads", "slowhttptest -H, 3,000 connections", loop, slowhttptest("-H", "-i", "2")),
    Attack(
        "slowhttptest-bodies",
        "slowhttptest -B, 3,000 connections",
        loop,
        slowhttptest("-B", "-i", "2", "-s", "60000"),
    ),
    Attack("tls", "TLS greetings that nobody finishes, through haproxy", hellos, tls=True),
    Attack("slow-heads-tls", "slow headers, through haproxy", in_front(slow_heads), tls=True),
    Attack("slow-bodies-tls", "slow bodies, through haproxy", in_front(slow_bodies), tls=True),
    Attack("slow-readers-tls", "slow readers, through haproxy", in_front(slow_readers), tls=True),
    Attack(
        "nothing-sent-tls",
        "6,000 connections without a greeting, through haproxy",
        in_front(nothing_sent, tls=False),
        tls=True,
    ),
)


SHORT = ("idle", "bad-tokens", "few-tokens", "slow-heads")  # what `make bench` has the time for


# one run ---------------------------------------------------------------------------------------------------------------


def run(town: Town, attack: Attack, *, times: float) -> dict[str, Any]:
    """Quiet, attacked, after: who was answered in each, and how fast."""
    begin = time.monotonic() + 2.5
    first, last = begin + QUIET, begin + QUIET + ATTACKED
    until = last + AFTER
    front: dict[str, Any] = (
        {"port": town.fronts["tls"], "tls": True, "rate": town.base / 4} if attack.tls else {}
    )
    honest = crowd(residents(town, begin, until, **front))
    public = crowd(visitors(town, begin, until, **(front | ({"rate": town.base / 40} if front else {}))))
    rate = town.base * times
    attackers = [crowd(wish) for wish in attack.crowds(town, first, last, rate)]
    stopping = threading.Event()
    door = threading.Thread(target=town.door.watch, args=(stopping,))
    asked, wrong = town.door.right, town.door.wrong
    _sleep_until(begin + MARGIN)
    calm = _spent(town)
    _sleep_until(first)
    calm = (_spent(town) - calm) / (QUIET - MARGIN)
    before, process = _spent(town), gateway(town)
    door.start()
    others: list[subprocess.Popen[bytes]] = []
    if attack.program is not None:
        others.append(_started(attack.program(town, int(ATTACKED))))
    elif not attackers:
        others.append(_started([sys.executable, "-c", f"import time\nwhile time.monotonic() < {last}: pass"]))
    _sleep_until(last)
    stopping.set()
    door.join()
    spent, memory = _spent(town) - before, process.memory_info().rss
    for other in others:
        with suppress(subprocess.TimeoutExpired):
            other.wait(10)
        other.kill()
    seen = {
        name: json.loads(child.communicate(timeout=120)[0])
        for name, child in (("residents", honest), ("public", public))
    }
    brought = [json.loads(child.communicate(timeout=120)[0]) for child in attackers]
    phases = {
        "quiet": (MARGIN, QUIET - 0.2),
        "onset": (QUIET, QUIET + MARGIN),
        "attacked": (QUIET + MARGIN, QUIET + ATTACKED),
        "after": (QUIET + ATTACKED + MARGIN, QUIET + ATTACKED + AFTER),
    }
    report: dict[str, Any] = {
        "what": attack.what,
        "times": times,
        "honest_a_second": town.base / (4 if front else 1),
    }
    for who, said in seen.items():
        report[who] = {p: _told([x for x in said["seen"] if a <= x[0] < b]) for p, (a, b) in phases.items()}
        report[who]["ratio"] = report[who]["attacked"]["p99_ms"] / report[who]["quiet"]["p99_ms"]
        report[who]["processor_s"] = said["processor_s"]
    statuses: dict[str, int] = {}
    for one in brought:
        for status, count in one["statuses"].items():
            statuses[status] = statuses.get(status, 0) + count
    report["attackers"] = {
        "wanted_a_second": rate if attackers else 0.0,
        "answered_a_second": sum(statuses.values()) / ATTACKED,
        "not_brought": sum(b["dropped"] for b in brought),
        "connections_opened": sum(b["opened"] for b in brought),
        "answers": statuses,
        "processor_s": sum(b["processor_s"] for b in brought),
    }
    report["server"] = {"processor_quiet": calm, "processor": spent / ATTACKED, "gateway_mb": memory / 2**20}
    report["door"] = {"right": town.door.right - asked, "wrong": town.door.wrong - wrong}
    report["holds"] = (
        all(
            report[who]["ratio"] <= GOAL_RATIO and report[who]["attacked"]["success"] >= GOAL_SUCCESS
            for who in seen
        )
        and not report["door"]["wrong"]
    )
    return report


def _pinned(cores: Sequence[int], command: list[str]) -> list[str]:
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    behind = ["nice", "-n", "10", *_pinned(CLIENTS, command)]
    return subprocess.Popen(behind, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _sleep_until(moment: float) -> None:
    while (left := moment - time.monotonic()) > 0:
        time.sleep(left)


def _spent(town: Town) -> float:
    times = gateway(town).cpu_times()
    return float(times.user + times.system)


def _told(seen: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Of those that were due in a phase. Who was not answered counts with the time that it waited."""
    took = sorted(x[1] for x in seen)
    if not took:
        raise SystemExit("nobody asked: the clients did not get to it")
    good = sum(x[2] in (200, 206) for x in seen)
    return {
        "asked": len(seen),
        "success": good / len(seen),
        "p50_ms": statistics.median(took) * 1e3,
        "p99_ms": took[min(len(took) - 1, int(len(took) * 0.99))] * 1e3,
        "worst_ms": took[-1] * 1e3,
        "failed": dict(sorted(_count(str(x[2]) for x in seen if x[2] not in (200, 206)).items())),
    }


def _count(words: Iterator[str] | Any) -> dict[str, int]:
    made: dict[str, int] = {}
    for word in words:
        made[word] = made.get(word, 0) + 1
    return made


def capacity(town: Town, seconds: float = 3.0) -> dict[str, float]:
    """Codes a second over 64 connections that are never idle. The generator's core may be the bound: it is said."""
    begin = time.monotonic() + 1.0
    before = _spent(town)
    wish = residents(town, begin, begin + seconds, rate=60_000, connections=64, impatient=True, fresh=0)
    said = json.loads(crowd(wish).communicate(timeout=60)[0])
    spent = _spent(town) - before
    answered = said["statuses"].get("200", 0)
    return {
        "codes_a_second": answered / seconds,
        "server_processor": spent / seconds,
        "clients_processor": said["processor_s"] / seconds,
        "server_us_a_code": spent / answered * 1e6,
    }


def a_third(town: Town) -> float:
    """The honest rate that keeps the server's core a third at work. Each request by itself, which costs more than many at
    once: the capacity above is no measure of it."""
    begin = time.monotonic() + 1.0
    child = crowd(residents(town, begin, begin + 4.0, rate=1_000.0))
    _sleep_until(begin + 0.5)
    before = _spent(town)
    _sleep_until(begin + 3.5)
    spent = _spent(town) - before
    child.communicate(timeout=60)
    return max(100.0, round(1_000.0 / (spent / 3.0) / 3, -2))


# TLS in front ----------------------------------------------------------------------------------------------------------


def shipped(folder: Path, town: Town, port: int) -> str:
    """`deploy/haproxy.cfg`, with this run's name and ports."""
    text = (HERE.parent / "deploy" / "haproxy.cfg").read_text()
    for old, new in (
        ("kangma.example", "localhost"),
        ("bind :443 ssl crt tls/site.pem", f"bind 127.0.0.1:{port} ssl crt {folder / 'door.pem'}"),
        ("bind :80\n", f"bind 127.0.0.1:{_free()}\n"),
        ("127.0.0.1:8080 check port 9090 ", f"127.0.0.1:{town.port} check port {town.inner} "),
        ("127.0.0.1:8081 check port 9091 ", f"127.0.0.1:{town.port} check port {town.inner} "),
        ("\nglobal\n", "\nglobal\n    nbthread 1\n"),
        ("maxconn 20000\n", "maxconn 8000\n"),  # what may be open is limited where benchmarks run
    ):
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextmanager
def haproxy(town: Town, folder: Path) -> Iterator[None]:
    port, pem = _free(), folder / "door.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-keyout", str(folder / "k"), "-out", str(folder / "c")],
        check=True, capture_output=True,
    )  # fmt: skip
    pem.write_bytes((folder / "k").read_bytes() + (folder / "c").read_bytes())
    (folder / "haproxy.cfg").write_text(shipped(folder, town, port))
    for file in (HERE.parent / "deploy").glob("*.http"):
        shutil.copy(file, folder)
    log = (folder / "haproxy.log").open("wb")
    command = ["haproxy", "-C", str(folder), "-f", "haproxy.cfg", "-db"]
    child = subprocess.Popen(_pinned(SERVER, command), stdout=log, stderr=log)
    try:
        time.sleep(1.0)
        assert child.poll() is None, (folder / "haproxy.log").read_text()
        town.fronts["tls"] = port
        yield
    finally:
        child.terminate()
        child.wait(10)
        log.close()


# all of them -----------------------------------------------------------------------------------------------------------


def bench(full: bool, only: Sequence[str], times: Sequence[float], base: float | None) -> dict[str, Any]:
    os.sched_setaffinity(0, CLIENTS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    lacking = [p for p in ("haproxy", "slowhttptest", "openssl") if shutil.which(p) is None]
    figures: dict[str, Any] = {
        "cores": {"server": SERVER, "clients": CLIENTS}, "not_on_this_machine": lacking,
        "sizes": {"residents": RESIDENTS, "bound": HONEST + THIEVES, "seconds": [QUIET, ATTACKED, AFTER]},
        "attacks": {},
    }  # fmt: skip
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kangma-attack-")))
        town = stack.enter_context(served(found(folder)))
        figures["capacity"] = capacity(town)
        town.base = base or a_third(town)
        figures["honest_a_second"] = town.base
        print(json.dumps(figures["capacity"]), f"honest: {town.base:,.0f} a second", flush=True)
        if not {"haproxy", "openssl"} & set(lacking):
            stack.enter_context(haproxy(town, folder))
        time.sleep(3)  # what the measurement of capacity used up of everybody's share comes back
        for attack in ATTACKS:
            needs = (
                (attack.program(town, 1)[0] if attack.program else "haproxy")
                if attack.program or attack.tls
                else ""
            )
            if (
                attack.name not in (only or ([a.name for a in ATTACKS] if full else SHORT))
                or needs in lacking
            ):
                continue
            for factor in times:
                name = attack.name if factor == TIMES else f"{attack.name} x{factor:g}"
                figures["attacks"][name] = seen = run(town, attack, times=factor)
                print(_line(name, seen), flush=True)
                time.sleep(1)
    return figures


def _line(name: str, seen: dict[str, Any]) -> str:
    parts = [f"{name:22}"]
    for who in ("residents", "public"):
        quiet, onset, hit = (seen[who][phase] for phase in ("quiet", "onset", "attacked"))
        parts.append(
            f"{who} p99 {quiet['p99_ms']:.1f} → {hit['p99_ms']:.1f} ms ({seen[who]['ratio']:.2f}, "
            f"first second {onset['p99_ms']:.0f}) ok {hit['success'] * 100:.2f} % "
            f"after {seen[who]['after']['success'] * 100:.2f} %"
        )
    brought, door = seen["attackers"], seen["door"]
    parts.append(
        f"{brought['answered_a_second']:,.0f}/s of {brought['wanted_a_second']:,.0f} {brought['answers']}"
    )
    parts.append(
        f"cpu {seen['server']['processor_quiet']:.2f} → {seen['server']['processor']:.2f}, "
        f"{seen['server']['gateway_mb']:.0f} MB, door {door['right']}/{door['right'] + door['wrong']}"
    )
    return " | ".join(parts) + (" HOLDS" if seen["holds"] else " ---")


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="Honest residents beside attackers.")
    wishes.add_argument("--full", action="store_true", help="three and ten times as much beside it")
    wishes.add_argument("--only", action="append", choices=[a.name for a in ATTACKS], default=[])
    wishes.add_argument("--times", type=float, action="append", help="times the honest rate")
    wishes.add_argument("--honest", type=float, help="honest requests a second")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    result = bench(wish.full, wish.only, wish.times or ([TIMES, 30] if wish.full else [TIMES]), wish.honest)
    if wish.out:
        wish.out.write_text(json.dumps(result))

"""How fast the register of incidents is searched, beside plain SQLite over the same records, and how that grows.

Peers: a LIKE scan over the summaries, a scan of JSON documents, and SQLite's own trigram index. What is compared is
finding the first page of 25 with the number of hits; ours also counts every facet, the peers do not. At the largest size
the pages are asked for too, whole, over HTTP from `kangma incident serve`: as a stranger and as a member.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import sqlalchemy as sa

from kangma.incidents import statement
from kangma.incidents.finding import victim_key, victim_segment
from kangma.incidents.form import encode, from_json
from kangma.incidents.life import Change, Right, Role, State
from kangma.incidents.record import Record
from kangma.incidents.vocabulary import COUNTRIES, ActorType, Kind, Organisation, Sector, Term
from kangma.incidents.words import Words
from kangma.store import register_schema as db
from kangma.store.register import Register, create, on_the_shelf, open_register
from kangma.store.register_finder import Query, Sort

NOW = 1_700_000_000
BATCH, REALLY = 2_000, 20
SALT = bytes(statement.SALT)
HEAD = {"version": 1, "change": "first", "reason": "{}"}
ZH = "健康码 核酸 系统 攻击 数据 泄露 医院 平台 服务 中断 疫苗 证书 查询 伪造 账号 网络 高峰".split()  # noqa: SIM905  30 quoted words would be harder to read
EN = "health code attack data breach hospital platform outage vaccine forged account ransom portal".split()  # noqa: SIM905  as above
QUERIES: dict[str, Query] = {
    "everything, newest first": Query(),
    "one common word": Query(words="攻击"),
    "one Chinese word of three": Query(words="健康码"),
    "one English word": Query(words="ransom"),
    "a rare word": Query(words="R4711"),
    "two words and a filter": Query(words="攻击 hospital", chosen={"country": ["CN"]}),
    "three filters, a span": Query(
        chosen={"kind": ["malware", "misuse"], "sector": ["health-care"]}, since=17_000, until=18_000
    ),
    "oldest first": Query(sort=Sort.OLDEST),
}
#: Pages as people ask for them, with filters as they come. The last is reached by its mark.
PAGES: dict[str, str] = {
    "the list": "/incidents?lang=en",
    "a search, one common word": "/incidents?q=%E6%94%BB%E5%87%BB",
    "a search, three characters": "/incidents?q=%E5%81%A5%E5%BA%B7%E7%A0%81&lang=zh",
    "a search for what is rare": "/incidents?q=R4711",
    "a filter": "/incidents?country=CN&kind=malware",
    "a filter of twelve countries": "/incidents?country=CN,DE,FR,IT,ES,GB,US,JP,KR,NZ,AU,CA&sort=oldest",
    "days": "/incidents?since=2010-01-01&until=2012-12-31",
    "the list by publication": "/incidents?sort=published",
    "the chart, by year": "/chart",
    "the chart, by month and kind": "/chart?step=month&by=kind",
    "the chart of a search": "/chart?q=%E6%94%BB%E5%87%BB",
    "the map": "/map",
    "a record": "/incidents/r77",
    "the API's list": "/v1/incidents",
    "the Atom feed": "/incidents.atom",
}


def made(n: int) -> Record:
    """Record number n of an invented world; the same n is the same record."""
    chance = random.Random(n)
    zh = "".join(chance.choices(ZH, k=9))
    en = " ".join(chance.choices(EN, k=12))
    return from_json(
        {
            "id": f"r{n}",
            "certainty": chance.choice(("confirmed", "suspected")),
            "kinds": [chance.choice(list(Kind)).value],
            "victim": {
                "name": f"{chance.choice(ZH)}{chance.choice(ZH)}{n % 5_000}",
                "organisation": chance.choice(list(Organisation)).value,
                "sector": chance.choice(list(Sector)).value,
                "country": "CN" if chance.random() < 0.2 else chance.choice(sorted(COUNTRIES)),
            },
            "date": f"{chance.randrange(2000, 2026)}-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}",
            "summary": {"zh": zh, "en": f"{en} R{n}"},
            "description": {"zh": zh * 4, "en": " ".join([en] * 3)},
            "availability": {"degree": chance.choice(("none", "partial", "whole"))},
            "motives": [{"term": chance.choice(list(Term)).value, "level": "member"}],
            "techniques": [{"id": chance.choice(("T1498", "T1566", "T1190", "T1078"))}],
            "actors": [{"type": chance.choice(list(ActorType)).value}],
            "sources": [{"title": "A report", "url": f"https://news.example/{n}"}],
        }
    )


def fill(path: Path, count: int) -> float:
    """Seconds until the register holds so many published records.

    The first few take the whole way, which is timed apart (`publish_ms`); the rest get the same rows at once, without
    reviews and signatures, since what is measured is finding them.
    """
    begun = time.perf_counter()
    if not path.exists():
        with create(
            path, title="B", base="https://r.example", administrator="ann", organisation="", now=NOW
        ) as new:
            new.add_account(new.member("ann"), "ed", "", Role.EDITOR, now=NOW)
            publish(new, range(REALLY))
    with open_register(path) as register:
        with register._read() as on:
            first = int(on.execute(sa.select(sa.func.max(db.versions.c.number))).scalar() or 0)
        for start in range(first, count, BATCH):
            versions, shelves, heads = [], [], []
            words: dict[str, list[tuple[int, str]]] = {name: [] for name in db.INDEXES}
            for n in range(start, min(count, start + BATCH)):
                record, at = made(n), NOW + n
                said = statement.state(
                    record, version=1, change=Change.FIRST, at=at, salt=SALT, previous="", reason=Words()
                )
                row, found = on_the_shelf(record, 1, first_at=at, at=at, withdrawn=False)
                shelves.append({"number": n + 1, **row})
                for name, text in found.items():
                    words[name].append((n + 1, text))
                versions.append(
                    {
                        "number": n + 1,
                        "id": record.id,
                        "edit": 1,
                        "at": at,
                        "first_at": at,
                        "log_index": n,
                        **HEAD,
                    }
                    | {"document": encode(record), "salt": SALT, "entry": said.entry, "signed": b""}
                )
                heads.append({"id": record.id, "state": State.PUBLISHED.value, "edit": 1, **HEAD})
            with register._write() as on:
                on.execute(sa.insert(db.versions), versions)
                on.execute(sa.insert(db.shelf), shelves)
                on.execute(sa.insert(db.heads), heads)
                for name, pairs in words.items():
                    on.exec_driver_sql(f"INSERT INTO {name} (rowid, tokens) VALUES (?, ?)", pairs)
    return time.perf_counter() - begun


def publish(register: Register, numbers: range) -> float:
    """Milliseconds a record to open, submit, review and publish, each by itself."""
    begun = time.perf_counter()
    ed, ann = register.member("ed"), register.member("ann")
    for n in numbers:
        record = made(n)
        register.new(ed, record, now=NOW)
        register.submit(ed, record.id, now=NOW)
        register.approve(ann, record.id, edit=1, now=NOW)
        register.publish(ann, record.id, now=NOW)
    return (time.perf_counter() - begun) * 1_000 / len(numbers)


def peers(path: Path) -> sqlite3.Connection:
    """The same summaries and documents in plain SQLite, with the trigram index that comes with it."""
    con = sqlite3.connect(path.parent / "peer.sqlite")
    con.execute("DROP TABLE IF EXISTS plain")
    con.execute("DROP TABLE IF EXISTS grams")
    con.execute(
        "CREATE TABLE plain (number INTEGER PRIMARY KEY, day TEXT, country TEXT, summary TEXT, document TEXT)"
    )
    con.execute("CREATE VIRTUAL TABLE grams USING fts5(summary, tokenize='trigram')")
    con.execute("ATTACH ? AS register", (str(path / "register.sqlite"),))
    rows = con.execute("SELECT number, document FROM register.versions")
    while some := rows.fetchmany(5_000):
        values = []
        for number, document in some:
            value = json.loads(document)
            text = " ".join([*value["summary"].values(), *value["description"].values()])
            values.append((number, value["date"], value["victim"]["country"], text, document.decode()))
        con.executemany("INSERT INTO plain VALUES (?, ?, ?, ?, ?)", values)
        con.executemany("INSERT INTO grams (rowid, summary) VALUES (?, ?)", [(v[0], v[3]) for v in values])
    con.commit()
    return con


def timed(work: Callable[[], Any], runs: int) -> dict[str, float]:
    spent, worked = [], []
    for _ in range(runs):
        begun, cpu = time.perf_counter(), time.process_time()
        work()
        spent.append((time.perf_counter() - begun) * 1_000)
        worked.append((time.process_time() - cpu) * 1_000)
    spent.sort()
    return {
        "least_ms": spent[0],
        "median_ms": statistics.median(spent),
        "p95_ms": spent[min(len(spent) - 1, round(0.95 * len(spent)))],
        "cpu_ms": statistics.median(worked),  # what remains comparable on a busy machine
    }


def size(folder: Path, count: int, *, runs: int, beside: bool) -> dict[str, Any]:
    """One register of so many records, measured; it grows the one of the size before."""
    path = folder / "register"
    filled = fill(path, count)
    report: dict[str, Any] = {"records": count, "filled_s": filled}
    report["bytes"] = (path / "register.sqlite").stat().st_size
    with open_register(path) as register:
        begun = time.perf_counter()
        assert register.find(Query(), None, now=NOW).total >= count
        report["first_query_ms"] = (time.perf_counter() - begun) * 1_000
        report["queries"] = {}
        for name, query in QUERIES.items():
            found = timed(lambda q=query: register.find(q, None, now=NOW), runs)  # type: ignore[misc]  # mypy cannot type a lambda with a default
            report["queries"][name] = found | {"hits": register.find(query, None, now=NOW).total}
        report["queries"]["the hundredth page"] = timed(_deep(register), runs)
        report["publish_ms"] = publish(register, range(10**6 + count, 10**6 + count + 5))
        report["show"] = timed(lambda: register.show("r1", None, now=NOW), runs)
    if beside:
        report["pages"] = pages(path, runs)
        con = peers(path)
        report["peers"] = {
            "LIKE scan, 攻击": timed(
                lambda: (
                    con.execute("SELECT count(*) FROM plain WHERE summary LIKE '%攻击%'").fetchone(),
                    con.execute(
                        "SELECT document FROM plain WHERE summary LIKE '%攻击%' ORDER BY day DESC, number DESC LIMIT 25"
                    ).fetchall(),
                ),
                max(3, runs // 4),
            ),
            "JSON scan, country CN": timed(
                lambda: (
                    con.execute(
                        "SELECT count(*) FROM plain WHERE document ->> '$.victim.country' = 'CN'"
                    ).fetchone(),
                    con.execute(
                        "SELECT document FROM plain WHERE document ->> '$.victim.country' = 'CN' "
                        "ORDER BY day DESC LIMIT 25"
                    ).fetchall(),
                ),
                max(3, runs // 4),
            ),
            "trigram index, 健康码": timed(
                lambda: (
                    con.execute("SELECT count(*) FROM grams WHERE grams MATCH '健康码'").fetchone(),
                    con.execute(
                        "SELECT p.document FROM grams g JOIN plain p ON p.number = g.rowid WHERE grams MATCH '健康码' "
                        "ORDER BY p.day DESC, p.number DESC LIMIT 25"
                    ).fetchall(),
                ),
                max(3, runs // 4),
            ),
        }
        # Two characters are no trigram: this peer cannot find the most usual Chinese words at all.
        report["trigram_hits_of_two_characters"] = con.execute(
            "SELECT count(*) FROM grams WHERE grams MATCH '攻击'"
        ).fetchone()[0]
        con.close()
    report["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return report


def pages(path: Path, runs: int) -> dict[str, Any]:
    """Page → milliseconds from the request to the last byte, of a server of its own over one connection; `cpu_ms` is what
    the server worked for one."""
    with open_register(path) as register:
        victim = register.show("r77", None, now=NOW).entry.seen.record.victim
        assert victim is not None
        ed = register.member("ed")
        _, token = register.make_token(ed, "ed", {Right.READ}, now=NOW, expires_at=2**33)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    addresses = PAGES | {
        "a victim's page": f"/victims/{quote(victim_segment(victim_key(victim.name)), safe='~')}"
    }
    command = [sys.executable, "-m", "kangma", "incident", "serve", str(path), "--port", str(port)]
    report: dict[str, Any] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()
            until_it_answers(port)
            process = psutil.Process(server.pid)
            for who, headers in (("stranger", {}), ("member", {"authorization": f"Bearer {token}"})):
                connection = HTTPConnection("localhost", port, timeout=120)

                def ask(
                    address: str, connection: HTTPConnection = connection, sent: dict[str, str] = headers
                ) -> int:
                    connection.request("GET", address, headers={"accept": "text/html", **sent})
                    answer = connection.getresponse()
                    content = answer.read()
                    assert answer.status == 200, (address, answer.status)
                    return len(content)

                begun = time.perf_counter()
                ask("/incidents")
                report[f"{who}: the first page after the start"] = {
                    "once_ms": (time.perf_counter() - begun) * 1_000
                }
                for name, address in addresses.items():
                    size, before = ask(address), sum(process.cpu_times()[:2])
                    found = timed(lambda a=address: ask(a), runs)  # type: ignore[misc]  # as above
                    worked = (sum(process.cpu_times()[:2]) - before) * 1_000 / runs
                    report[f"{who}: {name}"] = found | {"cpu_ms": worked, "bytes": size}
                connection.close()
        finally:
            server.terminate()
            server.wait(30)
    return report


def until_it_answers(port: int) -> None:
    """Bound is not yet listening."""
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def _deep(register: Register) -> Callable[[], Any]:
    """A page far down: reached by its mark, which costs what the first page costs."""
    after = ""
    for _ in range(99):
        after = register.find(Query(after=after), None, now=NOW).next or after
    return lambda: register.find(Query(after=after), None, now=NOW)


def run(full: bool, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything measured, as a dict for JSON."""
    report: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "load_1_min": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        },
        "sizes": [],
    }
    counts = (10_000, 30_000, 100_000) if full else (3_000, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            found = size(Path(folder), count, runs=40, beside=count == counts[-1])
            report["sizes"].append(found)
            say(
                f"{count:,} records: {found['filled_s']:.0f} s to fill, {found['bytes'] / 1e6:.0f} MB, first query "
                f"{found['first_query_ms']:.0f} ms, show {found['show']['median_ms']:.1f} ms, "
                f"publish {found['publish_ms']:.0f} ms"
            )
            for name, spent in found["queries"].items():
                say(
                    f"  {name}: median {spent['median_ms']:.1f} ms, p95 {spent['p95_ms']:.1f} ms, "
                    f"CPU {spent['cpu_ms']:.1f} ms, hits {spent.get('hits', '')}"
                )
            for name, spent in found.get("pages", {}).items():
                if "once_ms" in spent:
                    say(f"  over HTTP, {name}: {spent['once_ms']:.0f} ms")
                else:
                    say(
                        f"  over HTTP, {name}: median {spent['median_ms']:.1f} ms, p95 {spent['p95_ms']:.1f} ms, "
                        f"CPU {spent['cpu_ms']:.1f} ms, {spent['bytes']:,} bytes"
                    )
            for name, spent in found.get("peers", {}).items():
                say(
                    f"  peer, {name}: median {spent['median_ms']:.1f} ms, p95 {spent['p95_ms']:.1f} ms, "
                    f"CPU {spent['cpu_ms']:.1f} ms"
                )
    report["machine"]["load_1_min_at_end"] = round(os.getloadavg()[0], 2)
    return report


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="How fast the register is searched.")
    wishes.add_argument("--full", action="store_true", help="100,000 records")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wish = wishes.parse_args()
    measured = run(wish.full)
    if wish.out:
        wish.out.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")

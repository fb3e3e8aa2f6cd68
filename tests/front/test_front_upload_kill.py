"""`kill -9` while sources send: nothing that was acknowledged is lost, and whoever sends the same again under the same
key gets one receipt, the same, and no row twice. Each with the control that must lose."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hamlet import NOW, NURSE, founded, result

from kangma.store.front import FrontStore, prepare
from kangma.store.front_clients import Client, ClientStore
from kangma.store.state import open_state
from kangma.store.submissions import Receipt, Sent, Submissions, body_in_memory

FORK = multiprocessing.get_context("fork")
ROWS = 3  # good ones of a body; one bad one beside them
KILLS, MANY = 3, 100


def body(n: int) -> bytes:
    """The n-th body of the source; no two have a row in common."""
    rows = [result(NURSE, f"K-{n}-{i}", "2022-04-25T12:00:00+08:00") for i in range(ROWS)]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in [*rows, {}]).encode()


@contextmanager
def opened(path: Path) -> Iterator[tuple[Submissions, Client]]:
    with ExitStack() as stack:
        state = stack.enter_context(open_state(path))
        front = stack.enter_context(FrontStore(prepare(path)))
        made = Submissions(state, front)
        stack.callback(made.close)
        yield made, ClientStore(front).named("lab")


def take(submissions: Submissions, client: Client, n: int) -> tuple[Receipt, bool]:
    content = body(n)
    with body_in_memory(content) as fd:
        digest = hashlib.sha256(content).hexdigest()
        sent = Sent(fd, digest, len(content), "tests", "ndjson", ("tests",), None)
        return submissions.take(client, f"key-{n:012d}", sent, now=NOW)


def send_on(path: str, first: int, how: str, say: Connection) -> None:
    """One body after another, each said once it was acknowledged; a careless one says it before, and waits for a word."""
    note = Submissions._note

    def slowly(self: Submissions, *a: Any) -> None:
        time.sleep(0.02)  # as on a busy disk: between durable and noted lies some time
        note(self, *a)

    Submissions._note = slowly  # type: ignore[method-assign]  # in this process only
    with opened(Path(path)) as (submissions, client):
        say.send("ready")
        n = first
        while True:
            say.send(("begun", n, 0))
            if how == "careless":
                say.send(("had", n, 0))
                say.recv()
            receipt, _ = take(submissions, client, n)
            if how != "careless":
                say.send(("had", n, receipt.number))
            n += 1


@dataclass
class Found:
    """What was acknowledged before the kills, and what was wrong when it was sent again."""

    acknowledged: int = 0
    again: int = 0  # bodies that were begun and not acknowledged
    rescued: int = 0  # of these, durable all the same
    wrong: list[str] = field(default_factory=list)


def killed(folder: Path, kills: int, how: str, seed: int, *, forgetful: bool = False) -> Found:
    path, chance, found, first = folder / "state", random.Random(seed), Found(), 1
    shutil.copytree(founded(), path)
    with FrontStore(prepare(path)) as front:
        ClientStore(front).add("lab", "source", ["source:tests"], [{"kty": "EC"}], now=NOW)
    said = list[tuple[str, int, int]]()
    for _ in range(kills):
        said += victim(path, first, how, chance)
        first = max(n for _, n, _ in said) + 1
    with opened(path) as (submissions, client):
        if forgetful:
            submissions._durable_since = lambda *_: None  # type: ignore[method-assign]  # the control
        check(submissions, client, said, found)
    found.wrong += counted(path, first)
    return found


def victim(path: Path, first: int, how: str, chance: random.Random) -> list[tuple[str, int, int]]:
    """What it said until it was killed: after so many bodies, and some time into the next."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=send_on, args=(str(path), first, how, theirs), daemon=True)
    process.start()
    theirs.close()
    assert ours.recv() == "ready"
    said = [ours.recv()]
    for _ in range(2 * chance.randrange(3) + (2 if first == 1 else 0) + (how == "careless")):
        if how == "careless" and said[-1][0] == "had":
            ours.send("go on")
        said.append(ours.recv())
    time.sleep(chance.uniform(0.0, 0.12))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with ours:
        try:
            while True:
                said.append(ours.recv())
        except (EOFError, OSError):
            return said


def check(submissions: Submissions, client: Client, said: list[tuple[str, int, int]], found: Found) -> None:
    """Everything that was begun is sent again."""
    had = {n: number for what, n, number in said if what == "had"}
    for n in sorted({n for what, n, _ in said if what == "begun"}):
        receipt, new = take(submissions, client, n)
        twice, _ = take(submissions, client, n)
        if twice != receipt:
            found.wrong.append(f"{n}: two receipts")
        if n in had:
            found.acknowledged += 1
            if new or (had[n] and receipt.number != had[n]):
                found.wrong.append(f"{n}: acknowledged and lost")
        else:
            found.again += 1
            found.rescued += not new
        if (receipt.received, receipt.accepted, receipt.duplicate, receipt.refused) != (ROWS + 1, ROWS, 0, 1):
            found.wrong.append(f"{n}: {receipt}")


def counted(path: Path, first: int) -> list[str]:
    """The registry's own count: one receipt for each body, every row accepted once."""
    with closing(sqlite3.connect(path / "registry.sqlite")) as on:
        got = on.execute(
            "SELECT count(*), sum(accepted), sum(duplicate) FROM receipts WHERE feed = 'lab'"
        ).fetchone()
    bodies = first - 1
    return [] if got == (bodies, ROWS * bodies, 0) else [f"{bodies} bodies, in the registry {got}"]


def test_a_source_whose_gateway_is_killed_sends_again_and_finds_its_receipt(tmp_path: Path) -> None:
    found = killed(tmp_path, KILLS, "right", 5)
    assert found.wrong == []
    assert found.acknowledged > 0
    assert found.again > 0


@pytest.mark.prove
def test_a_hundred_kills_during_uploads_lose_nothing(tmp_path: Path) -> None:
    found = killed(tmp_path, MANY, "right", random.randrange(2**32))
    print(
        f"{MANY} kills: {found.acknowledged} bodies acknowledged, {found.again} not, {found.rescued} of these durable; "
        f"wrong: {found.wrong}"
    )
    assert found.wrong == []
    assert found.rescued > 0


def test_who_acknowledges_before_it_is_durable_is_caught(tmp_path: Path) -> None:
    """The control of the first half."""
    found = killed(tmp_path, 1, "careless", 5)
    assert any("acknowledged and lost" in x for x in found.wrong)


@pytest.mark.prove
def test_who_does_not_look_for_what_became_durable_is_caught(tmp_path: Path) -> None:
    """The control of the second half: rows come twice."""
    found = killed(tmp_path, 30, "right", 5, forgetful=True)
    assert any("in the registry" in x for x in found.wrong)

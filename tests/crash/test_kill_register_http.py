"""The same over HTTP: what a client was answered with success is there after `kill -9` of the server, and the client that
heard nothing asks once more and is told, never losing what it had."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from test_kill_register import missing
from test_kill_register import record as expected
from test_register_serving import free_port, served

from kangma.incidents.form import to_json
from kangma.incidents.life import RIGHTS, Role
from kangma.store.register import create

ROUNDS, LONG_ROUNDS = 2, 60
NOW = 1_700_000_000
FAR = 4_000_000_000


def walk(
    port: int,
    tokens: dict[str, str],
    first: int,
    said: list[tuple[str, int]],
    refused: list[str],
    gone: threading.Event,
) -> None:
    """An editor and a reviewer at work until the server is gone; every success is noted once it was heard. A refusal has
    no place here: it ends the walk and is noted."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

        def ask(who: str, method: str, path: str, **more: Any) -> bool:
            headers = {"authorization": f"Bearer {tokens[who]}", **more.pop("headers", {})}
            answer = client.request(method, path, headers=headers, **more)
            if answer.status_code >= 300:
                refused.append(f"{method} {path}: {answer.status_code} {answer.text}")
            return answer.status_code < 300

        n = first
        while not gone.is_set():
            steps: tuple[tuple[str, Callable[[], bool]], ...] = (
                ("new", lambda n=n: ask("ed", "POST", "/v1/drafts", json=to_json(expected(n, "first")))),
                ("edit", lambda n=n: ask("ed", "PUT", f"/v1/drafts/r{n}", json=to_json(expected(n, "second")),
                                         headers={"if-match": '"1"'})),
                ("submit", lambda n=n: ask("ed", "POST", f"/v1/drafts/r{n}/submit")),
                ("approve", lambda n=n: ask("rob", "POST", f"/v1/drafts/r{n}/approve", json={"edit": 2})),
                ("publish", lambda n=n: ask("rob", "POST", f"/v1/drafts/r{n}/publish")),
            )  # fmt: skip
            for name, step in steps:
                try:
                    if not step():
                        return
                except httpx2.HTTPError:
                    return
                said.append((name, n))
            n += 1


def killed(folder: Path, rounds: int, seed: int) -> tuple[int, list[tuple[str, int]]]:
    """(answers heard, those of them that are not there) after so many kills of a server at work."""
    chance, path, port = random.Random(seed), folder / "r", free_port()
    tokens = {}
    with create(
        path, title="T", base="https://r.example", administrator="ann", organisation="", now=NOW
    ) as made:
        ann = made.member("ann")
        for name, role in (("ed", Role.EDITOR), ("rob", Role.REVIEWER)):
            made.add_account(ann, name, "", role, now=NOW)
            _, tokens[name] = made.make_token(made.member(name), name, RIGHTS[role], now=NOW, expires_at=FAR)
        key = made.key
    said: list[tuple[str, int]] = []
    refused: list[str] = []
    for turn in range(rounds):
        first = 1000 * turn + 1  # what was in work at a kill may be there or not: no number is used again
        gone, before = threading.Event(), len(said)
        with served(path, port) as process:
            client = threading.Thread(target=walk, args=(port, tokens, first, said, refused, gone))
            client.start()
            steps, end = chance.randrange(1, 12), time.monotonic() + 60
            while len(said) - before < steps and client.is_alive() and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(chance.uniform(0.0, 0.03))
            os.kill(process.pid, signal.SIGKILL)
            gone.set()
            client.join(30)
            assert not client.is_alive()
            assert refused == []
    return len(said), missing(path, said, key)


def test_a_server_killed_at_random_loses_nothing_it_answered_with_success(tmp_path: Path) -> None:
    heard, lost = killed(tmp_path, ROUNDS, seed=5)
    assert lost == []
    assert heard >= ROUNDS


@pytest.mark.prove
def test_sixty_kills_of_a_server_at_work_lose_nothing(tmp_path: Path) -> None:
    heard, lost = killed(tmp_path, LONG_ROUNDS, seed=random.randrange(2**32))
    print(f"{LONG_ROUNDS} kills, {heard} answers heard, {len(lost)} lost")
    assert lost == []


def test_an_answer_that_was_never_kept_is_caught(tmp_path: Path) -> None:
    """The control: steps that nobody took are missed by the same look."""
    path = tmp_path / "r"
    with create(
        path, title="T", base="https://r.example", administrator="ann", organisation="", now=NOW
    ) as made:
        made.add_account(made.member("ann"), "ed", "", Role.EDITOR, now=NOW)
        made.new(made.member("ed"), expected(1, "first"), now=NOW)
        key = made.key
    assert missing(path, [("new", 1), ("edit", 1), ("new", 2)], key) == [("edit", 1), ("new", 2)]

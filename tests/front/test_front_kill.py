"""`kill -9` at any moment: of whoever prepares answers, no reader ever sees a torn or a back-dated one; of the gateway,
nothing that was acknowledged is gone. Each with the control that must lose."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hamlet import CASE, NURSE, TEACHER, Hamlet, phone_key
from test_front_serving import free_port

from kangma.store import slots
from kangma.store.front import FrontStore, NotTheCode, Resident, prepare
from kangma.store.slots import SlotReader, SlotWriter, TokenTurns

FORK = multiprocessing.get_context("fork")
SLOTS = 4


# answers ------------------------------------------------------------------------------------------


def body(slot: int, release: int) -> bytes:
    """An answer that shows whether it is whole: its length and every byte follow from slot and release."""
    letter = bytes([97 + release % 26])
    return json.dumps(
        {"slot": slot, "n": release, "fill": letter.decode() * (200 + release * 37 % 9_000)}
    ).encode()[:-1]


def write_on(folder: str, first: int, how: str, say: Connection) -> None:
    """Releases without an end."""
    if how == "in place":
        slots._write_half = in_place
    writer, release = SlotWriter(Path(folder)), first
    say.send("ready")
    while True:
        tail = b',"release":%d}' % release
        if how == "tail first":
            writer.put_tail(tail, release)
            time.sleep(0.005)  # a control is caught by everybody who looks, on any machine
        for slot in range(SLOTS):
            writer.put(slot, body(slot, release), release)
        if how != "tail first":
            writer.put_tail(tail, release)
        release += 1


def in_place(mapped: Any, at: int, size: int, content: bytes, release: int) -> None:
    """The control: one half for everything, written where readers read, with a sum that always fits."""
    mark = slots._MARK
    mapped[at : at + mark.size] = mark.pack(1, len(content), 0, release)
    for i in range(0, len(content), 512):
        piece = content[i : i + 512]
        mapped[at + mark.size + i : at + mark.size + i + len(piece)] = piece
        time.sleep(0.001)


def wrong_with(content: bytes) -> str | None:
    """What a reader would notice of one answer."""
    try:
        said = json.loads(content)
    except ValueError:
        return "torn"
    whole = body(said["slot"], said["n"]) + b',"release":%d}' % said["release"]
    if content != whole:
        return "torn"
    return "older than it says" if said["n"] < said["release"] else None


def watched(folder: Path, rounds: int, how: str, *, until: str = "") -> tuple[int, set[str]]:
    """(answers read, what was wrong with any) while a writer is killed so many times, each after a while and 50 answers,
    however slow the machine; or until somebody saw what is wrong with this writer."""
    reader, read, wrong, first, chance = SlotReader(folder), 0, set[str](), 1, random.Random(rounds)
    for _ in range(rounds):
        ours, theirs = FORK.Pipe()
        writer = FORK.Process(target=write_on, args=(str(folder), first, how, theirs), daemon=True)
        writer.start()
        theirs.close()
        assert ours.recv() == "ready"
        end, enough = time.monotonic() + chance.uniform(0.045, 0.15), read + 50
        while time.monotonic() < end or (read < enough and time.monotonic() < end + 60):
            reader.ready()
            for slot in range(SLOTS):
                if content := reader.answer(slot):
                    read += 1
                    wrong |= {w for w in [wrong_with(content)] if w}
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        # What is left is whole, for as long as nobody writes.
        left = [json.loads(c)["n"] for slot in range(SLOTS) if (c := reader.answer(slot)) and not wrong]
        first = max(left, default=first) + 1
        wrong |= {w for slot in range(SLOTS) if (c := reader.answer(slot)) and (w := wrong_with(c))}
        if until in wrong:
            break
    return read, wrong


def test_no_reader_sees_a_torn_answer_whenever_the_writer_is_killed(tmp_path: Path) -> None:
    read, wrong = watched(tmp_path, 12, "right")
    assert wrong == set()
    assert read > 500


@pytest.mark.prove
def test_two_hundred_kills_of_the_writer_tear_nothing(tmp_path: Path) -> None:
    read, wrong = watched(tmp_path, 200, "right")
    print(f"200 kills, {read:,} answers read, wrong: {wrong or 'none'}")
    assert wrong == set()


def test_a_writer_in_place_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: nobody checks, and everything is written where it is read."""
    monkeypatch.setattr(slots, "_check", lambda *_: 0)
    _, wrong = watched(tmp_path, 8, "in place", until="torn")
    assert "torn" in wrong


def test_a_writer_that_says_it_before_it_is_so_is_caught(tmp_path: Path) -> None:
    _, wrong = watched(tmp_path, 8, "tail first", until="older than it says")
    assert "older than it says" in wrong


def test_an_answer_is_there_and_then_another_and_who_left_has_none(tmp_path: Path) -> None:
    reader = SlotReader(tmp_path)
    assert reader.ready() is None
    with closing(SlotWriter(tmp_path)) as writer:
        shown(writer, reader)
    assert (tmp_path / "codes.slots").stat().st_blocks * 512 < 2**20  # sparse


def shown(writer: SlotWriter, reader: SlotReader) -> None:
    assert reader.ready() is None
    writer.put(7, b'{"a":1', 1)
    assert reader.answer(7) is None  # nobody has said as at when
    writer.put_tail(b',"release":1}', 1)
    assert reader.answer(7) == b'{"a":1,"release":1}'
    assert reader.answer(6) is None
    assert reader.answer(10**6) is None
    writer.put(5_000, b'{"b":2', 1)  # the file grows under the reader
    assert reader.answer(5_000) == b'{"b":2,"release":1}'
    writer.put(7, b"", 2)
    assert reader.answer(7) is None
    assert writer.release_of(7) is None
    with pytest.raises(ValueError, match="fit"):
        writer.put(7, b"x" * slots.MOST + b"x", 2)


def test_what_was_written_before_the_machine_went_down_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(slots, "this_boot", lambda: b"yesterday's boot")
        with closing(SlotWriter(tmp_path)) as writer:
            writer.put(0, b"{", 1)
            writer.put_tail(b'"release":1}', 1)
        assert SlotReader(tmp_path).ready() == 1
    reader = SlotReader(tmp_path)
    assert reader.ready() is None
    assert reader.answer(0) is None
    with closing(SlotWriter(tmp_path)) as fresh:
        assert fresh.fresh
        assert fresh.release_of(0) is None


def test_turns_are_seen_by_every_reader_at_once(tmp_path: Path) -> None:
    with closing(TokenTurns(tmp_path, [(1, 1), (2, 0)])) as one, closing(TokenTurns(tmp_path, [])) as other:
        assert (other.of(1), other.of(2), other.of(99_999)) == (1, 0, 0)
        one.set(99_999, 65_535)
        assert other.of(99_999) == 65_535


# bindings ------------------------------------------------------------------------------------------


def bind_on(folder: str, first: int, how: str, say: Connection) -> None:
    """Binds one person after the other, and says each step once it was acknowledged; a careless one says it before."""
    store, n = FrontStore(Path(folder)), first
    say.send("ready")
    while True:
        binding, _ = store.begin(n, "123456", now=1_000)
        say.send(("begun", n, binding))
        try:
            store.confirm(binding, "000000", b"k" * 33, now=1_000)
        except NotTheCode:
            say.send(("tried", n, binding))
        if how == "careless":
            say.send(("bound", n, binding))
            time.sleep(60)  # it is killed long before
        resident, device = store.confirm(binding, "123456", b"%033d" % n, now=1_000)
        if how != "careless":
            say.send(("bound", n, binding))
        store.add_other(resident.slot, n + 1, "guardian", now=1_000)
        say.send(("other", n, binding))
        store.end_device(resident.slot, device, again_until=1, now=1_000)
        say.send(("ended", n, binding))
        n += 1


def lost(folder: Path, said: list[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    """Steps that were acknowledged and are not there."""
    with FrontStore(folder) as store:
        bound = {x.person: x for x in store.residents()}
        missing = []
        for what, n, binding in said:
            if not is_there(store, bound.get(n), what, n, binding):
                missing.append((what, n, binding))
    return missing


def is_there(store: FrontStore, mine: Resident | None, what: str, n: int, binding: str) -> bool:
    turned, devices = mine is not None and mine.token_turn == 2, store.devices(mine.slot) if mine else []
    if what == "begun":
        return mine is not None or confirms(store, binding, n)
    if what == "bound":
        return turned or bool(devices)
    if what == "other":
        return mine is not None and [o.person for o in store.others(mine.slot)] == [n + 1]
    return what == "tried" or (turned and not devices)


def confirms(store: FrontStore, binding: str, n: int) -> bool:
    try:
        store.confirm(binding, "123456", b"%033d" % n, now=1_000)
    except NotTheCode:
        return False
    return True


def killed(state: Path, rounds: int, how: str, seed: int) -> tuple[int, list[tuple[str, int, str]]]:
    """(steps heard, those of them that are lost) after so many kills."""
    state.mkdir(mode=0o700)
    folder, chance, heard, gone, first = (
        prepare(state),
        random.Random(seed),
        0,
        list[tuple[str, int, str]](),
        1,
    )
    for _ in range(rounds):
        ours, theirs = FORK.Pipe()
        victim = FORK.Process(target=bind_on, args=(str(folder), first, how, theirs), daemon=True)
        victim.start()
        theirs.close()
        assert ours.recv() == "ready"
        # By what it has done and not by the clock alone: on a busy machine a clock would kill it before it began.
        said = [ours.recv() for _ in range(3 if how == "careless" else chance.randrange(1, 12))]
        time.sleep(0 if how == "careless" else chance.uniform(0.0, 0.03))
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        try:
            while True:
                said.append(ours.recv())
        except (EOFError, OSError):
            pass
        heard += len(said)
        gone += lost(folder, said)
        first = max((n for _, n, _ in said), default=first) + 2
    return heard, gone


def test_a_store_killed_at_random_keeps_every_step_it_acknowledged(tmp_path: Path) -> None:
    heard, gone = killed(tmp_path / "state", 8, "right", 3)
    assert gone == []
    assert heard > 8


@pytest.mark.prove
def test_two_hundred_kills_of_the_store_lose_nothing(tmp_path: Path) -> None:
    heard, gone = killed(tmp_path / "state", 200, "right", random.randrange(2**32))
    print(f"200 kills, {heard:,} steps acknowledged, {len(gone)} lost")
    assert gone == []


def test_a_store_that_says_it_before_it_did_it_is_caught(tmp_path: Path) -> None:
    """The control."""
    _, gone = killed(tmp_path / "state", 2, "careless", 3)
    assert any(what == "bound" for what, _, _ in gone)


# the gateway itself ------------------------------------------------------------------------------------------


@contextmanager
def gateway(path: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], httpx2.Client]]:
    command = [sys.executable, "-m", "kangma", "serve", str(path), "--port", str(port), "--only", "gateway"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        client, end = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20), time.monotonic() + 60
        try:
            while True:
                try:
                    client.get("/public/root")
                    break
                except httpx2.HTTPError:
                    assert time.monotonic() < end
                    time.sleep(0.05)
            yield process, client
        finally:
            client.close()
            process.kill()


def test_a_gateway_killed_while_people_bind_forgets_nobody(door: Hamlet) -> None:
    """What was answered with success before the kill is there after it: tokens are good, devices are there; and a try
    that was counted stays counted."""
    path, port, sent = door.path, free_port(), door.path / "front" / "sent.ndjson"
    people, tokens, done = (NURSE, TEACHER, CASE), list[str](), threading.Event()

    def answers() -> None:
        while not done.is_set():
            door.answers.turn()
            done.wait(0.02)

    preparing = threading.Thread(target=answers)
    preparing.start()
    try:
        with gateway(path, port) as (process, client):
            walking = threading.Thread(target=walk, args=(client, people, sent, tokens))
            walking.start()
            until(lambda: len(tokens) >= 3)
            time.sleep(random.Random(1).uniform(0, 0.05))
            os.kill(process.pid, signal.SIGKILL)
            walking.join(30)
            assert not walking.is_alive()
        with gateway(path, port) as (_, client):
            codes = [
                client.get("/v1/me/code", headers={"authorization": f"Bearer {t}"}).status_code
                for t in tokens
            ]
            assert codes == [200] * len(tokens)
            assert len(tokens) >= 3
            wrong = client.get("/v1/me/code", headers={"authorization": f"Bearer {tokens[0][:-3]}AAA"})
            assert wrong.status_code == 401
    finally:
        done.set()
        preparing.join()


def walk(client: httpx2.Client, people: Any, sent: Path, tokens: list[str]) -> None:
    """Everybody binds a phone, again and again, until the gateway is gone; tokens are noted once they were heard."""
    for _ in range(2):
        for person in people:
            try:
                before = sent.stat().st_size if sent.exists() else 0
                binding = client.post("/v1/bindings", json=person.asked).json()["binding"]
                until(lambda before=before: sent.exists() and sent.stat().st_size > before)
                code = json.loads(sent.read_text("utf-8").splitlines()[-1])["code"]
                asked = {"code": code, "device_key": phone_key().public.compressed.hex()}
                said = client.post(f"/v1/bindings/{binding}/confirm", json=asked)
            except (httpx2.HTTPError, AssertionError):
                return
            assert said.status_code == 201, said.text
            tokens.append(said.json()["token"])


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)

"""What test_kill_sealed kills: the writer of sealed slots, over answers that show whether they are whole."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from kangma.errors import KangmaError
from kangma.publish import sealing
from kangma.publish.city import CityName
from kangma.publish.sealing import Sealing
from kangma.sealed.part import Statement, state
from kangma.signing.keys import Algorithm, Environment, KeySigner, new_secret
from kangma.store import front_schema as db
from kangma.store.front import FrontStore, prepare
from kangma.store.sealed import SealedStore
from kangma.store.slots import SlotReader, SlotWriter
from kangma.terms import DAY, HOUR, Moment, Text, zone

CITY = CityName("cn-x", Text("示例", "X"), "https://seal.example", "s/x", Environment.DEVELOPMENT, "UTC")
HERE = zone("UTC")
NOON = 1_650_888_000
EACH = 6 * HOUR  # of the writer's clock, between two releases: every fourth begins a day
FAR = 4_000  # a number that makes a day two parts


def make_town(folder: Path) -> Path:
    """A state directory with a front door, four phones in two parts, and a key that signs: nothing is sealed yet."""
    path = folder / "state"
    path.mkdir(mode=0o700)
    (path / "public").mkdir()
    (path / "test.key").write_bytes(new_secret(Algorithm.ES256))
    with FrontStore(prepare(path)) as store:
        for n in range(4):
            binding, _ = store.begin(n, "123456", now=NOON)
            _, device = store.confirm(binding, "123456", b"%033d" % n, now=NOON)
            with store.write() as on:
                number = FAR + n if n % 2 else n + 1
                row = {"number": number, "device": device, "person": db.OWN, "since": 0, "made_at": NOON}
                on.execute(sa.insert(db.sealed).values(**row))
    answer_all(path, 1)
    return path


def phones(path: Path) -> dict[int, int]:
    """Number → slot in the read model."""
    with FrontStore(path / "front") as store:
        slots = SealedStore(store).slots()
    return {n: int(slot) for n, slot in enumerate(slots) if slot}


def body(slot: int, release: int) -> bytes:
    """An answer whose length and every byte follow from slot and release."""
    letter = chr(97 + release % 26)
    return json.dumps({"slot": slot, "n": release, "fill": letter * (200 + release * 37 % 1_500)}).encode()[
        :-1
    ]


def answer_all(path: Path, release: int) -> None:
    found = phones(path)
    with closing(SlotWriter(path / "front")) as writer:
        for slot in found.values():
            writer.put(slot, body(slot, release), release)
        writer.put_tail(b',"release":%d}' % release, release)


def key_of(path: Path) -> KeySigner:
    return KeySigner(Algorithm.ES256, (path / "test.key").read_bytes(), Environment.DEVELOPMENT)


class Signs:
    """The signer, without its city."""

    def __init__(self, path: Path) -> None:
        self.key = key_of(path)

    def sealed(self, path: str, root: bytes, release: int, *, ttl: int, now: Moment) -> bytes:
        return state(Statement(f"{CITY.base}/{path}", now, now + DAY, ttl, release, 1, root), self.key)


def moment_of(release: int) -> Moment:
    return NOON + release * EACH


@contextmanager
def sealing_of(path: Path, release: int) -> Iterator[Sealing]:
    with FrontStore(path / "front") as store:
        yield Sealing(path / "public", store, Signs(path), CITY, every=HOUR, clock=lambda: moment_of(release))


def seal_all(path: Path, release: int) -> None:
    """What a writer that was started again comes to."""
    with sealing_of(path, release) as made:
        finishes(made)


def finishes(made: Sealing) -> None:
    """Whatever is due is written."""
    while made.turn():
        pass


# victims -------------------------------------------------------------------------------------------------------------


def one_day(path: str, release: int, say: Connection) -> None:
    """One round of a day that begins: its secret, two parts, and then the day before goes."""
    say.send("ready")
    say.recv()
    try:
        seal_all(Path(path), release)
        say.send(("sealed", release))
    except KangmaError as problem:
        say.send((type(problem).__name__, release))


def seal_for_ever(path: str, first: int, how: str, say: Connection) -> None:
    """Release after release, each of both parts; every part is said once it is written."""
    where, now = Path(path), [first]
    if how == "in place":
        sealing.write_part = _in_place
    if how == "unsynced":
        os.fsync = lambda fd: None
    if how == "ahead":
        _says_it_before_it_is_so()
    found = phones(where)
    with closing(SlotWriter(where / "front")) as writer, FrontStore(where / "front") as store:
        made = Sealing(
            where / "public", store, Signs(where), CITY, every=HOUR, clock=lambda: moment_of(now[0])
        )
        say.send("ready")
        while True:
            for slot in found.values():
                writer.put(slot, body(slot, now[0]), now[0])
            writer.put_tail(b',"release":%d}' % now[0], now[0])
            while made.turn():
                say.send(now[0])
            now[0] += 1


def _in_place(public: Path, path: str, content: bytes) -> None:
    """A control: written where phones read."""
    file = public / path
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("r+b" if file.exists() else "wb", buffering=0) as on:
        for at in range(0, len(content), 1 << 20):
            on.write(content[at : at + (1 << 20) - 5_000])
            time.sleep(0.002)  # a control is caught on any machine
            on.write(content[at + (1 << 20) - 5_000 : at + (1 << 20)])


def _says_it_before_it_is_so() -> None:
    """A control: the statement names a release whose answers are not in the slots."""
    ready: Any = SlotReader.ready

    def ahead(self: SlotReader) -> int | None:
        found = ready(self)
        return None if found is None else int(found) + 1

    SlotReader.ready = ahead  # type: ignore[method-assign]

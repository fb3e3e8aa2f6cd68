"""A hamlet of five invented people, published, with its front door in this process: no socket, and a clock of the test's.

On 24 April 2022 a teacher sat with somebody who was a case a day later. Names, numbers and phones are unmistakable, so
that they can be looked for in everything that comes out.
"""

from __future__ import annotations

import atexit
import csv
import functools
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from kangma.gateway.front.app import make_app
from kangma.gateway.front.city import City, Letter
from kangma.gateway.front.defence.layers import Defence
from kangma.gateway.front.defence.limits import Rate
from kangma.gateway.front.watch.sensors import Sensors
from kangma.gateway.front.who.rights import Purpose, Role
from kangma.policy.published import read
from kangma.publish.city import CityName, has_keys, name_city
from kangma.publish.cycle import cycle
from kangma.publish.prepared import Answers
from kangma.publish.signer import LocalSigner
from kangma.signing.keys import Algorithm, Environment, KeySigner, new_secret
from kangma.store.front import FrontStore, prepare
from kangma.store.receive import receive_all
from kangma.store.state import State, create, open_state
from kangma.terms import Text, moment, zone

CITY = CityName(
    "cn-demo", Text("示例村", "Hamlet"), "https://door.example", "door.example/hamlet", Environment.DEVELOPMENT,
    "Asia/Shanghai",
)  # fmt: skip
BASE = CITY.base
NOW = moment("2022-04-25T18:05:00+08:00")


@dataclass(frozen=True)
class Person:
    id_type: str
    id_number: str
    name: str
    phone: str
    guardian: str = ""

    @property
    def named(self) -> dict[str, str]:
        return {"id_type": self.id_type, "id_number": self.id_number}

    @property
    def asked(self) -> dict[str, str]:
        return self.named | {"name": self.name}


CASE = Person("20", "KX6617001", "䶮靁齾甲", "10066617001")
TEACHER = Person("20", "KX6617002", "麤䨻暦乙", "10066617002")
NURSE = Person("20", "KX6617003", "Qvyzzax Ωλδ", "10066617003")
CHILD = Person("20", "KX6617004", "龘麤小童", "10066617004", guardian="KX6617002")
ELDER = Person("20", "KX6617005", "龘爩老人", "10066617005")
EVERYBODY = (CASE, TEACHER, NURSE, CHILD, ELDER)
STRANGER = Person("20", "ZZ4449991", "Nobody Known", "")

Tables = Mapping[str, Sequence[Mapping[str, object]]]


def people() -> Tables:
    return {
        "people": [
            p.named
            | {
                "document_id": f"r{n}", "document_version": 0,
                "name": p.name, "birth_date": "1990-01-01", "phone": p.phone, "district": "朝阳区",
                "guardian_id_type": "20" if p.guardian else "", "guardian_id_number": p.guardian,
            }
            for n, p in enumerate(EVERYBODY)
        ],
        "places": [
            {"place_id": "V1", "name": "样本食堂", "kind": "venue", "lat": 39.9, "lon": 116.4, "district": "朝阳区"}
        ],
        "visits": [
            p.named
            | {
                "place_id": "V1", "entered_at": f"2022-04-24T{entered}:00+08:00",
                "left_at": f"2022-04-24T{left}:00+08:00", "source": "scan",
            }
            for p, entered, left in ((CASE, "12:00", "13:00"), (TEACHER, "12:30", "13:30"), (NURSE, "13:00", "14:00"))
        ],
        "vaccinations": [
            NURSE.named | {"product": "inactivated", "dose": n, "given_on": f"2021-0{n}-10"} for n in (1, 2)
        ],
        "cases": [
            CASE.named
            | {
                "document_id": "c1", "case_id": "C1", "kind": "confirmed", "onset_at": "2022-04-25T08:00:00+08:00",
                "confirmed_at": "2022-04-25T18:00:00+08:00",
            }
        ],
        "tests": [result(NURSE, "S-1", "2022-04-25T03:00:00+08:00")],
    }  # fmt: skip


def result(person: Person, specimen: str, reported: str, said: str = "negative") -> dict[str, object]:
    return person.named | {
        "specimen_id": specimen, "sampled_at": "2022-04-24T12:00:00+08:00", "reported_at": reported, "method": "nat",
        "pooled": "false", "result": said, "lab": "样本实验室",
    }  # fmt: skip


def tell(state: State, tables: Tables, now: int) -> None:
    """These tables are taken in whole."""
    with tempfile.TemporaryDirectory() as folder:
        for kind, rows in tables.items():
            with (Path(folder) / f"{kind}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        for receipt in receive_all(state, [Path(folder)], feed="clinic", now=now):
            assert receipt.code is None, receipt.as_json()
            assert receipt.accepted == receipt.received, receipt.as_json()


@functools.cache
def founded() -> Path:
    """The state directory, one release old; tests copy it."""
    folder = Path(tempfile.mkdtemp(prefix="kangma-hamlet-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "state"
    with create(path, policy=[t.encode() for t in read("beijing-2022-04-22")], now=NOW - 86_400) as state:
        name_city(path, CITY)
        has_keys(path, now=NOW - 86_400)
        with LocalSigner(path) as signer:
            tell(state, people(), NOW)
            cycle(state, now=NOW, signer=signer)
    return path


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Letters:
    """A delivery that keeps what it was given."""

    sent: list[Letter] = field(default_factory=list)

    def send(self, letter: Letter) -> None:
        self.sent.append(letter)


@dataclass
class Events:
    lines: list[dict[str, object]] = field(default_factory=list)

    def info(self, event: str, **fields: object) -> None:
        self.lines.append({"event": event, **fields})

    warning = info


def phone_key() -> KeySigner:
    return KeySigner(Algorithm.ES256, new_secret(Algorithm.ES256), Environment.DEVELOPMENT)


def unlimited() -> Defence:
    """For a test that crawls: nobody asks too often, and nobody waits."""
    rates = {(role, purpose): Rate(10**6, 10**6) for role in Role for purpose in Purpose}
    return Defence(rates=rates, held_seconds=0.0)


@dataclass
class Hamlet:
    """Everything that a test of the front door asks."""

    path: Path
    state: State
    signer: LocalSigner
    city: City
    answers: Answers
    clock: Clock
    letters: Letters
    events: Events
    sensors: Sensors
    app: Any
    defence: Defence

    def client(self, token: str | None = None) -> TestClient:
        made = TestClient(self.app, base_url=BASE, follow_redirects=False)
        if token is not None:
            made.headers["authorization"] = f"Bearer {token}"
        return made

    def code_for(self, person: Person) -> tuple[str, str]:
        """(binding, the code that was sent) to this person."""
        said = self.client().post("/v1/bindings", json=person.asked)
        assert said.status_code == 202, said.text
        self.city.outbox.empty()
        letter = self.letters.sent[-1]
        assert letter.to == person.phone
        return said.json()["binding"], letter.code

    def bound(self, person: Person, key: KeySigner | None = None) -> dict[str, Any]:
        """What this person's phone holds once it is bound, and its first answer is there."""
        got = self.bound_without_answers(person, key)
        self.answers.turn()
        return got

    def bound_without_answers(self, person: Person, key: KeySigner | None = None) -> dict[str, Any]:
        binding, code = self.code_for(person)
        key = key or phone_key()
        asked = {"code": code, "device_key": key.public.compressed.hex()}
        said = self.client().post(f"/v1/bindings/{binding}/confirm", json=asked)
        assert said.status_code == 201, said.text
        got: dict[str, Any] = said.json()
        return got

    def resident(self, person: Person) -> TestClient:
        return self.client(self.bound(person)["token"])

    def cycle(self, tables: Tables | None = None, *, after: int = 60) -> None:
        """Evidence comes in, the wheel turns, answers are prepared."""
        self.cycle_only(tables, after=after)
        self.answers.turn()

    def cycle_only(self, tables: Tables | None = None, *, after: int = 60) -> None:
        """The same while nobody prepares answers."""
        self.clock.now += after
        if tables:
            tell(self.state, tables, self.clock.now)
        has_keys(self.path, now=self.clock.now)
        cycle(self.state, now=self.clock.now, signer=self.signer)


@contextmanager
def hamlet(folder: Path, **more: Any) -> Iterator[Hamlet]:
    path = folder / "state"
    shutil.copytree(founded(), path)
    clock, letters, events = Clock(), Letters(), Events()
    with ExitStack() as stack:
        state = stack.enter_context(open_state(path))
        signer = stack.enter_context(LocalSigner(path))
        city = stack.enter_context(City(state, signer, letters, zone=zone(CITY.zone), clock=clock))
        city.fill_seconds = 0.0
        answers = Answers(state, stack.enter_context(FrontStore(prepare(path))))
        answers.turn()
        sensors = Sensors()
        given = {"defence": Defence(held_seconds=0.0)} | more
        app = make_app(city, hosts=["door.example"], log=events, sensors=sensors, **given)
        made = Hamlet(
            path, state, signer, city, answers, clock, letters, events, sensors, app, given["defence"]
        )
        try:
            yield made
        finally:
            made.answers.close()


def neighbours_lists(public: Path) -> None:
    """As `kangma mirror` leaves them: here those of the hamlet itself, under another name."""
    there = public / "elsewhere" / "cn-zz"
    shutil.copytree(public / "status", there / "status")
    shutil.copy(public / "latest.json", there)
    first = next(there.glob("status/*/0"))
    shutil.copy(first, first.with_name("0.delta"))

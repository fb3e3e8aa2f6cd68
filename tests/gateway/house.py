"""A register over HTTP, in this process: an account of each role with a token of all its rights, and a stranger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from kangma.gateway.register.app import make_app
from kangma.incidents.form import from_json
from kangma.incidents.life import RIGHTS, Role
from kangma.store.register import Caller, Register, create

BASE = "https://register.example"
NOW = 1_651_104_000  # 28 April 2022, 00:00 UTC
NAMES = {Role.READER: "rea", Role.EDITOR: "ed", Role.REVIEWER: "rob", Role.ADMINISTRATOR: "ann"}
RECORD: dict[str, Any] = {
    "id": "an-attack",
    "victim": {"name": "健康宝", "names": {"en": "Health Kit"}, "country": "CN", "sector": "public-health"},
    "date": "2022-04-28",
    "summary": {"zh": "高峰时段遭到攻击", "en": "Attacked in peak hours"},
    "kinds": ["denial-of-service"],
    "availability": {"degree": "attempted"},
    "motives": [{"term": "espionage", "level": "member"}],
    "techniques": [{"id": "T1498"}],
    "levels": {"techniques": "member"},
    "sources": [{"title": "Press conference", "url": "https://news.example/1"}],
}


@dataclass
class Events:
    """A log that keeps what it was told."""

    lines: list[dict[str, object]] = field(default_factory=list)

    def info(self, event: str, **fields: object) -> None:
        self.lines.append({"event": event, **fields})

    warning = info


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class House:
    """Everything a test of the gateway asks."""

    register: Register
    app: FastAPI
    clock: Clock
    events: Events
    tokens: Mapping[Role, str]

    def client(self, role: Role | None = None) -> TestClient:
        """A program of that role's account; None: a stranger."""
        made = TestClient(self.app, base_url=BASE, follow_redirects=False)
        if role is not None:
            made.headers["authorization"] = f"Bearer {self.tokens[role]}"
        return made

    def alone(self) -> House:
        """The same with an application of its own, for a test that adds routes to it."""
        return replace(self, app=make_app(self.register, clock=self.clock, log=self.events))

    def caller(self, role: Role) -> Caller:
        return self.register.member(NAMES[role])

    def publish(self, record: dict[str, Any]) -> None:
        """From nothing to everybody."""
        ed, rob = self.caller(Role.EDITOR), self.caller(Role.REVIEWER)
        made = from_json(record)
        self.register.new(ed, made, now=self.clock())
        self.register.submit(ed, made.id, now=self.clock())
        self.register.approve(rob, made.id, edit=1, now=self.clock())
        self.register.publish(rob, made.id, now=self.clock())


@contextmanager
def house(
    path: Path, base: str = BASE, title: str = "Register of Songyuli", title_zh: str = ""
) -> Iterator[House]:
    clock, events = Clock(), Events()
    register = create(
        path, title=title, title_zh=title_zh, base=base, administrator="ann", organisation="Songyuli", now=NOW
    )
    with register:
        ann = register.member("ann")
        tokens = {}
        for role, name in NAMES.items():
            if role is not Role.ADMINISTRATOR:
                register.add_account(ann, name, "Songyuli", role, now=NOW)
            _, tokens[role] = register.make_token(
                register.member(name), name, RIGHTS[role], now=NOW, expires_at=NOW + 10**8
            )
        yield House(register, _app(register, clock, events), clock, events, tokens)


_APPS: dict[str, tuple[FastAPI, Events]] = {}


def _app(register: Register, clock: Clock, events: Events) -> FastAPI:
    """An application for this register. Making its routes is most of what a small test would cost, so one of each
    address is handed on from test to test; what it was told of the one before is gone."""
    base = register.about.base
    if base not in _APPS:
        _APPS[base] = (make_app(register, clock=clock, log=events), events)
    app, told = _APPS[base]
    told.lines = events.lines
    app.state.register, app.state.clock = register, clock
    return app

"""The city behind the door: what every handler works with, opened once and closed once."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Request

from kangma.gateway.front.defence.work import Work
from kangma.gateway.front.tallies import Tallies
from kangma.gateway.front.who.assertions import Registered
from kangma.gateway.front.who.rights import Clients
from kangma.gateway.front.who.tokens import Tokens
from kangma.intake.identity import Keyer
from kangma.policy.rules import Policy
from kangma.publish.city import city_name
from kangma.publish.policies import policies
from kangma.publish.signer import ReleaseSigner
from kangma.store.appeals import Appeals
from kangma.store.durable import WriterLock
from kangma.store.front import FrontStore, prepare, token_key
from kangma.store.front_clients import ClientStore
from kangma.store.front_hooks import HookStore
from kangma.store.front_rides import RideStore
from kangma.store.scans import FOLDER as SCANS
from kangma.store.scans import ScanJournal, prepare_scans
from kangma.store.sealed import SealedStore
from kangma.store.slots import SlotReader, TokenTurns
from kangma.store.state import State
from kangma.store.submissions import MOST_BODY, Submissions
from kangma.store.venues import Venues
from kangma.terms import Moment, Zone


@dataclass(frozen=True, slots=True)
class Letter:
    """A code on its way to a person. Cannot be printed: its `repr` says nothing."""

    to: str  # a phone number
    code: str
    why: str  # bind, consent

    def __repr__(self) -> str:
        return "Letter(sealed)"


class Delivery(Protocol):
    """How a code reaches a person: a text message, a letter, the console of a demo. May take its time and may fail; who
    asked is not told either."""

    def send(self, letter: Letter) -> None: ...


class Outbox:
    """Letters wait here, so that no answer waits for them: whether there was one to send cannot be heard."""

    def __init__(self, delivery: Delivery, failed: Callable[[], None] = lambda: None) -> None:
        self._delivery, self._failed = delivery, failed
        self._waiting: queue.Queue[Letter | None] = queue.Queue(maxsize=10_000)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def put(self, letter: Letter) -> None:
        """At once; a full outbox loses it, as a network would: the person asks again. One to nobody is not sent."""
        try:
            self._waiting.put_nowait(letter)
        except queue.Full:
            self._failed()

    def _work(self) -> None:
        while (letter := self._waiting.get()) is not None:
            try:
                if letter.to:
                    self._delivery.send(letter)
            except Exception:  # whatever a provider does, the next letter goes out
                self._failed()
            self._waiting.task_done()
        self._waiting.task_done()

    def empty(self) -> None:
        """Waits until everything was sent."""
        self._waiting.join()

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join(5)


class Memory:
    """Bytes of bodies that are held at once, for one event loop."""

    def __init__(self, most: int = 4 * MOST_BODY) -> None:
        self.most, self.used = most, 0


class City:
    """An open state directory as the gateway sees it. Threads share it."""

    def __init__(
        self,
        state: State,
        signer: ReleaseSigner,
        delivery: Delivery,
        *,
        zone: Zone,
        clock: Callable[[], Moment],
        clients: Clients | None = None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """`failed` is called for each letter that was not sent."""
        self.state, self.signer, self.clock, self.zone = state, signer, clock, zone
        folder = prepare(state.path)
        self._closing = ExitStack()
        self.store = self._closing.enter_context(FrontStore(folder))
        self._turning = WriterLock(folder / "turns.lock")
        with self._turning.hold():  # what another worker changes now is copied after this
            self.turns = TokenTurns(folder, self.store.turns())
        self._closing.callback(self.turns.close)
        self.tokens = Tokens(token_key(folder), self.turns)
        self.work = Work(token_key(folder))
        self.slots = SlotReader(folder)
        self.sealed = SealedStore(self.store)
        self.outbox = Outbox(delivery, failed)
        self._closing.callback(self.outbox.close)
        self.keyer: Keyer = state.keyer()
        name = city_name(state.path)
        self.base = "" if name is None else name.base
        audience = () if name is None else (f"{name.base}/oauth/token",)
        self.registered = Registered(
            ClientStore(self.store), token_key(folder), audience=audience, clock=clock
        )
        self.clients: Clients = clients or self.registered
        self.rides, self.hooks = RideStore(self.store), HookStore(self.store)
        self.submissions = Submissions(state, self.store)
        self._closing.callback(self.submissions.close)
        self.memory = Memory()
        self._policy: tuple[float, Policy] | None = None
        self.venues = self._closing.enter_context(Venues(folder))
        self.tallies = self._closing.enter_context(Tallies(self.venues, zone))
        self.scans = self._closing.enter_context(ScanJournal(folder / SCANS, prepare_scans(state.path)))
        self.appeals = self._closing.enter_context(Appeals(folder, state.vault))
        self.fill_seconds = 1.5  # that a new resident waits at most for the first answer

    @property
    def public(self) -> Path:
        return self.state.path / "public"

    @property
    def now(self) -> Moment:
        return self.clock()

    def copy_turn(self, slot: int) -> None:
        """The turn that this slot's tokens must name is the store's, for every worker, on return. Read and written under
        one lock: whoever copies last has read last, so a worker that starts meanwhile brings no older turn back."""
        with self._turning.hold():
            self.turns.set(slot, self.store.turn_of(slot))

    def policy(self) -> Policy:
        """The policy in force; a new one is seen within two seconds."""
        found = self._policy
        if found is None or time.monotonic() - found[0] > 2.0:
            found = self._policy = (time.monotonic(), policies(self.state).in_force(self.now))
        return found[1]

    def close(self) -> None:
        self._closing.close()

    def __enter__(self) -> City:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def city_of(request: Request) -> City:
    return cast(City, cast(Any, request.app.state).city)


Here = Annotated[City, Depends(city_of)]

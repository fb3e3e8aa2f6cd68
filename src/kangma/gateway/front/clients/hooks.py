"""The part of `kangma serve` that tells partners: it looks who would be told something else now, and sends.

A message is sent until its partner has it: after a failure again, later each time, with chance in it. A partner that does
not answer holds up no other: of each a few are on their way at once, and after a failure it is left alone for a while.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from kangma.errors import KangmaError, Refused
from kangma.gateway.front import schema as s
from kangma.gateway.front.clients.outward import Resolver, Why, post, resolved, target
from kangma.gateway.front.clients.passing import holds_until, result_at
from kangma.gateway.front.clients.signatures import signed
from kangma.publish.policies import policies
from kangma.store.durable import WriterLock
from kangma.store.front import FrontStore
from kangma.store.front_hooks import HookStore, Message, Turn
from kangma.store.slots import SlotReader
from kangma.store.state import State
from kangma.terms import Moment, Zone

AT_ONCE, OF_ONE = 16, 4  # messages on their way, and of one partner
LATEST = 60.0  # seconds between two tries at most, but for chance
SPREAD = 20  # seconds by which a message is held back by chance (decision 0134)
AGAIN = (
    30  # seconds after which results are looked at though no release came: a test's age alone may turn one
)
MOST_SAID = 192  # bytes of a message, spaces at its end


@dataclass
class _Partner:
    """How a partner has answered lately."""

    on_way: int = 0
    failures: int = 0
    not_before: float = float("-inf")

    def takes_more(self, tick: float) -> bool:
        """Of one that failed, one message is tried."""
        return self.on_way < (1 if self.failures else OF_ONE) and tick >= self.not_before


class Hooks:
    """One for a state directory. Unavailable while another program tells partners."""

    def __init__(
        self,
        state: State,
        store: FrontStore,
        zone: Zone,
        *,
        clock: Callable[[], Moment],
        ticks: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = lambda _: None,
        chance: random.Random | None = None,
        spread: int = SPREAD,
        resolve: Resolver = resolved,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._lock = WriterLock(store.folder / "hooks.lock").hold(wait=0)
        self._lock.__enter__()
        self.store = HookStore(store)
        self._state, self._zone, self._clock, self._ticks, self._say = state, zone, clock, ticks, say
        self._slots = SlotReader(store.folder)
        self._chance, self._spread = chance or random.SystemRandom(), spread
        self._resolve, self._context = resolve, context
        self._seen: tuple[int, int] | None = None
        self._partners: dict[int, _Partner] = {}
        self._guard, self._on_way, self._done = threading.Lock(), set[str](), threading.Event()
        self._senders = ThreadPoolExecutor(AT_ONCE, "hook")

    def close(self) -> None:
        """What is on its way is waited for."""
        self._senders.shutdown()
        self._lock.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def turn(self) -> int:
        """Looks, when there is something new to look at, and sends what is due; how many were begun."""
        release, now = self._slots.ready(), self._clock()
        if release is not None and self._seen != (release, now // AGAIN):
            self.look()
            self._seen = (release, now // AGAIN)
        return self.send()

    def wait(self, seconds: float) -> None:
        """Until there is room for another message, or so long."""
        self._done.wait(seconds)
        self._done.clear()

    def look(self) -> int:
        """Whoever would be told something else than they know is told; of how many rides."""
        now = self._clock()
        self.store.forget_over(now=now)
        policy, until, turns = policies(self._state).in_force(now), holds_until(now), list[Turn]()
        for watch in self.store.open(now=now):
            content = self._slots.answer(watch.slot)
            if content is None:  # being made: nothing turned
                continue
            result = result_at(content, policy, now=now)
            # What waits may have been heard already: the newest must be the last.
            known = watch.told if watch.waits is None else watch.waits
            tell = result != known or (watch.waits is not None and watch.waits_until <= now)
            if tell:
                turns.append(Turn(watch.ride, result, until))
        if turns:
            self.store.tell(turns, at=[now + round(self._spread * self._chance.random()) for _ in turns])
        return len(turns)

    def send(self) -> int:
        """Begins to send what is due, as far as there is room."""
        began = 0
        with self._guard:
            room = AT_ONCE - len(self._on_way)
            resting = [n for n, x in self._partners.items() if not x.takes_more(self._ticks())]
        if room <= 0:
            return 0
        for message in self.store.due(now=self._clock(), most=4 * AT_ONCE, without=resting):
            with self._guard:
                partner = self._partners.setdefault(message.client, _Partner())
                if (
                    len(self._on_way) >= AT_ONCE
                    or not partner.takes_more(self._ticks())
                    or message.message in self._on_way
                ):
                    continue
                partner.on_way += 1
                self._on_way.add(message.message)
            self._senders.submit(self._one, message, partner)
            began += 1
        return began

    def _one(self, message: Message, partner: _Partner) -> None:
        try:
            why = self._posted(message)
            if why is None:
                self.store.delivered(message)
            else:
                self.store.failed(
                    message, why, again_at=self._clock() + max(1, round(self._pause(message.tries)))
                )
            self._noted(message.partner, partner, why)
        except KangmaError as problem:  # it is as if it had not been sent
            self._say(str(problem))
        finally:
            with self._guard:
                partner.on_way -= 1
                self._on_way.discard(message.message)
            self._done.set()

    def _posted(self, message: Message) -> Why | None:
        said = s.Turned.model_validate(
            {"ride": message.name, "result": message.result, "expires_at": self._zone.iso(message.expires_at)}
        )
        body = said.model_dump_json().encode().ljust(MOST_SAID)
        try:
            to = target(message.url, private=message.private)
        except Refused:
            return Why.ADDRESS
        headers = signed(
            self.store.keys.signing, to.url, body, message=message.message, created=self._clock()
        )
        return post(to, body, headers, private=message.private, resolve=self._resolve, context=self._context)

    def _pause(self, tries: int) -> float:
        """Seconds until the next try: doubled each time, half to one and a half of that by chance."""
        return min(LATEST, 2.0 ** min(tries, 10)) * (0.5 + self._chance.random())

    def _noted(self, name: str, partner: _Partner, why: Why | None) -> None:
        with self._guard:
            before = partner.failures
            partner.failures = 0 if why is None else before + 1
            partner.not_before = self._ticks() + (0.0 if why is None else self._pause(before))
        if why is not None and not before:
            self._say(f"{name} does not take what it is told: {why}")
        if why is None and before:
            self._say(f"{name} takes what it is told again")

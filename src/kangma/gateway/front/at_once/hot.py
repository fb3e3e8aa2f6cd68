"""`GET /v1/me/code` where everything about it is plainly right: one token check, one read, one answer.

No SQL, no lock, no call. Whatever is not plain (another method, a query, a token that is not good, a slot not filled yet)
is not answered here: it goes the ordinary way, through every layer, to the same route in `residents.py`, which says what
is wrong. So this file refuses nobody, and admits nobody whom that route would not.

The server may ask `answer` by itself, in its own thread and without the event loop (`serving.py`): nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from kangma.gateway.front.city import City
from kangma.gateway.front.who.rights import CALLER, NO_RESIDENT, Caller, Role
from kangma.store.slots import SlotReader
from kangma.terms import Moment

PATH = "/v1/me/code"
HEADERS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"private, no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
]


class Hot:
    """In front of the application. `admit` is told the slot and says whether it may be answered now."""

    def __init__(
        self,
        app: ASGIApp,
        city: City,
        *,
        ours: Callable[[bytes], bool],
        admit: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self.app, self.ours, self.admit = app, ours, admit
        self.slot_in: Callable[..., int | None] = city.tokens.slot_in
        self.clock: Callable[[], Moment] = city.clock
        self.slots: SlotReader = city.slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (content := self.answer(scope)) is not None:
            for message in said(content):
                await send(message)
            return
        await self.app(scope, receive, send)

    def answer(self, scope: MutableMapping[str, Any]) -> bytes | None:
        """The prepared answer to a request of which all is plainly right; None for any other."""
        if scope["path"] != PATH or scope["method"] != "GET" or scope["query_string"]:
            return None
        token = host = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                if token is not None:
                    return None
                token = value
            elif name == b"host":
                if host is not None:
                    return None
                host = value
        if token is None or host is None or not token.startswith(b"Bearer ") or not self.ours(host):
            return None
        slot = self.slot_in(token[7:], now=self.clock())
        if slot is None:
            scope[NO_RESIDENT] = True
            return None
        if not self.admit(slot):
            scope[CALLER] = Caller(Role.RESIDENT, slot)
            return None
        return self.slots.answer(slot)


def said(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """An answer as ASGI sends it."""
    return _started(len(content)), {"type": "http.response.body", "body": content}


@lru_cache(maxsize=4_096)
def _started(length: int) -> dict[str, Any]:
    """Nobody changes it: the server reads, and the layers are not behind this."""
    headers = [*HEADERS, (b"content-length", b"%d" % length)]
    return {"type": "http.response.start", "status": 200, "headers": headers}

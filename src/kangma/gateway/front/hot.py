"""`GET /v1/me/code` where everything about it is plainly right: one token check, one read, one answer.

No SQL, no lock, no call. Whatever is not plain (another method, a query, a token that is not good, a slot not filled yet)
is not answered here: it goes the ordinary way, through every layer, to the same route in `residents.py`, which says what
is wrong. So this file refuses nobody, and admits nobody whom that route would not.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from kangma.gateway.front.city import City
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
        self.slot_of: Callable[..., int | None] = city.tokens.slot_of
        self.clock: Callable[[], Moment] = city.clock
        self.slots: SlotReader = city.slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH:
            content = self._answer(scope)
            if content is not None:
                length = (b"content-length", str(len(content)).encode())
                await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
                await send({"type": "http.response.body", "body": content})
                return
        await self.app(scope, receive, send)

    def _answer(self, scope: Scope) -> bytes | None:
        if scope["method"] != "GET" or scope["query_string"]:
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
        slot = self.slot_of(token[7:].decode("latin-1"), now=self.clock())
        if slot is None or not self.admit(slot):
            return None
        return self.slots.answer(slot)

"""`POST /v1/me/visits` where everything about it is plainly right: a token check, a door's code, a line on the disk.

As `hot.py` for codes: whatever is not plain (a token that is not good, too often, a body that cannot be, a code that is
refused, a disk that refuses) is not answered here. It goes the ordinary way, through every layer, to the same route in
`venues.py`, with its body, and that one says what is wrong. A scan-in that was written here and is answered there
is the same visit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kangma.errors import KangmaError
from kangma.gateway.front.at_once.hot import HEADERS
from kangma.gateway.front.city import City
from kangma.gateway.front.people.venues import scanned_in
from kangma.gateway.front.schema import ScanningIn
from kangma.incidents import canonical

PATH = "/v1/me/visits"
MOST_BODY = 1_024  # bytes of a plain one
PATIENCE = 2.0  # seconds for one


class Entering:
    """In front of the layers, behind `Hot`. `admit` is told the slot and says whether it may be answered now; `count` is
    called for each that was."""

    def __init__(
        self,
        app: ASGIApp,
        city: City,
        *,
        ours: Callable[[bytes], bool],
        admit: Callable[[int], bool],
        count: Callable[[], None],
    ) -> None:
        self.app, self.city, self.ours, self.admit, self.count = app, city, ours, admit, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        slot = self._slot(scope)
        if slot is None:
            return await self.app(scope, receive, send)
        heard: list[Message] = []
        body = await _heard(receive, heard)
        content = None if body is None else await self._answer(slot, body)
        if content is None:
            return await self.app(scope, _again(heard, receive), send)
        self.count()
        length = (b"content-length", str(len(content)).encode())
        await send({"type": "http.response.start", "status": 201, "headers": [*HEADERS, length]})
        await send({"type": "http.response.body", "body": content})

    def _slot(self, scope: Scope) -> int | None:
        """The slot of a plain request that may be answered now."""
        if scope["query_string"]:
            return None
        seen: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in (b"authorization", b"host", b"content-type"):
                if name in seen:
                    return None
                seen[name] = value
        token, host = seen.get(b"authorization", b""), seen.get(b"host")
        if not token.startswith(b"Bearer ") or host is None or not self.ours(host):
            return None
        if seen.get(b"content-type") != b"application/json":
            return None
        slot = self.city.tokens.slot_of(token[7:].decode("latin-1"), now=self.city.clock())
        return slot if slot is not None and self.admit(slot) else None

    async def _answer(self, slot: int, body: bytes) -> bytes | None:
        try:
            asked = ScanningIn.model_validate(canonical.loads(body))
            return (await scanned_in(self.city, slot, asked)).model_dump_json().encode()
        except (KangmaError, ValidationError):
            return None


async def _heard(receive: Receive, heard: list[Message]) -> bytes | None:
    """A body that is short and comes in time; None for another. What came is in `heard` either way."""
    pieces, size = [], 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while size <= MOST_BODY:
                message = await receive()
                heard.append(message)
                if message["type"] != "http.request":
                    return None
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if not message.get("more_body", False):
                    return b"".join(pieces) if size <= MOST_BODY else None
    return None


def _again(heard: list[Message], receive: Receive) -> Receive:
    """What was heard already, and then the rest."""
    left = iter(heard)

    async def again() -> Message:
        for message in left:
            return message
        return await receive()

    return again

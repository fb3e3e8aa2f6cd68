"""What a request is told without a task of its own: a code, a refusal at a glance, a file from the shelf.

The server asks (`serving.py`). What is not told here goes the ordinary way, through the application, and is told the
same; behind any other server everything does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from kangma.gateway.front.at_once import entering
from kangma.gateway.front.at_once.hot import PATH, Hot
from kangma.gateway.front.at_once.shelf import Shelf
from kangma.gateway.front.defence.layers import Answer, Known
from kangma.gateway.register.problems import Problem


class Desk:
    """The application of a plane, and what stands in front of it that waits for nothing."""

    def __init__(self, app: ASGIApp, known: Known, shelf: Shelf | None, hot: Hot | None = None) -> None:
        self.app, self.known, self.shelf, self.hot = app, known, shelf, hot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    def code(self, scope: Scope) -> bytes | None:
        """The prepared answer, where the request asks for its caller's code and all of it is right. In any thread."""
        return None if self.hot is None else self.hot.answer(scope)

    def soon(self, scope: Scope) -> bool:
        """Whether the request is to be taken up at once, and not with the next tick of those who wait. In any thread.

        A code that was not shown will be refused, and late. Under attack that holds for nearly all; what lies in memory
        and scan-ins do not wait, everything else at most a hundredth of a second.
        """
        path = scope["path"]
        if path == PATH:
            return False
        if not self.known.defence.alarm.pressed or path == entering.PATH:
            return True
        return self.shelf is not None and not scope["query_string"] and self.shelf.has(path)

    def answers(self, scope: Scope, say: Callable[[Answer], None]) -> bool:
        """Whether the request is answered here, now or late, by a call of `say`. In the loop's thread, once."""
        if scope["path"] == entering.PATH and scope["method"] == "POST":
            return False  # `Entering` comes before `Known`, and hears a body
        refused = self.known.judge(scope)
        if refused is not None:
            self.known.exit.refuse_later(scope, *refused, say)
            return True
        found = None if self.shelf is None else self.shelf.find(scope)
        if found is None:
            return False
        if isinstance(found, Problem):
            self.known.exit.refuse_later(scope, found, "address", say)
        else:
            say(found)
        return True


class Arrivals:
    """Requests on their way from the server's thread to the loop's. Those that come together cost one wake; those that
    are in no hurry none, while the pool's clock ticks. To wake another thread, and to give it the interpreter, costs
    more than to refuse somebody.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        desk: Desk,
        take: Callable[[Any, Scope], None],
        context: Any = None,
    ) -> None:
        """`take` is told the request and its scope, in the loop's thread, within the `context`."""
        self._loop, self._desk, self._take, self._context = loop, desk, take, context
        self._pool = desk.known.exit.pool
        self._pool.take_up = self._all
        self._came: deque[tuple[Any, Scope]] = deque()
        self._woken = False

    def add(self, request: Any, scope: Scope) -> None:
        """In the server's thread."""
        self._came.append((request, scope))  # first: whoever looks afterwards finds it
        if self._woken or (self._pool.ticking and not self._desk.soon(scope)):
            return
        self._woken = True
        self._loop.call_soon_threadsafe(self._all, context=self._context)

    def _all(self) -> None:
        self._woken = False  # first: who comes from now on wakes the loop again
        for _ in range(len(self._came)):
            request, scope = self._came.popleft()
            try:
                self._take(request, scope)
            except Exception as problem:  # one that fails takes nobody along
                self._loop.call_exception_handler(
                    {"message": "a request was not taken", "exception": problem}
                )

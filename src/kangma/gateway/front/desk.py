"""What a request is told without a task of its own: a code, a refusal at a glance, a file from the shelf.

The server asks (`serving.py`). What is not told here goes the ordinary way, through the application, and is told the
same; behind any other server everything does.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from kangma.gateway.front import entering
from kangma.gateway.front.defence import Answer, Known
from kangma.gateway.front.hot import Hot
from kangma.gateway.front.shelf import Shelf
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

"""One process that serves a register: Granian in front of the application, until it is told to stop.

SQLite has one writer, so a second process would buy nothing but another place for sessions to be noted. What was begun
when the signal came is finished; what is killed instead loses nothing that was acknowledged (`kangma.store.register`).
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from kangma.errors import Unavailable
from kangma.gateway.register.app import make_app
from kangma.store.logs import EventLog
from kangma.store.register import open_register
from kangma.terms import Moment

#: Requests at work at once; the others wait in the loop. As many as SQLAlchemy's pool has connections, and one writer.
AT_ONCE = 12
HEADER_SECONDS = 3
#: Connections that may wait for their turn: slow senders are among them until their time is over.
BACKLOG = 4_096


def serve(
    path: Path, *, host: str, port: int, clock: Callable[[], Moment], ready: Callable[[str], None]
) -> None:
    """Serves until SIGTERM or SIGINT. `ready` is told the address once it is bound. Unavailable when it cannot be."""
    with open_register(path) as register:
        register.warm()
        (path / "log").mkdir(mode=0o700, exist_ok=True)
        log = EventLog(path / "log" / "events.ndjson")
        try:
            log.info("serving", form="http")
            asyncio.run(_run(make_app(register, clock=clock, log=log), host, port, ready))
            log.info("stopped", form="http")
        finally:
            log.close()


async def _run(app: FastAPI, host: str, port: int, ready: Callable[[str], None]) -> None:
    _bindable(host, port)
    current_default_thread_limiter().total_tokens = AT_ONCE
    server = Server(
        app, address=host, port=port, interface=Interfaces.ASGINL, http=HTTPModes.http1, websockets=False,
        log_enabled=False, backpressure=BACKLOG,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1_000, max_buffer_size=64 * 1024),
    )  # fmt: skip
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    server.on_startup(lambda: ready(f"http://{f'[{host}]' if ':' in host else host}:{port}"))
    await server.serve()


def _bindable(host: str, port: int) -> None:
    """Asks before the server does: it tells the reason in its own way and log."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as problem:
            raise Unavailable(f"cannot listen on port {port}: {problem.strerror}") from None

"""One process that is the front door: Granian in front of the application, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from anyio.to_thread import current_default_thread_limiter
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from kangma.errors import Unavailable
from kangma.gateway.front.app import make_app
from kangma.gateway.front.city import City
from kangma.gateway.front.defence import Defence
from kangma.gateway.front.delivery import Console
from kangma.gateway.front.gauges import watch_city
from kangma.gateway.front.inner import make_inner
from kangma.gateway.front.sensors import Sensors
from kangma.publish.city import city_name
from kangma.publish.wire import SOCKET, RemoteSigner
from kangma.store.front import prepare
from kangma.store.logs import EventLog
from kangma.store.state import open_state
from kangma.terms import Moment, zone

#: Ordinary requests at work at once; the hot path takes no thread.
AT_ONCE = 24
HEADER_SECONDS = 3
BACKLOG = 4_096
INNER_HOST = "127.0.0.1"  # health and metrics are for this machine


def serve(
    path: Path,
    *,
    host: str,
    port: int,
    hosts: Iterable[str],
    clock: Callable[[], Moment],
    say: Callable[[str], None],
    inner: int | None = None,
    proxies: Iterable[str] = (),
    secure: bool = False,
) -> None:
    """Serves the city at `path` until SIGTERM or SIGINT. Unavailable when the port cannot be had, or there is no city.

    `inner`: the port of health and metrics, on this machine only. `proxies`: addresses whose word on where a request
    comes from is taken.
    """
    name = city_name(path)
    if name is None:
        raise Unavailable("this directory names no city that publishes")
    signer = RemoteSigner(path / "signer" / SOCKET)
    folder = prepare(path)
    log = EventLog(folder / "events.ndjson")
    sensors, defence = Sensors(), Defence(proxies=tuple(proxies))
    failed = sensors.letters_failed.inc
    with (
        open_state(path) as state,
        City(state, signer, Console(folder, say), zone=zone(name.zone), clock=clock, failed=failed) as city,
    ):
        try:
            watch_city(sensors, city)
            app = make_app(city, hosts=hosts, log=log, secure=secure, defence=defence, sensors=sensors)
            asyncio.run(_run(app, make_inner(city, sensors), city, host, port, inner, say))
        finally:
            log.close()


async def _run(
    app: ASGIApp,
    inner: ASGIApp,
    city: City,
    host: str,
    port: int,
    inner_port: int | None,
    say: Callable[[str], None],
) -> None:
    servers = [_server(app, host, port)]
    if inner_port is not None:
        servers.append(_server(inner, INNER_HOST, inner_port))
    current_default_thread_limiter().total_tokens = AT_ONCE
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.stop()  # type: ignore[no-untyped-call]  # of Granian

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    servers[0].on_startup(lambda: say(f"http://{f'[{host}]' if ':' in host else host}:{port}"))
    watching = asyncio.create_task(_watch(city))
    try:
        await asyncio.gather(*(server.serve() for server in servers))
    finally:
        watching.cancel()


def _server(app: ASGIApp, host: str, port: int) -> Server:
    _bindable(host, port)
    return Server(
        app, address=host, port=port, interface=Interfaces.ASGINL, http=HTTPModes.http1, websockets=False,
        log_enabled=False, backpressure=BACKLOG,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1_000, max_buffer_size=64 * 1024),
    )  # fmt: skip


async def _watch(city: City) -> None:
    """A read model that was begun anew is taken up."""
    while True:
        city.slots.ready()
        await asyncio.sleep(0.5)


def _bindable(host: str, port: int) -> None:
    """Asks before the server does: it tells the reason in its own way and log."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as problem:
            raise Unavailable(f"cannot listen on port {port}: {problem.strerror}") from None

"""A process that is the front door, or one plane of it: Granian in front of the application, until it is told to stop."""

from __future__ import annotations

import asyncio
import asyncio.tasks
import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from granian._futures import _future_watcher_wrapper
from granian._granian import ASGIWorker, CallbackScheduler, SocketHolder
from granian.asgi import _callback_wrapper
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import AsyncWorker, Server
from starlette.types import ASGIApp

from kangma.errors import Unavailable
from kangma.gateway.front.app import Plane, make_app, make_read_plane
from kangma.gateway.front.at_once.desk import Arrivals, Desk
from kangma.gateway.front.at_once.hot import said
from kangma.gateway.front.city import City
from kangma.gateway.front.defence.admission import CAPS, Admission
from kangma.gateway.front.defence.alarm import Alarm
from kangma.gateway.front.defence.layers import Answer, Defence
from kangma.gateway.front.defence.limits import Network, Together
from kangma.gateway.front.defence.telling import Teller
from kangma.gateway.front.listening import BACKLOG, where
from kangma.gateway.front.people.delivery import Console
from kangma.gateway.front.watch.gauges import watch_city
from kangma.gateway.front.watch.inner import make_inner, make_read_inner
from kangma.gateway.front.watch.sensors import Sensors
from kangma.gateway.register.layers import Log
from kangma.publish.city import city_name
from kangma.publish.wire import SOCKET, RemoteSigner
from kangma.store.front import prepare
from kangma.store.logs import EventLog
from kangma.store.state import open_state
from kangma.terms import Moment, zone

#: Ordinary requests at work at once; the hot path takes no thread.
AT_ONCE = 24
#: That a thread at work may keep the interpreter when the loop wants it; Python's own five milliseconds are a code's
#: whole time, for each thread.
SWITCH_SECONDS = 0.0005
#: Objects made since the last look before those that nobody holds are looked for, and so many such looks before a wider
#: one. Python's own 700 come about with every fiftieth refusal that waits, and found nothing in any of hundreds of looks
#: of 4 to 13 milliseconds (docs/decisions/0162).
YOUNG = (50_000, 20, 10)
HEADER_SECONDS = 3
CONNECTIONS = 12_000
HELD, HELD_OF_A_NETWORK = 8_000, 4_000  # refusals that wait, of all workers together


@dataclass(frozen=True)
class Doorway:
    """Where a process listens, under which names, and whom it believes.

    `inner`: where health and metrics are asked, for this machine only. `proxies`: addresses or networks of ours whose
    word on where a request comes from is taken. `secure`: browsers came by https. `workers` share `listening`, and count
    together in the memory that `limits` is a descriptor of.
    """

    listening: socket.socket
    hosts: tuple[str, ...]
    inner: socket.socket | None = None
    proxies: tuple[str, ...] = ()
    secure: bool = False
    workers: int = 1
    limits: int | None = None

    def defence(self) -> Defence:
        """A worker's part of it. What a caller may ask is counted by all together; threads are each its own; refusals
        that wait and looks into the evidence are divided."""
        each = {purpose: max(1, cap // self.workers) for purpose, cap in CAPS.items()}
        try:
            Network(self.proxies)
        except ValueError:
            raise Unavailable("--proxy takes an address or a network") from None
        return Defence(
            most_held=max(1, HELD // self.workers),
            most_held_of_a_network=max(1, HELD_OF_A_NETWORK // self.workers),
            proxies=self.proxies,
            together=None if self.limits is None else Together(self.limits),
            admission=partial(Admission, caps=each),
        )


def serve(
    path: Path,
    doorway: Doorway,
    *,
    plane: Plane = Plane.WHOLE,
    clock: Callable[[], Moment],
    say: Callable[[str], None],
    told: Callable[[], bool] = lambda: False,
) -> None:
    """Serves the city at `path` until SIGTERM or SIGINT, or until it is `told` to stop; whole or its write plane.
    Unavailable when there is no city."""
    name = city_name(path)
    if name is None:
        raise Unavailable("this directory names no city that publishes")
    signer = RemoteSigner(path / "signer" / SOCKET)
    folder = prepare(path)
    log = EventLog(folder / "events.ndjson")
    sensors, defence = Sensors(), doorway.defence()

    def failed() -> None:
        sensors.letters_failed += 1

    with (
        open_state(path) as state,
        City(state, signer, Console(folder, say), zone=zone(name.zone), clock=clock, failed=failed) as city,
    ):
        try:
            watch_city(sensors, city)
            app = make_app(
                city,
                hosts=doorway.hosts,
                plane=plane,
                log=log,
                secure=doorway.secure,
                defence=defence,
                sensors=sensors,
            )
            guard = Guard(defence.alarm, sensors, log, clock, Teller(folder, system=name.name.en))
            run = _run(app, make_inner(city, sensors), doorway, say, city.slots.ready, guard, told)
            asyncio.run(run)
        finally:
            log.close()


def serve_read_plane(
    path: Path,
    doorway: Doorway,
    *,
    clock: Callable[[], Moment],
    say: Callable[[str], None],
    told: Callable[[], bool] = lambda: False,
) -> None:
    """Serves the public folder of the city at `path` and the pages, and reads nothing else of it."""
    folder, sensors, defence = path / "public", Sensors(), doorway.defence()
    log = EventLog(path / "log" / "read-plane.ndjson")
    try:
        app = make_read_plane(
            folder,
            hosts=doorway.hosts,
            log=log,
            secure=doorway.secure,
            defence=defence,
            sensors=sensors,
        )
        guard = Guard(defence.alarm, sensors, log, clock, None)
        inner = make_read_inner(folder, sensors, clock)
        asyncio.run(_run(app, inner, doorway, say, lambda: None, guard, told))
    finally:
        log.close()


def settled() -> None:
    """What is there now stays. Looking through it for what nobody holds any more kept everybody waiting, an eighth of a
    second and more at a time (docs/decisions/0160); what came since is looked through seldom (0162)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*YOUNG)


async def _run(
    app: ASGIApp,
    inner: ASGIApp,
    doorway: Doorway,
    say: Callable[[str], None],
    look: Callable[[], object],
    guard: Guard,
    told: Callable[[], bool],
) -> None:
    servers = [_server(app, doorway.listening)]
    if doorway.inner is not None:
        servers.append(_server(inner, doorway.inner))
    current_default_thread_limiter().total_tokens = AT_ONCE
    sys.setswitchinterval(SWITCH_SECONDS)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.stop()  # type: ignore[no-untyped-call]  # of Granian

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)

    def begun() -> None:
        settled()
        say(where(doorway.listening))

    servers[0].on_startup(begun)
    watching = [asyncio.create_task(_watch(look, told, stop)), asyncio.create_task(guard.watch())]
    try:
        await asyncio.gather(*(server.answer() for server in servers))
    finally:
        for task in watching:
            task.cancel()


class _AtOnce(CallbackScheduler):
    """Hands each request from Granian's own thread to the event loop, as its scheduler does, but for what the desk has an
    answer to: a code is sent from where we are, without a wake of the loop (docs/decisions/0138); a refusal or a file
    from the loop, without a task (0160). Nothing may be raised here.
    """

    def __new__(cls, loop: Any, callback: Any, _: Desk) -> _AtOnce:
        enter, leave = (
            partial(f, loop) for f in (asyncio.tasks._enter_task, asyncio.tasks._leave_task)
        )  # what a task does around itself; Granian's class asks for them and does not need them here
        made: Any = super().__new__
        return made(cls, loop, callback, None, enter, leave)  # type: ignore[no-any-return]  # of Granian

    def __init__(self, loop: Any, callback: Any, desk: Desk) -> None:
        super().__init__()
        arrivals, code = Arrivals(loop, desk, partial(_taken, loop, callback, desk), self._ctx), desk.code

        def schedule(request: Any) -> None:
            scope = request.scope
            try:
                content = code(scope)
            except Exception:  # the ordinary way fails in its own form, and says so
                content = None
            if content is None:
                return arrivals.add(request, scope)
            send = request.proto.send
            for message in said(content):
                send(message)
            request.done()

        self._schedule_fn = schedule

    def cancel(self) -> bool:
        return False

    def cancelling(self) -> int:
        return 0

    def uncancel(self) -> int:
        return 0


def _taken(loop: Any, callback: Any, desk: Desk, request: Any, scope: Any) -> None:
    """A request in the loop's thread: told by the desk, now or late, or given a task."""
    try:
        answered = desk.answers(scope, partial(_tell, request))
    except Exception:
        answered = False
    if not answered:
        request.taskref(loop.create_task(callback(request)))


def _tell(request: Any, answer: Answer) -> None:
    send = request.proto.send
    for message in answer.messages():
        send(message)
    request.done()


@AsyncWorker.wrap_target  # type: ignore[untyped-decorator]  # of Granian
async def _answering(
    number: int, stopping: Any, app: Any, on: Any, loop: asyncio.AbstractEventLoop, *given: Any
) -> None:
    """What Granian runs as a worker, with our scheduler in place of its own."""
    *threads, _tasks, http, http1, http2, websockets, static, _log, tls, options = given
    done = loop.create_future()
    stopping.add_cb(lambda: loop.call_soon_threadsafe(done.set_result, None))
    made: Any = ASGIWorker
    worker = made(number, on, None, *threads, http, http1, http2, websockets, static, *tls, (None, None))
    wrap: Any = _callback_wrapper
    watched: Any = _future_watcher_wrapper
    worker.serve_async(_AtOnce(loop, watched(wrap(app, options, {}, None)), app), loop, stopping)
    await done


class _On(Server):
    """Granian on a socket that listens already."""

    listening: socket.socket

    async def answer(self) -> None:
        """Serves until told to stop."""
        await self.serve(_answering if isinstance(self.target, Desk) else None)

    def _init_shared_socket(self) -> None:
        # A descriptor of its own: Granian closes what it was given when it stops.
        held: Any = SocketHolder
        self._ssp: Any = None
        self._shd: Any = held(
            os.dup(self.listening.fileno()), False, BACKLOG
        )  # what Granian gives its own workers


def _room_for_connections() -> int:
    """Connections that are open at once: as many as there are descriptors, less what the rest needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, CONNECTIONS + 512), hard))
        soft = min(hard, CONNECTIONS + 512)
    return max(64, min(CONNECTIONS, soft - 512))


def _server(app: ASGIApp, listening: socket.socket) -> _On:
    made = _On(
        app, interface=Interfaces.ASGINL, http=HTTPModes.http1, websockets=False,
        log_enabled=False, backpressure=_room_for_connections(),
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1_000, max_buffer_size=64 * 1024),
    )  # fmt: skip
    made.listening = listening
    return made


async def _watch(look: Callable[[], object], told: Callable[[], bool], stop: Callable[[], None]) -> None:
    """A read model that was begun anew is taken up. Who was told to stop before the signals were ours stops too."""
    while not told():
        look()
        await asyncio.sleep(0.5)
    stop()


class Guard:
    """Ticks the alarm once a second, by how late this loop is, and hands on what it says."""

    def __init__(
        self, alarm: Alarm, sensors: Sensors, log: Log, clock: Callable[[], Moment], teller: Teller | None
    ) -> None:
        self.alarm, self.sensors, self.log, self.clock, self.teller = alarm, sensors, log, clock, teller
        sensors.watch("under_attack", "1 while the door is under attack", lambda: float(alarm.on))

    async def watch(self) -> None:
        sending: asyncio.Task[int] | None = None
        while True:
            began = time.monotonic()
            await asyncio.sleep(1.0)
            passed = time.monotonic() - began
            self.tick(passed, late=passed - 1.0)
            if self.teller is not None and (sending is None or sending.done()):
                sending = asyncio.create_task(asyncio.to_thread(self.teller.send))

    def tick(self, seconds: float, *, late: float) -> None:
        before, now = self.alarm.on, self.clock()
        codes, failed = self.sensors.codes, self.sensors.failed
        event = self.alarm.tick(seconds, late=late, now=now, codes=codes, failed=failed)
        if self.alarm.on != before:
            self.log.warning("under_attack" if self.alarm.on else "attack_over")
        if self.teller is not None:
            self.teller.saw(event, now=now)

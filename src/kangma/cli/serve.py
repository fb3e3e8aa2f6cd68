"""`kangma serve`: the city at work. One supervisor, and a process for each part, so that none can do another's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kangma.cli.terminal import StateDir, err, plain, wall_clock
from kangma.errors import Code, Conflict, Refused, Unavailable
from kangma.publish.city import city_name, has_keys
from kangma.publish.cycle import cycle_if_due
from kangma.publish.signer import LocalSigner
from kangma.publish.wire import SOCKET, RemoteSigner
from kangma.publish.wire import serve as answer
from kangma.store.sealed import EVERY
from kangma.store.state import open_state
from kangma.terms import zone

if TYPE_CHECKING:
    from kangma.gateway.front.serving import Doorway


class Part(StrEnum):
    """What runs in a process of its own."""

    SIGNER = "signer"  # the only one that reads a key by which codes and lists are signed
    CYCLE = "cycle"
    ANSWERS = "answers"  # prepares what residents are shown; with --port
    SLOTS = "slots"  # seals answers for phones that cannot reach the door; with --port
    HOOKS = "hooks"  # tells partners that a code turned; with --port
    GATEWAY = "gateway"  # the front door; with --port
    READER = "reader"  # its read plane, for itself; with --read-port


@dataclass(frozen=True)
class Child:
    """A process to be kept running: which part, which of several, what it is told beyond what all are, and the
    descriptors that it inherits."""

    part: Part
    number: int = 1
    told: tuple[str, ...] = ()
    fds: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return self.part if self.number == 1 else f"{self.part} {self.number}"


@dataclass
class Door:
    """What opens a front door: the options of `kangma serve` that concern it."""

    port: int | None = None
    host: str = "127.0.0.1"
    names: Sequence[str] = ()
    inner: int | None = None
    proxies: Sequence[str] = ()
    secure: bool = False
    read_port: int | None = None
    workers: int = 1
    on: int | None = None
    inner_on: int | None = None
    limits: int | None = None
    sealed_every: float = EVERY
    closing: ExitStack = field(default_factory=ExitStack)

    def children(self) -> list[Child]:
        """The processes of the door. Every socket is opened here and handed on: a port that is taken is told before
        anything is started, and whoever comes while a worker starts again waits instead of being turned away."""
        if self.port is None:
            return []
        from kangma.gateway.front.defence.limits import Together  # noqa: PLC0415  only for a front door

        limits: tuple[int, ...] = ()
        if self.workers > 1:
            limits = (Together.make(),)
            self.closing.callback(os.close, limits[0])
        inner = self.inner
        said = self._told()
        listening = self._listen(self.host, self.port)
        sealing = Child(Part.SLOTS, told=("--sealed-every", str(self.sealed_every)))
        children = [Child(Part.ANSWERS), sealing, Child(Part.HOOKS)]
        parts = [(Part.GATEWAY, n + 1, listening) for n in range(self.workers)]
        if self.read_port is not None:
            parts.append((Part.READER, 1, self._listen(self.host, self.read_port)))
        for part, number, on in parts:
            told, fds = [*said, "--on", str(on)], [on]
            if inner is not None:
                fds.append(self._listen("127.0.0.1", inner))
                told += ["--inner-on", str(fds[-1])]
                inner += 1
            if part is Part.GATEWAY and limits:
                fds += limits
                told += ["--limits", str(limits[0])]
            children.append(Child(part, number, tuple(told), tuple(fds)))
        return children

    def _listen(self, host: str, port: int) -> int:
        from kangma.gateway.front.listening import listen  # noqa: PLC0415  only for a front door

        return self.closing.enter_context(listen(host, port)).fileno()

    def _told(self) -> list[str]:
        said = ["--host", self.host, "--workers", str(self.workers)]
        for option, given in (("--name", self.names), ("--proxy", self.proxies)):
            for value in given:
                said += [option, value]
        said += [] if self.read_port is None else ["--read-port", str(self.read_port)]
        return [*said, *(["--https"] if self.secure else [])]

    def doorway(self, of: Part) -> Doorway:
        """The same for one part, in its own process."""
        from kangma.gateway.front.serving import Doorway  # noqa: PLC0415  FastAPI takes a second to load

        port = self.read_port if of is Part.READER else self.port
        if self.on is None and port is None:
            raise Refused(Code.BAD_VALUE, hint=f"--{'read-' if of is Part.READER else ''}port is missing")
        on = self._listen(self.host, port or 0) if self.on is None else self.on
        inner_on = self.inner_on
        if inner_on is None and self.inner is not None:
            inner_on = self._listen("127.0.0.1", self.inner)
        return Doorway(
            listening=socket.socket(fileno=os.dup(on)),
            hosts=(*self.names, self.host),
            inner=None if inner_on is None else socket.socket(fileno=os.dup(inner_on)),
            proxies=tuple(self.proxies),
            secure=self.secure,
            workers=self.workers,
            limits=self.limits,
        )


#: Seconds before a part that died is started again, doubled each time it dies at once.
SOON, LATE = 0.5, 30.0
STANDS = 60  # seconds for which a release stands when nothing happens; the next one is a sign of life
LOOKS = 0.1  # seconds between two looks for a new release or a new resident
SEALED_LOOKS = 0.5  # seconds between two looks whether a part of sealed slots is due
HOOK_LOOKS = 0.5  # seconds between two looks for what partners are to be told


def serve(
    directory: StateDir,
    every: Annotated[
        float, typer.Option("--every", min=0.1, help="Seconds from one cycle to the next.")
    ] = 10.0,
    stands: Annotated[
        int,
        typer.Option("--stands", min=0, help="Seconds for which a release stands when nothing happens."),
    ] = STANDS,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65_535, help="Open the front door: pages and API on this port."),
    ] = None,
    read_port: Annotated[
        int | None,
        typer.Option(
            "--read-port",
            min=1,
            max=65_535,
            help="The public folder and the pages in a process of their own, on this port instead of --port.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, help="How many processes answer on --port.")
    ] = 1,
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name", metavar="HOST", help="A host name under which it is reached; others are refused."
        ),
    ] = None,
    inner: Annotated[
        int | None,
        typer.Option(
            "--inner-port",
            min=1,
            max=65_535,
            help="Health and metrics, on this machine only; each further process has the next port.",
        ),
    ] = None,
    proxies: Annotated[
        list[str] | None,
        typer.Option(
            "--proxy",
            metavar="ADDRESS",
            help="A proxy of ours, or their network: it says where requests come from.",
        ),
    ] = None,
    secure: Annotated[
        bool,
        typer.Option("--https", help="The proxy in front speaks https: browsers are told to stay with it."),
    ] = False,
    sealed_every: Annotated[
        float,
        typer.Option("--sealed-every", min=1, help="Seconds after which every sealed slot is written anew."),
    ] = EVERY,
    only: Annotated[
        Part | None, typer.Option("--only", help="One part, in this process: what the supervisor starts.")
    ] = None,
    under: Annotated[
        int | None,
        typer.Option("--under", hidden=True, help="The supervisor's process: with it this part ends."),
    ] = None,
    on: Annotated[int | None, typer.Option("--on", hidden=True, help="A socket that listens.")] = None,
    inner_on: Annotated[
        int | None, typer.Option("--inner-on", hidden=True, help="The same for health and metrics.")
    ] = None,
    limits: Annotated[
        int | None, typer.Option("--limits", hidden=True, help="Memory in which the workers count together.")
    ] = None,
) -> None:
    """Run the city: a signer behind a socket, and a cycle every few seconds.

    With --port it opens its front door, for residents, doors, sources and partners: docs/gateway.md. With --read-port
    what is public has a process and a port of its own, so that a flood on one leaves the other standing; a web
    server puts the two under one address: deploy/.

    What dies is started again; SIGTERM or Ctrl-C stops everything once what was begun is done. The signer is a process
    of its own, and the only one that reads a private key. The front door answers for localhost and every --name.
    """
    stopping = _until_told()
    if under is not None:
        threading.Thread(target=_watch, args=(under, stopping), daemon=True).start()
    door = Door(
        port,
        host,
        names or (),
        inner,
        proxies or (),
        secure,
        read_port,
        workers,
        on,
        inner_on,
        limits,
        sealed_every,
    )
    match only:
        case Part.SIGNER:
            _signer(directory, stopping)
        case Part.CYCLE:
            _cycles(directory, every, stands, stopping)
        case Part.ANSWERS:
            _answers(directory, stopping)
        case Part.SLOTS:
            _slots(directory, sealed_every, stopping)
        case Part.HOOKS:
            _hooks(directory, stopping)
        case Part.GATEWAY:
            _gateway(directory, door, stopping)
        case Part.READER:
            _reader(directory, door, stopping)
        case None:
            if port is None and read_port is not None:
                raise Refused(Code.BAD_VALUE, hint="--read-port goes with --port")
            open_state(directory).close()  # refused before anything is started
            _supervise(directory, every, stopping, door, stands)


def run(directory: Path, port: int, *, every: float = 10.0) -> None:
    """Runs the city with its front door until SIGTERM or Ctrl-C."""
    _supervise(directory, every, _until_told(), Door(port), STANDS)


def _until_told() -> threading.Event:
    """Set with SIGTERM or Ctrl-C."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def _watch(supervisor: int, stopping: threading.Event) -> None:
    """A part whose supervisor was killed stops by itself: the next supervisor finds signer, lease and port free."""
    while os.getppid() == supervisor:
        if stopping.wait(0.2):
            return  # it is stopping, and need not be told
    os.kill(os.getpid(), signal.SIGTERM)


def _signer(directory: Path, stopping: threading.Event) -> None:
    has_keys(directory, now=wall_clock())
    with LocalSigner(directory) as signer:
        answer(
            signer,
            directory / "signer" / SOCKET,
            clock=wall_clock,
            stopping=stopping.is_set,
            ready=lambda: _say("signer", "ready"),
        )


def _cycles(directory: Path, every: float, stands: int, stopping: threading.Event) -> None:
    signer = RemoteSigner(directory / "signer" / SOCKET)
    with open_state(directory) as state:
        while not stopping.is_set():
            try:
                done = cycle_if_due(state, now=wall_clock(), signer=signer, stands=stands)
                if done and (done.turns.num_rows or sum(done.absorbed.rows.values())):
                    _say("cycle", f"release {done.release.number}: {done.turns.num_rows:,} codes turned")
            except (Unavailable, Conflict, Refused) as problem:  # later, or when the clock has caught up
                _say("cycle", str(problem))
            stopping.wait(every)


def _answers(directory: Path, stopping: threading.Event) -> None:
    from kangma.publish.prepared import Answers  # noqa: PLC0415  only this part needs it
    from kangma.store.front import FrontStore, prepare  # noqa: PLC0415  as above

    with (
        open_state(directory) as state,
        FrontStore(prepare(directory)) as store,
        Answers(state, store) as answers,
    ):
        while not stopping.is_set():
            try:
                answers.turn()
            except (Unavailable, Conflict) as problem:
                _say("answers", str(problem))
            stopping.wait(LOOKS)


def _slots(directory: Path, every: float, stopping: threading.Event) -> None:
    from kangma.publish.sealing import Sealing  # noqa: PLC0415  only this part needs it
    from kangma.store.front import FrontStore, prepare  # noqa: PLC0415  as above

    name = city_name(directory)
    if name is None:
        raise Unavailable("this directory names no city that publishes")
    os.nice(10)  # a code that is shown, and the cycle, come first
    signer = RemoteSigner(directory / "signer" / SOCKET)
    with FrontStore(prepare(directory)) as store:
        sealing = Sealing(directory / "public", store, signer, name, every=every, clock=wall_clock)
        while not stopping.is_set():
            try:
                busy = sealing.turn()
            except (Unavailable, Conflict) as problem:
                _say("slots", str(problem))
                busy = False
            stopping.wait(0 if busy else SEALED_LOOKS)


def _hooks(directory: Path, stopping: threading.Event) -> None:
    from kangma.gateway.front.clients.hooks import Hooks  # noqa: PLC0415  only this part needs it
    from kangma.store.front import FrontStore, prepare  # noqa: PLC0415  as above

    name = city_name(directory)
    if name is None:
        raise Unavailable("this directory names no city that publishes")
    with (
        open_state(directory) as state,
        FrontStore(prepare(directory)) as store,
        Hooks(state, store, zone(name.zone), clock=wall_clock, say=lambda what: _say("hooks", what)) as hooks,
    ):
        while not stopping.is_set():
            try:
                hooks.turn()
            except (Unavailable, Conflict) as problem:
                _say("hooks", str(problem))
            hooks.wait(HOOK_LOOKS)


def _gateway(directory: Path, door: Door, stopping: threading.Event) -> None:
    from kangma.gateway.front.app import Plane  # noqa: PLC0415  FastAPI takes a second to load
    from kangma.gateway.front.serving import serve as serve_front  # noqa: PLC0415  as above

    serve_front(
        directory,
        door.doorway(Part.GATEWAY),
        plane=Plane.WHOLE if door.read_port is None else Plane.WRITE,
        clock=wall_clock,
        say=lambda what: _say("gateway", what),
        told=stopping.is_set,
    )


def _reader(directory: Path, door: Door, stopping: threading.Event) -> None:
    from kangma.gateway.front.serving import serve_read_plane  # noqa: PLC0415  FastAPI takes a second to load

    serve_read_plane(
        directory,
        door.doorway(Part.READER),
        clock=wall_clock,
        say=lambda what: _say("reader", what),
        told=stopping.is_set,
    )


def _supervise(directory: Path, every: float, stopping: threading.Event, door: Door, stands: int) -> None:
    """Parts started, watched, started again, and stopped in the order in which they need each other."""
    with door.closing:
        inside = [Child(Part.SIGNER), Child(Part.CYCLE, told=("--stands", str(stands)))]
        children = [*inside, *door.children()]
        _keep(directory, every, stopping, children)
    _say("serve", "stopped")


def _keep(directory: Path, every: float, stopping: threading.Event, children: Sequence[Child]) -> None:
    running: dict[Child, subprocess.Popen[bytes]] = {}
    pause = dict.fromkeys(children, SOON)
    due = dict.fromkeys(children, 0.0)
    clock = threading.Event()
    waited = 0.0
    while not stopping.is_set():
        for child in children:
            process = running.get(child)
            if process is not None and process.poll() is None:
                if waited > due[child] + LATE:
                    pause[child] = SOON  # it has held for a while
                continue
            if process is not None:
                _say(child.name, f"ended with {process.returncode}; again in {pause[child]:.1f} s")
                del running[child]
                due[child], pause[child] = waited + pause[child], min(2 * pause[child], LATE)
            elif waited >= due[child]:
                running[child] = _start(directory, every, child)
        clock.wait(0.1)
        waited += 0.1
    _stop((child, running[child]) for child in reversed(children) if child in running)


def _stop(running: Iterable[tuple[Child, subprocess.Popen[bytes]]]) -> None:
    """One after the other: nobody asks the signer any more when it goes."""
    for _, process in running:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _start(directory: Path, every: float, child: Child) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kangma", "serve", str(directory), "--every", str(every)]
    command += [*child.told, "--under", str(os.getpid()), "--only", child.part]
    # A group of its own: Ctrl-C reaches the supervisor, which ends the parts one after the other.
    return subprocess.Popen(
        command,
        start_new_session=True,
        pass_fds=child.fds,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def _say(part: str, what: str) -> None:
    err.print(f"[dim]{part}[/] {plain(what)}")

"""`kangma serve`: the city at work. One supervisor, and a process for each part, so that none can do another's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kangma.cli.terminal import StateDir, err, plain, wall_clock
from kangma.errors import Conflict, Refused, Unavailable
from kangma.publish.city import city_name, has_keys
from kangma.publish.cycle import cycle_if_due
from kangma.publish.signer import LocalSigner
from kangma.publish.wire import SOCKET, RemoteSigner
from kangma.publish.wire import serve as answer
from kangma.store.state import open_state
from kangma.terms import zone


class Part(StrEnum):
    """What runs in a process of its own."""

    SIGNER = "signer"  # the only one that reads a key by which codes and lists are signed
    CYCLE = "cycle"
    ANSWERS = "answers"  # prepares what residents are shown; with --port
    HOOKS = "hooks"  # tells partners that a code turned; with --port
    GATEWAY = "gateway"  # the front door; with --port


#: What runs without a front door.
INSIDE = (Part.SIGNER, Part.CYCLE)


#: Seconds before a part that died is started again, doubled each time it dies at once.
SOON, LATE = 0.5, 30.0
STANDS = 60  # seconds for which a release stands when nothing happens; the next one is a sign of life
LOOKS = 0.1  # seconds between two looks for a new release or a new resident
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
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name", metavar="HOST", help="A host name under which it is reached; others are refused."
        ),
    ] = None,
    inner: Annotated[
        int | None,
        typer.Option("--inner-port", min=1, max=65_535, help="Health and metrics, for this machine only."),
    ] = None,
    proxies: Annotated[
        list[str] | None,
        typer.Option("--proxy", metavar="ADDRESS", help="A proxy of ours: it says where requests come from."),
    ] = None,
    secure: Annotated[
        bool,
        typer.Option("--https", help="The proxy in front speaks https: browsers are told to stay with it."),
    ] = False,
    only: Annotated[
        Part | None, typer.Option("--only", help="One part, in this process: what the supervisor starts.")
    ] = None,
    under: Annotated[
        int | None,
        typer.Option("--under", hidden=True, help="The supervisor's process: with it this part ends."),
    ] = None,
) -> None:
    """Run the city: a signer behind a socket, and a cycle every few seconds.

    With --port it opens its front door, for residents, doors, sources and partners: docs/gateway.md.

    What dies is started again; SIGTERM or Ctrl-C stops everything once what was begun is done. The signer is a process
    of its own, and the only one that reads a private key. The front door answers for localhost and every --name.
    """
    stopping = _until_told()
    if under is not None:
        threading.Thread(target=_watch, args=(under, stopping), daemon=True).start()
    match only:
        case Part.SIGNER:
            _signer(directory, stopping)
        case Part.CYCLE:
            _cycles(directory, every, stands, stopping)
        case Part.ANSWERS:
            _answers(directory, stopping)
        case Part.HOOKS:
            _hooks(directory, stopping)
        case Part.GATEWAY:
            _gateway(directory, host, port or 0, names or [], inner, proxies or [], secure)
        case None:
            open_state(directory).close()  # refused before anything is started
            more = ["--stands", str(stands)]
            more += [] if port is None else ["--host", host, "--port", str(port)]
            for option, given in (("--name", names), ("--proxy", proxies)):
                for value in given or []:
                    more += [option, value]
            more += [] if inner is None else ["--inner-port", str(inner)]
            more += ["--https"] if secure else []
            _supervise(directory, every, stopping, INSIDE if port is None else tuple(Part), more)


def run(directory: Path, port: int, *, every: float = 10.0) -> None:
    """Runs the city with its front door until SIGTERM or Ctrl-C."""
    _supervise(directory, every, _until_told(), tuple(Part), ["--port", str(port)])


def _until_told() -> threading.Event:
    """Set with SIGTERM or Ctrl-C."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def _watch(supervisor: int, stopping: threading.Event) -> None:
    """A part whose supervisor was killed stops by itself: the next supervisor finds signer and lease free."""
    while os.getppid() == supervisor:
        stopping.wait(0.2)
    stopping.set()


def _signer(directory: Path, stopping: threading.Event) -> None:
    has_keys(directory, now=wall_clock())
    with LocalSigner(directory) as signer:
        answer(
            signer,
            directory / "signer" / SOCKET,
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


def _hooks(directory: Path, stopping: threading.Event) -> None:
    from kangma.gateway.front.hooks import Hooks  # noqa: PLC0415  only this part needs it
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


def _gateway(
    directory: Path,
    host: str,
    port: int,
    names: list[str],
    inner: int | None,
    proxies: list[str],
    secure: bool,
) -> None:
    from kangma.gateway.front.serving import serve as serve_front  # noqa: PLC0415  FastAPI takes a second to load

    serve_front(
        directory,
        host=host,
        port=port,
        hosts=[*names, host],
        clock=wall_clock,
        say=lambda what: _say("gateway", what),
        inner=inner,
        proxies=proxies,
        secure=secure,
    )


def _supervise(
    directory: Path,
    every: float,
    stopping: threading.Event,
    parts: tuple[Part, ...] = INSIDE,
    more: Sequence[str] = (),
) -> None:
    """Parts started, watched, started again, and stopped in the order in which they need each other. `more`: options
    that every part is given."""
    running: dict[Part, subprocess.Popen[bytes]] = {}
    pause = dict.fromkeys(parts, SOON)
    due = dict.fromkeys(parts, 0.0)
    clock = threading.Event()
    waited = 0.0
    while not stopping.is_set():
        for part in parts:
            child = running.get(part)
            if child is not None and child.poll() is None:
                if waited > due[part] + LATE:
                    pause[part] = SOON  # it has held for a while
                continue
            if child is not None:
                _say(part, f"ended with {child.returncode}; again in {pause[part]:.1f} s")
                del running[part]
                due[part], pause[part] = waited + pause[part], min(2 * pause[part], LATE)
            elif waited >= due[part]:
                running[part] = _start(directory, every, part, more)
        clock.wait(0.1)
        waited += 0.1
    for part in reversed(parts):  # nobody asks the signer any more when it goes
        if (child := running.get(part)) is not None:
            child.send_signal(signal.SIGTERM)
            child.wait()
    _say("serve", "stopped")


def _start(directory: Path, every: float, part: Part, more: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kangma", "serve", str(directory), "--every", str(every)]
    command += [*more, "--under", str(os.getpid()), "--only", part]
    # A group of its own: Ctrl-C reaches the supervisor, which ends the parts one after the other.
    return subprocess.Popen(command, start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})


def _say(part: str, what: str) -> None:
    err.print(f"[dim]{part}[/] {plain(what)}")

"""`kangma serve`: the city at work. One supervisor, and a process for each part, so that none can do another's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kangma.cli.terminal import StateDir, err, plain, wall_clock
from kangma.errors import Conflict, Refused, Unavailable
from kangma.publish.city import has_keys
from kangma.publish.cycle import cycle
from kangma.publish.signer import LocalSigner
from kangma.publish.wire import SOCKET, RemoteSigner
from kangma.publish.wire import serve as answer
from kangma.store.state import open_state


class Part(StrEnum):
    """What runs in a process of its own."""

    SIGNER = "signer"  # the only one that reads a private key
    CYCLE = "cycle"


#: Seconds before a part that died is started again, doubled each time it dies at once.
SOON, LATE = 0.5, 30.0


def serve(
    directory: StateDir,
    every: Annotated[
        float, typer.Option("--every", min=0.1, help="Seconds from one cycle to the next.")
    ] = 10.0,
    only: Annotated[
        Part | None, typer.Option("--only", help="One part, in this process: what the supervisor starts.")
    ] = None,
    under: Annotated[
        int | None,
        typer.Option("--under", hidden=True, help="The supervisor's process: with it this part ends."),
    ] = None,
) -> None:
    """Run the city: a signer behind a socket, and a cycle every few seconds.

    What dies is started again; SIGTERM or Ctrl-C stops everything once what was begun is done. The signer is a process
    of its own, and the only one that reads a private key.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if under is not None:
        threading.Thread(target=_watch, args=(under, stopping), daemon=True).start()
    match only:
        case Part.SIGNER:
            _signer(directory, stopping)
        case Part.CYCLE:
            _cycles(directory, every, stopping)
        case None:
            open_state(directory).close()  # refused before anything is started
            _supervise(directory, every, stopping)


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


def _cycles(directory: Path, every: float, stopping: threading.Event) -> None:
    signer = RemoteSigner(directory / "signer" / SOCKET)
    with open_state(directory) as state:
        while not stopping.is_set():
            try:
                done = cycle(state, now=wall_clock(), signer=signer)
                if done.turns.num_rows or sum(done.absorbed.rows.values()):
                    _say("cycle", f"release {done.release.number}: {done.turns.num_rows:,} codes turned")
            except (Unavailable, Conflict, Refused) as problem:  # later, or when the clock has caught up
                _say("cycle", str(problem))
            stopping.wait(every)


def _supervise(directory: Path, every: float, stopping: threading.Event) -> None:
    """Parts started, watched, started again, and stopped in the order in which they need each other."""
    running: dict[Part, subprocess.Popen[bytes]] = {}
    pause = dict.fromkeys(Part, SOON)
    due = dict.fromkeys(Part, 0.0)
    clock = threading.Event()
    waited = 0.0
    while not stopping.is_set():
        for part in Part:
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
                running[part] = _start(directory, every, part)
        clock.wait(0.1)
        waited += 0.1
    for part in reversed(Part):  # nobody asks the signer any more when it goes
        if (child := running.get(part)) is not None:
            child.send_signal(signal.SIGTERM)
            child.wait()
    _say("serve", "stopped")


def _start(directory: Path, every: float, part: Part) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kangma", "serve", str(directory), "--every", str(every)]
    command += ["--under", str(os.getpid()), "--only", part]
    # A group of its own: Ctrl-C reaches the supervisor, which ends the parts one after the other.
    return subprocess.Popen(command, start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})


def _say(part: str, what: str) -> None:
    err.print(f"[dim]{part}[/] {plain(what)}")

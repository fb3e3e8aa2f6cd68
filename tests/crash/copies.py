"""What test_kill_backup kills: a backup, a restore."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from kangma.store.backup import take
from kangma.store.restore import restore
from kangma.store.state import open_state

NOW = 1_650_880_800


def take_one(path: str, to: str, keys: str, say: Connection) -> None:
    with open_state(Path(path)) as state:
        say.send("ready")
        _dies_when_told(say)
        take(state, Path(to), keys=Path(keys), now=NOW)
    say.send("done")


def restore_one(backup: str, path: str, keys: str, say: Connection) -> None:
    say.send("ready")
    _dies_when_told(say)
    restore(Path(backup), Path(path), Path(keys), reason="a test", now=NOW)
    say.send("done")


def _dies_when_told(say: Connection) -> None:
    """Goes on at a word; at `("dies", n)` it kills itself when it is about to wait for the disk for the n-th time."""
    word, sync, waits = say.recv(), os.fsync, 0

    def counted(fd: int) -> None:
        nonlocal waits
        waits += 1
        if word == ("dies", waits):
            os.kill(os.getpid(), signal.SIGKILL)
        sync(fd)

    os.fsync = counted

"""What test_kill_backup kills: a backup, a restore."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from kangma.store.backup import take
from kangma.store.restore import restore
from kangma.store.state import open_state

NOW = 1_650_880_800


def take_one(path: str, to: str, keys: str, say: Connection) -> None:
    with open_state(Path(path)) as state:
        say.send("ready")
        say.recv()
        take(state, Path(to), keys=Path(keys), now=NOW)
    say.send("done")


def restore_one(backup: str, path: str, keys: str, say: Connection) -> None:
    say.send("ready")
    say.recv()
    restore(Path(backup), Path(path), Path(keys), reason="a test", now=NOW)
    say.send("done")

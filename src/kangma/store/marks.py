"""A verifier's marks in one file: nothing that was seen is unseen by the next call.

The file is JSON: `{"root": hex of the pinned fingerprint, "marks": {name: number}}`.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from kangma.credential.marks import MarksInMemory, needless
from kangma.credential.verify import LIFE_OF_A_STATUS_LIST
from kangma.errors import Code, Refused, Where
from kangma.store.durable import write_file

_MOST_BYTES = 4_000_000


class MarksInFile(MarksInMemory):
    """`kangma.credential.marks.Marks`, durable from `keep` on. Processes may share a file: each mark of any stays."""

    def __init__(self, path: Path) -> None:
        """Raises Refused (unreadable) for a file that is damaged: forgotten marks would let everything roll back."""
        self._path = path
        self.root, marks = _read(path)
        super().__init__(marks)

    def pin(self, root: bytes) -> None:
        """From now on this root and no other. `root` is its fingerprint; `untrusted` when another one is pinned."""
        if self.root is not None and self.root != root:
            raise Refused(Code.UNTRUSTED, Where(file=str(self._path)), "another root is pinned")
        self.root = root

    def keep(self) -> None:
        """Durable on return. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            there, marks = _read(self._path)
            if there is not None:
                self.pin(there)
            for name, value in marks.items():
                self.raise_to(name, value)
            for name in needless(self.marks, LIFE_OF_A_STATUS_LIST):
                del self.marks[name]
            if (there, marks) != (self.root, self.marks):
                kept = {
                    "root": self.root.hex() if self.root else None,
                    "marks": dict(sorted(self.marks.items())),
                }
                write_file(self._path, json.dumps(kept, indent=1).encode() + b"\n", mode=0o600)
        finally:
            os.close(lock)


def _read(path: Path) -> tuple[bytes | None, dict[str, int]]:
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(_MOST_BYTES))
        root, marks = said["root"], said["marks"]
        if not all(type(n) is int and n >= 0 for n in marks.values()):
            raise ValueError
        return (None if root is None else bytes.fromhex(root)), marks
    except FileNotFoundError:
        return None, {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused(
            Code.UNREADABLE, Where(file=str(path)), "these are no marks; remove it to begin anew"
        ) from None

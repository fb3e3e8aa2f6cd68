"""The two secret keys of a state directory, each in a file that only its owner may read.

`person.key` turns document numbers into person keys; `vault.key` seals identities. They are two files so that they can
be kept on two machines: whoever holds one of them, and the databases, still holds no identity.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from kangma.errors import Conflict, Corrupt
from kangma.store.durable import fsync_folder

KEY_BYTES = 32


def make_key(path: Path) -> bytes:
    """A new random key of 32 bytes at `path` (0600), durable on return. Conflict when there is one already."""
    key = secrets.token_bytes(KEY_BYTES)
    write_secret(path, key)
    return key


def write_secret(path: Path, content: bytes) -> None:
    """`content` in a new file that only its owner may read (0600), durable on return. Conflict when there is one,
    Corrupt when the folder is open to anybody else."""
    require_owner_only(path.parent)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Conflict(f"{path.name} exists: a key is never overwritten") from None
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    fsync_folder(path.parent)


def make_key_folder(path: Path) -> None:
    """A folder that only its owner may enter (0700)."""
    path.mkdir(mode=0o700)


def read_key(path: Path) -> bytes:
    """The key in a file. Corrupt as `read_secret`, and when the file is of another length."""
    key = read_secret(path, most=KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise Corrupt(f"{path.name} holds {len(key)} bytes, not {KEY_BYTES}")
    return key


def read_secret(path: Path, *, most: int) -> bytes:
    """The first `most` bytes of a secret file. Corrupt when the file is absent, a link, or open to anybody else:
    a key that others could read is no key, and going on would hide that it leaked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as problem:
        raise Corrupt(f"{path.name} cannot be opened: {problem.strerror}") from None
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise Corrupt(f"{path.name} is not a plain file")
        _owner_only(facts, path.name)
        require_owner_only(path.parent)
        return os.read(fd, most)
    finally:
        os.close(fd)


def require_owner_only(folder: Path) -> None:
    """Corrupt when anybody else may enter the folder."""
    _owner_only(folder.stat(), folder.name)


def _owner_only(facts: os.stat_result, name: str) -> None:
    if facts.st_mode & 0o077:
        raise Corrupt(f"{name} is open to others ({stat.filemode(facts.st_mode)}): make it owner-only")
    if facts.st_uid != os.geteuid():
        raise Corrupt(f"{name} belongs to another user")

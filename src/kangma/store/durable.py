"""Making bytes survive: every file of a state directory becomes visible by one of these few moves.

The order is always: write under a temporary name, fsync the file, rename, fsync the folder. A crash before the rename
leaves a temporary file that nobody reads; a crash after it leaves the whole file. Nothing is edited in place.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kangma.errors import Conflict, Corrupt, Unavailable

# Not now, but perhaps later: a full disk, too many open files, a disk that is just being remounted.
Buffer = bytes | bytearray | memoryview | Any  # whatever has the buffer protocol: NumPy arrays, Arrow buffers
_LATER = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EAGAIN}


@contextlib.contextmanager
def unavailable_when_the_disk_is() -> Iterator[None]:
    """A full or read-only disk becomes Unavailable, a failing one Corrupt: after an error of fsync nobody knows what it
    holds, so we stop and the next opening believes only what it can read. Other errors pass as they are."""
    try:
        yield
    except OSError as problem:
        if problem.errno in _LATER:
            raise Unavailable(f"the state's disk refuses to write: {os.strerror(problem.errno)}") from problem
        if problem.errno == errno.EIO:
            raise Corrupt("the state's disk fails") from problem
        raise


def fsync_file(path: Path) -> None:
    """The file's bytes and size are on the disk when this returns. An error of fsync is raised, never retried:
    after one the kernel may have dropped the dirty pages, and a second call would lie."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


#: Files and folders that one call waits for at the same time.
AT_ONCE = 8


def fsync_all(paths: Sequence[Path]) -> None:
    """The bytes of all these files, and the names in those that are folders, are on the disk when this returns. An error
    of any is raised. They are waited for together, because a file system writes its journal once for all who wait."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(fsync_file, paths))


def fsync_folder(path: Path) -> None:
    """The names in a folder are on the disk when this returns."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def publish_file(temporary: Path, final: Path) -> None:
    """`temporary` becomes `final`, durable on return. Both lie on one file system."""
    fsync_file(temporary)
    temporary.rename(final)
    fsync_folder(final.parent)


def write_file(path: Path, content: Buffer, *, mode: int = 0o644) -> None:
    """`path` holds exactly `content`, durable on return; a reader sees the old content or the new, never a mix."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident():x}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        view = memoryview(content).cast("B")
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.rename(path)
    fsync_folder(path.parent)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class WriterLock:
    """One writer of a state directory at a time, among threads and processes of this machine.

    An flock: it dies with its holder, so that a killed writer leaves nothing to clean. Re-entrant in a thread.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._thread = path, threading.RLock()
        self._depth, self._fd = 0, -1

    @contextlib.contextmanager
    def hold(self, *, wait: float = 600.0) -> Iterator[None]:
        """Holds the lock for the block. Unavailable when somebody else keeps it for `wait` seconds."""
        if not self._thread.acquire(timeout=wait):
            raise Unavailable("another thread is writing to this state directory")
        try:
            if self._depth == 0:
                self._fd = self._take(wait)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    os.close(self._fd)
        finally:
            self._thread.release()

    def _take(self, wait: float) -> int:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        pause, waited = threading.Event(), 0.0
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            except BlockingIOError:
                if waited >= wait:
                    os.close(fd)
                    raise Unavailable("another program is writing to this state directory") from None
                pause.wait(0.02)
                waited += 0.02


class Claim:
    """A folder that belongs to a living program: removed when it is done, and by a sweep once its owner is dead."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _claims_stand_still(folder.parent):
            folder.mkdir(mode=0o700)
            self._fd = os.open(folder / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)

    def release(self) -> None:
        with _claims_stand_still(self.folder.parent):
            remove_folder(self.folder)
        os.close(self._fd)


def sweep_claims(parent: Path) -> int:
    """Claimed folders whose programs are dead are gone; how many. No claim begins or ends meanwhile: one that has no
    owner yet, or none any more, is not somebody's who died."""
    with _claims_stand_still(parent):
        dead = [folder for folder in parent.iterdir() if not is_claimed(folder)]
        for folder in dead:
            remove_folder(folder)
    return len(dead)


@contextlib.contextmanager
def _claims_stand_still(parent: Path) -> Iterator[None]:
    fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)  # a child that was forked meanwhile must not keep it
        os.close(fd)


def is_claimed(folder: Path) -> bool:
    """Whether the program that made this claimed folder still lives."""
    try:
        fd = os.open(folder / "owner", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def remove_folder(folder: Path) -> None:
    """A folder with everything in it is gone; the `owner` file of a claim goes last."""
    for child in sorted(folder.iterdir(), key=lambda p: p.name == "owner"):
        if child.is_dir() and not child.is_symlink():
            remove_folder(child)
        else:
            child.unlink(missing_ok=True)
    folder.rmdir()


def require_empty(path: Path) -> None:
    """Conflict when `path` exists and holds something."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise Conflict(f"{path.name} exists and is not an empty folder")

"""The worker: reads hostile bytes in a process of its own, where nothing but its own life is at stake.

A nursery is spawned with nothing of ours but one socket: it imports the readers, sees neither a key nor a hostile byte,
and forks a worker whenever it is asked to, which takes milliseconds where a new interpreter takes a second.
A worker has one socket and one open file; it may not write files, dump core, or take more memory and CPU than it was
given. Frames on the socket, each a kind (1 byte), a length (8 bytes, little-endian) and so many bytes:
to the worker   R  a request: JSON, the file to read beside it as a descriptor
from the worker M  JSON that goes before a batch: its kind, counts, columns and refusals
                A  the batch's accepted rows, an Arrow IPC stream
                S  its secrets, an Arrow IPC stream; only ever on this socket, never on a disk
                E  the end of the input
                F  the whole input is refused: JSON with code, place and hint
                X  the reader failed in a way it must not: the name of the exception, never its text
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

import pyarrow as pa

from kangma.errors import KangmaError, Refused
from kangma.intake.documents import Batch
from kangma.intake.identity import Keyer
from kangma.intake.limits import Limits

_HEAD = struct.Struct("<cQ")
_STATUS = struct.Struct("<i")
Reader = Callable[[BinaryIO, dict[str, Any], Keyer, Limits], Iterator[Batch]]


def head(kind: bytes, length: int) -> bytes:
    return _HEAD.pack(kind, length)


def send(channel: socket.socket, kind: bytes, body: bytes | memoryview | pa.Buffer) -> None:
    view = memoryview(body)
    channel.sendall(head(kind, view.nbytes))
    channel.sendall(view)


def receive(channel: socket.socket, most: int) -> tuple[bytes, bytearray] | None:
    """One frame, None at the end of the stream or for a frame of more than `most` bytes."""
    begin = _exactly(channel, _HEAD.size)
    if begin is None:
        return None
    kind, length = _HEAD.unpack(begin)
    body = _exactly(channel, length) if length <= most else None
    return None if body is None else (kind, body)


def _exactly(channel: socket.socket, size: int) -> bytearray | None:
    out = bytearray(size)
    view, at = memoryview(out), 0
    while at < size:
        got = channel.recv_into(view[at:], min(size - at, 1 << 20))
        if got == 0:
            return None
        at += got
    return out


def stream(rows: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    return sink.getvalue()


def nursery(fd: int, reader: str) -> None:
    """Forks a worker for each socket that comes over the socket `fd` and answers with its process id; a frame without
    a socket asks how the last worker ended. Ends with its parent."""
    channel = socket.socket(fileno=fd)
    module, _, name = reader.partition(":")
    read = cast(Reader, getattr(importlib.import_module(module), name))
    # What importing has made is never garbage: forked workers then share its pages.
    gc.freeze()
    worker = 0
    while True:
        message, given, _, _ = socket.recv_fds(channel, 1, 1)
        if not message:
            os._exit(0)
        if given:
            worker = os.fork()
            if worker == 0:
                channel.close()
                try:
                    work(given[0], read)
                finally:
                    os._exit(0)
            os.close(given[0])
            channel.sendall(_STATUS.pack(worker))
        else:
            _, status = os.waitpid(worker, 0)
            channel.sendall(_STATUS.pack(os.waitstatus_to_exitcode(status)))


def work(fd: int, read: Reader) -> None:
    """Serves requests on the socket `fd` until it closes. The first frame carries the keys and limits."""
    channel = socket.socket(fileno=fd)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    hello = receive(channel, 1 << 20)
    if hello is None:
        return
    setting = json.loads(hello[1])
    keyer = Keyer(bytes.fromhex(setting["key"]))
    limits = Limits(**setting["limits"])
    _, before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_mapped() + setting["memory"], before))
    del hello, setting
    while True:
        message, given, _, _ = socket.recv_fds(channel, _HEAD.size, 1)
        if len(message) < _HEAD.size:
            return
        _, length = _HEAD.unpack(message)
        body = _exactly(channel, length)
        if body is None or not given:
            return
        request = json.loads(body)
        _allow_cpu(request["cpu"])
        with open(given[0], "rb", buffering=0) as file:  # noqa: PTH123  # a descriptor, not a path
            source = cast(BinaryIO, _Ranges(file, request["ranges"]))
            _answer(channel, read, source, request, keyer=keyer, limits=limits)


def _answer(
    channel: socket.socket,
    read: Reader,
    source: BinaryIO,
    request: dict[str, Any],
    *,
    keyer: Keyer,
    limits: Limits,
) -> None:
    try:
        for batch in read(source, request, keyer, limits):
            refused = [[x.row, x.line, x.column, x.path, str(x.code), x.hint, x.raw] for x in batch.refused]
            about = {
                "kind": batch.kind,
                "received": batch.received,
                "columns": batch.columns,
                "refused": refused,
            }
            send(channel, b"M", json.dumps(about).encode())
            send(channel, b"A", stream(batch.accepted))
            if batch.secrets is not None and batch.secrets.num_rows:
                send(channel, b"S", stream(batch.secrets))
        send(channel, b"E", b"")
    except Refused as problem:
        where = problem.where
        about = {"code": str(problem.code), "line": where.line, "column": where.column}
        send(channel, b"F", json.dumps({**about, "path": where.path, "hint": problem.hint}).encode())
    except MemoryError:
        os._exit(9)  # as if the system had killed us: what is left of this process is not worth keeping
    except (KangmaError, Exception) as problem:
        send(channel, b"X", type(problem).__name__.encode())


def _allow_cpu(seconds: int) -> None:
    """So much CPU time from now on; then the system kills this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, most))


def _mapped() -> int:
    """Bytes of address space that this process has already: libraries and pools, before anything hostile."""
    with open("/proc/self/statm", "rb") as f:  # noqa: PTH123
        return int(f.read().split()[0]) * resource.getpagesize()


class _Ranges(io.RawIOBase):
    """Stretches [start, end) of a file, one after another, as one file that can be read and sought."""

    def __init__(self, file: BinaryIO, ranges: list[list[int]]) -> None:
        self._fd, self._at = file.fileno(), 0
        self._ranges = ranges
        self._size = sum(end - start for start, end in ranges)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view, begin = memoryview(buffer).cast("B"), 0
        for start, end in self._ranges:
            if self._at < begin + (end - start):
                inside = self._at - begin
                got = os.preadv(self._fd, [view[: end - start - inside]], start + inside)
                self._at += got
                return got
            begin += end - start
        return 0

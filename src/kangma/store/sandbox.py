"""Reading hostile files at arm's length: the reader runs in a worker process that may die, and we go on.

A worker comes from a nursery that was spawned, not forked, from us: it inherits no key, database or thread of ours. The
system holds it to its memory and CPU time, and it is used for one file after another until it dies or is old.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from kangma.errors import Code, Refused, Unavailable, Where
from kangma.intake.documents import Batch, Refusal
from kangma.intake.kinds import KINDS
from kangma.intake.limits import Limits
from kangma.store import worker

READER = "kangma.store.forms:read"
_FRAME = 1 << 30  # bytes; a batch is bounded by the limits, this only by reason


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a worker may take, and when it is replaced."""

    memory: int = (
        2 << 30
    )  # bytes of address space beyond what the libraries map: bombs that our own limits miss
    cpu_seconds: int = 20  # a file, whatever its size: input on which a reader never ends
    cpu_seconds_per_mib: float = 2.0  # and so much more for each MiB; an honest CSV takes 0.05
    silence: float = 900.0  # seconds without a frame: a worker that sleeps
    files: int = 500  # then a new worker: what little a reader leaks ends with it


DEFAULT = Bounds()


class Broken(Exception):  # an event between receive and sandbox; it leaves neither
    """The worker died, or its reader failed in a way no reader may, on this input. `why` is safe to tell."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class Sandbox:
    """A worker for hostile files, spawned when first needed. A context; serves one thread."""

    def __init__(self, key: bytes, limits: Limits, bounds: Bounds = DEFAULT, *, reader: str = READER) -> None:
        """`reader` names the function that runs in the worker, as `module:function`."""
        self.limits, self.bounds = limits, bounds
        self._reader = reader
        self._hello = json.dumps(
            {"key": key.hex(), "limits": asdict(limits), "memory": bounds.memory}
        ).encode()
        self._process: subprocess.Popen[bytes] | None = None
        self._nursery: socket.socket | None = None
        self._worker = 0
        self._channel: socket.socket | None = None
        self._read = 0

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def read(self, fd: int, request: dict[str, Any], ranges: Sequence[tuple[int, int]]) -> Iterator[Batch]:
        """The batches of these stretches of an open file. Raises Refused for an input refused whole, Broken when it
        broke the worker: what was yielded before then must not count."""
        size = sum(end - start for start, end in ranges)
        cpu = self.bounds.cpu_seconds + int(self.bounds.cpu_seconds_per_mib * size / (1 << 20))
        content = json.dumps({**request, "ranges": [list(x) for x in ranges], "cpu": cpu}).encode()
        ended = False
        try:
            channel = self._ready()
            head = worker.head(b"R", len(content))
            socket.send_fds(channel, [head], [fd])
            channel.sendall(content)
            about: dict[str, Any] | None = None
            rows: pa.RecordBatch | None = None
            while True:
                frame = worker.receive(channel, _FRAME)
                if frame is None:
                    raise Broken(self._how_it_died())
                kind, body = frame
                if about is not None and kind in b"MEF" and rows is not None:
                    yield _batch(about, rows, None)
                    about = rows = None
                if kind == b"M":
                    about = json.loads(body)
                elif kind == b"A":
                    rows = _rows(body)
                elif kind == b"S" and about is not None and rows is not None:
                    yield _batch(about, rows, _rows(body))
                    about = rows = None
                elif kind == b"E":
                    ended = True
                    return
                elif kind == b"F":
                    ended = True
                    told = json.loads(body)
                    where = Where(line=told["line"], column=told["column"], path=told["path"])
                    raise Refused(Code(told["code"]), where, told["hint"])
                else:
                    ended = kind == b"X"  # an exception leaves the worker fit for the next input
                    raise Broken(body.decode() if ended else "a frame that no worker sends")
        except TimeoutError:
            raise Broken("the worker fell silent") from None
        except (ConnectionError, pa.ArrowInvalid):
            raise Broken(self._how_it_died()) from None
        finally:
            self._read += 1
            # A caller that stopped half way leaves frames in the socket: that worker is of no use any more.
            if not ended or self._read >= self.bounds.files:
                self._end()

    def _ready(self) -> socket.socket:
        if self._channel is not None:
            return self._channel
        ours, theirs = socket.socketpair()
        try:
            nursery = self._nursery or self._start()
            socket.send_fds(nursery, [b"W"], [theirs.fileno()])
            self._worker = _status(nursery)
        except OSError as problem:
            ours.close()
            raise Unavailable("no worker can be started now") from problem
        finally:
            theirs.close()
        ours.settimeout(self.bounds.silence)
        worker.send(ours, b"R", self._hello)
        self._channel, self._read = ours, 0
        return ours

    def _start(self) -> socket.socket:
        environment = {
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            # One thread and the plain allocator: pools would reserve address space that the limit must not count.
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "ARROW_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        ours, theirs = socket.socketpair()
        program = f"from kangma.store.worker import nursery; nursery({theirs.fileno()}, {self._reader!r})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # a traceback would carry what was sent
        )
        theirs.close()
        self._nursery = ours
        return ours

    def _how_it_died(self) -> str:
        code = self._end()
        return f"the worker died of signal {-code}" if code < 0 else f"the worker ended with {code}"

    def _end(self) -> int:
        """The worker is gone; how it ended: minus a signal, or an exit status."""
        if self._channel is None or self._nursery is None:
            return 0
        self._channel.close()
        self._channel = None
        # It may be ending by itself just now, of its own cause: the signal is for one that does not.
        self._nursery.settimeout(1.0)
        try:
            self._nursery.sendall(b"S")
            return _status(self._nursery)
        except TimeoutError:
            self._nursery.settimeout(None)
            os.kill(
                self._worker, signal.SIGKILL
            )  # not reaped before it is asked for: the number is still its own
            return _status(self._nursery)
        finally:
            self._nursery.settimeout(None)

    def _close(self) -> None:
        self._end()
        if self._nursery is not None and self._process is not None:
            self._nursery.close()
            self._process.wait()
            self._nursery = self._process = None


def _status(nursery: socket.socket) -> int:
    """The number with which the nursery answers. Unavailable when it is gone."""
    answer = nursery.recv(4, socket.MSG_WAITALL)
    if len(answer) < 4:
        raise Unavailable("no worker can be started now")
    return int.from_bytes(answer, "little", signed=True)


def _rows(body: bytearray) -> pa.RecordBatch:
    with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
        rows = stream.read_next_batch()
    # The worker has looked at hostile bytes: offsets and lengths are checked before we follow them.
    rows.validate(full=True)
    return rows


def _batch(about: dict[str, Any], rows: pa.RecordBatch, secrets: pa.RecordBatch | None) -> Batch:
    if about["kind"] not in KINDS:
        raise Broken("a batch of no kind")
    refused = tuple(
        Refusal(row, line, column, path, Code(code), hint, raw)
        for row, line, column, path, code, hint, raw in about["refused"]
    )
    if about["received"] != rows.num_rows + len(refused):
        raise Broken("a batch that does not keep its counts")
    return Batch(about["kind"], rows, secrets, refused, about["received"], tuple(about["columns"]))

"""The signer behind a socket: a process of its own, so that whoever can write into the databases or turns the wheel has
no key in memory. `serve` answers, `RemoteSigner` asks; what travels is in docs/formats/publication.md.

A message is a line of JSON and what it announces: `{"call" | "ok" | "error": …, "table": n, "files": [[path, n], …]}`
followed by the table as an Arrow stream and the files' bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from io import BufferedRWPair
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from kangma.credential.claims import Kind
from kangma.errors import Code, Conflict, Corrupt, KangmaError, Refused, Unavailable
from kangma.publish.issue import Proposal
from kangma.publish.signer import Described, LocalSigner, Order
from kangma.store.releases import Head
from kangma.terms import Moment

#: Where the signer of a state directory listens, in its folder `signer/`.
SOCKET = "socket"
Stream: TypeAlias = "BufferedRWPair[Any, Any]"
MOST_LINE = 1 << 24
WAIT = 120.0  # seconds: a midnight at which everybody turns is signed in less
PATIENCE = 10.0  # seconds that a caller may say nothing while others wait
#: Seconds that a caller's moment may be ahead of the signer's own clock. Ceilings are so many an hour and a minute:
#: whoever may say what time it is could have an hour's worth signed in every call.
AHEAD = 5


class RemoteSigner:
    """A `ReleaseSigner` that asks the process behind a socket. Unavailable while nobody answers there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def describe(self) -> Described:
        said, _ = self._ask({"call": "describe"})
        trust = (said["trust"][0], said["trust"][1])
        return Described(said["number"], _head(said["head"]), said["journal"], said["sealed"], trust)

    def propose(self, proposal: Proposal) -> Head:
        said, _ = self._ask({"call": "propose", "proposal": _told(proposal)}, _table(proposal))
        return _head(said["head"])

    def publish(self, proposal: Proposal, head: Head) -> dict[str, bytes]:
        call = {"call": "publish", "proposal": _told(proposal), "head": [head.size, head.root.hex()]}
        return self._ask(call, _table(proposal))[1]

    def credentials(self, orders: Sequence[Order], *, now: Moment) -> list[bytes]:
        told = [
            [o.person, int(o.kind), o.mask, o.day, None if o.holder is None else o.holder.hex(), o.again]
            for o in orders
        ]
        return list(self._ask({"call": "credentials", "orders": told, "now": now})[1].values())

    def withdraw(self, person: int, *, now: Moment) -> int:
        return int(self._ask({"call": "withdraw", "person": person, "now": now})[0]["places"])

    def sealed(self, path: str, root: bytes, release: int, *, ttl: int, now: Moment) -> bytes:
        call = {
            "call": "sealed",
            "path": path,
            "root": root.hex(),
            "release": release,
            "ttl": ttl,
            "now": now,
        }
        return self._ask(call)[1]["statement"]

    def _ask(
        self, call: Mapping[str, Any], table: pa.Table | None = None
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        try:
            with socket.socket(socket.AF_UNIX) as on:
                on.settimeout(WAIT)
                on.connect(str(self._path))
                with on.makefile("rwb") as stream:
                    _send(stream, call, table)
                    said, _, files = _receive(stream)
        except (OSError, ValueError, EOFError) as problem:
            raise Unavailable("the signer does not answer") from problem
        if "error" in said:
            raise _raised(said)
        return said["ok"], files


def serve(
    signer: LocalSigner,
    path: Path,
    *,
    clock: Callable[[], Moment],
    stopping: Callable[[], bool],
    ready: Callable[[], None],
) -> None:
    """Answers at `path` until `stopping()`; one call after the other. Only programs of this user are answered, and
    nothing is signed as of a moment that by `clock` has not come yet."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        before = os.umask(0o177)  # 0600 from the first moment on
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        listening.listen(16)
        listening.settimeout(0.2)
        ready()
        while not stopping():
            try:
                connected, _ = listening.accept()
            except TimeoutError:
                continue
            with connected:
                connected.settimeout(PATIENCE)
                if _is_ours(connected):
                    _answer(signer, connected, clock)
    path.unlink(missing_ok=True)


def _is_ours(connected: socket.socket) -> bool:
    """Whether the other end runs as this user, or as root (SO_PEERCRED of Linux)."""
    said = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", said)[1] in (os.geteuid(), 0)


def _answer(signer: LocalSigner, connected: socket.socket, clock: Callable[[], Moment]) -> None:
    """One call. Nothing that arrives here, and nobody who goes away, ends the signer."""
    with contextlib.suppress(OSError), connected.makefile("rwb") as stream:  # the caller is gone
        try:
            call, table, _ = _receive(stream)
        except Exception:
            return  # no call of ours
        files: Mapping[str, bytes] = {}
        try:
            _has_come(call, clock())
            ok, files = _done(signer, call, table)
            answer = {"ok": ok}
        except KangmaError as problem:
            code = str(problem.code) if isinstance(problem, Refused) else None
            answer = {"error": type(problem).__name__, "code": code, "why": str(problem)}
        except Exception as problem:
            answer = {
                "error": "Unavailable",
                "code": None,
                "why": f"the signer could not do it: {type(problem).__name__}",
            }
        _send(stream, answer, files=files)


def _has_come(call: Mapping[str, Any], clock: Moment) -> None:
    """Refused (bad_time) when the moment that a call names lies ahead of our own clock."""
    said = call.get("proposal", call).get("now", 0)
    if said > clock + AHEAD:
        raise Refused(Code.BAD_TIME, hint="the signer's clock has not come to that moment")


def _done(
    signer: LocalSigner, call: dict[str, Any], table: pa.Table | None
) -> tuple[Any, Mapping[str, bytes]]:
    match call["call"]:
        case "describe":
            is_ = signer.describe()
            about = {
                "number": is_.number,
                "journal": is_.journal,
                "sealed": is_.sealed,
                "trust": list(is_.trust),
            }
            return about | {"head": [is_.head.size, is_.head.root.hex()]}, {}
        case "propose":
            head = signer.propose(_proposal(call["proposal"], table))
            return {"head": [head.size, head.root.hex()]}, {}
        case "publish":
            return {}, signer.publish(_proposal(call["proposal"], table), _head(call["head"]))
        case "credentials":
            orders = [
                Order(person, Kind(kind), mask, day, None if holder is None else bytes.fromhex(holder), again)
                for person, kind, mask, day, holder, again in call["orders"]
            ]
            made = signer.credentials(orders, now=call["now"])
            return {}, {str(i): content for i, content in enumerate(made)}
        case "withdraw":
            return {"places": signer.withdraw(call["person"], now=call["now"])}, {}
        case "sealed":
            said = signer.sealed(
                call["path"], bytes.fromhex(call["root"]), call["release"], ttl=call["ttl"], now=call["now"]
            )
            return {}, {"statement": said}
    raise ValueError("no such call")


def _told(proposal: Proposal) -> dict[str, Any]:
    return {
        "number": proposal.number,
        "now": proposal.now,
        "zone": proposal.zone,
        "persons": proposal.persons,
        "facts": dict(proposal.facts),
        "policies": proposal.policies,
        "deletions": [[run, at, dict(counts)] for run, at, counts in proposal.deletions],
        "trust": proposal.trust,
        "journal": proposal.journal,
    }


def _table(proposal: Proposal) -> pa.Table:
    keys = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(proposal.keys), [None, pa.py_buffer(np.ascontiguousarray(proposal.keys))]
    )
    return proposal.turns.append_column("key", keys)


def _proposal(told: dict[str, Any], table: pa.Table | None) -> Proposal:
    if table is None:
        raise ValueError("a proposal has turns")
    keys = table["key"].combine_chunks()
    raw = np.frombuffer(keys.buffers()[1] or b"", np.uint8)[: 16 * len(keys)].reshape(-1, 16)
    return Proposal(
        turns=table.drop_columns(["key"]),
        keys=raw,
        number=told["number"],
        now=told["now"],
        zone=told["zone"],
        persons=told["persons"],
        facts=told["facts"],
        policies=tuple((p[0], p[1], p[2], p[3]) for p in told["policies"]),
        deletions=tuple((run, at, counts) for run, at, counts in told["deletions"]),
        trust=(told["trust"][0], told["trust"][1]),
        journal=told["journal"],
    )


def _head(told: Sequence[Any]) -> Head:
    return Head(told[0], bytes.fromhex(told[1]))


def _send(
    stream: Stream,
    line: Mapping[str, Any],
    table: pa.Table | None = None,
    files: Mapping[str, bytes] | None = None,
) -> None:
    content = b""
    if table is not None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as out:
            out.write_table(table)
        content = sink.getvalue().to_pybytes()
    sizes = [[path, len(found)] for path, found in (files or {}).items()]
    stream.write(json.dumps({**line, "table": len(content), "files": sizes}).encode() + b"\n")
    stream.write(content)
    for found in (files or {}).values():
        stream.write(found)
    stream.flush()


def _receive(stream: Stream) -> tuple[dict[str, Any], pa.Table | None, dict[str, bytes]]:
    text = stream.readline(MOST_LINE)
    if not text.endswith(b"\n"):
        raise EOFError
    line: dict[str, Any] = json.loads(text)
    content = _exactly(stream, line["table"])
    table = pa.ipc.open_stream(content).read_all() if content else None
    return line, table, {path: _exactly(stream, size) for path, size in line["files"]}


def _exactly(stream: Stream, size: int) -> bytes:
    content = stream.read(size)
    if len(content) != size:
        raise EOFError
    return content


def _raised(said: Mapping[str, Any]) -> KangmaError:
    why = str(said["why"])
    match said["error"]:
        case "Refused":
            return Refused(Code(said["code"]), hint=why)
        case "Conflict":
            return Conflict(why)
        case "Corrupt":
            return Corrupt(why)
    return Unavailable(why)

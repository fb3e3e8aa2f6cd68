"""A crowd of clients in one process: it asks at a fixed rate whatever the server does (an open loop), over many
connections from many addresses of 127.0.0.0/8.

A request's time runs from the moment at which it was due, not from when it could be sent: a server that stops for a
second is late for everybody who was due in it. Who has no free connection waits (the honest) or is dropped and counted
(`impatient`: attackers bring what their connections allow).

    python bench/crowd.py < wish.json > seen.json

The wish is one JSON object, `Wish` below. Everything ends by itself at `until`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import ssl
import struct
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

PATIENCE = 5.0  # seconds that a client waits for an answer, connecting included
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: an attacker leaves without a farewell


@dataclass
class Wish:
    port: int
    begin: float  # of time.monotonic, the same for all processes of a machine
    until: float
    rate: float  # requests a second, all together
    requests: list[str]  # asked for in turn
    connections: int = 64
    sources: list[str] = field(default_factory=lambda: ["127.0.0.1"])
    fresh: int = 0  # answers after which a connection is closed and another one opened; 0: never
    impatient: bool = False
    holds: str = ""  # what a right answer has in it
    good: tuple[int, ...] = (200,)
    tls: bool = False
    hello: bool = False  # TLS: only the first message, sent anew, and gone with the first bytes of the answer
    trickle: float = 0.0  # slow: a byte of the request every so many seconds, and never all of it
    sip: float = 0.0  # slow: the answer is read a few bytes every so many seconds
    cores: list[int] = field(default_factory=list)
    nice: int = 0
    fifo: bool = False  # before all ordinary processes of its core, so that it is not itself what is late


class One:
    """One connection."""

    __slots__ = ("at", "buffer", "due", "left", "need", "sent", "sock", "source", "state", "used")

    def __init__(self, source: str) -> None:
        self.source, self.sock = source, None
        self.state, self.used, self.due, self.at = "closed", 0, 0.0, 0.0
        self.buffer, self.need, self.sent, self.left = b"", 0, 0, b""


class Crowd:
    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.poll = select.epoll()
        self.by_fd: dict[int, One] = {}
        self.requests = cycle([r.encode("latin-1") for r in wish.requests])
        self.idle: deque[One] = deque(
            One(s) for s, _ in zip(cycle(wish.sources), range(wish.connections), strict=False)
        )
        self.waiting: deque[float] = deque()
        self.seen: list[tuple[float, float, int]] = []  # due, seconds, status (0: none, -1: a wrong answer)
        self.statuses: Counter[str] = Counter()
        self.dropped = self.opened = 0
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE  # a bench's own server
        self.first = self._hello() if wish.hello else b""
        self.most = max(64, 2 * wish.connections)

    def _hello(self) -> bytes:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        side = self.context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
        return outgoing.read()

    # one connection ------------------------------------------------------------------------------------------------

    def ask(self, one: One, due: float, now: float) -> None:
        one.due, one.at, one.buffer, one.need = due, now, b"", 0
        one.left = self.first or next(self.requests)
        if one.state == "closed":
            self._open(one)
        else:
            one.state = "asking"
            self._push(one)

    def _open(self, one: One) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.wish.sip:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        if self.wish.impatient:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        one.sock, one.used = sock, 0
        self.opened += 1
        try:
            sock.bind((one.source, 0))
            sock.connect(("127.0.0.1", self.wish.port))
        except BlockingIOError:
            pass
        except OSError:
            return self._over(one, 0)
        self.by_fd[sock.fileno()] = one
        self.poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
        one.state = "connecting"

    def _close(self, one: One) -> None:
        if one.sock is not None:
            self.by_fd.pop(one.sock.fileno(), None)
            with contextlib.suppress(OSError):
                self.poll.unregister(one.sock.fileno())
            one.sock.close()
        one.sock, one.state = None, "closed"

    def _over(self, one: One, status: int, *, keep: bool = False) -> None:
        """The request is answered, or lost."""
        if one.due:
            self.seen.append((one.due, time.monotonic() - one.due, status))
            self.statuses[str(status)] += 1
        one.due, one.used = 0.0, one.used + 1
        if not keep or (self.wish.fresh and one.used >= self.wish.fresh):
            self._close(one)
        else:
            one.state = "idle"
        self.idle.append(one)

    def _connected(self, one: One) -> None:
        assert one.sock is not None
        if one.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return self._over(one, 0)
        if self.wish.tls and not self.wish.hello:
            one.sock = self.context.wrap_socket(
                one.sock, server_hostname="localhost", do_handshake_on_connect=False
            )
            one.state = "greeting"
            self.poll.modify(one.sock.fileno(), select.EPOLLIN)
            return self._greet(one)
        self.poll.modify(one.sock.fileno(), select.EPOLLIN)
        one.state = "asking"
        self._push(one)

    def _greet(self, one: One) -> None:
        try:
            one.sock.do_handshake()  # type: ignore[union-attr]  # wrapped by now
        except ssl.SSLWantReadError:
            return
        except OSError:
            return self._over(one, 0)
        one.state = "asking"
        self._push(one)

    def _push(self, one: One) -> None:
        assert one.sock is not None
        # What stands behind a zero byte is trickled.
        whole, _, rest = one.left.partition(b"\0")
        try:
            sent = one.sock.send(whole)
        except OSError:
            return self._over(one, 0)
        one.left = rest if self.wish.trickle else whole[sent:]

    def _pull(self, one: One) -> None:
        assert one.sock is not None
        try:
            got = one.sock.recv(65_536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            got = b""
        if not one.due:  # the server closes what nobody uses
            if not got:
                self._close(one)
            return
        if not got:
            return self._over(one, 0)
        if self.wish.hello:
            return self._over(one, 200)
        one.buffer += got
        if not one.need:
            end = one.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = one.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 : (head + b"\r").find(b"\r", at)]) if at >= 0 else 0
            one.need = end + 4 + length
        if len(one.buffer) >= one.need:
            status = int(one.buffer[9:12])
            right = status in self.wish.good and self.wish.holds.encode() in one.buffer
            closing = b"connection: close" in one.buffer[:1_000].lower()
            self._over(one, status if right or status not in self.wish.good else -1, keep=not closing)

    # all of them ---------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        wish = self.wish
        gap = 1.0 / wish.rate
        due, looked = wish.begin, wish.begin
        while (now := time.monotonic()) < wish.begin:
            time.sleep(min(0.01, wish.begin - now))
        slow = bool(wish.trickle or wish.sip)
        while now < wish.until + (0 if wish.impatient else PATIENCE):
            while due <= now and due < wish.until:
                if wish.impatient and len(self.waiting) >= len(self.idle):
                    self.dropped += 1
                else:
                    self.waiting.append(due)
                due += gap
            while self.waiting and self.idle:
                self.ask(self.idle.popleft(), self.waiting.popleft(), now)
            if (
                not wish.impatient
                and due >= wish.until
                and not self.waiting
                and not any(o.due for o in self.by_fd.values())
            ):
                break
            if now - looked > 0.1:
                looked = now
                self._late(now, slow)
            for fd, event in self.poll.poll(
                min(0.01, due - now) if now < due < wish.until else 0.002 if self.waiting else 0.01, 1_024
            ):
                one = self.by_fd.get(fd)
                if one is None:
                    continue
                if one.state == "connecting":
                    self._connected(one)
                elif one.state == "greeting":
                    self._greet(one)
                elif event and not wish.sip:
                    self._pull(one)
            now = time.monotonic()
        for one in list(self.by_fd.values()):
            if one.due:
                self._over(one, 0)
            self._close(one)
        if not wish.impatient:  # who never got to ask was not answered
            self.seen += [(due, now - due, 0) for due in self.waiting]
        return {
            "seen": [(round(d - wish.begin, 4), round(t, 6), s) for d, t, s in self.seen],
            "statuses": dict(self.statuses),
            "dropped": self.dropped,
            "opened": self.opened,
            "processor_s": time.process_time(),
        }

    def _late(self, now: float, slow: bool) -> None:
        for one in list(self.by_fd.values()):
            if slow and one.state == "asking":
                self._slowly(one, now)
            elif one.due and now - one.at > PATIENCE:
                self._over(one, 0)

    def _slowly(self, one: One, now: float) -> None:
        """Another byte of what is sent, or a few of what is read."""
        assert one.sock is not None
        if now - one.at < (self.wish.trickle or self.wish.sip):
            return
        one.at = now
        try:
            if self.wish.trickle:
                one.left = one.left[one.sock.send(one.left[:1]) :] or b"x"
                if not one.sock.recv(65_536):
                    self._over(one, 0)
            elif not one.sock.recv(16):
                self._over(one, 0)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self._over(one, 0)


def main() -> None:
    wish = Wish(**json.load(sys.stdin))
    if wish.cores:
        os.sched_setaffinity(0, wish.cores)
    with contextlib.suppress(PermissionError):  # not everybody may: the report says what was granted
        os.nice(wish.nice)
        if wish.fifo:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    json.dump(Crowd(wish).run(), sys.stdout)


if __name__ == "__main__":
    main()

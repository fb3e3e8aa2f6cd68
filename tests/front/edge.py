"""nginx and haproxy as `deploy/` sets them up, started on loopback with folders of the test's, by whoever runs it."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "kangma.example"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        tried = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in tried:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in tried]


def free_row(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        (first,) = free_ports(1)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, OverflowError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.mkdir()
    for file, content in (("certificate.pem", pem), ("key.pem", secret), ("site.pem", pem + secret)):
        (folder / file).write_bytes(content)


@dataclass
class Said:
    status: int
    headers: dict[str, str]
    content: bytes
    reused: bool


@dataclass
class Edge:
    """One of the two, running."""

    kind: str
    folder: Path
    port: int
    plain_port: int
    process: subprocess.Popen[bytes]
    trusted: ssl.SSLContext

    def connect(self, *, name: str = NAME, session: Any = None, context: Any = None) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        return (context or self.trusted).wrap_socket(plain, server_hostname=name, session=session)  # type: ignore[no-any-return]  # a context of the test's

    def over(self, on: socket.socket, method: str, path: str, **more: Any) -> tuple[HTTPResponse, bytes]:
        """One request on a connection that stays open."""
        asking = HTTPConnection(NAME)
        asking.sock = on
        host = more.pop("host", NAME)
        body, headers = more.get("content"), more.get("headers", {})
        asking.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        told = {"Host": host} | ({} if body is None else {"Content-Length": str(len(body))}) | headers
        for key, value in told.items():
            asking.putheader(key, value)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused while it was sent
            asking.endheaders(body)
        said = HTTPResponse(on, method=method)
        said.begin()
        return said, said.read()

    def ask(self, method: str, path: str, **more: Any) -> Said:
        with self.connect() as on:
            said, content = self.over(on, method, path, **more)
            return Said(
                said.status, {k.lower(): v for k, v in said.getheaders()}, content, bool(on.session_reused)
            )

    def logged(self) -> str:
        return "".join(f.read_text() for f in sorted((self.folder / "logs").iterdir()))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def _put(text: str, *pairs: tuple[str, str]) -> str:
    """Each of the pairs is there, so that a test cannot run on something else than what ships."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def edge(kind: str, folder: Path, public: Path, gateway: int, reader: int, inner: int) -> Iterator[Edge]:
    """`kind` in front of these ports; nothing of its configuration is changed but ports and the public folder's place."""
    program = {"nginx": "/usr/sbin/nginx", "haproxy": "/usr/sbin/haproxy"}[kind]
    folder.mkdir()
    for name in ("run", "logs"):
        (folder / name).mkdir()
    for file in DEPLOY.iterdir():
        shutil.copy(file, folder)
    certificate(folder / "tls")
    port, plain = free_ports(2)
    if kind == "nginx":
        config = folder / "nginx.conf"
        config.write_text(
            _put(
                config.read_text(),
                ("listen 443 ", f"listen 127.0.0.1:{port} "),
                ("listen 80 ", f"listen 127.0.0.1:{plain} "),
                ("server 127.0.0.1:8080 ", f"server 127.0.0.1:{gateway} "),
                ("server 127.0.0.1:8081 ", f"server 127.0.0.1:{reader} "),
                ("alias public/", f"alias {public}/"),
                ("worker_processes auto;", "worker_processes 1;"),
            )
        )
        # As whoever runs the tests: root would put its workers under a user who may not read the test's folders.
        same = "user root;" if os.getuid() == 0 else ""
        command = [program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr", "-g", f"daemon off;{same}"]
    else:
        config = folder / "haproxy.cfg"
        config.write_text(
            _put(
                config.read_text(),
                ("bind :443 ", f"bind 127.0.0.1:{port} "),
                ("maxconn 20000\n", "maxconn 200\n"),  # what may be open is little where tests run
                ("sc2_conn_rate gt 1000 ", "sc2_conn_rate gt 200 "),  # and a storm is soon one
                ("bind :80\n", f"bind 127.0.0.1:{plain}\n"),
                ("127.0.0.1:8080 check port 9090 ", f"127.0.0.1:{gateway} check port {inner} "),
                ("127.0.0.1:8081 check port 9091 ", f"127.0.0.1:{reader} check port {inner + 1} "),
            )
        )
        command = [program, "-C", str(folder), "-db", "-f", "haproxy.cfg"]
    trusted = ssl.create_default_context(cafile=str(folder / "tls" / "certificate.pem"))
    with (folder / "logs" / "terminal").open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told)
    made = Edge(kind, folder, port, plain, process, trusted)
    try:
        until(lambda: listens(port), lambda: f"{kind} did not start: {made.logged()}", process)
        yield made
    finally:
        made.stop()


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def until(
    holds: Callable[[], bool], why: Callable[[], str], process: Any = None, seconds: float = 60.0
) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert process is None or process.poll() is None, why()
        assert time.monotonic() < end, why()
        time.sleep(0.05)


@dataclass
class Echo:
    """Says 200 to everything, and keeps what it was asked: what an edge hands on."""

    port: int = 0
    asked: list[tuple[str, str, list[tuple[str, str]], int]] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)


@contextlib.contextmanager
def echo() -> Iterator[Echo]:
    made = Echo()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer is one segment: nobody waits for an acknowledgement

        def answer(self) -> None:
            size = 0
            if self.headers.get("transfer-encoding"):
                while n := int(self.rfile.readline(), 16):
                    size += len(self.rfile.read(n))
                    self.rfile.readline()
                self.rfile.readline()
            size += len(self.rfile.read(int(self.headers.get("content-length") or 0)))
            if not self.path.startswith("/health/"):
                made.connections.add(self.client_address[1])
                headers = [(k.lower(), v) for k, v in self.headers.items()]
                made.asked.append((self.command, self.path, headers, size))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"ok")

        do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = answer

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # an edge that lets a kept connection go

    with Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield made
        server.shutdown()


def start(part: str, state: Path, *options: str) -> subprocess.Popen[bytes]:
    """One part of `kangma serve`, as the supervisor starts it."""
    command = [sys.executable, "-m", "kangma", "serve", str(state), *options, "--only", part]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def addresses(text: str) -> list[str]:
    """Whatever looks like an address in a text."""
    return re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){3,7}\b", text)

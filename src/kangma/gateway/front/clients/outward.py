"""A POST to an address that somebody else chose, so that it reaches what was registered and nothing of our own.

The address is https, named whole, without log-in or fragment. Every address that its host resolves to must be a public
one, and the connection goes to the one that was looked at: a name that leads elsewhere a moment later reaches nothing.
Redirects are not followed, proxies of the environment are not asked, the answer's body is not read. Where the operator
allowed private addresses, those of our own networks are taken too, and http to this machine.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from kangma.errors import Code, Refused, Where

SECONDS = 10.0  # for all of it but looking up the name
CONNECT_SECONDS = 3.0
MOST_URL = 500
_PORTS = {"https": 443, "http": 80}
_INNER = (  # of IPv6: ways in which one address stands for another one
    ipaddress.ip_network("::/96"),
    ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"), ipaddress.ip_network("2002::/16"),
    ipaddress.ip_network("2001::/32"),
)  # fmt: skip


class Why(StrEnum):
    """Why a message was not taken. Nothing of what the other side said is in it."""

    ADDRESS = "address"  # its name is unknown, or leads where we do not go
    LINE = "line"  # nobody answers, or they stopped
    PROOF = "proof"  # TLS: not who they should be
    TIME = "time"
    ANSWER = "answer"  # another status than 2xx


@dataclass(frozen=True, slots=True)
class Target:
    """A registered address, taken apart. `url` is its canonical text."""

    url: str
    secure: bool
    host: str
    port: int
    path: str


def target(url: str, *, private: bool) -> Target:
    """Refused for an address to which nothing may be sent."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").encode("ascii").decode()
    except ValueError:
        raise _wrong("it is no address") from None
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > MOST_URL or "\\" in url:
        raise _wrong(f"up to {MOST_URL} printable ASCII characters, no space")
    if parts.scheme not in _PORTS or not host or "%" in host:
        raise _wrong("https://HOST/PATH")
    if parts.username is not None or parts.password is not None or "#" in url:
        raise _wrong("no log-in and no fragment")
    literal = _literal(host)
    if parts.scheme == "http" and not (
        private and (host == "localhost" or (literal and literal.is_loopback))
    ):
        raise _wrong("https, or http to this machine where private addresses are allowed")
    if literal is not None and not _may(literal, private):
        raise _wrong("not a public address")
    if literal is None and (host.endswith(".") or host.replace(".", "").isdigit() or host.startswith("0x")):
        raise _wrong("a host's name, or an address in its usual form")
    port = _PORTS[parts.scheme] if port is None else port
    if port == 0:
        raise _wrong("a port")
    named = f"[{host}]" if ":" in host else host
    where = named if port == _PORTS[parts.scheme] else f"{named}:{port}"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(f"{parts.scheme}://{where}{path}", parts.scheme == "https", host, port, path)


def _wrong(hint: str) -> Refused:
    return Refused(Code.BAD_VALUE, Where(path="url"), hint)


Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], list[str]]


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _may(address: Address, private: bool) -> bool:
    """Whether a connection may go there. Never to link-local ones, at which machines in a cloud get their own secrets."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _may(address.ipv4_mapped, private)
        if address.is_loopback:
            return private
        if address.scope_id is not None or address.is_site_local or any(address in n for n in _INNER):
            return False
    if address.is_multicast or address.is_unspecified or address.is_link_local:
        return False
    if address.is_global:
        return True
    return private and (address.is_private or address.is_loopback) and not address.is_reserved


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a name, as the machine's resolver has them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def post(
    to: Target,
    body: bytes,
    headers: Mapping[str, str],
    *,
    private: bool,
    seconds: float = SECONDS,
    resolve: Resolver = resolved,
    context: ssl.SSLContext | None = None,
) -> Why | None:
    """None when it was taken, with 2xx. Raises nothing for what others do."""
    try:
        addresses = [ipaddress.ip_address(a) for a in resolve(to.host, to.port)]
    except (OSError, ValueError, UnicodeError):
        return Why.ADDRESS
    if not addresses or not all(_may(a, private) for a in addresses):
        return Why.ADDRESS
    late = threading.Event()
    try:
        with _connected(addresses, to, seconds, late, context) as line:
            line.request("POST", to.path, body, dict(headers))
            status = line.getresponse().status
    except ssl.SSLCertVerificationError:
        return Why.PROOF
    except (OSError, http.client.HTTPException, ValueError) as problem:
        if late.is_set() or isinstance(problem, TimeoutError):
            return Why.TIME
        return Why.PROOF if isinstance(problem, ssl.SSLError) else Why.LINE
    return Why.TIME if late.is_set() else None if 200 <= status < 300 else Why.ANSWER


@contextlib.contextmanager
def _connected(
    addresses: list[Address],
    to: Target,
    seconds: float,
    late: threading.Event,
    context: ssl.SSLContext | None,
) -> Iterator[http.client.HTTPConnection]:
    """A connection to the first of these that answers, which ends after so many seconds whatever happens."""
    raw = _reached(addresses, to.port, min(CONNECT_SECONDS, seconds))
    cut = raw.dup()  # the same connection, whoever has taken the first socket over

    def over() -> None:
        late.set()
        with contextlib.suppress(OSError):
            cut.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, over)
    timer.daemon = True
    timer.start()
    line = http.client.HTTPConnection(to.host, to.port, timeout=seconds)
    try:
        raw.settimeout(seconds)
        line.sock = raw
        if to.secure:
            trusted = context or ssl.create_default_context()
            line.sock = trusted.wrap_socket(raw, server_hostname=to.host)
        line.auto_open = 0
        line.default_port = _PORTS["https" if to.secure else "http"]  # what its Host header leaves out
        yield line
    finally:
        timer.cancel()
        line.close()
        raw.close()
        cut.close()


def _reached(addresses: list[Address], port: int, seconds: float) -> socket.socket:
    for n, address in enumerate(addresses):
        try:
            return socket.create_connection((str(address), port), timeout=seconds)
        except OSError:
            if n == len(addresses) - 1 or n == 2:
                raise
    raise OSError

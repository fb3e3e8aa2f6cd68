"""What `deploy/` promises, asked of the Debian packages themselves: each test runs against nginx and against haproxy."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from edge import NAME, Echo, Edge, Said, addresses, echo, edge, free_ports, free_row, listens, start, until
from hamlet import NURSE, hamlet, neighbours_lists

from kangma.gateway.front.app import ROUTES
from kangma.gateway.front.pages import pages
from kangma.gateway.front.who.tokens import Tokens
from kangma.store.front import token_key

KINDS = ("nginx", "haproxy")


class Turn:
    def of(self, _: int) -> int:
        return 1


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Both planes of a real hamlet, each in its process, and a token of the nurse's."""
    if not any(shutil.which(kind, path="/usr/sbin") for kind in KINDS):
        pytest.skip("neither nginx nor haproxy is installed")
    folder = tmp_path_factory.mktemp("origin")
    with hamlet(folder) as door:
        door.bound(NURSE)
        neighbours_lists(door.path / "public")
        slot = door.city.store.slot_of(door.city.store.resident(1).person)
        token, _ = Tokens(token_key(door.path / "front"), Turn()).make(slot or 0, 1, now=int(time.time()))  # type: ignore[arg-type]  # a stand-in for the turns' file
        gateway, reader = free_ports(2)
        inner = free_row(2)
        options = ("--name", NAME, "--proxy", "127.0.0.1", "--https", "--read-port", str(reader))
        write = start("gateway", door.path, *options, "--port", str(gateway), "--inner-port", str(inner))
        read = start("reader", door.path, *options, "--inner-port", str(inner + 1))
        for port, process in ((gateway, write), (reader, read), (inner, write), (inner + 1, read)):
            until(lambda p=port: listens(p), lambda: "the origin did not start", process)  # type: ignore[misc]  # mypy cannot type a lambda with a default
        yield {
            "public": door.path / "public", "gateway": gateway, "reader": reader, "inner": inner,
            "token": token, "write": write, "read": read,
        }  # fmt: skip
        for process in (write, read):
            process.kill()
            process.wait()


def _there(kind: str) -> None:
    if shutil.which(kind, path="/usr/sbin") is None:
        pytest.skip(f"{kind} is not installed")


@pytest.fixture(scope="module", params=KINDS)
def city(
    request: pytest.FixtureRequest, origin: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    """In front of the hamlet."""
    _there(request.param)
    at = tmp_path_factory.mktemp("edge") / request.param
    with edge(
        request.param, at, origin["public"], origin["gateway"], origin["reader"], origin["inner"]
    ) as made:
        token = origin["token"]
        until(lambda: _code(made, token).status == 200, lambda: "the gateway is not taken to be ready")
        yield made


@pytest.fixture(scope="module", params=KINDS)
def tapped(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Edge, Echo]]:
    """In front of somebody who says yes to everything: who refuses then is the edge."""
    _there(request.param)
    at = tmp_path_factory.mktemp("tapped")
    (at / "public").mkdir()
    with echo() as behind:
        inner = free_row(2)
        with (
            _healthy(inner),
            _healthy(inner + 1),
            edge(request.param, at / "edge", at / "public", behind.port, behind.port, inner) as made,
        ):
            until(lambda: made.ask("GET", "/").status == 200, lambda: "not ready")
            yield made, behind


@contextmanager
def _healthy(port: int) -> Iterator[None]:
    """Answers health checks."""
    with socket.create_server(("127.0.0.1", port)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    on, _ = listening.accept()
                    with on:
                        on.recv(4096)
                        on.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield
        listening.shutdown(socket.SHUT_RDWR)


def _code(at: Edge, token: str, **headers: str) -> Said:
    return at.ask("GET", "/v1/me/code", headers={"Authorization": f"Bearer {token}", **headers})


# what the city is asked for --------------------------------------------------------------------------------------------


def test_a_resident_is_shown_the_code_and_the_page(city: Edge, origin: dict[str, Any]) -> None:
    said = _code(city, origin["token"])
    assert (said.status, said.headers["cache-control"]) == (200, "private, no-store")
    assert b'"colour"' in said.content
    page = city.ask("GET", "/")
    assert page.status == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["strict-transport-security"]
    assert city.ask("GET", "/v1/me/code").status == 401


def test_every_public_file_is_handed_out_as_the_gateway_does(city: Edge, origin: dict[str, Any]) -> None:
    """Whoever hands it out: the same bytes, type, and days to keep; parts, and 304 for what did not change."""
    files = [f for f in sorted(origin["public"].rglob("*")) if f.is_file()]
    assert len(files) > 8
    with httpx2.Client(base_url=f"http://127.0.0.1:{origin['reader']}") as plane, city.connect() as on:
        for file in files:
            path = f"/public/{file.relative_to(origin['public']).as_posix()}"
            ours = plane.get(path)
            said, content = city.over(on, "GET", path)
            assert (said.status, content) == (200, file.read_bytes()), path
            for name in (
                "content-type",
                "cache-control",
                "access-control-allow-origin",
                "x-content-type-options",
            ):
                assert said.headers[name] == ours.headers[name], (path, name)
            assert said.headers["accept-ranges"] == "bytes"
        tag = said.headers["etag"]
        again, nothing = city.over(on, "GET", path, headers={"If-None-Match": tag})
        assert (again.status, nothing) == (304, b"")
        part, some = city.over(on, "GET", path, headers={"Range": "bytes=3-10"})
        assert (part.status, some) == (206, content[3:11])
        assert part.headers["content-range"] == f"bytes 3-10/{len(content)}"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/metrics", 404), ("/health/ready", 404), ("/health/live", 404), ("/nothing/at/all", 404), ("/.git/config", 404),
        ("/public/", 404), ("/public/secret.txt", 404), ("/public/.latest.json.tmp", 404), ("/public/status", 404),
        ("/public/root?v=1", 400), ("/public/root?", 400), ("/?x=1", 400), ("/v1/%6de/code", 400), ("/v1//me/code", 400),
        ("/public/%2e%2e/KANGMA", 400), ("/public/../KANGMA", 400), ("/nginx.conf", 404), ("/public.inc", 404),
    ],
)  # fmt: skip
def test_only_what_is_known_is_there_in_one_spelling(
    city: Edge, origin: dict[str, Any], path: str, status: int
) -> None:
    secret = origin["public"] / "secret.txt"
    secret.write_text("mine")
    said = city.ask("GET", path)
    secret.unlink()
    assert said.status == status
    assert said.headers["content-type"] == "application/problem+json"
    assert b"nginx" not in said.content


@pytest.mark.parametrize("path", ["/scna", "/open/", "/a/b.html?name=wang", "/%E6%89%AB%E7%A0%81", "//scan"])
def test_a_person_who_mistyped_an_address_is_told_so_by_the_gateways_page(
    city: Edge, origin: dict[str, Any], path: str
) -> None:
    person = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    with httpx2.Client(base_url=f"http://127.0.0.1:{origin['reader']}") as plane:
        ours = plane.get("/scna", headers=person)
    said = city.ask("GET", path, headers=person)
    assert (said.status, said.content) == (404, ours.content)
    for name in (
        "content-type",
        "content-security-policy",
        "cache-control",
        "x-content-type-options",
        "vary",
    ):
        assert said.headers[name] == ours.headers[name], name
    for other in ({}, person | {"Accept": "application/json"}):
        assert city.ask("GET", path, headers=other).headers["content-type"] == "application/problem+json"
    assert city.ask("POST", "/scna", headers=person).headers["content-type"] == "application/problem+json"


def test_programs_are_told_in_json_whatever_they_accept(city: Edge, origin: dict[str, Any]) -> None:
    for path in ("/v1/nothing", "/v1/%6de/code", "/public/secret.txt", "/source/v1/", "/partner/v1/x"):
        said = city.ask("GET", path, headers={"Accept": "text/html"})
        assert said.headers["content-type"] == "application/problem+json", path


def test_every_page_is_there(city: Edge) -> None:
    for path, page in pages().items():
        said = city.ask("GET", path)
        assert (said.status, said.content) == (200, page.content), path


def test_a_link_in_the_public_folder_leads_nowhere(city: Edge, origin: dict[str, Any]) -> None:
    link = origin["public"] / "sunset" / "0123456789abcdef.json"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(origin["public"].parent / "front" / "token.key")
    try:
        assert city.ask("GET", "/public/sunset/0123456789abcdef.json").status == 404
    finally:
        link.unlink()


# what is handed on ----------------------------------------------------------------------------------------------


def test_a_caller_cannot_say_where_they_come_from(tapped: tuple[Edge, Echo]) -> None:
    at, behind = tapped
    lies = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7", "X-Real-IP": "203.0.113.7"}
    for path in ("/v1/me/code", "/openapi.json", "/v1/bindings", "/scan"):
        behind.asked.clear()
        assert at.ask("GET", path, headers=lies | {"Authorization": "Bearer x"}).status == 200
        told = behind.asked[-1][2]
        assert [v for k, v in told if k == "x-forwarded-for"] == ["127.0.0.1"], path
        assert [v for k, v in told if k == "host"] == [NAME]
        assert not any("203.0.113.7" in v for _, v in told)


def test_every_route_that_the_gateway_declares_gets_there(tapped: tuple[Edge, Echo]) -> None:
    at, behind = tapped
    for route in ROUTES:
        if route.path.startswith("/public/"):
            continue
        path = re.sub(r"\{[^}]+\}", "0123456789abcdef", route.path)
        behind.asked.clear()
        said = at.ask(route.method, path, headers={"Authorization": "Bearer x"})
        assert (said.status, [a[:2] for a in behind.asked]) == (200, [(route.method, path)]), route


def test_connections_to_the_gateway_are_kept(tapped: tuple[Edge, Echo]) -> None:
    at, behind = tapped
    with at.connect() as on:  # one that was seen to take a second request is lent to others
        for _ in range(2):
            at.over(on, "GET", "/v1/me/code", headers={"Authorization": "Bearer x"})
    behind.connections.clear()
    for _ in range(20):
        assert _code(at, "x").status == 200
    assert len(behind.connections) <= 3


def test_a_body_has_its_length_by_route(tapped: tuple[Edge, Echo]) -> None:
    at, behind = tapped
    token = {"Authorization": "Bearer x"}
    assert at.ask("POST", "/v1/me/credentials", content=b"x" * 65_536, headers=token).status == 200
    assert behind.asked[-1][3] == 65_536
    assert at.ask("POST", "/source/v1/tests", content=b"x" * 300_000, headers=token).status == 200
    assert behind.asked[-1][3] == 300_000
    for path, length in (("/v1/me/credentials", 2**16 + 1), ("/source/v1/tests", 2**26 + 1)):
        with at.connect() as on:  # refused for what it announces
            on.sendall(f"POST {path} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {length}\r\n\r\n".encode())
            assert on.recv(100).split()[1] == b"413", path


def test_headers_have_eight_kilobytes(tapped: tuple[Edge, Echo]) -> None:
    at, behind = tapped
    assert at.ask("GET", "/v1/me/code", headers={"Authorization": "Bearer x", "X": "y" * 3_500}).status == 200
    behind.asked.clear()
    for many in ({"X": "y" * 9_000}, {f"X{n}": "y" * 900 for n in range(10)}):
        said = at.ask("GET", "/v1/me/code", headers={"Authorization": "Bearer x", **many})
        assert said.status in (400, 431)
    assert not behind.asked


def test_other_names_are_not_answered(tapped: tuple[Edge, Echo]) -> None:
    at, behind = tapped
    behind.asked.clear()
    assert at.ask("GET", "/v1/me/code", host="evil.example").status == 421
    assert at.ask("GET", "/v1/me/code", host=f"{NAME}.").status in (200, 421)
    stranger = ssl.create_default_context()
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        at.connect(name="evil.example", context=stranger)
    assert not any(v == "evil.example" for a in behind.asked for _, v in a[2])


def test_who_comes_without_tls_is_sent_to_it(tapped: tuple[Edge, Echo]) -> None:
    at, behind = tapped
    behind.asked.clear()
    with socket.create_connection(("127.0.0.1", at.plain_port), timeout=5) as on:
        said, _ = at.over(on, "GET", "/scan", headers={"Host": "evil.example"}, host=NAME)
    assert said.status == 308
    assert said.headers["location"] == f"https://{NAME}/scan"
    assert not behind.asked


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_taken_up_again(tapped: tuple[Edge, Echo], version: ssl.TLSVersion) -> None:
    at, _ = tapped
    context = ssl.create_default_context(cafile=str(at.folder / "tls" / "certificate.pem"))
    context.minimum_version = context.maximum_version = version
    with at.connect(context=context) as on:
        at.over(on, "GET", "/scan")
        assert not on.session_reused
        held = on.session
    with at.connect(context=context, session=held) as on:
        assert at.over(on, "GET", "/scan")[0].status == 200
        assert on.session_reused


def test_http2_has_few_streams(tapped: tuple[Edge, Echo]) -> None:
    at, _ = tapped
    context = ssl.create_default_context(cafile=str(at.folder / "tls" / "certificate.pem"))
    context.set_alpn_protocols(["h2"])
    with at.connect(context=context) as on:
        assert on.selected_alpn_protocol() == "h2"
        on.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
        head = on.recv(9, 0)
        length, kind = int.from_bytes(head[:3], "big"), head[3]
        assert kind == 4
        content = b""
        while len(content) < length:
            content += on.recv(length - len(content))
    settings = dict(struct.unpack_from(">HI", content, at) for at in range(0, length, 6))
    assert settings[3] == 32


# slow ones and many ------------------------------------------------------------------------------------------------


def test_slow_senders_are_let_go_and_nobody_waits_for_them(tapped: tuple[Edge, Echo]) -> None:
    at, behind = tapped
    behind.asked.clear()
    with at.connect() as header, at.connect() as body:
        header.sendall(f"GET /v1/me/code HTTP/1.1\r\nHost: {NAME}\r\n".encode())
        body.sendall(
            f"POST /v1/me/credentials HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Bearer x\r\n".encode()
            + b"Content-Length: 60\r\n\r\nx"
        )
        began = time.monotonic()
        assert _code(at, "x").status == 200
        for on in (header, body):
            on.settimeout(8)
            said = on.recv(1_000)
            assert said == b"" or said.split()[1] == b"408", said
            assert time.monotonic() - began < 5
    assert [a[1] for a in behind.asked] == ["/v1/me/code"]


def test_a_network_without_tokens_may_ask_so_much(tapped: tuple[Edge, Echo]) -> None:
    at, _ = tapped
    counts: dict[str, dict[int, int]] = {}
    with at.connect() as on:
        for path, times in (("/openapi.json", 400), ("/v1/bindings", 300)):
            counts[path] = {}
            for _ in range(times):
                said, _content = at.over(on, "GET", path)
                counts[path][said.status] = counts[path].get(said.status, 0) + 1
                if said.status == 429:
                    later = int(said.headers["retry-after"])
                    assert 20 <= later <= 65
                    break
        assert all(429 in found for found in counts.values()), counts
        # Whoever has a token is not counted with them, nor is what is public.
        assert at.over(on, "GET", "/v1/me/code", headers={"Authorization": "Bearer x"})[0].status == 200
        assert at.over(on, "GET", "/scan")[0].status == 200
    assert 60 <= counts["/openapi.json"][200] <= 361


CALM = 2.5  # seconds after which there is no storm any more: haproxy remembers a second of it for another


def opened(at: Edge, times: int, sources: list[str]) -> None:
    """So many connections, from each of these in turn, that are broken off at once. Every twentieth is waited for: what
    is broken off while the proxy's queue is full was never there, and a busy machine's is full at once."""
    for n in range(times):
        if n % 20 == 19:
            gets_in(at, sources[n % len(sources)])
            continue
        with socket.socket() as on, suppress(ConnectionResetError):
            on.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            on.bind((sources[n % len(sources)], 0))
            on.connect(("127.0.0.1", at.port))


def shut_out(at: Edge, source: str, times: int, sources: list[str], wait: float = 0) -> bool:
    """Whether `source` is let in no more after so many. A machine that was too busy to be so fast tries again."""
    for _ in range(5):
        opened(at, times, sources)
        time.sleep(wait)
        if not gets_in(at, source):
            return True
    return False


def gets_in(at: Edge, source: str) -> bool:
    # Wrapped before it connects: a reset between the two would leave the wrapped socket to nobody.
    with at.trusted.wrap_socket(socket.socket(), server_hostname=NAME) as on, suppress(OSError):
        on.settimeout(5)
        on.bind((source, 0))
        on.connect(("127.0.0.1", at.port))
        return bool(on.version())
    return False


def test_in_a_storm_a_network_opens_few_connections_and_many_again_after_it(
    tapped: tuple[Edge, Echo],
) -> None:
    at, _ = tapped
    if at.kind == "nginx":
        pytest.skip("nginx cannot")
    opened(at, 150, ["127.9.7.7"])
    time.sleep(CALM)
    assert gets_in(at, "127.9.7.9")
    assert shut_out(at, "127.9.7.9", 1_500, [f"127.9.{n}.7" for n in range(100, 150)])  # 30 of each network
    assert gets_in(at, "127.9.6.9")
    time.sleep(CALM)
    assert gets_in(at, "127.9.7.9")


def test_a_network_may_open_so_many_connections_and_its_neighbour_may_still(
    tapped: tuple[Edge, Echo],
) -> None:
    """haproxy counts before the first byte of a greeting; nginx has no such limit, and only counts who is there."""
    at, _ = tapped
    if at.kind == "nginx":
        pytest.skip("nginx cannot")
    assert shut_out(at, "127.9.9.9", 3_100, ["127.9.9.7"], wait=CALM)
    assert gets_in(at, "127.9.8.9")


# what is left behind -----------------------------------------------------------------------------------------------


def test_logs_and_folders_hold_nobody(tapped: tuple[Edge, Echo]) -> None:
    at, _ = tapped
    marks = ("KX6617003", "Qvyzzax", "tok-unmistakable")
    bearer = {
        "Authorization": "Bearer tok-unmistakable",
        "User-Agent": "Qvyzzax",
        "Referer": "https://x/KX6617003",
    }
    at.ask("POST", "/v1/me/credentials", content=b"KX6617003" * 5_000, headers=bearer)
    at.ask("POST", "/source/v1/tests", content=b"KX6617003" * 30_000, headers=bearer)
    at.ask("GET", "/v1/me/code?name=Qvyzzax", headers=bearer)
    at.ask("GET", "/KX6617003?id=KX6617003", headers=bearer)
    at.ask("GET", "/v1/me/code", headers=bearer | {"X": "KX6617003" * 1_000})
    until(lambda: "source 200" in at.logged(), at.logged)
    logged = at.logged()
    assert not addresses(logged), logged
    for file in (f for f in at.folder.rglob("*") if f.is_file()):
        assert not any(mark.encode() in file.read_bytes() for mark in marks), file
    line = next(x for x in logged.splitlines() if "source 200" in x)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+ POST source 200 \d+ [\d.]+", line.strip()), line


# the origin is dark: last, because nothing lights it again --------------------------------------------------


def test_when_the_origin_is_dark_what_was_signed_last_is_still_there(
    origin: dict[str, Any], tmp_path: Path
) -> None:
    """Both planes are killed. A phone is told so in one form and when to come back; what doors need stays with nginx,
    and so do the pages that were shown before."""
    kinds = [k for k in KINDS if shutil.which(k, path="/usr/sbin")]
    ports = (origin["gateway"], origin["reader"], origin["inner"])
    with ExitStack() as stack:
        edges = [stack.enter_context(edge(kind, tmp_path / kind, origin["public"], *ports)) for kind in kinds]
        for at in edges:
            until(lambda a=at: _code(a, origin["token"]).status == 200, lambda: "not ready")  # type: ignore[misc]  # mypy cannot type a lambda with a default
            assert at.ask("GET", "/scan").status == 200
        origin["write"].kill()
        origin["write"].wait()
        for at in edges:
            said = _code(at, origin["token"])
            assert said.status == 503, at.kind
            assert said.headers["content-type"] == "application/problem+json"
            assert int(said.headers["retry-after"]) >= 20
            assert said.headers["link"] == '</public/latest.json>; rel="alternate"'
            assert said.headers["cache-control"] == "no-store"
            # The read plane stands: another process.
            assert at.ask("GET", "/public/latest.json").status == 200
            assert at.ask("GET", "/scan").status == 200
        origin["read"].kill()
        origin["read"].wait()
        for at in edges:
            there = 200 if at.kind == "nginx" else 503
            assert at.ask("GET", "/public/latest.json").status == there
            assert at.ask("GET", "/scan").status == there

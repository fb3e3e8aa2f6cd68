"""What every request goes through: hosts, limits, other sites, headers, caching, and failures that say nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from house import BASE, RECORD, House, house

from kangma.gateway.register.description import operations
from kangma.incidents.life import Role


@pytest.mark.parametrize(
    "name", ["register.example", "REGISTER.example:443", "localhost:8080", "127.0.0.1:9", "[::1]:80"]
)
def test_the_register_answers_under_its_own_names(at_home: House, name: str) -> None:
    assert at_home.client().get("/healthz", headers={"host": name}).status_code == 200


@pytest.mark.parametrize(
    "name", ["evil.example", "register.example.evil.example", "", "a b", "register.example@evil"]
)
def test_and_under_no_other(at_home: House, name: str) -> None:
    told = at_home.client().get("/healthz", headers={"host": name})
    assert told.status_code == 421
    assert name not in told.text or not name


def test_every_answer_is_dressed(at_home: House) -> None:
    client = at_home.client()
    for told in (
        client.get("/v1/key"), client.get("/nothing"), client.get("/healthz", headers={"host": "evil"}),
        client.post("/v1/drafts"), client.get("/v1/incidents?x=1"), client.head("/v1/key"), client.get("/docs"),
    ):  # fmt: skip
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in told.headers["content-security-policy"]
        assert "default-src 'none'" in told.headers["content-security-policy"]
        assert "unsafe" not in told.headers["content-security-policy"]
        assert told.headers["strict-transport-security"] == "max-age=31536000"
        assert "cache-control" in told.headers


def test_plain_http_promises_no_https(tmp_path: Path) -> None:
    with house(tmp_path / "r", "http://localhost:8080") as made:
        told = made.client().get("/healthz", headers={"host": "localhost:8080"})
        assert "strict-transport-security" not in told.headers


def test_headers_and_addresses_have_bounds(at_home: House) -> None:
    client = at_home.client()
    assert client.get("/healthz", headers={"x-a": "a" * 9_000}).status_code == 431
    assert client.get("/v1/incidents?q=" + "a" * 5_000).status_code == 400
    packed = client.post("/v1/sign-in", content=b"x", headers={"content-encoding": "gzip"})
    assert packed.status_code == 400


def test_a_strangers_answer_is_kept_for_a_minute_and_asked_about_cheaply(at_home: House) -> None:
    at_home.publish(RECORD)
    client = at_home.client()
    first = client.get("/v1/incidents/an-attack")
    assert first.headers["cache-control"] == "public, max-age=60"
    assert "Cookie" in first.headers["vary"]
    again = client.get(
        "/v1/incidents/an-attack", headers={"if-none-match": f'W/"x", {first.headers["etag"]}'}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert "content-type" not in again.headers
    head = client.head("/v1/incidents/an-attack")
    assert (head.status_code, head.content, head.headers["content-length"]) == (
        200, b"", first.headers["content-length"],
    )  # fmt: skip
    other = client.get("/v1/incidents/an-attack", headers={"if-none-match": '"another"'})
    assert other.content == first.content


def test_a_members_answer_is_kept_by_nobody(at_home: House) -> None:
    at_home.publish(RECORD)
    for told in (
        at_home.client(Role.READER).get("/v1/incidents/an-attack"),
        at_home.client().get("/v1/incidents/an-attack", headers={"cookie": "__Host-kangma=ended"}),
        at_home.client().get("/v1/me"),
        at_home.client().post("/v1/sign-in/options"),
    ):
        assert told.headers["cache-control"] in ("private, no-store", "no-store")
        assert "etag" not in told.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        (
            {"sec-fetch-site": "same-site"},
            403,
        ),  # another service of the same authority is another site of ours
        ({"sec-fetch-site": "none"}, 403),
        ({"cookie": "__Host-kangma=x"}, 403),  # a browser's cookie, and no word of where from
        ({"sec-fetch-site": "same-origin", "cookie": "__Host-kangma=x"}, 204),
        ({"origin": BASE, "cookie": "__Host-kangma=x"}, 204),
        ({}, 204),
    ],
)
def test_other_sites_cannot_make_a_browser_write(
    at_home: House, headers: dict[str, str], status: int
) -> None:
    assert at_home.client().post("/v1/sign-out", headers=headers).status_code == status


def test_reading_from_another_site_is_a_link_and_allowed(at_home: House) -> None:
    assert at_home.client().get("/v1/incidents", headers={"sec-fetch-site": "cross-site"}).status_code == 200


def test_people_get_a_page_and_programs_a_problem(at_home: House) -> None:
    client = at_home.client()
    page = client.get("/nothing", headers={"accept": "text/html,*/*"})
    assert page.headers["content-type"].startswith("text/html")
    assert page.status_code == 404
    for path in ("/nothing", "/v1/incidents/nothing"):
        told = client.get(path, headers={"accept": "application/json"})
        assert told.headers["content-type"] == "application/problem+json"
        assert told.json()["status"] == 404
    assert (
        client.get("/v1/nothing", headers={"accept": "text/html"}).headers["content-type"]
        == "application/problem+json"
    )


def test_a_wrong_method_is_said_with_the_right_ones(at_home: House) -> None:
    told = at_home.client().delete("/v1/key")
    assert (told.status_code, told.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_every_address_says_what_may_be_asked_of_it(at_home: House) -> None:
    """HEAD wherever GET may, and all methods of an address that several routes share: by OPTIONS, and with a refusal."""
    client, there = at_home.client(), dict[str, set[str]]()
    for path, method, _ in operations(at_home.app):
        there.setdefault(re.sub(r"\{[^}]+\}", "0" * 16, path), set()).add(method)
    assert len(there) > 40
    for path, methods in there.items():
        allowed = {"OPTIONS", *methods, *(["HEAD"] if "GET" in methods else [])}
        asked = client.options(path)
        assert (asked.status_code, asked.content) == (204, b""), path
        told = set(asked.headers["allow"].split(", "))
        assert allowed <= told, path
        refused = client.request("PATCH", path)
        assert (refused.status_code, set(refused.headers["allow"].split(", "))) == (405, told), path
    assert client.options("/v1/drafts").headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert client.options("/v1/drafts/x").headers["allow"] == "GET, HEAD, OPTIONS, PUT"
    assert client.options("/members/work/x/submit").headers["allow"] == "OPTIONS, POST"
    assert client.options("/nothing").status_code == 404


@pytest.mark.parametrize(
    "name",
    ["../keys/register.key", "%2e%2e/keys/register.key", "tile/../../register.sqlite", "tile", "tile/0", "",
     "/etc/passwd", "tile/0/000.p/999", "checkpoint/", "tile/0/000%00"],
)  # fmt: skip
def test_the_log_is_its_files_and_nothing_beside_them(at_home: House, name: str) -> None:
    at_home.publish(RECORD)
    client = at_home.client()
    assert client.get("/log/tile/0/000.p/1").headers["cache-control"] == "public, max-age=31536000, immutable"
    assert client.get(f"/log/{name}").status_code == 404


def test_readiness_means_something(at_home: House) -> None:
    client = at_home.client()
    assert client.get("/readyz").json() == {"status": "ok"}
    at_home.publish(RECORD)
    (at_home.register.path / "public" / "checkpoint").write_bytes(b"old")
    told = client.get("/readyz")
    assert (told.status_code, told.headers["retry-after"]) == (503, "2")
    assert client.get("/healthz").status_code == 200


def test_a_line_of_the_log_knows_the_route_and_not_the_address(at_home: House) -> None:
    at_home.publish(RECORD)
    at_home.client(Role.READER).get("/v1/incidents/an-attack?")
    at_home.client().get("/v1/incidents?q=健康")
    told = [(e["method"], e["route"], e["status"]) for e in at_home.events.lines if e["event"] == "answered"]
    assert told == [("GET", "/v1/incidents/{id}", 200), ("GET", "/v1/incidents", 200)]
    assert {k for e in at_home.events.lines for k in e} == {"event", "method", "route", "status", "seconds"}


def test_who_goes_away_half_way_is_no_failure_and_is_noted_without_a_name(at_home: House) -> None:
    """A phone loses its network in the middle of a save."""
    sent: list[Any] = []
    pieces = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "PUT", "scheme": "http",
        "path": "/v1/drafts/an-attack", "raw_path": b"/v1/drafts/an-attack", "root_path": "", "query_string": b"",
        "headers": [
            (b"host", b"register.example"), (b"content-type", b"application/json"), (b"content-length", b"500"),
            (b"authorization", f"Bearer {at_home.tokens[Role.EDITOR]}".encode()),
        ],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip

    async def receive() -> Any:
        return pieces.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    with TestClient(at_home.app) as client:  # its loop and threads
        assert client.portal is not None
        client.portal.call(at_home.app, scope, receive, send)
    assert sent == []
    (line,) = at_home.events.lines
    assert (line["event"], line["method"], line["route"]) == ("left", "PUT", "/v1/drafts/{id}")
    assert set(line) == {"event", "method", "route", "seconds"}


def test_the_language_is_kept_by_a_cookie_as_safe_as_the_registers_address(tmp_path: Path) -> None:
    """Behind a proxy that ends TLS the request itself is plain: the register's own address says what is right."""
    for base, name, secure in (
        (BASE, "register.example", True),
        ("http://localhost:8080", "localhost", False),
    ):
        with house(tmp_path / name, base) as made:
            for scheme in ("http", "https"):
                client = TestClient(made.app, base_url=f"{scheme}://{name}", follow_redirects=False)
                told = client.get("/about?lang=en", headers={"accept": "text/html"}).headers["set-cookie"]
                assert told.startswith("lang=en")
                assert ("Secure" in told) is secure, (base, scheme)

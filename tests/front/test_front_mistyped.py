"""A person at an address that is none is told so in words, in Chinese and in English; a program in JSON, as ever."""

from __future__ import annotations

import re

import pytest
from hamlet import Hamlet
from test_front_desk import scope, told

from kangma.gateway.front.pages import pages

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize(
    "path", ["/scna", "/scan/", "/SCAN", "/a/b/c", "/%E6%89%AB%E7%A0%81", "/missing", "/missing.html"]
)
def test_a_person_who_mistypes_an_address_is_shown_where_to_go(shared: Hamlet, path: str) -> None:
    said = shared.client().get(path, headers=BROWSER)
    assert said.status_code == 404
    assert said.headers["content-type"] == "text/html; charset=utf-8"
    for words in ("没有这个网页", "No such page", 'href="/"', 'href="/scan"', 'href="/open"'):
        assert words in said.text
    page = shared.client().get("/scan", headers=BROWSER)
    for name in ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy",
                 "permissions-policy", "cross-origin-resource-policy", "cross-origin-opener-policy"):  # fmt: skip
        assert said.headers[name] == page.headers[name], name
    assert said.headers["cache-control"] == "no-store"
    assert said.headers["vary"] == "Accept"


def test_the_page_says_the_same_wherever_one_is_and_nothing_of_the_address(shared: Hamlet) -> None:
    said = {
        shared.client().get(path, headers=BROWSER).content
        for path in ("/wanghong", "/x?name=%3Cscript%3E", "/<b>", "/110101199003074514")
    }
    assert len(said) == 1


def test_all_that_the_page_needs_is_there(shared: Hamlet) -> None:
    said = shared.client().get("/scna", headers=BROWSER).text
    needed = re.findall(r'(?:href|src)="(/[^"]*)"', said)
    assert len(needed) >= 5
    for path in needed:
        assert shared.client().get(path).status_code == 200, path
    assert "<script" not in said
    assert "style=" not in said


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1", "/public/nothing", "/source/v1/", "/partner/v1/x", "/oauth/x", "/v1/%6d"]
)
def test_an_address_for_programs_is_answered_in_json_whoever_asks(shared: Hamlet, path: str) -> None:
    said = shared.client().get(path, headers=BROWSER)
    assert said.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "image/avif,image/webp,*/*;q=0.8", ""])
def test_a_program_is_answered_in_json(shared: Hamlet, accept: str) -> None:
    said = shared.client().get("/scna", headers={"accept": accept})
    assert (said.status_code, said.headers["content-type"]) == (404, "application/problem+json")
    assert said.json()["code"] == "not_found"


def test_what_is_sent_to_no_address_is_answered_in_json(shared: Hamlet) -> None:
    said = shared.client().post("/scna", headers=BROWSER, content=b"x")
    assert (said.status_code, said.headers["content-type"]) == (404, "application/problem+json")


def test_a_page_is_refused_in_front_of_everything_and_told_without_a_task(shared: Hamlet) -> None:
    for method, length in (("GET", 500), ("HEAD", 0)):
        said = told(shared, scope(method, "/scna", BROWSER))
        assert said is not None
        assert said.status == 404
        assert len(said.body) >= length
        assert (said.body == b"") == (method == "HEAD")


def test_the_page_has_no_address_of_its_own() -> None:
    assert "/missing" not in pages()

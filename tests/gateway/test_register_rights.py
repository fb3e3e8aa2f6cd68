"""Who may call what: every route of the application × every role, made from the application itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient
from house import House

from kangma.gateway.register.description import operations, right_of
from kangma.incidents.life import RIGHTS, Right, Role

#: Writes that a stranger may ask for: each is guarded by what it takes, not by who asks.
OPEN_WRITES = {
    "/v1/enrolment/options", "/v1/enrolment", "/v1/sign-in/options", "/v1/sign-in", "/v1/sign-out", "/members/sign-out",
}  # fmt: skip


def asked(client: TestClient, path: str, method: str) -> int:
    """The status of a call that names nothing there is."""
    named = re.sub(r"\{passkey\}", "ab", path)
    named = re.sub(r"\{token\}", "0" * 16, named)
    named = re.sub(r"\{version\}", "1", named)
    named = re.sub(r"\{[^}]+\}", "nothing", named)
    return client.request(method, named).status_code


def allowed(right: str | None, role: Role | None) -> bool:
    if right is None:
        return True
    return role is not None and (right == "member" or Right(right) in RIGHTS[role])


@pytest.mark.parametrize("role", [None, *Role])
def test_every_route_answers_those_who_may_and_nobody_else(at_home: House, role: Role | None) -> None:
    client, wrong, cells = at_home.client(role), [], 0
    for path, method, route in operations(at_home.app):
        right = right_of(route)
        status = asked(client, path, method)
        refused = status in (401, 403)
        # A ceremony without a passkey is refused to everybody; closing what is not one's own to all but administrators.
        if path in OPEN_WRITES or (
            method == "DELETE" and role is not Role.ADMINISTRATOR and role is not None
        ):
            continue
        cells += 1
        if refused is allowed(right, role):
            wrong.append((method, path, right, status))
        if not allowed(right, role) and status != (401 if role is None else 403):
            wrong.append((method, path, right, status))
    assert wrong == []
    assert cells > 40


def test_every_write_needs_a_right(at_home: House) -> None:
    bare = {
        path
        for path, method, route in operations(at_home.app)
        if method not in ("GET", "HEAD") and right_of(route) is None
    }
    assert bare == OPEN_WRITES


def test_a_route_that_forgot_its_right_is_caught(at_home: House) -> None:
    """The control: the two tests above would be worth nothing without it."""
    at_home = at_home.alone()
    careless = APIRouter()

    @careless.post("/v1/careless")
    def write() -> dict[str, Any]:
        return {}

    at_home.app.include_router(careless)
    bare = {p for p, m, r in operations(at_home.app) if m == "POST" and right_of(r) is None}
    assert "/v1/careless" in bare - OPEN_WRITES
    assert asked(at_home.client(), "/v1/careless", "POST") == 200


def test_each_kind_of_right_is_told_in_the_description(at_home: House) -> None:
    told = at_home.client().get("/openapi.json").json()
    rights = {o.get("x-right") for path in told["paths"].values() for o in path.values()}
    assert rights == {None, "member", "write", "review", "publish", "signal", "accounts"}


def test_who_may_not_is_told_so_before_the_body_is_read(at_home: House) -> None:
    huge = b"x" * (40 * 2**20)
    told = at_home.client().post(
        "/v1/import?form=json", content=huge, headers={"content-type": "application/json"}
    )
    assert told.status_code == 401
    reader = at_home.client(Role.READER)
    assert (
        reader.post("/v1/import?form=json", content=huge, headers={"content-type": "text/csv"}).status_code
        == 403
    )

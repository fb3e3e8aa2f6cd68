"""Who may do what: every route × role × ownership, taken from the routes and from their description."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from hamlet import CASE, CHILD, ELDER, NURSE, STRANGER, TEACHER, Hamlet, Person, hamlet, phone_key, unlimited
from laboratory import registered, send
from openapi_spec_validator import validate

from kangma.credential.venue_code import minute_of, token_at
from kangma.errors import Corrupt, Refused
from kangma.gateway.front.app import ROUTES, add
from kangma.gateway.front.rights import (
    Caller,
    Needs,
    Own,
    Purpose,
    Role,
    needs_of,
    operations,
    require_declared,
)
from kangma.gateway.register.problems import NotSignedIn


class TwoClients:
    """A laboratory and a ride-hailing platform, as whoever knows their tokens would tell them."""

    def caller(self, token: str) -> Caller | None:
        return {
            "lab": Caller(Role.SOURCE, client="lab", scopes=frozenset({"source:tests"})),
            "rides": Caller(Role.PARTNER, client="rides", scopes=frozenset({"ride:check"})),
        }.get(token)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with hamlet(tmp_path_factory.mktemp("rights"), defence=unlimited()) as made:
        made.city.clients = TwoClients()
        yield made


def token_now(door: Hamlet) -> str:
    """What the device of a door sends."""
    number, key = DOORS.setdefault(id(door), a_door(door))
    return token_at(number, key, minute_of(door.clock.now))


DOORS: dict[int, tuple[str, bytes]] = {}


def a_door(door: Hamlet) -> tuple[str, bytes]:
    made, key = door.city.venues.register("V1", "door", now=door.clock.now)
    door.city.venues._due = 0.0
    return made.venue, key


def described(door: Hamlet) -> dict[str, Any]:
    said: dict[str, Any] = door.client().get("/openapi.json").json()
    return said


def named(path: str) -> str:
    """The address of a route, naming nothing that there is."""
    for name, value in (
        ("path", "root"),
        ("device", "0" * 16),
        ("carer", "0" * 16),
        ("other", "4"),
        ("appeal", "0" * 16),
        ("kind", "tests"),
        ("own_ride", "0" * 16),
        ("ride", "0" * 20),
    ):
        path = path.replace(f"{{{name}}}", value)
    return re.sub(r"\{[^}]+\}", "nothing", path)


def test_every_cell_of_the_matrix_is_right(door: Hamlet) -> None:
    resident = door.bound(NURSE)["token"]
    wrong, cells = [], 0
    for path, methods in described(door)["paths"].items():
        for method, told in methods.items():
            wanted = Role(told["x-role"])
            for role, token in ((Role.NOBODY, None), (Role.RESIDENT, resident), (Role.SOURCE, "lab"),
                                (Role.PARTNER, "rides"), (Role.VENUE, token_now(door))):  # fmt: skip
                if (path, method, role) == ("/v1/me", "delete", Role.RESIDENT):
                    continue  # it would leave
                status = door.client(token).request(method, named(path)).status_code
                refused = status in (401, 403)
                may = wanted is Role.NOBODY or role is wanted
                cells += 1
                if refused is may or (not may and status != (401 if role is Role.NOBODY else 403)):
                    wrong.append((method, path, role, status))
    assert wrong == []
    assert cells >= 5 * len(ROUTES) - 1


def test_a_bad_token_opens_nothing_that_needs_one_and_closes_nothing_that_needs_none(door: Hamlet) -> None:
    for path, methods in described(door)["paths"].items():
        for method, told in methods.items():
            status = door.client("x" * 35).request(method, named(path)).status_code
            assert (status == 401) is (told["x-role"] != Role.NOBODY), (method, path, status)


def test_a_source_and_a_partner_have_nothing_of_each_others(door: Hamlet) -> None:
    """Ownership of clients: receipts, rejects and rides."""
    lab, other = (registered(door, name, "source:tests") for name in ("own-lab", "own-clinic"))
    one, two = (registered(door, name, "ride:check") for name in ("own-cars", "own-taxis"))
    clients, door.city.clients = door.city.clients, door.city.registered
    try:
        sent = send(lab.http(), "tests", b"{}\n").json()
        for path in (f"/source/v1/receipts/{sent['receipt']}", sent["rejects"]):
            assert (lab.http().get(path).status_code, other.http().get(path).status_code) == (200, 404)
        phone, ride = door.client(door.bound(CASE)["token"]), "r" * 20
        given = phone.post("/v1/me/rides", json={"partner": "own-cars", "ride": ride}).json()
        phone.post("/v1/me/rides", json={"partner": "own-taxis", "ride": "s" * 20})
        stranger = door.client(door.bound(ELDER)["token"])
        assert stranger.delete(f"/v1/me/rides/{given['ride']}").status_code == 404
        assert stranger.get("/v1/me/rides").json() == {"rides": []}
        asked, address = {"consent": given["consent"]}, f"/partner/v1/rides/{ride}/check"
        assert two.http().post(address, json=asked).json()["result"] == "unknown"
        assert one.http().post(address, json=asked).json()["result"] == "refuse"
    finally:
        door.city.clients = clients


def test_what_is_ones_own_is_nobody_elses(door: Hamlet) -> None:
    """Ownership: a resident with another's names in hand gets nothing of theirs."""
    mine, theirs = door.client(door.bound(NURSE)["token"]), door.client(door.bound(TEACHER)["token"])
    theirs.post("/v1/me/children", json=CHILD.asked)
    device = theirs.get("/v1/me/devices").json()["devices"][0]["device"]
    assert mine.delete(f"/v1/me/devices/{device}").status_code == 422
    assert theirs.get("/v1/me/code").status_code == 200
    assert mine.get("/v1/me/others/1/code").status_code == 404
    assert mine.delete("/v1/me/others/1").status_code == 422
    child = door.client(door.bound(CHILD)["token"])
    carer = child.get("/v1/me/carers").json()["carers"][0]["carer"]
    assert mine.delete(f"/v1/me/carers/{carer}").status_code == 422
    assert child.delete(f"/v1/me/carers/{carer}").status_code == 422  # care is not ended by the child
    assert theirs.get("/v1/me/others/1/code").status_code == 200
    binding = theirs.post("/v1/me/others", json=ELDER.asked).json()["binding"]
    door.city.outbox.empty()
    code = door.letters.sent[-1].code
    assert mine.post(f"/v1/me/others/{binding}/confirm", json={"code": code}).status_code == 422


# the crawl -------------------------------------------------------------------------------------------------------------


def crawled(door: Hamlet, person: Person, *, token: str | None) -> list[tuple[str, int, int]]:
    """Every route asked with this person's document and name wherever a body may hold them, and nothing of theirs."""
    said = []
    bodies = [person.asked, person.named, {}]
    for path, methods in sorted(described(door)["paths"].items()):
        for method in sorted(methods):
            if (path, method) == ("/v1/me", "delete"):
                continue
            for body in bodies if method == "post" else [None]:
                got = door.client(token).request(method, named(path), json=body)
                # Paper is one's own, and each sheet another picture.
                size = 0 if path == "/v1/me/paper" else len(got.content)
                said.append((f"{method} {path}", got.status_code, size))
                for secret in (person.id_number, person.name, person.phone):
                    assert not secret or secret not in got.text, (method, path)
    return said


def test_crawling_every_route_with_a_valid_number_and_name_tells_nothing(door: Hamlet) -> None:
    assert crawled(door, ELDER, token=None) == crawled(door, STRANGER, token=None)
    token = door.bound(NURSE)["token"]
    known = crawled(door, ELDER, token=token)
    assert known == crawled(door, STRANGER, token=token)


def test_known_and_unknown_cost_the_same_calls(door: Hamlet, monkeypatch: pytest.MonkeyPatch) -> None:
    from kangma.publish import own  # noqa: PLC0415
    from kangma.store.front import FrontStore  # noqa: PLC0415
    from kangma.store.state import State  # noqa: PLC0415
    from kangma.store.vault import Vault  # noqa: PLC0415

    calls: list[str] = []
    for cls, name in ((State, "person_number"), (Vault, "open"), (FrontStore, "begin")):
        inner = getattr(cls, name)

        def noted(self: Any, *a: Any, inner: Any = inner, name: str = name, **k: Any) -> Any:
            calls.append(name)
            return inner(self, *a, **k)

        monkeypatch.setattr(cls, name, noted)
    guardians = own._guardians
    monkeypatch.setattr(own, "_guardians", lambda *a: calls.append("guardians") or guardians(*a))
    client, phone = door.client(), door.client(door.bound(NURSE)["token"])
    found = []
    for person in (ELDER, STRANGER, Person(ELDER.id_type, ELDER.id_number, "Another", "")):
        calls.clear()
        client.post("/v1/bindings", json=person.asked)
        phone.post("/v1/me/others", json=person.asked)
        phone.post("/v1/me/children", json=person.asked)
        found.append(list(calls))
    assert found[0] == found[1] == found[2]
    assert {"person_number", "open", "begin", "guardians"} <= set(found[0])


# the declaration -------------------------------------------------------------------------------------------------------


def test_a_route_that_forgot_its_right_keeps_the_door_shut() -> None:
    app = FastAPI()
    for route in ROUTES:
        add(app, route)
    require = [r for _, _, r in operations(app) if needs_of(r) is None]
    assert {getattr(r, "path", "") for r in require} == {
        "/docs",
        "/docs/oauth2-redirect",
        "/openapi.json",
        "/redoc",
    }
    bare = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for route in ROUTES:
        add(bare, route)
    require_declared(bare)
    careless = APIRouter()

    @careless.get("/v1/careless")
    def read() -> dict[str, Any]:
        return {}

    bare.include_router(careless)
    with pytest.raises(Corrupt, match="GET /v1/careless"):
        require_declared(bare)


def test_a_client_needs_the_scope_and_its_kind() -> None:
    needs = Needs(Role.SOURCE, Purpose.REPORT, Own.SELF, scope="source:{kind}")
    lab = Caller(Role.SOURCE, client="lab", scopes=frozenset({"source:tests"}))
    needs.judge(lab, {"kind": "tests"})
    with pytest.raises(Refused, match="scopes"):
        needs.judge(lab, {"kind": "cases"})
    with pytest.raises(Refused, match="others"):
        needs.judge(Caller(Role.RESIDENT, 1), {"kind": "tests"})
    with pytest.raises(NotSignedIn):
        needs.judge(Caller(Role.NOBODY), {"kind": "tests"})


def test_the_description_is_one_and_every_answer_in_it_is_closed(door: Hamlet) -> None:
    said = described(door)
    validate(said)
    assert said["openapi"].startswith("3.1")
    for name, model in said["components"]["schemas"].items():
        if name != "ProblemSaid":
            assert model.get("additionalProperties") is False, name
    for path, methods in said["paths"].items():
        for method, told in methods.items():
            assert told["summary"] or told["description"], (method, path)
            assert told["responses"]["default"]["content"].keys() == {"application/problem+json"}


PATHS = ("path", "binding", "device", "other", "carer", "appeal", "own_ride", "ride", "kind", "receipt")
HEADERS = ("Idempotency-Key", "Manifest-Sequence", "Manifest-Rows", "Manifest-SHA256")


def test_no_address_takes_an_identity_number(door: Hamlet) -> None:
    said = described(door)["paths"]
    for path, methods in said.items():
        for told in methods.values():
            for parameter in told.get("parameters", ()):
                assert parameter["in"] == "path" or parameter["name"] in HEADERS, path
                assert parameter["name"] in (*PATHS, *HEADERS), path
    for number in (*(p.id_number for p in (NURSE, CHILD, TEACHER)), NURSE.phone, "110101199003077774"):
        for path in said:
            if path != "/public/{path}":  # a file of that name, which there is none of
                address = re.sub(r"\{[^}]+\}", number, path)
                answered = [door.client(token).post(address) for token in (None, "lab", "rides")]
                answered += [door.client(token).get(address) for token in (None, "lab", "rides")]
                assert "{" not in path or all(x.status_code >= 400 for x in answered), path


def test_the_page_lists_every_route_with_its_right() -> None:
    page = (Path(__file__).parents[2] / "docs/gateway.md").read_text("utf-8")
    for route in ROUTES:
        who = "anybody" if route.needs.role is Role.NOBODY else route.needs.role.value
        path = route.path.replace(":path", "")
        assert f"| `{route.method} {path}` | {who} | {route.needs.purpose.value} |" in page, path


def test_a_scanned_token_works_for_its_own_slot_only(door: Hamlet) -> None:
    """Every single changed byte of a token is noticed."""
    token = door.bound(NURSE, phone_key())["token"]
    tokens, now = door.city.tokens, door.clock.now
    assert tokens.slot_of(token, now=now) is not None
    for i, was in enumerate(token[:-1]):  # the last character has two bits that mean nothing
        changed = token[:i] + ("A" if was != "A" else "B") + token[i + 1 :]
        assert tokens.slot_of(changed, now=now) is None, i

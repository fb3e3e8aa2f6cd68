"""Who may do what: every route × role × ownership, taken from the routes and from their description."""

from __future__ import annotations

import dataclasses
import re
import secrets
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from agreed import description
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from hamlet import (
    BASE,
    CASE,
    CHILD,
    ELDER,
    NURSE,
    STRANGER,
    TEACHER,
    Hamlet,
    Person,
    hamlet,
    phone_key,
    result,
    unlimited,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from laboratory import lines, registered, send
from test_front_rides import room

from kangma.credential.venue_code import code_at, minute_of, token_at
from kangma.errors import Corrupt, Refused
from kangma.gateway.front import app as app_module
from kangma.gateway.front.app import ROUTES, add
from kangma.gateway.front.who.rights import (
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


def nurse(door: Hamlet) -> str:
    """Her token; she is bound once, since nobody is sent more than five letters an hour."""
    if id(door) not in NURSES:
        NURSES[id(door)] = door.bound(NURSE)["token"]
    return NURSES[id(door)]


NURSES: dict[int, str] = {}
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
        ("binding", "b" * 22),
        ("receipt", "999999"),
        ("own_ride", "0" * 16),
        ("ride", "0" * 20),
    ):
        path = path.replace(f"{{{name}}}", value)
    return re.sub(r"\{[^}]+\}", "nothing", path)


def meant(path: str) -> Role:
    """For whom an address is, by what the design says: not by what the route declares of itself."""
    if path in ("/openapi.json", "/public/{path}", "/v1/tokens", "/oauth/token", "/partner/v1/keys"):
        return Role.NOBODY
    if path in ("/v1/bindings", "/v1/bindings/{binding}/confirm"):
        return Role.NOBODY
    before = {
        "/v1/me": Role.RESIDENT,
        "/v1/venue": Role.VENUE,
        "/source/": Role.SOURCE,
        "/partner/": Role.PARTNER,
    }
    return next(role for beginning, role in before.items() if path.startswith(beginning))


def wrong_cells(
    door: Hamlet, app: Any = None, only: str | None = None
) -> tuple[list[tuple[str, str, Role, int]], int]:
    """Every route (`only`: of one address) × every role: (those let in or kept out wrongly, how many were asked)."""
    resident = nurse(door)
    wrong, cells = [], 0
    client = door.client() if app is None else TestClient(app, base_url=BASE, follow_redirects=False)
    tokens = {
        Role.NOBODY: None, Role.RESIDENT: resident, Role.SOURCE: "lab", Role.PARTNER: "rides", Role.VENUE: token_now(door)
    }  # fmt: skip
    assert tokens.keys() == set(Role)
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method in methods if only in (None, path) else ():
            for role, token in tokens.items():
                if (path, method, role) == ("/v1/me", "delete", Role.RESIDENT):
                    continue  # it would leave
                headers = {} if token is None else {"authorization": f"Bearer {token}"}
                status = client.request(method, named(path), headers=headers).status_code
                may = meant(path) is Role.NOBODY or role is meant(path)
                cells += 1
                if (status in (401, 403)) is may or (
                    not may and status != (401 if role is Role.NOBODY else 403)
                ):
                    wrong.append((method, path, role, status))
    return wrong, cells


def test_every_cell_of_the_matrix_is_right(door: Hamlet) -> None:
    wrong, cells = wrong_cells(door)
    assert wrong == []
    assert cells == len(Role) * len(ROUTES) - 1


@pytest.mark.parametrize(
    ("path", "needs"),
    [
        ("/v1/me/looks", Needs(Role.NOBODY, Purpose.HISTORY)),
        ("/v1/me/rides", Needs(Role.PARTNER, Purpose.CHECK)),
        ("/v1/venue", Needs(Role.RESIDENT, Purpose.VERIFY)),
        ("/partner/v1/checks", Needs(Role.SOURCE, Purpose.CHECK)),
        ("/v1/bindings", Needs(Role.RESIDENT, Purpose.BIND)),
    ],
)
def test_a_route_that_is_declared_wrongly_is_found(
    door: Hamlet, monkeypatch: pytest.MonkeyPatch, path: str, needs: Needs
) -> None:
    """The control."""
    altered = tuple(dataclasses.replace(r, needs=needs) if r.path == path else r for r in ROUTES)
    monkeypatch.setattr(app_module, "ROUTES", altered)
    app = app_module.make_app(door.city, hosts=["door.example"], defence=unlimited())
    wrong, _ = wrong_cells(door, app, path)
    assert {p for _, p, _, _ in wrong} == {path}


def test_a_bad_token_opens_nothing_that_needs_one_and_closes_nothing_that_needs_none(door: Hamlet) -> None:
    for path, methods in described(door)["paths"].items():
        for method, told in methods.items():
            status = door.client("x" * 35).request(method, named(path)).status_code
            assert (status == 401) is (told["x-role"] != Role.NOBODY), (method, path, status)


# ownership -------------------------------------------------------------------------------------------------------------


class Owners:
    """Two of each role, with things of each kind, and what each of them sees of their own."""

    def __init__(self, door: Hamlet) -> None:
        self.door, self.ride = door, secrets.token_urlsafe(18)
        self.phone, other = phone_key(), phone_key()
        self.bound = [door.bound(TEACHER, self.phone), door.bound(CASE, other)]
        self.residents = [door.client(bound["token"]) for bound in self.bound]
        self.labs = [registered(door, name, "source:tests") for name in ("own-lab", "own-clinic")]
        self.fleets = [registered(door, name, "ride:check") for name in ("own-cars", "own-taxis")]
        owner, partner = self.residents[0], self.fleets[0].name
        owner.post("/v1/me/children", json=CHILD.asked)
        binding = owner.post("/v1/me/others", json=ELDER.asked).json()["binding"]
        door.city.outbox.empty()
        self.code = door.letters.sent[-1].code
        carer = door.client(door.bound(NURSE)["token"])
        nurse = carer.post("/v1/me/others", json=TEACHER.asked).json()["binding"]
        door.city.outbox.empty()
        assert (
            carer.post(
                f"/v1/me/others/{nurse}/confirm", json={"code": door.letters.sent[-1].code}
            ).status_code
            == 201
        )
        for fleet in self.fleets:
            room(door, fleet, owner, 3)
        self.venue, self.venue_key = door.city.venues.register("V1", "owners", now=door.clock.now)
        given = owner.post("/v1/me/rides", json={"partner": partner, "ride": self.ride}).json()
        self.consent = given["consent"]
        hold = owner.get("/v1/me/code").json()["holds"][0]
        appeal = owner.post(
            "/v1/me/appeals", json={"rule": hold["rule"], "since": hold["since"], "why": "not_me"}
        ).json()
        receipt = send(self.labs[0].http(), "tests", b"{}\n").json()["receipt"]
        #: Parameter of an address → the owner's, and one that there is not.
        self.things: dict[str, tuple[Any, Any]] = {
            "device": (owner.get("/v1/me/devices").json()["devices"][0]["device"], "0" * 16),
            "carer": (owner.get("/v1/me/carers").json()["carers"][0]["carer"], "0" * 16),
            "appeal": (appeal["appeal"], "0" * 16), "own_ride": (given["ride"], "0" * 16), "other": (1, 4),
            "binding": (binding, "b" * 22), "receipt": (receipt, receipt + 1_000), "ride": (self.ride, "r" * 24),
        }  # fmt: skip

    def client(self, role: Role, which: int) -> TestClient:
        if role is Role.RESIDENT:
            return self.residents[which]
        return (self.labs if role is Role.SOURCE else self.fleets)[which].http()

    def body(self, path: str) -> Any:
        minute = minute_of(self.door.clock.now)
        scan = {"venue": self.venue.venue, "minute": minute, "code": code_at(self.venue_key, minute)}
        return {
            "/v1/me/others/{other}/visits": {"entered": scan},
            "/v1/me/others/{binding}/confirm": {"code": self.code},
            "/v1/bindings/{binding}/confirm": {
                "code": self.code,
                "device_key": phone_key().public.compressed.hex(),
            },
            "/v1/me/others/{other}/credentials": {"holders": [phone_key().public.compressed.hex()]},
            "/v1/me/others/{other}/slots": self.asking(),
            "/partner/v1/rides/{ride}/check": {"consent": self.consent},
        }.get(path)

    def asking(self) -> dict[str, Any]:
        """For the slot of the first in the owner's care, signed by the owner's device."""
        key, now = phone_key().public.compressed.hex(), self.door.clock.now
        said = f"KM1 slots {self.bound[0]['resident']}/1 {key} {now}".encode()
        return {"key": key, "at": now, "signature": self.phone.sign(said).hex()}

    def state(self) -> list[Any]:
        """What the owner has."""
        lists = ("devices", "others", "carers", "rides", "appeals", "looks")
        own = [self.residents[0].get(f"/v1/me/{name}").json() for name in lists]
        return [*own, self.labs[0].http().get(f"/source/v1/receipts/{self.things['receipt'][0]}").json()]


def owned(door: Hamlet) -> list[tuple[str, str, dict[str, Any], list[str]]]:
    """(method, path, operation, parameters that name somebody's thing) of every route that has such."""
    return [
        (method, path, told, names)
        for path, methods in described(door)["paths"].items()
        for method, told in methods.items()
        if (
            names := [
                p["name"]
                for p in told.get("parameters", ())
                if p["in"] == "path" and p["name"] not in ("path", "kind")
            ]
        )
    ]


def test_what_is_anothers_is_as_if_there_were_none_and_what_is_ones_own_is_there(tmp_path: Path) -> None:
    """Every route that names a thing × own, another's, none's. A new kind of thing must be added to `Owners`."""
    with hamlet(tmp_path, defence=unlimited()) as door:
        owners, cells = Owners(door), 0
        before, foreign = owners.state(), []
        for method, path, told, names in owned(door):
            role, (name,) = Role(told["x-role"]), names
            http = door.client() if role is Role.NOBODY else owners.client(role, 1)
            said = []
            for thing in owners.things[name]:
                answer = http.request(method, path.replace(f"{{{name}}}", str(thing)), json=owners.body(path))
                said.append((answer.status_code, answer.content, sorted(answer.headers.items())))
                cells += 1
            if said[0] != said[1]:
                foreign.append((method, path, said))
            told_nothing = (
                (204, 200) if role is Role.PARTNER else (404, 422)
            )  # a platform is told the same of any ride
            assert said[0][0] in told_nothing, (method, path, said)
        assert foreign == []
        assert owners.state() == before
        # And the owner's own, at last with what ends them: so all of the above was there to be had.
        for method, path, told, names in sorted(
            owned(door), key=lambda x: (x[0] == "delete", "partner" in x[1], "devices" in x[1])
        ):
            if path == "/v1/bindings/{binding}/confirm":
                continue  # no binding of a device: it was asked for to care for somebody
            answer = owners.client(Role(told["x-role"]), 0).request(
                method,
                path.replace(f"{{{names[0]}}}", str(owners.things[names[0]][0])),
                json=owners.body(path),
            )
            assert answer.status_code in (200, 201, 204), (method, path, answer.text)
            if "check" in path:
                assert answer.json()["result"] != "unknown"
            cells += 1
        assert cells == 3 * len(owned(door)) - 1


def test_what_ends_something_ends_it_for_its_owner_alone(door: Hamlet) -> None:
    """A child does not end a guardian's care, and a code that was given for one purpose is good for no other."""
    child = door.client(door.bound(CHILD)["token"])
    door.client(door.bound(TEACHER)["token"]).post("/v1/me/children", json=CHILD.asked)
    carer = child.get("/v1/me/carers").json()["carers"][0]["carer"]
    assert child.delete(f"/v1/me/carers/{carer}").status_code == 422
    binding, code = door.code_for(ELDER)  # to bind a device of their own
    other = door.client(nurse(door))
    assert other.post(f"/v1/me/others/{binding}/confirm", json={"code": code}).status_code == 422


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
    """Whoever comes: nobody, a resident, a laboratory, a platform, a door."""
    for token in (None, nurse(door), "lab", "rides", token_now(door)):
        known = crawled(door, ELDER, token=token)
        assert known == crawled(door, STRANGER, token=token)
    assert len(known) > len(ROUTES)


def test_a_laboratory_learns_nobody_from_its_receipts(door: Hamlet) -> None:
    """Results of who is known and of who is not are counted alike."""
    lab, said = registered(door, "crawling-lab", "source:tests", "source:visits"), []
    clients, door.city.clients = door.city.clients, door.city.registered
    try:
        for person in (ELDER, STRANGER):
            row = result(person, f"crawl-{person.id_number}", "2022-04-25T17:00:00+08:00")
            got = send(lab.http(), "tests", lines([row, {**row, "result": "maybe"}])).json()
            rejects = lab.http().get(got["rejects"]).json()["rejects"]
            said.append(({k: v for k, v in got.items() if k not in ("receipt", "rejects")}, rejects))
    finally:
        door.city.clients = clients
    assert said[0] == said[1]


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


#: Everything that an address may name.
NAMES = {"path", "binding", "device", "other", "carer", "appeal", "own_ride", "ride", "kind", "receipt"}
RESIDENT_NUMBER = st.from_regex(
    r"[1-6][0-9]{5}(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|2[0-8])[0-9]{3}[0-9X]", fullmatch=True
)
NUMBERS = st.one_of(
    RESIDENT_NUMBER,
    RESIDENT_NUMBER.map(str.lower),
    st.from_regex(r"[1-6][0-9]{14}", fullmatch=True),  # of the old cards
    st.from_regex(r"(\+86)?1[3-9][0-9]{9}", fullmatch=True),  # a phone
    st.from_regex(
        r"[HM][0-9]{8}|[HM][0-9]{10}|[EGDSP][0-9]{8}|[A-Z]{2}[0-9]{7}", fullmatch=True
    ),  # permits, passports
    st.from_regex(r"[A-Z]{3}[0-9]{12}", fullmatch=True),  # of foreigners who live here
    st.sampled_from([p.id_number for p in (NURSE, CHILD, TEACHER)] + [NURSE.phone]),
)


def schema_of(parameter: dict[str, Any]) -> Any:
    return jsonschema.Draft202012Validator(parameter["schema"])


@settings(max_examples=40, deadline=None, database=None)
@given(number=NUMBERS)
def test_no_parameter_of_any_address_takes_an_identity_number(number: str) -> None:
    """By the description, which is what the routes go by."""
    for path, methods in description()["paths"].items():
        for told in methods.values():
            for parameter in told.get("parameters", ()):
                assert parameter["in"] in ("path", "header"), path
                if parameter["in"] == "header" or parameter["name"] == "path":
                    continue  # a header is no address; a file of that name is none of ours: below
                assert parameter["name"] in NAMES, path
                value: Any = number
                if parameter["schema"].get("type") == "integer":
                    if not number.isdigit():
                        continue
                    value = int(number)
                assert not schema_of(parameter).is_valid(value), (path, parameter["name"])


@pytest.mark.parametrize(
    "number",
    ["110101199003077774", "11010119900307123X", "110101900307123", "13800138000", "E12345678", "CHN123456789012"],
)  # fmt: skip
def test_every_route_refuses_an_address_with_an_identity_number(door: Hamlet, number: str) -> None:
    """Whoever asks, in the path, behind it, or as a parameter."""
    tokens = (None, nurse(door), "lab", "rides", token_now(door))
    for path, methods in description()["paths"].items():
        addresses = [f"{named(path)}/{number}", f"{named(path)}?id_number={number}"]
        addresses += [re.sub(r"\{[^}]+\}", number, path)] if "{" in path else []
        for method in methods:
            for address in addresses:
                for token in tokens:
                    got = door.client(token).request(method, address)
                    assert got.status_code >= 400, (method, path)
                    assert number not in got.text, (method, path)


def test_the_control_a_parameter_without_bounds_is_found() -> None:
    assert schema_of({"schema": {"type": "string"}}).is_valid("110101199003077774")
    assert schema_of({"schema": {"type": "integer", "minimum": 1}}).is_valid(13800138000)


def test_the_page_lists_every_route_with_its_right() -> None:
    page = (Path(__file__).parents[2] / "docs/gateway.md").read_text("utf-8")
    for route in ROUTES:
        who = "anybody" if route.needs.role is Role.NOBODY else route.needs.role.value
        path = route.path.replace(":path", "")
        assert f"| `{route.method} {path}` | {who} | {route.needs.purpose.value} |" in page, path


def test_a_scanned_token_works_for_its_own_slot_only(door: Hamlet) -> None:
    """Every single changed byte of a token is noticed."""
    token = nurse(door)
    tokens, now = door.city.tokens, door.clock.now
    assert tokens.slot_of(token, now=now) is not None
    for i, was in enumerate(token[:-1]):  # the last character has two bits that mean nothing
        changed = token[:i] + ("A" if was != "A" else "B") + token[i + 1 :]
        assert tokens.slot_of(changed, now=now) is None, i

"""Clients: who signs with a registered key gets a token for ten minutes, once for each assertion; nobody else does."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hamlet import BASE, Hamlet
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, OKPKey
from laboratory import AUDIENCE, Client, registered

from kangma.cli import main
from kangma.errors import Conflict, Refused
from kangma.gateway.front.who.assertions import ASSERTION_TYPE, Registered, public_key
from kangma.gateway.front.who.rights import Role
from kangma.store import front_schema
from kangma.store.front import FrontStore, prepare
from kangma.store.front_clients import SCOPES, ClientStore


def asked(door: Hamlet, fields: dict[str, str]) -> Any:
    said = door.client().post("/oauth/token", data=fields)
    assert said.headers["content-type"] == "application/json"
    assert said.headers["cache-control"] == "no-store"
    return said


def test_a_laboratory_gets_a_token_for_its_scopes(shared: Hamlet) -> None:
    lab = registered(shared, "lab-1", "source:tests", "source:people")
    said = asked(shared, lab.asked()).json()
    assert said["token_type"] == "Bearer"
    assert said["expires_in"] == 600
    assert said["scope"] == "source:people source:tests"
    found = shared.city.registered.caller(said["access_token"])
    assert found is not None
    assert (found.role, found.client) == (Role.SOURCE, "lab-1")
    narrow = asked(shared, lab.asked(scope="source:tests")).json()["access_token"]
    assert shared.city.registered.caller(narrow).scopes == {"source:tests"}  # type: ignore[union-attr]  # it is one
    said = asked(shared, lab.asked(scope="source:tests source:cases"))
    assert (said.status_code, said.json()["error"]) == (400, "invalid_scope")


def test_ed25519_is_taken_under_both_of_its_names(shared: Hamlet) -> None:
    key = OKPKey.generate_key("Ed25519")
    lab = registered(shared, "lab-ed", "source:tests")
    store = ClientStore(shared.city.store)
    store.change("lab-ed", keys=[public_key(json.dumps(key.as_dict(private=False)).encode())])
    shared.city.registered._read = float("-inf")
    for name in ("EdDSA", "Ed25519"):
        assertion = signed(key, name, lab.claims())
        assert asked(shared, lab.asked(assertion)).status_code == 200


def signed(key: Any, alg: str, claims: dict[str, Any]) -> str:
    registry = jws.JWSRegistry(algorithms=[alg])
    registry.get_alg = lambda name: registry.algorithms[name]  # type: ignore[method-assign]  # no warning of old names
    return jws.serialize_compact({"alg": alg}, json.dumps(claims).encode(), key, registry=registry)


def bad(lab: Client) -> dict[str, str]:
    """What is wrong with an assertion, and the assertion."""
    now, other = lab.door.clock.now, ECKey.generate_key("P-256")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    payload = base64.urlsafe_b64encode(json.dumps(lab.claims()).encode()).rstrip(b"=").decode()
    public = json.dumps(lab.key.as_dict(private=False)).encode()
    return {
        "for another": lab.assertion(aud="https://elsewhere.example/oauth/token"),
        "for no one": lab.assertion(aud=None),
        "over": lab.assertion(exp=now),
        "for too long": lab.assertion(exp=now + 3_600),
        "for ever": lab.assertion(exp=None),
        "a time as text": lab.assertion(exp=str(now + 60)),
        "a time as truth": lab.assertion(exp=True),
        "not yet": lab.assertion(nbf=now + 120),
        "of tomorrow": lab.assertion(iat=now + 86_400),
        "without a name of its own": lab.assertion(jti=None),
        "with a short one": lab.assertion(jti="1"),
        "for another subject": lab.assertion(sub="somebody"),
        "of nobody": lab.assertion(iss="nobody-here", sub="nobody-here"),
        "of a number": lab.assertion(iss=7, sub=7),
        "by another key": jwt.encode({"alg": "ES256"}, lab.claims(), other),
        "unsigned": f"{none}.{payload}.",
        "by the public key as a secret": jwt.encode(
            {"alg": "HS256"}, lab.claims(), OctKey.import_key(public)
        ),
        "no assertion": "x.y.z",
        "long": "x" * 4_096,
        "a list": jws.serialize_compact({"alg": "ES256"}, b"[]", lab.key),
        "no JSON": jws.serialize_compact({"alg": "ES256"}, b"[" * 2_000, lab.key),
    }


def test_whatever_is_wrong_with_an_assertion_is_answered_alike(shared: Hamlet) -> None:
    lab = registered(shared, "lab-2", "source:tests")
    said = {what: asked(shared, lab.asked(assertion)) for what, assertion in bad(lab).items()}
    assert {what: x.status_code for what, x in said.items()} == dict.fromkeys(said, 401)
    assert len({x.content for x in said.values()}) == 1
    assert said["over"].json()["error"] == "invalid_client"
    assert asked(shared, lab.asked(lab.assertion(aud=["https://a.example", AUDIENCE]))).status_code == 200


def test_an_assertion_is_taken_once(shared: Hamlet) -> None:
    lab = registered(shared, "lab-3", "source:tests")
    same = lab.asked()
    assert asked(shared, same).status_code == 200
    assert asked(shared, same).json()["error"] == "invalid_client"


def test_a_request_that_is_none_is_told_in_the_words_of_the_standard(shared: Hamlet) -> None:
    lab = registered(shared, "lab-4", "source:tests")
    for fields, error in (
        ({}, "invalid_request"),
        ({"grant_type": "password", "username": "x"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "invalid_request"),
        ({"grant_type": "client_credentials", "client_assertion": "x"}, "invalid_request"),
        (lab.asked() | {"client_assertion_type": "other"}, "invalid_request"),
        (lab.asked() | {"client_secret": "x"}, "invalid_request"),
        (lab.asked() | {"client_assertion": "x" * 5_000}, "invalid_request"),
    ):
        said = asked(shared, fields)
        assert (said.status_code, said.json()["error"]) == (400, error), fields
    json_sent = shared.client().post("/oauth/token", json={"grant_type": "client_credentials"})
    assert (json_sent.status_code, json_sent.json()["error"]) == (400, "invalid_request")
    twice = shared.client().post(
        "/oauth/token",
        content="grant_type=client_credentials&grant_type=client_credentials",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert twice.json()["error"] == "invalid_request"
    assert asked(shared, lab.asked(client_id="somebody")).json()["error"] == "invalid_client"
    assert asked(shared, lab.asked(client_id="lab-4")).status_code == 200


def test_a_token_ends_after_ten_minutes_with_its_client_and_with_one_changed_byte(door: Hamlet) -> None:
    lab = registered(door, "lab", "source:tests")
    token = lab.token()
    caller = door.city.registered.caller
    assert caller(token) is not None
    for i, was in enumerate(token[:-1]):
        assert caller(token[:i] + ("A" if was != "A" else "B") + token[i + 1 :]) is None, i
    assert caller("x" * 46) is None
    door.clock.now += 600
    assert caller(token) is None
    token = lab.token()
    assert door.client(token).get("/source/v1/receipts/1").status_code == 404
    ClientStore(door.city.store).close("lab", now=door.clock.now)
    door.city.registered._read = float("-inf")  # a second later
    assert door.client(token).get("/source/v1/receipts/1").status_code == 401
    assert asked(door, lab.asked()).json()["error"] == "invalid_client"
    with pytest.raises(Conflict):
        registered(door, "lab", "source:tests")


def test_only_public_keys_of_two_kinds_and_honest_names_are_registered(shared: Hamlet) -> None:
    key = ECKey.generate_key("P-256")
    for content in (
        key.as_pem(private=True), json.dumps(key.as_dict(private=True)).encode(), b"", b"{}", b"\xff", b"{" * 99,
        ECKey.generate_key("P-384").as_pem(private=False), b"0" * 32,
        json.dumps({"kty": "oct", "k": "AAAA"}).encode(),
    ):  # fmt: skip
        with pytest.raises(Refused):
            public_key(content)
    store, public = ClientStore(shared.city.store), [public_key(key.as_pem(private=False))]
    for name, kind, scopes in (
        ("local", "source", ["source:tests"]), ("guardian", "partner", ["ride:check"]),
        ("A B", "source", ["source:tests"]),
        ("x" * 33, "source", ["source:tests"]), ("good", "source", ["ride:check"]), ("good", "partner", ["source:tests"]),
        ("good", "source", []), ("good", "else", ["source:tests"]), ("good", "source", ["source:nothing"]),
    ):  # fmt: skip
        with pytest.raises(Refused):
            store.add(name, kind, scopes, public, now=1)
    with pytest.raises(Refused):
        store.add("good", "source", ["source:tests"], public * 3, now=1)


def test_keys_can_be_neither_printed_nor_pickled(shared: Hamlet) -> None:
    assert repr(shared.city.registered) == "Registered(…)"
    with pytest.raises(TypeError):
        Registered.__reduce__(shared.city.registered)
    assert len(SCOPES) <= 64


def test_a_file_of_the_format_before_is_brought_here_and_keeps_who_was_bound(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    folder = prepare(state)
    with FrontStore(folder) as store:
        binding, _ = store.begin(7, "123456", now=1_000)
        store.confirm(binding, "123456", b"k" * 33, now=1_000)
        with store.write() as on:
            for name in ("checks", "rides", "agreements", "submissions", "assertions", "clients"):
                on.exec_driver_sql(f"DROP TABLE {name}")
            on.exec_driver_sql("DROP INDEX looks_at")
            on.exec_driver_sql("UPDATE settings SET value = x'31' WHERE name = 'format'")
    for _ in range(2):
        with FrontStore(folder) as store:
            assert [r.person for r in store.residents()] == [7]
            assert ClientStore(store).all() == []
            with store.read() as on:
                said = on.exec_driver_sql("SELECT value FROM settings WHERE name = 'format'").scalar_one()
            assert bytes(said).decode() == front_schema.FORMAT


def test_clients_are_registered_changed_and_closed_on_the_command_line(
    door: Hamlet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "lab.pem"
    key.write_bytes(ECKey.generate_key("P-256").as_pem(private=False))
    directory = str(door.path)

    def kangma(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["client", directory, *words])
        return int(ended.value.code or 0), capsys.readouterr().out

    code, said = kangma("add", "north-lab", "--kind", "source", "--scope", "source:tests", "--key", str(key))
    assert code == 0
    assert f"{BASE}/oauth/token" in said
    add = ("add", "rides", "--kind", "partner", "--scope", "ride:check", "--key", str(key), "--json")
    assert json.loads(kangma(*add)[1])["scopes"] == ["ride:check"]
    assert kangma(*add)[0] == 3
    assert kangma("change", "north-lab", "--brake-factor", "3")[0] == 0
    assert kangma("close", "rides")[0] == 0
    assert kangma("close", "nobody")[0] == 2
    listed = json.loads(kangma("list", "--json")[1])["clients"]
    assert [(c["name"], c["brake"]["factor"], c["closed_at"] is None) for c in listed] == [
        ("north-lab", 3, True),
        ("rides", 10, False),
    ]
    assert "closed" in kangma("list")[1]
    assert kangma("brake", "list")[1].strip() == "No batch is held."
    assert ASSERTION_TYPE.endswith("jwt-bearer")

"""The examples play a platform's and a laboratory's day against a city that is really served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agreed import disagreements, operation
from hamlet import CASE, ELDER, NURSE
from joserfc.jwk import ECKey
from platform_side import example
from test_front_serving import Served

from kangma.gateway.front.who.assertions import public_key
from kangma.store.front import FrontStore
from kangma.store.front_clients import ClientStore


@pytest.fixture
def rides(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example; whatever it asks and is answered is held against the description."""
    made = example()
    ask = made.Line.ask

    def held(line: Any, method: str, path: str, body: Any = None, **more: Any) -> Any:
        said, one = ask(line, method, path, body, **more), operation(method, path)
        assert one is not None, path
        status = next(
            int(n) for n in one["responses"] if n in ("201", "202", "204") or n == min(one["responses"])
        )
        media = "" if said is None else "application/json"
        assert disagreements(method, path, status, media, said, body) == []
        ASKED.add(one["operationId"])
        return said

    monkeypatch.setattr(made.Line, "ask", held)
    return made


ASKED: set[str] = set()


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The laboratory's example; what it is answered is held against the description."""
    made = example("laboratory")
    ask = made.Line.ask

    def held(line: Any, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
        status, said = ask(line, method, path, body, **headers)
        assert disagreements(method, path, status, "application/json", said, None) == []
        one = operation(method, path)
        assert one is not None, path
        ASKED.add(one["operationId"])
        return status, said

    monkeypatch.setattr(made.Line, "ask", held)
    return made


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def test_a_platform_checks_fifty_rides_and_is_told_of_each_passenger_what_their_code_says(
    served: Served, rides: Any
) -> None:
    served.until(lambda: served.client.get("/public/latest.json").status_code == 200, "the first release")
    key = ECKey.generate_key("P-256")
    with FrontStore(served.path / "front") as store:
        ClientStore(store).add(
            "cars", "partner", ["ride:check"], [public_key(key.as_pem(private=False))], now=1
        )
    address = f"http://127.0.0.1:{served.port}"
    with rides.Line(address) as line, rides.Line(address) as phones:
        plays(served, rides, rides.Platform("cars", key, line, address), phones)


def plays(served: Served, rides: Any, platform: Any, phones: Any) -> None:
    sent = served.path / "front" / "sent.ndjson"
    passengers = [rides.Passenger.bound(phones, p.asked, sent) for p in (NURSE, CASE, ELDER)]
    said, wanted = rides.Day(), {}
    rides.play(said, platform, passengers, 50)
    print(said.said())
    assert sum(said.results.values()) == len(said.seconds) == 50
    for n, passenger in enumerate(passengers):
        code = phones.ask("GET", "/v1/me/code", token=passenger.token)
        result = {"green": "pass", "unknown": "unknown"}.get(code["colour"], "refuse")
        wanted[result] = wanted.get(result, 0) + len(range(n, 50, 3))
    assert said.results == wanted
    assert sum(said.together.values()) == 5
    looks = phones.ask("GET", "/v1/me/looks", token=passengers[0].token)["looks"]
    assert {x["who"] for x in looks} == {"cars"}
    assert 17 <= len(looks) <= 22
    assert phones.ask("GET", "/v1/me/rides", token=passengers[0].token) == {"rides": []}
    assert {
        "oauth_token",
        "partners_check",
        "partners_checks",
        "partners_end",
        "partners_agree",
        "residents_confirm",
    } <= ASKED
    with pytest.raises(RuntimeError, match="422"):
        platform.check("x" * 20, "no consent")


def test_a_laboratory_sends_a_batch_once_and_is_told_which_row_is_wrong(
    served: Served, laboratory: Any, tmp_path: Path
) -> None:
    served.until(lambda: served.client.get("/public/latest.json").status_code == 200, "the first release")
    key = ECKey.generate_key("P-256")
    with FrontStore(served.path / "front") as store:
        ClientStore(store).add(
            "north-lab", "source", ["source:tests"], [public_key(key.as_pem(private=False))], now=1
        )
    address = f"http://127.0.0.1:{served.port}"
    patients = [{k: p.asked[k] for k in ("id_type", "id_number")} for p in (NURSE, CASE, ELDER)]
    numbers = laboratory.numbered(tmp_path / "north-lab.sequence")
    with laboratory.Line(address) as line:
        ours = laboratory.Laboratory("north-lab", key, line, f"{address}/oauth/token")
        told = list(laboratory.play(ours, patients, numbers))
    first, again, second, refused, other = told
    number = first.partition(":")[0]
    assert first == f"{number}: 3 received, 3 accepted, 0 duplicate, 0 refused"
    assert again == f"sent again with the same key: {number}, nothing counted twice"
    assert second.endswith(": 2 received, 1 accepted, 0 duplicate, 1 refused")
    assert refused == "  refused: row 2, line 2, column result: not_in_list"
    assert other == "of another kind: 403 not_allowed, your scopes do not hold this"
    assert next(laboratory.numbered(tmp_path / "north-lab.sequence")) == 4
    assert {"oauth_token", "sources_send", "sources_rejects"} <= ASKED

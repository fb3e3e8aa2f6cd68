"""The API's description is OpenAPI 3.1, complete, and true: schemathesis asks every route what it promises."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import schemathesis
from fastapi import Response
from house import RECORD, House
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from makers import canaries
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks as openapi_checks

from kangma.gateway.register import schema
from kangma.gateway.register.answers import answer
from kangma.gateway.register.description import operations
from kangma.incidents.life import Role


def test_the_description_is_openapi_3_1(at_home: House) -> None:
    told = at_home.client().get("/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(told).validate()


def test_every_route_for_programs_is_in_it(at_home: House) -> None:
    told = at_home.client().get("/openapi.json").json()
    there = {(path, method.upper()) for path, methods in told["paths"].items() for method in methods}
    routes = {(p, m) for p, m, r in operations(at_home.app) if r.include_in_schema}
    assert there == routes
    assert all(told["paths"][p][m.lower()].get("description") or p == "/v1/accounts" for p, m in there)
    ids = [o["operationId"] for path in told["paths"].values() for o in path.values()]
    assert len(ids) == len(set(ids))


def test_the_page_of_it_asks_nobody_else(at_home: House) -> None:
    page = at_home.client().get("/docs").text
    assert "/v1/incidents/{id}" in page
    assert "<script" not in page
    assert "http" not in page.replace("https://register.example/docs?lang=", "")  # itself, in either language


# Every route, asked by schemathesis in this process

#: Left out, and why: `positive_data_acceptance`, since a schema cannot say all of a record's rules (a technique's name is
#: the table's, a range does not run backwards) nor that a ceremony must be ours; the other checks hold of all routes.
CHECKS = tuple(
    getattr(openapi_checks, name)
    for name in (
        "status_code_conformance", "content_type_conformance", "response_schema_conformance",
        "negative_data_rejection", "missing_required_header", "unsupported_method", "allow_header_conformance",
    )
)  # fmt: skip
CHECKS = (not_a_server_error, *CHECKS)


def drive(made: House, role: Role | None, examples: int, only: str = "") -> tuple[int, set[str]]:
    """(cases, operations) asked as that role; fails with the case that broke a promise."""
    asked = schemathesis.openapi.from_asgi("/openapi.json", made.app, headers={"host": "register.example"})
    cases, seen = 0, set[str]()
    headers = {"host": "register.example"}
    if role is not None:
        headers["authorization"] = f"Bearer {made.tokens[role]}"
    for found in asked.get_all_operations():
        operation = found.ok()
        if only and operation.label != only:
            continue
        seen.add(operation.label)
        for mode in GenerationMode:

            @settings(
                max_examples=examples, database=None, deadline=None, derandomize=True,
                suppress_health_check=list(HealthCheck), phases=(Phase.generate,),
            )  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                nonlocal cases
                cases += 1
                case.call_and_validate(headers=headers, checks=list(CHECKS))

            with contextlib.suppress(Unsatisfiable):
                ask()
    return cases, seen


def test_every_route_keeps_what_it_promises(at_home: House) -> None:
    at_home.publish(RECORD)
    cases, seen = drive(at_home, Role.ADMINISTRATOR, examples=1)
    assert len(seen) > 50
    assert cases > 80
    assert 500 not in {e.get("status") for e in at_home.events.lines}


@pytest.mark.prove
@pytest.mark.parametrize("role", [None, Role.READER, Role.EDITOR, Role.ADMINISTRATOR])
def test_every_route_keeps_what_it_promises_to_every_role(at_home: House, role: Role | None) -> None:
    at_home.publish(RECORD)
    cases, seen = drive(at_home, role, examples=60)
    print(f"{role}: {cases} cases of {len(seen)} operations")


def test_a_list_shows_of_the_fullest_record_what_it_promises(at_home: House) -> None:
    at_home.publish(canaries() | {"id": "full"})
    schema.Found.model_validate(at_home.client(Role.READER).get("/v1/incidents").json())


def test_what_is_described_is_described_by_somebody(at_home: House) -> None:
    """A dataclass without a docstring has its signature for one, which tells nobody anything."""
    told = at_home.client().get("/openapi.json").json()["components"]["schemas"]
    assert [name for name, one in told.items() if one.get("description", "").startswith(f"{name}(")] == []


def test_a_value_that_is_left_out_is_named(at_home: House) -> None:
    """Nothing is guessed from what is not said, unless the form says what that means."""
    told = at_home.client().get("/openapi.json").json()["components"]["schemas"]
    assert told["Motive"]["properties"]["basis"]["default"] == "speculated"
    assert told["Source"]["properties"]["reliability"]["default"] == "F"
    assert told["Figure"]["properties"]["exactness"]["default"] == "about"


def test_a_route_that_promises_something_else_is_caught(at_home: House) -> None:
    """The control."""
    at_home = at_home.alone()

    @at_home.app.get("/v1/liar", responses={200: {"model": schema.Me}})
    def liar() -> Response:
        return answer({"account": 7})

    with pytest.raises(BaseException, match=r"(?s)schema|Response violates"):
        drive(at_home, None, examples=1, only="GET /v1/liar")

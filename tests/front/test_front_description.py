"""The description of the API is exact: one that a linter passes, whose examples are lived through, and that the pages'
types and the clients in `examples/` agree with."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hamlet import hamlet, unlimited
from openapi_spec_validator import validate
from story import Story, differences, evidence

from kangma.errors import Corrupt
from kangma.gateway.front.app import Plane, _bare
from kangma.gateway.front.description import story
from kangma.gateway.front.typescript import written
from kangma.gateway.front.who.rights import Role
from kangma.gateway.register.problems import MEDIA

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    said: dict[str, Any] = _bare(Plane.WHOLE).openapi()
    return said


def operations(told: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in told["paths"].items():
        for method, one in methods.items():
            yield f"{method.upper()} {path}", one


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    """Every object that says of which type something is."""
    if isinstance(value, dict):
        if "type" in value and not isinstance(value["type"], dict):
            yield value
        for name, inner in value.items():
            if name not in ("examples", "example"):
                yield from schemas(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from schemas(inner)


def lint(told: Mapping[str, Any]) -> list[str]:
    """What is wrong with a description, by our own rules; the standard's are `validate`'s."""
    wrong: list[str] = []
    names = [one.get("operationId", "") for _, one in operations(told)]
    tags, components = {t["name"] for t in told["tags"] if t.get("description")}, told["components"]
    for what, one in operations(told):
        faults = {
            "operationId": names.count(one.get("operationId")) != 1 or not re.fullmatch(r"[a-z_]+", one["operationId"]),
            "summary": not 10 <= len(one.get("summary", "")) <= 120,
            "description": not one.get("description"),
            "tags": len(one.get("tags", ())) != 1 or not set(one["tags"]) <= tags,
            "security": not _secured(one, components["securitySchemes"]),
            "example": not _exemplified(one),
        }  # fmt: skip
        wrong += [f"{what}: {rule}" for rule, broken in faults.items() if broken]
        for parameter in one.get("parameters", ()):
            if not parameter.get("description") or "schema" not in parameter:
                wrong.append(f"{what}: parameter {parameter['name']} is not described")
            if parameter["in"] not in ("path", "header"):
                wrong.append(f"{what}: {parameter['name']} in {parameter['in']}")
        for status, answer in one["responses"].items():
            said = components["responses"][answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
            content = said.get("content", {})
            failed = status == "default" or int(status) >= 400
            known = {MEDIA} if failed else {m for m in content if m != MEDIA}
            if what == "POST /oauth/token" and status in ("400", "401"):
                known = {"application/json"}  # in the words of RFC 6749
            elif what == "GET /public/{path}" and status == "416":
                known = set()  # the answer of RFC 9110: which range there would be
            elif failed and content.get(MEDIA, {}).get("schema") != {
                "$ref": "#/components/schemas/ProblemSaid"
            }:
                wrong.append(f"{what}: {status} is no ProblemSaid")
            if content.keys() != known or not said.get("description"):
                wrong.append(f"{what}: {status} says {sorted(content)}")
    for schema in schemas([components["schemas"], told["paths"], told["webhooks"]]):
        if schema["type"] == "object" and schema.get("additionalProperties", True) is True:
            wrong.append(f"open: {schema.get('title')}")
    return wrong


def _secured(one: Mapping[str, Any], schemes: Mapping[str, Any]) -> bool:
    role = Role(one["x-role"])
    wanted = [] if role is Role.NOBODY else [{role.value: []}]
    return one.get("security") == wanted and all(name in schemes for need in wanted for name in need)


def _exemplified(one: Mapping[str, Any]) -> bool:
    """Its path and body, and what it answers with JSON, have an example."""
    asked = [p for p in one.get("parameters", ()) if p["in"] == "path"]
    asked += (
        one.get("requestBody", {}).get("content", {}).values()
        if len(one.get("requestBody", {}).get("content", {})) == 1
        else []
    )
    said = [
        content["application/json"]
        for status, answer in one["responses"].items()
        if status.startswith("2") and "application/json" in (content := answer.get("content", {}))
    ]
    shown = [x.get("examples") for x in said]
    told = all(x.get("examples") for x in asked) and (any(shown) or not shown)
    return told or one["operationId"] == "description_described"  # which would hold itself


def test_the_description_is_openapi_3_1_and_keeps_our_rules(told: dict[str, Any]) -> None:
    validate(told)
    assert told["openapi"].startswith("3.1")
    assert lint(told) == []


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("paths /v1/bindings post", "summary"), ("paths /v1/bindings post", "operationId"),
        ("paths /v1/bindings post", "tags"),
        ("paths /v1/me/code get", "security"), ("components schemas Named", "additionalProperties"),
        ("components responses Problem404 content", MEDIA),
        ("paths /v1/bindings post requestBody content application/json", "examples"),
        ("paths /v1/me/devices/{device} delete parameters 0", "description"),
    ],
)  # fmt: skip
def test_each_rule_finds_what_breaks_it(told: dict[str, Any], place: str, key: str) -> None:
    """The control."""
    broken = copy.deepcopy(told)
    inner: Any = broken
    for step in place.split():
        inner = inner[int(step) if step.isdigit() else step]
    del inner[key]
    assert lint(broken)


# the examples --------------------------------------------------------------------------------------------------------


def test_every_example_is_sent_and_answered_as_the_description_says(
    tmp_path: Path, told: dict[str, Any]
) -> None:
    with hamlet(tmp_path, defence=unlimited()) as door:
        lived = list(Story(door).live(story()))
    assert {step["operation"] for step, _ in lived} == {one["operationId"] for _, one in operations(told)}
    for step, today in lived:
        what = f"{step['operation']} ({step['title']})"
        assert step["status"] == today["status"] < 300, (what, today.get("said"))
        assert step.get("answered") == today.get("answered"), what
        if step["operation"] != "public_file":  # the newest release has new names for everything
            assert list(differences(step.get("said"), today.get("said"))) == [], what


def test_an_example_that_is_not_so_is_found(tmp_path: Path) -> None:
    """The control."""
    said = {"colour": "green", "token": "a", "holds": []}
    assert list(differences(said, said | {"token": "b"})) == []
    assert list(differences(said, said | {"colour": "red"}))
    assert list(differences(said, said | {"more": 1}))
    assert list(differences(said, said | {"holds": [1]}))


# who takes their word from it ----------------------------------------------------------------------------------------


def test_the_pages_types_are_the_description(told: dict[str, Any]) -> None:
    file = ROOT / "web/src/look/described.ts"
    assert file.read_text("utf-8") == written(told), (
        f"python -m kangma.gateway.front.typescript {file.relative_to(ROOT)}"
    )


def test_a_schema_that_types_cannot_say_is_refused(told: dict[str, Any]) -> None:
    for schema in ({"type": "object"}, {"oneOf": []}, {"type": "string", "not": {}}):
        broken = copy.deepcopy(told)
        broken["components"]["schemas"]["Named"]["properties"]["name"] = schema
        with pytest.raises(Corrupt):
            written(broken)


def test_nobody_real_is_in_the_examples() -> None:
    numbers = {row["id_number"] for rows in evidence().values() for row in rows}
    assert numbers == {"EX0000001", "EX0000002", "EX0000003"}
    assert not re.search(r"\d{17}[\dX]|1[3-9]\d{9}\b", str([s for s in story() if "png" not in str(s)]))


def test_the_description_says_that_a_device_is_seen_when_it_renews_its_token(told: dict[str, Any]) -> None:
    about = told["components"]["schemas"]["DeviceSaid"]["description"]
    assert "`seen_at`: when the device last renewed its token by its key" in about


def test_what_stays_of_a_body_on_the_disk_is_said_as_it_is() -> None:
    page = (ROOT / "docs/gateway.md").read_text("utf-8")
    assert "on no disk" not in page
    assert "refused rows as they were sent" in page

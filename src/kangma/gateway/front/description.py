"""OpenAPI 3.1 of the front door, completed from the routes themselves: who may call them, what they take, how they fail.

Names, summaries and tags follow from the handlers and the rights; examples are one story that was lived through
(`examples.json`, made and checked by tests/front/test_front_story.py).
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from kangma.gateway.front.schema import ProblemSaid
from kangma.gateway.front.who.rights import Needs, Purpose, Role, needs_of, operations
from kangma.gateway.register.description import calls
from kangma.gateway.register.problems import MEDIA, TITLES
from kangma.gateway.register.sent import Sent, SentBytes
from kangma.incidents import canonical

ABOUT = (
    "Health codes: binding a document, showing and verifying a code, sending evidence, checking a passenger. A document "
    "number is taken in a body and in no address. Parameters and fields that are not known are refused. Failures are "
    "RFC 9457 problems."
)
_AT = "#/components/schemas/"
_BEARER: Mapping[str, Any] = {"type": "http", "scheme": "bearer"}
#: Role → its tag and how it proves itself.
WHO: Mapping[Role, tuple[str, dict[str, Any]]] = {
    Role.NOBODY: ("Anybody, without a token: what verifies codes, and the ways to a token.", {}),
    Role.RESIDENT: (
        "Residents, each with their own.",
        {
            **_BEARER,
            "description": "The token of POST /v1/bindings/{binding}/confirm or /v1/tokens; it lives 30 days.",
        },
    ),
    Role.VENUE: (
        "The devices of doors.",
        {
            **_BEARER,
            "description": "What the device draws from its key for this minute: docs/formats/venue-code.md.",
        },
    ),
    Role.SOURCE: (
        "Laboratories, clinics and whoever else brings evidence.",
        {
            **_BEARER,
            "description": "The token of POST /oauth/token, with a scope `source:…`; it lives ten minutes.",
        },
    ),
    Role.PARTNER: (
        "Ride-hailing platforms.",
        {
            **_BEARER,
            "description": "The token of POST /oauth/token, with the scope `ride:check`; it lives ten minutes.",
        },
    ),
}
_RETRY = {
    "Retry-After": {
        "description": "Seconds, with chance in it.",
        "required": True,
        "schema": {"type": "integer"},
    }
}
_CHALLENGE = {"WWW-Authenticate": {"description": "Bearer", "required": True, "schema": {"type": "string"}}}
_WORK = {
    "name": "Kangma-Work", "in": "header", "required": False, "schema": {"type": "string"},
    "description": "While the door is under attack: the solution of the `work` that the last refusal asked for, base64 "
    "of JSON with algorithm, challenge, number, salt and signature. Not looked at otherwise.",
}  # fmt: skip


def described(request: Request) -> Response:
    """This description."""
    return Response(canonical.dumps(request.app.openapi()), media_type="application/json")


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _described(app)
    return app.openapi_schema


def _described(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", description=ABOUT, routes=app.routes,
        webhooks=app.webhooks.routes,
    )  # fmt: skip
    made["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    made["tags"] = [{"name": role.value, "description": about} for role, (about, _) in WHO.items()]
    for item in made["webhooks"].values():
        told = item["post"]
        told |= {
            "operationId": "partner_turned",
            "tags": [Role.PARTNER.value],
            "security": [],
            "summary": "A code turned",
        }
        told["description"] = _flowing(told["description"])
        told["responses"] = {"2XX": {"description": "Had."}, "default": {"description": "Sent again."}}
    models: list[type[BaseModel]] = [ProblemSaid]
    statuses: set[int] = set()
    for path, method, route in operations(app):
        if not route.include_in_schema:
            continue
        told = made["paths"][path.replace(":path", "")][method.lower()]
        needs = needs_of(route)
        assert needs is not None
        told |= _names(route, needs)
        told["x-role"], told["x-purpose"], told["x-own"] = needs.role, needs.purpose, needs.own
        if needs.scope:
            told["x-scope"] = needs.scope
        told["security"] = [] if needs.role is Role.NOBODY else [{needs.role.value: []}]
        if needs.role is Role.NOBODY and needs.purpose is Purpose.BIND:
            told.setdefault("parameters", []).append(copy.deepcopy(_WORK))
        takes = False
        for call in calls(route):
            if isinstance(call, Sent):
                models.append(call.model)
                content: dict[str, Any] = {call.media[0]: {"schema": {"$ref": _AT + call.model.__name__}}}
                told["requestBody"] = {
                    "required": "required" in call.model.model_json_schema(),
                    "content": content,
                }
                takes = True
            elif isinstance(call, SentBytes):
                told["requestBody"] = {"required": True, "content": {media: {} for media in call.media}}
                takes = True
        statuses |= _fail(told, needs, path, takes)
    _, defined = models_json_schema([(m, "validation") for m in models], ref_template=_AT + "{model}")
    components = made.setdefault("components", {})
    schemas = {**defined.get("$defs", {}), **components.get("schemas", {})}
    for framework in ("HTTPValidationError", "ValidationError"):
        schemas.pop(framework, None)
    components["schemas"] = dict(sorted(schemas.items()))
    components["responses"] = {f"Problem{n}": _problem(n) for n in sorted(statuses)}
    components["responses"]["Problem"] = _problem(None)
    components["securitySchemes"] = {role.value: scheme for role, (_, scheme) in WHO.items() if scheme}
    _exemplify(made)
    return made


def _names(route: Any, needs: Needs) -> dict[str, Any]:
    """operationId, tag, summary (the first sentence of the handler's promise) and description (all of it)."""
    handler = route.endpoint
    text = _flowing(handler.__doc__ or "")
    return {
        "operationId": f"{handler.__module__.rpartition('.')[2]}_{handler.__name__}", "tags": [needs.role.value],
        "summary": _first(text), "description": text,
    }  # fmt: skip


def _first(text: str) -> str:
    """The first sentence; of a long one what stands before its colon."""
    first = text.partition(". ")[0].removesuffix(".")
    return first if len(first) <= 100 else first.partition(": ")[0]


def _flowing(text: str) -> str:
    return " ".join(text.split())


def _fail(told: dict[str, Any], needs: Needs, path: str, takes: bool) -> set[int]:
    """Says how the operation fails, by what it takes; what it already said of these statuses stands. The statuses."""
    answers = told["responses"]
    answers.pop("422", None)
    found = {400, 429, 503} | {int(n) for n in told.pop("x-fails", ())}
    if needs.role is not Role.NOBODY:
        found |= {401, 403}
    if "{" in path:
        found |= {404, 422}
    if takes:
        found |= {413, 415, 422}
    for status in sorted(found):
        answers.setdefault(str(status), {"$ref": f"#/components/responses/Problem{status}"})
    answers["default"] = {
        "$ref": "#/components/responses/Problem"
    }  # from the layers, whatever is asked for: 405, 421, 431, 500
    for status, answer in answers.items():
        if answer.get("description") == "Successful Response":
            answer["description"] = _SAID.get(status, "Done.")
    told["responses"] = dict(sorted(answers.items()))
    return found


_SAID = {
    "201": "Made.",
    "202": "Asked for.",
    "204": "Done, and nothing to say.",
    "206": "A part.",
    "304": "As it was.",
}


def _problem(status: int | None) -> dict[str, Any]:
    about = "Any other problem" if status is None else TITLES[status]
    made = {"description": about, "content": {MEDIA: {"schema": {"$ref": _AT + "ProblemSaid"}}}}
    if status in (429, 503):
        made["headers"] = _RETRY
    if status == 401:
        made["headers"] = _CHALLENGE
    return made


# examples ------------------------------------------------------------------------------------------------------------


@functools.cache
def story() -> list[dict[str, Any]]:
    """The examples in the order in which they were lived: {operation, title, path, headers, sent, media, status, said}.
    What is missing was not there."""
    told: list[dict[str, Any]] = json.loads((Path(__file__).parent / "examples.json").read_bytes())
    return told


def _exemplify(made: dict[str, Any]) -> None:
    """Puts each step of the story where OpenAPI has its examples."""
    at = {told["operationId"]: told for methods in made["paths"].values() for told in methods.values()}
    for step in story():
        told, name = at[step["operation"]], step["title"]
        for parameter in told.get("parameters", ()):
            place = step["path"] if parameter["in"] == "path" else step["headers"]
            if parameter["name"] in place:
                parameter.setdefault("examples", {})[name] = {"value": place[parameter["name"]]}
        if "sent" in step:
            told["requestBody"]["content"][step["media"]].setdefault("examples", {})[name] = {
                "value": step["sent"]
            }
        if "said" in step:
            content = told["responses"][str(step["status"])]["content"]
            content[step["answered"]].setdefault("examples", {})[name] = {"value": step["said"]}

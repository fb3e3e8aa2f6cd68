"""OpenAPI 3.1 of the front door, completed from the routes themselves: who may call them, what they take."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from kangma.gateway.front.rights import Role, needs_of, operations
from kangma.gateway.front.schema import ProblemSaid
from kangma.gateway.register.description import calls
from kangma.gateway.register.problems import MEDIA
from kangma.gateway.register.sent import Sent, SentBytes
from kangma.incidents import canonical

ABOUT = (
    "Health codes: binding a document, showing and verifying a code, sending evidence, checking a passenger. A document "
    "number is taken in a body and in no address. Parameters and fields that are not known are refused. Failures are "
    "RFC 9457 problems."
)
_AT = "#/components/schemas/"


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
    for item in made["webhooks"].values():
        item["post"]["responses"] = {
            "2XX": {"description": "Had."},
            "default": {"description": "Sent again."},
        }
    models: list[type[BaseModel]] = [ProblemSaid]
    problem = {"description": "A problem", "content": {MEDIA: {"schema": {"$ref": _AT + "ProblemSaid"}}}}
    for path, method, route in operations(app):
        if not route.include_in_schema:
            continue
        told = made["paths"][path.replace(":path", "")][method.lower()]
        needs = needs_of(route)
        assert needs is not None
        told["x-role"], told["x-purpose"], told["x-own"] = needs.role, needs.purpose, needs.own
        told["security"] = [] if needs.role is Role.NOBODY else [{"token": []}]
        told["responses"].pop("422", None)
        told["responses"]["default"] = problem
        for call in calls(route):
            if isinstance(call, Sent):
                models.append(call.model)
                content: dict[str, Any] = {call.media[0]: {"schema": {"$ref": _AT + call.model.__name__}}}
                told["requestBody"] = {"required": True, "content": content}
            elif isinstance(call, SentBytes):
                told["requestBody"] = {"required": True, "content": {media: {} for media in call.media}}
    _, defined = models_json_schema([(m, "validation") for m in models], ref_template=_AT + "{model}")
    components = made.setdefault("components", {})
    schemas = {**defined.get("$defs", {}), **components.get("schemas", {})}
    for framework in ("HTTPValidationError", "ValidationError"):
        schemas.pop(framework, None)
    components["schemas"] = dict(sorted(schemas.items()))
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return made

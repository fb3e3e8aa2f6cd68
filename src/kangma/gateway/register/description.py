"""OpenAPI 3.1 of the API, completed from the routes themselves: who may call them, and what they take as a body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from kangma.gateway.register.asked import Needs, NeedsAny, cookie_of
from kangma.gateway.register.problems import MEDIA
from kangma.gateway.register.sent import Sent, SentBytes

ABOUT = (
    "Records of incidents at two levels of disclosure: what everybody sees, and of the rest how many things there are. "
    "A token (Authorization: Bearer) or a session sees and does what its account may. Times are seconds since "
    "1970-01-01T00:00Z. A parameter that is not known is refused. Failures are RFC 9457 problems."
)


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _described(app)
    return app.openapi_schema


def operations(app: FastAPI) -> Iterator[tuple[str, str, Any]]:
    """(path, method, route) of every route of the app."""
    left: list[Any] = list(app.routes)
    while left:
        route = left.pop(0)
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        if inner is not None:
            left = [*inner, *left]
        elif hasattr(route, "dependant"):
            for method in sorted(route.methods):
                yield route.path_format, method, route


def methods_at(app: FastAPI, path: str) -> list[str]:
    """What may be asked at this address, HEAD wherever GET may (`layers.Headless`) and OPTIONS everywhere; in order."""
    found = {method for _, method, route in operations(app) if route.path_regex.match(path)}
    return sorted({*found, "OPTIONS", *(["HEAD"] if "GET" in found else [])})


def calls(route: Any) -> list[Any]:
    """Whatever a route depends on."""
    found, left = list[Any](), [route.dependant]
    while left:
        dependant = left.pop()
        found.append(dependant.call)
        left += dependant.dependencies
    return found


def right_of(route: Any) -> str | None:
    """The right that a route needs; "member" for any member, None for everybody."""
    needs = [c for c in calls(route) if isinstance(c, Needs)]
    if not needs:
        return None
    return "member" if isinstance(needs[0], NeedsAny) else needs[0].right.value


def _described(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
    models: list[type[BaseModel]] = []
    for path, method, route in operations(app):
        told = made["paths"].get(path, {}).get(method.lower())
        if told is None:
            continue
        if (right := right_of(route)) is not None:
            told["x-right"] = right
            told["security"] = [{"token": []}, {"session": []}]
        else:
            told["security"] = [{}, {"token": []}, {"session": []}]
        for call in calls(route):
            if isinstance(call, Sent):
                models.append(call.model)
                told["requestBody"] = _body({call.media[0]: {"schema": _ref(call.model)}})
            elif isinstance(call, SentBytes):
                told["requestBody"] = _body({media: {} for media in call.media})
        for answer in told["responses"].values():  # failures come as problems, and as nothing else
            content = answer.get("content", {})
            if MEDIA in content and "application/json" in content:
                content[MEDIA] = content.pop("application/json")
    _, defined = models_json_schema([(m, "validation") for m in models], ref_template=_AT + "{model}")
    components = made.setdefault("components", {})
    components["schemas"] = dict(
        sorted({**defined.get("$defs", {}), **components.get("schemas", {})}.items())
    )
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": cookie_of(app.state.register)},
    }
    return made


_AT = "#/components/schemas/"


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _AT + model.__name__}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": content}

"""Whether what was asked and answered is what the description of the API says."""

from __future__ import annotations

import functools
import re
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from kangma.gateway.front.app import Plane, _bare


@functools.cache
def description() -> dict[str, Any]:
    said: dict[str, Any] = _bare(Plane.WHOLE).openapi()
    return said


@functools.cache
def _registry() -> Any:
    return Registry().with_resource(
        "api:",
        Resource.from_contents({"$schema": "https://json-schema.org/draft/2020-12/schema", **description()}),
    )


def _holds(schema: dict[str, Any], value: Any) -> list[str]:
    """Which rules the value breaks, and where; never the value."""
    anchored = _absolute(schema)
    validator = Draft202012Validator(anchored, registry=_registry())
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.validator}" for e in validator.iter_errors(value)]


def _absolute(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: f"api:{v}" if k == "$ref" else _absolute(v) for k, v in value.items()}
    return [_absolute(v) for v in value] if isinstance(value, list) else value


def operation(method: str, path: str) -> dict[str, Any] | None:
    """The operation at an address."""
    for template, methods in description()["paths"].items():
        if (
            re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), path)
            and method.lower() in methods
        ):
            one: dict[str, Any] = methods[method.lower()]
            return one
    return None


def disagreements(method: str, path: str, status: int, media: str, said: Any, sent: Any = None) -> list[str]:
    """What of a call is not as described: the address, what was sent (None: not looked at), the status, the answer.
    `said` is the JSON of the answer."""
    one = operation(method, path)
    if one is None:
        return [f"no {method} {path.split('/')[1]}"]
    answer = one["responses"].get(str(status))
    if answer is None:
        return [f"{one['operationId']}: {status} is not listed"]
    if "$ref" in answer:
        answer = description()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    content, found = answer.get("content", {}), list[str]()
    media = media.partition(";")[0]
    if content and media not in content:
        found.append(f"{status} as {media}")
    elif media.endswith("json") and "schema" in content.get(media, {}):
        found += _holds(content[media]["schema"], said)
    if sent is not None:
        bodies = [c["schema"] for c in one["requestBody"]["content"].values() if "schema" in c]
        found += [f"sent {fault}" for body in bodies for fault in _holds(body, sent)]
    return [f"{one['operationId']}: {fault}" for fault in found]

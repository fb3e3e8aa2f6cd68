"""Answers for programs, and how the API's description speaks of failures."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from kangma.gateway.register import schema
from kangma.gateway.register.problems import MEDIA
from kangma.incidents import canonical


def answer(value: Any, status: int = 200, **headers: str) -> Response:
    """JSON, written as everywhere else."""
    told = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(canonical.dumps(value), status, headers=told, media_type="application/json")


_TOLD = {"description": "A problem (RFC 9457).", "content": {MEDIA: {}}, "model": schema.Told}
#: Of every route.
PROBLEMS: dict[int | str, dict[str, Any]] = {"4XX": _TOLD, "5XX": _TOLD}

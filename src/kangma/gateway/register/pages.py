"""Pages for people."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from kangma.gateway.register.problems import Problem

router = APIRouter(include_in_schema=False)


@router.get("/")
def home() -> Response:
    return RedirectResponse("/incidents", 303)


def problem_page(request: Request, problem: Problem) -> Response:
    """A failure as a person reads it: the hook that `app.make_app` hands to the error handlers."""
    text = f"<!doctype html><html lang=en><title>{problem.title}</title><h1>{problem.title}</h1>"
    return HTMLResponse(text, problem.status, headers=dict(problem.headers))

"""The register of incidents as one application: which routers, and what every request goes through, in which order."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from kangma.errors import KangmaError
from kangma.gateway.register import api, forms, layers, members, pages
from kangma.gateway.register.asked import cookie_of, only_known
from kangma.gateway.register.description import describe, methods_at
from kangma.gateway.register.problems import Problem, ProblemPage, problem_of, wants_page
from kangma.store.register import Register
from kangma.terms import Moment


class Silent:
    """A log for who wants none."""

    def info(self, event: str, **fields: object) -> None:
        pass

    def warning(self, event: str, **fields: object) -> None:
        pass


def make_app(
    register: Register,
    *,
    clock: Callable[[], Moment],
    log: layers.Log | None = None,
    problem_page: ProblemPage = pages.problem_page,
) -> FastAPI:
    """The application over an open register. `clock` tells whole seconds; nothing else here reads a clock."""
    base = urlsplit(register.about.base)
    names = {base.hostname or "", "localhost", "127.0.0.1", "[::1]"}
    cookie = cookie_of(register)
    log = log or Silent()
    app = FastAPI(
        title=register.about.title,
        version=version("kangma"),
        openapi_url=None, docs_url=None, redoc_url=None,  # our own, without a CDN
        redirect_slashes=False,  # one address, one page
        dependencies=[Depends(only_known)],
    )  # fmt: skip
    app.state.register = register
    app.state.clock = clock

    # Files before pages: `/incidents/{id}.json` is no record called `….json`.
    for router in (forms.router, members.router, api.router, pages.router):
        app.include_router(router)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # as FastAPI documents it

    def tell(request: Request, problem: Problem) -> Response:
        return problem_page(request, problem) if wants_page(request) else problem.response()

    async def told(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status != 405:
            return tell(request, problem)
        # The framework names the methods of the first route that fits; an address may have several.
        allow = {"Allow": ", ".join(methods_at(app, request.scope["path"]))}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=allow)
        return tell(request, replace(problem, headers=allow))

    for kind in (KangmaError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, told)

    def credential(scope: MutableMapping[str, Any]) -> bool:
        request = Request(scope)
        return "authorization" in request.headers or cookie in request.cookies

    # From the route outwards: what is added last is met first.
    app.add_middleware(
        layers.Kept, credential=credential
    )  # needs the whole answer of a GET, HEAD made one before
    app.add_middleware(layers.Headless)
    app.add_middleware(layers.SameSite, cookie=cookie, tell=tell)  # before any route, after the host is ours
    app.add_middleware(
        layers.Limits, tell=tell, credential=credential
    )  # before anybody parses what is too long
    app.add_middleware(
        layers.Hosts, names=names, tell=tell
    )  # first of the judges: other names are not ours to answer
    app.add_middleware(
        layers.Net, log=log, tell=tell
    )  # around all that may fail, within what dresses and hears
    app.add_middleware(layers.Dressed, secure=base.scheme == "https", credential=credential)  # refusals too
    app.add_middleware(layers.Heard, log=log)  # sees what left, whoever made it
    return app

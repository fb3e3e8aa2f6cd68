"""The register of incidents as one application: which routers, and what every request goes through, in which order."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Depends, FastAPI, Request, Response

from kangma.errors import KangmaError
from kangma.gateway.register import pages
from kangma.gateway.register.asked import only_known
from kangma.gateway.register.problems import ProblemPage, problem_of, wants_page
from kangma.store.register import Register
from kangma.terms import Moment


def make_app(
    register: Register, *, clock: Callable[[], Moment], problem_page: ProblemPage = pages.problem_page
) -> FastAPI:
    """The application over an open register. `clock` tells whole seconds; nothing else here reads a clock."""
    app = FastAPI(
        title=register.about.title,
        openapi_url=None, docs_url=None, redoc_url=None,  # our own, without a CDN
        dependencies=[Depends(only_known)],
    )  # fmt: skip
    app.state.register = register
    app.state.clock = clock
    app.include_router(pages.router)

    async def told(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        return problem_page(request, problem) if wants_page(request) else problem.response()

    app.add_exception_handler(KangmaError, told)
    return app

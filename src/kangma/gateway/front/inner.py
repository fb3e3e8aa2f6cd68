"""What operators and their programs ask, on a port of its own that no stranger reaches: health and metrics.

`/health/live`: the program answers. `/health/ready`: it can answer for the city: the state is open and there is a
release to answer from. How old that is, is told and is no reason to stop: phones and doors go on with it.
"""

from __future__ import annotations

from fastapi import Request, Response
from starlette.applications import Starlette
from starlette.routing import Route

from kangma.gateway.front.city import City
from kangma.gateway.front.sensors import Sensors
from kangma.incidents import canonical
from kangma.store.releases import last_release


def make_inner(city: City, sensors: Sensors) -> Starlette:
    """The application of the inner port."""

    def live(_: Request) -> Response:
        return _said(200, {"live": True})

    def ready(_: Request) -> Response:
        answered = city.slots.ready()
        release = last_release(city.state.registry)
        age = None if release is None else max(0, city.now - release.now)
        said: dict[str, object] = {
            "ready": answered is not None,
            "release": None if release is None else release.number,
            "answers_release": answered,
            "release_age_s": age,
        }
        return _said(200 if said["ready"] else 503, said)

    def metrics(_: Request) -> Response:
        return Response(sensors.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(
        routes=[Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics)]
    )


def _said(status: int, what: dict[str, object]) -> Response:
    return Response(canonical.dumps(what), status, media_type="application/json")

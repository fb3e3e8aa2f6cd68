"""What operators and their programs ask, on a port of its own that no stranger reaches: health and metrics.

`/health/live`: the program answers. `/health/ready`: it can answer for the city: the state is open and there is a
release to answer from. How old that is, is told and is no reason to stop: phones and doors go on with it.
`/health/parts`: whether the parts behind this one do their work, by what they leave; 503 while one does not. How old the
lists of other cities are is told there and judged by nobody but the alert: their silence is not our fault.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

from fastapi import Request, Response
from starlette.applications import Starlette
from starlette.routing import Route

from kangma.gateway.front.city import City
from kangma.gateway.front.people import sealed
from kangma.gateway.front.watch.gauges import ages_elsewhere
from kangma.gateway.front.watch.sensors import Sensors
from kangma.incidents import canonical
from kangma.publish.wire import SOCKET
from kangma.store.releases import last_release
from kangma.terms import Moment

#: Status lists are signed anew when they are ten minutes old, so a wheel that turns leaves a release at least so often.
RELEASE_SECONDS = 900


def make_inner(city: City, sensors: Sensors) -> Starlette:
    """The application of the inner port."""

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

    def parts(_: Request) -> Response:
        release, answered = last_release(city.state.registry), city.slots.ready()
        age = None if release is None else max(0, city.now - release.now)
        behind = None if release is None or answered is None else max(0, release.number - answered)
        well = {
            "signer": _listens(city.state.path / "signer" / SOCKET),
            "cycle": age is not None and age <= RELEASE_SECONDS,
            "answers": behind is not None and behind <= 1,
        }
        slots = sealed.ages(city)
        well["slots"] = slots is not None and not slots.late
        ages = {"release_age_s": age, "slots_age_s": None if slots is None else int(slots.oldest)}
        told: dict[str, object] = {**well, **ages, "answers_behind": behind}
        told["elsewhere_age_s"] = dict(ages_elsewhere(city))
        return _said(200 if all(well.values()) else 503, told)

    return _inner(sensors, {"/health/ready": ready, "/health/parts": parts})


def make_read_inner(folder: Path, sensors: Sensors, clock: Callable[[], Moment]) -> Starlette:
    """The same of the read plane: ready while there is a release in the public folder to hand out."""

    def ready(_: Request) -> Response:
        try:
            said = json.loads((folder / "latest.json").read_bytes())
            release, age = int(said["release"]), max(0, clock() - int(said["at"]))
        except (OSError, ValueError, KeyError):
            return _said(503, {"ready": False, "release": None, "release_age_s": None})
        return _said(200, {"ready": True, "release": release, "release_age_s": age})

    return _inner(sensors, {"/health/ready": ready})


def _inner(sensors: Sensors, more: dict[str, Callable[[Request], Response]]) -> Starlette:
    def live(_: Request) -> Response:
        return _said(200, {"live": True})

    def metrics(_: Request) -> Response:
        return Response(sensors.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    addresses = {"/health/live": live, "/metrics": metrics, **more}
    return Starlette(routes=[Route(address, answer) for address, answer in addresses.items()])


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as tried:
        tried.settimeout(1.0)
        try:
            tried.connect(str(path))
        except OSError:
            return False
    return True


def _said(status: int, what: dict[str, object]) -> Response:
    return Response(canonical.dumps(what), status, media_type="application/json")

"""Every route of the front door, and the order of the layers around them, with the reasons: docs/gateway.md.

A route is a line of `ROUTES`: method, path, handler, status, and who may call it for what. There is no other way to add
one, and the application does not start while one lacks its declaration.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from kangma.errors import KangmaError
from kangma.gateway.front import pages, public, schema
from kangma.gateway.front.at_once.desk import Desk
from kangma.gateway.front.at_once.entering import Entering
from kangma.gateway.front.at_once.hot import Hot
from kangma.gateway.front.at_once.shelf import Shelf
from kangma.gateway.front.city import City
from kangma.gateway.front.clients import oauth, partners, sources
from kangma.gateway.front.defence.layers import (
    Admitted,
    Defence,
    Exit,
    Heard,
    Held,
    Known,
    Limiters,
    Pool,
    Table,
    Whole,
)
from kangma.gateway.front.description import describe, described
from kangma.gateway.front.pages import Page
from kangma.gateway.front.people import appeals, export, residents, sealed, venues
from kangma.gateway.front.watch.sensors import Sensors
from kangma.gateway.front.who.rights import Needs, Own, Purpose, Role, require_declared
from kangma.gateway.register import layers
from kangma.gateway.register.asked import only_known
from kangma.gateway.register.problems import Problem, problem_of
from kangma.intake.kinds import KINDS

ANYBODY_TO_VERIFY = Needs(Role.NOBODY, Purpose.VERIFY)
ANYBODY_TO_BIND = Needs(Role.NOBODY, Purpose.BIND)
ANYBODY_TO_READ = Needs(Role.NOBODY, Purpose.ABOUT)
RESIDENT_TO_SHOW = Needs(Role.RESIDENT, Purpose.SHOW, Own.SELF)
RESIDENT_TO_MAKE = Needs(Role.RESIDENT, Purpose.MAKE, Own.SELF)
RESIDENT_TO_SEE = Needs(Role.RESIDENT, Purpose.HISTORY, Own.SELF)
RESIDENT_TO_BIND = Needs(Role.RESIDENT, Purpose.BIND, Own.SELF)
RESIDENT_TO_ENTER = Needs(Role.RESIDENT, Purpose.ENTER, Own.SELF)
RESIDENT_TO_APPEAL = Needs(Role.RESIDENT, Purpose.APPEAL, Own.SELF)
VENUE_TO_SEE = Needs(Role.VENUE, Purpose.VERIFY, Own.SELF)
SOURCE_TO_REPORT = Needs(Role.SOURCE, Purpose.REPORT, Own.SELF, scope="source:{kind}", kinds=frozenset(KINDS))
SOURCE_TO_READ = Needs(Role.SOURCE, Purpose.REPORT, Own.SELF)
PARTNER_TO_CHECK = Needs(Role.PARTNER, Purpose.CHECK, Own.SELF, scope="ride:check")
TAKEN: Mapping[int, type[Any]] = {200: schema.ReceiptSaid, 202: schema.ReceiptSaid}
NOT_GIVEN: Mapping[int, type[Any]] = {400: schema.NoAccess, 401: schema.NoAccess}
PAPER = ("image/png", "application/pdf")


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Callable[..., Any]
    needs: Needs
    status: int = 200
    answer: type[Any] | None = None  # of a handler that makes its response itself
    media: tuple[str, ...] = ()  # what else it may answer with than JSON
    also: tuple[int, ...] = ()  # statuses beside `status` that are no failure
    others: Mapping[int, type[Any]] = field(default_factory=dict)  # what it answers with other statuses
    fails: tuple[int, ...] = ()  # problems beside those that follow from what it takes (`description`)


ROUTES: tuple[Route, ...] = (
    # anybody: what verifies codes, and this API
    Route(
        "GET", "/public/{path:path}", public.file, ANYBODY_TO_VERIFY, media=public.MEDIA, also=(206, 304, 416)
    ),
    Route("GET", "/openapi.json", described, ANYBODY_TO_READ),
    # residents: a document bound to a device, and its tokens
    Route("POST", "/v1/bindings", residents.bind, ANYBODY_TO_BIND, 202),
    Route("POST", "/v1/bindings/{binding}/confirm", residents.confirm, ANYBODY_TO_BIND, 201),
    Route("POST", "/v1/tokens", residents.renew, ANYBODY_TO_BIND, 201, fails=(401,)),
    # residents: the code, and what is shown at doors
    Route("GET", "/v1/me/code", residents.code, RESIDENT_TO_SHOW, answer=schema.CodeSaid),
    Route("POST", "/v1/me/credentials", residents.credentials, RESIDENT_TO_MAKE, 201),
    Route("POST", "/v1/me/slots", sealed.places, RESIDENT_TO_MAKE),
    Route("POST", "/v1/me/paper", residents.paper, RESIDENT_TO_MAKE, 201, schema.Paper, PAPER),
    # residents: what is known of them, and who looked
    Route("GET", "/v1/me/tests", residents.tests, RESIDENT_TO_SEE),
    Route("GET", "/v1/me/vaccinations", residents.vaccinations, RESIDENT_TO_SEE),
    Route("GET", "/v1/me/visits", residents.visits, RESIDENT_TO_SEE),
    Route("GET", "/v1/me/looks", residents.looks, RESIDENT_TO_SEE),
    Route("GET", "/v1/me/export", export.export, RESIDENT_TO_SEE),
    # residents: at a door, and against a hold
    Route("POST", "/v1/me/visits", venues.scan_in, RESIDENT_TO_ENTER, 201),
    Route("POST", "/v1/me/appeals", appeals.file, RESIDENT_TO_APPEAL, 201),
    Route("GET", "/v1/me/appeals", appeals.appeals, RESIDENT_TO_SEE),
    Route("DELETE", "/v1/me/appeals/{appeal}", appeals.withdraw, RESIDENT_TO_APPEAL, 204),
    # doors: how many came
    Route("GET", "/v1/venue", venues.venue, VENUE_TO_SEE),
    # residents: devices, others, leaving
    Route("GET", "/v1/me/devices", residents.devices, RESIDENT_TO_BIND),
    Route("DELETE", "/v1/me/devices/{device}", residents.end_device, RESIDENT_TO_BIND, 204),
    Route("GET", "/v1/me/others", residents.others, RESIDENT_TO_BIND),
    Route("POST", "/v1/me/others", residents.ask_for_another, RESIDENT_TO_BIND, 202),
    Route("POST", "/v1/me/others/{binding}/confirm", residents.add_another, RESIDENT_TO_BIND, 201),
    Route("POST", "/v1/me/children", residents.add_child, RESIDENT_TO_BIND, 201),
    Route("DELETE", "/v1/me/others/{other}", residents.drop_another, RESIDENT_TO_BIND, 204),
    Route(
        "GET", "/v1/me/others/{other}/code", residents.code_of_another, RESIDENT_TO_SHOW, 200, schema.CodeSaid
    ),
    Route(
        "POST", "/v1/me/others/{other}/credentials", residents.credentials_of_another, RESIDENT_TO_MAKE, 201
    ),
    Route("POST", "/v1/me/others/{other}/slots", sealed.places_of_another, RESIDENT_TO_MAKE),
    Route("POST", "/v1/me/others/{other}/visits", venues.scan_in_another, RESIDENT_TO_ENTER, 201),
    Route("GET", "/v1/me/carers", residents.carers, RESIDENT_TO_BIND),
    Route("DELETE", "/v1/me/carers/{carer}", residents.end_carer, RESIDENT_TO_BIND, 204),
    Route("DELETE", "/v1/me", residents.leave, RESIDENT_TO_BIND, 204),
    # residents: one partner may ask about one ride
    Route("GET", "/v1/me/rides", partners.rides, RESIDENT_TO_SHOW),
    Route("POST", "/v1/me/rides", partners.agree, RESIDENT_TO_SHOW, 201, fails=(409,)),
    Route("DELETE", "/v1/me/rides/{own_ride}", partners.withdraw, RESIDENT_TO_SHOW, 204),
    # clients: a token, by their own key
    Route("POST", "/oauth/token", oauth.token, ANYBODY_TO_BIND, 200, schema.Access, others=NOT_GIVEN),
    # sources: evidence, and what became of it
    Route(
        "POST",
        "/source/v1/{kind}",
        sources.send,
        SOURCE_TO_REPORT,
        201,
        schema.ReceiptSaid,
        others=TAKEN,
        fails=(409,),
    ),
    Route("GET", "/source/v1/receipts/{receipt}", sources.receipt, SOURCE_TO_READ),
    Route(
        "GET", "/source/v1/receipts/{receipt}/rejects", sources.rejects, SOURCE_TO_READ, answer=schema.Rejects
    ),
    # partners: whether this passenger may ride
    Route("POST", "/partner/v1/rides/{ride}/check", partners.check, PARTNER_TO_CHECK, 200, schema.Checked),
    Route("POST", "/partner/v1/checks", partners.checks, PARTNER_TO_CHECK, 200, schema.ManyChecked),
    Route("DELETE", "/partner/v1/rides/{ride}", partners.end, PARTNER_TO_CHECK, 204),
    Route("GET", "/partner/v1/keys", partners.keys, ANYBODY_TO_READ),
)


class Plane(StrEnum):
    """Which of the routes a process answers."""

    WHOLE = "whole"  # all of them: one address, one process
    READ = "read"  # the public folder and the pages: nothing that is anybody's own
    WRITE = "write"  # everything else


class Silent:
    """A log for who wants none."""

    def info(self, event: str, **fields: object) -> None:
        pass

    def warning(self, event: str, **fields: object) -> None:
        pass


def make_app(
    city: City,
    *,
    hosts: Iterable[str],
    plane: Plane = Plane.WHOLE,
    secure: bool = False,
    log: layers.Log | None = None,
    defence: Defence | None = None,
    sensors: Sensors | None = None,
) -> Desk:
    """The application over an open city, whole or its write plane. `hosts`: names under which it is reached; others are
    refused. `secure`: it stands behind https."""
    log, defence, sensors = log or Silent(), defence or Defence(), sensors or Sensors()
    app, names, limiters = _bare(plane), _names(hosts), Limiters(defence.rates, defence.together)
    app.state.city, app.state.public = city, city.public
    shelf = None if plane is Plane.WRITE else pages.pages()
    known, files = _layer(app, city, names, limiters, secure, log, defence, sensors, shelf)

    show = limiters.of(Role.RESIDENT, Purpose.SHOW)
    tight = limiters.of(Role.RESIDENT, Purpose.SHOW, strict=True)
    ticks, alarm = defence.ticks, defence.alarm

    def admit(slot: int) -> bool:
        if (tight if alarm.on else show).after(slot, ticks()):
            return False  # the ordinary way says so
        sensors.codes += 1
        return True

    enter = limiters.of(Role.RESIDENT, Purpose.ENTER)

    def entered() -> None:
        sensors.scan_ins += 1

    ours = _ours(names)
    behind = Entering(
        known, city, ours=ours, admit=lambda slot: not enter.after(slot, ticks()), count=entered
    )
    hot = Hot(behind, city, ours=ours, admit=admit)
    return Desk(hot, known, files, hot)


def make_read_plane(
    folder: Path,
    *,
    hosts: Iterable[str],
    secure: bool = False,
    log: layers.Log | None = None,
    defence: Defence | None = None,
    sensors: Sensors | None = None,
) -> Desk:
    """The public folder at `folder` and the pages, behind the same layers. It opens no state, no vault and no key, and
    looks at no token."""
    log, defence, sensors = log or Silent(), defence or Defence(), sensors or Sensors()
    app = _bare(Plane.READ)
    app.state.public = folder
    limiters = Limiters(defence.rates, defence.together)
    known, files = _layer(app, None, _names(hosts), limiters, secure, log, defence, sensors, pages.pages())
    return Desk(known, known, files)


def _names(hosts: Iterable[str]) -> frozenset[str]:
    return frozenset(hosts) | {"localhost", "127.0.0.1", "[::1]"}


def _bare(plane: Plane) -> FastAPI:
    """The routes of a plane, each with its declaration. Whatever it answers, the description is of all of them: the world
    has one address."""
    app = FastAPI(
        title="Kangma",
        version=version("kangma"),
        openapi_url=None, docs_url=None, redoc_url=None,  # our own, without a CDN
        redirect_slashes=False,  # one address, one thing
        dependencies=[Depends(only_known)],
    )  # fmt: skip
    for route in ROUTES:
        if plane is Plane.WHOLE or (plane is Plane.READ) == (route.handler is public.file):
            add(app, route)
    if plane is not Plane.WRITE:
        for address, page in pages.pages().items():
            add(app, Route("GET", address, pages.handler(page), ANYBODY_TO_VERIFY), listed=False)
    require_declared(app)
    app.webhooks.add_api_route("ride-turned", partners.turned, methods=["POST"], status_code=204)
    whole = _bare(Plane.WHOLE) if plane is Plane.WRITE else app
    app.openapi = lambda: describe(whole)  # type: ignore[method-assign]  # as FastAPI documents it
    return app


def _layer(
    app: FastAPI,
    city: City | None,
    names: frozenset[str],
    limiters: Limiters,
    secure: bool,
    log: layers.Log,
    defence: Defence,
    sensors: Sensors,
    shelf: Mapping[str, Page] | None,
) -> tuple[Known, Shelf | None]:
    """The layers around the routes. Without a city there are only routes for everybody. `shelf`: pages, where these
    and the public folder are answered."""
    table, admission, alarm = Table(app), defence.admission(), defence.alarm
    admission.pressed = lambda: alarm.pressed
    sensors.watch("at_work", "Requests at work now", lambda: admission.at_work)
    sensors.watch("room", "Requests that may be at work at once", lambda: admission.room)

    pool = Pool(defence, sensors)

    def tell(request: Request, problem: Problem) -> Response:
        return problem.response()

    async def told(request: Request, error: Exception) -> Response:
        return problem_of(error).response()

    for kind in (KangmaError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, told)

    def credential(scope: MutableMapping[str, Any]) -> bool:
        return any(k == b"authorization" for k, _ in scope["headers"])

    # From the route outwards: what is added last is met first. docs/gateway.md says more of each.
    app.add_middleware(layers.Headless)  # the layers outside have read the method
    app.add_middleware(
        Admitted, admission=admission, defence=defence, sensors=sensors, tell=tell
    )  # last of the judges: what is counted here is ready to be done
    app.add_middleware(Whole, tell=tell)  # so that nobody at work waits for a slow sender
    app.add_middleware(
        layers.Limits, tell=tell, credential=credential
    )  # before anybody parses what is too long
    app.add_middleware(layers.Hosts, names=names, tell=tell)  # other names are not ours to answer
    app.add_middleware(
        layers.Net, log=log, tell=tell
    )  # around all that may fail, within what dresses and hears
    app.add_middleware(Held, pool=pool)  # whoever refused within a route
    app.add_middleware(layers.Dressed, secure=secure, credential=credential)  # refusals too
    app.add_middleware(Heard, log=log, sensors=sensors)  # sees what left, whoever made it
    exit = Exit(pool, sensors, layers.Dressed(app, secure, credential))
    # What anybody may read, without the layers that it does not need; and before all, and outside of the framework, who
    # calls: what is refused at a glance costs little.
    files = None if shelf is None else Shelf(app, app.state.public, shelf, _ours(names), exit)
    return Known(files or app, city, defence, limiters, sensors, table, admission, exit), files


_THREAD = threading.local()
BEHIND = 10


def behind(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler, whose thread stands behind the loop's: what takes long never keeps a code from being shown."""

    if inspect.iscoroutinefunction(handler):
        return handler  # it has no thread

    @functools.wraps(handler)
    def politely(*args: Any, **given: Any) -> Any:
        if (
            not getattr(_THREAD, "behind", False)
            and threading.current_thread() is not threading.main_thread()
        ):
            _THREAD.behind = True
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)
        return handler(*args, **given)

    return politely


def add(app: FastAPI, route: Route, *, listed: bool = True) -> None:
    """A line of the table becomes a route; one that is not `listed` is no part of the API's description."""
    more: dict[str, Any] = {} if route.answer is None else {"response_model": route.answer}
    if route.media:
        content: dict[str, Any] = {media: {} for media in route.media}
        more["responses"] = {
            status: {"content": content if status < 300 else {}} for status in (route.status, *route.also)
        }
        if route.answer is None:
            more["response_class"] = Response
    if route.others:
        more["responses"] = {status: {"model": model} for status, model in route.others.items()}
    if route.fails:
        more["openapi_extra"] = {"x-fails": list(route.fails)}
    app.add_api_route(
        route.path,
        behind(route.handler),
        methods=[route.method],
        status_code=route.status,
        dependencies=[Depends(route.needs)],
        include_in_schema=listed,
        **more,
    )


def _ours(names: frozenset[str]) -> Callable[[bytes], bool]:
    """Whether a Host header names us. What is asked again and again is remembered; a stranger cannot fill the memory."""
    known: dict[bytes, bool] = {}

    def ours(host: bytes) -> bool:
        found = known.get(host)
        if found is None:
            found = layers.host_name(host.decode("latin-1")) in names
            if len(known) < 64:
                known[host] = found
        return found

    return ours

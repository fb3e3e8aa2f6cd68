"""The register in other forms, by link: feeds, one record's files, the log's folder, the API's description, and whether
all is well. For everybody: what stands here is what strangers see, but for one record's files, which follow their viewer.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameter

from kangma.gateway.register import house, schema
from kangma.gateway.register.answers import PROBLEMS, answer
from kangma.gateway.register.api import MEDIA, Form, Id, written
from kangma.gateway.register.asked import Asked, Here, Now, Viewer
from kangma.gateway.register.problems import NotThere
from kangma.incidents.exchange import feeds
from kangma.store.durable import unavailable_when_the_disk_is

router = APIRouter(responses=PROBLEMS)
Language = Annotated[str, Parameter(pattern="^(zh|en)$", description="zh or en.")]


# Feeds: of what strangers see, whoever asks


@router.get(
    "/incidents.atom",
    tags=["feeds"],
    responses={200: {"description": "Atom (RFC 4287).", "content": {"application/atom+xml": {}}}},
)
def atom(register: Here, now: Now, query: Asked, lang: Language = "en") -> Response:
    """The 50 newest versions of what is found."""
    made = feeds.atom(register.newest(query, feeds.ITEMS, now=now), register.about, lang)
    return Response(made, media_type="application/atom+xml; charset=utf-8")


@router.get(
    "/incidents.json",
    tags=["feeds"],
    responses={200: {"description": "JSON Feed 1.1.", "content": {"application/feed+json": {}}}},
)
def json_feed(register: Here, now: Now, query: Asked, lang: Language = "en") -> Response:
    """The 50 newest versions of what is found."""
    made = feeds.json_feed(register.newest(query, feeds.ITEMS, now=now), register.about, lang)
    return Response(made, media_type="application/feed+json")


# One record's files, as its viewer sees it

_FORMS = {"json": Form.JSON, "stix": Form.STIX, "veris": Form.VERIS}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {media: {} for media in dict.fromkeys(MEDIA.values())}}
}


def _one(register: Here, now: Now, viewer: Viewer, id: str, form: Form) -> Response:
    entry = register.show(id, viewer, now=now).entry
    return Response(written([entry], form, register), media_type=MEDIA[form])


@router.get("/incidents/{id}.json", tags=["reading"], responses=_FILE)
def as_json(register: Here, now: Now, viewer: Viewer, id: Id) -> Response:
    """One record as a collection of one."""
    return _one(register, now, viewer, id, Form.JSON)


@router.get("/incidents/{id}.stix", tags=["reading"], responses=_FILE)
def as_stix(register: Here, now: Now, viewer: Viewer, id: Id) -> Response:
    """One record as a STIX 2.1 bundle."""
    return _one(register, now, viewer, id, Form.STIX)


@router.get("/incidents/{id}.veris", tags=["reading"], responses=_FILE)
def as_veris(register: Here, now: Now, viewer: Viewer, id: Id) -> Response:
    """One record in VERIS 1.4.1; a list of none when no year of it is shown."""
    return _one(register, now, viewer, id, Form.VERIS)


# The log, as files (C2SP tiles)

_LOG = re.compile(r"checkpoint|tile/(?:entries|\d{1,2})(?:/x\d{3})*/\d{3}(?:\.p/\d{1,3})?", re.ASCII)


@router.get(
    "/log/{name:path}",
    tags=["checking"],
    responses={
        200: {"description": "A file.", "content": {"application/octet-stream": {}, "text/plain": {}}}
    },
)
def log(register: Here, name: str) -> Response:
    """The transparency log: `checkpoint` and tiles (C2SP tlog-tiles)."""
    if not _LOG.fullmatch(name):
        raise NotThere
    try:
        with unavailable_when_the_disk_is():
            content = (register.path / "public" / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NotThere from None
    if name == "checkpoint":
        return Response(
            content, media_type="text/plain; charset=utf-8", headers={"cache-control": "public, max-age=5"}
        )
    kept = {"cache-control": "public, max-age=31536000, immutable"}  # a tile of a width never changes
    return Response(content, media_type="application/octet-stream", headers=kept)


# Files that ship with the pages

_SHIPPED = {
    "members.js": "text/javascript; charset=utf-8",
    "look.css": "text/css; charset=utf-8",
}


@router.get("/shipped/{name}", include_in_schema=False)
def shipped(name: str) -> Response:
    """The pages' own script and style."""
    if name not in _SHIPPED:
        raise NotThere
    content = files("kangma.gateway.register").joinpath(name).read_bytes()
    return Response(content, media_type=_SHIPPED[name])


@router.get("/favicon.ico", include_in_schema=False)
def favicon() -> Response:
    """Browsers ask by themselves; there is none, and that is no fault."""
    return Response(status_code=204, headers={"cache-control": "public, max-age=86400"})


# The API's description


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> Response:
    """OpenAPI 3.1 of everything for programs."""
    return answer(request.app.openapi())


@router.get("/docs", include_in_schema=False)
def docs(request: Request, viewer: Viewer, lang: house.Language) -> Response:
    """The same for people, from the same source, without a script."""
    return house.render(request, lang, "docs.html", viewer, api=request.app.openapi())


# Whether all is well


@router.get("/healthz", tags=["running"], responses={200: {"model": schema.Well}})
def healthz() -> Response:
    """This process answers, and has a thread free to do it."""
    return answer({"status": "ok"})


@router.get("/readyz", tags=["running"], responses={200: {"model": schema.Well}})
def readyz(register: Here) -> Response:
    """The database is read, there is room to write, and the log's files are not behind. 503 otherwise."""
    register.ready()
    return answer({"status": "ok"})

"""The public folder over HTTP: what docs/formats/publication.md lists, and nothing else that may lie there.

Any web server can do this as well, and a faster one should (docs/gateway.md). How long each kind may be kept follows from
what it is: what never changes for ever; status lists as long as they say themselves; sealed slots a minute; what points
to the rest not at all without asking.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import Depends, Header, Request, Response
from fastapi import Path as InPath

from kangma.gateway.front.files import handed_out
from kangma.gateway.register.problems import NotThere
from kangma.sealed.slot import PATH as SEALED

EVER, WHILE, ASK = "public, max-age=31536000, immutable", "public, max-age=300", "public, no-cache"
SOON = (
    "public, max-age=60, stale-if-error=604800"  # a cache in front goes on with what it has while we are dark
)
_LIST = r"status/x?\d{1,6}(?:\.\d{1,4})?/\d{1,4}"
_CITY = (
    r"elsewhere/[a-z][a-z0-9-]{0,15}"  # another city's, kept by `kangma mirror`: the same, and no more of it
)
#: Path → media type, how long it may be kept.
KINDS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.ASCII), media, cache)
    for pattern, media, cache in (
        (r"latest\.json", "application/json", ASK),
        (r"checkpoint", "text/plain; charset=utf-8", ASK),
        (r"root", "application/cbor", ASK),
        (r"trust", "application/cose", WHILE),
        (r"trust\.d/\d{1,9}", "application/cose", EVER),
        (_LIST, "application/statuslist+cwt", WHILE),
        (rf"{_LIST}\.delta", "application/kangma-statusdelta+cwt", WHILE),
        (rf"{_CITY}/latest\.json", "application/json", ASK),
        (rf"{_CITY}/{_LIST}", "application/statuslist+cwt", WHILE),
        (rf"{_CITY}/{_LIST}\.delta", "application/kangma-statusdelta+cwt", WHILE),
        (SEALED.pattern, "application/octet-stream", SOON),
        (r"tile/(?:entries|\d{1,2})/(?:x\d{3}/)*\d{3}(?:\.p/\d{1,3})?", "application/octet-stream", EVER),
        (r"policy/[0-9a-f]{64}\.toml", "application/toml", EVER),
        (r"sunset/[0-9a-f]{16}\.json", "application/json", EVER),
    )
)
EVERYBODYS = {"access-control-allow-origin": "*"}  # whatever page they are on
MEDIA = tuple(dict.fromkeys(media.partition(";")[0] for _, media, _ in KINDS))


def folder_of(request: Request) -> Path:
    return cast(Path, cast(Any, request.app.state).public)


Folder = Annotated[Path, Depends(folder_of)]


def file(
    path: Annotated[str, InPath(description="The name of a file: docs/formats/publication.md.")],
    request: Request,
    folder: Folder,
    _range: Annotated[
        str | None, Header(alias="Range", description="One range of bytes (RFC 9110, 14).")
    ] = None,
    _tag: Annotated[
        str | None, Header(alias="If-None-Match", description="304 if it still is this one.")
    ] = None,
) -> Response:
    """One file of the public folder."""
    found = kind_of(path)
    if found is None:
        raise NotThere
    media, cache = found
    return handed_out(request, folder / path, media=media, cache=cache, **EVERYBODYS)


def kind_of(path: str) -> tuple[str, str] | None:
    """(media type, how long it may be kept) of a name that may be in the folder; None for one that is none of ours."""
    for pattern, media, cache in KINDS:
        if pattern.fullmatch(path):
            return media, cache
    return None

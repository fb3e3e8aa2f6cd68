"""A file as HTTP hands it out (RFC 9110): validators, one range, HEAD. The same for the public folder and the pages.

The name is decided by whoever calls; nothing here joins a path out of what was sent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from fastapi import Request, Response

from kangma.gateway.register.problems import NotThere

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


def handed_out(request: Request, path: Path, *, media: str, cache: str, **headers: str) -> Response:
    """The file, a part of it (206), or that it has not changed (304). Raises NotThere when there is none.

    Files are replaced whole, by renaming: what was opened is read to its end as it was.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise NotThere from None
    with os.fdopen(fd, "rb") as file:
        facts = os.fstat(fd)
        tag = f'"{facts.st_size:x}-{facts.st_mtime_ns:x}"'
        told = {"etag": tag, "cache-control": cache, "accept-ranges": "bytes", **headers}
        if matches(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=told)
        part = part_of(request.headers, tag, facts.st_size)
        if part is None:
            return Response(file.read(), headers=told, media_type=media)
        start, end = part
        if start >= end:
            return Response(status_code=416, headers=told | {"content-range": f"bytes */{facts.st_size}"})
        file.seek(start)
        told["content-range"] = f"bytes {start}-{end - 1}/{facts.st_size}"
        return Response(file.read(end - start), 206, headers=told, media_type=media)


def matches(asked: str | None, tag: str) -> bool:
    return asked is not None and any(
        t.strip().removeprefix("W/") in (tag, "*") for t in asked[:1_000].split(",")
    )


def part_of(headers: Mapping[str, str], tag: str, size: int) -> tuple[int, int] | None:
    """[start, end) of the one range that is asked for; None for the whole: no range, several, or of another version.
    An empty one cannot be satisfied."""
    asked = _RANGE.fullmatch(headers.get("range", ""))
    held = headers.get("if-range")
    if asked is None or asked[0] == "bytes=-" or (held is not None and held != tag):
        return None
    first, last = asked[1], asked[2]
    if not first:  # the last so many bytes
        return (max(0, size - int(last)), size) if int(last) else (0, 0)
    end = min(size, int(last) + 1) if last else size
    if last and int(last) < int(first):
        return None
    return int(first), end

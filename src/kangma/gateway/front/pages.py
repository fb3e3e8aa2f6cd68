"""The built pages: every file of the folder `pages/`, read once, each at an address of its own.

`index.html` is `/`, `scan.html` is `/scan`, anything else is called as it is; `missing.html` has no address: it is what a
person is told where there is nothing. Addresses are a closed list made when the program starts. Pages load nothing from
anywhere else, run no script that is not a file here, and cannot be framed.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request, Response

FOLDER = Path(__file__).with_name("pages")
MEDIA: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".json": "application/json", ".webmanifest": "application/manifest+json", ".svg": "image/svg+xml",
    ".png": "image/png", ".ico": "image/x-icon", ".wasm": "application/wasm", ".txt": "text/plain; charset=utf-8",
}  # fmt: skip
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; media-src 'self' blob:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
CAMERA = "camera=(self), microphone=(), geolocation=(), payment=(), usb=()"
MISSING = "missing.html"
_PRESSED = (".html", ".js", ".css", ".json", ".webmanifest", ".svg", ".wasm", ".txt")
_NAMED_BY_CONTENT = re.compile(r"[-.][A-Za-z0-9_-]{8,}\.\w+")
_OURS: Mapping[str, str] = {
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": POLICY,  # of workers and scripts too: a worker obeys its own
}
EVER, ASK = "public, max-age=31536000, immutable", "no-cache"


@dataclass(frozen=True, slots=True)
class Page:
    content: bytes
    pressed: bytes | None  # gzip, where that is shorter
    media: str
    tag: str
    headers: Mapping[str, str]


def pages(folder: Path = FOLDER) -> dict[str, Page]:
    """Address → page, of every file below `folder` of a type that we serve."""
    found: dict[str, Page] = {}
    for file in sorted(folder.rglob("*")):
        media = MEDIA.get(file.suffix)
        if media is None or not file.is_file() or file.name == MISSING:
            continue
        name = file.relative_to(folder).as_posix()
        address = "/" + (name.removesuffix(".html").removesuffix("index") if file.suffix == ".html" else name)
        content = file.read_bytes()
        pressed = gzip.compress(content, 9, mtime=0) if file.suffix in _PRESSED else content
        headers = {
            **_OURS,
            "cache-control": EVER if _NAMED_BY_CONTENT.search(name) else ASK,
            "vary": "Accept-Encoding",
        }
        if file.suffix == ".html":
            headers["permissions-policy"] = CAMERA
        found[address] = Page(
            content,
            pressed if len(pressed) < len(content) else None,
            media,
            hashlib.sha256(content).hexdigest()[:32],
            headers,
        )
    return found


def missing(folder: Path = FOLDER) -> Page:
    """What a person is told where there is no page: the same for every address, and kept by nobody."""
    content = (folder / MISSING).read_bytes()
    headers = {**_OURS, "permissions-policy": CAMERA, "cache-control": "no-store", "vary": "Accept"}
    return Page(content, None, MEDIA[".html"], "", headers)


def handler(page: Page) -> Callable[[Request], Response]:
    """The handler of one page's address."""

    def answer(request: Request) -> Response:
        pressed = page.pressed if "gzip" in request.headers.get("accept-encoding", "") else None
        tag = f'"{page.tag}{"-gz" if pressed else ""}"'
        headers = dict(page.headers) | {"etag": tag}
        asked = request.headers.get("if-none-match", "")[:1_000]
        if any(t.strip().removeprefix("W/") == tag for t in asked.split(",")):
            return Response(status_code=304, headers=headers)
        if pressed is not None:
            headers["content-encoding"] = "gzip"
        return Response(pressed or page.content, media_type=page.media, headers=headers)

    return answer

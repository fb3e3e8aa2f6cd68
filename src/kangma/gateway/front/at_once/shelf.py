"""The public folder and the pages out of memory, in front of the framework: a flood on them costs little.

Everything on the shelf is answered as its route would (`public.py`, `pages.py`; a test holds them equal). A file is
looked at with every request, and read again when it was replaced. What is not plain goes the ordinary way.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from kangma.gateway.front.defence.layers import NO_ADDRESS, Answer, Exit
from kangma.gateway.front.files import matches, part_of
from kangma.gateway.front.pages import Page
from kangma.gateway.front.public import EVERYBODYS, kind_of
from kangma.gateway.register.layers import MOST_HEADERS
from kangma.gateway.register.problems import Problem

BEFORE = "/public/"
MOST_FILE, MOST_ALL = 2**20, 64 * 2**20  # bytes in memory
_Raw = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Kept:
    facts: tuple[int, int, int]  # inode, size, time in nanoseconds
    content: bytes
    tag: str
    headers: _Raw


class Shelf:
    """In front of the layers that a file does not need; behind those who say how often somebody may ask."""

    def __init__(
        self, app: ASGIApp, folder: Path, pages: Mapping[str, Page], ours: Callable[[bytes], bool], exit: Exit
    ) -> None:
        self.app, self.folder, self.ours, self.exit = app, folder, ours, exit
        self._files: dict[str, Kept] = {}
        self._size = 0
        self._always = exit.dressed.told(page=False, private=False)
        self._pages = {address: self._both(page) for address, page in pages.items()}

    def _both(self, page: Page) -> tuple[Kept, Kept]:
        """As it is, and pressed."""
        made = []
        for content, pressed in (
            (page.content, False),
            (page.pressed or page.content, page.pressed is not None),
        ):
            tag = f'"{page.tag}{"-gz" if pressed else ""}"'
            told = {
                **self.exit.dressed.told(page=page.media.startswith("text/html"), private=False),
                **page.headers,
            }
            told |= {"etag": tag, "content-type": page.media} | (
                {"content-encoding": "gzip"} if pressed else {}
            )
            made.append(Kept((0, 0, 0), content, tag, _raw(told)))
        return made[0], made[1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        found = self.find(scope)
        if found is None:
            return await self.app(scope, receive, send)
        if isinstance(found, Problem):
            return await self.exit.refuse(scope, send, found, "address")
        await found.send(send)

    def has(self, path: str) -> bool:
        """Whether it was in memory when somebody asked last."""
        return path in self._pages or path[len(BEFORE) :] in self._files

    def find(self, scope: Scope) -> Answer | Problem | None:
        """The answer, counted; what is wrong with the address; None for what the shelf has no part in."""
        if scope["method"] not in ("GET", "HEAD"):
            return None
        path, began = scope["path"], time.perf_counter()
        page = self._pages.get(path)
        if (page is None and not path.startswith(BEFORE)) or not self._plain(scope):
            return None
        headers = Headers(scope=scope)
        if page is not None:
            kept = page["gzip" in headers.get("accept-encoding", "")]
            return self._counted(scope, _answer(scope, kept, None, headers), began)
        found = self._file(path[len(BEFORE) :])
        if found is None:
            return NO_ADDRESS
        if isinstance(found, str):
            return None
        part = part_of(headers, found.tag, len(found.content))
        return self._counted(scope, _answer(scope, found, part, headers), began)

    def _counted(self, scope: Scope, answer: Answer, began: float) -> Answer:
        self.exit.count(scope, answer.status, time.perf_counter() - began)
        return answer

    def _plain(self, scope: Scope) -> bool:
        """Nothing that a layer further in would object to."""
        size, host = 0, None
        for name, value in scope["headers"]:
            size += len(name) + len(value) + 4
            if name == b"host":
                if host is not None:
                    return False
                host = value
            elif name in (b"content-encoding", b"authorization"):
                return False
        return size <= MOST_HEADERS and host is not None and self.ours(host)

    def _file(self, name: str) -> Kept | str | None:
        """The file as it lies there now; None for none; a text for one that is too large to keep."""
        kept = self._files.get(name)
        kind = None if kept is not None else kind_of(name)
        if kept is None and kind is None:
            return None
        path = f"{self.folder}/{name}"
        try:
            told = os.lstat(path)
        except OSError:
            return None
        facts = (told.st_ino, told.st_size, told.st_mtime_ns)
        if kept is not None and kept.facts == facts:
            return kept
        if not stat.S_ISREG(told.st_mode):
            return None
        before = 0 if kept is None else len(kept.content)
        if told.st_size > MOST_FILE or self._size - before + told.st_size > MOST_ALL:
            return "too large"
        return self._take(name, path, before)

    def _take(self, name: str, path: str, before: int) -> Kept | None:
        kind = kind_of(name)
        assert kind is not None
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            told, content = os.fstat(fd), file.read()
        tag = f'"{told.st_size:x}-{told.st_mtime_ns:x}"'
        media = kind[0] + (
            "; charset=utf-8" if kind[0].startswith("text/") and "charset" not in kind[0] else ""
        )
        headers = self._always | {
            "etag": tag, "cache-control": kind[1], "accept-ranges": "bytes", **EVERYBODYS, "content-type": media,
        }  # fmt: skip
        made = Kept((told.st_ino, told.st_size, told.st_mtime_ns), content, tag, _raw(headers))
        self._size += len(content) - before
        self._files[name] = made
        return made


def _answer(scope: Scope, kept: Kept, part: tuple[int, int] | None, asked: Headers) -> Answer:
    status, body, headers = 200, kept.content, kept.headers
    if matches(asked.get("if-none-match"), kept.tag):
        status, body, headers = (
            304,
            b"",
            [h for h in headers if h[0] not in (b"content-type", b"content-encoding")],
        )
    elif part is not None:
        start, end = part
        status = 206 if start < end else 416
        of = f"{start}-{end - 1}" if start < end else "*"
        headers = [*headers, (b"content-range", f"bytes {of}/{len(body)}".encode())]
        body = body[start:end]
        if status == 416:
            headers = [h for h in headers if h[0] != b"content-type"]
    if status != 304:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    return Answer(status, headers, b"" if scope["method"] == "HEAD" else body)


def _raw(headers: Mapping[str, str]) -> _Raw:
    return [(k.encode(), v.encode()) for k, v in headers.items()]

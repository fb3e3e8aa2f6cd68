"""The public folder as a stranger has it: on this disk, or behind an address.

Over the network the root, the trust list and `latest.json` are fetched, and then every list that `latest.json` counts,
under the base that the trust list names: what somebody's code says chooses nothing, so that the server of the folder
learns of no scan. On a disk there is nobody to learn, and only the list that is needed is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from kangma.errors import Unavailable

MOST_POINTER = 65_536  # bytes of latest.json
MOST_LISTS = 400
MOST_POINTER_WITH_TIMES, MOST_LISTS_OF_A_CITY = 2**20, 4_096  # as a door reads it: web/src/scan/lists.ts
TIMEOUT = 10  # seconds
_LIST = re.compile(r"x?\d{1,6}(\.\d{1,4})?/\d{1,4}", re.ASCII)
_FAMILY = re.compile(r"x?\d{1,6}(\.\d{1,4})?", re.ASCII)


class PublicFolder(Protocol):
    """`read(path, most)`: the file at a path such as `status/19110/0`; None when there is none. Raises Unavailable when
    that cannot be told now, and ValueError above `most` bytes."""

    def read(self, path: str, most: int) -> bytes | None: ...


class OnDisk:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: str, most: int) -> bytes | None:
        try:
            with (self._folder / path).open("rb") as file:
                return _whole(file.read(most + 1), most)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None


class OverHttp:
    """A folder behind an http(s) address. Redirects are not followed: they would let one server name another."""

    def __init__(self, base: str) -> None:
        import urllib.request  # noqa: PLC0415  whoever has the folder needs no network

        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_: object, **__: object) -> None:
                return None

        self._base = base.rstrip("/")
        self._open = urllib.request.build_opener(Stay).open

    def read(self, path: str, most: int) -> bytes | None:
        from http.client import HTTPException  # noqa: PLC0415
        from urllib.error import HTTPError  # noqa: PLC0415

        try:
            with self._open(f"{self._base}/{path}", timeout=TIMEOUT) as answer:
                return _whole(answer.read(most + 1), most)
        except HTTPError as problem:
            if problem.code in (404, 410):
                return None
            raise Unavailable(f"{self._base} answers {problem.code}") from None
        except (OSError, HTTPException) as problem:
            raise Unavailable(
                f"{self._base} cannot be reached: {getattr(problem, 'reason', problem)}"
            ) from None


def _whole(content: bytes, most: int) -> bytes:
    if len(content) > most:
        raise ValueError(f"more than {most:,} bytes")
    return content


def is_address(where: str) -> bool:
    """Whether it is an http(s) address, and not a path."""
    return re.match(r"https?://", where) is not None


def folder(where: str) -> PublicFolder:
    """The folder at a path or an http(s) address."""
    return OverHttp(where) if is_address(where) else OnDisk(Path(where))


def elsewhere(authority: str) -> str:
    """What the lists of another city, mirrored into this folder, lie behind: the shape below is the same."""
    return f"elsewhere/{authority}/"


def lists_there(public: PublicFolder, behind: str = "") -> Iterator[str]:
    """Paths of all current lists by `latest.json`, such as `status/19110/0`: `{"families": {family: lists}}`. Nothing
    when it says nothing usable: it is unsigned, and only says what to fetch. `behind`: as `elsewhere` says."""
    try:
        said = json.loads(public.read(f"{behind}latest.json", MOST_POINTER) or b"{}")
        families = said["families"].items()
        counted = [(f, n["lists"] if isinstance(n, dict) else n) for f, n in families if _FAMILY.fullmatch(f)]
        paths = [f"status/{f}/{i}" for f, n in counted for i in range(min(int(n), MOST_LISTS))]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    yield from paths[:MOST_LISTS]


def lists_signed(public: PublicFolder, pointer: str = "latest.json") -> dict[str, int] | None:
    """Path of each current list → when it was signed, by `latest.json`; None when there is none that is usable. Nobody
    signs it: it only says what to look for. Raises Unavailable."""
    try:
        said = json.loads(public.read(pointer, MOST_POINTER_WITH_TIMES) or b"{}")["lists"]
        paths = {p: at for p, at in said.items() if p[:7] == "status/" and _LIST.fullmatch(p[7:])}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if len(paths) > MOST_LISTS_OF_A_CITY or not all(type(at) is int and at >= 0 for at in paths.values()):
        return None
    return paths


def list_path(uri: str, base: str) -> str | None:
    """Where the list at `uri` lies in the folder that is published at `base`; None when it is not there."""
    path = uri.removeprefix(f"{base}/status/")
    return f"status/{path}" if path != uri and _LIST.fullmatch(path) else None

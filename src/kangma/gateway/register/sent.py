"""What is sent in a body: one way of reading it, so that every route refuses in the same order and the same words.

Who may not ask is told so before a byte is read: routes declare `Needs` before the body. Then its media type, its size
(the route's own limit), JSON read strictly, and its form. A fault names place and rule, never what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from kangma.errors import Code, Refused, Where
from kangma.gateway.register.problems import BadRequest, WrongMedia
from kangma.gateway.register.schema import RecordForm
from kangma.incidents import canonical
from kangma.incidents.form import MOST_FAULTS, BadRecord, Fault, from_json
from kangma.incidents.record import Record

JSON_MEDIA = "application/json"


#: Bytes of a body: of a form, of a record with texts in twenty languages, of a picture, of a file that is imported.
SMALL, RECORD, PICTURE, FILE = 64 * 1024, 4 * 2**20, 4 * 2**20, 32 * 2**20
#: Bytes of a member's form beyond its limit that are let come, unkept.
DROPPED = 96 * 2**20


def _media(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request, most: int, dropped: int = 0) -> bytes:
    """The body, counted while it comes. Refused (too_many_bytes) as soon as it is, or says to be, larger; up to `dropped`
    bytes more are let come first and not kept: a browser that still sends does not hear an answer."""
    told = request.headers.get("content-length", "0")
    too_large = Refused(Code.TOO_MANY_BYTES, Where(path="body"), f"at most {most} bytes")
    if not told.isascii() or not told.isdigit() or int(told[:12]) > most + dropped:
        raise too_large
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most + dropped:
            raise too_large
        if size <= most:
            pieces.append(piece)
    if size > most:
        raise too_large
    return b"".join(pieces)


async def json_of(request: Request, most: int = SMALL) -> Any:
    """The JSON value of the body; no body at all is an empty object."""
    media = _media(request)
    content = await _body(request, most)
    if not content and not media:
        return {}
    if media != JSON_MEDIA:
        raise WrongMedia(JSON_MEDIA)
    return canonical.loads(content)


class Sent:
    """A dependency: the body as one of `schema`'s models. It also tells the API's description what the body is."""

    def __init__(self, model: type[BaseModel], most: int = SMALL) -> None:
        self.model, self.media, self.most = model, (JSON_MEDIA,), most

    async def __call__(self, request: Request) -> Any:
        value = await json_of(request, self.most)
        try:
            return self.model.model_validate(value)
        except ValidationError as problem:
            raise BadRecord(_faults(problem)) from None


class SentRecord(Sent):
    """The body as a record, by the one reader of records."""

    def __init__(self) -> None:
        super().__init__(RecordForm, RECORD)

    async def __call__(self, request: Request) -> Record:
        return from_json(await json_of(request, self.most))


class SentJson(Sent):
    """The body as it is; whoever takes it reads it by itself. The model only describes it."""

    async def __call__(self, request: Request) -> Any:
        return await json_of(request, self.most)


class SentBytes:
    """The body as bytes, with its media type."""

    def __init__(self, *media: str, most: int) -> None:
        self.media, self.most = media, most

    async def __call__(self, request: Request) -> tuple[str, bytes]:
        media = _media(request)
        if media not in self.media:
            raise WrongMedia(", ".join(self.media))
        return media, await _body(request, self.most)


def _faults(problem: ValidationError) -> tuple[Fault, ...]:
    """Places and rules; pydantic's own words carry what was sent."""
    made = []
    for error in problem.errors(include_url=False, include_context=False, include_input=False)[:MOST_FAULTS]:
        kind = error["type"]
        # A name that the form does not have is the sender's own word: its place is named, it is not.
        place = [str(x) for x in error["loc"]][: -1 if kind == "extra_forbidden" else None]
        code = {
            "missing": Code.MISSING_VALUE, "extra_forbidden": Code.UNKNOWN_COLUMN, "enum": Code.NOT_IN_LIST,
            "string_too_long": Code.VALUE_TOO_LONG, "too_long": Code.TOO_MANY_ROWS,
        }.get(kind, Code.BAD_VALUE)  # fmt: skip
        hint = {"extra_forbidden": "a field that is not known here"}.get(kind, kind.replace("_", " "))
        made.append(Fault(".".join(place) or "body", code, hint))
    return tuple(made) or (Fault("body", Code.BAD_VALUE),)


def bad(path: str, code: Code, hint: str = "") -> Refused:
    """One fault of a body."""
    return BadRecord((Fault(path, code, hint),))


FORM_MEDIA = "application/x-www-form-urlencoded"


class SentForm:
    """A dependency: what a page's form sent, as pairs of name and text in their order."""

    def __init__(self, most: int = SMALL, most_fields: int = 50) -> None:
        self.most, self.most_fields = most, most_fields

    async def __call__(self, request: Request) -> list[tuple[str, str]]:
        pairs, faults = pairs_of(await _form(request, self.most), self.most_fields)
        if faults:
            raise Refused(faults[0].code, Where(path="form"), faults[0].hint)
        return pairs


async def _form(request: Request, most: int, dropped: int = 0) -> bytes:
    media = _media(request)
    content = await _body(request, most, dropped)
    if media != FORM_MEDIA and (content or media):
        raise WrongMedia(FORM_MEDIA)
    return content


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed into a long form, in its order, as far as it can be read; and why it is not taken, if it is not."""

    pairs: list[tuple[str, str]]
    faults: tuple[Fault, ...]

    @property
    def status(self) -> int:
        return 413 if any(f.code is Code.TOO_MANY_BYTES for f in self.faults) else 422


class SentTyped:
    """A dependency: a member's form into which somebody wrote for long. What is wrong with it as a whole does not refuse
    it before it is read: whoever wrote it gets it back, of a form that is too large the beginning. Only what is above
    `FILE` is refused unread."""

    def __init__(self, most: int, most_fields: int) -> None:
        self.most, self.most_fields = most, most_fields

    async def __call__(self, request: Request) -> Typed:
        content = await _form(request, FILE, DROPPED)
        pairs, faults = await run_in_threadpool(pairs_of, content[: self.most], self.most_fields)
        if len(content) > self.most:
            faults.insert(0, Fault("", Code.TOO_MANY_BYTES, f"at most {self.most} bytes"))
        return Typed(pairs, tuple(faults[:MOST_FAULTS]))


def pairs_of(content: bytes, most: int) -> tuple[list[tuple[str, str]], list[Fault]]:
    """(names and texts as they stand in a form, `most` of them; what is wrong, by the input's name). What is no UTF-8 is
    marked with U+FFFD where it stood."""
    pieces = content.split(b"&", most)
    faults = []
    if len(pieces) > most:
        del pieces[most:]
        faults.append(Fault("", Code.TOO_MANY_COLUMNS, f"at most {most} inputs"))
    pairs = []
    for piece in pieces:
        if not piece:
            continue
        name, _, text = (unquote_to_bytes(part.replace(b"+", b" ")) for part in piece.partition(b"="))
        try:
            pairs.append((name.decode(), text.decode()))
        except UnicodeDecodeError:
            pairs.append((name.decode(errors="replace"), text.decode(errors="replace")))
            faults.append(Fault(pairs[-1][0], Code.NOT_UTF8, "UTF-8; \ufffd marks what is not"))
    return pairs, faults


def edit_named(text: str, path: str, hint: str) -> int:
    """The edit that a form says it is about. BadRequest when it names none."""
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadRequest(Code.MISSING_VALUE if not text else Code.BAD_NUMBER, Where(path=path), hint)
    return int(text)


# Forms with a file (multipart/form-data, RFC 7578)

PARTS_MEDIA = "multipart/form-data"
MOST_PARTS, MOST_PART_HEAD = 20, 1024
_BOUNDARY = re.compile(r"""boundary=(?:"([!-~]{1,70})"|([^\s";,]{1,70}))\s*$""", re.ASCII)
_NAMED = re.compile(rb'form-data; name="([a-z_.]{1,40})"(; filename="[^"\r\n]*")?', re.ASCII)


@dataclass(frozen=True, slots=True)
class Parts:
    """What such a form sent: its texts and its files by the names of their inputs. What a file was called there, and what
    it says to be, is not kept: the one names people, the other is no proof."""

    fields: Mapping[str, str]
    files: Mapping[str, bytes]


class SentParts:
    """A dependency: a member's form with a file. The file may come larger than is taken: whoever reads it says so beside
    what was typed. Only what is above `FILE` is refused unread."""

    async def __call__(self, request: Request) -> Parts:
        content = await _body(request, FILE, DROPPED)
        if _media(request) != PARTS_MEDIA:
            if not content:
                return Parts({}, {})
            raise WrongMedia(PARTS_MEDIA)
        found = _BOUNDARY.search(request.headers["content-type"])
        if found is None:
            raise _no_parts()
        return parts_of(content, (found[1] or found[2]).encode())


def parts_of(content: bytes, boundary: bytes) -> Parts:
    """The parts between the boundaries, each name once. Refused (bad_value, too_many_columns, not_utf8) for whatever is
    not written as browsers write it: this is no reader of mail."""
    start, end = b"--" + boundary + b"\r\n", b"\r\n--" + boundary + b"--"
    body = content.removesuffix(b"\r\n")
    if not body.startswith(start) or not body.endswith(end):
        raise _no_parts()
    pieces = body[len(start) : -len(end)].split(b"\r\n" + start, MOST_PARTS)
    if len(pieces) > MOST_PARTS:
        raise Refused(Code.TOO_MANY_COLUMNS, Where(path="form"), f"at most {MOST_PARTS} inputs")
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for piece in pieces:
        head, blank, value = piece.partition(b"\r\n\r\n")
        if not blank or len(head) > MOST_PART_HEAD:
            raise _no_parts()
        told = [
            line.partition(b":")[2].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-disposition:")
        ]
        named = _NAMED.fullmatch(told[0]) if len(told) == 1 else None
        if named is None or (name := named[1].decode()) in {*fields, *files}:
            raise _no_parts()
        if named[2] is not None:
            files[name] = value
            continue
        try:
            fields[name] = value.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(Code.NOT_UTF8, Where(path="form")) from None
    return Parts(fields, files)


def _no_parts() -> Refused:
    return Refused(Code.BAD_VALUE, Where(path="form"), "a form as browsers send it")

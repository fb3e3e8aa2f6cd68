"""What the log holds: commitments to turns, and events in words.

Everybody may read the log, so a turn stands in it as a salted hash that means nothing to anybody but the person it is
about. They are given the turn and its opening, and can then find it, and prove it, by themselves. The opening comes
from a salt of the person's own, a fresh one for each release; when the salt is destroyed, the leaf stays valid and
says nothing any more.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kangma.errors import Code, Refused
from kangma.terms import State
from kangma.translog.tiles import MAX_ENTRY

TURN, EVENT = 0x01, 0x02  # the first byte of an entry
COMMITMENT = 32  # bytes, and so an opening and a salt
TURN_BYTES = 42

#: What an event can be about. The list is closed: an auditor knows all of them.
EVENTS = ("act", "brake", "credentials", "deletion", "incident", "key", "lists", "policy", "release")
MAX_DEPTH = 8
MAX_NUMBER = (1 << 53) - 1  # what every JSON reader takes for the same number
MAX_PART = 48 * 1024  # bytes of a policy's text in one entry, as JSON writes them

_sha256 = hashlib.sha256
_TURN = Struct(">16sQBBIIII")
_STATES = frozenset(State)
_KEY = re.compile(r"[ -~]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Turn:
    """One change of one person's verdict, as that person is given it."""

    person: bytes  # 16 bytes, the person's key
    release: int  # the number of the release that makes it public
    from_state: int  # kangma.terms.State
    to_state: int
    from_popups: int  # bit i: the policy's i-th notice
    to_popups: int
    from_reminds: int
    to_reminds: int

    def to_bytes(self) -> bytes:
        """42 bytes: docs/formats/log.md."""
        return _TURN.pack(
            self.person,
            self.release,
            self.from_state,
            self.to_state,
            self.from_popups,
            self.to_popups,
            self.from_reminds,
            self.to_reminds,
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Turn:
        """Raises Refused (bad_message) for another length or an unknown state."""
        if len(content) == TURN_BYTES:
            found = cls(*_TURN.unpack(content))
            if {found.from_state, found.to_state} <= _STATES:
                return found
        raise Refused(Code.BAD_MESSAGE, hint="not a turn")


def opening(salt: bytes, release: int) -> bytes:
    """What opens a person's commitment of one release, and no other: 32 bytes of 32."""
    return _sha256(salt + release.to_bytes(8, "big")).digest()


def commitment(opening: bytes, turn: bytes) -> bytes:
    """The entry (33 bytes) of a turn (42 bytes): what a resident computes to find their own."""
    return bytes([TURN]) + _sha256(opening + turn).digest()


def openings(salts: NDArray[np.uint8], release: int) -> NDArray[np.uint8]:
    """`opening` of many persons: salts (n, 32) → (n, 32)."""
    number = np.frombuffer(release.to_bytes(8, "big"), np.uint8)
    rows = np.hstack([salts, np.broadcast_to(number, (len(salts), 8))])
    return np.frombuffer(b"".join(_digests(rows)), np.uint8).reshape(-1, COMMITMENT)


def turn_bytes(
    persons: NDArray[np.uint8],  # (n, 16)
    release: int,
    *,
    from_state: NDArray[np.uint8],  # (n,), like all that follow
    to_state: NDArray[np.uint8],
    from_popups: NDArray[np.uint32],
    to_popups: NDArray[np.uint32],
    from_reminds: NDArray[np.uint32],
    to_reminds: NDArray[np.uint32],
) -> NDArray[np.uint8]:
    """`Turn.to_bytes` of many: (n, 42). The columns are those of `kangma.codes.turns.TURNS`."""
    rows = np.empty(len(persons), _TURN_ROW)
    rows["person"] = np.ascontiguousarray(persons).view("V16").reshape(-1)
    rows["release"] = release
    rows["from_state"], rows["to_state"] = from_state, to_state
    rows["from_popups"], rows["to_popups"] = from_popups, to_popups
    rows["from_reminds"], rows["to_reminds"] = from_reminds, to_reminds
    return rows.view(np.uint8).reshape(-1, TURN_BYTES)


_TURN_ROW = np.dtype(
    [
        ("person", "V16"),
        ("release", ">u8"),
        ("from_state", "u1"),
        ("to_state", "u1"),
        ("from_popups", ">u4"),
        ("to_popups", ">u4"),
        ("from_reminds", ">u4"),
        ("to_reminds", ">u4"),
    ]
)


def commit(openings: NDArray[np.uint8], turns: NDArray[np.uint8]) -> list[bytes]:
    """`commitment` of many: openings (n, 32) and turns (n, 42) → n entries in the same order.

    An order by person would tell who turned beside whom; the caller shuffles or sorts the entries.
    """
    mark = bytes([TURN])
    return [mark + digest for digest in _digests(np.hstack([openings, turns]))]


def _digests(rows: NDArray[np.uint8]) -> list[bytes]:
    """SHA-256 of each row."""
    whole, width = rows.tobytes(), rows.shape[1]
    return [_sha256(whole[at : at + width]).digest() for at in range(0, len(whole), width)]


def event(content: Mapping[str, Any]) -> bytes:
    """The entry of an event: `type` is one of EVENTS, the rest is its own. Equal contents give equal bytes.

    Raises ValueError for what an entry cannot hold: other values than whole numbers below 2^53, strings, lists and
    mappings with ASCII keys; more than 65,535 bytes.
    """
    _check(content, MAX_DEPTH)
    if content.get("type") not in EVENTS:
        raise ValueError("not a type of event")
    entry = bytes([EVENT]) + _json(content)
    if len(entry) > MAX_ENTRY:
        raise ValueError("an entry is too long")
    return entry


def policy_parts(id: str, version: str, text: str) -> list[bytes]:
    """The entries that hold a policy in full, to be appended behind each other."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    parts, begin, taken = [], 0, 0
    lengths = {letter: len(_json(letter)) - 2 for letter in set(text)}
    for at, letter in enumerate(text):
        length = lengths[letter]
        if taken + length > MAX_PART:
            parts.append(text[begin:at])
            begin, taken = at, 0
        taken += length
    parts.append(text[begin:])
    about = {"type": "policy", "id": id, "version": version, "digest": digest, "parts": len(parts)}
    return [event(about | {"part": number, "text": part}) for number, part in enumerate(parts)]


def policy_text(parts: Iterable[Mapping[str, Any]]) -> str:
    """The text of a policy from the contents of all its entries, in their order. Raises Refused (bad_message) when
    one is missing or out of place, or the digest is not that of the text."""
    found = list(parts)
    try:
        about = [{k: v for k, v in part.items() if k not in ("part", "text")} for part in found]
        text = "".join(part["text"] for part in found)
        if (
            [part["part"] for part in found] != list(range(about[0]["parts"]))
            or any(one != about[0] for one in about)
            or hashlib.sha256(text.encode()).hexdigest() != about[0]["digest"]
        ):
            raise ValueError
    except (ValueError, KeyError, TypeError, IndexError):
        raise Refused(Code.BAD_MESSAGE, hint="not all parts of one policy") from None
    return text


@dataclass(frozen=True, slots=True)
class Commitment:
    """An entry that stands for a turn."""

    digest: bytes  # 32 bytes


@dataclass(frozen=True, slots=True)
class Event:
    """An entry in words."""

    content: Mapping[str, Any]  # "type" is one of EVENTS

    @property
    def type(self) -> str:
        return str(self.content["type"])


def parse(entry: bytes) -> Commitment | Event:
    """What an entry says. Raises Refused: `too_many_bytes`, `unsupported_message` for another first byte or type,
    `bad_message` for anything that `commit` and `event` do not write, JSON in another spelling among it."""
    if len(entry) > MAX_ENTRY:
        raise Refused(Code.TOO_MANY_BYTES)
    if entry[:1] == bytes([TURN]):
        if len(entry) != 1 + COMMITMENT:
            raise Refused(Code.BAD_MESSAGE, hint="not a commitment")
        return Commitment(entry[1:])
    if entry[:1] != bytes([EVENT]):
        raise Refused(Code.UNSUPPORTED_MESSAGE)
    try:
        content = json.loads(entry[1:].decode(), parse_float=_refuse, parse_constant=_refuse)
        if not isinstance(content, dict):
            raise ValueError
        _check(content, MAX_DEPTH)
        if _json(content) != entry[1:]:
            raise ValueError
    except (ValueError, RecursionError):
        raise Refused(Code.BAD_MESSAGE, hint="not an event in deterministic JSON") from None
    if content.get("type") not in EVENTS:
        raise Refused(Code.UNSUPPORTED_MESSAGE)
    return Event(content)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _check(value: object, depth: int) -> None:
    """ValueError for a value that two JSON readers could take differently."""
    if depth < 0:
        raise ValueError("too deep")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                raise ValueError("not a key")
            _check(inner, depth - 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check(inner, depth - 1)
    elif isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError("not a whole number, string, list or mapping")
    elif isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise ValueError("a number that not every reader can hold")


def _refuse(text: str) -> None:
    raise ValueError("not a whole number")

"""Signed notes (C2SP signed-note): a text, an empty line, and one line for each signature.

`Opened` is what bytes say of themselves; its text is not believed before `verified` returned. A key is known by a name
and four bytes of a hash; both only choose the key, the signature decides.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64encode
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from kangma.errors import Code, Refused
from kangma.signing.keys import Algorithm, PublicKey, Signer

MAX_NOTE = 1 << 18  # bytes; 16 signatures of the largest kind that is foreseen fit in
MAX_SIGNATURES = 100
_DASH = "— "  # U+2014 and a space
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NOT_IN_NAMES = re.compile(r"[\s+]")  # spaces of any script


class Kind(IntEnum):
    """The signature types of signed-note that are read and written here."""

    ED25519 = 0x01  # over the text
    COSIGNATURE = 0x04  # of a witness, with the time: tlog-cosignature


@dataclass(frozen=True)
class Key:
    """A named Ed25519 public key. Its `id` differs by kind, so that one key never signs two kinds of statement."""

    name: str
    public: PublicKey
    kind: Kind = Kind.ED25519

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise Refused(Code.BAD_VALUE, hint="not the name of a key")
        if self.public.algorithm is not Algorithm.EDDSA or len(self.public.raw) != 32:
            raise Refused(Code.BAD_VALUE, hint="not an Ed25519 key")

    @cached_property
    def id(self) -> bytes:
        """4 bytes: the first of SHA-256 over name, newline, kind and public key."""
        return hashlib.sha256(self.name.encode() + bytes([0x0A, self.kind]) + self.public.raw).digest()[:4]

    def __str__(self) -> str:
        """As verifiers are given it: name+id+base64 of kind and public key (a "vkey")."""
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes([self.kind]) + self.public.raw).decode()}"

    @classmethod
    def parse(cls, text: str) -> Key:
        """The key that `str` wrote so. Raises Refused (bad_value) for anything else."""
        try:
            name, _, encoded = text.split("+", 2)
            raw = unbase64(encoded)
            key = cls(name, PublicKey(Algorithm.EDDSA, raw[1:]).check(), Kind(raw[0]))
            if str(key) != text:
                raise ValueError
        except (ValueError, IndexError, Refused):
            raise Refused(Code.BAD_VALUE, hint="not a verifier key") from None
        return key


@dataclass(frozen=True, slots=True)
class Line:
    """One signature line."""

    name: str
    id: bytes  # 4 bytes
    signature: bytes  # at least one; what it is over depends on the kind of key

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {b64encode(self.id + self.signature).decode()}\n"

    def is_of(self, key: Key) -> bool:
        return self.name == key.name and self.id == key.id


@dataclass(frozen=True, slots=True)
class Opened:
    """A note taken apart, not verified. `text` ends with a newline; equal lines are kept once."""

    text: str
    lines: tuple[Line, ...]

    def verified(self, keys: Collection[Key]) -> tuple[Key, ...]:
        """Those of `keys` (kind ED25519) that signed the text, at least one. Lines of unknown keys are passed over.

        Raises Refused: `bad_signature` when a line names one of `keys` and is not its signature, for then somebody
        changed the note; `unknown_key` when no line names one.
        """
        found: list[Key] = []
        for line in self.lines:
            named = [key for key in keys if key.kind is Kind.ED25519 and line.is_of(key)]
            signed = [key for key in named if key.public.verifies(line.signature, self.text.encode())]
            if named and not signed:
                raise Refused(Code.BAD_SIGNATURE)
            found += (key for key in signed if key not in found)
        if not found:
            raise Refused(Code.UNKNOWN_KEY)
        return tuple(found)

    def to_bytes(self) -> bytes:
        return f"{self.text}\n{''.join(map(str, self.lines))}".encode()


def opened(content: bytes) -> Opened:
    """The note that `content` is. Raises Refused: `too_many_bytes` above 256 KiB, `not_utf8`, `bad_message` for any
    other departure from the form; base64 with loose ends is one."""
    if len(content) > MAX_NOTE:
        raise Refused(Code.TOO_MANY_BYTES)
    try:
        whole = content.decode()
    except UnicodeDecodeError:
        raise Refused(Code.NOT_UTF8) from None
    text, empty, signatures = whole.rpartition("\n\n")
    if not _is_text(whole) or not empty or not signatures.endswith("\n"):
        raise Refused(Code.BAD_MESSAGE, hint="not a signed note")
    lines = signatures[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise Refused(Code.BAD_MESSAGE, hint="too many signatures")
    return Opened(text + "\n", tuple(dict.fromkeys(map(_line, lines))))


def parse_lines(content: bytes) -> tuple[Line, ...]:
    """Signature lines alone, as a witness answers. Raises Refused as `opened` does."""
    return opened(b"\n\n" + content).lines


def sign(text: str, *signers: tuple[str, Signer]) -> Opened:
    """`text` signed by each (name, Ed25519 signer). ValueError for a text that a note cannot hold, Refused
    (bad_value) for another kind of key or a name that is none."""
    if not text.endswith("\n") or not _is_text(text):
        raise ValueError("not the text of a note")
    lines = []
    for name, signer in signers:
        lines.append(Line(name, Key(name, signer.public).id, signer.sign(text.encode())))
    return Opened(text, tuple(lines))


def with_lines(note: Opened, lines: Iterable[Line]) -> Opened:
    """`note` with further lines; one of the same name and id takes the old one's place."""
    kept = {(line.name, line.id): line for line in (*note.lines, *lines)}
    return Opened(note.text, tuple(kept.values()))


def is_name(text: str) -> bool:
    """Whether a key may be called so: not empty, without spaces of any script, controls and plus."""
    return bool(text) and _is_text(text) and not _NOT_IN_NAMES.search(text)


def unbase64(text: str) -> bytes:
    """RFC 4648, 4, with padding and in the one spelling that encoding gives. ValueError for any other."""
    try:
        found = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except UnicodeEncodeError:
        raise ValueError("not base64") from None
    if b64encode(found).decode() != text:
        raise ValueError("base64 with loose ends")
    return found


def _is_text(text: str) -> bool:
    """Whether it can be part of a note: UTF-8 without control characters below a space, the newline excepted."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not _CONTROL.search(text)


def _line(text: str) -> Line:
    name, _, encoded = text.removeprefix(_DASH).partition(" ")
    try:
        found = unbase64(encoded)
        if not text.startswith(_DASH) or not is_name(name) or len(found) < 5:
            raise ValueError
    except ValueError:
        raise Refused(Code.BAD_MESSAGE, hint="not a signature line") from None
    return Line(name, found[:4], found[4:])

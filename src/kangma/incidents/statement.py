"""What is signed and logged of a published version: a statement that binds all of it and tells strangers nothing.

A stranger checks `public`, the digest of what they see. A member checks `whole` too: it is salted, because what is for
members is short (a motive, a technique) and a plain digest of it could be guessed. The salt goes to members only.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kangma.errors import Code, Corrupt, Refused
from kangma.incidents import canonical
from kangma.incidents.form import digest, encode
from kangma.incidents.levels import seen_by
from kangma.incidents.life import Change
from kangma.incidents.record import Record
from kangma.incidents.words import Words
from kangma.signing import cose
from kangma.signing.keys import PublicKey, Signer
from kangma.terms import Moment

SALT = 32  # bytes
#: First byte of a log entry that is an event in canonical JSON; a turn begins with 01.
EVENT = b"\x02"
MOST = 65_535  # bytes of a log entry


@dataclass(frozen=True, slots=True)
class Statement:
    """One version of one record. `previous` is the `public` digest of the version before, "" for the first."""

    id: str
    version: int
    change: Change
    at: Moment
    public: str  # SHA-256 of the canonical bytes of what a stranger sees, hex
    whole: str  # SHA-256 of salt and the canonical bytes of all of it, hex
    previous: str
    reason: Words = field(default_factory=Words)  # of a correction or withdrawal, for everybody

    def as_json(self) -> dict[str, Any]:
        """The event as it stands in the transparency log."""
        return {
            "type": "incident",
            "id": self.id,
            "version": self.version,
            "change": self.change.value,
            "at": self.at,
            "public": self.public,
            "whole": self.whole,
            "previous": self.previous,
            "reason": dict(self.reason.pairs),
        }

    @property
    def entry(self) -> bytes:
        """The entry of the transparency log."""
        return EVENT + canonical.dumps(self.as_json())


def committed(record: Record, salt: bytes) -> str:
    """The digest that binds a whole record, for members: SHA-256 of the salt and the canonical bytes, hex."""
    if len(salt) != SALT:
        raise ValueError(f"a salt of {SALT} bytes")
    return hashlib.sha256(salt + encode(record)).hexdigest()


def state(
    record: Record,
    *,
    version: int,
    change: Change,
    at: Moment,
    salt: bytes,
    previous: str = "",
    reason: Words = Words(),  # noqa: B008  immutable
) -> Statement:
    """The statement of a version. `salt` is fresh for each version."""
    public = digest(seen_by(record, member=False).record)
    return Statement(record.id, version, change, at, public, committed(record, salt), previous, reason)


def sign(statement: Statement, signer: Signer) -> bytes:
    """A COSE_Sign1 (RFC 9052) whose payload is the log entry. Raises Unavailable when the signer cannot answer now."""
    return cose.sign1(statement.entry, signer)


def verify(signed: bytes, key: PublicKey) -> Statement:
    """The statement that `key` signed. Refused (bad_message) when it did not, or when it is no statement."""
    opened = cose.open1(signed, most=MOST)
    if not opened.verify(key):
        raise Refused(Code.BAD_MESSAGE, hint="not signed by this key")
    return read(opened.payload)


def read(entry: bytes) -> Statement:
    """The statement that a log entry says. Refused (bad_message) for any other entry."""
    try:
        if entry[:1] != EVENT:
            raise ValueError
        value = canonical.loads(entry[1:], most=MOST)
        if value.pop("type") != "incident":
            raise ValueError
        statement = Statement(
            **{**value, "change": Change(value["change"]), "reason": Words.of(value["reason"])}
        )
        if statement.entry != entry:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError, Refused):
        raise Refused(Code.BAD_MESSAGE, hint="not a statement of an incident") from None
    return statement


def check(statement: Statement, record: Record, salt: bytes | None = None) -> None:
    """Corrupt when `record` is not what the statement binds: without `salt` what a stranger sees, with it all."""
    if salt is None:
        if not hmac.compare_digest(digest(record), statement.public):
            raise Corrupt(f"{statement.id} version {statement.version} is not what was signed")
    elif not hmac.compare_digest(committed(record, salt), statement.whole):
        raise Corrupt(f"{statement.id} version {statement.version} is not what was signed")


class Log(Protocol):
    """A transparency log as the register uses it."""

    @property
    def origin(self) -> str:
        """The log's name, as on its checkpoints."""
        ...

    def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        """The entries' indices, all durable on return, or none. An entry that is there already gives the index that it
        got first: whoever heard nothing asks once more. Raises Unavailable when the log cannot answer now."""
        ...

"""A part: 4,096 slots in 256 buckets, and one signature. Each bucket proves itself, so that a phone fetches one and
believes it, whichever version of the file the rest of it came from.

The 32,000 bytes of a bucket's sixteen slots are a leaf of a Merkle tree (RFC 9162, 2.1); the statement over the tree's
root is signed by a status key of the city; each bucket carries the statement and the leaf's path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kangma.errors import Code, Refused
from kangma.sealed.slot import PLACES, SLOT
from kangma.signing import cose
from kangma.signing.keys import PublicKey, Signer
from kangma.status.lists import BITS
from kangma.status.token import Claims, open_typed, shared_claims, times_and_place
from kangma.terms import Moment
from kangma.translog.tree import HASH, leaf_hash, node_hash, verify_inclusion

CWT = "application/kangma-sealed+cwt"
ROOT = -65539  # the claim
EACH = 16  # slots of a bucket
BUCKETS = PLACES // EACH
_DEEP = 8  # hashes of a path
SAID = 512  # bytes for the statement, its length in the first two, zeros behind it
HEAD = SAID + _DEEP * HASH
BUCKET = HEAD + EACH * SLOT
PART = BUCKETS * BUCKET
assert (BUCKET, PART, 1 << _DEEP) == (32_768, 8_388_608, BUCKETS)


@dataclass(frozen=True, slots=True)
class Statement:
    """What is signed of a part: that these slots stand at `sub`, written at `iat` and as at `release`."""

    sub: str
    iat: Moment
    exp: Moment
    ttl: int  # seconds after which the next writing may be there
    release: int
    tree_size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Bucket:
    """Slots that a key of the city signed for. Made by `OpenedBucket.verify`, by nothing else."""

    statement: Statement
    number: int
    slots: bytes

    def slot(self, place: int) -> bytes:
        """The slot at a place of the part. ValueError for one that is not in this bucket."""
        if place // EACH != self.number:
            raise ValueError("not in this bucket")
        at = place % EACH * SLOT
        return self.slots[at : at + SLOT]


@dataclass(frozen=True, slots=True)
class OpenedBucket:
    """A bucket taken apart, not verified. `statement` may be looked at to find the key, and believed in nothing."""

    key_id: bytes
    statement: Statement
    path: tuple[bytes, ...]
    slots: bytes
    _signed_by: Callable[[PublicKey], bool]

    def verify(self, key: PublicKey, number: int) -> Bucket:
        """Bucket `number` of the part, if `key` signed it. Raises Refused: `bad_signature`, `bad_message` where it is
        another bucket than that, or not the one that was signed."""
        if not self._signed_by(key):
            raise Refused(Code.BAD_SIGNATURE)
        if not self.leads_to(number, self.statement.root):
            raise Refused(Code.BAD_MESSAGE, hint="not the bucket that was signed")
        return Bucket(self.statement, number, self.slots)

    def leads_to(self, number: int, root: bytes) -> bool:
        """Whether these slots are bucket `number` of the part with this root; the statement is not looked at."""
        return verify_inclusion(leaf_hash(self.slots), number, BUCKETS, self.path, root)


def state(statement: Statement, signer: Signer) -> bytes:
    """The statement, signed: a COSE_Sign1. ValueError for claims that no reader would take."""
    s = statement
    claims = Claims(s.sub, s.iat, s.exp, s.ttl, BITS, b"", s.release, s.tree_size)
    payload = {**times_and_place(claims), ROOT: s.root}
    made = cose.sign1(cose.dumps(payload), signer, headers={cose.TYP: CWT})
    if len(made) > SAID - 2:
        raise ValueError("a statement that does not fit")
    return made


class Tree:
    """The tree over the slots of one part."""

    def __init__(self, slots: bytes | bytearray | memoryview) -> None:
        """`slots`: all of them, PLACES * SLOT bytes."""
        if len(slots) != PLACES * SLOT:
            raise ValueError("not the slots of a part")
        self._slots = memoryview(slots)
        each = EACH * SLOT
        row = [leaf_hash(bytes(self._slots[n * each : (n + 1) * each])) for n in range(BUCKETS)]
        self._rows = [row]
        while len(row) > 1:
            row = [node_hash(*pair) for pair in zip(row[::2], row[1::2], strict=True)]
            self._rows.append(row)
        self.root = row[0]

    def part(self, signed: bytes) -> bytes:
        """The file, with this signed statement over the root in every bucket."""
        said = (len(signed).to_bytes(2, "big") + signed).ljust(SAID, b"\0")
        each = EACH * SLOT
        made: list[bytes | memoryview] = []
        for n in range(BUCKETS):
            made.append(said)
            made += [row[n >> high ^ 1] for high, row in enumerate(self._rows[:-1])]
            made.append(self._slots[n * each : (n + 1) * each])
        return b"".join(made)


def open_bucket(content: bytes) -> OpenedBucket:
    """A bucket taken apart. Raises Refused: `bad_message`, `too_many_bytes`."""
    if len(content) != BUCKET:
        raise Refused(Code.BAD_MESSAGE, hint="not a bucket")
    length = int.from_bytes(content[:2], "big")
    if length > SAID - 2 or any(content[2 + length : SAID]):
        raise Refused(Code.BAD_MESSAGE, hint="not the head of a bucket")
    message, payload = open_typed(content[2 : 2 + length], CWT, most=SAID)
    c = shared_claims(payload, ROOT)
    root = payload[ROOT]
    if not isinstance(root, bytes) or len(root) != HASH:
        raise Refused(Code.BAD_MESSAGE, hint="not the root of a part")
    path = tuple(content[at : at + HASH] for at in range(SAID, HEAD, HASH))
    statement = Statement(c.sub, c.iat, c.exp, c.ttl, c.release, c.tree_size, root)
    return OpenedBucket(message.key_id, statement, path, content[HEAD:], message.verify)

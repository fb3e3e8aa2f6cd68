"""What a resident is given of their own turn: one text (C2SP tlog-proof) that proves by itself, with no network, that
the log holds it.

It carries the opening and the turn, the place in the log, the inclusion proof, and the signed checkpoint that it
leads to. Whoever is shown it learns this turn of this person and nothing about any other.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass

from kangma.errors import Code, Refused
from kangma.signing.keys import PublicKey
from kangma.translog import checkpoint, entries, note, tree
from kangma.translog.checkpoint import Checkpoint
from kangma.translog.entries import COMMITMENT, TURN_BYTES, Turn
from kangma.translog.tree import HASH

MAX_PATH = 63  # hashes
_FIRST = "c2sp.org/tlog-proof@v1"
_HEAD = re.compile(rf"{re.escape(_FIRST)}\nextra ([^\n ]*)\nindex (0|[1-9][0-9]{{0,18}})\n", re.ASCII)


@dataclass(frozen=True, slots=True)
class Receipt:
    """As given, not verified."""

    opening: bytes  # 32 bytes
    turn: bytes  # 42 bytes
    index: int
    proof: tuple[bytes, ...]
    checkpoint: bytes  # the signed note

    def to_bytes(self) -> bytes:
        lines = "".join(f"{b64encode(part).decode()}\n" for part in self.proof)
        extra = b64encode(self.opening + self.turn).decode()
        return f"{_FIRST}\nextra {extra}\nindex {self.index}\n{lines}\n".encode() + self.checkpoint

    def verify(self, origin: str, keys: Collection[PublicKey]) -> tuple[Turn, Checkpoint]:
        """The turn, and the checkpoint of the log `origin` that holds it. Raises Refused as `open_checkpoint` does,
        and `bad_proof`."""
        found = checkpoint.open_checkpoint(self.checkpoint, origin, *keys)
        leaf = tree.leaf_hash(entries.commitment(self.opening, self.turn))
        if not tree.verify_inclusion(leaf, self.index, found.size, self.proof, found.root):
            raise Refused(Code.BAD_PROOF)
        return Turn.from_bytes(self.turn), found


def parse(content: bytes) -> Receipt:
    """Raises Refused: `too_many_bytes`, `not_utf8`, `bad_message` for anything that `to_bytes` does not write."""
    if len(content) > note.MAX_NOTE:
        raise Refused(Code.TOO_MANY_BYTES)
    head, empty, signed = content.partition(b"\n\n")
    try:
        text = head.decode() + "\n"
        found = _HEAD.match(text)
        if found is None or not empty:
            raise ValueError
        extra = note.unbase64(found[1])
        proof = tuple(map(note.unbase64, text[found.end() :].splitlines()))
        if len(extra) != COMMITMENT + TURN_BYTES or len(proof) > MAX_PATH or {len(p) for p in proof} - {HASH}:
            raise ValueError
        receipt = Receipt(extra[:COMMITMENT], extra[COMMITMENT:], int(found[2]), proof, signed)
        if receipt.to_bytes() != content:
            raise ValueError
    except UnicodeDecodeError:
        raise Refused(Code.NOT_UTF8) from None
    except ValueError:
        raise Refused(Code.BAD_MESSAGE, hint="not a receipt") from None
    return receipt

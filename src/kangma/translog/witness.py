"""Witnesses (C2SP tlog-cosignature, cosignature/v1): others who saw the log grow and nothing else.

A log that shows different people different trees must get its witnesses to sign both. A witness keeps one checkpoint
a log and cosigns the next only after a proof that it extends that one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from kangma.errors import Code, Refused
from kangma.signing.keys import PublicKey, Signer
from kangma.terms import Moment
from kangma.translog import checkpoint, note, tree
from kangma.translog.checkpoint import Checkpoint

MAX_TIME = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A witness's answer. Store `seen` durably, in place of what was passed, before `line` leaves the house."""

    line: bytes  # one signature line
    seen: Checkpoint


def cosign(
    content: bytes,
    proof: Sequence[bytes],
    seen: Checkpoint | None,
    *,
    origin: str,
    keys: Collection[PublicKey],
    name: str,
    signer: Signer,
    now: Moment,
) -> Cosigned:
    """The cosignature, by `signer` called `name`, of the checkpoint `content` of the log `origin` with `keys`.

    `seen` is what this witness cosigned last for that log, None at first; `proof` the consistency proof from there,
    empty at first and for the same checkpoint again. Raises Refused: as `open_checkpoint`; `rolled_back` for a
    smaller tree; `bad_proof` when the proof does not hold, which for a sound log means a fork.
    """
    found = checkpoint.open_checkpoint(content, origin, *keys)
    size, root = (seen.size, seen.root) if seen else (0, tree.EMPTY_ROOT)
    if seen is not None and seen.origin != origin:
        raise ValueError("what was seen is another log")
    if found.size < size:
        raise Refused(Code.ROLLED_BACK, hint=f"{size} entries were seen")
    if not tree.verify_consistency(size, root, found.size, found.root, proof):
        raise Refused(Code.BAD_PROOF, hint=f"it does not extend the {size} entries that were seen")
    signature = signer.sign(_statement(found.text, now))
    line = note.Line(name, witness(name, signer.public).id, now.to_bytes(8, "big") + signature)
    return Cosigned(str(line).encode(), found)


def witness(name: str, public: PublicKey) -> note.Key:
    """The key by which a witness's lines are known. Refused (bad_value) for a bad name or another kind of key."""
    return note.Key(name, public, note.Kind.COSIGNATURE)


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint that its log signed and enough witnesses saw."""

    checkpoint: Checkpoint
    seen: Mapping[note.Key, Moment]  # the newest time of each witness that cosigned


def open_witnessed(
    content: bytes,
    origin: str,
    keys: Collection[PublicKey],
    witnesses: Collection[note.Key],
    *,
    need: int,
    now: Moment | None = None,
) -> Witnessed:
    """The checkpoint, when `need` of `witnesses` cosigned it; none of them in a time after `now`.

    Two witnesses with one key are one witness, and a ValueError. Raises Refused: as `open_checkpoint`; `bad_signature`
    when a line names one of `witnesses` and is not its cosignature; `few_witnesses`.
    """
    if len({key.public.raw for key in witnesses}) != len(witnesses) or need < 0:
        raise ValueError("one witness given twice")
    opened = note.opened(content)
    found = checkpoint.verified(opened, origin, *keys)
    seen: dict[note.Key, Moment] = {}
    for line in opened.lines:
        for key in witnesses:
            if key.kind is note.Kind.COSIGNATURE and line.is_of(key):
                at = _time_of(line, key.public, opened.text)
                if now is None or at <= now:
                    seen[key] = max(at, seen.get(key, at))
    if len(seen) < need:
        raise Refused(Code.FEW_WITNESSES, hint=f"{len(seen)} of {need}")
    return Witnessed(found, seen)


def _statement(text: str, at: Moment) -> bytes:
    """What a witness signs: tlog-cosignature, "Ed25519 signed message"."""
    if not 0 <= at <= MAX_TIME:
        raise ValueError("not a time")
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def _time_of(line: note.Line, public: PublicKey, text: str) -> Moment:
    at = int.from_bytes(line.signature[:8], "big")
    if len(line.signature) != 72 or at > MAX_TIME:
        raise Refused(Code.BAD_SIGNATURE)
    if not public.verifies(line.signature[8:], _statement(text, at)):
        raise Refused(Code.BAD_SIGNATURE)
    return at

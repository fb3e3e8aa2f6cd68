"""The head of the log, signed (C2SP tlog-checkpoint): origin, size and root as the three lines of a note."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from kangma.errors import Code, Refused
from kangma.signing.keys import PublicKey, Signer
from kangma.translog import note
from kangma.translog.tiles import MAX_SIZE
from kangma.translog.tree import EMPTY_ROOT, HASH

MAX_ORIGIN = 255  # bytes
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says it is. Whether that was signed is said by whoever made the value: `open_checkpoint`."""

    origin: str  # names the log, and the key that signs it; a URL without its scheme
    size: int
    root: bytes  # 32 bytes
    extensions: tuple[str, ...] = ()  # further lines, of other logs: ours has none

    def __post_init__(self) -> None:
        if not (
            note.is_name(self.origin)
            and len(self.origin.encode()) <= MAX_ORIGIN
            and 0 <= self.size <= MAX_SIZE
            and len(self.root) == HASH
            and (self.size > 0 or self.root == EMPTY_ROOT)
            and all(line and "\n" not in line for line in self.extensions)
        ):
            raise Refused(Code.BAD_VALUE, hint="not a checkpoint")

    @property
    def text(self) -> str:
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def of_text(cls, text: str) -> Checkpoint:
        """The checkpoint that a note's text is. Raises Refused (bad_message) for any other text."""
        *lines, end = text.split("\n")
        try:
            if len(lines) < 3 or end or not _SIZE.fullmatch(lines[1]):
                raise ValueError
            return cls(lines[0], int(lines[1]), note.unbase64(lines[2]), tuple(lines[3:]))
        except (ValueError, Refused):
            raise Refused(Code.BAD_MESSAGE, hint="not a checkpoint") from None


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """The signed note. The key's name is the origin; the key is Ed25519, otherwise Refused (bad_value)."""
    return note.sign(checkpoint.text, (checkpoint.origin, signer)).to_bytes()


def open_checkpoint(content: bytes, origin: str, *keys: PublicKey) -> Checkpoint:
    """The checkpoint of the log `origin`, signed by one of its `keys` (more than one while a key is rotated).

    Raises Refused: as `note.opened`; `unknown_key` when none of the keys signed or the text names another log;
    `bad_signature`; `bad_message` for a signed text that is no checkpoint.
    """
    return verified(note.opened(content), origin, *keys)


def verified(opened: note.Opened, origin: str, *keys: PublicKey) -> Checkpoint:
    """As `open_checkpoint`, of a note that is already taken apart."""
    opened.verified([note.Key(origin, key) for key in keys])
    found = Checkpoint.of_text(opened.text)
    if found.origin != origin:
        raise Refused(Code.UNKNOWN_KEY, hint="the checkpoint of another log")
    return found

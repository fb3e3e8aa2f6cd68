"""The log as it grows: a small value that turns entries into files.

`Log` holds what the next append needs and no more: the right edge of the tree and the last, partial bundle, at most
256 hashes a level. What it has written once it never writes otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from kangma.errors import Code, Refused
from kangma.translog import tiles, tree
from kangma.translog.tiles import BUNDLES, HEIGHT, MAX_ENTRY, MAX_SIZE, WIDTH
from kangma.translog.tree import HASH

MAGIC = b"kangma log 1\n"


@dataclass(frozen=True, slots=True)
class Log:
    """Equal logs hold equal entries in the same order, however they were appended."""

    size: int  # entries
    edge: tuple[bytes, ...]  # [level]: the hashes of its partial tile, size >> 8*level modulo 256 of them
    bundle: bytes  # the partial bundle, size modulo 256 entries

    EMPTY: ClassVar[Log]

    @property
    def root(self) -> bytes:
        """RFC 9162, 2.1.1."""
        peaks = []
        for hashes in reversed(self.edge):
            for start, stop in tree.peaks(0, len(hashes) // HASH):
                inside = tiles.cut(hashes[start * HASH : stop * HASH])
                peaks += tree.fold(inside, (stop - start).bit_length() - 1)
        return tree.join(peaks)

    def append(self, entries: Sequence[bytes]) -> tuple[Log, dict[str, bytes]]:
        """The log with `entries` at its end, and the files to write: every full tile and bundle that came to be, and
        the partial ones of the new size as far as they changed. Path → content, in an order in which nothing is
        written before what it is made of.

        The files of one append hold no more than the entries given and those of the bundle before: cut a long run
        in pieces of about 65,536 to bound memory. Raises ValueError for an entry above 65,535 bytes.
        """
        if not entries:
            return self, {}
        if max(map(len, entries)) > MAX_ENTRY:
            raise ValueError("an entry is too long")
        size = self.size + len(entries)
        if size > MAX_SIZE:
            raise ValueError("the log is full")
        files: dict[str, bytes] = {}

        index, held = divmod(self.size, WIDTH)
        begun = self.bundle
        for start in range(-held, len(entries), WIDTH):
            begun += tiles.bundle(entries[max(start, 0) : start + WIDTH])
            taken = min(WIDTH, len(entries) - start)
            files[tiles.path(BUNDLES, index, taken)] = begun
            if taken == WIDTH:
                index, begun = index + 1, b""

        edge, level, hashes = [], 0, tree.leaf_hashes(entries)
        while hashes or level < len(self.edge):
            held_hashes = self.edge[level] if level < len(self.edge) else b""
            if hashes:
                hashes = tiles.cut(held_hashes) + hashes
                index = self.size >> (HEIGHT * (level + 1))
                for start in range(0, len(hashes), WIDTH):
                    tile = b"".join(hashes[start : start + WIDTH])
                    files[tiles.path(level, index, len(tile) // HASH)] = tile
                    index += 1
                held_hashes = tile if len(tile) < WIDTH * HASH else b""
                hashes = tree.fold(hashes[: len(hashes) - len(hashes) % WIDTH], HEIGHT)
            edge.append(held_hashes)
            level += 1
        return Log(size, tuple(edge), begun), files

    def to_bytes(self) -> bytes:
        """For the state of whoever appends; `from_bytes` takes it back. Not part of what is published."""
        body = MAGIC + self.size.to_bytes(8, "big") + b"".join(self.edge) + self.bundle
        return body + hashlib.sha256(body).digest()

    @classmethod
    def from_bytes(cls, content: bytes) -> Log:
        """Raises Refused (unreadable) for anything that `to_bytes` did not make, and for any damage to it."""
        body, digest = content[:-HASH], content[-HASH:]
        at = len(MAGIC) + 8
        if not body.startswith(MAGIC) or len(body) < at or hashlib.sha256(body).digest() != digest:
            raise Refused(Code.UNREADABLE, hint="not the state of a log, or damaged")
        size = int.from_bytes(body[len(MAGIC) : at], "big")
        edge, rest = [], size
        while rest and size <= MAX_SIZE:
            end = at + rest % WIDTH * HASH
            edge.append(body[at:end])
            at, rest = end, rest >> HEIGHT
        held = body[at:]
        try:
            ending = tree.leaf_hashes(tiles.unbundle(held, size % WIDTH))
            if size > MAX_SIZE or at > len(body) or ending != tiles.cut(edge[0] if edge else b""):
                raise Refused(Code.UNREADABLE)
        except Refused:
            raise Refused(Code.UNREADABLE, hint="the state of a log contradicts itself") from None
        return cls(size, tuple(edge), held)


Log.EMPTY = Log(0, (), b"")

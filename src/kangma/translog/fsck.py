"""Whether a log holds: everything computed again from its entries, and compared with every file.

The tree is built a second time by the code that built it first (`Log.append`); what that code can get wrong is the
business of the tests, which hold it against the definition in the RFC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kangma.errors import Refused
from kangma.translog import tiles, tree
from kangma.translog.checkpoint import Checkpoint
from kangma.translog.log import Log
from kangma.translog.tiles import BUNDLES, WIDTH, Read

STRETCH = WIDTH * WIDTH  # entries at a time; bounds memory


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong."""

    path: str  # the file to look at
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def fsck(read: Read, checkpoint: Checkpoint, listed: Iterable[str] = ()) -> Fault | None:
    """The first fault of the log whose head is `checkpoint`, or None: every entry, tile and the root are as they
    must be. The checkpoint comes from `open_checkpoint`; its signature is not looked at again.

    Only the files of this very size are read. Of the further files that `listed` names (all below `tile/`, say),
    partial ones of earlier sizes must hold the same as the present ones, unless they went meanwhile because the full one
    came; those beyond the size are passed over, since no checkpoint speaks of them yet; any other name is a fault.
    """
    size = checkpoint.size
    log = Log.EMPTY
    while log.size < size:
        stop = min(log.size + STRETCH, size)
        try:
            log, files = log.append(tiles.entries_of(read, log.size, stop, size))
            for name, content in files.items():
                found = tiles.parse_path(name)
                assert found is not None
                level, index, width = found
                if level == BUNDLES or width != tiles.width(level, index, size):
                    continue  # read already; or not yet as it is at the end
                there = tiles.fetch(read, level, index, size)
                if there != content:
                    return _differs(read, checkpoint, name, content, there)
        except Refused as problem:
            return Fault(str(problem.where), problem.hint or str(problem.code))
    if log.root != checkpoint.root:
        return Fault("checkpoint", f"another root than the {size} entries have")
    return next((fault for name in listed if (fault := _earlier(read, name, size))), None)


def _differs(read: Read, checkpoint: Checkpoint, name: str, right: bytes, there: bytes) -> Fault:
    """Which file is to blame when a tile is not made of what lies below it."""
    pairs = zip(tiles.cut(right), tiles.cut(there), strict=True)
    place = next(at for at, (ours, theirs) in enumerate(pairs) if ours != theirs)
    parsed = tiles.parse_path(name)
    assert parsed is not None
    level, index, width = parsed
    if level == 0:
        # The tile is believed when the tile above, or for the last one the root, was made of it: then it is the entry.
        if width == WIDTH:
            above, at = divmod(index, WIDTH)
            parent = tiles.cut(tiles.fetch(read, 1, above, checkpoint.size))[at]
            believed = tree.fold(tiles.cut(there), tiles.HEIGHT) == [parent]
        else:
            believed = tiles.root(read, checkpoint.size) == checkpoint.root
        if believed:
            name = tiles.path(BUNDLES, index, width)
    return Fault(name, f"place {place} is not what the log was made of")


def _at(read: Read, name: str) -> bytes | None:
    try:
        return read(name)
    except (LookupError, FileNotFoundError):
        return None


def _earlier(read: Read, name: str, size: int) -> Fault | None:
    """What is wrong with a further file, of a log that is sound otherwise."""
    parsed = tiles.parse_path(name)
    if parsed is None or (parsed[0] != BUNDLES and int(parsed[0]) > 7):
        return Fault(name, "not a file of a log")
    level, index, width = parsed
    if width >= tiles.width(level, index, size):
        return None
    try:
        whole = tiles.fetch(read, level, index, size)
        content = _at(read, name)
        if content is None:
            return Fault(name, "not there") if _at(read, tiles.path(level, index, WIDTH)) is None else None
    except (LookupError, FileNotFoundError):
        return Fault(name, "not there")
    if level == BUNDLES:
        right = tiles.bundle(tiles.unbundle(whole, tiles.width(level, index, size))[:width])
    else:
        right = whole[: width * tree.HASH]
    return None if content == right else Fault(name, "not the beginning of what stands there now")

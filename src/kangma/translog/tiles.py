"""How the tree lies in files: C2SP tlog-tiles, height 8.

A tile is up to 256 hashes of one level; level L holds the roots of complete subtrees of 256^L leaves. An entry bundle
is up to 256 entries behind each other, each after its length. Files are immutable: a partial one carries its width in
its name. Whoever reads passes `read`, which takes a path such as `tile/0/x001/234.p/17`.

What is read here is not checked against a root: a proof made of damaged tiles is a proof that does not verify. A
`size` is one for which there was a checkpoint: only for those the partial files are there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from kangma.errors import Code, Refused, Where
from kangma.translog import tree
from kangma.translog.tree import HASH

#: The bytes of a file of the log. For a file that is not there it raises LookupError or FileNotFoundError; anything
#: else that it raises (Unavailable) passes through.
Read = Callable[[str], bytes]

HEIGHT = 8
WIDTH = 1 << HEIGHT  # hashes of a full tile, entries of a full bundle
MAX_ENTRY = 0xFFFF  # bytes; its length is written in two
MAX_SIZE = (1 << 62) - 1  # leaves; `tile/7/…` is the highest level that they need
BUNDLES = "entries"  # stands where a tile has its level


def path(level: int | str, index: int, width: int = WIDTH) -> str:
    """Where the tile of `level`, or the bundle (`BUNDLES`), lies whose first `width` of 256 places are taken."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(groups))}{'' if width == WIDTH else f'.p/{width}'}"


_PATH = re.compile(
    r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)


def parse_path(name: str) -> tuple[int | str, int, int] | None:
    """Level (or `BUNDLES`), index and width that a path names; None for one that `path` does not make."""
    found = _PATH.fullmatch(name)
    if found is None:
        return None
    level: int | str = found[1] if found[1] == BUNDLES else int(found[1])
    index, width = int(re.sub("[x/]", "", found[2])), int(found[3] or WIDTH)
    return (level, index, width) if path(level, index, width) == name else None


def width(level: int | str, index: int, size: int) -> int:
    """How many places of a tile or bundle are taken in a log of `size`: 0 to 256."""
    whole = size if level == BUNDLES else size >> (HEIGHT * int(level))
    return max(0, min(WIDTH, whole - index * WIDTH))


def bundle(entries: Iterable[bytes]) -> bytes:
    """Entries as a bundle holds them. OverflowError for one above MAX_ENTRY."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def unbundle(content: bytes, count: int) -> list[bytes]:
    """The `count` entries that are all of `content`. Raises Refused: `cut_off` where it ends too early, and
    `bad_message` where more follows."""
    entries, at = [], 0
    for _ in range(count):
        start = at + 2
        at = start + int.from_bytes(content[at:start], "big")
        if at > len(content) or start > len(content):
            raise Refused(Code.CUT_OFF)
        entries.append(content[start:at])
    if at != len(content):
        raise Refused(Code.BAD_MESSAGE, hint="bytes after the last entry")
    return entries


def cut(hashes: bytes) -> list[bytes]:
    """The hashes that lie behind each other in a tile."""
    return [hashes[i : i + HASH] for i in range(0, len(hashes), HASH)]


def fetch(read: Read, level: int | str, index: int, size: int) -> bytes:
    """The tile or bundle as it is in a log of `size`. A partial one that is gone is cut from the full one.

    Raises Refused (cut_off) where the file is not there or has another length than its width says.
    """
    taken = width(level, index, size)
    name = path(level, index, taken)
    try:
        content = read(name)
    except (LookupError, FileNotFoundError):
        try:
            if taken == WIDTH:
                raise
            full = read(path(level, index))
        except (LookupError, FileNotFoundError):
            raise Refused(Code.CUT_OFF, Where(file=name), "not there") from None
        if level == BUNDLES:
            return bundle(_entries(full, WIDTH, name)[:taken])
        content = full[: taken * HASH]
    if level != BUNDLES and len(content) != taken * HASH:
        raise Refused(Code.CUT_OFF, Where(file=name), "not as long as its width")
    return content


def _entries(content: bytes, count: int, name: str) -> list[bytes]:
    try:
        return unbundle(content, count)
    except Refused as problem:
        raise Refused(problem.code, Where(file=name), problem.hint) from None


def entries_of(read: Read, start: int, stop: int, size: int) -> list[bytes]:
    """Entries [start, stop) of a log of `size`. ValueError outside it; Refused where a bundle is not readable."""
    if not 0 <= start <= stop <= size:
        raise ValueError("no such entries")
    found: list[bytes] = []
    for index in range(start // WIDTH, -(-stop // WIDTH)):
        content = fetch(read, BUNDLES, index, size)
        taken = width(BUNDLES, index, size)
        found += _entries(content, taken, path(BUNDLES, index, taken))
    first = start // WIDTH * WIDTH
    return found[start - first : stop - first]


def inclusion(read: Read, index: int, size: int) -> list[bytes]:
    """The proof that `tree.verify_inclusion` takes. ValueError for a leaf that the tree does not have; Refused where
    a tile is not readable."""
    return _hashes(read, tree.path(index, size), size)


def consistency(read: Read, old: int, new: int) -> list[bytes]:
    """The proof that `tree.verify_consistency` takes. ValueError when `old` is larger; Refused where a tile is not
    readable."""
    return _hashes(read, tree.bridge(old, new), new)


def root(read: Read, size: int) -> bytes:
    """The root of the first `size` leaves, from tiles. Refused where one is not readable."""
    return _hashes(read, [(0, size)], size)[0]


def _hashes(read: Read, subtrees: Sequence[tree.Subtree], size: int) -> list[bytes]:
    """The hash of each subtree; each tile is read once."""
    seen: dict[tuple[int, int], bytes] = {}

    def complete(start: int, stop: int) -> bytes:
        height = (stop - start).bit_length() - 1
        level, inside = divmod(height, HEIGHT)
        first = start >> (HEIGHT * level)
        at = level, first // WIDTH
        if at not in seen:
            seen[at] = fetch(read, *at, size)
        begin = first % WIDTH * HASH
        return tree.fold(cut(seen[at][begin : begin + (HASH << inside)]), inside)[0]

    return [tree.join([complete(*peak) for peak in tree.peaks(*subtree)]) for subtree in subtrees]

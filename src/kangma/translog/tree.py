"""The Merkle tree of RFC 6962 (2.1) and RFC 9162 (2.1): how it is hashed, which subtrees make a proof, and what a
proof proves.

Nothing here knows where hashes are kept. A subtree is the range [start, stop) of the leaves below it; `path` and
`bridge` say which subtrees make a proof, `kangma.translog.tiles` finds their hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

HASH = 32  # bytes of SHA-256
EMPTY_ROOT = hashlib.sha256(b"").digest()

Subtree = tuple[int, int]  # [start, stop) of the leaves below

_sha256 = hashlib.sha256


def leaf_hash(data: bytes) -> bytes:
    return _sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\x01" + left + right).digest()


def leaf_hashes(entries: Sequence[bytes]) -> list[bytes]:
    return [_sha256(b"\x00" + entry).digest() for entry in entries]


def fold(hashes: list[bytes], height: int) -> list[bytes]:
    """The hashes `height` levels higher; their number is a multiple of 2^height, and comes out divided by it."""
    for _ in range(height):
        pairs = iter(hashes)
        hashes = [_sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return hashes


def join(peaks: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, largest (leftmost) first: RFC 9162, 2.1.1, read from the right."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for left in reversed(peaks[:-1]):
        root = node_hash(left, root)
    return root


def peaks(start: int, stop: int) -> list[Subtree]:
    """The complete subtrees of which the subtree [start, stop) is joined, largest first. `start` is a multiple of
    the largest's size, as it is for every subtree of `path` and `bridge`."""
    found = []
    while start < stop:
        size = 1 << ((stop - start).bit_length() - 1)
        found.append((start, start + size))
        start += size
    return found


def _middle(start: int, stop: int) -> int:
    """Where a subtree of two or more leaves divides: after the largest power of two that is smaller than it."""
    return start + (1 << ((stop - start - 1).bit_length() - 1))


def path(index: int, size: int) -> list[Subtree]:
    """The subtrees of the inclusion proof of leaf `index` in a tree of `size`, from the leaf up (RFC 9162, 2.1.3.1).

    Raises ValueError for an index that the tree does not have.
    """
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    start, stop, found = 0, size, []
    while stop - start > 1:
        middle = _middle(start, stop)
        if index < middle:
            found.append((middle, stop))
            stop = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def bridge(old: int, new: int) -> list[Subtree]:
    """The subtrees of the consistency proof from `old` leaves to `new`, in its order (RFC 9162, 2.1.4.1).

    None for equal sizes, and from the empty tree, whose extension every tree is. ValueError when `old` is larger.
    """
    if not 0 <= old <= new:
        raise ValueError("a tree does not shrink")
    if old in (0, new):
        return []
    start, stop, found = 0, new, []
    while stop != old:
        middle = _middle(start, stop)
        if old <= middle:
            found.append((middle, stop))
            stop = middle
        else:
            found.append((start, middle))
            start = middle
    if start:  # otherwise this subtree is the whole old tree, whose root the verifier has
        found.append((start, stop))
    return found[::-1]


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that leaf `index` of the tree with this size and root has this hash (RFC 9162, 2.1.3.2).

    Any arguments are answered, hostile ones with False.
    """
    if not (0 <= index < size and _are_hashes(leaf_hash, root, *proof)):
        return False
    at, last, above = index, size - 1, leaf_hash
    for beside in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            above = node_hash(beside, above)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            above = node_hash(above, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and above == root


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that the new tree begins with all of the old one (RFC 9162, 2.1.4.2).

    From the empty tree, and between equal sizes, the proof is empty. Any arguments are answered, hostile ones with
    False.
    """
    if not (0 <= old_size <= new_size and _are_hashes(old_root, new_root, *proof)):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root and (old_size > 0 or old_root == EMPTY_ROOT)
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    hashes = list(proof)
    if at == 0:  # the old tree is complete: its root is where the proof starts
        hashes.insert(0, old_root)
    if not hashes:
        return False
    old = new = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(beside, old), node_hash(beside, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def _are_hashes(*hashes: bytes) -> bool:
    return all(len(h) == HASH for h in hashes)

"""The tree is the RFC's, its proofs prove, and nothing else does."""

from __future__ import annotations

import hashlib

import plain_tree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kangma.translog import tree

LEAVES = plain_tree.LEAVES
SMALL = [bytes([n]) for n in range(65)]
ROOTS = [plain_tree.mth(SMALL[:n]) for n in range(66)]


def _hashes(texts: tuple[str, ...]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def _root(leaves: list[bytes]) -> bytes:
    peaks = tree.peaks(0, len(leaves))
    hashes = tree.leaf_hashes(leaves)
    return tree.join([tree.fold(hashes[a:b], (b - a).bit_length() - 1)[0] for a, b in peaks])


def test_whoever_changes_one_entry_needs_another_root() -> None:
    leaves = [b"green", b"yellow", b"red"]
    assert _root(leaves) != _root([b"green", b"yellow", b"green"])
    assert _root(leaves) != _root([b"yellow", b"green", b"red"])
    assert _root(leaves) != _root(leaves[:2])


def test_roots_are_those_of_the_reference_tests() -> None:
    assert tree.EMPTY_ROOT.hex() == plain_tree.EMPTY
    for size, root in enumerate(plain_tree.ROOTS, 1):
        assert _root(LEAVES[:size]).hex() == root
        assert plain_tree.mth(LEAVES[:size]).hex() == root


def test_a_leaf_is_never_taken_for_a_node() -> None:
    left, right = tree.leaf_hash(b"a"), tree.leaf_hash(b"b")
    assert tree.leaf_hash(b"\x01" + left + right) != tree.node_hash(left, right)
    assert tree.leaf_hash(b"") == hashlib.sha256(b"\x00").digest()


@pytest.mark.parametrize(("leaf", "size"), plain_tree.INCLUSION)
def test_published_inclusion_proofs_verify(leaf: int, size: int) -> None:
    proof = _hashes(plain_tree.INCLUSION[leaf, size])
    assert plain_tree.path(leaf, LEAVES[:size]) == proof
    root = bytes.fromhex(plain_tree.ROOTS[size - 1])
    assert tree.verify_inclusion(tree.leaf_hash(LEAVES[leaf]), leaf, size, proof, root)


@pytest.mark.parametrize(("old", "new"), plain_tree.CONSISTENCY)
def test_published_consistency_proofs_verify(old: int, new: int) -> None:
    proof = _hashes(plain_tree.CONSISTENCY[old, new])
    assert plain_tree.proof(old, LEAVES[:new]) == proof
    roots = _hashes((plain_tree.ROOTS[old - 1], plain_tree.ROOTS[new - 1]))
    assert tree.verify_consistency(old, roots[0], new, roots[1], proof)


def _of(subtrees: list[tree.Subtree]) -> list[bytes]:
    return [plain_tree.mth(SMALL[a:b]) for a, b in subtrees]


def test_every_leaf_of_every_small_tree_has_one_proof_and_no_other_place_takes_it() -> None:
    for size in range(1, 34):
        for leaf in range(size):
            proof = _of(tree.path(leaf, size))
            assert proof == plain_tree.path(leaf, SMALL[:size])
            mine = tree.leaf_hash(SMALL[leaf])
            for other in range(size):
                found = tree.verify_inclusion(mine, other, size, proof, ROOTS[size])
                assert found == (other == leaf), (leaf, other, size)


def test_every_small_tree_is_shown_to_extend_every_smaller_one() -> None:
    for new in range(65):
        for old in range(new + 1):
            proof = _of(tree.bridge(old, new))
            assert proof == plain_tree.proof(old, SMALL[:new])
            assert tree.verify_consistency(old, ROOTS[old], new, ROOTS[new], proof), (old, new)


def _spoiled(proof: list[bytes], *further: bytes) -> list[list[bytes]]:
    """Proofs that are not this one, each by one change."""
    others = [[*proof, b""], [b"", *proof], [*proof, tree.EMPTY_ROOT], [tree.EMPTY_ROOT, *proof]]
    for root in further:
        others += [[*proof, root], [root, *proof]]
    for place, part in enumerate(proof):
        others.append(proof[:place] + proof[place + 1 :])
        others.append([*proof[:place], part[:-1], *proof[place + 1 :]])
        others.append([*proof[:place], part, *proof[place:]])
        for bit in (0, 100, 255):
            flipped = bytearray(part)
            flipped[bit // 8] ^= 1 << bit % 8
            others.append([*proof[:place], bytes(flipped), *proof[place + 1 :]])
    return others


def test_an_inclusion_proof_with_anything_changed_proves_nothing() -> None:
    for size in (1, 2, 3, 5, 8, 13, 32, 33):
        for leaf in {0, size // 2, size - 1}:
            mine, root = tree.leaf_hash(SMALL[leaf]), ROOTS[size]
            proof = plain_tree.path(leaf, SMALL[:size])
            for wrong in _spoiled(proof, root, mine):
                assert not tree.verify_inclusion(mine, leaf, size, wrong, root)
            for index, count in ((-1, size), (leaf, 0), (leaf, -size), (size, size), (leaf + size, size)):
                assert not tree.verify_inclusion(mine, index, count, proof, root)
            for other in (tree.EMPTY_ROOT, b"", root + b"\x00"):
                assert not tree.verify_inclusion(other, leaf, size, proof, root)
                assert not tree.verify_inclusion(mine, leaf, size, proof, other)


def test_a_consistency_proof_with_anything_changed_proves_nothing() -> None:
    for new in (2, 3, 4, 7, 8, 13, 32, 33):
        for old in {1, new // 2, new - 1}:
            proof = plain_tree.proof(old, SMALL[:new])
            for wrong in [[], *_spoiled(proof, ROOTS[old], ROOTS[new])]:
                assert not tree.verify_consistency(old, ROOTS[old], new, ROOTS[new], wrong), (old, new)
            assert not tree.verify_consistency(old, ROOTS[new], new, ROOTS[old], proof)
            assert not tree.verify_consistency(new, ROOTS[new], old, ROOTS[old], proof)
            for other in (tree.EMPTY_ROOT, b"", ROOTS[old] + b"\x00"):
                assert not tree.verify_consistency(old, other, new, ROOTS[new], proof)
                assert not tree.verify_consistency(old, ROOTS[old], new, other, proof)


def test_a_proof_of_another_height_does_not_pass_for_a_smaller_or_larger_tree() -> None:
    """The size is not part of the root: only the length of the proof holds them together."""
    for size in range(1, 18):
        for leaf in range(size):
            mine, proof = tree.leaf_hash(SMALL[leaf]), plain_tree.path(leaf, SMALL[:size])
            for other in range(1, 34):
                for index in range(other):
                    if len(tree.path(index, other)) != len(proof):
                        assert not tree.verify_inclusion(mine, index, other, proof, ROOTS[size])
    for new in range(2, 18):
        for old in range(1, new):
            proof = plain_tree.proof(old, SMALL[:new])
            for other in range(2, 34):
                for before in range(1, other):
                    if len(tree.bridge(before, other)) != len(proof):
                        found = tree.verify_consistency(before, ROOTS[old], other, ROOTS[new], proof)
                        assert not found, (old, new, before, other)


def test_a_byte_moved_from_one_hash_to_its_neighbour_is_found() -> None:
    """What is hashed stays the same, so only the lengths tell."""
    left, right = tree.leaf_hash(b"left"), tree.leaf_hash(b"right")
    root = tree.node_hash(left, right)
    assert tree.verify_inclusion(left, 0, 2, [right], root)
    assert not tree.verify_inclusion(left[:-1], 0, 2, [left[-1:] + right], root)
    assert not tree.verify_inclusion(left + right[:1], 0, 2, [right[1:]], root)
    assert not tree.verify_inclusion(b"", 0, 1, [], b"")
    assert tree.verify_consistency(1, left, 2, root, [right])
    assert not tree.verify_consistency(1, left[:-1], 2, root, [left[-1:] + right])
    assert not tree.verify_consistency(7, b"", 7, b"", [])


def test_every_tree_extends_the_empty_one_and_itself_without_a_proof() -> None:
    some = tree.leaf_hash(b"some")
    assert tree.verify_consistency(0, tree.EMPTY_ROOT, 0, tree.EMPTY_ROOT, [])
    assert tree.verify_consistency(0, tree.EMPTY_ROOT, 7, ROOTS[7], [])
    assert tree.verify_consistency(7, ROOTS[7], 7, ROOTS[7], [])
    assert not tree.verify_consistency(0, some, 0, some, [])
    assert not tree.verify_consistency(0, some, 7, ROOTS[7], [])
    assert not tree.verify_consistency(0, tree.EMPTY_ROOT, 7, ROOTS[7], [some])
    assert not tree.verify_consistency(7, ROOTS[7], 7, ROOTS[7], [some])
    assert not tree.verify_consistency(7, ROOTS[7], 7, ROOTS[6], [])


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 1 << 61), st.data())
def test_a_proof_is_as_short_as_the_tree_is_high(size: int, data: st.DataObject) -> None:
    leaf = data.draw(st.integers(0, size - 1))
    assert len(tree.path(leaf, size)) <= (size - 1).bit_length()
    old = data.draw(st.integers(0, size))
    assert len(tree.bridge(old, size)) <= (size - 1).bit_length() + 1


def test_asking_for_what_is_not_there_is_the_callers_mistake() -> None:
    for index, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(ValueError, match="no such leaf"):
            tree.path(index, size)
    for old, new in ((4, 3), (-1, 3)):
        with pytest.raises(ValueError, match="shrink"):
            tree.bridge(old, new)

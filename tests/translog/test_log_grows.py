"""A log is its entries in their order, however they came, and what it has published stays as it is."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import cache

import plain_tree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_log import grown, turn, turns

from kangma.errors import Code, Refused
from kangma.translog import tiles, tree
from kangma.translog.log import MAGIC, Log


def test_what_a_resident_was_told_stays_in_the_log_when_it_grows() -> None:
    entries = turns(700)
    log, files = grown(entries[:300])
    mine = tiles.entries_of(files.__getitem__, 17, 18, log.size)
    later, more = log.append(entries[300:])
    files |= more
    assert tiles.entries_of(files.__getitem__, 17, 18, later.size) == mine == [turn(17)]
    proof = tiles.inclusion(files.__getitem__, 17, later.size)
    assert tree.verify_inclusion(tree.leaf_hash(turn(17)), 17, later.size, proof, later.root)
    proof = tiles.consistency(files.__getitem__, log.size, later.size)
    assert tree.verify_consistency(log.size, log.root, later.size, later.root, proof)


ENTRIES = turns(70_000)


def _widths(size: int) -> list[int]:
    return [size // 256**level % 256 for level in range(3)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 1_100), max_size=6), st.integers(0, 1_100))
def test_any_cuts_give_the_same_log(cuts: list[int], size: int) -> None:
    cuts = sorted(min(cut, size) for cut in cuts)
    log, files = grown(ENTRIES[:size], *cuts)
    once, made = grown(ENTRIES[:size])
    assert log == once
    assert log.to_bytes() == once.to_bytes()
    assert made.items() <= files.items()
    assert log.root == plain_tree.mth(ENTRIES[:size])
    for name in files.keys() - made.keys():  # what is left of earlier sizes
        parsed = tiles.parse_path(name)
        assert parsed is not None
        assert 0 < parsed[2] < tiles.width(parsed[0], parsed[1], size)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 600), max_size=5))
def test_no_file_is_ever_written_twice_with_other_bytes(pieces: list[int]) -> None:
    log, files = Log.EMPTY, dict[str, bytes]()
    for piece in pieces:
        log, made = log.append(ENTRIES[log.size : log.size + piece])
        assert not made.keys() & files.keys()
        files |= made


def test_appending_nothing_changes_nothing() -> None:
    log, _ = grown(turns(300))
    assert log.append([]) == (log, {})
    assert Log.EMPTY.append([]) == (Log.EMPTY, {})
    assert Log.EMPTY.root == tree.EMPTY_ROOT


def test_a_log_of_70_000_has_the_tiles_of_the_specification() -> None:
    log, files = grown(ENTRIES, 65_536)
    names = {name for name in files if "entries" not in name}
    full = {n for n in names if n.startswith("tile/0/") and ".p/" not in n}
    assert len(full) == 273
    assert "tile/0/273.p/112" in names
    assert "tile/1/000" in names
    assert "tile/1/001.p/17" in names
    assert "tile/2/000.p/1" in names
    assert len(names) == 273 + 4
    assert [len(e) // 32 for e in log.edge] == _widths(log.size) == [112, 17, 1]
    assert sum(1 for n in files if n.startswith("tile/entries/")) == 274


def test_a_log_of_256_has_one_full_tile_and_one_hash_above_it() -> None:
    log, files = grown(turns(256))
    assert set(files) == {"tile/entries/000", "tile/0/000", "tile/1/000.p/1"}
    assert len(files["tile/0/000"]) == 8_192
    assert files["tile/1/000.p/1"] == log.root


def test_a_hash_above_is_the_root_of_the_full_tile_below() -> None:
    _, files = grown(ENTRIES[:66_000])
    for place in (0, 100, 255):
        below = ENTRIES[place * 256 : place * 256 + 256]
        assert files["tile/1/000"][place * 32 : place * 32 + 32] == plain_tree.mth(below)
    assert files["tile/2/000.p/1"] == plain_tree.mth(ENTRIES[:65_536])


def test_paths_are_those_of_the_specification() -> None:
    assert tiles.path(0, 1_234_067) == "tile/0/x001/x234/067"
    assert tiles.path(tiles.BUNDLES, 5, 17) == "tile/entries/005.p/17"
    assert tiles.path(3, 1_000) == "tile/3/x001/000"
    for level, index, width in ((0, 0, 256), (2, 999, 1), ("entries", 10**9, 255), (63, 1_000_000, 17)):
        assert tiles.parse_path(tiles.path(level, index, width)) == (level, index, width)


@pytest.mark.parametrize(
    "name",
    [
        "tile/0/0",
        "tile/0/x000/001",
        "tile/00/001",
        "tile/64/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/07",
        "tile/0/001.p/",
        "tile/0/1000",
        "tile/0/../001",
        "tile/0/٠٠١",
        "tile/data/001",
        "/tile/0/001",
        "tile/0/001\n",
        "checkpoint",
        "",
    ],
)
def test_no_other_path_names_a_tile(name: str) -> None:
    assert tiles.parse_path(name) is None


def test_a_partial_tile_that_was_deleted_is_cut_from_the_full_one() -> None:
    log, files = grown(turns(300), 200)
    del files["tile/0/000.p/200"], files["tile/entries/000.p/200"]
    read = files.__getitem__
    proof = tiles.inclusion(read, 5, 200)
    assert tree.verify_inclusion(tree.leaf_hash(turn(5)), 5, 200, proof, plain_tree.mth(turns(200)))
    assert tiles.entries_of(read, 190, 200, 200) == turns(200)[190:]
    assert tiles.root(read, 300) == log.root


def test_proofs_from_tiles_hold_for_all_leaves_and_all_smaller_logs() -> None:
    size = 700
    log, files = grown(ENTRIES[:size])
    read = files.__getitem__
    for leaf in range(0, size, 7):
        proof = tiles.inclusion(read, leaf, size)
        assert proof == plain_tree.path(leaf, ENTRIES[:size])
        assert tree.verify_inclusion(tree.leaf_hash(ENTRIES[leaf]), leaf, size, proof, log.root)
    for old in range(0, size + 1, 13):
        proof = tiles.consistency(read, old, size)
        assert tree.verify_consistency(old, plain_tree.mth(ENTRIES[:old]), size, log.root, proof)


SIGNED = (1, 255, 256, 257, 65_535, 65_536, 65_537, 65_792, 69_999, 70_000)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(SIGNED), st.data())
def test_proofs_over_three_levels_of_tiles_verify(size: int, data: st.DataObject) -> None:
    log, files = _big()
    leaf = data.draw(st.integers(0, size - 1))
    root = tiles.root(files.__getitem__, size)
    proof = tiles.inclusion(files.__getitem__, leaf, size)
    assert tree.verify_inclusion(tree.leaf_hash(ENTRIES[leaf]), leaf, size, proof, root)
    proof = tiles.consistency(files.__getitem__, size, log.size)
    assert tree.verify_consistency(size, root, log.size, log.root, proof)


@cache
def _big() -> tuple[Log, dict[str, bytes]]:
    return grown(ENTRIES, *SIGNED[:-1])


def test_a_proof_reads_few_files() -> None:
    log, files = _big()
    asked: list[str] = []

    def read(name: str) -> bytes:
        asked.append(name)
        return files[name]

    tiles.inclusion(read, 12_345, log.size)
    assert len(asked) == len(set(asked)) <= 5


@pytest.mark.parametrize(("name", "leaf"), [("tile/0/000", 2), ("tile/0/001.p/44", 298)])
def test_a_missing_or_short_tile_is_named(name: str, leaf: int) -> None:
    _, files = grown(turns(300))
    missing = {k: v for k, v in files.items() if k != name}
    for spoiled in (files | {name: files[name][:-1]}, files | {name: b""}, missing):
        with pytest.raises(Refused) as refused:
            tiles.inclusion(spoiled.__getitem__, leaf, 300)
        assert refused.value.code is Code.CUT_OFF
        assert refused.value.where.file == name


def test_entries_of_any_length_come_back() -> None:
    entries = [b"", b"\x00", b"x" * 65_535, b"\xff" * 300] * 65
    log, files = grown(entries, 1, 259)
    assert tiles.entries_of(files.__getitem__, 0, log.size, log.size) == entries
    assert tiles.entries_of(files.__getitem__, 255, 258, log.size) == entries[255:258]
    assert tiles.entries_of(files.__getitem__, 260, 260, log.size) == []
    with pytest.raises(ValueError, match="too long"):
        log.append([b"x" * 65_536])
    with pytest.raises(ValueError, match="no such"):
        tiles.entries_of(files.__getitem__, 0, log.size + 1, log.size)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1_000))
def test_the_state_of_a_log_comes_back_and_goes_on(size: int) -> None:
    log, _ = grown(ENTRIES[:size])
    again = Log.from_bytes(log.to_bytes())
    assert again == log
    assert again.append(ENTRIES[size : size + 40]) == log.append(ENTRIES[size : size + 40])


def test_a_damaged_state_is_refused_whatever_byte_was_hit() -> None:
    content = grown(turns(259))[0].to_bytes()
    for place in range(len(content)):
        spoiled = bytearray(content)
        spoiled[place] ^= 1 << place % 8
        with pytest.raises(Refused) as refused:
            Log.from_bytes(bytes(spoiled))
        assert refused.value.code is Code.UNREADABLE
        with pytest.raises(Refused):
            Log.from_bytes(content[:place])


def test_a_state_that_contradicts_itself_is_refused_though_its_digest_is_right() -> None:
    log, _ = grown(turns(259))
    for wrong in (
        dataclasses.replace(log, size=260),
        dataclasses.replace(log, size=1 << 63),
        dataclasses.replace(log, bundle=log.bundle[:-1]),
        dataclasses.replace(log, edge=(log.edge[0][::-1], *log.edge[1:])),
        dataclasses.replace(log, edge=()),
    ):
        with pytest.raises(Refused):
            Log.from_bytes(wrong.to_bytes())
    empty = MAGIC + bytes(8)
    assert Log.from_bytes(empty + hashlib.sha256(empty).digest()) == Log.EMPTY

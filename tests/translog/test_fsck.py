"""Whatever is changed in a published log, whoever recomputes it finds it, and is told where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_log import ORIGIN, grown, head, signed, signer, turn, turns

from kangma.errors import Refused, Unavailable
from kangma.translog import checkpoint, entries
from kangma.translog.checkpoint import Checkpoint
from kangma.translog.fsck import Fault, fsck
from kangma.translog.log import Log

KEYS = (signer("log").public,)


def _published(size: int, *cuts: int) -> tuple[Log, dict[str, bytes]]:
    """A log as a stranger finds it: only the files that its size needs, and the signed head."""
    log, files = grown(turns(size), *cuts)
    return log, files | {"checkpoint": signed(log)}


def _found(files: dict[str, bytes]) -> Fault | None:
    """What a stranger finds who has the folder and the log's key."""
    try:
        top = checkpoint.open_checkpoint(files["checkpoint"], ORIGIN, *KEYS)
    except (Refused, KeyError) as problem:
        return Fault("checkpoint", str(problem))
    return fsck(files.__getitem__, top, [name for name in files if name.startswith("tile/")])


@cache
def _big() -> tuple[Log, dict[str, bytes]]:
    return _published(70_000, 65_537)


def test_a_sound_log_has_no_fault() -> None:
    for size in (0, 1, 2, 255, 256, 257, 512, 1_000):
        assert _found(_published(size)[1]) is None
        assert _found(_published(size, size // 3, size // 2)[1]) is None
    assert _found(_big()[1]) is None


def test_a_turn_that_was_exchanged_is_named() -> None:
    _log, files = _published(700)
    for number in (5, 299, 650):
        name = next(n for n in (f"tile/entries/{number // 256:03d}", "tile/entries/002.p/188") if n in files)
        spoiled = files | {name: files[name].replace(turn(number), turn(10_000))}
        found = _found(spoiled)
        assert found == Fault(name, f"place {number % 256} is not what the log was made of")
        assert str(found).startswith(name)


def test_a_turn_exchanged_together_with_all_tiles_is_found_by_the_root() -> None:
    entries_ = turns(700)
    _, files = _published(700)
    entries_[17] = turn(10_000)
    _, others = grown(entries_)
    found = _found(others | {"checkpoint": files["checkpoint"]})
    assert found is not None
    assert found.path == "checkpoint"


def test_missing_shortened_lengthened_and_exchanged_files_are_named() -> None:
    _, files = _published(1_000)
    assert len(files) == 10
    for name in files:
        gone = {k: v for k, v in files.items() if k != name}
        for spoiled in (gone, files | {name: b""}, files | {name: files[name][:-1]}):
            found = _found(spoiled)
            assert found is not None
            assert found.path == name
        for spoiled in (files | {name: files[name] + b"\0"}, files | {name: files[name] * 2}):
            found = _found(spoiled)
            assert found is not None
            assert found.path == name
        for other in files.keys() - {name}:
            assert _found(files | {name: files[other], other: files[name]}) is not None, (name, other)


def test_a_log_that_was_rolled_back_under_its_head_is_found() -> None:
    _, files = _published(1_000)
    _, before = _published(990)
    assert _found(before | {"checkpoint": files["checkpoint"]}) is not None


def test_a_fault_above_is_found_where_the_tiles_are_many() -> None:
    _, files = _big()
    for name in ("tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1", "tile/0/272", "tile/0/273.p/112"):
        spoiled = bytearray(files[name])
        spoiled[-1] ^= 1
        found = _found(files | {name: bytes(spoiled)})
        assert found is not None
        assert found.path == name, found


def test_files_of_earlier_sizes_are_looked_at_too() -> None:
    log, files = _published(1_000, 100, 300, 301)
    left = [name for name in files if re.search(r"\.p/(100|44|45)$", name)]
    assert len(left) == 6
    for name in left:
        spoiled = bytearray(files[name])
        spoiled[7] ^= 1
        found = _found(files | {name: bytes(spoiled)})
        assert found == Fault(name, "not the beginning of what stands there now")
        assert fsck((files | {name: bytes(spoiled)}).__getitem__, head(log)) is None
    found = fsck(files.__getitem__, head(log), ["tile/0/003.p/7"])
    assert found == Fault("tile/0/003.p/7", "not there")


def test_a_file_that_goes_while_somebody_looks_because_the_full_one_came_is_no_fault() -> None:
    """A stranger has read the head and the names; then the city publishes on, and takes the partial files away."""
    log, before = _published(250, 100)
    names = [name for name in before if name.startswith("tile/")]
    _, after = grown(turns(300), 100, 250)
    now = {name: content for name, content in after.items() if "/000.p/" not in name}
    assert {"tile/0/000.p/100", "tile/entries/000.p/100"} <= set(names) - now.keys()
    assert fsck(now.__getitem__, head(log), names) is None
    missing = {name: content for name, content in before.items() if name != "tile/0/000.p/100"}
    assert fsck(missing.__getitem__, head(log), names) == Fault("tile/0/000.p/100", "not there")


def test_a_file_that_no_log_has_is_a_fault_and_one_ahead_of_the_head_is_not() -> None:
    log, files = _published(300)
    _, ahead = log.append(turns(900)[300:])
    assert _found(ahead | files) is None
    for name in ("tile/0/0", "tile/9/000", "tile/entries/000.tmp"):
        assert _found(files | {name: b""}) == Fault(name, "not a file of a log")


def test_a_reader_that_cannot_answer_now_is_not_a_fault_of_the_log() -> None:
    def read(name: str) -> bytes:
        raise Unavailable(name)

    with pytest.raises(Unavailable):
        fsck(read, head(_published(3)[0]))


def test_a_log_of_mixed_entries_is_sound_when_its_lengths_are_right() -> None:
    mixed = [entries.event({"type": "release", "number": n}) for n in range(300)] + [b"", b"x" * 65_535]
    log, files = grown(mixed)
    assert fsck(files.__getitem__, head(log), files) is None
    name = "tile/entries/000"
    longer = files[name][:1] + bytes([files[name][1] + 1]) + files[name][2:]
    found = fsck((files | {name: longer}).__getitem__, head(log))
    assert found is not None
    assert found.path == name


def _changes(files: dict[str, bytes]) -> Iterator[tuple[str, int]]:
    for name, content in files.items():
        for place in range(len(content)):
            yield name, place


def _changed(files: dict[str, bytes], name: str, place: int, by: int) -> dict[str, bytes]:
    content = bytearray(files[name])
    content[place] ^= by
    return files | {name: bytes(content)}


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_changed_byte_anywhere_is_found(data: st.DataObject) -> None:
    _, files = _published(1_000, 700)
    name = data.draw(st.sampled_from(sorted(files)))
    place = data.draw(st.integers(0, len(files[name]) - 1))
    assert _found(_changed(files, name, place, data.draw(st.integers(1, 255)))) is not None


@pytest.mark.prove
def test_every_changed_byte_of_a_log_of_1_000_turns_is_found() -> None:
    """Every byte of every file, tiles and bundles of an earlier size among them, each changed in one bit that differs
    from place to place; of the checkpoint in every way."""
    _, files = _published(1_000, 700)
    tried = 0
    for name, place in _changes(files):
        for by in range(1, 256) if name == "checkpoint" else [1 << place % 8]:
            tried += 1
            assert _found(_changed(files, name, place, by)) is not None, (name, place, by)
    assert tried > 100_000


@pytest.mark.prove
def test_every_truncation_of_a_log_of_1_000_turns_is_found() -> None:
    _, files = _published(1_000)
    for name, place in _changes(files):
        assert _found(files | {name: files[name][:place]}) is not None, (name, place)


def test_fsck_believes_the_root_that_it_is_given() -> None:
    log, files = _published(300)
    other = Checkpoint(ORIGIN, 300, bytes(32))
    found = fsck(files.__getitem__, other)
    assert found is not None
    assert found.path == "checkpoint"
    assert fsck(files.__getitem__, head(log)) is None

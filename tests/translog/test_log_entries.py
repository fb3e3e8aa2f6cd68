"""What stands in the log: nothing about anybody for everybody, everything for the one it is about."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_log import ORIGIN, grown, head, signed, signer, turns

from kangma.codes.turns import TURNS
from kangma.errors import Code, Refused
from kangma.terms import State
from kangma.translog import entries, receipt, tiles
from kangma.translog.entries import Commitment, Event, Turn

SALT = hashlib.sha256(b"a person's salt").digest()
MINE = Turn(bytes(range(16)), 41, State.GREEN, State.POPUP, 0, 0b101, 0, 0)


def test_a_resident_finds_their_own_turn_and_nobody_else_can() -> None:
    opening = entries.opening(SALT, MINE.release)
    entry = entries.commitment(opening, MINE.to_bytes())
    assert entries.parse(entry) == Commitment(entry[1:])
    assert MINE.person not in entry
    # Who knows everything but the salt must guess 256 bits; the opening of another release does not help.
    assert entries.commitment(entries.opening(SALT, 40), MINE.to_bytes()) != entry
    assert entries.commitment(opening, Turn(MINE.person, 41, 0, State.RED, 0, 0, 0, 0).to_bytes()) != entry


def test_a_receipt_proves_one_turn_with_no_network() -> None:
    opening = entries.opening(SALT, MINE.release)
    others = turns(600)
    log, files = grown([*others[:411], entries.commitment(opening, MINE.to_bytes()), *others[411:]])
    proof = tuple(tiles.inclusion(files.__getitem__, 411, log.size))
    given = receipt.Receipt(opening, MINE.to_bytes(), 411, proof, signed(log)).to_bytes()
    assert len(given) < 1_000
    assert given.startswith(b"c2sp.org/tlog-proof@v1\nextra ")
    keys = [signer("log").public]
    assert receipt.parse(given).verify(ORIGIN, keys) == (MINE, head(log))

    for place in range(len(given)):
        spoiled = bytearray(given)
        spoiled[place] ^= 1 << place % 8
        with pytest.raises(Refused):
            receipt.parse(bytes(spoiled)).verify(ORIGIN, keys)
        with pytest.raises(Refused):
            receipt.parse(given[:place]).verify(ORIGIN, keys)


def test_a_receipt_for_another_place_proves_nothing() -> None:
    opening = entries.opening(SALT, MINE.release)
    log, files = grown([entries.commitment(opening, MINE.to_bytes()), *turns(6)])
    proof = tuple(tiles.inclusion(files.__getitem__, 0, 7))
    for index, hashes in ((1, proof), (0, proof[1:]), (0, proof * 21), (7, proof)):
        given = receipt.Receipt(opening, MINE.to_bytes(), index, hashes, signed(log))
        with pytest.raises(Refused) as refused:
            given.verify(ORIGIN, [signer("log").public])
        assert refused.value.code is Code.BAD_PROOF


def test_a_receipt_longer_than_any_tree_is_no_receipt() -> None:
    for count, fine in ((63, True), (64, False)):
        given = receipt.Receipt(bytes(32), bytes(42), 0, (bytes(32),) * count, b"text\n\n").to_bytes()
        if fine:
            assert len(receipt.parse(given).proof) == count
        else:
            with pytest.raises(Refused) as refused:
                receipt.parse(given)
            assert refused.value.code is Code.BAD_MESSAGE


COLUMNS = st.tuples(
    st.binary(min_size=16, max_size=16),
    st.sampled_from(State),
    st.sampled_from(State),
    *[st.integers(0, 2**32 - 1)] * 4,
)


@settings(deadline=None, max_examples=50)
@given(st.lists(COLUMNS, max_size=20), st.integers(0, 2**63 - 1))
def test_many_turns_are_committed_as_each_one_is(rows: list[tuple[Any, ...]], release: int) -> None:
    plain = [Turn(row[0], release, *row[1:]) for row in rows]
    salts = [hashlib.sha256(b"salt %d" % number).digest() for number in range(len(rows))]
    many = entries.turn_bytes(
        np.frombuffer(b"".join(t.person for t in plain), np.uint8).reshape(-1, 16),
        release,
        **{
            name: np.array([getattr(t, name) for t in plain], TURNS.field(name).type.to_pandas_dtype())
            for name in TURNS.names
            if name != "person"
        },
    )
    assert many.shape == (len(rows), 42)
    assert [row.tobytes() for row in many] == [t.to_bytes() for t in plain]
    assert [Turn.from_bytes(row.tobytes()) for row in many] == plain
    opened = entries.openings(np.frombuffer(b"".join(salts), np.uint8).reshape(-1, 32), release)
    assert [row.tobytes() for row in opened] == [entries.opening(salt, release) for salt in salts]
    assert entries.commit(opened, many) == [
        entries.commitment(entries.opening(salt, release), t.to_bytes())
        for salt, t in zip(salts, plain, strict=True)
    ]


def test_a_turn_is_42_bytes_in_network_order() -> None:
    found = Turn(b"p" * 16, 0x0102030405060708, 0, 4, 0x11, 0x22, 0x33, 0x44).to_bytes()
    assert found.hex() == (
        "70" * 16 + "0102030405060708" + "00" + "04" + "00000011" + "00000022" + "00000033" + "00000044"
    )
    for wrong in (b"", found[:-1], found + b"\0", found[:24] + b"\x07" + found[25:]):
        with pytest.raises(Refused) as refused:
            Turn.from_bytes(wrong)
        assert refused.value.code is Code.BAD_MESSAGE


KEYS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=8)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1)
STRINGS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    NUMBERS | STRINGS, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=8
)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(KEYS, VALUES, max_size=4), st.sampled_from(entries.EVENTS), st.randoms())
def test_an_event_comes_back_and_has_one_spelling(content: dict[str, Any], kind: str, chance: Any) -> None:
    content["type"] = kind
    entry = entries.event(content)
    found = entries.parse(entry)
    assert isinstance(found, Event)
    assert (found.content, found.type) == (content, kind)
    shuffled = list(content.items())
    chance.shuffle(shuffled)
    assert entries.event(dict(shuffled)) == entry


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"act","n":1}',  # not sorted
        '{"n":1, "type":"act"}',
        '{"n":1.0,"type":"act"}',
        '{"n":1e3,"type":"act"}',
        '{"n":-0,"type":"act"}',
        '{"n":NaN,"type":"act"}',
        '{"n":9007199254740992,"type":"act"}',
        '{"n":true,"type":"act"}',
        '{"n":null,"type":"act"}',
        '{"n":1,"n":1,"type":"act"}',
        '{"n":"\\u0041","type":"act"}',
        '{"n":"\\ud800","type":"act"}',
        '{"n":"\\/","type":"act"}',
        '{"é":1,"type":"act"}',
        '{"":1,"type":"act"}',
        '{"type":"act"}\n',
        '["act"]',
        "1",
        "",
        '{"a":' + "[" * 9 + "]" * 9 + ',"type":"act"}',
        "[" * 60_000,
        '{"a":' * 10_000,
        '{"n":' + "9" * 5_000 + ',"type":"act"}',
    ],
)
def test_an_event_in_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        entries.parse(b"\x02" + text.encode())
    assert refused.value.code is Code.BAD_MESSAGE


def test_other_entries_are_refused() -> None:
    for entry, code in (
        (b"", Code.UNSUPPORTED_MESSAGE),
        (b"\x00" + bytes(32), Code.UNSUPPORTED_MESSAGE),
        (b"\x03" + bytes(32), Code.UNSUPPORTED_MESSAGE),
        (b'\x02{"type":"gossip"}', Code.UNSUPPORTED_MESSAGE),
        (b'\x02{"kind":"act"}', Code.UNSUPPORTED_MESSAGE),
        (b'\x02{"type":["act"]}', Code.UNSUPPORTED_MESSAGE),
        (b"\x01" + bytes(31), Code.BAD_MESSAGE),
        (b"\x01" + bytes(33), Code.BAD_MESSAGE),
        (b"\x02\xff", Code.BAD_MESSAGE),
        (b"\x01" + bytes(65_535), Code.TOO_MANY_BYTES),
    ):
        with pytest.raises(Refused) as refused:
            entries.parse(entry)
        assert refused.value.code is code


def test_what_an_event_cannot_hold_is_the_callers_mistake() -> None:
    nested: list[Any] = []
    for _ in range(2_000):
        nested = [nested]
    for content in (
        {},
        {"type": "gossip"},
        {"type": "act", "n": 1.5},
        {"type": "act", "n": None},
        {"type": "act", "n": True},
        {"type": "act", "n": 2**53},
        {"type": "act", "n": b"x"},
        {"type": "act", "é": 1},
        {"type": "act", 1: 1},
        {"type": "act", "n": nested},
        {"type": "act", "n": "x" * 65_536},
        {"type": "act", "n": "\ud800"},
    ):
        with pytest.raises(ValueError):  # noqa: PT011  (UnicodeEncodeError among them)
            entries.event(content)


def _parts(made: list[bytes]) -> list[Any]:
    found = [entries.parse(entry) for entry in made]
    return [one.content for one in found if isinstance(one, Event)]


@pytest.mark.parametrize(
    "text", ["", "short", "红黄绿" * 30_000, '"\\\n' * 40_000, "\x01" * 30_000, "😀" * 30_000]
)
def test_a_policy_stands_in_the_log_in_full(text: str) -> None:
    made = entries.policy_parts("beijing", "2022-04-22", text)
    parts = _parts(made)
    lengths = [len(json.dumps(part["text"], ensure_ascii=False).encode()) - 2 for part in parts]
    assert max(lengths) <= 48 * 1024
    assert min(lengths[:-1], default=48 * 1024) > 48 * 1024 - 6  # as full as a letter allows
    assert parts[0]["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert entries.policy_text(parts) == text
    assert json.loads(made[0][1:])["parts"] == len(made)


def test_a_policy_with_a_part_missing_changed_or_moved_is_refused() -> None:
    parts = _parts(entries.policy_parts("beijing", "2022-04-22", "line\n" * 40_000))
    assert len(parts) > 2
    for wrong in (
        [],
        parts[1:],
        parts[:-1],
        parts[::-1],
        [*parts, parts[-1]],
        [parts[0] | {"text": "other"}, *parts[1:]],
        [parts[0] | {"version": "other"}, *parts[1:]],
        [parts[0] | {"text": 1}, *parts[1:]],
        [{"type": "policy"}],
        [parts[0] | {"parts": "3"}, *parts[1:]],
    ):
        with pytest.raises(Refused) as refused:
            entries.policy_text(wrong)
        assert refused.value.code is Code.BAD_MESSAGE

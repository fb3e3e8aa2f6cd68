"""The text and the claims: one form for each content, refused in every other."""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import Any

import cbor2
import pytest
from at_the_door import world
from hypothesis import given, settings
from hypothesis import strategies as st

from kangma.credential import base45, text
from kangma.credential.claims import END, FIRST, MOST_INDEX, Claims, Kind, decode, encode
from kangma.errors import Code, Refused
from kangma.signing import cose

ISSUERS = st.text("abz019", min_size=1, max_size=16)
URIS = st.text("ahz019:/.-~!", min_size=1, max_size=128)
MASKS = st.text(st.sampled_from("张欧阳娜*·.AZ "), min_size=1, max_size=7)
POINTS = st.builds(
    lambda sign, x: bytes([sign]) + x, st.sampled_from((2, 3)), st.binary(min_size=32, max_size=32)
)
TIMES = st.tuples(st.integers(FIRST, END - 2), st.integers(1, 2**25)).map(
    lambda t: (t[0], min(t[0] + t[1], END - 1))
)


@st.composite
def claims(draw: st.DrawFn) -> Claims:
    issued, expires = draw(TIMES)
    kind = draw(st.sampled_from(Kind))
    holder = None if kind is Kind.PAPER else draw(POINTS)
    index = draw(st.integers(0, MOST_INDEX - 1) | st.sampled_from((0, 23, 24, 255, 256, 65_535, 65_536)))
    return Claims(draw(ISSUERS), issued, expires, draw(URIS), index, kind, draw(MASKS), holder)


@settings(deadline=None, max_examples=120)
@given(claims())
def test_claims_come_back_and_are_what_any_cbor_library_writes(said: Claims) -> None:
    payload = encode(said)
    assert decode(payload) == said
    assert cose.dumps(cose.loads(payload, most=512)) == payload


@settings(deadline=None, max_examples=120)
@given(claims(), st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_is_other_claims_or_refused(said: Claims, at: int, by: int) -> None:
    payload = bytearray(encode(said))
    payload[at % len(payload)] ^= by
    with suppress(Refused):
        found = decode(bytes(payload))
        assert found != said
        assert encode(found) == payload


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": ""},
        {"issuer": "CN-BJ"},
        {"issuer": "-bj"},
        {"issuer": "bj-"},
        {"issuer": "a" * 17},
        {"issued": FIRST - 1},
        {"expires": END},
        {"expires": world.midnight(0)},
        {"uri": ""},
        {"uri": "https://x/ y"},
        {"uri": "https://北京/"},
        {"uri": "x" * 129},
        {"index": -1},
        {"index": MOST_INDEX},
        {"mask": ""},
        {"mask": "张" * 9},
        {"mask": "a\nb"},
        {"mask": "a\u202eb"},
        {"mask": "a\u2028b"},
        {"mask": "a\0"},
        {"holder": None},
        {"kind": Kind.PAPER},
        {"kind": 4},
        {"holder": b"\x04" + bytes(32)},
        {"holder": bytes(32)},
    ],
    ids=str,
)
def test_what_no_credential_says_cannot_be_said(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not claims"):
        encode(world.phone(**wrong))


def test_true_is_no_number_and_another_label_no_claim() -> None:
    said = cbor2.loads(encode(world.phone()))
    for changed in (
        {**{k: v for k, v in said.items() if k != 1}, True: "cn-bj"},
        {**said, -65537: [True, "张*"]},
        {**said, -65537: [1, "张*", 0]},
        {**said, -65537: [1]},
        {**said, 65535: {"status_list": {"idx": True, "uri": said[65535]["status_list"]["uri"]}}},
        {**said, 8: {1: {**said[8][1], -3: 1}}},
        {**said, 8: {1: said[8][1], 2: 0}},
        {**said, 8: None},
        {**said, "1": 0},
        {**said, 4: -1},
        {**said, 4: 2**40},
        {**said, 4: cbor2.CBORTag(1, said[4])},
    ):
        with pytest.raises(Refused):
            decode(cbor2.dumps(changed, canonical=True))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=500))
def test_text_comes_back(content: bytes) -> None:
    packed = text.pack(content)
    assert text.unpack(packed) == content
    assert len(packed) <= 4 + len(base45.encode(b"\0" + content))


def test_the_dictionary_never_changes_under_this_prefix() -> None:
    assert text.PREFIX == "KM1:"
    assert (len(text.DICTIONARY), zlib.crc32(text.DICTIONARY)) == (106, 2188792139)


def test_a_reader_without_dictionaries_puts_it_in_front_as_a_stored_block() -> None:
    content = text.unpack(world.shown(world.phone()))
    pressed = base45.decode(world.shown(world.phone())[4:])[1:]
    n = len(text.DICTIONARY)
    stored = b"\0" + n.to_bytes(2, "little") + (n ^ 0xFFFF).to_bytes(2, "little") + text.DICTIONARY
    assert zlib.decompress(stored + pressed, -15)[n:] == content


def test_limits_stop_what_they_are_named_for() -> None:
    def bomb(n: int) -> str:
        stream = zlib.compressobj(9, zlib.DEFLATED, -15)
        return "KM1:" + base45.encode(b"\x01" + stream.compress(bytes(n)) + stream.flush())

    assert text.unpack(bomb(text.MOST_INFLATED)) == bytes(text.MOST_INFLATED)
    for n, code in ((text.MOST_INFLATED + 1, Code.INFLATES_TOO_MUCH), (700_000, Code.INFLATES_TOO_MUCH)):
        with pytest.raises(Refused, match=code):
            text.unpack(bomb(n))
    assert len("KM1:" + base45.encode(bytes(797))) == text.MOST_TEXT
    assert text.unpack("KM1:" + base45.encode(bytes(797))) == bytes(796)
    with pytest.raises(Refused, match=Code.TOO_MANY_BYTES):
        text.unpack("KM1:" + "0" * 1_197)
    with pytest.raises(ValueError, match="more than a code"):
        text.pack(bytes(range(256)) * 9)
    with pytest.raises(ValueError, match="more than a code"):
        text.pack(world.hashlib.shake_256(b"").digest(900))

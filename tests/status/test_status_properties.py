"""Round trips, and what becomes of bytes that are cut, turned over or blown up."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_lists import KEY, NOW, SIGNER, URI, city, claims, code_of, verified
from numpy.typing import NDArray

from kangma.errors import Code, Refused
from kangma.signing import cose
from kangma.status import lists
from kangma.status.delta import (
    CHANGES,
    CWT,
    MOST_CHANGES,
    decode_changes,
    delta_cwt,
    encode_changes,
    open_delta,
)
from kangma.status.lists import Status
from kangma.status.token import open_cwt, open_jwt, to_cwt, to_jwt

widths = st.sampled_from(lists.WIDTHS)


@st.composite
def anything(draw: st.DrawFn, most: int = 300) -> tuple[int, NDArray[np.uint8]]:
    bits = draw(widths)
    values = draw(st.lists(st.integers(0, 2**bits - 1), max_size=most))
    return bits, np.array(values, np.uint8)


@settings(deadline=None)
@given(anything())
def test_what_was_packed_is_unpacked(given_: tuple[int, NDArray[np.uint8]]) -> None:
    bits, values = given_
    raw = lists.pack(values, bits)
    assert len(raw) == -(-values.size * bits // 8)
    assert (lists.unpack(raw, bits, values.size) == values).all()
    assert not lists.unpack(raw, bits)[values.size :].any()
    assert [lists.value(raw, bits, i) for i in range(values.size)] == values.tolist()
    # The plain version of the draft's section 4.1: bit by bit.
    number = sum(int(v) << (i * bits) for i, v in enumerate(values))
    assert raw == number.to_bytes(len(raw), "little")


@settings(deadline=None)
@given(anything(), st.booleans())
def test_what_was_deflated_is_any_zlib_s_to_inflate(
    given_: tuple[int, NDArray[np.uint8]], search: bool
) -> None:
    raw = lists.pack(given_[1], given_[0])
    lst = lists.compress(raw, search=search)
    assert zlib.decompress(lst) == lists.inflate(lst) == raw
    assert lst[0] == 0x78  # DEFLATE with a window of 32 kB; the second byte tells how hard was searched


@settings(deadline=None)
@given(anything())
def test_tokens_of_every_width_come_back(given_: tuple[int, NDArray[np.uint8]]) -> None:
    bits, values = given_
    made = claims(values, bits)
    for found in (open_cwt(to_cwt(made, SIGNER)), open_jwt(to_jwt(made, SIGNER))):
        assert found.claims == made
        assert (found.verify(KEY).values()[: values.size] == values).all()


@settings(deadline=None)
@given(st.data())
def test_base_and_delta_make_the_result(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 400))
    nibbles = st.lists(st.integers(0, 15), min_size=n, max_size=n)
    before = np.array(data.draw(nibbles), np.uint8)
    after = before.copy()
    for index in data.draw(st.sets(st.integers(0, n - 1), max_size=8)):
        after[index] = data.draw(st.integers(0, 15))
    later = claims(after, iat=NOW + 1, lst=bytes(1_000))  # a `lst` so long that a delta is worth it
    content = delta_cwt(lists.pack(before, 4), NOW, lists.pack(after, 4), later, SIGNER)
    assert content is not None
    found = open_delta(content).verify(KEY).apply(verified(before))
    assert found.raw == lists.pack(after, 4)
    assert (found.sub, found.iat, found.bits) == (URI, NOW + 1, 4)


@settings(deadline=None)
@given(st.data(), widths)
def test_changes_come_back(data: st.DataObject, bits: int) -> None:
    most = 2 ** data.draw(st.integers(1, 20))
    indices = sorted(data.draw(st.sets(st.integers(0, most - 1), max_size=60)))
    new = [data.draw(st.integers(0, 2**bits - 1)) for _ in indices]
    content = encode_changes(np.array(indices, np.intp), np.array(new, np.uint8))
    found, values = decode_changes(content, most, bits)
    assert found.tolist() == indices
    assert values.tolist() == new
    if indices:
        assert code_of(decode_changes, content, indices[-1], bits) is Code.BAD_MESSAGE
        for length in range(len(content)):
            assert code_of(decode_changes, content[:length], most, bits) is Code.BAD_MESSAGE
    assert code_of(decode_changes, content + b"\0", most, bits) is Code.BAD_MESSAGE


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**14), min_size=1, max_size=400))
def test_a_changed_place_takes_three_bits_more_than_the_logarithm_of_the_mean_gap(numbers: list[int]) -> None:
    """The bound of Rice coding, for any gaps; gaps as chance makes them stay within half a bit of their information."""
    n = len(numbers)
    content = encode_changes(np.cumsum(np.array(numbers) + 1) - 1, np.full(n, Status.RED, np.uint8))
    head, values, filling = 7, n / 8, 3
    assert len(content) <= head + n * (math.log2(max(1, sum(numbers) / n)) + 3) / 8 + values + filling


def test_a_value_wider_than_the_list_is_never_packed() -> None:
    for bits in lists.WIDTHS[:-1]:
        with pytest.raises(ValueError, match="bits"):
            lists.pack(np.array([2**bits], np.uint8), bits)
    for bits in (0, 3, 5, 16):
        with pytest.raises(ValueError, match="bits"):
            lists.pack(np.zeros(1, np.uint8), bits)
    with pytest.raises(ValueError, match="fewer"):
        lists.unpack(b"\0", 4, 3)


def test_a_list_that_was_cut_off_anywhere_is_refused() -> None:
    lst = lists.compress(lists.pack(city(2_000), 4))
    for length in range(len(lst)):
        assert code_of(lists.inflate, lst[:length]) is Code.CUT_OFF
    for token, read in ((to_cwt(claims(city(64)), SIGNER), open_cwt),):
        for length in range(len(token)):
            assert code_of(read, token[:length]) is Code.BAD_MESSAGE
    text = to_jwt(claims(city(64)), SIGNER)
    for length in range(len(text)):
        with pytest.raises(Refused):
            open_jwt(text[:length]).verify(KEY)
    later = claims(city(64, 2), iat=NOW + 1, lst=bytes(99))
    content = delta_cwt(lists.pack(city(64), 4), NOW, lists.pack(city(64, 2), 4), later, SIGNER)
    assert content is not None
    for length in range(len(content)):
        assert code_of(open_delta, content[:length]) is Code.BAD_MESSAGE


def test_a_list_half_written_over_its_older_self_is_refused() -> None:
    """Whoever writes in place and loses power leaves the new beginning and the old end."""
    new, old = (to_cwt(claims(city(4_096, seed)), SIGNER) for seed in (1, 2))
    for at in range(16, min(len(new), len(old)) - 1, 7):
        mixed = new[:at] + old[at:]
        if mixed not in (new, old):
            with pytest.raises(Refused):
                open_cwt(mixed).verify(KEY)


def test_no_turned_bit_goes_unseen() -> None:
    token = to_cwt(claims(city(64)), SIGNER)
    content = bytearray(token)
    for at in range(len(token) * 8):
        content[at // 8] ^= 1 << (at % 8)
        with pytest.raises(Refused):
            open_cwt(bytes(content)).verify(KEY)
        content[at // 8] ^= 1 << (at % 8)


@pytest.mark.parametrize("behind", [b"\0", b"\n", lists.compress(b"")])
def test_nothing_hides_behind_the_end(behind: bytes) -> None:
    token, lst = to_cwt(claims(city(64)), SIGNER), claims(city(64)).lst
    assert code_of(open_cwt, token + behind) is Code.BAD_MESSAGE
    assert code_of(lists.inflate, lst + behind) is Code.UNREADABLE


def test_what_is_not_zlib_is_refused() -> None:
    raw = bytes(1_000)
    plain = zlib.compressobj(9, zlib.DEFLATED, -15)
    gzip = zlib.compressobj(9, zlib.DEFLATED, 31)
    known = zlib.compressobj(9, zlib.DEFLATED, 15, zdict=b"known to both")
    wrong_sum = bytearray(zlib.compress(raw, 9))
    wrong_sum[-1] ^= 1
    for fault in (plain.compress(raw) + plain.flush(), gzip.compress(raw) + gzip.flush(), bytes(wrong_sum)):
        assert code_of(lists.inflate, fault) is Code.UNREADABLE
    assert code_of(lists.inflate, known.compress(raw) + known.flush()) in (Code.UNREADABLE, Code.CUT_OFF)
    assert code_of(lists.inflate, b"") is Code.CUT_OFF


@pytest.mark.parametrize("size", [lists.MOST_RAW + 1, 50 * 2**20])
def test_bombs_are_refused_at_the_limit(size: int) -> None:
    bomb = zlib.compress(bytes(size), 9)
    assert code_of(lists.inflate, bomb) is Code.INFLATES_TOO_MUCH
    assert len(lists.inflate(zlib.compress(bytes(lists.MOST_RAW), 9))) == lists.MOST_RAW


def test_a_token_beyond_the_limit_is_not_looked_at() -> None:
    for read, content in (
        (open_cwt, bytes(540_001)),
        (open_jwt, "." * 950_001),
        (open_delta, bytes(2**18 + 1_001)),
    ):
        assert code_of(read, content) is Code.TOO_MANY_BYTES


def test_changes_beyond_their_limit_are_not_read() -> None:
    later = claims(city(64, 2), iat=NOW + 1, lst=bytes(99))
    content = delta_cwt(lists.pack(city(64), 4), NOW, lists.pack(city(64, 2), 4), later, SIGNER)
    assert content is not None
    payload = dict(cose.loads(cose.open1(content, most=9_999).payload, most=9_999))
    for size, code in ((MOST_CHANGES + 1, Code.TOO_MANY_BYTES), (MOST_CHANGES, None)):
        payload[CHANGES] = {**payload[CHANGES], 4: bytes(size)}
        signed = cose.sign1(cose.dumps(payload), SIGNER, headers={cose.TYP: CWT})
        if code:
            assert code_of(open_delta, signed) is code
        else:
            assert code_of(open_delta(signed).verify(KEY).apply, verified(city(64))) is Code.BAD_MESSAGE


def test_the_worst_list_of_ours_fits_the_limits() -> None:
    values = np.frombuffer(np.random.default_rng(1).bytes(lists.ENTRIES), np.uint8) % 16
    made = claims(values)
    assert (open_cwt(to_cwt(made, SIGNER)).verify(KEY).values() == values).all()
    assert (open_jwt(to_jwt(made, SIGNER)).verify(KEY).values() == values).all()

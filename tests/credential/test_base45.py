"""Base45 as RFC 9285 has it, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kangma.credential.base45 import ALPHABET, decode, encode
from kangma.errors import Code, Refused


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ""),
        (b"AB", "BB8"),
        (b"Hello!!", "%69 VD92EX0"),
        (b"base-45", "UJCLQE7W581"),
        (b"ietf!", "QED8WEX0"),
    ],
)
def test_the_examples_of_the_rfc(content: bytes, text: str) -> None:
    assert encode(content) == text
    assert decode(text) == content


def simple(text: str) -> bytes | None:
    """The RFC's own words, one group at a time: what the fast one must equal."""
    found = b""
    for i in range(0, len(text), 3):
        group = [ALPHABET.find(c) for c in text[i : i + 3]]
        n = sum(d * 45**p for p, d in enumerate(group))
        if -1 in group or len(group) == 1 or n >= 256 ** (len(group) - 1):
            return None
        found += n.to_bytes(len(group) - 1, "big")
    return found


def decoded(text: str) -> bytes | None:
    try:
        return decode(text)
    except Refused as problem:
        return None if problem.code is Code.BAD_VALUE else b"another code"


def test_every_group_of_three_and_of_two_characters() -> None:
    for a in ALPHABET:
        for b in ALPHABET:
            assert decoded(a + b) == simple(a + b)
    for c in ALPHABET:
        text = "".join(a + b + c for a in "0AW:" for b in "0AGW:")
        assert decoded(text) == simple(text)
    good = [ALPHABET[n % 45] + ALPHABET[n // 45 % 45] + ALPHABET[n // 2025] for n in range(2**16)]
    assert decode("".join(good)) == b"".join(n.to_bytes(2, "big") for n in range(2**16))
    for n in range(2**16, 45**3):
        assert decoded(ALPHABET[n % 45] + ALPHABET[n // 45 % 45] + ALPHABET[n // 2025]) is None


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=700))
def test_every_content_has_one_text(content: bytes) -> None:
    assert decode(encode(content)) == content


@settings(deadline=None, max_examples=500)
@given(st.text(st.sampled_from(ALPHABET + "aé٣\0\ud800"), max_size=40))
def test_every_text_is_read_as_the_rfc_says_or_refused(text: str) -> None:
    content = decoded(text)
    assert content == simple(text)
    assert content is None or encode(content) == text

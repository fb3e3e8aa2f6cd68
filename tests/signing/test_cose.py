"""What a message of CBOR may hold before anybody asks who signed it."""

from __future__ import annotations

import pytest

from kangma.errors import Code, Refused
from kangma.signing import cose


@pytest.mark.parametrize(
    "value", [[0] * 255, dict.fromkeys(range(127), 0), [b"\x00" * 5_000, "x" * 5_000] * 100]
)
def test_a_message_of_256_items_is_read_however_long_its_strings_are(value: object) -> None:
    assert cose.loads(cose.dumps(value), most=2**20) == value


@pytest.mark.parametrize(
    "value", [[0] * 256, dict.fromkeys(range(128), 0), [[[]] * 100] * 3, dict.fromkeys(range(99_999))]
)
def test_a_message_of_more_items_is_refused_before_it_is_decoded(value: object) -> None:
    content = cose.dumps(value)
    with pytest.raises(Refused, match="256 items") as refused:
        cose.loads(content, most=2**20)
    assert refused.value.code is Code.BAD_MESSAGE
    assert cose.loads(content, most=2**20, items=200_000) == value


@pytest.mark.parametrize(
    "content", [b"\x9f" * 300, b"\x5b" + b"\xff" * 300, b"\xff" * 300, b"\x5b\xff", b"\x3b" * 300]
)
def test_what_is_no_cbor_is_refused_all_the_same(content: bytes) -> None:
    with pytest.raises(Refused):
        cose.loads(content, most=2**20)

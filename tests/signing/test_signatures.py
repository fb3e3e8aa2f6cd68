"""A signature as COSE has it and as the library takes it."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import example, given
from hypothesis import strategies as st

from kangma.signing import keys

HALF = st.integers(0, 2**256 - 1) | st.integers(0, 2**17) | st.integers(0, 255).map(lambda n: 1 << n)


@given(HALF, HALF)
@example(0, 0)
@example(127, 128)
@example(2**255 - 1, 2**255)
def test_two_numbers_are_written_as_the_library_writes_them(r: int, s: int) -> None:
    mine = keys._der(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    assert mine == encode_dss_signature(r, s)

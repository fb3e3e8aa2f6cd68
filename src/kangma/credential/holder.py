"""The holder's proof: the phone signs the half minute in which it shows its code, so that a copy is refused a minute
later.

It stands behind the credential as the second item of a CBOR sequence (RFC 8742): `[step, signature]`.
"""

from __future__ import annotations

import hashlib

from kangma.errors import Code, Refused
from kangma.signing.keys import Signer, point_verifies
from kangma.terms import Moment

STEP = 30  # seconds
AHEAD, OLD = 30, 60  # seconds that a proof may be ahead of the verifier's clock, and from which it is too old
LENGTH = 72  # bytes: array of two, four-byte step, 64-byte signature


def step_of(at: Moment) -> int:
    """The number of the half minute that `at` falls into, counted from 1970."""
    return at // STEP


def prove(credential: bytes, step: int, signer: Signer) -> bytes:
    """The 72 bytes that follow `credential` (its COSE_Sign1 bytes) in the code, for one step."""
    return b"\x82\x1a" + step.to_bytes(4, "big") + b"\x58\x40" + signer.sign(signed(credential, step))


def signed(credential: bytes, step: int) -> bytes:
    """What the holder signs: deterministic CBOR of `["KM1 holder", step, SHA-256 of the COSE_Sign1 bytes]`."""
    digest = hashlib.sha256(credential).digest()
    return b"\x83\x6aKM1 holder\x1a" + step.to_bytes(4, "big") + b"\x58\x20" + digest


def read(proof: bytes) -> tuple[int, bytes]:
    """Step and signature of a proof. Raises Refused (bad_message) for any other bytes.

    The step has four bytes from January 1970 to the year 6053, so a proof has one length and no other form.
    """
    if len(proof) != LENGTH or proof[:2] != b"\x82\x1a" or proof[6:8] != b"\x58\x40":
        raise Refused(Code.BAD_MESSAGE, hint="not a holder's proof")
    step = int.from_bytes(proof[2:6], "big")
    if step < 1 << 16:  # would have a shorter form
        raise Refused(Code.BAD_MESSAGE, hint="not a holder's proof")
    return step, proof[8:]


def lag(step: int, now: Moment) -> int:
    """Seconds since the step began; timely is -AHEAD ≤ lag < OLD."""
    return now - STEP * step


def proves(credential: bytes, step: int, signature: bytes, point: bytes) -> bool:
    """Whether the holder, whose key is the SEC 1 `point`, signed this credential in this step."""
    return point_verifies(point, signature, signed(credential, step))

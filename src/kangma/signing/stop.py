"""The kill switch: one operator stops a city's signer, and only two root officers let it go on.

Stopping needs no key, for it must work when keys are what is wrong. Going on is an order, signed like a trust list, that
names the very mark that it lifts, so that no order of another day can be used again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from kangma.errors import Code, Refused
from kangma.signing import cose
from kangma.signing.keys import Environment, Signer
from kangma.signing.trust import Root
from kangma.terms import END_MOMENT, HOUR, Moment

TYPE = "application/kangma-resume+cose"
MAX_BYTES = 2_048
#: How long after it was drafted an order can be carried out.
LIFE = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Resume:
    """The order to go on. `mark` is the SHA-256 of the mark that stopped the signer."""

    environment: Environment
    at: Moment
    mark: bytes


def resume_order(environment: Environment, mark: bytes, now: Moment) -> Resume:
    """The order that lifts the mark whose content this is."""
    return Resume(environment, now, hashlib.sha256(mark).digest())


def encode(order: Resume) -> bytes:
    return cose.dumps({1: order.environment.value, 2: order.at, 3: order.mark})


def decode(content: bytes) -> Resume:
    """Raises Refused only."""
    item = cose.loads(content, most=MAX_BYTES)
    if not (
        cose.is_map(item, {1, 2, 3})
        and item[1] in [e.value for e in Environment]
        and type(item[2]) is int
        and 0 <= item[2] < END_MOMENT
        and isinstance(item[3], bytes)
        and len(item[3]) == 32
    ):
        raise Refused(Code.BAD_MESSAGE, hint="not an order to resume")
    return Resume(Environment(item[1]), item[2], item[3])


def sign_resume(order: Resume, signers: Sequence[Signer]) -> bytes:
    """The order as a COSE_Sign; other officers add theirs by `cose.cosign`."""
    return cose.sign_many(encode(order), signers, headers={cose.TYP: TYPE})


def open_resume(content: bytes) -> cose.OpenedMany:
    """A signed order taken apart. Raises Refused only."""
    opened = cose.open_many(content, most=MAX_BYTES)
    if not (cose.is_map(opened.headers, {cose.TYP}) and opened.headers[cose.TYP] == TYPE):
        raise Refused(Code.BAD_MESSAGE, hint="not a signed order to resume")
    return opened


def verify_resume(opened: cose.OpenedMany, root: Root, mark: bytes, now: Moment) -> Resume:
    """The order, if it lifts this mark now. Raises Refused: `untrusted` when too few root keys signed it or it is of
    another environment, `rolled_back` when it was for another mark or is more than a day old."""
    if len(opened.signed_by(root.by_id)) < root.threshold:
        raise Refused(Code.UNTRUSTED, hint=f"fewer than {root.threshold} root keys signed it")
    order = decode(opened.payload)
    if order.environment is not root.environment:
        raise Refused(Code.UNTRUSTED, hint=f"not of {root.environment}")
    if order.mark != hashlib.sha256(mark).digest():
        raise Refused(Code.ROLLED_BACK, hint="an order for another stop")
    if not order.at <= now < order.at + LIFE:
        raise Refused(Code.ROLLED_BACK, hint="an order of another day")
    return order

"""Keys and small lists for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kangma.errors import Code, Refused
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.status import lists
from kangma.status.delta import Delta, delta_cwt, open_delta
from kangma.status.lists import Status
from kangma.status.token import Claims, StatusList, open_cwt, to_cwt

SIGNER = KeySigner(Algorithm.ES256, (1).to_bytes(32, "big"), Environment.TEST)
OTHER = KeySigner(Algorithm.ES256, (2).to_bytes(32, "big"), Environment.TEST)
KEY = SIGNER.public
URI = "https://kangma.example/status/19107/0"
NOW = 1_650_844_800  # 2022-04-25T00:00:00Z
WEEK = 7 * 86_400


def city(n: int = 4_096, seed: int = 1) -> NDArray[np.uint8]:
    """Values of `n` credentials, 0.6 % of them not green, at random indices."""
    chance = np.random.default_rng(seed)
    values = np.zeros(n, np.uint8)
    turned = chance.permutation(n)[: max(1, n * 6 // 1_000)]
    kinds = [Status.NOTICE, Status.YELLOW, Status.RED, Status.INVALID]
    values[turned] = chance.choice(kinds, turned.size, p=[0.25, 0.5, 0.2, 0.05])
    return values


def claims(values: NDArray[np.uint8], bits: int = 4, **other: Any) -> Claims:
    lst = lists.compress(lists.pack(values, bits))
    given = {"sub": URI, "iat": NOW, "exp": NOW + WEEK, "ttl": 300, "release": 7, "tree_size": 12_345}
    return Claims(**{**given, "bits": bits, "lst": lst, **other})


def verified(values: NDArray[np.uint8], bits: int = 4, **other: Any) -> StatusList:
    return open_cwt(to_cwt(claims(values, bits, **other), SIGNER)).verify(KEY)


def delta(before: NDArray[np.uint8], after: NDArray[np.uint8], **other: Any) -> Delta:
    """From a list of NOW to one a quarter of an hour later."""
    later = claims(after, **{"iat": NOW + 900, "exp": NOW + 900 + WEEK, "release": 8, **other})
    content = delta_cwt(lists.pack(before, 4), NOW, lists.pack(after, 4), later, SIGNER)
    assert content is not None
    return open_delta(content).verify(KEY)


def code_of(call: Any, *arguments: Any, **named: Any) -> Code:
    """Why `call` refused."""
    try:
        call(*arguments, **named)
    except Refused as refusal:
        return refusal.code
    raise AssertionError("not refused")

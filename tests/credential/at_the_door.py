"""A door in the small world of the vectors: Beijing's and Tianjin's keys, a few codes, and a verifier that knows them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

VECTORS = Path(__file__).parents[1] / "vectors"
if str(VECTORS) not in sys.path:
    sys.path.insert(0, str(VECTORS))

import make_verify as world  # noqa: E402

from kangma.credential.marks import MarksInMemory  # noqa: E402
from kangma.credential.verify import Verifier  # noqa: E402
from kangma.signing.trust import TrustList, sign_trust  # noqa: E402

NOW = world.NOW


def signed(trust: TrustList = world.TRUST) -> bytes:
    return sign_trust(trust, world.ROOT_KEYS[:2])


def door(
    *,
    lists: Mapping[str, bytes] = world.ALL_LISTS,
    trust: bytes | None = None,
    marks: MarksInMemory | None = None,
) -> Verifier:
    """A verifier that has taken everything in."""
    verifier = Verifier(world.ROOT, marks or MarksInMemory())
    verifier.take_trust(signed() if trust is None else trust)
    for uri, content in lists.items():
        verifier.take_list(uri, content)
    return verifier

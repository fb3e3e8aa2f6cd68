"""An invented city's keys, the same in every run, and its first trust list."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.signing.rotation import first_list
from kangma.signing.trust import Ceilings, Root, TrustList, Use, open_trust, sign_trust
from kangma.terms import Text

NOW = 1_650_470_400  # 2022-04-21T00:00:00+08:00
CEILINGS = Ceilings(20_000, 1_000, 60_000)
NAME = Text("样本市", "Sample City")


def signer(
    name: str, use: Use | None = Use.CREDENTIAL, environment: Environment = Environment.TEST
) -> KeySigner:
    """The private key of this name; use None is a root key."""
    algorithm = Algorithm.ES256 if use is None else use.algorithm
    return KeySigner(algorithm, hashlib.sha256(f"kangma test key {name}".encode()).digest(), environment)


def officers(environment: Environment = Environment.TEST) -> list[KeySigner]:
    """The three root officers' keys."""
    return [signer(f"root {i}", None, environment) for i in (1, 2, 3)]


def root(environment: Environment = Environment.TEST) -> Root:
    return Root(environment, 2, tuple(o.public for o in officers(environment)))


def first(environment: Environment = Environment.TEST, *, now: int = NOW, city: str = "cn-xx") -> TrustList:
    keys = {use: signer(f"{city} {use} 1", use, environment).public for use in Use if use is not Use.WITNESS}
    return first_list(
        environment,
        authority_id=city,
        name=NAME,
        base=f"https://{city}.example",
        origin=f"{city}.example/log",
        zone="Asia/Shanghai",
        keys=keys,
        ceilings=CEILINGS,
        now=now,
    )


def signed(trust: TrustList, by: Sequence[int] = (0, 1)) -> bytes:
    """The list with the signatures of these officers."""
    made = officers(trust.environment)
    return sign_trust(trust, [made[i] for i in by])


def verified(trust: TrustList, by: Sequence[int] = (0, 1)) -> TrustList:
    """The list as somebody gets it who has the root."""
    return open_trust(signed(trust, by)).verify(root(trust.environment))

"""Proof of work for callers without a token, while the door is under attack: the scheme of ALTCHA (https://altcha.org,
"Proof-of-Work Mechanism", version 1), SHA-256 only.

    challenge = hex(SHA-256(salt ‖ decimal(number)))        number is ours to know and theirs to find
    signature = hex(HMAC-SHA-256(key, challenge))

The salt ends with `?expires=<seconds>&`: its last character keeps digits of the number from being moved into the time.
Who found the number sends all of it back. It is good once, and for a few minutes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from kangma.terms import Moment

HEADER = b"kangma-work"
ALGORITHM = "SHA-256"
MOST_NUMBER = 50_000  # half of it in the mean: 0.3 s on a phone of 2018 in one thread, some 10 ms for an attacker's core
LIVES = 300  # seconds
MOST_USED = 200_000  # that are remembered; when it is full nobody is let in by work until some have expired
_SALT = re.compile(r"[0-9a-f]{24}\?expires=([1-9]\d{0,10})&", re.ASCII)
_HEX64 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FIELDS = {"algorithm", "challenge", "number", "salt", "signature"}
_MOST_TEXT = 600


class Work:
    """Makes challenges and takes solutions, for one process."""

    def __init__(
        self, key: bytes, *, most: int = MOST_NUMBER, chance: Callable[[int], int] = secrets.randbelow
    ) -> None:
        """`key`: of the city's tokens; ours is made of it, so that every worker takes what another has set."""
        self._key = hashlib.blake2s(b"proof of work", key=key, person=b"KMwork01").digest()
        self._most, self._chance = most, chance
        self._used: OrderedDict[str, Moment] = OrderedDict()

    def challenge(self, *, now: Moment) -> dict[str, Any]:
        """Work for somebody. Nothing is kept of it."""
        salt = f"{secrets.token_hex(12)}?expires={now + LIVES}&"
        challenge = hashlib.sha256(f"{salt}{self._chance(self._most + 1)}".encode()).hexdigest()
        return {
            "algorithm": ALGORITHM, "challenge": challenge, "maxnumber": self._most, "salt": salt,
            "signature": self._signed(challenge),
        }  # fmt: skip

    def _signed(self, challenge: str) -> str:
        return hmac.digest(self._key, challenge.encode(), "sha256").hex()

    def takes(self, solution: bytes, *, now: Moment) -> bool:
        """Whether this is a solution of a challenge of ours, in time, for the first time. It is used up by asking.

        `solution`: base64 of JSON with exactly algorithm, challenge, number, salt, signature.
        """
        if len(solution) > _MOST_TEXT:
            return False
        try:
            said = json.loads(base64.b64decode(solution, validate=True))
        except (binascii.Error, ValueError, RecursionError):
            return False
        if not isinstance(said, dict) or set(said) != _FIELDS or said["algorithm"] != ALGORITHM:
            return False
        challenge, number, salt = said["challenge"], said["number"], said["salt"]
        if not all(isinstance(said[name], str) for name in ("challenge", "salt", "signature")):
            return False
        found = _SALT.fullmatch(salt)
        if (
            type(number) is not int
            or not 0 <= number <= self._most
            or not _HEX64.fullmatch(challenge)
            or not found
        ):
            return False
        expires = int(found[1])
        if not now < expires <= now + LIVES:
            return False
        if not hmac.compare_digest(said["signature"].encode(), self._signed(challenge).encode()):
            return False
        if not hmac.compare_digest(hashlib.sha256(f"{salt}{number}".encode()).hexdigest(), challenge):
            return False
        return self._first(challenge, expires, now)

    def _first(self, challenge: str, expires: Moment, now: Moment) -> bool:
        while self._used and next(iter(self._used.values())) <= now:
            self._used.popitem(last=False)
        if challenge in self._used or len(self._used) >= MOST_USED:
            return False
        self._used[challenge] = expires
        return True


def solved(challenge: dict[str, Any]) -> bytes:
    """What a client sends for a challenge: for programs and tests. ValueError when no number up to `maxnumber` fits."""
    for number in range(challenge["maxnumber"] + 1):
        if hashlib.sha256(f"{challenge['salt']}{number}".encode()).hexdigest() == challenge["challenge"]:
            told = {name: challenge[name] for name in ("algorithm", "challenge", "salt", "signature")}
            return base64.b64encode(json.dumps(told | {"number": number}).encode())
    raise ValueError("no number fits")

"""Logs, keys and notes for the tests: everything follows from names."""

from __future__ import annotations

import hashlib
from functools import cache

from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.translog.checkpoint import Checkpoint, sign_checkpoint
from kangma.translog.log import Log

ORIGIN = "log.example/cn-bj"


def secret(name: str) -> bytes:
    return hashlib.sha256(f"kangma test key {name}".encode()).digest()


@cache
def signer(name: str, algorithm: Algorithm = Algorithm.EDDSA) -> KeySigner:
    return KeySigner(algorithm, secret(name), Environment.TEST)


def turn(number: int) -> bytes:
    """An entry that looks like a commitment."""
    return b"\x01" + hashlib.sha256(b"turn %d" % number).digest()


def turns(count: int) -> list[bytes]:
    return [turn(number) for number in range(count)]


def grown(entries: list[bytes], *cuts: int) -> tuple[Log, dict[str, bytes]]:
    """A log appended in pieces that end at `cuts` and at the end, and all files that were ever written."""
    log, files, start = Log.EMPTY, {}, 0
    for stop in (*cuts, len(entries)):
        log, made = log.append(entries[start:stop])
        files |= made
        start = stop
    return log, files


def head(log: Log) -> Checkpoint:
    return Checkpoint(ORIGIN, log.size, log.root)


def signed(log: Log, key: str = "log") -> bytes:
    return sign_checkpoint(head(log), signer(key))

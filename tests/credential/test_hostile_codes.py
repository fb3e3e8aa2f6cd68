"""Hostile input: whatever is scanned, a parser answers or refuses, at once, and raises nothing else.

A part of the inputs is signed rightly after it was spoiled, so that it comes past the signature.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from at_the_door import NOW, door, world

from kangma.credential import base45, holder, text
from kangma.credential import claims as claims_
from kangma.credential.outcome import NotVerified, Verified
from kangma.errors import Refused
from kangma.signing import cose

SECONDS = 0.1  # of processor time, for one input
DOOR = door()
PHONE, PAPER = world.shown(world.phone()), world.shown(world.paper())
CONTENTS = tuple(text.unpack(t) for t in (PHONE, PAPER))
PAYLOADS = tuple(claims_.encode(c) for c in (world.phone(), world.paper()))
SAID = tuple(cbor2.loads(p) for p in PAYLOADS)
ODD: tuple[Any, ...] = (
    *(
        0,
        1,
        -1,
        2,
        3,
        True,
        False,
        None,
        NOW,
        2**32,
        2**53,
        2**64 - 1,
        -(2**64),
        2**90,
        1.0,
        float("nan"),
        float("inf"),
    ),
    *(
        "",
        "x",
        "张*",
        "cn-bj",
        "a" * 300,
        "\u202e",
        "https://evil.example/",
        b"",
        bytes(32),
        bytes(500),
        [],
        {},
        [1, "张*"],
    ),
    *(
        {1: {}},
        {"status_list": {}},
        {"status_list": {"idx": 0, "uri": "x"}},
        cbor2.CBORTag(1, 5),
        cbor2.CBORTag(2, b"\xff" * 40),
    ),
)
CHARACTERS = base45.ALPHABET + "abcé\0\n\u202e\U0001f600"


def spoiled(chance: random.Random, good: bytes) -> bytes:
    """`good` with a few of its bytes turned, cut out, doubled or put in; now and then any bytes."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(300))
    made = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(5):
            case 0 if at < len(made):
                made[at] ^= 1 << chance.randrange(8)
            case 1:
                made[at : at + chance.choice((1, 2, 9, 99))] = b""
            case 2:
                made[at:at] = chance.randbytes(chance.choice((1, 2, 8)))
            case 3:
                made[at:at] = made[at : at + chance.choice((1, 8, 64))]
            case _ if at < len(made):
                made[at] = chance.choice(
                    (0, 0x18, 0x1B, 0x3B, 0x5B, 0x5F, 0x7F, 0x9F, 0xBF, 0xC2, 0xD8, 0xF9, 0xFB, 0xFF)
                )
    return bytes(made)


def nested(chance: random.Random) -> bytes:
    deep = chance.randrange(1, 2_000)
    return chance.choice((b"\x81", b"\xa1\x01", b"\xc1", b"\x9f", b"\xd8\x40", b"\xbf\x61a")) * deep + b"\x00"


def odd_claims(chance: random.Random) -> bytes:
    """A payload with values of other types in it."""
    said = dict(chance.choice(SAID))
    for _ in range(chance.choice((1, 1, 2))):
        if chance.random() < 0.2:
            said.pop(chance.choice(list(said)), None)
        else:
            said[chance.choice((*said, *said, 5, -1, "1", 65534))] = chance.choice(ODD)
    return cbor2.dumps(said, canonical=chance.random() < 0.9)


def some_text(chance: random.Random) -> str:
    good = chance.choice((PHONE, PAPER))
    match chance.randrange(4):
        case 0:
            made = list(good)
            for _ in range(chance.choice((1, 2, 9))):
                made[chance.randrange(len(made))] = chance.choice(CHARACTERS)
            return "".join(made)
        case 1:
            return "KM1:" + "".join(chance.choices(CHARACTERS, k=chance.choice((9, 99, 400, 1_300))))
        case 2:
            return "KM1:" + base45.encode(
                chance.choice((b"\0", b"\1", b"\1")) + chance.randbytes(chance.randrange(600))
            )
        case _:
            return "KM1:" + base45.encode(spoiled(chance, base45.decode(good[4:])))


def some_message(chance: random.Random) -> bytes:
    return nested(chance) if chance.random() < 0.1 else spoiled(chance, chance.choice(CONTENTS))


def some_payload(chance: random.Random) -> bytes:
    match chance.randrange(8):
        case 0:
            return nested(chance)
        case 1 | 2 | 3:
            return spoiled(chance, chance.choice(PAYLOADS))
        case _:
            return odd_claims(chance)


def some_code(chance: random.Random) -> str:
    """Anything from a bad text to a spoiled payload rightly signed, with a proof that fits or does not."""
    match chance.randrange(6):
        case 0 | 1:
            return some_text(chance)
        case 2:
            content = some_message(chance)
        case _:
            made = cose.sign1(some_payload(chance), world.CREDENTIAL)
            proof = holder.prove(made, holder.step_of(NOW) + chance.choice((0, 0, 1, -9)), world.PHONE)
            content = made + (
                proof if chance.random() < 0.6 else spoiled(chance, proof) if chance.random() < 0.5 else b""
            )
    plain = b"\0" + content[: text.MOST_INFLATED]
    return "KM1:" + base45.encode(plain)


def asked(read: Callable[[Any], object]) -> Callable[[Any], object]:
    def answered(given: Any) -> object:
        try:
            return read(given)
        except Refused:
            return None

    return answered


def verified(given: str) -> object:
    found = DOOR.verify(given, now=NOW)
    assert isinstance(found, Verified | NotVerified)
    return found if isinstance(found, Verified) else None


PARSERS: dict[str, tuple[Callable[[random.Random], Any], Callable[[Any], object]]] = {
    "base45": (lambda chance: some_text(chance)[4:], asked(base45.decode)),
    "text": (some_text, asked(text.unpack)),
    "cbor": (some_payload, asked(lambda content: cose.loads(content, most=2_048))),
    "cose": (some_message, asked(lambda content: cose.first1(content, most=2_048))),
    "claims": (some_payload, asked(claims_.decode)),
    "proof": (lambda chance: spoiled(chance, CONTENTS[0][-72:]), asked(holder.read)),
    "verify": (some_code, verified),
}


def thrown(name: str, inputs: int, seed: int) -> int:
    """How many of so many inputs were taken. Fails on any exception and on any input that took too long."""
    make, read = PARSERS[name]
    chance = random.Random(seed)
    taken = 0
    for n in range(inputs):
        given = make(chance)
        begun = time.process_time()
        try:
            taken += read(given) is not None
        except Exception as problem:
            pytest.fail(f"input {n} of seed {seed}: {given!r}: {problem!r}")
        spent = time.process_time() - begun
        assert spent < SECONDS, f"input {n} of seed {seed} took {spent:.3f} s"
    return taken


@pytest.mark.parametrize("name", PARSERS)
def test_ten_thousand_hostile_inputs_are_answered_or_refused(name: str) -> None:
    taken = thrown(name, 10_000, 1)
    assert 0 < taken < 9_000  # some come through, so that more than the first check is tested


@pytest.mark.prove
@pytest.mark.parametrize("name", PARSERS)
def test_a_million_hostile_inputs_are_answered_or_refused(name: str) -> None:
    for seed in range(10):
        assert thrown(name, 100_000, 1_000 + seed) > 0


def test_what_reads_by_hand_reads_as_the_decoder_does() -> None:
    """`cose.first1` takes what decoding, encoding again and comparing takes, and nothing else."""
    chance = random.Random(7)
    for content in (*CONTENTS, *(some_message(chance) for _ in range(10_000))):
        try:
            opened, end = cose.first1(content, most=2_048)
        except Refused:
            opened = None
        whole = content if opened is None else content[:end]
        try:
            item = cose.loads(whole, most=2_048)
            protected, unprotected, payload, signature = item.value
            same = (
                item.tag == 18 and unprotected == {} and isinstance(cose.loads(protected, most=256)[4], bytes)
            )
            expected = (
                (protected, payload, signature)
                if same and len(signature) == 64 and isinstance(payload, bytes)
                else None
            )
        except (Refused, AttributeError, TypeError, ValueError, KeyError, IndexError):
            expected = None
        assert expected == (None if opened is None else (opened.protected, opened.payload, opened.signature))

"""Hostile bytes: every parser of the log answers, or raises Refused, at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from made_log import ORIGIN, grown, signed, signer, turns

from kangma.errors import Refused
from kangma.translog import entries, note, receipt, tiles, witness
from kangma.translog.checkpoint import Checkpoint, open_checkpoint
from kangma.translog.log import Log

KEY = signer("log").public
WITNESS = witness.witness("w.example", signer("w.example").public)
LIMIT = 0.1  # seconds of CPU for one input


def _samples() -> dict[str, list[bytes]]:
    log, files = grown(turns(300))
    content = signed(log)
    line = witness.cosign(
        content, [], None, origin=ORIGIN, keys=[KEY], name="w.example", signer=signer("w.example"), now=1
    ).line
    turn = entries.Turn(b"p" * 16, 1, 0, 4, 0, 0, 0, 0).to_bytes()
    proof = tuple(tiles.inclusion(files.__getitem__, 7, 300))
    return {
        "note": [content, content + line, b"text\n\nmore\n\n" + line],
        "checkpoint": [Checkpoint.of_text(content.decode().partition("\n\n")[0] + "\n").text.encode()],
        "key": [str(WITNESS).encode()],
        "entry": [
            turns(1)[0],
            entries.event({"type": "act", "a": [1, {"b": "红\n"}, -5], "c": {"d": {}}}),
            *entries.policy_parts("p", "1", 'colour = "red"\n' * 20),
        ],
        "turn": [turn],
        "bundle": [files["tile/entries/001.p/44"], tiles.bundle([b"", b"x" * 300])],
        "state": [log.to_bytes(), Log.EMPTY.to_bytes()],
        "receipt": [receipt.Receipt(bytes(32), turn, 7, proof, content).to_bytes()],
        "path": [b"tile/0/x001/234.p/17", b"tile/entries/005"],
    }


SAMPLES = _samples()
PIECES = [
    b"",
    b"\0",
    b"\n",
    b"\n\n",
    "— ".encode(),
    b" ",
    b"+",
    b"=",
    b"A" * 64,
    b"9" * 30,
    b"[" * 3_000,
    b'{"a":' * 900,
    b"\\ud800",
    b"\xff\xff",
    b"1e999",
    b"-0",
    "٣".encode(),
    b"x" * 70_000,
]


def _mutant(chance: Random, samples: list[bytes]) -> bytes:
    """A sample, hit a few times; now and then nothing of it is left."""
    found = bytearray(chance.choice(samples))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        place = chance.randint(0, len(found))
        match chance.randrange(8):
            case 0 | 1 | 2 if found:
                found[place % len(found)] ^= 1 << chance.randrange(8)
            case 3:
                found[place:place] = chance.choice(PIECES)
            case 4:
                del found[place : place + chance.choice((1, 2, 40))]
            case 5:
                del found[place:]
            case 6:
                other = chance.choice(samples)
                found[place:] = other[chance.randint(0, len(other)) :]
            case _:
                found[place : place + 4] = chance.randbytes(chance.randrange(8))
    return bytes(found)


def _text(parse: Callable[[str], Any]) -> Callable[[bytes], Any]:
    return lambda content: parse(content.decode("utf-8", "surrogateescape"))


PARSERS: dict[str, Callable[[bytes], Any]] = {
    "note": note.opened,
    "lines": note.parse_lines,
    "signed": lambda content: open_checkpoint(content, ORIGIN, KEY),
    "witnessed": lambda content: witness.open_witnessed(content, ORIGIN, [KEY], [WITNESS], need=1),
    "checkpoint": _text(Checkpoint.of_text),
    "key": _text(note.Key.parse),
    "entry": entries.parse,
    "turn": entries.Turn.from_bytes,
    "bundle": lambda content: tiles.unbundle(content, len(content) % 257),
    "state": Log.from_bytes,
    "receipt": lambda content: receipt.parse(content).verify(ORIGIN, [KEY]),
    "path": _text(tiles.parse_path),
}
FED = {"lines": "note", "signed": "note", "witnessed": "note"}


def _feed(name: str, count: int, seed: int) -> None:
    chance, parse, samples = Random(f"{name} {seed}"), PARSERS[name], SAMPLES[FED.get(name, name)]
    slowest = 0.0
    for _ in range(count):
        content = _mutant(chance, samples)
        begun = time.thread_time()
        try:
            parse(content)
        except Refused:
            pass
        except Exception as problem:
            raise AssertionError(f"{name}: {content[:200].hex()}") from problem
        slowest = max(slowest, time.thread_time() - begun)
    assert slowest < LIMIT, f"{name}: {slowest:.3f} s"


@pytest.mark.parametrize("name", PARSERS)
def test_ten_thousand_hostile_inputs_are_answered_or_refused(name: str) -> None:
    _feed(name, 10_000, 1)


@pytest.mark.prove
@pytest.mark.parametrize("name", PARSERS)
def test_a_million_hostile_inputs_are_answered_or_refused(name: str) -> None:
    _feed(name, 1_000_000, 2)


def test_the_worst_that_fits_is_refused_at_once() -> None:
    most = note.MAX_NOTE
    for content in (
        b"\n" * most,
        ("— a " * (most // 6)).encode(),
        b"a\n\n" + ("— a AAAAAAA=\n" * (most // 16)).encode(),
        b"a\n\n" + "— ".encode() + b"n" * (most // 2) + b" " + b"A" * (most // 3) + b"\n",
        b"a\n1\n" + b"A" * (most - 100) + b"\n\n" + "— a AAAAAAA=\n".encode(),
        b"a\n" + b"9" * (most - 100) + b"\nA\n\n" + "— a AAAAAAA=\n".encode(),
    ):
        for name in ("note", "signed", "witnessed", "receipt", "entry"):
            begun = time.thread_time()
            with contextlib.suppress(Refused):
                PARSERS[name](content)
            assert time.thread_time() - begun < LIMIT


def test_what_is_fed_is_sound_before_it_is_hit() -> None:
    for name in ("note", "checkpoint", "key", "entry", "turn", "state", "path"):
        for content in SAMPLES[name]:
            PARSERS[name](content)
    PARSERS["witnessed"](SAMPLES["note"][1])

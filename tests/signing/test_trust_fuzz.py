"""Whatever bytes come as a trust list, the answer is a list or a refusal, and it comes soon."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import cbor2
import pytest
from signing_city import NOW, first, officers, root, signed, signer

from kangma.errors import Code, Refused
from kangma.signing import cose, stop
from kangma.signing.keys import Environment
from kangma.signing.rotation import announce_next, emergency, recognise
from kangma.signing.trust import (
    MAX_BYTES,
    TYPE,
    Use,
    decode,
    decode_root,
    encode,
    encode_root,
    open_trust,
    sign_trust,
)
from kangma.terms import DAY

LONGEST = 0.1  # seconds for one input


def seeds() -> list[bytes]:
    one = first()
    two = recognise(one, first(city="cn-yy").publisher, NOW + DAY)
    three = emergency(two, two.publisher.keys[0].id, signer("r").public, NOW + 2 * DAY)
    four = announce_next(three, {Use.STATUS: signer("s", Use.STATUS).public}, NOW + 3 * DAY)
    order = stop.resume_order(Environment.TEST, b"mark", NOW)
    return [
        *(signed(t) for t in (one, two, four)),
        *(encode(t) for t in (one, four)),
        encode_root(root()),
        stop.encode(order),
        stop.sign_resume(order, officers()),
        # the parts of CBOR that decoders have opinions about: dates, bignums, decimals, shared values, regexps, cycles
        bytes.fromhex("c11b7fffffffffffffff"),
        bytes.fromhex("c2581f" + "ff" * 31),
        bytes.fromhex("c4821b7fffffffffffffff01"),
        bytes.fromhex("c5821b7fffffffffffffff03"),
        bytes.fromhex("d81c81d81d00"),
        bytes.fromhex("d823642e2a2b29"),
        bytes.fromhex("d81e820100"),
        bytes.fromhex("9fff"),
        b"\x81" * 2_000,
        b"\xa1\x01" * 2_000,
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    ]


def inputs(n: int, seed: int) -> Iterator[bytes]:
    """Mutants of good messages, and CBOR of no meaning."""
    chance = random.Random(seed)
    good = seeds()
    for _ in range(n):
        made = bytearray(chance.choice(good))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            i = chance.randrange(len(made) + 1)
            match chance.randrange(6):
                case 0:
                    made[i : i + 1] = bytes([chance.randrange(256)])
                case 1:
                    made[i : i + 1] = bytes([(made[i] if i < len(made) else 0) ^ 1 << chance.randrange(8)])
                case 2:
                    del made[i : i + chance.randrange(1, 40)]
                case 3:
                    made[i:i] = chance.randbytes(chance.randrange(1, 10))
                case 4:
                    other = chance.choice(good)
                    j = chance.randrange(len(other))
                    made[i : i + 40] = other[j : j + chance.randrange(1, 80)]
                case _:
                    made[i:i] = made[i : i + chance.randrange(1, 60)]
        yield bytes(made)


def verify(content: bytes) -> object:
    return open_trust(content).verify(root())


def read_payload_of_anybody(content: bytes) -> object:
    """As if two officers had signed whatever this is: the inner parser is reached."""
    return decode(content)


READERS: list[Callable[[bytes], object]] = [
    verify,
    lambda c: open_trust(c).unverified(),
    read_payload_of_anybody,
    decode_root,
    stop.decode,
    lambda c: stop.decode(stop.open_resume(c).payload),
]


def run(n: int, seed: int) -> None:
    slowest, taken = 0.0, 0
    for content in inputs(n, seed):
        for read in READERS:
            begun = time.thread_time()
            try:
                read(content)
                taken += 1
            except Refused:
                pass
            slowest = max(slowest, time.thread_time() - begun)
    assert slowest < LONGEST
    assert taken < n  # most are refused, and the rest are parsers that look no further than they say


def test_ten_thousand_mutants_are_read_or_refused_at_once() -> None:
    run(10_000, 1)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(10))
def test_a_million_mutants_are_read_or_refused_at_once(seed: int) -> None:
    run(100_000, 100 + seed)


def test_the_longest_list_costs_a_stranger_nothing_and_its_readers_little() -> None:
    """As many keys as fit. Nobody's points are looked at before two root officers signed."""
    item = cbor2.loads(encode(first()))
    key = item[6][0][5][1]
    item[6] = [{**item[6][0], 1: f"a{i}", 5: [key] * 64} for i in range(MAX_BYTES // (64 * 122))]
    payload = cose.dumps(item)
    assert MAX_BYTES * 0.95 < len(payload) < MAX_BYTES - 1_000
    unsigned = cose.sign_many(payload, officers()[:1], headers={cose.TYP: TYPE})
    for reads, code, most in ((verify, Code.UNTRUSTED, LONGEST), (decode, Code.BAD_TRUST_LIST, 10 * LONGEST)):
        best = 9.0
        for _ in range(3):
            begun = time.thread_time()
            with pytest.raises(Refused) as refused:
                reads(unsigned if reads is verify else payload)
            best = min(best, time.thread_time() - begun)
            assert refused.value.code is code  # a key is listed once: found when all of them were read
        assert best < most
    with pytest.raises(Refused) as refused:
        open_trust(bytes(MAX_BYTES + 1))
    assert refused.value.code is Code.TOO_MANY_BYTES


def test_a_payload_is_not_read_before_enough_root_keys_signed_it() -> None:
    rubbish = cose.sign_many(b"\xff not CBOR", officers()[:1], headers={cose.TYP: TYPE})
    with pytest.raises(Refused) as refused:
        verify(rubbish)
    assert refused.value.code is Code.UNTRUSTED
    assert verify(sign_trust(first(), officers())) == first()

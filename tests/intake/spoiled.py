"""Seeded damage to messages, and what must come of it: rows or a refusal, soon, and nothing else."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kangma.errors import Refused


def mutated(seed: bytes, dice: random.Random, pieces: Sequence[bytes]) -> bytes:
    """The seed with a few bytes inserted, deleted, changed or repeated; mostly ASCII, so that parsers are reached."""
    content = bytearray(seed)
    for _ in range(dice.randint(1, 5)):
        at = dice.randrange(len(content) + 1)
        match dice.randrange(5):
            case 0:
                content[at:at] = dice.choice(pieces) * dice.randint(1, 3)
            case 1:
                del content[at : at + dice.randint(1, 40)]
            case 2:
                content[at : at + 1] = bytes([dice.randrange(128 if dice.random() < 0.9 else 256)])
            case 3:
                other = dice.randrange(len(content) + 1)
                content[at:at] = content[other : other + dice.randint(1, 80)]
            case _:
                content[at:at] = dice.choice(pieces)
    return bytes(content)


def reshaped(value: Any, dice: random.Random) -> Any:
    """The same JSON with some parts replaced by parts of another type or left out: what bytes seldom hit."""
    if dice.random() < 0.02:
        return dice.choice(
            [None, 7, -1.5, "", "x", [], {}, [None], {"reference": "#"}, True, [[]], "2022-04-25"]
        )
    if isinstance(value, dict):
        return {k: reshaped(v, dice) for k, v in value.items() if dice.random() > 0.01}
    return [reshaped(v, dice) for v in value] if isinstance(value, list) else value


def ends(
    sources: Iterable[bytes], read: Callable[[bytes], Iterable[str]], slowest: float | None = None
) -> Counter[str]:
    """How often reading ended in what. `read` gives the words for one source; anything but Refused goes through.

    `slowest` is the processor time in seconds that one source may take.
    """
    found = Counter[str]()
    for source in sources:
        begun = time.process_time()
        try:
            found.update(read(source))
        except Refused as problem:
            found[str(problem.code)] += 1
        if slowest is not None:
            assert time.process_time() - begun < slowest, source
    return found

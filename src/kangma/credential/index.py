"""The index of a person in a day's status lists: a keyed permutation of all positions, another one each day.

Persons have numbers that stay. Were the index that number, two doors could tell that yesterday's code and today's are
one person's; drawn by a permutation under a secret key, an index says nothing without the key, no two persons share
one, and nothing needs to be stored.

It is a Feistel network of ten rounds over pairs of numbers below s, the smallest s with s² ≥ capacity, that adds where
others xor; a pair beyond the family, of which there are fewer than 2 s, is walked on until it is inside (Black and
Rogaway, Ciphers with Arbitrary Finite Domains, 2002). Round functions are tables drawn by SHAKE256 from key, family and
round: as good as any keyed function over so few arguments, and NumPy looks up 22 million at once.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from math import isqrt

import numpy as np
from numpy.typing import NDArray

ROUNDS = 10
KEY = 32  # bytes
MOST = 2**32
_CHUNK = 1 << 14  # positions at once: what stays in a processor's nearest cache


class Permutation:
    """Positions of one family, such as the day "19110": n in [0, capacity) ↔ position in [0, capacity)."""

    def __init__(self, key: bytes, family: str, capacity: int) -> None:
        """`key`: 32 secret bytes. ValueError for another length or a capacity that is not 1 to 2^32."""
        if len(key) != KEY or not 1 <= capacity <= MOST:
            raise ValueError("a key of 32 bytes and a capacity of 1 to 2^32")
        self.capacity = capacity
        self._side = max(2, isqrt(capacity - 1) + 1)
        self._seed = b"kangma index 1\0" + key + capacity.to_bytes(8, "big") + family.encode()

    def place(self, n: int) -> int:
        """The position of person number `n`. ValueError outside [0, capacity)."""
        side = self._side
        found = self._inside(n)
        while True:
            left, right = divmod(found, side)
            for row in self._rows:
                left, right = right, (left + row[right]) % side
            found = left * side + right
            if found < self.capacity:
                return found

    def number(self, position: int) -> int:
        """The person number at a position: the inverse of `place`. ValueError outside [0, capacity)."""
        side = self._side
        found = self._inside(position)
        while True:
            left, right = divmod(found, side)
            for row in reversed(self._rows):
                left, right = (right - row[left]) % side, left
            found = left * side + right
            if found < self.capacity:
                return found

    def _inside(self, n: int) -> int:
        if not 0 <= n < self.capacity:
            raise ValueError("a number outside the family")
        return n

    def places(self, numbers: NDArray[np.integer]) -> NDArray[np.uint32]:
        """`place` of each of `numbers` (n,), in their order. ValueError outside [0, capacity)."""
        if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < self.capacity:
            raise ValueError("a number outside the family")
        found = np.empty(numbers.size, np.uint32)
        for at in range(0, numbers.size, _CHUNK):
            chunk = self._shuffled(numbers[at : at + _CHUNK].astype(np.intp))
            while (outside := np.flatnonzero(chunk >= self.capacity)).size:
                chunk[outside] = self._shuffled(chunk[outside])
            found[at : at + chunk.size] = chunk
        return found

    def all_places(self) -> NDArray[np.uint32]:
        """(capacity,): the position of each person number."""
        return self.places(np.arange(self.capacity, dtype=np.int64))

    def _shuffled(self, numbers: NDArray[np.intp]) -> NDArray[np.intp]:
        side = np.uint64(self._side)
        left = numbers.astype(np.uint64) // side
        right = numbers.view(np.uint64) - left * side
        less = np.empty_like(left)
        for table in self._tables:
            left += np.take(table, right.view(np.intp))
            np.subtract(left, side, out=less)  # where left < side it wraps to something huge
            np.minimum(left, less, out=left)
            left, right = right, left
        return (left * side + right).view(np.intp)

    @cached_property
    def _tables(self) -> NDArray[np.uint64]:
        """(ROUNDS, side): the round functions, four bytes of SHAKE256 an entry, little-endian, modulo `side`."""
        size = 4 * self._side
        drawn = b"".join(hashlib.shake_256(self._seed + bytes([r])).digest(size) for r in range(ROUNDS))
        return (np.frombuffer(drawn, "<u4").reshape(ROUNDS, self._side) % self._side).astype(np.uint64)

    @cached_property
    def _rows(self) -> list[list[int]]:
        rows: list[list[int]] = self._tables.tolist()
        return rows

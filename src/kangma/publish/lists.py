"""The bytes of the status lists: four bits a credential, laid down by the keyed permutation of their family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kangma.credential.index import Permutation
from kangma.publish.book import EXTRA_LIST, Family, Persons, Shown
from kangma.status.lists import BITS, ENTRIES, OF_STATE, Status, pack


def size(family: Family) -> int:
    """Entries of each list of a family."""
    return EXTRA_LIST if family.extra else ENTRIES


def split(family: Family, place: int) -> tuple[int, int]:
    """(number of the list, index within it) of a place in the family."""
    return divmod(place, size(family))


@lru_cache(maxsize=128)
def permutation(key: bytes, family: Family) -> Permutation:
    return Permutation(key, family.name, family.capacity)


def whole(
    family: Family, shown: Shown, holders: Persons | None, withdrawn: Iterable[int], *, key: bytes
) -> dict[str, bytes]:
    """Every list of a family, by path, from everybody's state: the definition.

    holders: (n,) uint32, who holds the n-th credential of an extra family; None for a daily one. A place that nobody
    holds yet, or that was issued since the last release, is not verified, and not green
    withdrawn: places of credentials that were taken back
    """
    values = np.full(family.capacity, Status.UNKNOWN if family.extra else Status.VALID, np.uint8)
    places = permutation(key, family)
    if family.extra:
        assert holders is not None
        values[places.places(np.arange(len(holders), dtype=np.uint32))] = OF_STATE[shown[holders]]
    else:
        mine = OF_STATE[shown[family.first : family.first + family.capacity]]
        coloured = np.flatnonzero(mine).astype(np.uint32)  # nearly everybody is green, and green is zero
        values[places.places(coloured)] = mine[coloured]
    values[np.fromiter(withdrawn, np.int64)] = Status.INVALID
    each = size(family)
    return {family.path(n): pack(values[n * each : (n + 1) * each], BITS) for n in range(family.lists)}


def patched(
    family: Family, before: Mapping[str, bytes], places: NDArray[np.uint32], values: NDArray[np.uint8]
) -> dict[str, bytes]:
    """The lists of a family in which something changes, as they are afterwards: entry `places[i]` (unique) becomes
    `values[i]`. `before` has every list of the family by path. A list that comes out as it was is not among them."""
    out = {}
    numbers, within = np.divmod(places.astype(np.int64), size(family))
    for n in np.unique(numbers):
        path = family.path(int(n))
        mine = numbers == n
        new = np.frombuffer(before[path], np.uint8).copy()
        at, value = within[mine], values[mine]
        for odd in (
            0,
            1,
        ):  # the two halves of a byte one after the other: within one half no byte is met twice
            half = (at & 1) == odd
            where = at[half] >> 1
            new[where] = (new[where] & (0x0F if odd else 0xF0)) | (value[half] << (4 * odd))
        if (changed := new.tobytes()) != before[path]:
            out[path] = changed
    return out


def changes(
    family: Family,
    persons: Persons,
    shown: Shown,
    holders: Persons | None,
    fresh: int,
    withdrawn: Iterable[int],
    *,
    key: bytes,
) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """(places, values) of a family's entries that the turned `persons` (ascending) and the last `fresh` credentials of
    an extra family ask for, by everybody's new state."""
    if family.extra:
        assert holders is not None
        wanted = np.isin(holders, persons)
        if fresh:
            wanted[-fresh:] = True
        numbers = np.flatnonzero(wanted).astype(np.uint32)
        whose = holders[numbers]
    else:
        low, high = np.searchsorted(persons, [family.first, family.first + family.capacity])
        whose = persons[low:high]
        numbers = (whose - np.uint32(family.first)).astype(np.uint32)
    places, values = permutation(key, family).places(numbers), OF_STATE[shown[whose]]
    gone = np.fromiter(withdrawn, np.uint32)
    others = ~np.isin(places, gone)  # what was taken back stays so, whatever becomes of its holder
    places = np.concatenate([places[others], gone])
    return places, np.concatenate([values[others], np.full(len(gone), Status.INVALID, np.uint8)])

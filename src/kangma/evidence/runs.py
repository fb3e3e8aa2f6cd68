"""Sorted arrays and the runs of equal values in them: how rows are found by person, document or place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


def bounds(ordered: NDArray[Any], wanted: NDArray[Any]) -> tuple[Places, Places]:
    """Where the run of each wanted value begins and ends."""
    found = np.searchsorted(ordered, wanted, "left"), np.searchsorted(ordered, wanted, "right")
    return found[0].astype(np.int64), found[1].astype(np.int64)


def spread(starts: Places, ends: Places) -> Places:
    """Every number of the half-open ranges, range after range."""
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    numbers: Places = np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
    return numbers


def pairs(ordered: NDArray[Any], wanted: NDArray[Any]) -> tuple[Places, Places]:
    """Every pair (i, place) of a wanted value, by its place i, and a place in its run; i ascending."""
    starts, ends = bounds(ordered, wanted)
    return np.repeat(np.arange(len(wanted)), ends - starts), spread(starts, ends)


def distinct(values: Iterable[NDArray[Any]], dtype: type[np.generic] = np.uint64) -> NDArray[Any]:
    """Ascending, each once. (np.unique hashes, which for numbers as large as these takes ten times as long.)"""
    ordered = np.sort(np.concatenate([np.empty(0, dtype), *values]))
    fresh = np.ones(len(ordered), bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    once: NDArray[Any] = ordered[fresh]
    return once


def is_among(values: NDArray[Any], some: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of these values are among `some` (ascending)."""
    if not len(some):
        return np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(some, values), len(some) - 1)
    found: NDArray[np.bool_] = some[at] == values
    return found

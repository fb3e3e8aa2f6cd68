"""The daily index: everybody has one, nobody the same, and two days have nothing in common."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kangma.credential.index import Permutation
from kangma.status.lists import ENTRIES

KEY = bytes(range(32))


def test_every_resident_has_one_index_and_no_two_the_same() -> None:
    for capacity in (1, 2, 3, 4, 5, 99, 1_000, 65_537, 2 * ENTRIES):
        places = Permutation(KEY, "19110", capacity).all_places()
        assert places.dtype == np.uint32
        assert np.array_equal(np.sort(places), np.arange(capacity))


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 2**32), st.data())
def test_one_at_a_time_is_the_same_as_all_at_once_and_goes_back(capacity: int, data: st.DataObject) -> None:
    capacity = min(capacity, 2**22) if data.draw(st.booleans()) else min(capacity, 5_000)
    permutation = Permutation(KEY, data.draw(st.sampled_from(("19110", "x19110.2"))), capacity)
    numbers = data.draw(st.lists(st.integers(0, capacity - 1), max_size=20))
    places = [permutation.place(n) for n in numbers]
    assert permutation.places(np.array(numbers, np.int64)).tolist() == places
    assert [permutation.number(p) for p in places] == numbers
    assert all(0 <= p < capacity for p in places)


def test_outside_the_family_there_is_no_place() -> None:
    permutation = Permutation(KEY, "19110", 100)
    for wrong in (-1, 100):
        with pytest.raises(ValueError, match="outside"):
            permutation.place(wrong)
        with pytest.raises(ValueError, match="outside"):
            permutation.number(wrong)
        with pytest.raises(ValueError, match="outside"):
            permutation.places(np.array([wrong]))
    for key, capacity in ((bytes(31), 5), (KEY, 0), (KEY, 2**32 + 1)):
        with pytest.raises(ValueError, match="a key of 32 bytes"):
            Permutation(key, "19110", capacity)


def uniform(counts: np.ndarray, expected: float) -> bool:
    """Whether the counts of cells that hold `expected` each by chance are within five deviations of what chance gives
    in sum (chi-square; its deviation is √2k)."""
    k = counts.size - 1
    return bool(abs(((counts - expected) ** 2 / expected).sum() - k) < 5 * (2 * k) ** 0.5)


def test_today_says_nothing_of_tomorrow() -> None:
    """Where today's index stands tells nothing of where tomorrow's stands, however coarse or fine one looks."""
    n = 1 << 20
    today, tomorrow = (Permutation(KEY, day, n).all_places().astype(np.int64) for day in ("19110", "19111"))
    assert (today == tomorrow).sum() < 8
    for cells in (2, 16, 64):
        joint = np.bincount(today * cells // n * cells + tomorrow * cells // n, minlength=cells**2)
        assert uniform(joint, n / cells**2)
        low = np.bincount(today % cells * cells + tomorrow % cells, minlength=cells**2)
        assert uniform(low, n / cells**2)
    # Neighbours in number (a household) are no neighbours in either, nor as far apart on one day as on the other.
    for places in (today, tomorrow):
        steps = (places[1:] - places[:-1]) % n
        assert uniform(np.bincount(steps * 64 // n, minlength=64), (n - 1) / 64)
    same = ((today[1:] - today[:-1]) % n) == ((tomorrow[1:] - tomorrow[:-1]) % n)
    assert same.sum() < 8
    assert abs(np.corrcoef(today, tomorrow)[0, 1]) < 5 / n**0.5


def test_the_control_of_that_test_finds_a_rotation() -> None:
    """A weak scheme, everybody moved by one secret number a day, is found by the same means."""
    n = 1 << 16
    today = Permutation(KEY, "19110", n).all_places().astype(np.int64)
    tomorrow = (today + 31_337) % n
    joint = np.bincount(today * 16 // n * 16 + tomorrow * 16 // n, minlength=256)
    assert not uniform(joint, n / 256)


def test_another_key_another_family_or_another_capacity_is_another_order() -> None:
    first = Permutation(KEY, "19110", 10_000).all_places()
    others = (
        Permutation(bytes(32), "19110", 10_000),
        Permutation(KEY, "x19110", 10_000),
        Permutation(KEY, "19110", 10_001),
    )
    for other in others:
        assert (other.all_places()[:10_000] == first).mean() < 0.01

"""One seed, one city."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kangma.city import make_city, run, write_city
from kangma.city.baseline import FILE, digest, main, numbers, small_city


def test_the_same_seed_makes_the_same_files(tmp_path):
    first = write_city(make_city(1_000, 3, 5), tmp_path / "a")
    second = write_city(make_city(1_000, 3, 5), tmp_path / "b")
    assert [f.name for f in first] == [f.name for f in second]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name


def test_another_seed_makes_another_city():
    assert digest(make_city(500, 2, 5)) != digest(make_city(500, 2, 6))


def test_the_order_in_which_days_are_asked_for_changes_nothing():
    forward, backward = make_city(1_000, 4, 5), make_city(1_000, 4, 5)
    late_first = {day: backward.arrivals(day) for day in (3, 1, 0, 2)}
    for day in range(4):
        tables = forward.arrivals(day)
        assert tables.keys() == late_first[day].keys()
        for kind, table in tables.items():
            assert table.equals(late_first[day][kind]), (day, kind)


def test_the_small_city_has_the_numbers_that_are_checked_in():
    root = Path(__file__).parents[2]
    then = json.loads((root / FILE).read_text(encoding="utf-8"))
    now = numbers(small_city())
    assert now == then, "moved on purpose? python -m kangma.city.baseline --write"


def test_a_moved_baseline_is_reported(tmp_path, capsys):
    root = Path(__file__).parents[2]
    moved = json.loads((root / FILE).read_text(encoding="utf-8"))
    moved["cases"] += 1
    file = tmp_path / "moved.json"
    file.write_text(json.dumps(moved), encoding="utf-8")
    assert main(["--file", str(file)]) == 1
    assert "cases" in capsys.readouterr().out


def test_a_city_needs_residents_and_days():
    with pytest.raises(ValueError, match="at least"):
        make_city(10, 14, 1)
    with pytest.raises(ValueError, match="day 3 of 3"):
        make_city(200, 3, 1).run_to(3)


@pytest.mark.prove
def test_a_larger_city_does_not_depend_on_the_number_of_threads(monkeypatch):
    two = digest(make_city(300_000, 2, 5))
    monkeypatch.setattr(run, "ThreadPoolExecutor", lambda _: ThreadPoolExecutor(1))
    assert digest(make_city(300_000, 2, 5)) == two

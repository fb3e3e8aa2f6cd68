"""Who lives in the city."""

import numpy as np
from small_city import small_city

from kangma.city.people import PAPERS, Role, names
from kangma.terms import calendar

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def test_household_sizes_are_those_of_a_large_city():
    sizes = np.diff(small_city(20_000, 1).people.first)
    assert 2.2 < sizes.mean() < 2.45
    assert 0.26 < (sizes == 1).mean() < 0.34
    assert 0.28 < (sizes == 2).mean() < 0.37
    assert sizes.sum() == 20_000


def test_every_household_has_an_adult():
    people = small_city().people
    assert (people.age[people.first[:-1]] >= 20).all()


def test_a_child_goes_to_class_and_a_baby_stays_at_home():
    people = small_city().people
    assert (people.role[(people.age >= 6) & (people.age < 18)] == Role.PUPIL).all()
    assert (people.role[people.age < 3] == Role.INFANT).all()


def test_no_two_residents_share_a_number():
    people = small_city(20_000, 1).people
    assert len(people.id_number.unique()) == people.size


def test_identity_cards_have_a_right_check_digit_the_birth_date_and_a_division_that_does_not_exist():
    people = small_city().people
    for number, paper, birth in zip(people.id_number.to_pylist(), people.paper, people.birth, strict=True):
        if PAPERS[paper] == "10":
            assert "119910" <= number[:6] <= "119999"
            assert number[6:14] == calendar(int(birth)).strftime("%Y%m%d")
            total = sum(int(d) * w for d, w in zip(number, WEIGHTS, strict=False))
            assert number[17] == "10X98765432"[total % 11]


def test_a_birthday_fits_the_age():
    city = small_city()
    on = calendar(city.start_day)
    for age, birth in zip(city.people.age, city.people.birth, strict=True):
        born = calendar(int(birth))
        assert abs(on.year - born.year - (on.timetuple().tm_yday < born.timetuple().tm_yday) - int(age)) <= 1


def test_all_sorts_of_papers_are_carried():
    assert set(small_city(20_000, 1).people.paper) == set(range(len(PAPERS)))


def test_some_names_are_long_and_some_characters_rare():
    all_names = names(7, small_city(20_000, 1).people).to_pylist()
    assert max(map(len, all_names)) > 12
    assert any(ord(c) > 0xFFFF for name in all_names for c in name)
    assert any(name.isascii() or " " in name for name in all_names)


def test_districts_have_their_share_of_people():
    people = small_city(20_000, 1).people
    shares = np.bincount(people.district[people.household], minlength=16) / people.size
    assert 0.13 < shares[2] < 0.19  # 朝阳区, 345 of 2,190
    assert 0.01 < shares[15] < 0.025  # 延庆区, 35

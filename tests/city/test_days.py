"""What people do all day."""

import numpy as np
from small_city import all_visits, small_city

from kangma.city.atlas import DAY, HOUR
from kangma.city.map import HOME, SCHOOL, WORK
from kangma.city.people import Role
from kangma.city.plan import SOURCES, Visits, absent


def test_nobody_is_in_two_places_at_once():
    visits = all_visits(small_city())
    same = visits.person[1:] == visits.person[:-1]
    assert (visits.entered[1:][same] >= visits.left[:-1][same]).all()


def test_people_leave_after_they_come():
    visits = all_visits(small_city())
    assert (visits.left - visits.entered >= 60).all()
    assert (visits.left - visits.entered < 30 * HOUR).all()  # a baby at home


def test_a_resident_makes_six_to_eight_visits_a_day():
    city = small_city()
    assert 6.0 < len(all_visits(city)) / city.residents / city.days < 8.0


def test_nights_are_spent_at_home_and_span_midnight():
    city = small_city()
    visits = all_visits(city)
    spans = visits.entered // DAY != (visits.left - 1) // DAY
    kinds = city.places.kind[visits.place[spans]]
    assert 0.85 < spans.sum() / city.residents / city.days < 1.1
    assert (kinds == HOME).mean() > 0.9
    assert (kinds == WORK).any()  # night shifts


def test_classes_and_most_offices_are_empty_on_sundays():
    city = small_city()
    visits = all_visits(city)
    day = visits.entered // DAY
    kind = city.places.kind[visits.place]
    friday, sunday = day == 0, day == 2  # the run begins on Friday, 15 April 2022
    assert (kind[friday] == SCHOOL).sum() > 100
    assert not (kind[sunday] == SCHOOL).any()
    assert (kind[sunday] == WORK).sum() < 0.3 * (kind[friday] == WORK).sum()


def test_sources_mix_and_static_scans_are_few():
    source = all_visits(small_city()).source
    shares = np.bincount(source, minlength=len(SOURCES)) / len(source)
    assert (shares > 0).all()
    assert shares[SOURCES.index("scan_static")] < 0.02
    assert shares[SOURCES.index("scan")] > 0.25
    assert shares[SOURCES.index("telecom")] > 0.2
    assert shares[SOURCES.index("transit")] > 0.05


def test_a_visit_is_reported_on_the_day_on_which_it_ends():
    city = small_city()
    for day in range(city.days):
        for visits in city.visits(day):
            assert (visits.left <= (day + 1) * DAY).all()
            assert (visits.left > (day - 1) * DAY).all()  # a night cut short comes on the next day
            assert (visits.left > day * DAY).mean() > 0.99


def test_an_earlier_day_comes_out_again_as_it_was():
    city = small_city()
    again = small_city.__wrapped__()
    for day in (3, 9, 0):
        first = list(city.visits(day))
        second = list(again.visits(day))
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert np.array_equal(a.person, b.person)
            assert np.array_equal(a.entered, b.entered)
            assert np.array_equal(a.left, b.left)


def test_whoever_is_isolated_or_away_is_nowhere():
    city = small_city()
    visits = all_visits(city)
    for absence in city.travel.absences:
        clash = (absence.since[visits.person] < visits.left) & (absence.until[visits.person] > visits.entered)
        assert not clash.any()


def test_a_stretch_of_absence_cuts_and_drops_visits():
    hours = np.array([0, 8, 12, 20], dtype=np.int32) * HOUR
    visits = Visits(
        np.zeros(4, dtype=np.int32),
        np.arange(4, dtype=np.int32),
        hours,
        hours + 4 * HOUR,
        np.zeros(4, dtype=np.uint8),
    )
    cut = absent(visits, np.array([10 * HOUR], dtype=np.int32), np.array([21 * HOUR], dtype=np.int32))
    assert cut.place.tolist() == [0, 1, 3]
    assert (cut.entered // HOUR).tolist() == [0, 8, 21]
    assert (cut.left // HOUR).tolist() == [4, 10, 24]


def test_the_retired_do_not_go_to_work():
    city = small_city()
    visits = all_visits(city)
    kind = city.places.kind[visits.place]
    assert not (kind[city.people.role[visits.person] == Role.RETIRED] == WORK).any()

"""The epidemic: every infection is a meeting that the visits show."""

import numpy as np
from small_city import all_visits, small_city

from kangma.city import make_city
from kangma.city.atlas import DAY, NEVER

MEETING = 600


def _seconds(city, column):
    return np.array([-1 if t is None else int(t.timestamp()) - city.zero for t in column.to_pylist()])


def test_every_infection_is_a_real_meeting():
    city = small_city(3_000, 14, 7)
    visits, truth = all_visits(city, unfinished=True), city.truth()
    at, since, until = (_seconds(city, truth[c]) for c in ("infected_at", "met_from", "met_to"))
    number = {place: i for i, place in enumerate(city.places.id.to_pylist())}
    checked = 0
    for row, (who, infector, place) in enumerate(
        zip(
            truth["person"].to_pylist(),
            truth["infector"].to_pylist(),
            truth["place_id"].to_pylist(),
            strict=True,
        )
    ):
        if infector is None:
            assert at[row] < 0  # brought in before the run
            continue
        assert since[row] + MEETING <= at[row] <= until[row]
        together = 0
        for a in np.flatnonzero((visits.person == who) & (visits.place == number[place])):
            for b in np.flatnonzero((visits.person == infector) & (visits.place == number[place])):
                begin = max(visits.entered[a], visits.entered[b])
                end = min(visits.left[a], visits.left[b])
                together += begin <= since[row] and until[row] <= end and end - begin >= MEETING
        assert together == 1
        checked += 1
    assert checked > 20


def test_only_the_infectious_infect_and_nobody_twice():
    city = small_city()
    truth, epidemic = city.truth(), city.epidemic
    who = truth["person"].to_numpy()
    assert len(set(who.tolist())) == len(who)
    at = _seconds(city, truth["infected_at"])
    for row, infector in enumerate(truth["infector"].to_pylist()):
        if infector is not None:
            assert epidemic.infectious_from[infector] < at[row] <= epidemic.infectious_to[infector]


def test_it_grows_at_home_at_work_and_where_people_eat():
    kinds = {k for seed in (1, 2, 3) for k in small_city(3_000, 14, seed).truth()["place_kind"].to_pylist()}
    assert {None, "home", "work", "venue"} <= kinds
    infected = [len(small_city(3_000, 14, seed).truth()) for seed in (1, 2, 3)]
    assert 20 < np.mean(infected) < 400


def test_without_anybody_infected_there_is_no_epidemic():
    city = make_city(1_000, 4, 1, infected=0)
    assert len(city.truth()) == 0
    assert not city.response.cases


def test_without_contagion_nobody_else_falls_ill():
    city = make_city(1_000, 6, 1, contagion=0.0)
    assert len(city.truth()) == 3


def test_about_two_in_three_have_symptoms_and_they_come_after_infectiousness():
    epidemic = small_city(3_000, 14, 1).epidemic
    ill = epidemic.infected_at != NEVER
    with_symptoms = ill & (epidemic.onset != NEVER)
    assert 0.4 < with_symptoms.sum() / ill.sum() < 0.9
    assert (epidemic.onset[with_symptoms] >= epidemic.infectious_from[with_symptoms] + 24 * 3600).all()
    assert (epidemic.infectious_from[ill] >= epidemic.infected_at[ill] + 36 * 3600).all()


def test_most_infections_of_the_first_week_are_found():
    city = small_city(3_000, 14, 7)
    early = np.flatnonzero(city.epidemic.infected_at < 5 * DAY)
    found = sum(int(p) in city.response.case_of for p in early)
    assert found >= 0.6 * len(early)

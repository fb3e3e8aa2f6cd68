"""Where the city is."""

import numpy as np
import pytest
from small_city import all_visits, small_city

from kangma.city import atlas, make_city
from kangma.city.map import HOME, HOTEL, VENUE

NAMED = [
    ("北京市/朝阳区/样板街道/甲社区", "甲社区", "朝阳区", "样板街道"),
    ("北京市/延庆区/样板镇/乙村", "乙村", "延庆区", "样板镇"),
    ("远省/样市/丙区/丙村", "丙村", "样市", "丙区"),
]


def test_every_place_lies_in_its_district():
    places = small_city().places
    for i in range(places.size):
        box = atlas.DISTRICTS[places.district[i]]
        assert box.south <= round(places.lat[i] * 1e5) < box.north
        assert box.west <= round(places.lon[i] * 1e5) < box.east


def test_the_rectangles_of_the_districts_are_disjoint():
    for i, a in enumerate(atlas.DISTRICTS):
        for b in atlas.DISTRICTS[i + 1 :]:
            apart = a.north <= b.south or b.north <= a.south or a.east <= b.west or b.east <= a.west
            assert apart, (a.name, b.name)


def test_the_homes_of_a_community_are_at_most_one_cell_from_its_middle():
    city = small_city()
    places = city.places
    rows = (np.round(places.lat * 1e5) - atlas.CORNER_LAT) // atlas.CELL_LAT
    columns = (np.round(places.lon * 1e5) - atlas.CORNER_LON) // atlas.CELL_LON
    home = (places.kind == HOME) & (places.community >= 0)
    middle = city.communities.cell[places.community[home]]
    assert np.abs(rows[home] - middle[:, 0]).max() == 1
    assert np.abs(columns[home] - middle[:, 1]).max() == 1


def test_places_are_named_once():
    places = small_city().places
    assert len(places.id.unique()) == places.size


def test_a_community_that_was_asked_for_has_homes_and_visitors():
    city = make_city(3_000, 5, 1, communities=NAMED)
    visits = all_visits(city)
    area_of = [c.area_id for c in city.communities.texts]
    for area_id, *_ in NAMED[:2]:
        number = area_of.index(area_id)
        lives = np.flatnonzero(city.people.community == number)
        assert len(lives) >= 1
        there = city.places.community[visits.place] == number
        strangers = city.people.community[city.people.household[visits.person]] != number
        assert (there & strangers & (city.places.kind[visits.place] == VENUE)).any()


def test_a_community_elsewhere_that_was_asked_for_has_travellers():
    city = make_city(3_000, 14, 1, communities=NAMED)
    stays = [row for day in range(14) for row in city.documents(day).get("area_stays", _Empty()).to_pylist()]
    assert len({row["id_number"] for row in stays if row["area_id"] == NAMED[2][0]}) >= 1


class _Empty:
    def to_pylist(self) -> list[dict[str, object]]:
        return []


def test_an_area_asked_for_twice_is_one_area():
    city = make_city(1_000, 1, 1, communities=[*NAMED, *NAMED])
    assert sum(c.area_id == NAMED[0][0] for c in city.communities.texts) == 1


def test_the_popularity_of_venues_falls_like_one_over_the_rank():
    city = small_city(20_000, 3)
    visits = all_visits(city)
    section = city.places.sections["food"]
    slopes = []
    for d in (2, 5):  # the two largest districts
        first, count = section.first[d], section.count[d]
        seen = np.sort(np.bincount(visits.place, minlength=city.places.size)[first : first + count])[::-1]
        rank = np.arange(1, count + 1)
        shifted = rank + min(10, count // 20)
        slopes.append(np.polyfit(np.log(shifted), np.log(seen), 1)[0])
    assert -1.35 < np.mean(slopes) < -0.7


def test_guests_sleep_in_hotels():
    city = small_city()
    visits = all_visits(city)
    assert (city.places.kind[visits.place] == HOTEL).any()
    assert (city.places.kind[visits.place] == HOME).mean() > 0.2


@pytest.mark.parametrize("sort", ["food", "shop", "leisure", "transit", "hospital", "hotel", "grid"])
def test_every_district_has_every_sort_of_place(sort):
    assert (small_city().places.sections[sort].count >= 1).all()

"""Where the city is: communities on an 800 m grid, and the places in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kangma.city import atlas
from kangma.city.atlas import Ints, Stream, Words, between, chance, words, zipf_table
from kangma.city.columns import serials
from kangma.city.people import Population, Role

PLACE_KINDS = ("home", "work", "school", "venue", "grid", "transit", "hospital", "hotel")
# Sizes of offices and their weights: fourteen people in the mean office, and half of all in one of forty or more.
OFFICES = (2, 4, 8, 15, 30, 60, 120, 250)
OFFICE_WEIGHTS = (250, 250, 200, 140, 90, 50, 16, 4)
SHOP_EVERY = 10  # every tenth shop of a district, by popularity, is a pharmacy
HOME, WORK, SCHOOL, VENUE, GRID, TRANSIT, HOSPITAL, HOTEL = range(8)


@dataclass(frozen=True, slots=True)
class Community:
    """A named area that the city must have. Inside the city its homes and shops exist; outside, travellers stay there."""

    area_id: str
    name: str
    district: str
    county: str


@dataclass(frozen=True)
class Section:
    """Places of one sort stand together, ordered by district: `first[d]` and `count[d]` in numbers of places."""

    first: Ints
    count: Ints


@dataclass(frozen=True)
class Communities:
    """Columns by community number, ordered by district; those asked for by name among them."""

    texts: list[Community]
    district: NDArray[np.uint8]
    cell: NDArray[np.int64]  # (c, 2) row and column on the grid
    first: Ints  # (districts+1,)
    count: Ints
    named: Ints  # numbers of those asked for


@dataclass(frozen=True)
class Places:
    """Columns by place number. Homes come first: the home of household h is place h."""

    kind: NDArray[np.uint8]  # index in PLACE_KINDS
    district: NDArray[np.uint8]
    community: Ints  # -1: in none
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    homes: int
    sections: dict[str, Section]  # work, school, food, shop, leisure, grid, transit, hospital, hotel
    ranks: dict[str, list[Words]]  # food, shop, leisure: a table of Zipf ranks for each district
    id: pa.StringArray
    name: pa.Array

    @property
    def size(self) -> int:
        return len(self.kind)


def found_communities(residents: int, seed: int, wanted: Sequence[Community]) -> Communities:
    """About 2,500 people to a community in a large city, 100 in a small one, plus the wanted ones inside the city.

    In a city of few communities one case would be everybody's neighbour, and a risk area a tenth of the city.
    Five others stand beside each wanted one, so that a small city does not live in nothing but these.
    """
    rng = chance(seed, Stream.MAP)
    total = sum(d.people for d in atlas.DISTRICTS)
    by_name = {d.name: i for i, d in enumerate(atlas.DISTRICTS[: atlas.INSIDE])}
    inside: dict[int, list[Community]] = {}
    for community in wanted:
        if community.district in by_name:
            inside.setdefault(by_name[community.district], []).append(community)
    texts: list[Community] = []
    district: list[int] = []
    named: list[int] = []
    first = [0]
    for d, place in enumerate(atlas.DISTRICTS[: atlas.INSIDE]):
        named_here = inside.get(d, [])
        lives = residents * place.people // total
        for k in range(max(3, lives // 2_500, min(24, lives // 100), 5 * len(named_here))):
            # Street and hamlet by counting: each pair once, then with a number.
            street = atlas.STREET[(k + d) % len(atlas.STREET)]
            turn = k // len(atlas.STREET)
            again = turn // len(atlas.HAMLET)
            name = f"{street[0]}{atlas.HAMLET[turn % len(atlas.HAMLET)]}{again or ''}社区"
            texts.append(
                Community(
                    f"{atlas.CITY}/{place.name}/{street}街道/{name}",
                    name,
                    place.name,
                    f"{atlas.CITY}{place.name}",
                )
            )
            district.append(d)
        for community in named_here:
            named.append(len(texts))
            texts.append(community)
            district.append(d)
        first.append(len(texts))
    where = np.array(district, dtype=np.uint8)
    cell = _cells(where, words(rng, len(texts)), words(rng, len(texts)))
    edges = np.array(first, dtype=np.int32)
    return Communities(
        texts, where, cell, edges[:-1], np.diff(edges).astype(np.int32), np.array(named, dtype=np.int32)
    )


def _ranges(district: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n, 2) first row and column wholly inside the district's rectangle, and those after the last."""
    box = np.array([(d.south, d.north, d.west, d.east) for d in atlas.DISTRICTS], dtype=np.int64)
    low = -(
        (np.array([atlas.CORNER_LAT, atlas.CORNER_LON]) - box[:, (0, 2)]) // (atlas.CELL_LAT, atlas.CELL_LON)
    )
    high = (box[:, (1, 3)] - (atlas.CORNER_LAT, atlas.CORNER_LON)) // (atlas.CELL_LAT, atlas.CELL_LON)
    return low[district], high[district]


def _cells(district: NDArray[np.uint8], u: Words, v: Words) -> NDArray[np.int64]:
    """(n, 2) grid cells anywhere in the district."""
    low, high = _ranges(district)
    return low + (np.stack([u, v], axis=1).astype(np.int64) * (high - low) >> 16)


def build(seed: int, people: Population, communities: Communities) -> tuple[Places, Ints]:
    """The places, and for each person the number of their workplace or class (-1 for none)."""
    rng = chance(seed, Stream.MAP, 1)
    homes = len(people.district)
    population = np.bincount(people.district[people.household], minlength=atlas.INSIDE)[: atlas.INSIDE]
    works = (people.role == Role.WORKER) | (people.role == Role.NIGHT)
    home_district = people.district[people.household]

    # Two in five work in another district; the middle of the city draws more than it houses.
    job_weights = (120, 220, 520, 190, 50, 520, 15, 60, 110, 90, 120, 130, 20, 20, 20, 15)
    away = words(rng, people.size) < atlas.share(0.4)
    job_district = np.where(away, atlas.pick(words(rng, people.size), job_weights), home_district)
    # Offices: the workers of one district in a drawn order, cut into offices of drawn sizes.
    workers = rng.permutation(np.flatnonzero(works)).astype(np.int32)
    workers = workers[np.argsort(job_district[workers], kind="stable")]
    size = np.array(OFFICES, dtype=np.int64)[atlas.pick(words(rng, len(workers)), OFFICE_WEIGHTS)]
    begins = np.cumsum(size) - size
    office = np.searchsorted(begins, np.arange(len(workers)), side="right").astype(np.int64) - 1
    # An office that would stand in two districts becomes one in each.
    cut = np.r_[True, (np.diff(office) != 0) | (np.diff(job_district[workers].astype(np.int64)) != 0)][
        : len(workers)
    ]
    office_number = np.cumsum(cut) - 1
    office_district = job_district[workers[cut]]

    # Classes: those of one district and age, 35 at a time.
    pupils = np.flatnonzero(people.role == Role.PUPIL)
    pupils = pupils[np.lexsort((people.age[pupils], home_district[pupils]))]
    group = home_district[pupils].astype(np.int32) * 128 + people.age[pupils]
    starts = (
        np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if len(pupils) else np.zeros(0, dtype=np.int64)
    )
    within = np.arange(len(pupils)) - np.repeat(starts, np.diff(np.r_[starts, len(pupils)]))
    opens = within % 35 == 0
    class_number = np.cumsum(opens) - 1
    class_district = home_district[pupils[opens]]

    counts = {
        "work": np.bincount(office_district, minlength=atlas.INSIDE)[: atlas.INSIDE],
        "school": np.bincount(class_district, minlength=atlas.INSIDE)[: atlas.INSIDE],
        "food": np.maximum(3, population // 150),
        "shop": np.maximum(np.maximum(3, population // 120), communities.count),
        "leisure": np.maximum(2, population // 300),
        "grid": communities.count,
        "transit": np.maximum(2, population // 100),
        "hospital": np.maximum(1, population // 50_000),
        "hotel": np.maximum(1, population // 20_000),
    }
    kinds = {
        "work": WORK, "school": SCHOOL, "food": VENUE, "shop": VENUE, "leisure": VENUE, "grid": GRID, "transit": TRANSIT,
        "hospital": HOSPITAL, "hotel": HOTEL,
    }  # fmt: skip
    kind = [np.full(homes, HOME, dtype=np.uint8)]
    district = [people.district]
    community = [people.community]
    sections: dict[str, Section] = {}
    ordinal = [np.arange(homes, dtype=np.int64)]
    at = homes
    for sort, by_district in counts.items():
        n = int(by_district.sum())
        where = np.repeat(np.arange(atlas.INSIDE, dtype=np.uint8), by_district)
        edges = (at + np.concatenate([[0], np.cumsum(by_district)])).astype(np.int32)
        sections[sort] = Section(edges[:-1], by_district.astype(np.int32))
        local = at + np.arange(n, dtype=np.int64) - edges[:-1][where]
        # Round and round the district's communities, so that each has a shop and its own telecom cell.
        inside = (communities.first[where] + local % communities.count[where]).astype(np.int32)
        kind.append(np.full(n, kinds[sort], dtype=np.uint8))
        district.append(where)
        community.append(np.full(n, -1, dtype=np.int32) if sort == "transit" else inside)
        ordinal.append(np.arange(n, dtype=np.int64))
        at += n
    kinds_all, where_all, community_all = (
        np.concatenate(kind),
        np.concatenate(district),
        np.concatenate(community),
    )

    commuter = people.occupation == 4
    over_the_border = people.household[commuter]
    where_all = where_all.copy()
    where_all[over_the_border] = atlas.OUTSIDE
    community_all[over_the_border] = -1

    # Homes, venues and the community's own telecom cell lie in its cell or the next; the rest anywhere in the district.
    cell = _cells(where_all, words(rng, at), words(rng, at))
    nearby = (community_all >= 0) & np.isin(kinds_all, (HOME, VENUE, GRID))
    south_west, north_east = _ranges(where_all[nearby])
    step = np.stack([between(words(rng, int(nearby.sum())), -1, 2) for _ in range(2)], axis=1)
    cell[nearby] = (communities.cell[community_all[nearby]] + step).clip(south_west, north_east - 1)
    lat = atlas.CORNER_LAT + cell[:, 0] * atlas.CELL_LAT + between(words(rng, at), 1, atlas.CELL_LAT - 1)
    lon = atlas.CORNER_LON + cell[:, 1] * atlas.CELL_LON + between(words(rng, at), 1, atlas.CELL_LON - 1)

    ranks = {sort: [zipf_table(int(c)) for c in sections[sort].count] for sort in ("food", "shop", "leisure")}
    fixed_place = np.full(people.size, -1, dtype=np.int32)
    fixed_place[pupils] = sections["school"].first[0] + class_number
    fixed_place[workers] = sections["work"].first[0] + office_number
    identifiers, titles = _labels(ordinal)
    places = Places(
        kinds_all, where_all, community_all, lat / 1e5, lon / 1e5, homes, sections, ranks, identifiers, titles
    )
    return places, fixed_place


def _labels(ordinal: list[NDArray[np.int64]]) -> tuple[pa.StringArray, pa.StringArray]:
    """Identifiers like `H0001234` and names like `样本食堂1234号`."""
    sorts = {
        "home": ("H", "样本住宅"), "work": ("W", "样本公司"), "school": ("C", "样本学校班级"), "food": ("F", "样本食堂"),
        "shop": ("S", "样本商店"), "leisure": ("L", "样本影院"), "grid": ("G", "网格"), "transit": ("T", "样本线路车站"),
        "hospital": ("M", "样本医院"), "hotel": ("N", "样本酒店"),
    }  # fmt: skip
    ids, titles = [], []
    for (letter, title), numbers in zip(sorts.values(), ordinal, strict=True):
        ids.append(serials(letter, numbers, 7))
        titles.append(serials(title, numbers, 7))
    return pa.concat_arrays(ids), pa.concat_arrays(titles)

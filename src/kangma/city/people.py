"""Who lives in the city: households, ages, roles, papers, names. Nobody of them exists."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kangma.city import atlas
from kangma.city.atlas import Ints, Stream, between, chance, pick, share, words
from kangma.city.columns import digits, fixed, joined
from kangma.terms import calendar


class Role(IntEnum):
    INFANT = 0  # stays at home
    PUPIL = 1  # kindergarten, school, university: a class
    WORKER = 2
    NIGHT = 3  # works over midnight
    FREE = 4  # at home or out as they like
    RETIRED = 5


# Sizes 1..6 of a household in thousandths. The mean is 2.3, near that of the 2020 census for the city (from general
# knowledge); the shape is ours.
SIZES = (300, 325, 230, 85, 42, 18)
# Papers in ten-thousandths: 10, 20, 14, 15, 34, 99, 16.
PAPERS = ("10", "20", "14", "15", "34", "99", "16")
PAPER_SHARES = (9770, 110, 55, 30, 15, 15, 5)


@dataclass(frozen=True)
class Population:
    """Columns by person number; the members of a household are neighbours in number."""

    household: Ints  # (n,) household number
    first: Ints  # (h+1,) first person of each household, and n
    district: NDArray[np.uint8]  # (h,) of the household
    community: Ints  # (h,) of the household
    age: NDArray[np.uint8]  # (n,) full years on the first day
    birth: Ints  # (n,) days since 1970
    role: NDArray[np.uint8]  # (n,) Role
    occupation: NDArray[np.uint8]  # (n,) index in atlas.OCCUPATIONS
    paper: NDArray[np.uint8]  # (n,) index in PAPERS
    id_number: pa.StringArray  # (n,)

    @property
    def size(self) -> int:
        return len(self.household)


def settle(
    residents: int, seed: int, start_day: int, community_of: tuple[Ints, Ints], named: Ints
) -> Population:
    """The population on the first day.

    `community_of` gives first number and count of communities per district; `named` are communities that must have
    households (two each where there are enough).
    """
    rng = chance(seed, Stream.HOUSEHOLDS)
    sizes = 1 + pick(words(rng, residents), SIZES).astype(np.int32)
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    households = int(np.searchsorted(first, residents))
    first = first[: households + 1].copy()
    first[households] = residents
    sizes = np.diff(first).astype(np.int32)
    household = np.repeat(np.arange(households, dtype=np.int32), sizes)
    position = np.arange(residents, dtype=np.int32) - first[household]
    size = sizes[household]

    weights = tuple(d.people for d in atlas.DISTRICTS[: atlas.INSIDE])
    district = pick(words(rng, households), weights)
    start, count = community_of
    community = (
        start[district] + ((words(rng, households).astype(np.int64) * count[district]) >> 16)
    ).astype(np.int32)
    if len(named):
        chosen = rng.permutation(households)[: 2 * len(named)]
        wanted = np.resize(named, len(chosen)).astype(np.int32)
        community[chosen] = wanted
        district[chosen] = np.searchsorted(start, wanted, side="right") - 1

    # Ages follow the place in the household: two adults near in age, children, then grandparents.
    u, v = words(rng, residents), words(rng, residents)
    head_word, old_pair = words(rng, households), words(rng, households) < share(0.45)
    head = between(head_word, 28, 50)
    head = np.where(sizes == 1, between(head_word, 20, 84), head)
    head = np.where(
        sizes == 2, np.where(old_pair, between(head_word, 54, 84), between(head_word, 24, 46)), head
    )
    adult = head[household]
    child = np.maximum(0, adult - between(u, 24, 36))
    elder = np.minimum(101, adult + between(u, 23, 33))
    age = np.where(position == 0, adult, adult + between(v, -4, 5))
    age = np.where(position == 2, child, age)
    age = np.where(
        position == 3, np.where((size > 4) | (v < share(0.5)), np.maximum(0, child - 2), elder), age
    )
    age = np.where(position >= 4, elder, age).clip(0, 101).astype(np.uint8)

    w = words(rng, residents)
    role = np.full(residents, Role.FREE, dtype=np.uint8)
    grown = (age >= 18) & (age < 60)
    role[grown & (w < share(0.80))] = Role.WORKER
    role[grown & (w < share(0.025))] = Role.NIGHT
    role[(age >= 18) & (age <= 22) & (w >= share(0.45))] = Role.PUPIL
    role[(age >= 3) & (age < 18)] = Role.PUPIL
    role[(age >= 3) & (age < 6) & (w < share(0.3))] = Role.FREE
    role[age < 3] = Role.INFANT
    role[age >= 60] = Role.RETIRED

    occupation = np.zeros(residents, dtype=np.uint8)
    works = (role == Role.WORKER) | (role == Role.NIGHT)
    x = words(rng, residents)
    occupation[works & (x < share(0.035))] = 3
    occupation[works & (x < share(0.018))] = 1
    occupation[works & (x < share(0.005))] = 2
    # Commuters: single workers of 通州区 whose home is moved over the border (map.py puts it there).
    alone = (size == 1) & (district[household] == 8) & (role == Role.WORKER) & (x >= share(0.75))
    alone &= ~np.isin(community[household], named)
    occupation[alone] = 4

    birth = (start_day - age.astype(np.int32) * 365 - age.astype(np.int32) // 4 - between(w, 1, 364)).astype(
        np.int32
    )
    paper = pick(words(chance(seed, Stream.PAPERS), residents), PAPER_SHARES)
    return Population(
        household,
        first,
        district,
        community,
        age,
        birth,
        role,
        occupation,
        paper,
        _numbers(seed, birth, paper),
    )


def _numbers(seed: int, birth: Ints, paper: NDArray[np.uint8]) -> pa.StringArray:
    """Document numbers, all different. Source of the check digit: GB 11643-1999 (ISO 7064, MOD 11-2).

    Division codes 119910..119999 are not assigned to any place, so no number here can be anybody's.
    """
    n = len(birth)
    order = np.argsort(birth, kind="stable")
    ordered = birth[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n) - np.repeat(starts, np.diff(np.r_[starts, n]))

    low, high = int(birth.min()), int(birth.max())
    dates = np.array([int(calendar(d).strftime("%Y%m%d")) for d in range(low, high + 1)], dtype=np.int64)
    # 999 sequence numbers a birthday and division; the division wanders with the birthday.
    division = 119_910 + (birth - low + rank // 999) % 90
    number = division * 10**11 + dates[birth - low] * 10**3 + 1 + rank % 999
    card = np.empty((n, 18), dtype=np.uint8)
    card[:, :17] = digits(number, 17)
    weight = np.array([2 ** (17 - i) % 11 for i in range(17)], dtype=np.int64)
    total = (card[:, :17].astype(np.int64) - 48) @ weight % 11
    card[:, 17] = np.frombuffer(b"10X98765432", dtype=np.uint8)[total]

    serial = np.arange(n, dtype=np.int64)
    start = int(chance(seed, Stream.PAPERS, 1).integers(0, 90_000)) * 100
    others = {
        "20": ("KMX", 7),
        "14": ("H990", 7),
        "15": ("99", 8),
        "34": ("KMX9900", 8),
        "99": ("K", 9),
        "16": ("T99", 8),
    }
    rows = np.zeros((n, 18), dtype=np.uint8)
    width = np.full(n, 18, dtype=np.int64)
    rows[paper == 0] = card[paper == 0]
    for code, (prefix, length) in others.items():
        mine = paper == PAPERS.index(code)
        letters = np.frombuffer(prefix.encode(), dtype=np.uint8)
        rows[mine, : len(letters)] = letters
        rows[mine, len(letters) : len(letters) + length] = digits((serial[mine] + start) % 10**length, length)
        width[mine] = len(letters) + length
    return joined(rows, width)


def names(seed: int, people: Population) -> pa.Array:
    """Names from our own syllables: Chinese ones, long and rare ones among them, and Latin ones on passports."""
    rng = chance(seed, Stream.PAPERS, 2)
    n = people.size
    given = [*atlas.GIVEN, *(a + b for a in atlas.GIVEN[:48] for b in atlas.GIVEN[:48])]
    latin = [
        f"{a}{b} {c}{d}".title()
        for a in atlas.LATIN
        for b in atlas.LATIN
        for c in atlas.LATIN[:6]
        for d in ("len", "ko")
    ]
    full = [f + g for f in atlas.FAMILY for g in given]
    family = (words(rng, n).astype(np.int64) * len(atlas.FAMILY)) >> 16
    which = (words(rng, n).astype(np.int64) * len(given)) >> 16
    index = family * len(given) + which
    foreign = (people.paper == 1) | (people.paper == 4)
    index = np.where(foreign, len(full) + index % len(latin), index)
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(full + latin)).cast(
        pa.string()
    )


def phones(people: Population) -> pa.Array:
    """`100` and eight digits: no network gives such numbers out. Children under eight and some of the old have none."""
    n = people.size
    number = digits(10_000_000_000 + np.arange(n, dtype=np.int64), 11)
    none = (people.age < 8) | ((people.age > 75) & (np.arange(n) % 4 == 0))
    return fixed(number, none)

"""One day of one stretch of residents: who is where, from when to when, and how it came to be known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kangma.city import atlas
from kangma.city.atlas import DAY, HOUR, MINUTE, Flags, Ints, Stream, Words, between, chance, share, words
from kangma.city.map import Places
from kangma.city.people import Population, Role

SOURCES = ("scan", "scan_static", "telecom", "transit", "declared", "ticket")
SCAN, STATIC, TELECOM, TAP, DECLARED, TICKET = range(6)
CHUNK = 131_072  # residents planned at a time; part of the recipe: another value makes another city


@dataclass(frozen=True)
class Visits:
    """Columns of one stretch of residents, ordered by person, then by time; visits of a person never overlap."""

    person: Ints  # resident number
    place: Ints
    entered: Ints  # seconds since the first midnight of the run; negative before it
    left: Ints
    source: NDArray[np.uint8]  # index in SOURCES

    def __len__(self) -> int:
        return len(self.person)

    def where(self, keep: Flags | NDArray[np.intp]) -> Visits:
        return Visits(
            self.person[keep], self.place[keep], self.entered[keep], self.left[keep], self.source[keep]
        )

    def within(self, begin: int, end: int) -> Visits:
        """What of them lies in [begin, end)."""
        entered, left = np.maximum(self.entered, begin), np.minimum(self.left, end)
        clipped = Visits(
            self.person, self.place, entered.astype(np.int32), left.astype(np.int32), self.source
        )
        return clipped.where(left > entered)


@dataclass(frozen=True)
class Habits:
    """What a person does every day alike."""

    home: Ints  # (n,) where they sleep: the home of the household, or a hotel
    fixed_place: Ints  # (n,) workplace or class, -1 for none
    district: NDArray[np.uint8]  # (n,) where they work or learn, else where they live
    home_district: NDArray[np.uint8]  # (n,) a commuter's is the one that he comes through
    usual: dict[str, Words]  # (n,) the draw of their usual venue of each sort
    rides: Flags  # (n,) takes the line to work
    stations: tuple[Ints, Ints]  # (n,) near home, near work


def habits(seed: int, people: Population, places: Places, fixed_place: Ints) -> Habits:
    rng = chance(seed, Stream.HABITS)
    n = people.size
    home = people.district[people.household]
    district = np.where(fixed_place >= 0, places.district[np.maximum(fixed_place, 0)], home).astype(np.uint8)
    lines, hotels = places.sections["transit"], places.sections["hotel"]
    # One in thirty who live alone is a guest: a hotel is where they are met at night. A commuter never is.
    alone = np.diff(people.first)[people.household] == 1
    guest = alone & (words(rng, n) < share(1 / 30)) & (people.occupation != 4)
    room = hotels.first[home] + (words(rng, n).astype(np.int64) * hotels.count[home] >> 16)

    def station(d: NDArray[np.uint8], draw: Words) -> Ints:
        # Half of all ride at the first half of the stations' quarter: the square leans to the low numbers.
        u = draw.astype(np.int64)
        return (lines.first[d] + ((u * u >> 16) * lines.count[d] >> 16)).astype(np.int32)

    return Habits(
        np.where(guest, room, people.household).astype(np.int32),
        fixed_place,
        district,
        home,
        {sort: words(rng, n) for sort in ("food", "shop", "leisure")},
        words(rng, n) < share(0.75),
        (station(home, words(rng, n)), station(district, words(rng, n))),
    )


def plan(
    seed: int,
    day: int,
    chunk: int,
    *,
    weekday: int,
    people: Population,
    places: Places,
    custom: Habits,
    returned: Ints,
    errand: Ints,
) -> tuple[Visits, Ints, Ints]:
    """The visits that begin with the way out of the home on `day`, without anything that keeps people at home.

    `returned`: when each came home last (seconds since the first midnight of the run). `errand`: the place of a
    clinic or pharmacy that this person goes to today, else -1. Gives the visits, when each left home, and when each
    came back; somebody who came back is at home until he leaves on the next day.
    """
    low, high = chunk * CHUNK, min(people.size, (chunk + 1) * CHUNK)
    m = high - low
    rng = chance(seed, Stream.PLAN, day, chunk)
    me = slice(low, high)
    role, home = people.role[me], custom.home[me]
    weekend, party = weekday >= 5, weekday in (4, 5)
    night = role == Role.NIGHT
    works = (
        (night | (role == Role.WORKER))
        if not weekend
        else (night | ((role == Role.WORKER) & (words(rng, m) < share(0.12))))
    )
    learns = (role == Role.PUPIL) if not weekend else np.zeros(m, dtype=bool)
    busy = works | learns
    out = ~busy & (role != Role.INFANT)
    retired = role == Role.RETIRED

    def chosen(p: float) -> Flags:
        flags: Flags = words(rng, m) < share(p)
        return flags

    def venue(sort: str, near: NDArray[np.uint8]) -> Ints:
        """A venue near, or now and then anywhere; half of the time the usual one."""
        anywhere = words(rng, m)
        d = np.where(anywhere < share(0.15), custom.district[me], near)
        d = np.where(anywhere >= share(0.92), rng.integers(0, atlas.INSIDE, m, dtype=np.uint8), d)
        draw = words(rng, m)
        draw = np.where(draw & 1 == 1, custom.usual[sort][me], draw)
        section = places.sections[sort]
        rank = np.empty(m, dtype=np.int32)
        for k in range(atlas.INSIDE):
            mine = np.flatnonzero(d == k)
            rank[mine] = places.ranks[sort][k][draw[mine]]
        return (section.first[d] + rank).astype(np.int32)

    def scanned() -> NDArray[np.uint8]:
        w = words(rng, m)
        source = np.full(m, SCAN, dtype=np.uint8)
        source[w < share(0.09)] = TELECOM
        source[w < share(0.04)] = DECLARED
        source[w < share(0.02)] = STATIC
        return source

    # When they leave home.
    u = words(rng, m)
    leave = between(u, 8 * HOUR, 11 * HOUR)
    leave = np.where(works, between(u, 6 * HOUR + 1800, 8 * HOUR + 2700), leave)
    leave = np.where(learns, between(u, 6 * HOUR + 2400, 7 * HOUR + 1800), leave)
    leave = np.where(retired, between(u, 6 * HOUR, 9 * HOUR), leave)
    leave = np.where(night, between(u, 19 * HOUR + 1800, 20 * HOUR + 1800), leave)
    leave = leave + (words(rng, m) & 63).astype(np.int32)
    before = returned[me] - day * DAY
    leave = np.maximum(leave, before + 1800).astype(np.int32)

    now = leave.copy()
    rows: list[tuple[Flags, Ints, Ints, Ints, NDArray[np.uint8]]] = []
    telecom = np.where(words(rng, m) < share(0.85), TELECOM, DECLARED).astype(np.uint8)
    rows.append((np.ones(m, dtype=bool), home, before, leave, telecom))
    moved = np.zeros(m, dtype=bool)

    def go(present: Flags, place: Ints, shortest: int, longest: int, source: NDArray[np.uint8] | int) -> None:
        nonlocal now, moved
        w = words(rng, m)
        enter = (now + between(w, 2 * MINUTE, 10 * MINUTE) + (w & 31)).astype(np.int32)
        stay = between(words(rng, m), shortest * 2, longest * 2) * (MINUTE // 2) + (w & 15).astype(np.int32)
        end = (enter + stay).astype(np.int32)
        how = np.full(m, source, dtype=np.uint8) if isinstance(source, int) else source
        rows.append((present, place, enter, end, how))
        now = np.where(present, end, now).astype(np.int32)
        moved |= present

    near, work = custom.home_district[me], custom.district[me]
    fixed = custom.fixed_place[me]
    at_work = np.where(chosen(0.6), SCAN, TELECOM).astype(np.uint8)
    park = (places.sections["grid"].first[0] + people.community[people.household[me]]).astype(np.int32)
    rides = (busy & custom.rides[me]) | (out & chosen(0.35))
    here, there = custom.stations[0][me], custom.stations[1][me]
    changes = chosen(0.45)

    w = words(rng, m)
    early = (works & (w < share(0.4))) | (retired & (w < share(0.7))) | (out & ~retired & (w < share(0.35)))
    go(early, np.where(chosen(0.5), venue("food", near), venue("shop", near)), 8, 25, scanned())
    go(rides, here, 10, 35, TAP)
    go(rides & changes, there, 8, 25, TAP)
    # The first half of the day: work, class, or a park, a venue, a market.
    goes = out & chosen(0.9)
    in_park = chosen(0.5)
    fun = np.where(in_park, park, venue("leisure", near)).astype(np.int32)
    fun_source = np.where(in_park, TELECOM, np.where(chosen(0.15), TICKET, scanned())).astype(np.uint8)
    morning = len(rows)
    go(busy | goes, np.where(busy, fixed, fun), 60, 150, np.where(busy, at_work, fun_source))
    rows[morning], now = _longer(rows[morning], busy, 95 * MINUTE, now)
    w = words(rng, m)
    go((works & (w < share(0.75))) | (out & (w < share(0.55))), venue("food", work), 20, 60, scanned())
    # The second half: work, class, or back home for a rest, or out.
    rests = retired | chosen(0.5)
    again = out & chosen(0.8)
    afternoon = len(rows)
    second = np.where(rests, home, venue("leisure", near))
    go(
        busy | again,
        np.where(busy, fixed, second),
        80,
        200,
        np.where(busy, at_work, np.where(rests, telecom, scanned())),
    )
    rows[afternoon], now = _longer(rows[afternoon], busy & ~learns, 100 * MINUTE, now)
    go(rides, there, 10, 35, TAP)
    go(rides & changes, here, 8, 25, TAP)

    errand_today = errand[me] >= 0
    w = words(rng, m)
    buys = (~night & (role != Role.INFANT) & (w < share(0.5))) | errand_today
    go(buys, np.where(errand_today, errand[me], venue("shop", near)).astype(np.int32), 10, 45, scanned())
    # An evening out, from home to home; on Fridays and Saturdays some stay past midnight.
    evening = ~night & (role != Role.INFANT) & (now < 20 * HOUR) & chosen(0.5 if weekend else 0.45)
    go(evening, home, 35, 70, telecom)
    late = evening & party & chosen(0.12)
    w = words(rng, m)
    goes_out = len(rows)
    go(evening, np.where(w & 1 == 1, venue("leisure", near), venue("food", near)), 40, 110, scanned())
    rows[goes_out], now = _longer(rows[goes_out], late, 170 * MINUTE, now)
    w = words(rng, m)
    back = np.where(moved, now + between(w, 2 * MINUTE, 12 * MINUTE), leave).astype(np.int32)

    present = np.stack([r[0] for r in rows], axis=1)
    person = np.nonzero(present)[0]

    def column(k: int) -> NDArray[np.int32]:
        return np.stack([r[k] for r in rows], axis=1).astype(np.int32)[present]

    visits = Visits(
        (person + low).astype(np.int32),
        column(1),
        column(2) + np.int32(day * DAY),
        column(3) + np.int32(day * DAY),
        np.stack([r[4] for r in rows], axis=1)[present],
    )
    return visits, leave + np.int32(day * DAY), back + np.int32(day * DAY)


def _longer(
    row: tuple[Flags, Ints, Ints, Ints, NDArray[np.uint8]], who: Flags, seconds: int, now: Ints
) -> tuple[tuple[Flags, Ints, Ints, Ints, NDArray[np.uint8]], Ints]:
    """The same stay, longer by so much for some; the clock goes with it."""
    present, place, enter, end, source = row
    more = np.where(who & present, np.int32(seconds), np.int32(0)).astype(np.int32)
    return (present, place, enter, (end + more).astype(np.int32), source), (now + more).astype(np.int32)


def absent(visits: Visits, since: Ints, until: Ints) -> Visits:
    """The visits without the stretch [since, until) of each person: cut where it begins or ends, dropped inside it.

    A visit that covers the whole stretch ends where it begins; a rest shorter than a minute is dropped.
    """
    start, end = since[visits.person], until[visits.person]
    touched = (start < visits.left) & (end > visits.entered)
    if not touched.any():
        return visits
    entered = np.where(touched & (start <= visits.entered), end, visits.entered)
    left = np.where(touched & (start > visits.entered), start, visits.left)
    keep = ~touched | (left - entered >= MINUTE)
    out = Visits(visits.person, visits.place, entered.astype(np.int32), left.astype(np.int32), visits.source)
    return out.where(keep)

"""The city's days, one after the other: what happens, and what of it is reported on which day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa

from kangma.city import atlas
from kangma.city.atlas import DAY, HOUR, Ints, Stream, between, chance, words
from kangma.city.columns import moments
from kangma.city.documents import Outbox
from kangma.city.epidemic import Epidemic
from kangma.city.map import PLACE_KINDS, Communities, Community, Places, build, found_communities
from kangma.city.people import PAPERS, Population, names, phones, settle
from kangma.city.plan import CHUNK, SOURCES, Habits, Visits, absent, habits, plan
from kangma.city.response import Response
from kangma.city.travel import Travel, doses, journeys, occupations, register
from kangma.terms import Moment, calendar, day_number, zone


def make_city(
    residents: int,
    days: int,
    seed: int,
    *,
    start: date = date(2022, 4, 15),
    communities: Sequence[Community | tuple[str, str, str, str]] = (),
    infected: int | None = None,
    contagion: float = 1.0,
) -> City:
    """A city of so many residents over so many days; the same arguments make the same city on every machine.

    `communities`: areas that must exist, as (area_id, name, district, county). Inside the city they have homes, shops
    and visitors; elsewhere travellers have stayed there. `infected`: how many bring the infection in (default one in
    10,000, at least 3); 0 makes a city without an epidemic. `contagion` multiplies every chance of transmission.
    """
    if residents < 100 or days < 1 or seed < 0:
        raise ValueError("a city has at least 100 residents, a day, and a seed of 0 or more")
    named = [c if isinstance(c, Community) else Community(*c) for c in communities]
    wanted = list({c.area_id: c for c in reversed(named)}.values())[::-1]  # the first of each
    return City(residents, days, seed, start=start, wanted=wanted, infected=infected, contagion=contagion)


class City:
    """Days are numbered from 0. Asking for a day runs the city up to it; earlier days are made again as they were."""

    def __init__(
        self, residents: int, days: int, seed: int, *, start: date, wanted: list[Community], infected: int | None,
        contagion: float,
    ) -> None:  # fmt: skip
        self.residents, self.days, self.seed, self.start = residents, days, seed, start
        self.start_day = day_number(start)
        self.zone = zone(atlas.TIME_ZONE)
        self.zero: Moment = self.zone.midnight(self.start_day)
        self.communities: Communities = found_communities(residents, seed, wanted)
        here = self.communities
        self.people: Population = settle(
            residents, seed, self.start_day, (here.first, here.count), here.named
        )
        self.places: Places
        self.places, fixed_place = build(seed, self.people, here)
        self.habits: Habits = habits(seed, self.people, self.places, fixed_place)
        self.outbox = Outbox(days, self.zero, self.people)
        inside = {d.name for d in atlas.DISTRICTS[: atlas.INSIDE]}
        outside = [c for c in wanted if c.district not in inside]
        self.travel: Travel = journeys(
            seed, days, self.start_day, people=self.people, outbox=self.outbox, wanted=outside
        )
        register(self.people, names(seed, self.people), phones(self.people), self.outbox)
        doses(seed, days, self.start_day, self.people, self.outbox)
        occupations(self.people, self.outbox)
        self.epidemic = Epidemic(residents, seed, contagion)
        self._seed_infections(max(3, residents // 10_000) if infected is None else infected)
        self.response = Response(
            seed, days, people=self.people, places=self.places, communities=here, epidemic=self.epidemic,
            travel=self.travel, outbox=self.outbox,
        )  # fmt: skip
        evening = chance(seed, Stream.PLAN)
        back = between(words(evening, residents), -6 * HOUR, -3 * HOUR)
        self.response.backs.append(back)
        self._errands: list[tuple[Ints, Ints]] = []  # of each day: who, where to
        self._late: list[list[Visits]] = []  # of each day: the visits that end after it
        self._last: tuple[int, list[Visits]] = (-1, [])
        self._types = pa.array(PAPERS)

    def _seed_infections(self, count: int) -> None:
        rng = chance(self.seed, Stream.SEEDS)
        free = np.flatnonzero((self.travel.away.since > self.days * DAY) & (self.people.role > 0))
        who = np.sort(rng.permutation(free)[:count]).astype(np.int32)
        at = between(words(rng, len(who)), -96, -12) * HOUR
        none = np.full(len(who), -1, dtype=np.int32)
        self.epidemic.infect(who, at.astype(np.int32), -1, infector=none, place=none, met=(at, at))

    # The days

    @property
    def ran(self) -> int:
        """Days that have run."""
        return len(self.response.nights)

    def run_to(self, day: int) -> None:
        """Runs the city to the end of a day."""
        if not 0 <= day < self.days:
            raise ValueError(f"day {day} of {self.days}")
        while self.ran <= day:
            self._run_day(self.ran)

    def _run_day(self, day: int) -> None:
        response, begin, end = self.response, day * DAY, (day + 1) * DAY
        response.morning(day)
        response.swab(day)
        errand = response.errands(day)
        who = np.flatnonzero(errand >= 0).astype(np.int32)
        self._errands.append((who, errand[who]))
        if day:
            # Who worked through midnight may have been fetched this morning.
            self._late[day - 1] = [self._present(v) for v in self._late[day - 1]]
        city, left, back = self._plan(day)
        response.nights.append(left)
        response.backs.append(back)
        response.attended(day, city, errand)
        # What of the visits lies in this day; the night before belongs to the morning on which it ends.
        before = [v.within(begin, end) for v in (self._late[day - 1] if day else [])]
        response.met(self.epidemic.spread(day, [*before, *(v.within(-DAY, end) for v in city)], self.places))
        response.evening(day)
        self._late.append([late for late in (v.where(v.left > end) for v in city) if len(late)])
        if day == 0:
            self._file_places()
        self._file_commuters(day, left)
        self._last = (day, city)

    def _plan(self, day: int) -> tuple[list[Visits], Ints, Ints]:
        """All visits of a day as they are after journeys and isolation, by stretches of residents."""
        chunks = range((self.residents + CHUNK - 1) // CHUNK)
        weekday = calendar(self.start_day + day).weekday()
        errand = np.full(self.residents, -1, dtype=np.int32)
        who, where = self._errands[day]
        errand[who] = where
        one = partial(
            self._plan_chunk, day, weekday=weekday, returned=self.response.backs[day], errand=errand
        )
        with ThreadPoolExecutor(2) as pool:
            parts = list(pool.map(one, chunks))
        left = np.concatenate([p[1] for p in parts])
        back = np.concatenate([p[2] for p in parts])
        return [p[0] for p in parts], left, back

    def _plan_chunk(
        self, day: int, chunk: int, *, weekday: int, returned: Ints, errand: Ints
    ) -> tuple[Visits, Ints, Ints]:
        visits, left, back = plan(
            self.seed,
            day,
            chunk,
            weekday=weekday,
            people=self.people,
            places=self.places,
            custom=self.habits,
            returned=returned,
            errand=errand,
        )
        return self._present(visits), left, back

    def _present(self, visits: Visits) -> Visits:
        for absence in self.travel.absences:
            visits = absent(visits, absence.since, absence.until)
        return visits

    def visits(self, day: int) -> list[Visits]:
        """What is reported on a day: the visits that ended on it, by stretches of residents, ordered by person.

        With them come nights that were cut short on the evening before, when somebody left or was fetched.
        """
        self.run_to(day)
        city = self._last[1] if self._last[0] == day else self._plan(day)[0]
        end = (day + 1) * DAY
        return [*(self._late[day - 1] if day else []), *(v.where(v.left <= end) for v in city)]

    def unfinished(self) -> list[Visits]:
        """The visits that began in the run and end after it: true, but never reported."""
        self.run_to(self.days - 1)
        return self._late[-1]

    def visit_tables(self, day: int) -> Iterator[pa.Table]:
        """The same as tables of the outer form, each with its own short dictionaries."""
        for visits in self.visits(day):
            yield self._visit_table(visits)

    def _visit_table(self, visits: Visits) -> pa.Table:
        person, who = _dictionary(visits.person, self.residents)
        place, where = _dictionary(visits.place, self.places.size)
        numbers = self.people.id_number.take(pa.array(who))
        types = pa.array(self.people.paper[visits.person].astype(np.int8))
        return pa.table(
            {
                "id_type": pa.DictionaryArray.from_arrays(types, self._types),
                "id_number": pa.DictionaryArray.from_arrays(pa.array(person), numbers),
                "place_id": pa.DictionaryArray.from_arrays(
                    pa.array(place), self.places.id.take(pa.array(where))
                ),
                "entered_at": moments(visits.entered, self.zero),
                "left_at": moments(visits.left, self.zero),
                "source": pa.DictionaryArray.from_arrays(
                    pa.array(visits.source.astype(np.int8)), pa.array(SOURCES)
                ),
            }
        )

    def arrivals(self, day: int) -> dict[str, pa.Table]:
        """All that is newly reported on a day, by kind: also newer versions of documents that came before."""
        self.run_to(day)
        tables = self.outbox.take(day)
        tables["visits"] = pa.concat_tables(list(self.visit_tables(day)))
        return tables

    def documents(self, day: int) -> dict[str, pa.Table]:
        """`arrivals` without the visits."""
        self.run_to(day)
        return self.outbox.take(day)

    def truth(self) -> pa.Table:
        """Who infected whom, where and when. Not evidence: for tests of tracing. Runs the city to its end."""
        self.run_to(self.days - 1)
        types = self._types.take(pa.array(self.people.paper))
        return self.epidemic.truth(self.places, (types, self.people.id_number), self.zero)

    # Papers that follow from the days

    def _file_places(self) -> None:
        places = self.places
        areas = pa.array([c.area_id for c in self.communities.texts])
        self.outbox.put_columns(
            "places",
            0,
            {
                "document_id": places.id,
                "place_id": places.id,
                "name": places.name,
                "kind": pa.array(PLACE_KINDS).take(pa.array(places.kind)),
                "lat": places.lat,
                "lon": places.lon,
                "district": pa.array([d.name for d in atlas.DISTRICTS]).take(pa.array(places.district)),
                "area_id": areas.take(pa.array(places.community, mask=places.community < 0)),
            },
        )

    def _file_commuters(self, day: int, left: Ints) -> None:
        """A commuter crosses the city's border a minute after the door of his home."""
        who = np.flatnonzero((self.people.occupation == 4) & (left // DAY == day)).astype(np.int32)
        at = left[who] + 60
        here = ~self.travel.gone(who, at)
        who, at = who[here], at[here]
        for person, moment in zip(who.tolist(), at.tolist(), strict=True):
            self.outbox.put(
                "city_entries", moment, document_id=f"commute-{day}-{person}", person=person, at=moment,
                from_county=atlas.DISTRICTS[atlas.OUTSIDE].name, means="car",
            )  # fmt: skip


def _dictionary(values: Ints, size: int) -> tuple[Ints, Ints]:
    """Positions in the ascending list of the values that occur, and that list."""
    seen = np.zeros(size, dtype=bool)
    seen[values] = True
    position = (np.cumsum(seen, dtype=np.int32) - 1).astype(np.int32)
    return position[values], np.flatnonzero(seen).astype(np.int32)

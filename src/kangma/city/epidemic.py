"""The epidemic as it truly runs, along real meetings; what the city finds out of it is in response.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kangma.city.atlas import DAY, HOUR, MINUTE, NEVER, Flags, Ints, Stream, between, chance, share, words
from kangma.city.columns import MOMENT, moments
from kangma.city.map import PLACE_KINDS, Places
from kangma.city.plan import Visits

# Chance of transmission for each minute together, in millionths, by kind of place (order of PLACE_KINDS), and the
# visits a day up to which everybody is near everybody there: in a larger crowd the chance is thinner by as much. Ours:
# chosen so that a person infects one in three of the household and two to three people in all if nothing is done.
MILLIONTHS = np.array([300, 50, 35, 220, 0, 90, 60, 60], dtype=np.float64)
CROWD = np.array([1_000, 24, 40, 150, 150, 300, 150, 150], dtype=np.float64)
SHORTEST = 10 * MINUTE  # a meeting: the same that tracing calls one
NAMED_KINDS = (
    3  # home, work, school: the first three kinds; there people know each other and tracers get names
)


@dataclass(frozen=True)
class Meetings:
    """Who was together with somebody infectious, at home, at work or in class: one row a pair and day, the last one."""

    infectious: Ints
    other: Ints
    until: Ints  # the end of their last meeting
    kind: NDArray[np.uint8]


class Epidemic:
    """Per resident: when infected, infectious, with symptoms, detectable; times in seconds since the first midnight."""

    def __init__(self, residents: int, seed: int, contagion: float) -> None:
        self.seed, self.contagion = seed, contagion
        self.infected_at = np.full(residents, NEVER, dtype=np.int32)
        self.infectious_from = np.full(residents, NEVER, dtype=np.int32)
        self.infectious_to = np.full(residents, NEVER, dtype=np.int32)
        self.onset = np.full(residents, NEVER, dtype=np.int32)
        self.detectable_from = np.full(residents, NEVER, dtype=np.int32)
        self.detectable_to = np.full(residents, NEVER, dtype=np.int32)
        self.force = np.zeros(residents, dtype=np.float64)
        self._truth: list[tuple[Ints, ...]] = []  # infected, infector, place, at, met_from, met_to

    def infect(
        self, who: Ints, at: Ints, day: int, *, infector: Ints, place: Ints, met: tuple[Ints, Ints]
    ) -> None:
        rng = chance(self.seed, Stream.INFECTION, day + 1_000, 1)
        n = len(who)
        self.infected_at[who] = at
        begins = at + between(words(rng, n), 36, 84) * HOUR
        onset = begins + between(words(rng, n), 24, 60) * HOUR
        self.infectious_from[who], self.infectious_to[who] = (
            begins,
            onset + between(words(rng, n), 100, 170) * HOUR,
        )
        self.onset[who] = np.where(words(rng, n) < share(0.65), onset, NEVER)
        self.detectable_from[who], self.detectable_to[who] = begins - 12 * HOUR, onset + 12 * DAY
        self.force[who] = 0.4 + 1.2 * words(rng, n) / 65_536.0
        self._truth.append((who, infector, place, at, *met))

    def positive(self, who: Ints, at: Ints) -> Flags:
        """Whether a swab of each taken then can show it."""
        shows: Flags = (self.detectable_from[who] <= at) & (at < self.detectable_to[who])
        return shows

    def spread(self, day: int, city: list[Visits], places: Places) -> Meetings:
        """One day of transmission: every infection is a meeting of at least ten minutes in these visits."""
        begin, end = day * DAY, (day + 1) * DAY
        active = (self.infectious_from < end) & (self.infectious_to > begin)
        none = np.zeros(0, dtype=np.int32)
        if not active.any():
            return Meetings(none, none, none, np.zeros(0, dtype=np.uint8))
        hot = _joined([v.where(active[v.person]) for v in city])
        entered = np.maximum(hot.entered, self.infectious_from[hot.person])
        left = np.minimum(hot.left, self.infectious_to[hot.person])
        hot = Visits(hot.person, hot.place, entered, left, hot.source).where(left - entered >= SHORTEST)
        hot = hot.where(np.argsort(hot.place, kind="stable"))
        is_hot = np.zeros(places.size, dtype=bool)
        is_hot[hot.place] = True
        millionths = MILLIONTHS * self.contagion / (1e6 * MINUTE)

        crowd = np.zeros(places.size, dtype=np.int64)
        for visits in city:
            crowd += np.bincount(visits.place, minlength=places.size)
        thin = np.minimum(1.0, CROWD[places.kind] / np.maximum(crowd, 1))

        rng = chance(self.seed, Stream.INFECTION, day)
        caught, met = [], []
        for visits in city:
            near = visits.where(is_hot[visits.place])
            low = np.searchsorted(hot.place, near.place, "left")
            reps = np.searchsorted(hot.place, near.place, "right") - low
            mine = np.repeat(np.arange(len(near)), reps)
            theirs = np.arange(len(mine)) - np.repeat(np.cumsum(reps) - reps, reps) + np.repeat(low, reps)
            since = np.maximum(near.entered[mine], hot.entered[theirs])
            until = np.minimum(near.left[mine], hot.left[theirs])
            real = (until - since >= SHORTEST) & (near.person[mine] != hot.person[theirs])
            mine, theirs, since, until = mine[real], theirs[real], since[real], until[real]
            person, spreader, place = near.person[mine], hot.person[theirs], near.place[mine]
            kind = places.kind[place]
            known = kind < NAMED_KINDS
            met.append((spreader[known], person[known], until[known], kind[known]))
            risk = np.minimum(0.6, (until - since) * millionths[kind] * thin[place] * self.force[spreader])
            draw = rng.random(len(person))
            hit = (draw < risk) & (self.infected_at[person] == NEVER)
            # The draw itself, given that it hit, is uniform again: it says when in the meeting.
            share_of = np.minimum(draw / np.maximum(risk, 1e-12), 1.0)
            moment = since + SHORTEST + (share_of * (until - since - SHORTEST)).astype(np.int32)
            caught.append(tuple(a[hit] for a in (person, spreader, place, moment, since, until)))
        person, spreader, place, moment, since, until = (
            np.concatenate([c[k] for c in caught]).astype(np.int32) for k in range(6)
        )
        order = np.lexsort((spreader, moment, person))
        first = order[np.r_[True, person[order][1:] != person[order][:-1]]] if len(order) else order
        if len(first):
            self.infect(
                person[first],
                moment[first],
                day,
                infector=spreader[first],
                place=place[first],
                met=(since[first], until[first]),
            )
        return _last(met)

    def truth(self, places: Places, people_ids: tuple[pa.Array, pa.Array], zero: int) -> pa.Table:
        """Who infected whom, where and when, by time; without an infector where it came from outside."""
        columns = [np.concatenate([t[k] for t in self._truth]) for k in range(6)]
        order = np.lexsort((columns[0], columns[3]))
        who, infector, place, at, since, until = (c[order] for c in columns)
        types, numbers = people_ids

        def person(index: Ints) -> tuple[pa.Array, pa.Array]:
            at_index = pa.array(index, mask=index < 0)
            return types.take(at_index), numbers.take(at_index)

        infected, by = person(who), person(infector)
        where = pa.array(place, mask=place < 0)
        kinds = pa.array(PLACE_KINDS).take(pa.array(places.kind[np.maximum(place, 0)], mask=place < 0))
        missing = place < 0
        return pa.table(
            {
                "id_type": infected[0],
                "id_number": infected[1],
                "infector_id_type": by[0],
                "infector_id_number": by[1],
                "place_id": places.id.take(where),
                "place_kind": kinds,
                "infected_at": moments(at, zero),
                "met_from": moments(since, zero, missing).cast(MOMENT),
                "met_to": moments(until, zero, missing).cast(MOMENT),
                "onset_at": moments(self.onset[who], zero, self.onset[who] == NEVER),
                "infectious_from": moments(self.infectious_from[who], zero),
                "infectious_to": moments(self.infectious_to[who], zero),
                "person": pa.array(who),
                "infector": pa.array(infector, mask=infector < 0),
            }
        )


def _joined(parts: list[Visits]) -> Visits:
    return Visits(
        np.concatenate([p.person for p in parts]),
        np.concatenate([p.place for p in parts]),
        np.concatenate([p.entered for p in parts]),
        np.concatenate([p.left for p in parts]),
        np.concatenate([p.source for p in parts]),
    )


def _last(met: Sequence[tuple[NDArray[Any], ...]]) -> Meetings:
    """The last meeting of each pair."""
    spreader, other, until, kind = (np.concatenate([m[k] for m in met]) for k in range(4))
    order = np.lexsort((-until, other, spreader))
    a, b = spreader[order], other[order]
    first = order[np.r_[True, (a[1:] != a[:-1]) | (b[1:] != b[:-1])]] if len(order) else order
    return Meetings(spreader[first], other[first], until[first], kind[first].astype(np.uint8))

"""Who is away and when, with the papers of it: trips to other places, arrivals from abroad, doses, occupations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kangma.city import atlas
from kangma.city.atlas import DAY, HOUR, NEVER, Flags, Ints, Stream, between, chance, pick, share, words
from kangma.city.columns import chosen, serials
from kangma.city.documents import Outbox
from kangma.city.map import Community
from kangma.city.people import Population, Role


@dataclass(frozen=True)
class Absence:
    """One stretch for each resident, (n,) seconds since the first midnight; NEVER where there is none."""

    since: Ints
    until: Ints

    @classmethod
    def none(cls, residents: int) -> Absence:
        never = np.full(residents, NEVER, dtype=np.int32)
        return cls(never, never.copy())


@dataclass
class Travel:
    """When people are nowhere to be met: away (the first absence), or in isolation.

    A person isolated again after a time of freedom has a stretch in the next absence: what was planned for a day that
    has passed must come out the same again.
    """

    absences: list[Absence]
    due: dict[int, list[int]] = field(
        default_factory=dict
    )  # day → who goes for a test because of coming back

    @property
    def away(self) -> Absence:
        return self.absences[0]

    def gone(self, who: NDArray[Any], at: NDArray[Any] | int) -> Flags:
        """Away or isolated at that moment."""
        out = np.zeros(len(who), dtype=bool)
        for absence in self.absences:
            out |= (absence.since[who] <= at) & (at < absence.until[who])
        return out

    def isolate(self, person: int, since: int, until: int) -> None:
        """From then on gone until then; joined with a stretch that is not over at `since`."""
        for absence in self.absences[1:]:
            if absence.since[person] == NEVER or absence.until[person] >= since:
                absence.since[person] = min(int(absence.since[person]), since)
                absence.until[person] = until
                return
        self.absences.append(Absence.none(len(self.away.since)))
        self.isolate(person, since, until)

    def release(self, person: int, at: int) -> None:
        """The isolation that runs at that moment ends."""
        for absence in self.absences[1:]:
            if absence.since[person] <= at < absence.until[person]:
                absence.until[person] = at


def journeys(
    seed: int, days: int, start_day: int, *, people: Population, outbox: Outbox, wanted: list[Community]
) -> Travel:
    """One trip at most for each; one in 25 goes somewhere in these weeks, one in 600 comes from abroad.

    `wanted` are communities outside the city: each gets at least three visitors.
    """
    rng = chance(seed, Stream.TRAVEL)
    n = people.size
    travel = Travel([Absence.none(n), Absence.none(n)])
    counties = [*((c, border, since, until) for c, border, since, until, _, _ in atlas.COUNTIES)]
    for k, (county, border, since, until) in enumerate(counties):
        row = {"document_id": f"county-{k}", "county": county, "land_border": border}
        row["local_infections_from"] = since * DAY + 9 * HOUR
        outbox.put("counties", since * DAY + 9 * HOUR, **row)
        if until is not None:
            ends = until * DAY + 9 * HOUR
            outbox.put("counties", ends, **row, local_infections_to=ends, document_version=1)
    for k, (county, _, since, _, area, level) in enumerate(atlas.COUNTIES):
        if area:
            _, district, *_, name = area.split("/")
            outbox.put(
                "areas", (since + 1) * DAY + 16 * HOUR, document_id=f"area-outside-{k}", area_id=area, name=name,
                district=district, county=county, level=level, from_at=(since + 1) * DAY + 16 * HOUR,
            )  # fmt: skip

    free = np.flatnonzero((people.role != Role.INFANT) & (people.occupation != 4))
    trips = min(len(free), max(n // 25, 3 * len(wanted), 12))
    travellers = rng.permutation(free)[:trips]
    where = pick(words(rng, trips), tuple([3] * len(counties) + [12] * len(atlas.CLEAN)))
    # Communities that were asked for come first, three visitors each, during the run as well as before it.
    departs = between(words(rng, trips), -12 * 24, days * 24) * HOUR + between(words(rng, trips), 0, HOUR)
    returns = departs + between(words(rng, trips), 20, 130) * HOUR
    means = pick(words(rng, trips), (5, 2, 3, 1))
    source = pick(words(rng, trips), (7, 2, 1))
    tests, cleared = words(rng, trips) < share(0.8), words(rng, trips) < share(0.3)
    wait = between(words(rng, trips), 24, 60)
    local_names = [c for c, *_ in atlas.COUNTIES] + list(atlas.CLEAN)
    for k in range(trips):
        person, leaves, comes, to = int(travellers[k]), int(departs[k]), int(returns[k]), int(where[k])
        county, area = local_names[to], ""
        if k < 3 * len(wanted):
            county, area = wanted[k // 3].county, wanted[k // 3].area_id
        elif to < len(counties) and k % 3 == 0:
            area = atlas.COUNTIES[to][4]
        travel.away.since[person], travel.away.until[person] = leaves, comes
        how = ("telecom", "ticket", "declared")[int(source[k])]
        stays: list[dict[str, Any]] = [
            {"county": county, "entered_at": leaves + 2 * HOUR, "left_at": comes - HOUR}
        ]
        if area:
            stays.append({"area_id": area, "entered_at": leaves + 5 * HOUR, "left_at": comes - 4 * HOUR})
        for part, stay in enumerate(stays):
            ident = f"stay-{k}-{part}"
            # Known on the next morning while it goes on, and again when it is over.
            known = (stay["entered_at"] // DAY + 1) * DAY + 3 * HOUR
            if known < stay["left_at"]:
                row = {**stay, "left_at": None}
                outbox.put("area_stays", known, document_id=ident, person=person, source=how, **row)
            outbox.put(
                "area_stays", stay["left_at"] + HOUR, document_id=ident, document_version=1, person=person,
                source=how, **stay,
            )  # fmt: skip
        entry = comes - 1800
        outbox.put(
            "city_entries", entry, document_id=f"entry-{k}", person=person, at=entry, from_county=county,
            means=atlas.MEANS[int(means[k])],
        )  # fmt: skip
        if tests[k]:
            travel.due.setdefault((comes + int(wait[k]) * HOUR) // DAY, []).append(person)
        if cleared[k] and to < len(counties):
            found = comes + (6 + k % 24) * HOUR
            outbox.put(
                "clearances", found, document_id=f"clearance-{k}", person=person, rule="A-P1",
                finding=("no_link", "registered")[k % 2], officer=f"社区样本{k % 40}", second_officer=f"疾控样本{k % 17}",
                at=found, reason="synthetic",
            )  # fmt: skip

    pool = np.setdiff1d(free, travellers, assume_unique=True)
    _abroad(rng, days, start_day, people=people, outbox=outbox, away=travel.away, pool=pool)
    return travel


def _abroad(
    rng: np.random.Generator,
    days: int,
    start_day: int,
    *,
    people: Population,
    outbox: Outbox,
    away: Absence,
    pool: Ints,
) -> None:
    """Arrivals from abroad: before that day they are not in the city; then ten days in a hotel, seven at home."""
    count = max(6, people.size // 600)
    foreign = pool[np.isin(people.paper[pool], (1, 5))]
    local = pool[~np.isin(people.paper[pool], (1, 5))]
    who = np.concatenate(
        [rng.permutation(foreign)[: count // 2], rng.permutation(local)[: count - count // 2]]
    )
    entered = between(words(rng, len(who)), -16, days)
    country = words(rng, len(who)).astype(np.int64) * len(atlas.FOREIGN) >> 16
    port = pick(words(rng, len(who)), (6, 2, 1, 1))
    for k, person in enumerate(who.tolist()):
        day = int(entered[k])
        lands, ends = day * DAY + 11 * HOUR, (day + 11) * DAY
        name, city = atlas.PORTS[int(port[k])]
        ident = f"abroad-{k}"
        outbox.put(
            "entries", lands, document_id=ident, person=person, country=atlas.FOREIGN[int(country[k])], port=name,
            port_city=city, entered_on=start_day + day,
        )  # fmt: skip
        stay = {
            "document_id": f"isolation-{ident}",
            "person": person,
            "kind": "central",
            "site": f"{city}样本隔离点",
        }
        outbox.put("isolations", lands + HOUR, **stay, from_at=lands + HOUR)
        outbox.put("isolations", ends, **stay, from_at=lands + HOUR, to_at=ends, document_version=1)
        away.since[person], away.until[person] = -40 * DAY, ends
        if city != atlas.CITY:
            arrives = ends - 1800
            outbox.put(
                "city_entries", arrives, document_id=f"entry-{ident}", person=person, at=arrives, from_county=city,
                means="plane",
            )  # fmt: skip


def doses(seed: int, days: int, start_day: int, people: Population, outbox: Outbox) -> None:
    """Vaccinations of the fifteen months before, and one in two thousand a day during the run."""
    rng = chance(seed, Stream.DOSES)
    n = people.size
    had = pick(words(rng, n), (8, 2, 27, 63)).astype(np.int32)
    had[people.age < 12] = np.minimum(had[people.age < 12], 2)
    had[people.age < 3] = 0
    product = pick(words(rng, n), (5, 4, 2, 1))
    base = between(words(rng, n), 330, 450)
    gap = between(words(rng, n), 21, 45)
    booster = between(words(rng, n), 20, 150)

    def give(day: int, who: Ints, dose: Ints, given: Ints) -> None:
        number = who.astype(np.int64) * 10 + dose
        outbox.put_columns(
            "vaccinations",
            day,
            {
                "document_id": serials("dose-", number, 9),
                "person": who.astype(np.int32),
                "product": chosen(product[who], atlas.PRODUCTS),
                "dose": dose.astype(np.int64),
                "given_on": given.astype(np.int32),
                "batch": serials("B", (given - start_day + 500) * 10 + product[who], 6),
                "site": chosen(
                    people.district[people.household[who]], [f"{d.name}样本接种点" for d in atlas.DISTRICTS]
                ),
            },
        )

    everybody = np.arange(n, dtype=np.int32)
    for dose, ago in ((1, base), (2, base - gap), (3, booster)):
        who = everybody[had >= dose]
        give(0, who, np.full(len(who), dose, dtype=np.int32), start_day - ago[who])
    for day in range(days):
        who = np.flatnonzero((words(rng, n) < share(0.0005)) & (had < 3) & (people.age >= 3)).astype(np.int32)
        had[who] += 1
        give(day, who, had[who], np.full(len(who), start_day + day, dtype=np.int32))


def occupations(people: Population, outbox: Outbox) -> None:
    """The lists of employers, a month old; one in fifty has left the job since."""
    who = np.flatnonzero(people.occupation).astype(np.int32)
    kind = people.occupation[who]
    left = np.where(who % 50 == 0, -3 * DAY, NEVER).astype(np.int32)
    outbox.put_columns(
        "occupations",
        0,
        {
            "document_id": serials("job-", who.astype(np.int64), 8),
            "person": who,
            "occupation": chosen(kind, atlas.OCCUPATIONS),
            "every_days": np.array(atlas.EVERY_DAYS, dtype=np.int64)[kind],
            "from_at": np.full(len(who), -30 * DAY, dtype=np.int32),
            "to_at": left,
        },
    )


def register(people: Population, names: pa.Array, phones: pa.Array, outbox: Outbox) -> None:
    """The population register: everybody, with district, and the first adult of the home as a child's guardian."""
    n = people.size
    home = people.household
    guardian = np.where(people.age < 16, people.first[home], -1).astype(np.int32)
    nationality = np.full(n, "CHN", dtype=object)
    foreign = np.flatnonzero((people.paper == 1) | (people.paper == 4))
    nationality[foreign] = np.array(atlas.FOREIGN, dtype=object)[foreign % len(atlas.FOREIGN)]
    district = np.where(people.occupation == 4, atlas.OUTSIDE, people.district[home])
    outbox.put_columns(
        "people",
        0,
        {
            "document_id": serials("person-", np.arange(n, dtype=np.int64), 8),
            "person": np.arange(n, dtype=np.int32),
            "name": names,
            "birth_date": people.birth,
            "nationality": pa.array(nationality, type=pa.string()),
            "phone": phones,
            "district": chosen(district, [d.name for d in atlas.DISTRICTS]),
            "guardian": guardian,
        },
    )

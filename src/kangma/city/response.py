"""What the city does about the epidemic, from what it can know: samples, results, cases, contacts, areas, rounds.

Everything is an event at a moment; an event of a day may only look at visits of the days before it.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import pyarrow as pa

from kangma.city import atlas
from kangma.city.atlas import DAY, HOUR, MINUTE, NEVER, Flags, Ints, Stream, between, chance, share, words
from kangma.city.columns import chosen, serials
from kangma.city.documents import Outbox
from kangma.city.epidemic import Epidemic, Meetings
from kangma.city.map import HOME, HOSPITAL, SHOP_EVERY, Communities, Places
from kangma.city.people import Population, Role
from kangma.city.plan import Visits
from kangma.city.travel import Travel

WINDOW = 14  # days over which an area's cases are counted (policy 7.A: 6 and more high, 2 to 5 medium)
TUBE = 10  # swabs in a pool


class Response:
    def __init__(
        self, seed: int, days: int, *, people: Population, places: Places, communities: Communities,
        epidemic: Epidemic, travel: Travel, outbox: Outbox,
    ) -> None:  # fmt: skip
        self.days, self.people, self.places, self.communities = days, people, places, communities
        self.epidemic, self.travel, self.outbox = epidemic, travel, outbox
        self.seed, self.rng = seed, chance(seed, Stream.CLINIC)
        self._events: list[tuple[int, int, str, tuple[Any, ...]]] = []
        self._order = 0
        self._specimens = 0
        self._tubes = 0
        self.case_of: dict[int, int] = {}  # person → number of the case
        self.cases: list[dict[str, Any]] = []
        # Infectious person → whom they met last when, and at what kind of place.
        self._met: dict[int, dict[int, tuple[int, int]]] = {}
        self._isolation: dict[int, dict[str, Any]] = {}  # person → their document without an end
        self._contact: set[int] = set()
        self._named = 0
        self._levels: dict[int, tuple[str, dict[str, Any]]] = {}  # community → level, the document in force
        self._rounds: dict[int, list[tuple[int, int]]] = {}  # district → (opened, closed) of its three rounds
        self._due: dict[int, list[int]] = travel.due
        self.seeks_care: dict[int, list[int]] = {}
        self.nights: list[Ints] = []  # per day: when each left home
        self.backs: list[Ints] = []  # per day, from the day before the run on: when each came home
        rng = chance(seed, Stream.SAMPLING)
        every = np.array([0, 7, 3, 2, 1], dtype=np.uint8)[
            atlas.pick(words(rng, people.size), (40, 25, 20, 10, 5))
        ]
        scheduled = (people.occupation > 0) & (words(rng, people.size) < share(0.85))
        self.every = np.where(scheduled, np.array(atlas.EVERY_DAYS, dtype=np.uint8)[people.occupation], every)
        self.every[people.role == Role.INFANT] = 0
        self.phase = (words(rng, people.size) & 31).astype(np.int32)
        self.refuses = words(rng, people.size) < share(0.02)

    def chance_of(self, p: float) -> bool:
        return float(self.rng.random()) < p

    def between(self, low: int, high: int) -> int:
        return low + int(self.rng.random() * (high - low))

    def at(self, moment: int, what: str, *about: Any) -> None:
        self._order += 1
        heapq.heappush(self._events, (moment, self._order, what, about))

    def morning(self, day: int) -> None:
        """All events of a day. They come first: what they isolate is not out on that day."""
        onset = self.epidemic.onset
        for person in np.flatnonzero((onset >= (day - 1) * DAY) & (onset < day * DAY)).tolist():
            if self.chance_of(0.6):
                self.seeks_care.setdefault(day + int(self.chance_of(0.4)), []).append(person)
        while self._events and self._events[0][0] < (day + 1) * DAY:
            moment, _, what, about = heapq.heappop(self._events)
            getattr(self, f"_{what}")(moment, *about)

    # Samples and results

    def _sample(self, at: int, person: int, again: bool, sampled: int | None = None) -> None:
        """One swab in one tube. A first positive is sampled again; a second one is a case.

        Taken at that moment, or at an earlier one and carried to the laboratory at that moment.
        """
        if person in self.case_of:
            return
        taken = at if sampled is None else sampled
        swab = np.array([person]), np.array([taken])
        positive = bool(self.epidemic.positive(*swab)[0]) and self.chance_of(0.97)
        mistaken = again and not positive and self.chance_of(0.004)
        reported = at + self.between(4 * HOUR, 7 * HOUR)
        result = "positive" if positive or mistaken else "negative"
        self._specimens += 1
        ident = f"S{self._specimens:010d}"
        self.outbox.put(
            "tests", reported, document_id=ident, specimen_id=ident, person=person, sampled_at=taken,
            reported_at=reported, method="nat", pooled=False, result=result, lab=atlas.LABS[person % 3],
        )  # fmt: skip
        if positive or mistaken:
            if again:
                self.at(reported + self.between(HOUR, 3 * HOUR), "confirm", person, mistaken)
            else:
                self.at(reported + self.between(HOUR, 3 * HOUR), "sample", person, True)

    def swab(self, day: int) -> None:
        """The many samples of a day: habits, schedules, rounds; ten to a tube, each tube with its own fate."""
        rng = chance(self.seed, Stream.SAMPLING, day + 1)
        n = self.people.size
        district = self.people.district[self.people.household]
        every = np.maximum(self.every, 1)
        goes = (self.every > 0) & ((day + self.phase) % every == 0) & (words(rng, n) < share(0.9))
        for person in self._due.pop(day, []):
            goes[person] = True
        came = words(rng, n) < share(0.95)
        opens = [d for d, rounds in self._rounds.items() if any(start // DAY == day for start, _ in rounds)]
        in_round = (
            np.isin(district, np.array(opens, dtype=np.int64)) & came & ~self.refuses & (self.people.age >= 3)
        )
        who = np.flatnonzero(goes | in_round).astype(np.int32)
        u = words(rng, len(who))
        sampled = (day * DAY + 7 * HOUR + between(u, 0, 46_800 // 2) * 2).astype(np.int32)
        here = ~self.travel.gone(who, sampled)
        who, sampled = who[here], sampled[here]
        order = np.lexsort((sampled, district[who]))
        who, sampled = who[order], sampled[order]
        self._report(rng, day, who, sampled, pooled=words(rng, len(who)) < share(0.92))

    def _report(
        self,
        rng: np.random.Generator,
        day: int,
        who: Ints,
        sampled: Ints,
        *,
        pooled: Flags,
    ) -> None:
        if not len(who):
            return
        district = self.people.district[self.people.household[who]]
        # Tubes: the pooled of one district in the order of the queue, ten at a time; every other swab alone.
        queue = np.flatnonzero(pooled)
        group = district[queue]
        starts = (
            np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
            if len(queue)
            else np.zeros(0, dtype=np.int64)
        )
        within = np.arange(len(queue)) - np.repeat(starts, np.diff(np.r_[starts, len(queue)]))
        opens = np.zeros(len(who), dtype=bool)
        opens[queue] = within % TUBE == 0
        tube = np.empty(len(who), dtype=np.int64)
        tube[queue] = np.cumsum(opens[queue]) - 1
        pools = int(opens.sum())
        tube[~pooled] = pools + np.arange(len(who) - len(queue))
        tubes = pools + len(who) - len(queue)

        u, v, w = words(rng, tubes), words(rng, tubes), words(rng, tubes)
        delay = between(u, 5 * 60, 14 * 60) * MINUTE
        late = v < share(0.02)
        delay = np.where(late, delay + between(u, 20, 48) * HOUR, delay)
        antigen = np.zeros(tubes, dtype=bool)
        antigen[pools:] = w[pools:] < share(0.2)
        delay = np.where(antigen, 20 * MINUTE, delay)
        last = np.zeros(tubes, dtype=np.int64)
        np.maximum.at(last, tube, sampled)
        reported = last + delay
        shows = self.epidemic.positive(who, sampled) & (words(rng, len(who)) < share(0.97))
        positive = np.zeros(tubes, dtype=bool)
        positive[tube[shows]] = True
        invalid = (w >= share(0.997)) & ~positive

        number = self._specimens + 1 + np.arange(len(who), dtype=np.int64)
        self._specimens += len(who)
        pool = self._tubes + 1 + tube
        self._tubes += tubes
        # Index of the result: negative, positive, invalid, pending.
        result = np.where(invalid, 2, np.where(positive, 1, 0)).astype(np.uint8)[tube]
        lab = (district % 9 + 1).astype(np.uint8)
        slow = late[tube]

        def file(arrives: int, rows: Ints, final: bool) -> None:
            ident = serials("S", number[rows], 10)
            in_pool = pooled[rows]
            pool_id = serials("P", pool[rows], 9)
            reported_at = reported[tube[rows]] if final else sampled[rows] + 2 * HOUR
            self.outbox.put_columns(
                "tests",
                arrives,
                {
                    "document_id": ident,
                    "document_version": (slow[rows] & final).astype(np.int64),
                    "specimen_id": ident,
                    "person": who[rows],
                    "sampled_at": sampled[rows],
                    "reported_at": reported_at,
                    "method": chosen(antigen[tube[rows]].astype(np.uint8), ("nat", "antigen")),
                    "pooled": in_pool,
                    "pool_id": pa.compute.if_else(pa.array(in_pool), pool_id, pa.scalar(None, pa.string())),
                    "result": chosen(
                        result[rows] if final else np.full(len(rows), 3, dtype=np.uint8),
                        ("negative", "positive", "invalid", "pending"),
                    ),
                    "lab": chosen(lab[rows], atlas.LABS),
                },
            )

        # A late tube is known as pending first; its result is the next version of the same document.
        for arrives in np.unique((sampled[slow] + 2 * HOUR) // DAY).tolist():
            file(
                arrives,
                np.flatnonzero(slow & ((sampled + 2 * HOUR) // DAY == arrives)).astype(np.int32),
                False,
            )
        arrival = reported[tube] // DAY
        for arrives in np.unique(arrival).tolist():
            file(arrives, np.flatnonzero(arrival == arrives).astype(np.int32), True)
        for row in np.flatnonzero(positive[tube]).tolist():
            # Sampled again on the next morning at the earliest: the events of this day are over.
            earliest = max(int(reported[tube[row]]) + 2 * HOUR, (day + 1) * DAY + 8 * HOUR)
            self.at(earliest + self.between(0, 3 * HOUR), "sample", int(who[row]), True)

    def errands(self, day: int) -> Ints:
        """(n,) the hospital or pharmacy that each goes to today, else -1: symptoms of this or of something else."""
        rng = chance(self.seed, Stream.ERRANDS, day)
        n = self.people.size
        district = self.people.district[self.people.household]
        w = words(rng, n)
        goes = np.full(n, -1, dtype=np.int32)
        pharmacy, hospital = self.places.sections["shop"], self.places.sections["hospital"]
        buys = (w < share(0.004)) & (self.people.age >= 16)

        rank = (
            words(rng, n).astype(np.int64) * (1 + (pharmacy.count[district] - 1) // SHOP_EVERY) >> 16
        ) * SHOP_EVERY
        goes[buys] = (pharmacy.first[district] + rank)[buys]
        ill = (w >= share(0.9985)) & (self.people.role != Role.INFANT)
        ill[self.seeks_care.pop(day, [])] = True
        where = hospital.first[district] + (words(rng, n).astype(np.int64) * hospital.count[district] >> 16)
        goes[ill] = where[ill]
        return goes

    def attended(self, day: int, city: list[Visits], errand: Ints) -> None:
        """The papers of the clinics and pharmacies that people did get to, and the samples that follow."""
        for visits in city:
            rows = np.flatnonzero((errand[visits.person] >= 0) & (visits.place == errand[visits.person]))
            for row in rows.tolist():
                person, place = int(visits.person[row]), int(visits.place[row])
                entered, left = int(visits.entered[row]), int(visits.left[row])
                if left > (day + 1) * DAY:
                    continue  # after a night shift: tomorrow's events may still keep them from it
                name = self.places.name[place].as_py()
                if self.places.kind[place] == HOSPITAL:
                    ill = self.epidemic.onset[person] <= entered
                    symptom = atlas.SYMPTOMS[self.between(0, 4 if ill else 11)]
                    seen = min(entered + 5 * MINUTE, left)
                    self.outbox.put(
                        "clinic_visits", seen, document_id=f"clinic-{day}-{person}", person=person, at=seen,
                        symptom_class=symptom, clinic=name,
                    )  # fmt: skip
                    if self.chance_of(0.85):
                        # The swab is taken in the visit and goes to the laboratory overnight.
                        self.at((day + 1) * DAY + self.between(0, 2 * HOUR), "sample", person, False, seen)
                else:
                    sold = left - MINUTE
                    self.outbox.put(
                        "purchases", sold, document_id=f"sale-{day}-{person}", person=person, at=sold,
                        medicine_class=atlas.MEDICINES[self.between(0, 4)], pharmacy=name,
                    )  # fmt: skip
                    if self.chance_of(0.7):
                        self._due.setdefault(day + 1, []).append(person)

    # Cases and their contacts

    def _confirm(self, at: int, person: int, mistaken: bool) -> None:
        if person in self.case_of:
            return
        number = len(self.cases)
        self.case_of[person] = number
        onset = int(self.epidemic.onset[person])
        known = onset < at
        case = {
            "document_id": f"case-{number + 1:06d}", "case_id": f"C{number + 1:06d}", "person": person,
            "kind": "confirmed" if known else "asymptomatic", "confirmed_at": at, "onset_at": onset if known else None,
            "document_version": 0,
        }  # fmt: skip
        self.cases.append(case)
        self.outbox.put("cases", at, **case)
        if not known and onset != NEVER:
            self.at(onset + self.between(6 * HOUR, 20 * HOUR), "onset", person)
        leaves = at + self.between(7 * DAY, 14 * DAY)
        if mistaken:
            leaves = at + self.between(20 * HOUR, 40 * HOUR)
        self.at(leaves, "exclude" if mistaken else "discharge", person)
        self._isolate(person, at + self.between(HOUR, 3 * HOUR), leaves, "central", "样本定点医院")
        self.at(at + self.between(HOUR, 8 * HOUR), "contacts", person)

    def _onset(self, at: int, person: int) -> None:
        self._revise(at, person, kind="confirmed", onset_at=int(self.epidemic.onset[person]))

    def _exclude(self, at: int, person: int) -> None:
        self._revise(at, person, excluded_at=at)
        self._release(at, person)

    def _discharge(self, at: int, person: int) -> None:
        self._revise(at, person, discharged_at=at)
        self._release(at, person)
        self._isolate(person, at, at + 7 * DAY, "monitoring", "样本社区")

    def _revise(self, at: int, person: int, **changes: Any) -> None:
        """The next version of a case's document."""
        case = self.cases[self.case_of[person]]
        case.update(changes, document_version=case["document_version"] + 1)
        self.outbox.put("cases", at, **case)

    def _isolate(self, person: int, at: int, until: int, kind: str, site: str) -> None:
        """A stay that is open until it ends; a new one ends the one before it. Monitoring keeps nobody at home."""
        if person in self._isolation:
            self._release(at, person)
        self._named += 1
        row = {
            "document_id": f"isolation-{self._named:07d}", "person": person, "kind": kind, "site": site, "from_at": at,
        }  # fmt: skip
        self._isolation[person] = row
        self.outbox.put("isolations", at, **row)
        if kind != "monitoring":
            self.travel.isolate(person, at, until)
        self.at(until, "release", person, row["document_id"])

    def _release(self, at: int, person: int, ident: str | None = None) -> None:
        row = self._isolation.get(person)
        if row is None or (ident is not None and row["document_id"] != ident):
            return
        del self._isolation[person]
        ends = max(at, row["from_at"])
        self.outbox.put("isolations", ends, **row, to_at=ends, document_version=1)
        if row["kind"] != "monitoring":
            self.travel.release(person, ends)

    def _contacts(self, at: int, person: int) -> None:
        """Tracers name whom the case met at home, at work and in class, then their households."""
        case = self.cases[self.case_of[person]]
        day = at // DAY
        since = (case["onset_at"] or case["confirmed_at"]) - 4 * DAY
        first: list[int] = []
        outside = 0
        for other, (until, kind) in sorted(self._met.pop(person, {}).items()):
            outside += kind != HOME
            if (
                until < since
                or other in self.case_of
                or (kind != HOME and (outside > 20 or self.chance_of(0.35)))
            ):
                continue
            first.append(other)
            self._contact_document(at, other, 1, until, index_case_id=case["case_id"])
            self._contact.add(other)
            if not self._held(other, at):
                self._isolate(
                    other,
                    at + self.between(HOUR, 5 * HOUR),
                    (until // DAY + 15) * DAY,
                    "central",
                    "样本隔离点",
                )
            for k in (1, 4, 7, 14):
                swab = (until // DAY + k) * DAY + self.between(8 * HOUR, 10 * HOUR)
                if swab > at:
                    self.at(swab, "sample", other, False)
        later = at + self.between(4 * HOUR, 12 * HOUR)
        self.at(later, "households", tuple(first), day - 1)

    def _households(self, at: int, first: tuple[int, ...], morning: int) -> None:
        """Degree 2: who woke up in one home with a contact on the morning before the contact was found."""
        if morning < 0:
            return
        people = self.people
        for contact in first:
            home = people.household[contact]
            for other in range(int(people.first[home]), int(people.first[home + 1])):
                if other in self._contact or other in self.case_of or other == contact:
                    continue
                since, until = self._night(contact, other, morning)
                if until - since < 10 * MINUTE:
                    continue
                self._contact.add(other)
                self._contact_document(at, other, 2, until, index_person=contact)
                if not self._held(other, at):
                    self._isolate(
                        other, at + self.between(HOUR, 3 * HOUR), (until // DAY + 8) * DAY, "home",
                        self.communities.texts[int(people.community[home])].name,
                    )  # fmt: skip
                for k in (1, 4, 7):
                    swab = (until // DAY + k) * DAY + self.between(8 * HOUR, 10 * HOUR)
                    if swab > at:
                        self.at(swab, "sample", other, False)

    def _night(self, a: int, b: int, day: int) -> tuple[int, int]:
        """What two of one home slept together before a day's morning; nothing if one of them was gone for any of it."""
        until = min(int(self.nights[day][a]), int(self.nights[day][b]))
        since = max(int(self.backs[day][a]), int(self.backs[day][b]))
        both, ends = np.array([a, b, a, b]), np.array([since, since, until, until])
        return (until, until) if self.travel.gone(both, ends).any() else (since, until)

    def _held(self, person: int, at: int) -> bool:
        return bool(self.travel.gone(np.array([person]), at + 8 * HOUR)[0])

    def _contact_document(self, at: int, person: int, degree: int, last: int, **index: Any) -> None:
        self._named += 1
        self.outbox.put(
            "contacts", at, document_id=f"contact-{self._named:07d}", person=person, degree=degree,
            last_exposure_at=last, found_by=f"样本流调队{self._named % 12}", **index,
        )  # fmt: skip

    def met(self, meetings: Meetings) -> None:
        """Keeps who met whom until the infectious one is found."""
        rows = zip(
            meetings.infectious.tolist(), meetings.other.tolist(), meetings.until.tolist(), meetings.kind.tolist(),
            strict=True,
        )  # fmt: skip
        for person, other, until, kind in rows:
            if person not in self.case_of:
                self._met.setdefault(person, {})[other] = (until, kind)

    # Areas and rounds

    def evening(self, day: int) -> None:
        """At the end of a day: levels for tomorrow by the cases of the last 14 days, rounds where there are cases."""
        end = (day + 1) * DAY
        recent = [
            c
            for c in self.cases
            if end - WINDOW * DAY <= c["confirmed_at"] < end and not c.get("excluded_at")
        ]
        home = self.people.household
        per_area: dict[int, int] = {}
        for case in recent:
            area = int(self.people.community[home[case["person"]]])
            per_area[area] = per_area.get(area, 0) + 1
        for area in sorted({*per_area, *self._levels}):
            count = per_area.get(area, 0)
            level = "high" if count >= 6 else "medium" if count >= 2 else "low"
            if level != (self._levels[area][0] if area in self._levels else "low"):
                self.at(end + 9 * HOUR, "area", area, level)
        for d in sorted({int(self.people.district[home[c["person"]]]) for c in recent} - set(self._rounds)):
            name = atlas.DISTRICTS[d].name
            self._rounds[d] = []
            for k in range(3):
                opened = end + 2 * k * DAY + 6 * HOUR
                self._rounds[d].append((opened, opened + 15 * HOUR))
                self.outbox.put(
                    "screening_rounds", end - 4 * HOUR, document_id=f"round-{d}-{k}", round_id=f"{name}-{k + 1}",
                    district=name, opened_at=opened, closed_at=opened + 15 * HOUR, due="everyone",
                )  # fmt: skip

    def _area(self, at: int, area: int, level: str) -> None:
        if area in self._levels:
            _, row = self._levels.pop(area)
            self.outbox.put("areas", at, **row, to_at=at, document_version=1)
        if level == "low":
            return
        text = self.communities.texts[area]
        row = {
            "document_id": f"area-{area}-{at // DAY}", "area_id": text.area_id, "name": text.name,
            "district": text.district, "county": text.county, "level": level, "from_at": at,
        }  # fmt: skip
        self._levels[area] = (level, row)
        self.outbox.put("areas", at, **row)

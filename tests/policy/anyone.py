"""Any resident: plausible facts of one person around a day, under the published policies. From a seed, by chance."""

from __future__ import annotations

from random import Random
from typing import Any

from kangma.terms import DAY, HOUR

Rows = list[dict[str, Any]]


def anyone(chance: Random, now: int) -> dict[str, Rows]:
    """The rows of one person, by fact; about two in three are held by some rule."""

    def during(first: int, last: int) -> int:
        return now + chance.randint(first * 24, last * 24) * HOUR

    def maybe(share: float, value: Any) -> Any:
        return value if chance.random() < share else None

    facts: dict[str, Rows] = {
        "people": [
            {
                "birth_date": chance.randint(-10_000, 18_900),
                "district": "东城区",
                "away": chance.random() < 0.1,
                "in_city_since": maybe(0.5, during(-10, 0)),
            }
        ],
        "tests": [_test(chance, during(-10, 0)) for _ in range(chance.randint(0, 4))],
    }

    def add(share: float, fact: str, row: dict[str, Any]) -> None:
        if chance.random() < share:
            facts[fact] = [row]

    index = {
        "index_positive_at": maybe(0.3, during(-3, 2)),
        "index_second_negative_at": maybe(0.3, during(-2, 2)),
        "index_excluded_at": maybe(0.1, during(-1, 1)),
    }
    degrees = {"degree": chance.choice((1, 2)), "declared_degree": chance.choice((1, 2))}
    add(0.3, "contacts", {**degrees, "last_exposure_at": during(-14, 0), **index})
    case = {"case_id": "c", "kind": "confirmed", "confirmed_at": during(-10, 0)}
    add(0.1, "cases", {**case, "discharged_at": maybe(0.5, during(-5, 3)), "excluded_at": None})
    met = {
        "case_id": "c",
        "minutes": 30.0,
        "meetings": 1,
        "last_at": during(-5, 0),
        "confirmed_at": during(-4, 0),
    }
    add(0.3, "exposures", met)
    add(0.2, "companions", {**met, "cumulative_hours": 31.0})
    add(
        0.15,
        "entries",
        {"port_city": chance.choice(("北京", "上海")), "entered_on": now // DAY - chance.randint(0, 20)},
    )
    entered = during(-8, 0)
    itinerary = chance.choice(("agrees", "undeclared", "contradicted"))
    leaves = maybe(0.2, entered + chance.randint(1, 100) * HOUR)
    add(0.4, "city_entries", {"at": entered, "itinerary": itinerary, "leaves_at": leaves})
    add(0.2, "purchases", {"at": during(-8, 0)})
    add(0.2, "clinic_visits", {"at": during(-8, 0)})
    add(
        0.1,
        "missed_rounds",
        {"rounds": 3, "first_opened_at": during(-6, -4), "last_closed_at": during(-3, 0)},
    )
    work = {
        "occupation": chance.choice(("commuter", "cold chain")),
        "from_at": during(-30, -20),
        "due_at": during(-5, 3),
    }
    add(0.1, "occupations", work)
    if chance.random() < 0.4:
        facts["risk_stays"] = _area_stay(chance, now)
    county = {"county": "c", "in_city": False, "land_border": chance.random() < 0.3}
    stay = {"source": chance.choice(("telecom", "declared")), "entered_at": during(-14, 0), "left_at": None}
    stay["left_at"] = maybe(0.6, stay["entered_at"] + chance.randint(1, 60) * HOUR)
    infected = {"infected_from": maybe(0.7, during(-20, -15)), "infected_to": maybe(0.4, during(1, 9))}
    risk = {"risk_from": maybe(0.5, during(-20, -15)), "risk_to": maybe(0.4, during(1, 8))}
    add(0.3, "county_stays", {**county, **stay, **infected, **risk})
    return facts


def _test(chance: Random, sampled: int) -> dict[str, Any]:
    return {
        "specimen_id": str(chance.random()),
        "sampled_at": sampled if chance.random() < 0.8 else None,
        "reported_at": sampled + chance.randint(3, 20) * HOUR,
        "method": chance.choice(("nat", "nat", "antigen")),
        "pooled": chance.random() < 0.7,
        "result": chance.choice(("negative",) * 8 + ("positive", "pending", "invalid")),
        "pool_positive_at": sampled + 20 * HOUR if chance.random() < 0.1 else None,
    }


def _area_stay(chance: Random, now: int) -> Rows:
    entered = now - chance.randint(0, 14 * 24) * HOUR
    left = None if chance.random() < 0.3 else min(now, entered + chance.randint(1, 60) * HOUR)
    level_from = now - chance.randint(10, 20) * DAY
    level_to = None if chance.random() < 0.5 else now + chance.randint(-9, 6) * DAY
    begin = max(entered, level_from)
    end = min((x for x in (left, level_to) if x is not None), default=None)
    if end is not None and end <= begin:
        return []
    return [
        {
            "area_id": "a",
            "in_city": chance.random() < 0.6,
            "level": chance.choice(("medium", "high", "locked", "controlled")),
            "source": chance.choice(("telecom", "declared")),
            "entered_at": entered,
            "left_at": left,
            "level_from": level_from,
            "level_to": level_to,
            "overlap_from": begin,
            "overlap_to": end,
        }
    ]

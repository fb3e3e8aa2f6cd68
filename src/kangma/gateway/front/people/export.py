"""Everything about one resident in one file, for that resident."""

from __future__ import annotations

import json

from kangma.gateway.front import schema as s
from kangma.gateway.front.city import Here
from kangma.gateway.front.people import residents
from kangma.gateway.front.people.appeals import appeals_of
from kangma.gateway.front.people.residents import Me
from kangma.publish.own import known_of, visits_of


def export(city: Here, mine: Me) -> s.Export:
    """Everything about you in one file: what is known, your code, devices, whom you care for, who looked, what you
    objected to."""
    content = city.slots.answer(mine.slot)
    return s.Export(
        made_at=city.zone.iso(city.now),
        code=None if content is None else json.loads(content),
        known=known_of(city.state, mine.person, now=city.now),
        visits=[s.VisitSaid(**v) for v in visits_of(city.state, mine.person, now=city.now)],
        devices=residents._devices(city, mine),
        others=residents._others(city, mine),
        looks=residents._looks(city, mine),
        appeals=appeals_of(city, mine),
    )

"""One small city for all tests of a session, and the plain ways to look at it."""

from functools import cache

import numpy as np

from kangma.city import City, make_city
from kangma.city.plan import Visits


@cache
def small_city(residents: int = 3_000, days: int = 14, seed: int = 7) -> City:
    city = make_city(residents, days, seed, infected=10)
    city.run_to(days - 1)
    return city


def all_visits(city: City, unfinished: bool = False) -> Visits:
    """Every reported visit of the run, ordered by person and time; `unfinished` ones end after it."""
    parts = [v for day in range(city.days) for v in city.visits(day)]
    parts += city.unfinished() if unfinished else []
    columns = [
        np.concatenate([getattr(p, c) for p in parts])
        for c in ("person", "place", "entered", "left", "source")
    ]
    order = np.lexsort((columns[2], columns[0]))
    return Visits(*(c[order] for c in columns))

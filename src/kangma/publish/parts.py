"""A few persons judged, out of documents in memory: the path from a confirmed case to the codes of those it met."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from kangma.codes.turns import Persons
from kangma.evidence.facts import FACTS
from kangma.evidence.views import prepare
from kangma.policy.document import Timeline
from kangma.policy.judge import HOLDS, VERDICTS, judge_all, judge_few
from kangma.publish.exposures import Traced
from kangma.publish.policies import city_of
from kangma.publish.reach import Reach
from kangma.terms import Moment

#: Up to so many persons are judged one by one: SQL takes 0.7 s for one as for some thousands, Python 0.1 s a thousand.
FEW = 6_000


def judged_in_parts(
    reach: Reach, times: Timeline, traced: Traced, whom: Persons, *, now: Moment
) -> tuple[pa.Table, pa.Table]:
    """Holds and verdicts of these persons."""
    if not len(whom):
        return HOLDS.empty_table(), VERDICTS.empty_table()
    con = reach.con
    city = city_of(times.in_force(now))
    made = f"{reach.city_wide()} {city}"
    reach.chosen.known = reach.made == made
    reach.of_persons(whom)
    theirs = np.zeros(reach.documents.persons, bool)
    theirs[reach.numbers(whom)] = True
    for name, table in (("exposures", traced.exposures), ("companions", traced.companions)):
        con.register(name, table.filter(pa.array(theirs[table["person"].to_numpy()])))
    con.register("persons_wanted", pa.table({"person": pa.array(whom, pa.uint32())}))
    prepare(con, city=city, persons="persons_wanted", chosen=reach.chosen)
    reach.made = made
    if len(whom) > FEW:
        return judge_all(con, times, now=now, persons="persons_wanted")
    facts: dict[int, dict[str, list[dict[str, Any]]]] = {}
    for name in FACTS:
        for row in con.sql(f"FROM fact_{name}").to_arrow_table().to_pylist():
            facts.setdefault(row["person"], {}).setdefault(name, []).append(row)
    return judge_few(times, facts, now=now)

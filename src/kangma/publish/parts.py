"""A few persons judged, out of documents in memory: the path from a confirmed case to the codes of those it met."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from kangma.codes.turns import Persons
from kangma.policy.document import Timeline
from kangma.policy.judge import HOLDS, VERDICTS
from kangma.policy.judge_columns import judge_columns
from kangma.publish.exposures import Traced
from kangma.publish.policies import city_of
from kangma.publish.reach import Reach
from kangma.terms import Moment


def judged_in_parts(
    reach: Reach, times: Timeline, traced: Traced, whom: Persons, *, now: Moment
) -> tuple[pa.Table, pa.Table]:
    """Holds and verdicts of these persons."""
    if not len(whom):
        return HOLDS.empty_table(), VERDICTS.empty_table()
    reach.of_persons(whom)
    theirs = np.zeros(reach.documents.persons, bool)
    theirs[reach.numbers(whom)] = True
    met = {
        name: table.filter(pa.array(theirs[table["person"].to_numpy()]))
        for name, table in (("exposures", traced.exposures), ("companions", traced.companions))
    }
    facts = reach.few.facts(whom, city_of(times.in_force(now)), met, city_wide=reach.city_wide())
    return judge_columns(times, facts, now=now)

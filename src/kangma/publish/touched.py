"""Who must be judged anew: everybody whom new evidence names, whom it reaches through others, and whose moment has come.

The answer may be too large, never too small; a property test holds a city that was judged in parts equal to one that
is judged whole.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from numpy.typing import NDArray

from kangma.codes.turns import Persons, due
from kangma.evidence.runs import distinct
from kangma.intake.kinds import KINDS, Type
from kangma.publish.exposures import Traced
from kangma.publish.reach import Reach, column
from kangma.publish.release import read_table
from kangma.store import registry as r
from kangma.store.by_person import Documents, Part, Rows
from kangma.store.releases import Release
from kangma.store.state import State
from kangma.terms import Moment

#: Kinds that speak of places, of everybody, or of which documents count: a new row may change anybody's verdict.
EVERYBODY = (
    "identities",
    "areas",
    "area_lists",
    "counties",
    "screening_rounds",
    "retractions",
)
#: Where a larger part of the city is touched, judging the whole is cheaper than choosing; a few are always chosen.
MOST = 0.2
FEW = 1_000


def touched(reach: Reach, state: State, last: Release, traced: Traced, *, now: Moment) -> Persons | None:
    """Canonical persons to judge (ascending), None for everybody.

    `reach` holds the evidence of now, `traced` what tracing made of it.
    """
    held = reach.documents
    if _left(state, last):
        return None
    told = {kind: reach.told(kind, last.generation) for kind in KINDS if kind != "visits"}
    if any(told[kind] for kind in EVERYBODY) or _in_an_area(held, told["places"]):
        return None
    found: list[NDArray[np.uint32]] = [traced.changed, due(read_table(state, last, "out"), now)]
    for kind, rows in told.items():
        if rows:
            found += [column(rows, name).to_numpy() for name in _named(kind)]
    if told["cases"]:
        found += _near_cases(held, traced, column(told["cases"], "case_id").unique())
    if told["tests"]:
        tubes = distinct(part.tubes(rows) for part, rows in told["tests"])
        found += [part.person[part.by_tube(tubes)] for part in held.parts("tests")]
    found += _at_risky_places(reach, last)
    persons = reach.behind(distinct(found, np.uint32))
    if len(persons) > max(FEW, MOST * held.persons):
        return None
    return persons


def _left(state: State, last: Release) -> bool:
    """Whether evidence has left since the last release."""
    d = r.deletions.c
    with state.registry.read() as on:
        gone = sa.select(sa.func.count()).select_from(r.deletions)
        return bool(
            on.execute(
                gone.where(d.state == "shredded", d.run > int(str(last.counts["deletion_run"])))
            ).scalar()
        )


def last_deletion(state: State) -> int:
    """The number of the last deletion run that took anything, 0 before the first."""
    c = r.deletions.c
    with state.registry.read() as on:
        return int(on.execute(sa.select(sa.func.max(c.run)).where(c.state == "shredded")).scalar() or 0)


def _named(kind: str) -> list[str]:
    """The columns by which a row of this kind says of whom it speaks."""
    return [c.name for c in KINDS[kind].stored if c.type is Type.PERSON and c.name != "guardian"]


def _at_risky_places(reach: Reach, last: Release) -> list[NDArray[np.uint32]]:
    """Whom new visits at places of a risky area name, and whom other versions of the same visits name. Other visits
    touch by what tracing makes of them."""
    held, risky = reach.documents, reach.risky_places()
    found = [part.person for part in held.visits_at(risky, since=last.generation)]
    ids = [held.visit_ids(s) for s in held.segments.get("visits", []) if s.newest > last.generation]
    documents = distinct(ids)
    found += [part.person[part.by_document(documents)] for part in held.visits_at(risky)]
    return found


def _in_an_area(held: Documents, told: list[tuple[Part, Rows]]) -> bool:
    """Whether one of these places lies in an area, or did by another description of it: its visits are stays there.

    What else places matter for, exposures, tells itself by the exposures that moved.
    """
    if not told:
        return False
    described = distinct([column(told, "place").to_numpy()], np.uint32)
    return any(
        len(
            part.column(
                "area_id", np.flatnonzero(np.isin(part.column("place").to_numpy(), described))
            ).drop_null()
        )
        for part in held.parts("places")
    )


def _near_cases(held: Documents, traced: Traced, cases: pa.Array) -> list[NDArray[np.uint32]]:
    """Whoever has an exposure to, or was named a contact of, one of these cases."""
    near = [(table["case_id"], table["person"]) for table in (traced.exposures, traced.companions)]
    near += [(part.column("index_case_id"), part.column("person")) for part in held.parts("contacts")]
    return [person.filter(pc.is_in(case, cases)).to_numpy() for case, person in near]

"""Questions about what was absorbed: one person's code, one case's exposures, whom a draft would turn. Nothing is
written. Evidence that was accepted and not yet absorbed is not seen; `cycle` absorbs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from kangma.evidence.facts import FACTS
from kangma.evidence.views import documents, prepare
from kangma.policy.explain import explain
from kangma.policy.rules import Policy
from kangma.policy.simulate import simulate
from kangma.publish import MEMORY
from kangma.publish.policies import city_of, policies
from kangma.publish.release import read_table
from kangma.store.by_person import Documents
from kangma.store.engine import engine
from kangma.store.releases import last_release
from kangma.store.state import State
from kangma.terms import Moment, zone


def code_of(state: State, id_type: str, id_number: str, *, now: Moment) -> dict[str, Any]:
    """That person's code at `now`, with every hold, reason and way out, as `kangma code --json` prints it.

    A person of whom nothing is known has the colour "unknown", in the same form. Raises Refused for a number that is
    none of its type.
    """
    key = state.keyer().key(id_type, id_number)
    times = policies(state)
    number = state.person_number(key)
    if number is None:
        answer = explain(times, {}, now=now, person=key.hex())
        return answer | {"colour": "unknown", "way": None}
    return code_of_person(state, number, now=now)


def code_of_person(state: State, number: int, *, now: Moment) -> dict[str, Any]:
    """The same for a person number, of the state's own or of a document that leads to the person."""
    times = policies(state)
    with evidence_of(state, times.in_force(now), [number]) as con:
        facts = facts_of(con)
        canonical = _canonical(con, number)
    return explain(times, facts, now=now, person=state.person_keys(pa.array([canonical]))[0].hex())


def codes_of_persons(
    state: State, persons: Sequence[int], *, now: Moment
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, its code as `code_of_person` gives it) of each of these, each once, at the cost of one look at the
    evidence; without `person`."""
    times = policies(state)
    wanted = sorted(set(persons))
    if not wanted:
        return
    with evidence_of(state, times.in_force(now), wanted) as con:
        canonical = dict(con.sql("SELECT person, canonical FROM canonical").fetchall())
        facts: dict[int, dict[str, list[dict[str, Any]]]] = {}
        for name, rows in facts_of(con).items():
            for row in rows:
                facts.setdefault(row["person"], {}).setdefault(name, []).append(row)
    nothing: dict[str, list[dict[str, Any]]] = {name: [] for name in FACTS}
    for number in wanted:
        mine = nothing | facts.get(canonical.get(number, number), {})
        answer = explain(times, mine, now=now)
        del answer["person"]
        yield number, answer


def facts_of(con: duckdb.DuckDBPyConnection) -> dict[str, list[dict[str, Any]]]:
    """Fact name → its rows, of the persons that the facts on `con` are limited to."""
    return {name: con.sql(f"FROM fact_{name}").to_arrow_table().to_pylist() for name in FACTS}


@dataclass(frozen=True, slots=True)
class Traced:
    """A case's window [from, to) and its exposures, the longest first; places by id."""

    case: str
    window: tuple[Moment, Moment]
    rows: list[dict[str, Any]]
    zone: str

    def as_json(self) -> dict[str, Any]:
        """As `kangma trace --json` prints it."""
        iso = zone(self.zone).iso
        exposures = [r | {"first_at": iso(r["first_at"]), "last_at": iso(r["last_at"])} for r in self.rows]
        return {"case": self.case, "window": [iso(at) for at in self.window], "exposures": exposures}


def trace_of(state: State, case: str, *, now: Moment) -> Traced | None:
    """The exposures of a live case, None where it has no window: not absorbed, excluded, or isolated in time."""
    # Here and not above: the kernel takes a second to load, and a person's code does not need it.
    from kangma.publish.exposures import city_columns, city_places, infectious_windows  # noqa: PLC0415  see above
    from kangma.tracing.kernel import meetings  # noqa: PLC0415  as above
    from kangma.tracing.tables import Windows  # noqa: PLC0415  as above

    policy = policies(state).in_force(now)
    with engine(state.path / "tmp", memory=MEMORY) as con:
        state.raw(con)
        documents(con, ("cases", "tests", "isolations"))
        table = infectious_windows(con, policy)
        mine = table.filter(pa.compute.equal(table["case_id"], case))
        if mine.num_rows == 0:
            return None
        rule = policy.tracing
        held = Documents(state)
        held.refresh()
        met = meetings(
            city_columns(state, held),
            Windows.from_arrow(mine),
            min_overlap=rule.min_overlap_minutes * 60,
            linger=rule.linger_minutes * 60,
            coarse=city_places(state, held, policy).coarse,
        )
        con.register("met", met.arrow())
        rows = con.sql(
            "SELECT lower(hex(k.key)) AS person, sum(end_at - start_at)::BIGINT / 60.0 AS minutes, "
            "count(*) AS meetings, min(start_at) AS first_at, max(end_at) AS last_at, "
            "list_sort(list_distinct(list(n.place_id))) AS places "
            "FROM met m JOIN person_keys k ON m.person = k.person JOIN place_numbers n ON m.place = n.place "
            "GROUP BY k.key ORDER BY minutes DESC, person"
        ).to_arrow_table()
    window = (min(mine["from_at"].to_pylist()), max(mine["to_at"].to_pylist()))
    return Traced(case, window, rows.to_pylist(), policy.zone)


def simulate_draft(state: State, draft: Policy, *, now: Moment) -> dict[str, Any]:
    """Who would turn if `draft` were in force at `now`, as `kangma policy simulate --json` prints it."""
    times = policies(state)
    with evidence_of(state, times.in_force(now), None) as con:
        return simulate(con, times, draft, now=now)


@contextmanager
def evidence_of(
    state: State, policy: Policy, persons: list[int] | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Live evidence and facts, with the exposures of the last release; limited to `persons` where given."""
    last = last_release(state.registry)
    with engine(state.path / "tmp", memory=MEMORY) as con:
        state.raw(con)
        con.register("exposures", read_table(state, last, "exposures"))
        con.register("companions", read_table(state, last, "companions"))
        if persons is None:
            prepare(con, city=city_of(policy))
        else:
            con.register("numbers_wanted", pa.table({"person": pa.array(persons, pa.uint32())}))
            prepare(con, city=city_of(policy), persons="numbers_wanted")
        yield con


def canonical_number(state: State, number: int) -> int:
    """The number that stands for the same person, as the last release had it."""
    known = read_table(state, last_release(state.registry), "aliases")
    at = pa.compute.index(known["person"], number).as_py()
    return number if at < 0 else int(known["canonical"][at].as_py())


def _canonical(con: duckdb.DuckDBPyConnection, number: int) -> int:
    rows = con.sql(f"SELECT canonical FROM canonical WHERE person = {number}").fetchall()
    return int(rows[0][0]) if rows else number

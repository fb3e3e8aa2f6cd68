"""Who would turn if a draft were in force: the draft against today's policy on live evidence. Nothing is written."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

from kangma.policy.document import Policy, Timeline
from kangma.policy.judge import VERDICTS, codes, judge_all
from kangma.terms import Moment, State


def simulate(
    con: duckdb.DuckDBPyConnection, today: Policy | Timeline, draft: Policy | Timeline, *, now: Moment
) -> dict[str, Any]:
    """The turns that `draft` would make at `now`, on the fact relations of `con`, ready for JSON:

    `people` known, `turns` (persons whose colour or notices would differ), `share` of them; `by_colour` {from: {to: n}}
    and `by_state` the same with popup and remind told apart; `by_rule` and `by_district` lists, most turns first.
    A rule's `gains` are persons whom it would newly hold, its `losses` those whom it would no longer hold.
    """
    before = _run(con, today, now)
    after = _run(con, draft, now)
    con.register("simulate_people", con.sql("SELECT person, district FROM fact_people").to_arrow_table())
    for name, (verdicts, holds) in (("before", before), ("after", after)):
        con.register(f"simulate_{name}", verdicts)
        con.register(f"simulate_{name}_holds", holds)
    try:
        both = """
            SELECT coalesce(b.person, a.person) AS person, coalesce(b.state, 0) AS old, coalesce(a.state, 0) AS new,
              coalesce(b.notices, '') AS old_notices, coalesce(a.notices, '') AS new_notices
            FROM simulate_before AS b FULL JOIN simulate_after AS a ON a.person = b.person"""
        turned = f"SELECT * FROM ({both}) AS t WHERE old <> new OR old_notices <> new_notices"
        known = " UNION ".join(f"SELECT person FROM simulate_{t}" for t in ("people", "before", "after"))
        people = _one(con, f"SELECT count(*) FROM ({known}) AS k")
        pairs = con.sql(
            f"SELECT old, new, count(*) FROM ({turned}) AS t GROUP BY old, new ORDER BY old, new"
        ).fetchall()
        districts = con.sql(
            f"""SELECT p.district, count(*), count(t.person) FROM ({known}) AS k
            LEFT JOIN simulate_people AS p ON p.person = k.person LEFT JOIN ({turned}) AS t ON t.person = k.person
            GROUP BY p.district ORDER BY count(t.person) DESC, p.district"""
        ).fetchall()
        rules = con.sql(
            """SELECT coalesce(b.rule, a.rule) AS rule, count(b.person), count(a.person),
              count(*) FILTER (WHERE b.person IS NULL), count(*) FILTER (WHERE a.person IS NULL)
            FROM simulate_before_holds AS b FULL JOIN simulate_after_holds AS a
              ON a.person = b.person AND a.rule = b.rule AND a.outcome = b.outcome
            GROUP BY 1 ORDER BY count(*) FILTER (WHERE b.person IS NULL OR a.person IS NULL) DESC, 1"""
        ).fetchall()
    finally:
        con.unregister("simulate_people")
        for name in ("before", "after"):
            con.unregister(f"simulate_{name}")
            con.unregister(f"simulate_{name}_holds")
    turns = sum(n for _, _, n in pairs)
    return {
        "people": people,
        "turns": turns,
        "share": turns / people if people else 0.0,
        "by_colour": _table((State(old).colour, State(new).colour, n) for old, new, n in pairs),
        "by_state": _table((State(old).name.lower(), State(new).name.lower(), n) for old, new, n in pairs),
        "by_rule": [
            {"rule": rule, "today": b, "draft": a, "gains": gains, "losses": losses}
            for rule, b, a, gains, losses in rules
        ],
        "by_district": [{"district": d, "people": n, "turns": t} for d, n, t in districts],
    }


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    rows = con.sql(sql).fetchall()  # fetchone would leave the connection busy
    return int(rows[0][0]) if rows else 0


def _run(con: duckdb.DuckDBPyConnection, policy: Policy | Timeline, now: Moment) -> tuple[pa.Table, pa.Table]:
    """(person, state, notices by name), (person, rule by id, outcome): comparable between two policies."""
    force = policy.force(now) if isinstance(policy, Timeline) else policy
    holds, verdicts = judge_all(con, policy, now=now)
    masks = zip(verdicts["popups"].to_pylist(), verdicts["reminds"].to_pylist(), strict=True)
    named: dict[tuple[int, int], str] = {}
    notices = []
    for mask in masks:
        if mask not in named:
            named[mask] = "|".join([*codes(force, mask[0]), "/", *codes(force, mask[1])]) if any(mask) else ""
        notices.append(named[mask])
    shown = pa.table(
        {"person": verdicts["person"], "state": verdicts["state"], "notices": pa.array(notices, pa.string())}
    )
    assert VERDICTS.field("person").type == shown.schema.field("person").type
    ids = pa.array([r.id for r in force.rules], pa.string())
    rules = holds["rule"].combine_chunks() if holds.num_rows else pa.array([], pa.uint16())
    per_rule = pa.table({"person": holds["person"], "rule": ids.take(rules), "outcome": holds["outcome"]})
    return shown, per_rule.group_by(["person", "rule", "outcome"]).aggregate([])


def _table(pairs: Any) -> dict[str, dict[str, int]]:
    out: dict[str, dict[str, int]] = {}
    for old, new, n in pairs:
        out.setdefault(old, {})[new] = out.setdefault(old, {}).get(new, 0) + n
    return out

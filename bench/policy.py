"""How fast everybody is judged: the policy engine beside hand-tuned DuckDB, in one run, on the same facts, with the
same answer; and one person in Python.

    python bench/policy.py [--full] [--residents N] [--out FILE]

Facts are made in DuckDB itself, as Parquet of the platform's own schemas. The peer is one SQL statement written by
hand for seven of the rules; the engine judges the same seven rules, and every verdict must be equal before a figure
counts. Each size is made and judged in processes of its own, so that peak memory is that of judging.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from kangma.evidence.facts import FACTS
from kangma.policy import published
from kangma.policy.document import Policy, amend, load
from kangma.policy.judge import judge_all, judge_one
from kangma.terms import DAY, HOUR, State, moment

NOW = moment("2022-05-01T10:00:00+08:00")
SERIES = "beijing-2022-04-22"
#: The rules that the hand-written statement knows.
SUBSET = ("A-R4", "A-Y4", "A-P3", "A-P4a", "A-P4b", "A-P4c", "A-R2")
MEMORY = "8GB"
RUNS = 3

# Rows of each fact as a share of the residents, and the columns that are not null. `t(a, b)` is a time from a to b
# days before now (see `spelled`); the other columns are null. Tests: everybody every third day.
FACTS_MADE: dict[str, tuple[float, dict[str, str]]] = {
    "people": (
        1,
        {"birth_date": "-10000 + u(9, 28000)", "district": "'d' || u(8, 16)", "away": "u(1, 50) = 0"},
    ),
    "cases": (
        0.001,
        {
            "case_id": "'c' || i",
            "kind": "'confirmed'",
            "confirmed_at": "t(1, 14)",
            "discharged_at": "CASE WHEN u(4, 3) = 0 THEN t(0, 1) END",
        },
    ),
    "contacts": (
        0.01,
        {
            "degree": "1 + u(3, 2)",
            "declared_degree": "1 + u(3, 2)",
            "last_exposure_at": "t(0, 14)",
            "found_by": "'t'",
        },
    ),
    "exposures": (
        0.01,
        {
            "case_id": "'c' || u(5, 999)",
            "minutes": "30e0",
            "meetings": "1",
            "first_at": "t(9, 14)",
            "last_at": "t(2, 9)",
            "confirmed_at": "t(0, 2)",
        },
    ),
    "companions": (
        0.005,
        {
            "case_id": "'c' || u(5, 999)",
            "minutes": "90e0",
            "cumulative_hours": "31e0",
            "first_at": "t(9, 14)",
            "last_at": "t(2, 9)",
            "confirmed_at": "t(0, 2)",
        },
    ),
    "risk_stays": (
        0.01,
        {
            "area_id": "'a' || u(5, 99)",
            "name": "'n'",
            "district": "'d'",
            "county": "'c'",
            "in_city": "u(1, 3) > 0",
            "level": "CASE u(2, 3) WHEN 0 THEN 'high' WHEN 1 THEN 'medium' ELSE 'controlled' END",
            "source": "'declared'",
            "entered_at": "t(8, 14)",
            "left_at": "t(2, 8)",
            "level_from": "t(14, 15)",
            "overlap_from": "t(8, 14)",
            "overlap_to": "t(2, 8)",
        },
    ),
    "county_stays": (
        0.03,
        {
            "county": "'c' || u(5, 99)",
            "in_city": "false",
            "land_border": "u(1, 10) = 0",
            "source": "'telecom'",
            "entered_at": "t(8, 14)",
            "left_at": "t(2, 8)",
            "infected_from": "CASE WHEN u(6, 3) = 0 THEN t(14, 20) END",
        },
    ),
    "entries": (
        0.001,
        {"country": "'x'", "port": "'p'", "port_city": "'北京'", "entered_on": f"{NOW // DAY} - u(2, 20)"},
    ),
    "city_entries": (
        0.02,
        {"at": "t(0, 14)", "from_county": "'c'", "means": "'rail'", "itinerary": "'agrees'"},
    ),
    "purchases": (0.01, {"at": "t(0, 14)", "medicine_class": "'fever'", "pharmacy": "'p'"}),
    "clinic_visits": (0.005, {"at": "t(0, 14)", "symptom_class": "'fever'", "clinic": "'c'"}),
    "missed_rounds": (
        0.005,
        {"district": "'d'", "rounds": "3", "first_opened_at": "t(6, 8)", "last_closed_at": "t(1, 2)"},
    ),
    "occupations": (
        0.03,
        {
            "occupation": "CASE WHEN u(2, 3) = 0 THEN 'commuter' ELSE 'courier' END",
            "every_days": "7",
            "from_at": "t(30, 60)",
            "due_at": "t(-5, 1)",
        },
    ),
    "isolations": (0.005, {"kind": "'central'", "from_at": "t(1, 10)", "site": "'s'"}),
    "clearances": (
        0.003,
        {"rule": "'A-P3'", "finding": "'no_link'", "at": "t(0, 3)", "reason": "'r'"},
    ),
    "tests": (
        4.7,
        {
            "specimen_id": "'S' || i",
            "sampled_at": f"{NOW} - ((i % 5) * 3 * {DAY} + u(1, {3 * DAY}))",
            "reported_at": f"{NOW} - ((i % 5) * 3 * {DAY} + u(1, {3 * DAY})) + {8 * HOUR}",
            "method": "'nat'",
            "pooled": "u(2, 5) > 0",
            "result": "CASE WHEN u(4, 5000) = 0 THEN 'positive' ELSE 'negative' END",
            "lab": "'L' || u(6, 40)",
            "pool_positive_at": f"CASE WHEN u(3, 2000) = 0 THEN {NOW - DAY} END",
        },
    ),
    "vaccinations": (2.4, {"product": "'V'", "dose": "1 + i % 3", "given_on": f"{NOW // DAY} - u(1, 400)"}),
}

PEER = f"""
WITH tests AS (
  SELECT person, coalesce(sampled_at, reported_at - 43200) AS at_, sampled_at, reported_at, pooled
  FROM fact_tests WHERE method = 'nat' AND result = 'negative' AND person IN (
    SELECT person FROM fact_city_entries UNION SELECT person FROM fact_purchases
    UNION SELECT person FROM fact_clinic_visits
    UNION SELECT person FROM fact_tests WHERE result = 'positive' AND method = 'nat' AND NOT pooled)),
released AS (SELECT c.person, c.rule, c.finding, c.at AS at_ FROM fact_clearances AS c),
due AS (
  SELECT e.person, 'A-P4a' AS rule, e.at AS a, e.at + 86400 AS counts_from, e.leaves_at,
    (SELECT birth_date FROM fact_people AS p WHERE p.person = e.person) AS born FROM fact_city_entries AS e
  UNION ALL SELECT p.person, 'A-P4b', p.at, p.at, NULL, NULL FROM fact_purchases AS p
  UNION ALL SELECT v.person, 'A-P4c', v.at, v.at, NULL, NULL FROM fact_clinic_visits AS v),
open_due AS (
  SELECT d.*, (day + 8) * 86400 - 28800 AS cap
  FROM (SELECT *, floor((a + 28800) / 86400)::INTEGER AS day FROM due) AS d
  WHERE NOT (rule = 'A-P4a' AND (
    coalesce(date_diff('year', DATE '1970-01-01' + born, DATE '1970-01-01' + day)
      - CASE WHEN strftime(DATE '1970-01-01' + born, '%m%d') > strftime(DATE '1970-01-01' + day, '%m%d')
        THEN 1 ELSE 0 END <= 3, false)
    OR coalesce(leaves_at < a + 259200 AND leaves_at <= {NOW}, false)
    OR EXISTS (SELECT 1 FROM fact_occupations AS o WHERE o.person = d.person AND o.occupation = 'commuter'
      AND o.from_at <= d.a AND (o.to_at IS NULL OR o.to_at > d.a))))
  AND NOT EXISTS (SELECT 1 FROM tests AS t WHERE t.person = d.person AND t.at_ > d.counts_from AND t.reported_at <= {NOW})
  AND NOT EXISTS (SELECT 1 FROM released AS r WHERE r.person = d.person AND r.rule = d.rule
    AND r.finding = 'released' AND r.at_ >= d.a AND r.at_ <= {NOW})),
contact AS (
  SELECT person, CAST(floor((last_exposure_at + 28800) / 86400) AS BIGINT) * 86400 - 28800 AS d0, last_exposure_at AS a
  FROM fact_contacts AS c WHERE degree = 1 AND (declared_degree = 1 OR index_positive_at <= {NOW})
    AND (index_excluded_at IS NULL OR index_excluded_at > {NOW})
    AND NOT EXISTS (SELECT 1 FROM released AS r WHERE r.person = c.person AND r.rule = 'A-R4'
      AND r.finding IN ('no_link', 'released') AND r.at_ >= c.last_exposure_at AND r.at_ <= {NOW})),
states AS (
  SELECT person, CASE WHEN {NOW} >= a AND {NOW} < d0 + 15 * 86400 THEN 4 WHEN {NOW} < d0 + 22 * 86400
    AND {NOW} >= d0 + 15 * 86400 THEN 3 END AS state FROM contact
  UNION ALL
  SELECT person, 2 FROM fact_exposures AS x WHERE {NOW} >= greatest(last_at, confirmed_at)
    AND {NOW} < least((floor((last_at + 28800) / 86400)::BIGINT + 15) * 86400 - 28800, excluded_at)
    AND NOT EXISTS (SELECT 1 FROM released AS r WHERE r.person = x.person AND r.rule = 'A-P3'
      AND r.finding IN ('no_link', 'released') AND r.at_ >= x.last_at AND r.at_ <= {NOW})
  UNION ALL
  SELECT person, CASE WHEN {NOW} < a THEN NULL WHEN {NOW} < a + 259200 THEN 1
    WHEN {NOW} < cap THEN 2 WHEN {NOW} < cap + 7 * 86400 THEN 1 END FROM open_due
  UNION ALL
  SELECT person, CASE WHEN {NOW} < reported_at + 172800 THEN 4 WHEN {NOW} < reported_at + 172800 + 7 * 86400 THEN 1 END
  FROM fact_tests AS f WHERE method = 'nat' AND NOT pooled AND result = 'positive' AND reported_at <= {NOW}
    AND NOT EXISTS (SELECT 1 FROM tests AS t WHERE t.person = f.person AND NOT t.pooled
      AND t.sampled_at > coalesce(f.sampled_at, f.reported_at) AND t.reported_at <= {NOW})
    AND NOT EXISTS (SELECT 1 FROM released AS r WHERE r.person = f.person AND r.rule = 'A-R2'
      AND r.finding = 'released' AND r.at_ >= f.reported_at AND r.at_ <= {NOW}))
SELECT person, max(state) AS state FROM states WHERE state IS NOT NULL GROUP BY person ORDER BY person
"""


def spelled(text: str) -> str:
    """`u(k, n)`: a whole number below n by chance k; `t(a, b)`: a time from a to b days before now."""

    def time_ago(found: re.Match[str]) -> str:
        first, last = int(found[1]), int(found[2])
        return f"({NOW} - ({first * DAY} + u({first * 37 + last + 999}, {(last - first) * DAY})))"

    text = re.sub(r"\bt\((-?\d+), (-?\d+)\)", time_ago, text)
    return re.sub(r"\bu\((\d+), (\d+)\)", r"CAST(hash(i, \1) % \2 AS BIGINT)", text)


def make(folder: Path, residents: int) -> None:
    """The facts of a city as Parquet, one file each, in no useful order of persons but the tests'."""
    con = duckdb.connect(config={"threads": 2, "memory_limit": MEMORY, "preserve_insertion_order": "false"})
    con.execute(f"SET temp_directory = '{folder}/tmp'")
    for name, fact in FACTS.items():
        share, given = FACTS_MADE[name]
        rows = int(residents * share)
        person = (
            "i" if name == "people" else ("i // 5" if name == "tests" else f"hash(i, '{name}') % {residents}")
        )
        if name == "tests":
            rows = residents * 5
        picked = [f"CAST({person} AS UINTEGER) AS person"]
        for column, (kind, _) in fact.columns.items():
            sql = {"text": "VARCHAR", "real": "DOUBLE", "bool": "BOOLEAN", "date": "INTEGER"}.get(
                kind.value, "BIGINT"
            )
            picked.append(f"CAST({spelled(given.get(column, 'NULL'))} AS {sql}) AS {column}")
        con.execute(
            f"COPY (SELECT {', '.join(picked)} FROM range({rows}) AS r(i)) TO '{folder}/{name}.parquet' (FORMAT parquet)"
        )


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 2, "memory_limit": MEMORY, "preserve_insertion_order": "false"})
    con.execute(f"SET temp_directory = '{folder}/tmp'")
    for name in FACTS:
        con.execute(f"CREATE VIEW fact_{name} AS SELECT * FROM read_parquet('{folder}/{name}.parquet')")
    return con


def policies() -> tuple[Policy, Policy]:
    """The published policy, and the part of it that the peer speaks: both checked as any policy is."""
    whole = load(published.read(SERIES)[0])
    others = [r.id for r in whole.rules if r.id not in SUBSET]
    part = amend(
        whole,
        f'format = 1\nid = "{whole.id}"\nversion = "part"\namends = "{whole.version}"\n'
        f"effective_from = 2022-04-23T00:00:00+08:00\nremove_rules = {json.dumps(others)}\n",
    )
    return whole, part


def timed(work: Callable[[], Any], runs: int = RUNS) -> tuple[dict[str, float], Any]:
    seconds, cpu, found = [], [], None
    for _ in range(runs):
        begun, worked = time.perf_counter(), time.process_time()
        found = work()
        seconds.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - worked)
    return {
        "median_s": statistics.median(seconds),
        "cpu_s": statistics.median(cpu),  # of all threads: what remains comparable on a busy machine
        "least_s": min(seconds),
        "most_s": max(seconds),
        "runs": runs,
    }, found


def judge(folder: Path, *, beside: bool) -> dict[str, Any]:
    """Judging the city in `folder`: everybody under the whole policy; with `beside`, the peer on its part too."""
    whole, part = policies()
    report: dict[str, Any] = {"rules": len(whole.rules)}
    with connect(folder) as con:
        spent, (holds, verdicts) = timed(lambda: judge_all(con, whole, now=NOW))
        report["everybody"] = spent | {"holds": holds.num_rows, "verdicts": verdicts.num_rows}
        report["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        states: dict[str, int] = {}
        for row in verdicts.group_by("state").aggregate([("person", "count")]).to_pylist():
            states[State(row["state"]).name.lower()] = row["person_count"]
        report["states"] = states
        if beside:
            ours, (_, found) = timed(lambda: judge_all(con, part, now=NOW))
            theirs, same = timed(lambda: con.sql(PEER).to_arrow_table())
            mine = {
                v["person"]: v["state"] for v in found.select(["person", "state"]).to_pylist() if v["state"]
            }
            if mine != {v["person"]: v["state"] for v in same.to_pylist()}:
                raise SystemExit("the engine and the hand-written SQL differ: no figure counts")
            report["part"] = {
                "rules": len(part.rules),
                "ours": ours,
                "by_hand": theirs,
                "times_by_hand": ours["median_s"] / theirs["median_s"],
                "persons": len(mine),
            }
            report["one"] = one(con, whole, verdicts["person"].slice(0, 500).to_pylist())
    return report


def one(con: duckdb.DuckDBPyConnection, policy: Policy, held: list[int]) -> dict[str, float]:
    """Microseconds to judge one person with the facts in hand: 500 who are held by something, and 500 anybody."""
    persons = {*held, *range(500)}
    con.execute(f"CREATE TEMP TABLE chosen AS SELECT unnest({sorted(persons)})::UINTEGER AS person")
    facts: dict[int, dict[str, list[dict[str, Any]]]] = {p: {} for p in persons}
    for name in FACTS:
        for row in (
            con.sql(f"SELECT * FROM fact_{name} WHERE person IN (FROM chosen)").to_arrow_table().to_pylist()
        ):
            facts[row["person"]].setdefault(name, []).append(row)

    def micros(whom: list[int]) -> float:
        spent = []
        for person in whom:
            mine = facts[person]
            begun = time.perf_counter()
            for _ in range(10):
                judge_one(policy, mine, now=NOW)
            spent.append((time.perf_counter() - begun) / 10 * 1e6)
        return statistics.median(spent)

    micros(held)
    return {"held_us": micros(held), "anybody_us": micros(list(range(500)))}


def size(residents: int, *, beside: bool) -> dict[str, Any]:
    """A city of that size, made and judged in two fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        child = [sys.executable, __file__, "--folder", folder]
        begun = time.perf_counter()
        subprocess.run([*child, "--make", str(residents)], check=True)
        made = time.perf_counter() - begun
        asked = [*child, "--judge", *(["--beside"] if beside else [])]
        found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
        return {"residents": residents, "made_s": made, **json.loads(found)}


def run(full: bool, say: Callable[[str], None] = print, *, residents: int | None = None) -> dict[str, Any]:
    """Everything measured, as a dict for JSON: one city beside the peer, the growth, and with `full` 22 million."""
    report: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "load_1_min": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "duckdb": duckdb.__version__,
        },
        "memory_limit": MEMORY,
    }
    main = report["city"] = size(residents or 1_000_000, beside=True)
    say(_line(main))
    part, one_person = main["part"], main["one"]
    say(
        f"  {part['rules']} rules: engine {part['ours']['median_s']:.2f} s ({part['ours']['cpu_s']:.2f} of CPU), "
        f"by hand {part['by_hand']['median_s']:.2f} s ({part['by_hand']['cpu_s']:.2f}), "
        f"({part['times_by_hand']:.1f} times); one person {one_person['held_us']:.0f} µs held, "
        f"{one_person['anybody_us']:.0f} µs anybody"
    )
    report["growth"] = [size(n, beside=False) for n in ((200_000, 2_000_000) if residents is None else ())]
    for found in report["growth"]:
        say(_line(found))
    if full:
        report["beijing"] = size(22_000_000, beside=False)
        say(_line(report["beijing"]))
    report["machine"]["load_1_min_at_end"] = round(os.getloadavg()[0], 2)
    return report


def _line(found: dict[str, Any]) -> str:
    everybody = found["everybody"]
    return (
        f"{found['residents']:,} residents, {found['rules']} rules: {everybody['median_s']:.2f} s "
        f"({everybody['least_s']:.2f} to {everybody['most_s']:.2f}), {everybody['cpu_s']:.2f} s of CPU, "
        f"peak {found['peak_gb']:.2f} GB, "
        f"{everybody['holds']:,} holds"
    )


if __name__ == "__main__":
    wishes = argparse.ArgumentParser(description="How fast everybody is judged.")
    wishes.add_argument("--full", action="store_true", help="22 million residents too")
    wishes.add_argument("--residents", type=int, help="another size, alone")
    wishes.add_argument("--out", type=Path, help="write the figures here as JSON")
    wishes.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    wishes.add_argument("--make", type=int, help=argparse.SUPPRESS)
    wishes.add_argument("--judge", action="store_true", help=argparse.SUPPRESS)
    wishes.add_argument("--beside", action="store_true", help=argparse.SUPPRESS)
    wish = wishes.parse_args()
    if wish.make:
        make(wish.folder, wish.make)
    elif wish.judge:
        print(json.dumps(judge(wish.folder, beside=wish.beside)))
    else:
        measured = run(wish.full, residents=wish.residents)
        if wish.out:
            wish.out.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")

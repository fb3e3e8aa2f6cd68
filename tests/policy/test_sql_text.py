"""The whole-city judge is one script of SELECTs that other engines can read too."""

from __future__ import annotations

import duckdb
import pytest
import sqlglot
from anything import facts_on
from resident import BEIJING, PROTOCOL_9, published
from small_policy import CONTACT_AND_AFTER, ENTRY_WITHOUT_TEST, SMALL, policy_text

from kangma.policy.compile_sql import script
from kangma.policy.document import load
from kangma.policy.judge import judge_all
from kangma.terms import moment

NOW = moment("2022-05-10T10:00:00+08:00")
POLICIES = {
    "small": lambda: load(SMALL),
    "summer time": lambda: load(policy_text(CONTACT_AND_AFTER, ENTRY_WITHOUT_TEST, zone="Pacific/Auckland")),
    "beijing": lambda: published(BEIJING).force(NOW),
    "protocol 9": lambda: published(PROTOCOL_9).force(NOW),
}


@pytest.mark.parametrize("name", POLICIES)
def test_the_script_can_be_carried_to_spark(name):
    for _, select in script(POLICIES[name](), now=NOW):
        spark = sqlglot.transpile(
            select, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE
        )
        assert len(spark) == 1
        assert sqlglot.parse_one(spark[0], read="spark").sql(dialect="spark") == spark[0]
        assert "TIMESTAMP" not in spark[0].upper()


@pytest.mark.parametrize("name", POLICIES)
def test_the_script_run_as_views_gives_what_the_judge_gives(name):
    policy = POLICIES[name]()
    rows = {
        "contacts": [
            {"person": i, "degree": 1, "declared_degree": 1, "last_exposure_at": NOW - i * 86_400}
            for i in range(30)
        ],
        "city_entries": [
            {"person": i, "at": NOW - i * 7_200, "itinerary": "agrees"} for i in range(0, 60, 2)
        ],
        "tests": [
            {
                "person": i,
                "method": "nat",
                "result": "negative",
                "sampled_at": NOW - i * 3_600,
                "reported_at": NOW,
            }
            for i in range(0, 60, 4)
        ],
    }
    with duckdb.connect() as con:
        facts_on(con, rows)
        expected = judge_all(con, policy, now=NOW)[1].to_pylist()
        for view, select in script(policy, now=NOW):
            con.execute(f"CREATE TEMP TABLE {view} AS {select}")
        found = con.sql("SELECT * FROM judge_verdicts_all ORDER BY person").to_arrow_table().to_pylist()
        assert found == expected
        assert expected


def test_the_judge_leaves_nothing_behind_on_the_connection():
    with duckdb.connect() as con:
        facts_on(con, {})
        before = con.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
        judge_all(con, load(SMALL), now=NOW)
        assert con.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall() == before


def test_only_the_wanted_persons_are_judged():
    with duckdb.connect() as con:
        facts_on(con, {"contacts": [{"person": i, "degree": 1, "last_exposure_at": NOW} for i in range(9)]})
        con.execute("CREATE TABLE wanted AS SELECT CAST(unnest([2, 4, 77]) AS UINTEGER) AS person")
        holds, verdicts = judge_all(con, load(SMALL), now=NOW, persons="wanted")
        assert verdicts["person"].to_pylist() == [2, 4]
        assert holds["person"].to_pylist() == [2, 4]


def test_an_authors_text_never_becomes_sql():
    evil = "x'; DROP TABLE fact_contacts; --"
    quoted = evil.replace("'", "''")
    rule = CONTACT_AND_AFTER.replace("degree = 1", f"degree = 1 and found_by <> '{quoted}'")
    with duckdb.connect() as con:
        facts_on(
            con, {"contacts": [{"person": 1, "degree": 1, "last_exposure_at": NOW, "found_by": evil[1:]}]}
        )
        _, verdicts = judge_all(con, load(policy_text(rule)), now=NOW)
        assert verdicts.num_rows == 1
        assert con.execute("SELECT count(*) FROM fact_contacts").fetchone() == (1,)

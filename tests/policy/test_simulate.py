"""A draft is tried on everybody before it is published, and nothing is written."""

from __future__ import annotations

import duckdb
import pytest
from anything import facts_on
from resident import at
from small_policy import CONTACT_AND_AFTER, SMALL, policy_text

from kangma.policy.document import load
from kangma.policy.simulate import simulate

NOW = at("2022-05-05 09:00")
TODAY = load(SMALL)


@pytest.fixture
def con():
    with duckdb.connect() as connection:
        people = [
            {"person": i, "district": "东城区" if i < 60 else "西城区", "away": False} for i in range(100)
        ]
        contacts = [
            {"person": i, "degree": 1 if i % 2 else 2, "last_exposure_at": at("2022-05-01 10:00")}
            for i in range(50, 70)
        ]
        facts_on(connection, {"people": people, "contacts": contacts})
        yield connection


def test_a_wrong_rule_is_seen_before_it_holds_anybody(con):
    wrong = load(SMALL.replace('when = "degree = 1"', 'when = "degree >= 1"'))
    before = con.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    found = simulate(con, TODAY, wrong, now=NOW)
    assert (found["people"], found["turns"], found["share"]) == (100, 10, 0.1)
    assert found["by_colour"] == {"green": {"red": 10}}
    assert found["by_rule"][0] == {"rule": "A-R4", "today": 10, "draft": 20, "gains": 10, "losses": 0}
    assert found["by_district"] == [
        {"district": "东城区", "people": 60, "turns": 5},
        {"district": "西城区", "people": 40, "turns": 5},
    ]
    assert con.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall() == before
    assert con.execute("SELECT count(*) FROM duckdb_views() WHERE view_name LIKE 'simulate%'").fetchone() == (
        0,
    )


def test_the_same_policy_turns_nobody(con):
    assert simulate(con, TODAY, TODAY, now=NOW)["turns"] == 0


def test_notices_are_compared_by_name_and_not_by_their_place_in_the_file(con):
    first = CONTACT_AND_AFTER.replace('outcome = "red"', 'outcome = ["red", "popup:3"]')
    moved = policy_text(first).replace('"1" = { zh = "去过", en = "been there" }\n', "")
    assert simulate(con, load(policy_text(first)), load(moved), now=NOW)["turns"] == 0
    other = policy_text(first.replace("popup:3", "popup:2"))
    found = simulate(con, load(policy_text(first)), load(other), now=NOW)
    assert (found["turns"], found["by_colour"]) == (10, {"red": {"red": 10}})


def test_a_city_without_people_can_be_simulated():
    with duckdb.connect() as empty:
        facts_on(empty, {})
        assert simulate(empty, TODAY, TODAY, now=NOW)["people"] == 0

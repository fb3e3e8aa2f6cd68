"""The real sequence of official lists, April to August 2022, against the intervals that others derived from it."""

from __future__ import annotations

import csv
import os
import tarfile
from pathlib import Path

import pyarrow.compute as pc
import pytest
from written import connection

from kangma.evidence.city import City
from kangma.intake.limits import Limits
from kangma.intake.risk_areas import read_risk_areas
from kangma.terms import moment

REAL = Path(os.environ.get("KANGMA_DATA", Path(__file__).parents[3] / "shared" / "data")) / "china_risk_areas"
LEVELS = {"high": "high", "middle": "medium"}


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.exists(), reason="the official lists are not here (KANGMA_DATA)")
def test_the_areas_of_beijing_had_their_levels_exactly_as_long_as_the_lists_say():
    lists = []
    with tarfile.open(REAL / "all_snapshots.tar.xz") as tar:
        for member in tar:
            if content := tar.extractfile(member):
                for batch in read_risk_areas(content.read(), limits=Limits()):
                    ours = pc.fill_null(pc.starts_with(batch.accepted["area_id"], "北京市/"), True)
                    lists.append(("state council", "area_lists", batch.accepted.filter(ours)))
    assert len(lists) == 561
    con = connection(lists, city=City("北京市", ("朝阳区", "海淀区")))
    found = set(con.execute("select level, area_id, from_at, to_at from area_spans").fetchall())
    expected = set()
    with (REAL / "beijing_intervals.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            area = "/".join(row[c] for c in ("province", "district", "subdistrict", "community"))
            to = moment(row["first_absent"]) if row["first_absent"] else None
            if row["level"] in LEVELS:
                expected.add((LEVELS[row["level"]], area, moment(row["first_listed"]), to))
    assert len(found & expected) > 190
    # Twice two lists bear one hour (12 May 21:00, 7 August 19:00) and disagree. They are one list to us: what either
    # names was named then; the reference reads one after the other.
    assert {area.rpartition("/")[2] for _, area, _, _ in found ^ expected} == {
        "样本小区",
        "鲁园上河村三区1号楼3单元",
        "鲁园上河村小区三区1号楼",
    }

    songyuli = [s for s in found if s[1] == "北京市/朝阳区/潘家园街道/松榆里社区"]
    assert sorted(songyuli, key=lambda s: s[2]) == [
        ("high", songyuli[0][1], moment("2022-04-24T16:00:00+08:00"), moment("2022-05-08T17:00:00+08:00")),
        ("medium", songyuli[0][1], moment("2022-05-08T17:00:00+08:00"), moment("2022-05-15T20:00:00+08:00")),
    ]
    assert con.execute("select bool_and(in_city), count(distinct county) > 2 from area_spans").fetchone() == (
        True,
        True,
    )

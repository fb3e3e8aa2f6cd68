"""The definitions as text: one source, two dialects, one grid in SQL and Python."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp
from tracing_worlds import connection, rows, table

from kangma.tracing.derive import places
from kangma.tracing.grid import DEGREE, cell
from kangma.tracing.sql import NAMES, spark_sql, sql

PLACES = pa.schema(
    [("place", pa.uint32()), ("kind", pa.string()), ("lat", pa.float64()), ("lon", pa.float64())]
)


def test_every_definition_says_what_it_reads() -> None:
    for name in NAMES:
        assert sql(name).startswith("-- ")
        assert "live_" in sql(name) or "visits(" in sql(name)
    with pytest.raises(ValueError, match="no such definition"):
        sql("everything")


@pytest.mark.parametrize("name", NAMES)
def test_the_text_for_spark_is_spark(name: str) -> None:
    text = spark_sql(name)
    again = sqlglot.parse_one(text, dialect="spark", error_level=sqlglot.ErrorLevel.RAISE)
    assert again.sql(dialect="spark", pretty=True) == text
    assert not again.find(exp.Command)  # sqlglot's way of saying that it did not understand
    kinds = {str(cast.to).upper() for cast in again.find_all(exp.Cast)}
    assert kinds <= {"BIGINT", "DOUBLE", "STRING", "TEXT"}  # Spark has no unsigned types
    code = "\n".join(line for line in sql(name).splitlines() if not line.startswith("--"))
    assert {p.name for p in again.find_all(exp.Placeholder)} == set(re.findall(r"\$(\w+)", code))


@pytest.mark.prove
def test_spark_itself_can_read_the_text() -> None:
    """Needs pyspark and Java beside this environment: Kangma's locks do not name them."""
    pytest.importorskip(
        "pyspark", reason="SKIPPED: pyspark is not installed, Spark's own parser was not asked"
    )
    if shutil.which("java") is None:
        pytest.skip("SKIPPED: there is no Java, Spark's own parser was not asked")
    ask = (
        "import json, sys; from pyspark.sql import SparkSession;"
        "s = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false').getOrCreate();"
        "[s._jsparkSession.sessionState().sqlParser().parsePlan(t) for t in json.load(sys.stdin)]; s.stop()"
    )
    texts = json.dumps([spark_sql(name) for name in NAMES])
    asked = subprocess.run(
        [sys.executable, "-c", ask], input=texts, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr


def cells(points: list[tuple[float, float]], metres: int = 800) -> list[int]:
    """The cells that places.sql gives to points, in their order."""
    con = connection()
    con.register("live_places", table([(i, "venue", *point) for i, point in enumerate(points)], PLACES))
    return places(con, cell_metres=metres).cell.tolist()


TIANANMEN, PANJIAYUAN = (39.9087, 116.3975), (39.8761, 116.4571)


def test_two_ends_of_a_square_lie_in_two_cells_and_two_sides_of_a_street_in_one() -> None:
    assert cell(*TIANANMEN, 800) != cell(*PANJIAYUAN, 800)
    assert cell(39.9087, 116.3975, 800) == cell(39.9087, 116.3977, 800)


def test_a_cell_is_eight_hundred_metres_wide_and_high() -> None:
    lat, lon = TIANANMEN
    north = next(i for i in range(2, 20_000) if cell(lat + i / DEGREE, lon, 800) != cell(lat, lon, 800))
    south = next(i for i in range(2, 20_000) if cell(lat - i / DEGREE, lon, 800) != cell(lat, lon, 800))
    assert 799 <= north + south <= 801
    row = cell(lat, lon, 800) // 10_000_000
    middle = (row + 0.5) * 800 / DEGREE - 90
    metre = 1 / (DEGREE * 0.7669)  # one metre eastward in degrees at 39.9° N, to three digits
    east = next(i for i in range(1, 20_000) if cell(middle, lon + i * metre, 800) != cell(middle, lon, 800))
    west = next(i for i in range(1, 20_000) if cell(middle, lon - i * metre, 800) != cell(middle, lon, 800))
    assert 797 <= east + west <= 803


def test_the_date_line_and_the_poles_have_cells_too() -> None:
    assert cell(10.0, 180.0, 800) == cell(10.0, -180.0, 800)
    assert cell(90.0, 12.0, 800) // 10_000_000 == 25046
    assert cell(-90.0, 12.0, 800) // 10_000_000 == 0
    with pytest.raises(ValueError, match="globe"):
        cell(91.0, 0.0, 800)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=1, max_size=50),
    st.sampled_from([100, 800, 1500]),
)
def test_sql_and_python_put_every_point_into_the_same_cell(
    points: list[tuple[float, float]], metres: int
) -> None:
    assert cells(points, metres) == [cell(*point, metres) for point in points]


def test_no_band_of_the_globe_is_a_matter_of_rounding() -> None:
    """The number of slices is rounded from a cosine, of which engines may differ in the last digit: it never matters."""
    bands = [(min((band + 0.5) * 800 / DEGREE - 90, 90.0), 179.999) for band in range(25_047)]
    assert cells(bands) == [cell(*point, 800) for point in bands]


def test_two_senders_who_disagree_about_a_place_are_heard_in_any_order() -> None:
    told = [(0, "venue", 39.9, 116.4), (0, "grid", 39.8, 116.4), (0, "home", 39.8, 116.4)]
    con = connection()
    found = []
    for order in (told, told[::-1]):
        con.register("live_places", table(order, PLACES))
        found.append(rows(con.sql(sql("places"), params={"metres": 800}).to_arrow_table()))
    assert found[0] == found[1] == [(0, "grid", cell(39.8, 116.4, 800))]

"""The definitions as SQL text: DuckDB's dialect as it is written, Spark's by translation."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

NAMES = ("places", "windows", "exposures", "companions", "chains", "secondary")


@cache
def sql(name: str) -> str:
    """The text of one of `NAMES` for DuckDB, with its parameters as `$name`. Its head says what it reads."""
    if name not in NAMES:
        raise ValueError(f"no such definition: {name}")
    return files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")


@cache
def spark_sql(name: str) -> str:
    """The same for Apache Spark, with its parameters as `:name` (`spark.sql(text, args={…})`)."""
    import sqlglot  # noqa: PLC0415  no other use of a city's, and slow to load

    text: str = sqlglot.transpile(sql(name), read="duckdb", write="spark", pretty=True, comments=False)[0]
    return text

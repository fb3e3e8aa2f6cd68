"""The city as files, in the form that `kangma ingest` takes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from kangma.city.run import City
from kangma.terms import calendar

Form = Literal["parquet", "csv"]


def write_city(
    city: City, out_dir: Path, form: Form = "parquet", *, progress: Callable[[int], None] | None = None
) -> list[Path]:
    """Writes every table; gives the files. One file a kind, one a day for visits, and `truth/` apart.

    `visits-2022-04-25.parquet` holds the visits reported on 25 April, which are those that ended on it
    (and nights cut short on the evening before). The other
    files hold documents in the order of their arrival, newer versions after older ones. `truth/_truth.parquet` (who
    infected whom) is no evidence: nothing takes in files whose name begins with an underscore. `progress` is called
    after each day with its number.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    files: dict[str, _File] = {}
    paths = []
    with ThreadPoolExecutor(1) as writer:
        waiting: Future[None] | None = None
        for day in range(city.days):
            city.run_to(day)
            visits = city.visits(day)
            path = out_dir / f"visits-{calendar(city.start_day + day).isoformat()}.{form}"
            paths.append(path)
            if waiting is not None:
                waiting.result()  # at most two days of visits in memory
            tables = city.documents(day)

            def write(
                path: Path = path, visits: list[pa.Table] = visits, tables: dict[str, pa.Table] = tables
            ) -> None:
                with _File(path, form) as file:
                    for part in visits:
                        file.write(city._visit_table(part))
                for kind, table in tables.items():
                    if kind not in files:
                        files[kind] = _File(out_dir / f"{kind}.{form}", form)
                    files[kind].write(table)

            waiting = writer.submit(write)
            if progress is not None:
                progress(day)
        if waiting is not None:
            waiting.result()
    for file in files.values():
        file.close()
        paths.append(file.path)
    truth = out_dir / "truth" / "_truth.parquet"
    truth.parent.mkdir(exist_ok=True)
    pq.write_table(city.truth(), truth)
    return [*paths, truth]


class _File:
    """One table written piece by piece; a Parquet row group each."""

    def __init__(self, path: Path, form: Form) -> None:
        self.path, self.form = path, form
        self._writer: pq.ParquetWriter | pyarrow.csv.CSVWriter | None = None

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, table: pa.Table) -> None:
        if self.form == "csv":
            table = plain(table)
        if self._writer is None:
            if self.form == "csv":
                self._writer = pyarrow.csv.CSVWriter(self.path, table.schema)
            else:
                self._writer = pq.ParquetWriter(
                    self.path,
                    table.schema,
                    compression="zstd",
                    compression_level=1,
                    # Document numbers stay dictionary-encoded however many there are in a row group.
                    dictionary_pagesize_limit=1 << 28,
                    use_dictionary=[f.name for f in table.schema if _repeats(f)],
                )
        if self.form == "csv":
            self._writer.write_table(table)
        else:
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _repeats(field: pa.Field) -> bool:
    return pa.types.is_dictionary(field.type) or (
        pa.types.is_string(field.type)
        and field.name not in ("document_id", "specimen_id", "id_number", "phone")
    )


def plain(table: pa.Table) -> pa.Table:
    """The table as text can hold it: no dictionaries, times as ISO 8601 in UTC."""
    columns = {}
    for field in table.schema:
        column = table[field.name]
        if pa.types.is_dictionary(field.type):
            column = column.cast(pa.string())
        elif pa.types.is_timestamp(field.type):
            column = pa.compute.strftime(
                column.cast(pa.timestamp("s", tz="UTC")), format="%Y-%m-%dT%H:%M:%SZ"
            )
        columns[field.name] = column
    return pa.table(columns)

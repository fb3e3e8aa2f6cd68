"""`kangma city`: a synthetic city as input tables."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kangma.city import make_city, write_city
from kangma.cli.terminal import Json, fail, out, plain, print_json, progress


class Form(StrEnum):
    parquet = "parquet"
    csv = "csv"


def city(
    directory: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")],
    residents: Annotated[
        int, typer.Option("--residents", min=100, help="How many people live there.")
    ] = 20_000,
    days: Annotated[int, typer.Option("--days", min=1, help="How many days.")] = 14,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same city.")] = 1,
    start: Annotated[
        datetime, typer.Option("--start", metavar="DAY", formats=["%Y-%m-%d"], help="The first day.")
    ] = datetime(2022, 4, 15),
    form: Annotated[
        Form, typer.Option("--form", metavar="FORM", help="How to write the tables: parquet or csv.")
    ] = Form.parquet,
    as_json: Json = False,
) -> None:
    """Write a seeded, invented city as the tables that `kangma ingest` takes."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        fail(f"{directory} is not an empty folder")
    made = make_city(residents, days, seed, start=date(start.year, start.month, start.day))
    with progress() as bars:
        bar = bars.add_task("days", total=days)
        files = write_city(made, directory, form.value, progress=lambda _: bars.advance(bar))
    size = sum(f.stat().st_size for f in files)
    if as_json:
        print_json({"directory": str(directory), "files": [str(f) for f in files], "bytes": size})
        return
    out.print(
        f"[bold]{residents:,}[/] residents, {days} days: {len(files)} files, {size / 1e6:,.1f} MB in {plain(directory)}"
    )
    out.print("  truth/ holds who infected whom; it is for checking, not for ingest.")

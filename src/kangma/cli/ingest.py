"""`kangma ingest`: files and folders in, receipts out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kangma import terms
from kangma.cli.terminal import (
    Exit,
    Json,
    Now,
    StateDir,
    err,
    fail,
    out,
    plain,
    print_json,
    progress,
    table,
    wall_clock,
)
from kangma.intake.kinds import KINDS
from kangma.store.inbox import check_feed
from kangma.store.receive import FileReceipt, files_in, receive, sandbox_for
from kangma.store.state import open_state

COUNTS = ("received", "accepted", "duplicate", "refused", "quarantined")
#: Beyond so many files the table counts by kind, and the lists are cut.
MOST_LINES = 30


def ingest(
    directory: StateDir,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH…", help="Files, or folders of files.", show_default=False)
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help=f"What the tables hold, where the file name does not say: {', '.join(KINDS)}.",
        ),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            "--source", metavar="NAME", help="Who sends this. Versions and retractions of documents go by it."
        ),
    ] = "local",
    zone: Annotated[
        str | None,
        typer.Option(
            "--zone",
            metavar="ZONE",
            help="Time zone of HL7 and FHIR times that carry no offset. Without it they are refused.",
        ),
    ] = None,
    inside: Annotated[
        bool,
        typer.Option(
            "--inside", help="The sender is inside the boundary and may name persons by key (Parquet only)."
        ),
    ] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Take files in. What is counted as accepted is on the disk.

    Tables (CSV, NDJSON, Parquet; named after their kind, as tests-2022-04-25.csv), FHIR R4, HL7 v2 and the official
    risk-area lists. Sending the same again changes nothing. Refused rows go to a rejects file that can be mended and
    sent again. Exit code 2 if a whole file is unreadable; the other files are taken in.
    """
    if kind is not None and kind not in KINDS:
        fail(f"no kind {kind!r}; there are {', '.join(KINDS)}")
    check_feed(source)
    if zone is not None:
        try:
            terms.zone(zone)
        except ValueError as problem:
            fail(str(problem))
    moment = wall_clock() if now is None else now
    files = files_in(paths)
    receipts: list[FileReceipt] = []
    with open_state(directory) as state, sandbox_for(state) as sandbox, progress() as bars:
        bar = bars.add_task("taking in", total=len(files))
        for path in files:
            bars.update(bar, description=path.name[-40:])
            receipts.append(
                receive(
                    state, path, kind=kind, feed=source, zone=zone, inside=inside, now=moment, sandbox=sandbox
                )
            )
            bars.advance(bar)
    if as_json:
        print_json({"files": [r.as_json() for r in receipts]})
    else:
        _show(receipts)
    if any(r.code is not None for r in receipts):
        raise typer.Exit(int(Exit.UNUSABLE))


def _show(receipts: list[FileReceipt]) -> None:
    if not receipts:
        out.print("There was no file to take in.")
        return
    if len(receipts) <= MOST_LINES:
        rows = table("file", *COUNTS)
        for r in receipts:
            name = plain(Path(r.path).name)
            mark = "[bold red]✗[/] " if r.code else ""
            kind = "" if not r.kind or name.startswith(r.kind) else f" [dim]{plain(r.kind)}[/]"
            rows.add_row(mark + name + kind, *_cells([r]))
    else:
        rows = table("kind", "files", *COUNTS)
        for kind in sorted({r.kind for r in receipts}):
            those = [r for r in receipts if r.kind == kind]
            rows.add_row(plain(kind) or "unknown", f"{len(those):,}", *_cells(those))
    if len(receipts) > 1:
        rows.add_section()
        files = [] if len(receipts) <= MOST_LINES else [f"{len(receipts):,}"]
        rows.add_row(*(f"[bold]{cell}[/]" for cell in ("all", *files, *_cells(receipts))))
    out.print(rows)
    _list("refused whole", "bold red", [(r, _why(r)) for r in receipts if r.code is not None])
    _list("refused rows", "yellow", [(r, _codes(r)) for r in receipts if r.rejects_file])


def _cells(receipts: list[FileReceipt]) -> list[str]:
    sums = (sum(getattr(r, name) for r in receipts) for name in COUNTS)
    return [f"{n:,}" if n else "·" for n in sums]


def _list(title: str, style: str, lines: list[tuple[FileReceipt, str]]) -> None:
    for receipt, why in lines[:MOST_LINES]:
        err.print(f"[{style}]{title}:[/] {plain(Path(receipt.path).name)}: {plain(why)}")
    if len(lines) > MOST_LINES:
        err.print(f"[{style}]{title}:[/] and {len(lines) - MOST_LINES:,} files more; --json lists them all.")


def _why(receipt: FileReceipt) -> str:
    place = f" ({receipt.where})" if receipt.where else ""
    return f"{receipt.code}{place}{f': {receipt.hint}' if receipt.hint else ''}"


def _codes(receipt: FileReceipt) -> str:
    codes = ", ".join(f"{code} {n:,}" for code, n in sorted(receipt.as_json()["codes"].items()))
    return f"{codes} → {receipt.rejects_file}"

"""`kangma ingest`: files and folders in, receipts out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kangma.cli.terminal import Exit, Json, Now, StateDir, err, out, print_json, progress, table, wall_clock
from kangma.intake.kinds import KINDS
from kangma.store.receive import FileReceipt, files_in, receive, sandbox_for
from kangma.store.state import open_state


def ingest(
    directory: StateDir,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH…", help="Files, or folders of files.", show_default=False)
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", help=f"What the tables hold, where the file name does not say: {', '.join(KINDS)}."
        ),
    ] = None,
    source: Annotated[
        str, typer.Option("--source", help="Who sends this. Evidence and retractions go by it.")
    ] = "local",
    zone: Annotated[
        str | None,
        typer.Option(
            "--zone", help="Time zone of HL7 times that carry no offset. Without it they are refused."
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
    """Take files in. What is counted as accepted is on the disk when its line appears.

    Refused rows go to a rejects file that can be mended and sent again. Exit code 2 if a whole file is unreadable.
    """
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
    rows = table("file", "kind", "received", "accepted", "duplicate", "refused", "quarantined")
    for r in receipts:
        mark = "[bold red]✗[/] " if r.code else ""
        counts = (r.received, r.accepted, r.duplicate, r.refused, r.quarantined)
        rows.add_row(mark + Path(r.path).name, r.kind, *(f"{n:,}" if n else "·" for n in counts))
    if len(receipts) > 1:
        totals = (
            sum(getattr(r, n) for r in receipts)
            for n in ("received", "accepted", "duplicate", "refused", "quarantined")
        )
        rows.add_section()
        rows.add_row("[bold]all[/]", "", *(f"[bold]{n:,}[/]" for n in totals))
    out.print(rows)
    for r in receipts:
        if r.code is not None:
            place = f" ({r.where})" if r.where else ""
            err.print(f"[bold red]refused whole:[/] {Path(r.path).name}: {r.code}{place} {r.hint}".rstrip())
        if r.rejects_file:
            codes = ", ".join(f"{code} {n:,}" for code, n in sorted(r.as_json()["codes"].items()))
            err.print(f"[yellow]refused rows:[/] {Path(r.path).name}: {codes} → {r.rejects_file}")

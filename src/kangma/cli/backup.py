"""`kangma backup`: one folder that holds a living city as at one moment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kangma.cli.terminal import (
    Json,
    Now,
    StateDir,
    counted,
    out,
    paragraph,
    plain,
    print_json,
    progress,
    wall_clock,
)
from kangma.store.backup import take
from kangma.store.state import open_state


def backup(
    directory: StateDir,
    to: Annotated[
        Path, typer.Argument(metavar="TO", help="The folder to write: new or empty.", show_default=False)
    ],
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            metavar="FOLDER",
            help="Write the city's keys into this folder, new or empty, to be kept elsewhere. Default: left out.",
        ),
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Take a backup of a living city: one moment, no keys.

    The city goes on meanwhile. The backup is finished when its file KANGMA-BACKUP is there; without it `kangma restore`
    takes nothing. A backup exists only after a restore test: `kangma restore` into another folder makes one.
    """
    with open_state(directory) as state, progress(quiet=as_json) as bars:
        bars.add_task("copying", total=None)
        done = take(state, to, keys=keys, now=wall_clock() if now is None else now)
    said = done.manifest
    if as_json:
        print_json(
            {
                "at": said.at,
                "release": said.release,
                "log": None if said.log is None else {"size": said.log[0], "root": said.log[1]},
                "persons": said.persons,
                "files": len(said.files),
                "bytes": done.bytes,
                "seconds": round(done.seconds, 3),
                "locked_seconds": round(done.locked, 3),
                "keys": sorted(said.keys),
                "keys_written": keys is not None,
                "unknown": list(done.unknown),
            }
        )
        return
    log = "" if said.log is None else f", log of {said.log[0]:,} entries"
    out.print(
        f"[bold]Release {said.release:,}[/]{log}, {counted(said.persons, 'person')}: {counted(len(said.files), 'file')}, "
        f"{done.bytes / 1e6:,.1f} MB in {done.seconds:.1f} s; the city waited {done.locked:.2f} s."
    )
    if keys is None:
        paragraph("The keys are not in it. Without them it cannot be restored: --keys writes them.", indent=0)
    else:
        paragraph(
            f"{counted(len(said.keys), 'key')} in {plain(keys)}: keep them where the backup is not.", indent=0
        )
    if done.unknown:
        paragraph(
            f"Left out, because nobody here knows what it is: {plain(', '.join(done.unknown))}.", indent=0
        )

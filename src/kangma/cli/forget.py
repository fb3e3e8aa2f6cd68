"""`kangma forget`: retention, in two steps."""

from __future__ import annotations

from typing import Annotated

import typer

from kangma.cli.terminal import Exit, Json, Now, StateDir, fail, out, print_json, wall_clock, when
from kangma.publish.policies import policies
from kangma.store.forget import CAP, DAYS, MOST_DAYS, WAIT
from kangma.store.forget import forget as forget_in
from kangma.store.state import open_state
from kangma.terms import HOUR, zone


def forget(
    directory: StateDir,
    days: Annotated[
        int,
        typer.Option(
            "--days", min=1, max=MOST_DAYS, help="Keep this many days after the day on which they were over."
        ),
    ] = DAYS,
    wait_hours: Annotated[
        int, typer.Option("--wait-hours", min=0, help="Hours between mark and shred.")
    ] = WAIT // HOUR,
    most: Annotated[
        float,
        typer.Option("--most", min=0.0, max=1.0, help="The largest part of a kind that one run may take."),
    ] = CAP,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Let visits and stays go that are over for long enough: mark, wait, shred.

    The first call marks and counts, a later one shreds what was marked and has waited. Exit code 1 when a run was
    stopped because it would have taken too much.
    """
    moment = wall_clock() if now is None else now
    with open_state(directory) as state:
        name = policies(state).in_force(moment).zone
        done = forget_in(state, moment, zone=zone(name), days=days, wait=wait_hours * HOUR, cap=most)
    if as_json:
        print_json(
            {
                "shredded": {"run": done.shredded_run, "rows": dict(done.shredded)},
                "marked": {
                    "run": done.marked_run,
                    "rows": dict(done.marked),
                    "ready_at": None if done.ready_at is None else zone(name).iso(done.ready_at),
                },
                "stopped": done.stopped,
            }
        )
    else:
        if done.shredded_run is not None:
            out.print(f"Run {done.shredded_run}: {_rows(done.shredded)} are gone.")
        if done.marked_run is not None and done.stopped is None:
            out.print(
                f"Run {done.marked_run}: {_rows(done.marked)} are marked and may go from {when(done.ready_at, name)} on."
            )
        if done.shredded_run is None and done.marked_run is None:
            out.print("Nothing is old enough.")
    if done.stopped:
        why = f"more than {most:.0%} of a kind would go" if done.stopped == "cap" else done.stopped
        fail(
            f"run {done.marked_run} was stopped, and nothing of it is gone: {why}; --most permits more",
            Exit.WRONG,
        )


def _rows(counts: object) -> str:
    pairs = dict(counts) if isinstance(counts, dict) else {}
    return ", ".join(f"{n:,} {kind}" for kind, n in sorted(pairs.items())) or "no rows"

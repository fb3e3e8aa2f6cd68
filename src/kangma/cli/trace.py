"""`kangma trace`: the exposures of one case."""

from __future__ import annotations

from typing import Annotated

import typer

from kangma.cli.terminal import (
    Json,
    Now,
    StateDir,
    counted,
    fail,
    out,
    plain,
    print_json,
    table,
    wall_clock,
    when,
)
from kangma.publish.answers import trace_of
from kangma.store.state import open_state


def trace(
    directory: StateDir,
    case: Annotated[str, typer.Option("--case", metavar="ID", help="The case_id of the case.")],
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Who met a case, how long, when and where, by all absorbed evidence."""
    with open_state(directory) as state:
        found = trace_of(state, case, now=wall_clock() if now is None else now)
    if found is None:
        fail(
            f"no live case {case!r}: unknown, not yet absorbed, excluded, or isolated before it was infectious"
        )
    if as_json:
        print_json(found.as_json())
        return
    first, last = (when(at, found.zone) for at in found.window)
    out.print(f"Case [bold]{plain(case)}[/] met {counted(len(found.rows), 'person', 'people')}.")
    out.print(f"It could infect others from {first} to {last}.")
    if not found.rows:
        return
    rows = table("person", "minutes", "meetings", "first", "last", "places", texts=["places"])
    for row in found.rows[:50]:
        places = ", ".join(row["places"][:3]) + (" …" if len(row["places"]) > 3 else "")
        first, last = when(row["first_at"], found.zone), when(row["last_at"], found.zone)
        rows.add_row(
            row["person"][:8] + "…",
            f"{row['minutes']:,.0f}",
            str(row["meetings"]),
            first,
            last,
            plain(places),
        )
    out.print(rows)
    if len(found.rows) > 50:
        out.print(f"  … and {len(found.rows) - 50:,} more; --json lists them all.")

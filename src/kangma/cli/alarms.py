"""`kangma alarms`: what an operator must look at."""

from __future__ import annotations

from typing import Annotated

import typer

from kangma.cli.terminal import Exit, Json, StateDir, out, plain, print_json, table, wall_clock, when
from kangma.publish.policies import policies
from kangma.store.alarms import Alarm, What
from kangma.store.alarms import alarms as alarms_of
from kangma.store.state import open_state
from kangma.terms import zone

#: In a word, what it says.
SAYS = {
    What.SEQUENCE_GAP: "a batch never came",
    What.MANIFEST_MISMATCH: "a file was not what its manifest says, and was refused",
    What.QUARANTINE: "bytes broke the reader three times and were put aside",
    What.BRAKE: "a batch with far more positives than usual is held",
    What.SCANS_DAMAGED: "a file of scan-ins at doors does not open",
    What.DELETION_STOPPED: "a deletion would have taken too much",
}


def alarms(
    directory: StateDir,
    after: Annotated[
        int, typer.Option("--after", min=0, metavar="N", help="Only those with a larger number.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """What an operator must look at: gaps in batches, broken manifests, quarantine, the brake, deletions.

    Exit code 1 when there are any: ask with --after and the last number that was dealt with. What to do about each
    stands in docs/operate.md.
    """
    with open_state(directory) as state:
        found = alarms_of(state.registry, after=after)
        name = policies(state).in_force(wall_clock()).zone
    if as_json:
        print_json([_told(alarm, name) for alarm in found])
    elif not found:
        out.print("No alarm." if after == 0 else f"No alarm after {after}.")
    else:
        shown = table("alarm", "at", "source", "what", "detail")
        for alarm in found:
            detail = ", ".join(f"{key} {value}" for key, value in alarm.detail.items())
            feed = "" if alarm.feed is None else plain(alarm.feed)
            shown.add_row(str(alarm.number), when(alarm.at, name), feed, SAYS[alarm.what], plain(detail))
        out.print(shown)
    if found:
        raise typer.Exit(Exit.WRONG)


def _told(alarm: Alarm, name: str) -> dict[str, object]:
    return {
        "alarm": alarm.number,
        "what": alarm.what.value,
        "feed": alarm.feed,
        "detail": dict(alarm.detail),
        "at": None if alarm.at is None else zone(name).iso(alarm.at),
    }

"""`kangma venues`: doors whose code phones scan."""

from __future__ import annotations

from typing import Annotated

import typer

from kangma.cli.terminal import Json, Now, StateDir, fail, out, plain, print_json, table, wall_clock
from kangma.publish.city import city_name
from kangma.store.state import State, open_state
from kangma.terms import zone

app = typer.Typer(
    help="Doors whose rotating code phones scan: register, renew a key, close.", no_args_is_help=True
)

Number = Annotated[str, typer.Argument(metavar="VENUE", help="Its eight digits.", show_default=False)]


@app.command()
def add(
    directory: StateDir,
    place: Annotated[
        str, typer.Option("--place", help="The place_id at which its visits are: one of the evidence.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="What residents read; else the place's own.")
    ] = None,
    stay: Annotated[
        int,
        typer.Option(
            "--stay", min=1, max=1_440, help="Minutes that a visit is taken to last which nobody ended."
        ),
    ] = 60,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Register a door. Prints the key for its device, once: whoever has it can draw the door's code."""
    from kangma.store.front import prepare  # noqa: PLC0415  the store is not needed for help
    from kangma.store.venues import Venues  # noqa: PLC0415  as above

    with open_state(directory) as state, Venues(prepare(directory)) as venues:
        known = _place(state, place)
        if known is None:
            fail(f"no place {place} in the evidence: send it as a document of kind places, and run a cycle")
        made, key = venues.register(
            place, name or known, now=wall_clock() if now is None else now, assumed_minutes=stay
        )
    _tell_key(directory, made.venue, made.name, key, as_json)


def _place(state: State, place: str) -> str | None:
    """The name of a place of the evidence; None when there is none of this id."""
    with state.engine.work() as con:
        state.raw(con)
        row = con.execute("SELECT min(name) FROM raw_places WHERE place_id = ?", [place]).fetchone()
    return None if row is None or row[0] is None else str(row[0])


def _tell_key(directory: StateDir, number: str, name: str, key: bytes, as_json: bool) -> None:
    from kangma.credential.venue_code import key_text  # noqa: PLC0415  as above

    city = city_name(directory)
    base = "" if city is None else city.base
    text = key_text(number, key)
    if as_json:
        print_json({"venue": number, "name": name, "key": text, "page": f"{base}/venue#{text}"})
        return
    out.print(f"[bold]{plain(name)}[/] is venue [bold]{number}[/]. Its key, shown once:\n  {text}")
    out.print(f"Open on the device that stands at the door:\n  {plain(base)}/venue#{text}")


@app.command("list")
def list_(directory: StateDir, now: Now = None, as_json: Json = False) -> None:
    """Every door, and how many came today."""
    from kangma.publish.policies import policies  # noqa: PLC0415  as above
    from kangma.store.front import prepare  # noqa: PLC0415  as above
    from kangma.store.venues import Venues  # noqa: PLC0415  as above

    at = wall_clock() if now is None else now
    with open_state(directory) as state, Venues(prepare(directory)) as venues:
        here = zone(policies(state).in_force(at).zone)
        found = [(v, venues.counts(v.venue, here.day(at))) for v in venues.all()]
    if as_json:
        print_json(
            [
                {
                    "venue": v.venue, "name": v.name, "place": v.place, "stay_minutes": v.assumed_minutes,
                    "registered_at": here.iso(v.made_at), "closed_at": v.closed_at and here.iso(v.closed_at),
                    "today": counts,
                }
                for v, counts in found
            ]
        )  # fmt: skip
        return
    rows = table(
        "venue", "name", "place", "stay", "passed", "wait", "unknown", "left", "late", texts=["name", "place"]
    )
    for v, counts in found:
        closed = " (closed)" if v.closed_at is not None else ""
        figures = (f"{counts[k]:,}" for k in ("pass", "wait", "unknown", "left", "late"))
        rows.add_row(v.venue, plain(v.name + closed), plain(v.place), f"{v.assumed_minutes}", *figures)
    out.print(rows)


@app.command()
def rekey(
    directory: StateDir,
    venue: Number,
    stolen: Annotated[
        bool,
        typer.Option("--stolen", help="Nothing that the old key drew is taken any more, late ones included."),
    ] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """A new key for a door. Codes of the old one from before are still taken late, unless it was stolen."""
    from kangma.store.front import prepare  # noqa: PLC0415  as above
    from kangma.store.venues import Venues  # noqa: PLC0415  as above

    with Venues(prepare(directory)) as venues:
        key = venues.renew_key(venue, now=wall_clock() if now is None else now, stolen=stolen)
        name = venues.venue(venue).name
    _tell_key(directory, venue, name, key, as_json)


@app.command()
def close(directory: StateDir, venue: Number, now: Now = None) -> None:
    """A door takes nobody in any more. Scan-ins from before are still taken late."""
    from kangma.store.front import prepare  # noqa: PLC0415  as above
    from kangma.store.venues import Venues  # noqa: PLC0415  as above

    with Venues(prepare(directory)) as venues:
        venues.end(venue, now=wall_clock() if now is None else now)
    out.print(f"Venue {venue} is closed.")

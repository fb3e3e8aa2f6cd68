"""`kangma code`: one person's code, why, and the way out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kangma.cli.terminal import Json, Now, StateDir, out, print_json, shown_state, sign, wall_clock
from kangma.publish.answers import code_of
from kangma.store.state import open_state


def code(
    directory: StateDir,
    id_type: Annotated[
        str,
        typer.Option("--id-type", help="10 identity card, 20 passport; 14 15 16 34 99."),
    ],
    id_number: Annotated[str, typer.Option("--id-number", help="The number of the document.")],
    now: Now = None,
    as_json: Json = False,
) -> None:
    """One person's code: every hold with its reason in Chinese and English, the ways out and the expected end."""
    with open_state(directory) as state:
        answer = code_of(state, id_type, id_number, now=wall_clock() if now is None else now)
    if as_json:
        print_json(answer)
    else:
        show(answer)


def show(answer: dict[str, Any]) -> None:
    """The answer as a person reads it: what, why, the way out, the end. Holds of one rule are told once."""
    out.print(
        f"{sign(shown_state(answer))}   [dim]{answer['person'][:8]}…  as at {_minute(answer['as_of'])}[/]"
    )
    told: dict[str, list[dict[str, Any]]] = {}
    for hold in answer["holds"]:
        told.setdefault(hold["rule"], []).append(hold)
    for rule, holds in told.items():
        hold = max(holds, key=lambda h: h["until"] or "9")
        ends = f"until {_minute(hold['until'])}" if hold["until"] else "no end is known yet"
        more = f", and {len(holds) - 1} more of the same" if len(holds) > 1 else ""
        out.print(f"\n  [bold]{rule}[/] {hold['outcome']}, since {_minute(hold['since'])}, {ends}{more}")
        out.print(f"    {hold['reason']['zh']}\n    {hold['reason']['en']}")
        out.print(f"    [dim]{hold['authority_name']['zh']} {hold['authority_name']['en']}[/]")
        for text in (hold["way_out"], *hold["clears"]):
            out.print(f"    → {text['zh']}\n      {text['en']}")
    way = answer["way_to_green"]
    if way and answer["holds"]:
        out.print(f"\n  [bold]怎样变绿 The way to green[/]\n    {way['zh']}\n    {way['en']}")
    nat = answer["nat"]
    if nat:
        out.print(f"  核酸 last test: {nat['result']}, {nat['days']} days")
    policy = answer["policy"]
    out.print(f"  [dim]{policy['id']} {policy['version']}, digest {policy['digest'][:16]}…[/]")


def _minute(iso: str) -> str:
    return iso[:16].replace("T", " ")

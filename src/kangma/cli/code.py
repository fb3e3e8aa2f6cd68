"""`kangma code`: one person's code, why, and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kangma.cli.terminal import (
    Json,
    Now,
    StateDir,
    counted,
    out,
    paragraph,
    print_json,
    shown_state,
    sign,
    wall_clock,
)
from kangma.publish.answers import code_of
from kangma.publish.credentials import resident
from kangma.store.state import State, open_state


def code(
    directory: StateDir,
    id_type: Annotated[
        str,
        typer.Option(
            "--id-type",
            metavar="TYPE",
            help="10 resident identity card, 14 Hong Kong/Macao permit, 15 Taiwan permit, 16 one-time Taiwan permit, "
            "20 passport, 34 foreign permanent-resident card, 99 other.",
        ),
    ],
    id_number: Annotated[
        str, typer.Option("--id-number", metavar="NUMBER", help="The number of the document.")
    ],
    proofs: Annotated[
        Path | None,
        typer.Option(
            "--receipts",
            metavar="FOLDER",
            help="Also write a receipt for each time this code turned: it proves that the log has it, and when. "
            "`kangma audit --public … --receipt FILE` checks one.",
        ),
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """One person's code: every hold with its reason, the ways out and the expected end.

    Sentences are in Chinese and English. The answer goes by what `kangma cycle` has absorbed. Of a person of whom
    nothing is known, the colour is "unknown": neither green nor red.
    """
    with open_state(directory) as state:
        answer = code_of(state, id_type, id_number, now=wall_clock() if now is None else now)
        if proofs is not None:
            _write_receipts(state, proofs, resident(state, id_type, id_number))
    if as_json:
        print_json(answer)
    else:
        show(answer)


def _write_receipts(state: State, folder: Path, person: int) -> None:
    from kangma.publish.receipts import receipts  # noqa: PLC0415  reads Parquet; a code does not

    folder.mkdir(parents=True, exist_ok=True)
    for release, receipt in receipts(state, person):
        (folder / f"release-{release.number}.receipt").write_bytes(receipt.to_bytes())


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
        _told(hold["reason"])
        paragraph(f"{hold['authority_name']['zh']} {hold['authority_name']['en']}", style="dim")
        for text in (hold["way_out"], *hold["clears"]):
            _told(text, mark="→ ")
    way = answer["way_to_green"]
    if way and answer["holds"]:
        out.print("\n  [bold]怎样变绿 The way to green[/]")
        _told(way)
    if answer["colour"] == "unknown" and not answer["holds"]:
        _told({"zh": "系统中没有此人的任何记录。", "en": "Nothing that was absorbed speaks of this person."})
    nat = answer["nat"]
    if nat:
        days = "" if nat["days"] is None else f", {nat['days']} 天 {counted(nat['days'], 'day')}"
        tube = nat["pooled"] and nat["days"] is None
        more = "，混检，需单人复核 of a pooled sample: a single test is needed" if tube else ""
        out.print(f"  核酸 last test: {nat['result']}{days}{more}")
    policy = answer["policy"]
    paragraph(f"{policy['id']} {policy['version']}, digest {policy['digest'][:16]}…", indent=2, style="dim")


def _told(text: dict[str, str], mark: str = "") -> None:
    paragraph(text["zh"], mark=mark)
    paragraph(text["en"], indent=4 + len(mark))


def _minute(iso: str) -> str:
    return iso[:16].replace("T", " ")

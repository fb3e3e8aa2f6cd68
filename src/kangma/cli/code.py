"""`kangma code`: one person's code, why, and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.cells import cell_len

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
        print_json(answer | {"way_to_green": way_to_green(answer)})
    else:
        show(answer)


def way_to_green(answer: dict[str, Any]) -> dict[str, str | None] | None:
    """The whole `way` of an answer as one text, for programs that were written before it had legs: {zh, en, earliest}.
    Null for a person of whom nothing is known; no words where there is nothing to do."""
    legs = answer["way"]
    if legs is None:
        return None
    lines = [step for leg in legs for step in leg["steps"]]
    last = legs[-1] if legs else {"to": "green", "earliest": answer["as_of"]}
    return {
        "zh": "".join(line["zh"] for line in lines),
        "en": " ".join(line["en"] for line in lines),
        "earliest": last["earliest"] if last["to"] == "green" else None,
    }


def _write_receipts(state: State, folder: Path, person: int) -> None:
    from kangma.publish.receipts import receipts  # noqa: PLC0415  reads Parquet; a code does not

    folder.mkdir(parents=True, exist_ok=True)
    for release, receipt in receipts(state, person):
        (folder / f"release-{release.number}.receipt").write_bytes(receipt.to_bytes())


def show(answer: dict[str, Any]) -> None:
    """The answer as a person reads it: what, why, the way out, the end; last, for who checks it, how it was decided.
    Holds of one rule are told once."""
    out.print(
        f"{sign(shown_state(answer))}   [dim]{answer['person'][:8]}…  as at {_minute(answer['as_of'])}[/]"
    )
    told: dict[str, list[dict[str, Any]]] = {}
    for hold in answer["holds"]:
        told.setdefault(hold["rule"], []).append(hold)
    for holds in told.values():
        hold = max(holds, key=lambda h: h["until"] or "9")
        ends = f"until {_minute(hold['until'])}" if hold["until"] else "no end is known yet"
        more = f", and {len(holds) - 1} more of the same" if len(holds) > 1 else ""
        out.print()
        _told(hold["reason"], indent=2, style="bold")
        paragraph(f"{hold['authority_name']['zh']} {hold['authority_name']['en']}", style="dim")
        out.print(f"    {_OUTCOMES[hold['outcome']]}, since {_minute(hold['since'])}, {ends}{more}")
        _told(hold["way_out"])
        for text in hold["clears"]:
            _told(text, mark="- ")
    if answer["way"]:
        out.print("\n  [bold]怎样解除 The way out[/]")
        for number, leg in enumerate(answer["way"]):
            if number:
                out.print()
            _told(leg)
            for step in leg["steps"]:
                _told(step, mark="→ ", indent=6)
                for other in step["or"]:
                    _or(other, indent=8)
            for other in leg["or"]:
                _or(other, indent=6)
    if answer["colour"] == "unknown" and not answer["holds"]:
        _told({"zh": "系统中没有此人的任何记录。", "en": "Nothing that was absorbed speaks of this person."})
    nat = answer["nat"]
    if nat:
        days = "" if nat["days"] is None else f", {nat['days']} 天 {counted(nat['days'], 'day')}"
        tube = nat["pooled"] and nat["days"] is None
        more = "，混检，需单人复核 of a pooled sample: a single test is needed" if tube else ""
        out.print(f"\n  核酸 last test: {nat['result']}{days}{more}")
    policy = answer["policy"]
    out.print()
    if told:
        rules = f"{'rule' if len(told) == 1 else 'rules'} {', '.join(told)}"
        paragraph(f"依据 How this was decided: {rules}", indent=2, style="dim")
    paragraph(f"{policy['id']} {policy['version']}, digest {policy['digest'][:16]}…", indent=2, style="dim")


_OUTCOMES = {
    "red": "红码 Red",
    "yellow": "黄码 Yellow",
    "unknown": "未核实 Not verified",
    "popup": "弹窗提示 Notice",
    "remind": "提醒 Reminder",
}


def _or(text: dict[str, Any], indent: int) -> None:
    paragraph(text["zh"], mark="或 ", indent=indent)
    paragraph(text["en"], mark="or ", indent=indent)


def _told(text: dict[str, Any], mark: str = "", indent: int = 4, style: str = "") -> None:
    paragraph(text["zh"], mark=mark, indent=indent, style=style)
    paragraph(text["en"], indent=indent + cell_len(mark), style=style)


def _minute(iso: str) -> str:
    return iso[:16].replace("T", " ")

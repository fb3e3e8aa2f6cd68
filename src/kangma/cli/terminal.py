"""How the verbs speak: tables and bars for people, JSON for programs, one line and an exit code for failures."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text as Line

from kangma.terms import Moment, State, moment, zone


class Exit(IntEnum):
    """The contract: 0 done, 1 checked and found wrong, 2 unusable input or arguments, 3 try again."""

    DONE = 0
    WRONG = 1
    UNUSABLE = 2
    UNAVAILABLE = 3


def enough() -> NoReturn:
    """`kangma … | head`: the reader has what it wanted, and that is no failure."""
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  nothing may be written at the exit either
    sys.exit(int(Exit.DONE))


class _Voice(Console):
    def on_broken_pipe(self) -> None:
        self.quiet = True
        enough()


out = _Voice(highlight=False, soft_wrap=True, emoji=False)
err = _Voice(stderr=True, highlight=False, soft_wrap=True, emoji=False)

SIGNS = {  # a shape, a word and a colour: any one of them is enough
    State.GREEN: ("●", "green", "bold green"),
    State.REMIND: ("○", "reminder", "cyan"),
    State.POPUP: ("◆", "notice", "bold blue"),
    State.YELLOW: ("▲", "yellow", "bold yellow"),
    State.RED: ("■", "red", "bold red"),
    State.UNKNOWN: ("?", "not verified", "bold magenta"),
}


def sign(state: State) -> str:
    """The state as rich markup: shape, word and colour."""
    shape, word, style = SIGNS[state]
    return f"[{style}]{shape} {word}[/]"


def shown_state(answer: Mapping[str, Any]) -> State:
    """The lattice's state behind an answer's colour and notices."""
    colours = {"red": State.RED, "yellow": State.YELLOW, "unknown": State.UNKNOWN}
    if answer["colour"] in colours:
        return colours[answer["colour"]]
    kinds = {n["kind"] for n in answer["notices"]}
    return State.POPUP if "popup" in kinds else State.REMIND if "remind" in kinds else State.GREEN


def print_json(value: Any) -> None:
    """One JSON document on standard output, Chinese readable."""
    try:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
        sys.stdout.flush()  # a closed pipe is noticed here, not at the exit
    except BrokenPipeError:
        enough()


def plain(text: object) -> str:
    """Somebody else's text (a path, an id, a policy's sentence) for use within markup: shown, never obeyed."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text)))


def counted(n: int, one: str, many: str = "") -> str:
    """`1 document`, `2,000 documents`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def complain(reason: str) -> None:
    """One line on standard error."""
    err.print(f"[bold red]kangma:[/] {plain(reason)}")


def fail(reason: str, code: Exit = Exit.UNUSABLE) -> NoReturn:
    """One line on standard error, then the exit code."""
    complain(reason)
    raise typer.Exit(int(code))


def paragraph(text: str, *, indent: int = 4, mark: str = "", style: str = "") -> None:
    """A sentence for people, wrapped to the terminal, further lines under the first; Chinese may break anywhere."""
    lead = indent + cell_len(mark)
    lines = Line(text, style=style).wrap(out, max(20, out.width - lead))
    for i, line in enumerate(lines):
        line.rstrip()
        first = Line(" " * indent + mark) if i == 0 else Line(" " * lead)
        out.print(first.append_text(line))


def parse_now(text: str) -> Moment:
    """`--now`: a time with offset; raises typer.BadParameter otherwise."""
    try:
        return moment(text)
    except ValueError as problem:
        raise typer.BadParameter("a time such as 2022-04-28T08:41:00+08:00, offset included") from problem


def wall_clock() -> Moment:
    """The one place where the command line reads the clock."""
    import time  # noqa: PLC0415  the edge, and nowhere else

    return int(time.time())


Now = Annotated[
    int | None,
    typer.Option(
        "--now",
        metavar="ISO8601",
        parser=parse_now,
        help="Act as at this time (2022-04-28T08:41:00+08:00). Default: the clock.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document with stable keys.")]
StateDir = Annotated[
    Path, typer.Argument(metavar="DIR", help="A state directory, made by `kangma init`.", show_default=False)
]


def table(*columns: str, title: str | None = None, texts: Sequence[str] = ()) -> Table:
    """An empty table in the house style: the first column and the `texts` left and folded, all others right-aligned."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for i, name in enumerate(columns):
        left = i == 0 or name in texts
        made.add_column(
            name,
            justify="left" if left else "right",
            no_wrap=not left,
            overflow="fold" if left else "ellipsis",
        )
    return made


def when(at: Moment | None, zone_name: str) -> str:
    """`Thu 21 Apr 10:00` in the given zone, "open" for None."""
    if at is None:
        return "open"
    from datetime import UTC, datetime  # noqa: PLC0415  only to show

    there = zone(zone_name)
    return datetime.fromtimestamp(at + there.offset(at), UTC).strftime("%a %-d %b %H:%M")


@contextmanager
def progress(quiet: bool = False) -> Iterator[Progress]:
    """Bars on standard error when a person watches; nothing when piped."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal or bool(os.environ.get("CI")),
    )
    with bars:
        yield bars

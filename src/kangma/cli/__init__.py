"""`kangma`: one verb a file. This module only wires them and turns the four failures into exit codes."""

from __future__ import annotations

import os
import sys

import typer

from kangma.cli.terminal import Exit, err
from kangma.errors import Conflict, Corrupt, Refused, Unavailable

app = typer.Typer(
    name="kangma",
    help="A health code derived from evidence by a published policy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def wire() -> typer.Typer:
    """The verbs, in the order in which a city meets them."""
    from kangma.cli import city, code, cycle, demo, forget, ingest, init, policy, trace  # noqa: PLC0415

    for verb in (
        demo.demo,
        city.city,
        init.init,
        ingest.ingest,
        cycle.cycle,
        code.code,
        trace.trace,
        forget.forget,
    ):
        app.command()(verb)
    app.add_typer(policy.app, name="policy")
    return app


def main() -> None:
    """Runs a verb. Exit codes: 0 done, 1 checked and found wrong, 2 unusable, 3 try again."""
    try:
        wire()()
    except Refused as problem:
        _say(f"{problem.code}: {problem.hint}" if problem.hint else str(problem.code), str(problem.where))
        sys.exit(Exit.UNUSABLE)
    except (Conflict, Unavailable) as problem:
        _say(str(problem))
        sys.exit(Exit.UNAVAILABLE)
    except Corrupt as problem:
        _say(f"damaged: {problem}")
        sys.exit(Exit.WRONG)
    except BrokenPipeError:  # `kangma … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(reason: str, where: str = "") -> None:
    err.print("[bold red]kangma:[/] ", end="")
    err.print(f"{reason}{f' ({where})' if where else ''}", markup=False)

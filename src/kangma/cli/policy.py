"""`kangma policy check` and `kangma policy simulate`."""

from __future__ import annotations

from typing import Annotated

import typer

from kangma.cli.terminal import Exit, Json, Now, StateDir, out, print_json, table, wall_clock
from kangma.policy.document import BadPolicy
from kangma.publish.policies import checked, texts_of

app = typer.Typer(help="Check a policy, or see whom a draft would turn.", no_args_is_help=True)

File = Annotated[
    str,
    typer.Argument(metavar="FILE", help="A TOML file, or the name of a shipped policy.", show_default=False),
]
Base = Annotated[
    str | None,
    typer.Option("--base", help="The policy that FILE amends: a TOML file or a shipped NAME@VERSION."),
]


@app.command()
def check(file: File, base: Base = None, as_json: Json = False) -> None:
    """Report every mistake of a policy file at once, with line, column and name. Exit code 1 if there is one."""
    below = texts_of(base) if base else []
    try:
        made = checked([*below, *texts_of(file)])
    except BadPolicy as problem:
        if as_json:
            listed = [
                {"line": p.line, "column": p.column, "name": p.name, "message": p.message}
                for p in problem.problems
            ]
            print_json({"file": file, "problems": listed})
        else:
            for p in problem.problems:
                out.print(f"{file}:{p.line}:{p.column}: [bold]{p.name}[/]: {p.message}", markup=True)
            out.print(
                f"[bold red]{len(problem.problems)} mistakes[/]"
                if len(problem.problems) > 1
                else "[bold red]1 mistake[/]"
            )
        raise typer.Exit(int(Exit.WRONG)) from None
    if as_json:
        versions = [
            {"id": p.id, "version": p.version, "digest": p.digest, "rules": len(p.rules)} for p in made
        ]
        print_json({"file": file, "problems": [], "policies": versions})
        return
    for found in made:
        out.print(
            f"[bold green]✓[/] {found.id} {found.version}: {len(found.rules)} rules, {len(found.doors)} door profiles. "
            f"{found.title.en}"
        )
        out.print(f"  digest {found.digest}")


@app.command()
def simulate(
    directory: StateDir, file: File, base: Base = None, now: Now = None, as_json: Json = False
) -> None:
    """Show who would turn if FILE were in force instead: by rule, colour and district. Nothing is written."""
    from kangma.publish.answers import simulate_draft  # noqa: PLC0415  the engines are not needed to check a file
    from kangma.store.state import open_state  # noqa: PLC0415

    with open_state(directory) as state:
        draft = checked([*(texts_of(base) if base else []), *texts_of(file)])[-1]
        found = simulate_draft(state, draft, now=wall_clock() if now is None else now)
    if as_json:
        print_json(found)
        return
    people, turns = found["people"], found["turns"]
    share = f" ({turns / people:.2%})" if people else ""
    out.print(f"[bold]{turns:,}[/] of {people:,} people would turn{share}. Nothing was written.")
    colours = table("from", "to", "people")
    for before, after in found["by_colour"].items():
        for to, n in after.items():
            colours.add_row(before, to, f"{n:,}")
    out.print(colours)

"""`kangma policy check` and `kangma policy simulate`."""

from __future__ import annotations

from typing import Annotated

import typer

from kangma.cli.terminal import (
    Exit,
    Json,
    Now,
    StateDir,
    fail,
    out,
    plain,
    print_json,
    sign,
    table,
    wall_clock,
)
from kangma.errors import Conflict
from kangma.policy.document import BadPolicy, Policy, checked
from kangma.publish.policies import texts_of
from kangma.terms import State

#: Lines of a table; --json has them all.
MOST_LINES = 30

app = typer.Typer(help="Check a policy, or see whom a draft would turn.", no_args_is_help=True)

File = Annotated[
    str,
    typer.Argument(metavar="FILE", help="A TOML file, or the name of a shipped policy.", show_default=False),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="NAME-OR-FILE",
        help="The policy that FILE amends: a TOML file or a shipped NAME@VERSION.",
    ),
]


@app.command()
def check(file: File, base: Base = None, as_json: Json = False) -> None:
    """Report every mistake of a policy file at once, with line, column and name. Exit code 1 if there is one."""
    try:
        made = _read(file, base)
    except BadPolicy as problem:
        if as_json:
            listed = [
                {"line": p.line, "column": p.column, "name": p.name, "message": p.message}
                for p in problem.problems
            ]
            print_json({"file": file, "problems": listed})
        else:
            for p in problem.problems:
                out.print(f"{plain(file)}:{p.line}:{p.column}: [bold]{plain(p.name)}[/]: {plain(p.message)}")
            several = "" if len(problem.problems) == 1 else "s"
            out.print(f"[bold red]{len(problem.problems)} mistake{several}[/]")
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
            f"{plain(found.title.en)}"
        )
        out.print(f"  digest {found.digest}")


@app.command()
def simulate(
    directory: StateDir, file: File, base: Base = None, now: Now = None, as_json: Json = False
) -> None:
    """Show who would turn if FILE were in force instead: by rule, colour and district. Nothing is written."""
    from kangma.publish.answers import simulate_draft  # noqa: PLC0415  the engines are not needed to check a file
    from kangma.store.state import open_state  # noqa: PLC0415  nor is the store

    with open_state(directory) as state:
        draft = _read(file, base)[-1]
        found = simulate_draft(state, draft, now=wall_clock() if now is None else now)
    if as_json:
        print_json(found)
        return
    people, turns = found["people"], found["turns"]
    share = f" ({turns / people:.2%})" if people else ""
    out.print(f"[bold]{turns:,}[/] of {people:,} people would turn{share}. Nothing was written.")
    if not turns:
        return
    states = table("from", "to", "people", title="\nBy colour", texts=["to"])
    for before, after in found["by_state"].items():
        for to, n in after.items():
            other = "another notice" if to == before else sign(State[to.upper()])
            states.add_row(sign(State[before.upper()]), other, f"{n:,}")
    out.print(states)
    rules = table("rule", "today", "draft", "newly held", "no longer", title="\nBy rule")
    for r in [r for r in found["by_rule"] if r["gains"] or r["losses"]][:MOST_LINES]:
        rules.add_row(plain(r["rule"]), *(f"{r[n]:,}" for n in ("today", "draft", "gains", "losses")))
    out.print(rules)
    districts = table("district", "people", "would turn", title="\nBy district")
    for d in [d for d in found["by_district"] if d["turns"]][:MOST_LINES]:
        districts.add_row(plain(d["district"] or "unknown"), f"{d['people']:,}", f"{d['turns']:,}")
    out.print(districts)


def _read(file: str, base: str | None) -> list[Policy]:
    """The policies of `base` and `file`. An amendment without its base is a matter of arguments, not of time."""
    try:
        return checked([*(texts_of(base) if base else []), *texts_of(file)])
    except Conflict as problem:
        fail(f"{problem}; name it with --base")

"""`kangma init`: a new state directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kangma.cli.terminal import Json, Now, fail, out, paragraph, plain, print_json, wall_clock
from kangma.errors import Conflict
from kangma.publish.policies import checked, texts_of
from kangma.store.state import create


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.", show_default=False)],
    policy: Annotated[
        list[str],
        typer.Option(
            "--policy",
            metavar="NAME-OR-FILE",
            help="A shipped policy (beijing-2022-04-22, protocol-9-2022-06-28; NAME@VERSION pins one dated version) or a "
            "TOML file. Given again, the policies make one timeline, each in force from its own date.",
        ),
    ],
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make a new state directory: keys, registry, vault and the policies."""
    texts = [text for name in policy for text in texts_of(name)]
    try:
        made = checked(texts)  # all of it, before anything is written
        create(
            directory, policy=[t.encode() for t in texts], now=wall_clock() if now is None else now
        ).close()
    except Conflict as problem:  # nobody was first here: another directory or another policy must be named
        fail(str(problem))
    if as_json:
        versions = [{"id": p.id, "version": p.version, "digest": p.digest} for p in made]
        print_json({"directory": str(directory), "policies": versions})
        return
    out.print(f"[bold]{plain(directory)}[/] is ready.")
    for found in made:
        paragraph(f"policy {found.id}, version {found.version}: {found.title.en}", indent=2)
    paragraph(
        f"Keep a copy of {directory / 'keys'} in a safe place; nobody can add evidence without it.", indent=2
    )

"""`kangma init`: a new state directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kangma.cli.terminal import Json, Now, out, print_json, wall_clock
from kangma.publish.policies import checked, texts_of
from kangma.store.state import create


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.", show_default=False)],
    policy: Annotated[
        list[str],
        typer.Option(
            "--policy",
            help="A shipped policy (NAME, or NAME@VERSION to pin one dated version) or a TOML file; several make one "
            "timeline.",
        ),
    ],
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make a new state directory: keys, registry, vault and the policies."""
    texts = [text for name in policy for text in texts_of(name)]
    made = checked(texts)  # all of it, before anything is written
    create(directory, policy=[t.encode() for t in texts], now=wall_clock() if now is None else now).close()
    if as_json:
        versions = [{"id": p.id, "version": p.version, "digest": p.digest} for p in made]
        print_json({"directory": str(directory), "policies": versions})
        return
    out.print(f"[bold]{directory}[/] is ready.")
    for found in made:
        out.print(f"  policy {found.id}, version {found.version}: {found.title.en}")
    out.print(f"  Keep a copy of {directory / 'keys'} in a safe place; nobody can add evidence without it.")

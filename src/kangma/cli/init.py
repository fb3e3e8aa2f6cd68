"""`kangma init`: a new state directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kangma.cli.terminal import Json, Now, fail, out, paragraph, plain, print_json, wall_clock
from kangma.errors import Conflict
from kangma.policy.document import checked
from kangma.publish.city import CityName, name_city
from kangma.publish.policies import texts_of
from kangma.signing.keys import Environment
from kangma.signing.trust import Authority
from kangma.store.state import create
from kangma.terms import Text


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
    authority: Annotated[
        str,
        typer.Option("--authority", metavar="ID", help="Who issues its codes: 1 to 16 of a-z, 0-9 and -."),
    ] = "kangma-demo",
    name: Annotated[
        str, typer.Option("--name", metavar="ZH/EN", help="Its name in Chinese and in English.")
    ] = "示例市/Demo City",
    base: Annotated[
        str,
        typer.Option(
            "--base", metavar="URL", help="Where its public folder will be found; 40 bytes at most."
        ),
    ] = "https://kangma.example",
    environment: Annotated[
        Environment,
        typer.Option(
            "--environment",
            help="development: keys make and renew themselves with the first cycle. Elsewhere `kangma keys DIR ceremony` "
            "makes them, and codes of one environment are worth nothing in another.",
        ),
    ] = Environment.DEVELOPMENT,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make a new state directory: keys, registry, vault and the policies."""
    city = _city(authority, name, base, environment)
    texts = [text for name in policy for text in texts_of(name)]
    try:
        made = checked(texts)  # all of it, before anything is written
        create(
            directory, policy=[t.encode() for t in texts], now=wall_clock() if now is None else now
        ).close()
        name_city(directory, replace(city, zone=made[-1].zone))
    except Conflict as problem:  # nobody was first here: another directory or another policy must be named
        fail(str(problem))
    if as_json:
        versions = [{"id": p.id, "version": p.version, "digest": p.digest} for p in made]
        print_json(
            {
                "directory": str(directory),
                "policies": versions,
                "authority": city.id,
                "environment": city.environment.value,
            }
        )
        return
    out.print(f"[bold]{plain(directory)}[/] is ready.")
    for found in made:
        paragraph(f"policy {found.id}, version {found.version}: {found.title.en}", indent=2)
    paragraph(
        f"Keep a copy of {directory / 'keys'} in a safe place; nobody can add evidence without it.", indent=2
    )
    if city.environment is not Environment.DEVELOPMENT:
        paragraph(f"Next: `kangma keys {directory} ceremony`. Without keys nothing is published.", indent=2)


def _city(authority: str, name: str, base: str, environment: Environment) -> CityName:
    """The city of these options; refused when no trust list could name it."""
    zh, _, en = name.partition("/")
    if not (zh and en):
        fail("--name takes both names, as 示例市/Demo City")
    origin = base.partition("://")[2]
    city = CityName(authority, Text(zh, en), base, f"{origin}/{authority}", environment, "UTC")
    Authority(city.id, city.name, city.base, city.origin, (), city.zone)
    return city

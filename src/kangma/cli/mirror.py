"""`kangma mirror`: another city's status lists, for our doors. docs/keys.md."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from kangma.cli.terminal import (
    Exit,
    Json,
    Now,
    StateDir,
    complain,
    counted,
    err,
    fail,
    out,
    plain,
    print_json,
    wall_clock,
)
from kangma.errors import Refused, Unavailable
from kangma.store.elsewhere import Mirrored, forget_unrecognised, recognised
from kangma.store.elsewhere import mirror as mirrored
from kangma.store.public_reader import folder
from kangma.terms import Moment, zone


def mirror(
    directory: StateDir,
    city: Annotated[
        str,
        typer.Argument(metavar="CITY", help="Its id in the trust list, such as cn-tj.", show_default=False),
    ],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR-OR-URL",
            help="Its public folder. Default: the base that the trust list names.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option("--every", metavar="SECONDS", min=1, help="Go on, so often, until SIGTERM or Ctrl-C."),
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Keep the status lists of a city that the trust list recognises in our own public folder, for our doors.

    Only what the trust list believes is taken, and never an older list over a newer one; whatever the source does, what
    stands there stays. Lists of cities that the trust list names no more are removed. Exit code 1 when something was
    refused, 3 when the source could not be read to its end; with `--every` both are said once, and tried again.
    """
    if not directory.is_dir():
        fail(f"{directory} is no directory")
    if every is None:
        found = _once(directory, city, source, now)
        _tell(directory, found, as_json)
        if found.away is not None:
            fail(f"the rest of it could not be read: {found.away}", Exit.UNAVAILABLE)
        if found.refused:
            raise typer.Exit(int(Exit.WRONG))
        return
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    recognised(directory, city)  # a name that was never right is no reason to go on
    last: object = None  # what was said last is not said again
    while not stop.is_set():
        try:
            found = _once(directory, city, source, now)
            news: object = (found.refused, found.away)
            if found.taken or found.removed or news != last:
                _tell(directory, found, as_json)
        except (Refused, Unavailable) as problem:
            news = str(problem)
            if news != last:
                complain(str(problem))
        last = news
        stop.wait(every)


def _once(directory: Path, city: str, source: str | None, now: Moment | None) -> Mirrored:
    for gone in forget_unrecognised(directory):
        err.print(f"{plain(gone)}: the trust list names it no more; its lists are removed")
    where = folder(source or recognised(directory, city).base)
    return mirrored(directory, city, where, now=wall_clock() if now is None else now)


def _tell(directory: Path, found: Mirrored, as_json: bool) -> None:
    authority = recognised(directory, found.authority)
    iso = zone(authority.zone).iso
    signed = None if found.signed is None else iso(found.signed)
    if as_json:
        print_json(
            {
                "authority": found.authority,
                "taken": list(found.taken),
                "same": found.same,
                "refused": dict(found.refused),
                "removed": list(found.removed),
                "signed": signed,
                "away": found.away,
            }
        )
        return
    what = [f"{counted(len(found.taken), 'list')} taken", f"{found.same:,} as before"]
    what += [
        f"{n:,} {word}" for n, word in ((len(found.refused), "refused"), (len(found.removed), "removed")) if n
    ]
    newest = (
        "nothing of it stands here"
        if signed is None
        else f"the newest signed {signed[:16].replace('T', ' ')}"
    )
    out.print(
        f"{plain(authority.name.zh)} {plain(authority.name.en)} ({plain(found.authority)}): {', '.join(what)}; {newest}"
    )
    for path, why in found.refused.items():
        out.print(f"  [bold]refused[/] {plain(path)}: {plain(why)}")
    if found.away is not None:
        out.print(f"  [bold]away[/] {plain(found.away)}")

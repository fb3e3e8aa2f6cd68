"""`kangma mirror`: another city's status lists, for our doors. docs/keys.md."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import closing, suppress
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
from kangma.store.elsewhere import Mirrored, age_of, forget_unrecognised, recognised
from kangma.store.elsewhere import mirror as mirrored
from kangma.store.logs import EventLog
from kangma.store.public_reader import folder
from kangma.terms import HOUR, Moment, zone

OLD_AFTER = 1  # hours; the city next door signs its lists anew every ten minutes


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
    old_after: Annotated[
        int,
        typer.Option(
            "--old-after",
            metavar="HOURS",
            min=1,
            help="How old the newest list may be that stands here afterwards.",
        ),
    ] = OLD_AFTER,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Keep the status lists of a city that the trust list recognises in our own public folder, for our doors.

    Only what the trust list believes is taken, and never an older list over a newer one; whatever the source does, what
    stands there stays. Lists of cities that the trust list names no more are removed. Exit code 1 when something was
    refused, or nothing newer than `--old-after` stands here afterwards; 3 when the source could not be read to its end.
    With `--every` all that is said once, and tried again. What is news also goes to `DIR/log/events.ndjson`.
    """
    if not directory.is_dir():
        fail(f"{directory} is no directory")
    _let_go(directory)
    recognised(directory, city)  # a name that was never right is no reason to go on
    with closing(EventLog(directory / "log" / "events.ndjson")) as log:
        told = _Told(log, directory, city, old_after, goes_on=every is not None, as_json=as_json)
        if every is None:
            found = _once(directory, city, source, now, told)
        else:
            _go_on(every, lambda: _once(directory, city, source, now, told))
            return
    if found.away is not None:
        fail(f"the rest of it could not be read: {found.away}", Exit.UNAVAILABLE)
    if found.refused or told.old:
        raise typer.Exit(int(Exit.WRONG))


def _go_on(every: int, once: Callable[[], object]) -> None:
    """So often, until it is told to stop. What fails was told, and is tried again."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        with suppress(Refused, Unavailable):
            once()
        stop.wait(every)


def _once(directory: Path, city: str, source: str | None, now: Moment | None, told: _Told) -> Mirrored:
    at = wall_clock() if now is None else now
    try:
        _let_go(directory)
        where = folder(source or recognised(directory, city).base)
        found = mirrored(directory, city, where, now=at)
    except (Refused, Unavailable) as problem:
        told.tell(at, None, str(problem))
        raise
    told.tell(at, found, found.away)
    return found


def _let_go(directory: Path) -> None:
    for gone in forget_unrecognised(directory):
        err.print(f"{plain(gone)}: the trust list names it no more; its lists are removed")


class _Told:
    """What was said of the runs so far, to whoever reads along and in the log. The same is not said twice on end.

    Of a run that is the only one and fails, its failure is said by who called, and nothing beside it.
    """

    def __init__(
        self, log: EventLog, directory: Path, city: str, hours: int, *, goes_on: bool, as_json: bool
    ) -> None:
        self._log, self._directory, self._city, self._hours = log, directory, city, hours
        self._goes_on, self._as_json = goes_on, as_json
        self._last: object = None
        self.old = False  # whether what stands here was old after it

    def tell(self, at: Moment, found: Mirrored | None, why: str | None) -> None:
        """Of a run at this moment: what it did, None when it failed; and why it did not come to its end."""
        age = age_of(self._directory / "public", self._city, now=at)
        was, self.old = self.old, age is None or age > self._hours * HOUR
        said = (None if found is None else found.refused, why)
        news, self._last = said != self._last, said
        about: dict[str, object] = {"city": self._city} | ({} if age is None else {"age_seconds": age})
        (self._directory / "log").mkdir(exist_ok=True)
        if found is not None and (news or found.taken or found.removed):
            _tell(self._directory, found, self._as_json)
            self._log.info(
                "lists of another city", **about, accepted=len(found.taken), refused=len(found.refused)
            )
        aloud = found is not None or self._goes_on
        if why is not None and news:
            self._log.warning("lists of another city cannot be had", **about, why=why)
            if found is None and aloud:
                complain(why)
        if self.old and not was:
            self._log.warning("lists of another city are old", **about)
            if aloud:
                complain(f"{self._city}: {_how_old(age)}")


def _how_old(age: int | None) -> str:
    if age is None:
        return "nothing of it stands here; doors verify no code of it"
    hours = counted(age // HOUR, "hour")
    return f"the newest list of it here is {hours} old; after a day doors show its codes as last known, after a week none"


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

"""`kangma`: one verb a file. This module only finds them and turns failures into one line and an exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from kangma.cli.terminal import Exit, complain
from kangma.errors import Conflict, Corrupt, Refused, Unavailable

#: The verbs in the order in which a city meets them, and what `kangma --help` says of each: the first sentence of its
#: own help. They are written here so that help and completion need not load an engine.
VERBS = {
    "demo": "Make a city, live its days, count codes by colour and rule, explain three people, write a report.",
    "city": "Write a seeded, invented city as the tables that `kangma ingest` takes.",
    "init": "Make a new state directory: keys, registry, vault and the policies.",
    "ingest": "Take files in.",
    "cycle": "One turn: absorb what was accepted, trace, judge, and publish whose code changed.",
    "code": "One person's code: every hold with its reason, the ways out and the expected end.",
    "verify": "What a door sees of one code: checked against the public folder alone.",
    "credential": "Sign one resident's code: as text, and as the picture that doors scan.",
    "trace": "Who met a case, how long, when and where, by all absorbed evidence.",
    "policy": "Check a policy, or see whom a draft would turn.",
    "keys": "Keys and trust: ceremony, rotation, emergency, kill switch, sunset.",
    "mirror": "Keep the status lists of a city that the trust list recognises in our own public folder, for our doors.",
    "audit": "Derive every code again and check log, lists and credentials against it.",
    "serve": "Run the city: a signer behind a socket, and a cycle every few seconds.",
    "venues": "Doors whose rotating code phones scan: register, renew a key, close.",
    "appeals": "Appeals against holds: read, decide, agree.",
    "alarms": "What an operator must look at: gaps in batches, broken manifests, quarantine, the brake, deletions.",
    "client": "Sources and partners of the front door: registered, changed, closed; batches that the brake holds.",
    "incident": "The register of incidents: what happened, reviewed by a second person, signed, logged, published.",
    "backup": "Take a backup of a living city: one moment, no keys.",
    "restore": "Restore a backup into a new state directory, and audit it.",
    "forget": "Let visits and stays go that are over for long enough: mark, wait, shred.",
}
#: Failures of the system that may pass; any other is about a path that the user named.
_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}


class Verbs(TyperGroup):
    """Loads a verb's module when the verb is called, and no other."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Name and one sentence: enough for help and completion."""
        return TyperCommand(cmd_name, help=VERBS[cmd_name]) if cmd_name in VERBS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, (verb(name) if name in VERBS else command), rest


def verb(name: str) -> Any:
    """The whole command of one verb."""
    module = import_module(f"kangma.cli.{name}")
    if hasattr(module, "app"):  # a verb with verbs of its own
        return typer.main.get_command(module.app)
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    alone.command(name)(getattr(module, name))
    return typer.main.get_command(alone)


app = typer.Typer(
    name="kangma", cls=Verbs, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich"
)


@app.callback()
def kangma() -> None:
    """A health code derived from evidence by a published policy.

    `kangma demo` shows all of it. On real input: init, ingest, cycle, code.

    Exit codes: 0 done, 1 checked and found wrong, 2 unusable input or arguments, 3 unavailable, try again.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a verb and exits. A failure is one line on standard error and the exit code of its kind."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name of another encoding is shown, not a reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        done = app(
            args=None if arguments is None else list(arguments), prog_name="kangma", standalone_mode=False
        )
    except Refused as problem:
        for mistake in getattr(problem, "problems", ()):  # a policy file, all mistakes at once
            complain(f"{mistake.line}:{mistake.column}: {mistake.name}: {mistake.message}")
        if not hasattr(problem, "problems"):
            where = f" ({problem.where})" if str(problem.where) else ""
            complain(f"{problem.code}: {problem.hint}{where}" if problem.hint else f"{problem.code}{where}")
        done = Exit.UNUSABLE
    except (Conflict, Unavailable) as problem:
        complain(str(problem))
        done = Exit.UNAVAILABLE
    except Corrupt as problem:
        complain(f"damaged: {problem}")
        done = Exit.WRONG
    except OSError as problem:
        where = f" ({problem.filename})" if problem.filename else ""
        complain(f"{problem.strerror or problem}{where}")
        done = Exit.UNAVAILABLE if problem.errno in _PASSING else Exit.UNUSABLE
    except Exception as problem:
        if not hasattr(problem, "format_message"):
            raise  # a fault of ours: its traceback is wanted
        done = _misused(problem)
    sys.exit(int(done or 0))


def _misused(problem: Any) -> Exit:
    """Arguments that make no sense: one line saying why, and where help is. Without any: the help itself."""
    said = problem.format_message()
    if type(problem).__name__ == "NoArgsIsHelpError":
        if said.strip():
            sys.stderr.write(said + "\n")
        return Exit.UNUSABLE
    ctx = getattr(problem, "ctx", None)
    complain(f"{said.rstrip('.')}. See `{ctx.command_path if ctx else 'kangma'} --help`.")
    return Exit.UNUSABLE

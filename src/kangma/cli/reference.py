"""`python -m kangma.cli.reference`: the pages of docs/reference that are made from the code.

A test holds the pages and the code equal; `python -m kangma.cli.reference docs/reference` writes them anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

from kangma.cli import VERBS, kangma, verb
from kangma.evidence.facts import FACTS
from kangma.intake.kinds import ID_TYPES, KINDS, Column, Type

MADE = "<!-- Made by `python -m kangma.cli.reference docs/reference`; a test holds this page and the code equal. -->"


def pages() -> dict[str, str]:
    """File name → text, of every page that is made."""
    return {"cli.md": _commands(), "kinds.md": _kinds(), "facts.md": _facts()}


def _commands() -> str:
    parts = [
        "# Command line",
        MADE,
        _plain(kangma.__doc__),
        "Every verb takes `--json`; its keys are stable and more may be added. Where time matters it takes `--now` "
        "with an offset. Failures are one line on standard error.",
        "| command | does |\n|---|---|\n"
        + "\n".join(f"| [`kangma {name}`](#kangma-{name}) | {_cell(text)} |" for name, text in VERBS.items()),
    ]
    for name in VERBS:
        command = verb(name)
        parts += _command(f"kangma {name}", command)
        before = "".join(f" {a.metavar}" for a in command.params if a.param_type_name == "argument")
        for inner, found in getattr(command, "commands", {}).items():
            parts += _command(f"kangma {name}{before} {inner}", found)
    return "\n\n".join(parts) + "\n"


def _command(path: str, command: Any) -> list[str]:
    params = [p for p in command.params if p.name not in ("install_completion", "show_completion")]
    arguments = [p for p in params if p.param_type_name == "argument"]
    options = [p for p in params if p.param_type_name == "option" and p.name != "help" and not p.hidden]
    usage = " ".join([path, *(str(a.metavar or a.name.upper()) for a in arguments)])
    required = " ".join(f"{o.opts[0]} {_takes(o)}" for o in options if o.required)
    if getattr(command, "commands", None):
        usage += " COMMAND"
    optional = " [OPTIONS]" if any(not o.required for o in options) else ""
    out = [f"## {path}", f"`{' '.join(filter(None, [usage, required]))}{optional}`", _plain(command.help)]
    if params:
        lines = [f"| `{a.metavar or a.name}` | {_cell(a.help)} | |" for a in arguments]
        lines += [
            f"| `{' '.join(filter(None, [o.opts[0], _takes(o)]))}` | {_cell(o.help)} | {_default(o)} |"
            for o in options
        ]
        out.append("| | | default |\n|---|---|---|\n" + "\n".join(lines))
    return out


def _takes(option: Any) -> str:
    if getattr(option, "is_flag", False):
        return ""
    if option.metavar:
        return str(option.metavar)
    return "" if isinstance(option.default, bool) else "N"


def _default(option: Any) -> str:
    value = option.default
    if option.required:
        return "required"
    if value is None or value is False or value is ...:
        return ""
    if hasattr(value, "strftime"):
        return f"`{value:%Y-%m-%d}`"
    return f"`{getattr(value, 'value', value)}`"


_READ = {
    Type.TEXT: "text",
    Type.INT: "whole number",
    Type.REAL: "number",
    Type.BOOL: "truth",
    Type.TIME: "time",
    Type.DATE: "day",
    Type.PERSON: "person",
}


def _kinds() -> str:
    parts = [
        "# Kinds of evidence",
        MADE,
        "What can be sent, as tables of these columns ([tables](../formats/tables.md) says how cells are written). A `?` "
        "marks what may be left empty. A person is two columns, the type and the number of a document; the types are "
        + ", ".join(f"{code} {name}" for code, name in sorted(ID_TYPES.items()))
        + ".",
        "Every kind but `retractions` may also carry `document_id` (text) and `document_version` (whole number). What "
        "follows from a document is in [evidence](../formats/evidence.md).",
    ]
    for kind in KINDS.values():
        lines = [f"| {_outer(c)} | {_READ[c.type]} | {_notes(c)} |" for c in kind.columns]
        parts += [f"## {kind.name}", "| column | type | |\n|---|---|---|\n" + "\n".join(lines)]
        outer = {c.name: _outer(c).removesuffix(" ?") for c in kind.columns}
        rules = [f"{' or '.join(outer[n] for n in names)} must be given." for names in kind.either]
        rules += [f"{outer[last]} may not lie before {outer[first]}." for first, last in kind.spans]
        if kind.at is not None:
            rules.append(f"A document's own time is {outer[kind.at]}.")
        if rules:
            parts.append(" ".join(rules))
    return "\n\n".join(parts) + "\n"


def _outer(column: Column) -> str:
    return ", ".join(f"`{n}`" for n in column.outer_names) + ("" if column.required else " ?")


def _notes(column: Column) -> str:
    notes = [", ".join(f"`{c}`" for c in column.choices)] if column.choices else []
    if column.secret:
        notes.append("goes to the vault and nowhere else")
    return "; ".join(notes)


def _facts() -> str:
    parts = [
        "# Facts",
        MADE,
        "What a rule of a [policy](../formats/policy.md) may speak of. A fact is one row about one person, derived from "
        "evidence; [evidence](../formats/evidence.md) says how. `null` marks a column that may be missing.",
    ]
    for fact in FACTS.values():
        lines = [f"| `{n}` | {t.value} | {'null' if null else ''} |" for n, (t, null) in fact.columns.items()]
        parts += [f"## {fact.name}", fact.meaning, "| column | type | |\n|---|---|---|\n" + "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _plain(text: str | None) -> str:
    """A docstring as Markdown paragraphs, one line each."""
    return "\n\n".join(" ".join(p.split()) for p in (text or "").split("\n\n"))


def _cell(text: str | None) -> str:
    return _plain(text).replace("|", "\\|")


def main(folder: Path) -> None:
    """Writes the pages into `folder`."""
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        typer.echo("usage: python -m kangma.cli.reference docs/reference", err=True)
        sys.exit(2)
    main(Path(sys.argv[1]))

"""`kangma incident`: the register of incidents, on one machine.

Whoever may read the register's folder may act as any of its accounts: `--as` says who it was, it does not prove it. Over
the network members prove it (tokens, passkeys); that is the gateway's.
"""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import fields, is_dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kangma.cli.terminal import (
    Exit,
    Json,
    Now,
    complain,
    counted,
    fail,
    out,
    paragraph,
    plain,
    print_json,
    table,
    wall_clock,
)
from kangma.errors import Code, Refused, Where
from kangma.incidents.difference import Change as Difference
from kangma.incidents.difference import difference
from kangma.incidents.exchange import feeds, mapping, stix, tables, veris
from kangma.incidents.exchange import json as json_form
from kangma.incidents.exchange.report import TITLE, Entry, Taken
from kangma.incidents.form import BadRecord, complete, decode, from_json, to_json
from kangma.incidents.founding import records as founding_records
from kangma.incidents.levels import seen_by
from kangma.incidents.life import Change, Right, Role
from kangma.incidents.reading import for_members, headline
from kangma.incidents.record import Record
from kangma.incidents.words import Dated, Words
from kangma.store.register import Caller, Outdated, Register, Version, create, open_register
from kangma.store.register_finder import Query, Sort
from kangma.terms import DAY, day_number

app = typer.Typer(
    help="The register of incidents: what happened, reviewed by a second person, signed, logged, published.",
    no_args_is_help=True,
)
MOST_FACES = 5  # values of a facet that a table shows; --json has them all


class Form(StrEnum):
    """What a register is written to and read from. Feeds go out only; a mapping comes in only."""

    JSON = "json"
    STIX = "stix"
    VERIS = "veris"
    CSV = "csv"
    PARQUET = "parquet"
    ATOM = "atom"
    FEED = "feed"


RegisterDir = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="A register, made by `kangma incident init`.", show_default=False),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The record's id.", show_default=False)]
As = Annotated[
    str,
    typer.Option("--as", metavar="ACCOUNT", help="The account that does it.", show_default=False),
]
Viewer = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="ACCOUNT",
        help="See what this member sees; the look is recorded. Default: what everybody sees.",
    ),
]
Where_ = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="FACET=VALUE",
        help="Only records with this value: country=CN, kind=denial-of-service, availability=attempted, motive, "
        "technique, actor, sector, organisation, certainty, year, victim. Again for more.",
    ),
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="DAY", help="Not over before this day (2022-04-28).")
]
Until = Annotated[str | None, typer.Option("--until", metavar="DAY", help="Not begun after this day.")]
Words_ = Annotated[str, typer.Option("--words", metavar="TEXT", help="Only records with these words.")]
Size = Annotated[int, typer.Option("--size", metavar="N", help="Records a page, 1 to 200.")]
After = Annotated[str, typer.Option("--after", metavar="MARK", help="Go on where a page ended: its `next`.")]
Sorted = Annotated[Sort, typer.Option("--sort", metavar="ORDER", help="newest, oldest, or published.")]


def _moment(now: int | None) -> int:
    return wall_clock() if now is None else now


def _caller(register: Register, account: str | None) -> Caller | None:
    return register.member(account) if account else None


@app.command()
def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="An empty or absent folder.", show_default=False)
    ],
    administrator: Annotated[
        str, typer.Option("--as", metavar="ACCOUNT", help="The first account, an administrator.")
    ],
    base: Annotated[
        str, typer.Option("--base", metavar="URL", help="The address under which the register will be read.")
    ] = "http://localhost:8080",
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="The register's name.")] = TITLE.en,
    title_zh: Annotated[
        str,
        typer.Option(
            "--title-zh",
            metavar="TEXT",
            help="Its name on Chinese pages; without one they say `--title`, or 事件登记册 for the default.",
        ),
    ] = "",
    organisation: Annotated[
        str, typer.Option("--organisation", metavar="TEXT", help="Whose account it is.")
    ] = "",
    empty: Annotated[
        bool, typer.Option("--empty", help="Without the records that ship with Kangma.")
    ] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make a register: its key, its first account, and the records that ship with it, published."""
    at = _moment(now)
    register = create(
        directory,
        title=title,
        title_zh=title_zh,
        base=base,
        administrator=administrator,
        organisation=organisation,
        now=at,
    )
    with register:
        made = [] if empty else register.found(register.member(administrator), founding_records(), now=at)
        key = register.key.raw.hex()
    if as_json:
        print_json({"register": str(directory), "key": key, "published": made})
        return
    out.print(f"[bold green]✓[/] {plain(directory)}: {counted(len(made), 'record')} published.")
    out.print(f"  key {key}")


@app.command()
def member(
    directory: RegisterDir,
    name: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its name.", show_default=False)],
    by: As,
    role: Annotated[
        Role, typer.Option("--role", metavar="ROLE", help="reader, editor, reviewer, administrator.")
    ],
    organisation: Annotated[
        str, typer.Option("--organisation", metavar="TEXT", help="Whose account it is.")
    ] = "",
    with_invitation: Annotated[
        bool, typer.Option("--invite", help="And print the link by which it enrols its passkey.")
    ] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make an account. An administrator does it."""
    at = _moment(now)
    with open_register(directory) as register:
        caller = register.member(by)
        register.add_account(caller, name, organisation, role, now=at)
        link = _invitation(register, caller, name, at) if with_invitation else None
    if as_json:
        print_json({"account": name, "role": role.value, **(link or {})})
    else:
        out.print(f"[bold green]✓[/] {plain(name)}, {role}")
        if link:
            out.print(f"  {plain(link['link'])}")


@app.command()
def invite(
    directory: RegisterDir,
    name: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its name.", show_default=False)],
    by: As,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Print a link by which an account enrols a passkey: used once, within a day; an earlier one ends. For an account
    that had a passkey, it waits for a second administrator where there is one (`agree`)."""
    with open_register(directory) as register:
        link = _invitation(register, register.member(by), name, _moment(now))
    if as_json:
        print_json({"account": name, **link})
    else:
        out.print(f"  {plain(link['link'])}")
        if link["waits_for_second"]:
            out.print("  No good before another administrator agrees: kangma incident agree")


@app.command()
def agree(
    directory: RegisterDir,
    name: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whose invitation.", show_default=False)],
    by: As,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Agree, as a second administrator, that an account that had a passkey gets a new one."""
    with open_register(directory) as register:
        caller = register.member(by)
        until = register.members.agree(caller.rights, caller.account, name, now=_moment(now))
    if as_json:
        print_json({"account": name, "expires_at": until})
    else:
        out.print(f"[bold green]✓[/] {plain(name)}")


def _invitation(register: Register, by: Caller, name: str, now: int) -> dict[str, Any]:
    token, until = register.members.invite(by.rights, by.account, name, now=now)
    return {
        "link": register.members.link(register.about.base, token),
        "expires_at": until,
        "waits_for_second": name in {w["account"] for w in register.members.waiting(by.rights, now=now)},
    }


@app.command()
def token(
    directory: RegisterDir,
    name: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whose it is.", show_default=False)],
    by: As,
    scope: Annotated[
        list[Right],
        typer.Option(
            "--scope", metavar="RIGHT", help="read, write, review, publish, signal, accounts. Again for more."
        ),
    ],
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="Days until it ends.")] = 90,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make an API token and print it, this once."""
    at = _moment(now)
    with open_register(directory) as register:
        public, secret = register.make_token(
            register.member(by), name, set(scope), now=at, expires_at=at + days * DAY
        )
    if as_json:
        print_json({"token": public, "secret": secret, "account": name, "expires_at": at + days * DAY})
    else:
        out.print(f"  {secret}")


@app.command()
def serve(
    directory: RegisterDir,
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="Where to listen.")] = 8080,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Behind a reverse proxy: leave it.")
    ] = "127.0.0.1",
    as_json: Json = False,
) -> None:
    """Serve the register: pages, feeds, and the API. SIGTERM or Ctrl-C stops it."""
    from kangma.gateway.register.serving import serve as run  # noqa: PLC0415  the web's libraries load slowly

    def ready(address: str) -> None:
        if as_json:
            print_json({"register": str(directory), "address": address})
            return
        out.print(f"[bold green]✓[/] {plain(directory)} at {address}")
        sys.stdout.flush()

    run(directory, host=host, port=port, clock=wall_clock, ready=ready)


@app.command()
def new(
    directory: RegisterDir,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The record as JSON or TOML.", show_default=False)
    ],
    by: As,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Open a draft from a file, and name records that may be about the same incident."""
    record = _read(file)
    with open_register(directory) as register:
        caller = register.member(by)
        alike = register.duplicates(caller, record, now=_moment(now))
        edit_ = register.new(caller, record, now=_moment(now))
    lacking = complete(record)
    if as_json:
        print_json(
            {
                "id": record.id,
                "edit": edit_,
                "lacking": [{"path": f.path, "hint": f.hint} for f in lacking],
                "perhaps_the_same": [
                    {"id": s.id, "score": s.score, "reasons": list(s.reasons)} for s in alike
                ],
            }
        )
        return
    out.print(f"[bold green]✓[/] draft {record.id}, edit {edit_}")
    for fault in lacking:
        out.print(f"  still lacks {fault.path}: {fault.hint}")
    for s in alike:
        out.print(f"  perhaps the same as {plain(s.id)} ({', '.join(s.reasons)}; {s.score:.0%})")


@app.command()
def edit(
    directory: RegisterDir,
    id: Id,
    by: As,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="The record as it should be; without it the draft is printed."),
    ] = None,
    after_edit: Annotated[
        int | None,
        typer.Option("--after-edit", metavar="N", help="The edit that FILE began with. Default: the newest."),
    ] = None,
    correct: Annotated[
        bool, typer.Option("--correct", help="Open a correction of a published record.")
    ] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Open a withdrawal of a published record.")
    ] = False,
    reason_zh: Annotated[
        str, typer.Option("--reason-zh", metavar="TEXT", help="Why, for everybody, in Chinese.")
    ] = "",
    reason_en: Annotated[
        str, typer.Option("--reason-en", metavar="TEXT", help="Why, for everybody, in English.")
    ] = "",
    submit: Annotated[bool, typer.Option("--submit", help="Ask for review when saved.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Give the draft up.")] = False,
    other: Annotated[
        str | None,
        typer.Option(
            "--merge",
            metavar="OTHER",
            help="Print the draft with what OTHER says besides it; save it as FILE.",
        ),
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Print a draft, save it, open a correction or a withdrawal, ask for review. Exit code 3 if somebody saved since."""
    at = _moment(now)
    if other is not None:
        if file is not None or correct or withdraw or submit or discard:
            fail("--merge prints and does nothing else")
        _merge(directory, by, id, other, at, as_json)
        return
    with open_register(directory) as register:
        caller = register.member(by)
        if correct or withdraw:
            change = Change.WITHDRAWAL if withdraw else Change.CORRECTION
            register.reopen(caller, id, change, Words.of({"zh": reason_zh, "en": reason_en}), now=at)
        if file is not None:
            record = _read(file)
            if record.id != id:
                fail(f"{file.name} speaks of another record")
            try:
                began = register.work(caller, id, now=at).edit if after_edit is None else after_edit
                register.edit(caller, record, after_edit=began, now=at)
            except Outdated as problem:
                if as_json:
                    print_json(
                        {
                            "id": id,
                            "edit": problem.edit,
                            "difference": [c.as_json() for c in problem.difference],
                        }
                    )
                else:
                    _changes(problem.difference)
                fail(str(problem), Exit.UNAVAILABLE)
        if discard:
            register.discard(caller, id, now=at)
        if submit:
            register.submit(caller, id, now=at)
        work = register.work(caller, id, now=at)
    if as_json:
        print_json({"id": id, "state": work.state.value, "edit": work.edit, "record": to_json(work.record)})
    elif file is None and not (correct or withdraw or submit or discard):
        print_json(to_json(work.record))
    else:
        out.print(f"[bold green]✓[/] {plain(id)}: {work.state}, edit {work.edit}")


def _merge(directory: Path, by: str, id: str, other: str, at: int, as_json: bool) -> None:
    with open_register(directory) as register:
        record, began, differ = register.merged(register.member(by), id, other, now=at)
    if as_json:
        print_json({"id": id, "edit": began, "record": to_json(record), "differ": list(differ)})
        return
    if differ:
        complain(f"{id} and {other} differ, and {id} stands: {', '.join(differ)}")
    print_json(to_json(record))


@app.command()
def review(
    directory: RegisterDir,
    id: Id,
    by: As,
    approve: Annotated[
        int | None,
        typer.Option("--approve", metavar="EDIT", help="Approve this edit, the one that you read."),
    ] = None,
    back: Annotated[
        str | None, typer.Option("--return", metavar="NOTE", help="Return it to its editors, saying why.")
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Show what is up for review beside what is published, approve it, or return it. Nobody approves their own."""
    at = _moment(now)
    with open_register(directory) as register:
        caller = register.member(by)
        if approve is not None:
            register.approve(caller, id, edit=approve, now=at)
        if back is not None:
            register.give_back(caller, id, now=at, note=back)
        work = register.work(caller, id, now=at)
        before = Record(id=id)
        if work.version:
            before = register.show(id, caller, now=at).entry.seen.record
    changes = difference(seen_by(before, member=True), seen_by(work.record, member=True))
    if as_json:
        print_json(
            {
                "id": id,
                "state": work.state.value,
                "edit": work.edit,
                "change": work.change.value,
                "authors": sorted(work.authors),
                "lacking": [{"path": f.path, "hint": f.hint} for f in complete(work.record)],
                "difference": [c.as_json() for c in changes],
            }
        )
        return
    out.print(
        f"[bold]{plain(id)}[/]: {work.state}, edit {work.edit}, by {plain(', '.join(sorted(work.authors)))}"
    )
    _changes(changes)


@app.command()
def publish(
    directory: RegisterDir,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Approved records.", show_default=False)],
    by: As,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Sign approved records, enter them into the transparency log, and show them to everybody."""
    with open_register(directory) as register:
        versions = register.publish(register.member(by), *ids, now=_moment(now))
        shown = [register.show(id, None, now=0) for id in ids]
    if as_json:
        print_json(
            [
                {"id": i, "version": v, "log_index": s.log_index}
                for i, v, s in zip(ids, versions, shown, strict=True)
            ]
        )
        return
    for id, version, one in zip(ids, versions, shown, strict=True):
        out.print(f"[bold green]✓[/] {plain(id)} version {version}, entry {one.log_index} of the log")


@app.command()
def show(
    directory: RegisterDir,
    id: Id,
    by: Viewer = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="Default: the newest.")
    ] = None,
    since: Annotated[
        int | None, typer.Option("--difference-from", metavar="N", help="What changed since this version.")
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """One published record, as everybody or as a member sees it."""
    at = _moment(now)
    with open_register(directory) as register:
        viewer = _caller(register, by)
        found = register.show(id, viewer, now=at, version=version)
        changes = (
            None if since is None else register.differences(id, since, found.entry.version, viewer, now=at)
        )
        address = register.about.address(id)
    if as_json:
        print_json(_version(found, address, changes))
        return
    _tell(found, address)
    if changes is not None:
        _changes(changes)


@app.command("list")
def list_(
    directory: RegisterDir,
    by: Viewer = None,
    where: Where_ = None,
    since: Since = None,
    until: Until = None,
    sort: Sorted = Sort.NEWEST,
    size: Size = 25,
    after: After = "",
    drafts: Annotated[
        bool, typer.Option("--drafts", help="Records with open work instead; needs --as.")
    ] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Published records, a page at a time, with how many each further filter would leave; or those in work."""
    if drafts:
        with open_register(directory) as register:
            if by is None:
                fail("--drafts needs --as ACCOUNT")
            rows = register.drafts(register.member(by))
        if as_json:
            print_json({"drafts": rows})
            return
        listed = table("id", "state", "edit", "version", texts=["state"])
        for row in rows:
            listed.add_row(plain(row["id"]), row["state"], str(row["edit"]), str(row["version"]))
        out.print(listed)
        return
    _find(directory, by, _query("", where, since, until, sort, size, after), now, as_json)


@app.command()
def search(
    directory: RegisterDir,
    words: Annotated[str, typer.Argument(metavar="WORDS", help="Chinese or other words; all must be there.")],
    by: Viewer = None,
    where: Where_ = None,
    since: Since = None,
    until: Until = None,
    sort: Sorted = Sort.NEWEST,
    size: Size = 25,
    after: After = "",
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Published records with these words: 健康 finds 健康宝, attack finds attacks. A member's search finds more."""
    _find(directory, by, _query(words, where, since, until, sort, size, after), now, as_json)


@app.command("import")
def import_(
    directory: RegisterDir,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to take in.", show_default=False)],
    by: As,
    form: Annotated[
        Form | None,
        typer.Option(
            "--form", metavar="FORM", help="json, stix, veris, csv or parquet. Default: by its name."
        ),
    ] = None,
    columns: Annotated[
        Path | None,
        typer.Option(
            "--mapping", metavar="TOML", help="For the CSV of another database: which column is what."
        ),
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Open a draft for each record of a file, and say what had no place. Exit code 1 if any was refused."""
    at = _moment(now)
    taken = _taken(file, form, columns)
    with open_register(directory) as register:
        caller = register.member(by)
        opened = register.take(caller, taken, now=at)
        alike = register.alike(caller, taken, opened, now=at)
    if as_json:
        same = {i: [s.id for s in found] for i, found in alike.items()}
        print_json({"opened": opened, **taken.as_json(), "perhaps_the_same": same})
    else:
        out.print(f"{counted(len(opened), 'draft')} opened, {len(taken.refused):,} refused.")
        for refusal in taken.refused[:50]:
            out.print(
                f"  refused {plain(refusal.where)}: "
                + "; ".join(f"{f.path} {f.code} {f.hint}" for f in refusal.faults[:3])
            )
        for note in taken.notes[:50]:
            out.print(f"  {plain(note.where)}: {plain(note.what)}")
        rest = len(taken.notes) + taken.dropped_notes - 50
        if rest > 0:
            out.print(f"  and {rest:,} more: --json has them")
        for id, found in alike.items():
            out.print(f"  {plain(id)}: perhaps the same as {plain(', '.join(s.id for s in found[:3]))}")
    if taken.refused:
        raise typer.Exit(int(Exit.WRONG))


@app.command()
def export(
    directory: RegisterDir,
    form: Annotated[
        Form, typer.Option("--form", metavar="FORM", help="json, stix, veris, csv, parquet, atom or feed.")
    ],
    target: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Default: standard output.", show_default=False),
    ] = None,
    by: Viewer = None,
    words: Words_ = "",
    where: Where_ = None,
    since: Since = None,
    until: Until = None,
    language: Annotated[str, typer.Option("--language", metavar="TAG", help="Of a feed: zh or en.")] = "en",
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Write published records in another form, as everybody or as a member sees them. Feeds are always for everybody."""
    if by is not None and form in (Form.ATOM, Form.FEED):
        fail("a feed is made of what everybody sees: leave --as out")
    if as_json and target is None:
        fail("--json tells what was written to --out FILE")
    with open_register(directory) as register:
        query = _query(words, where, since, until, Sort.NEWEST, 1, "")
        entries = list(register.entries(query, _caller(register, by), now=_moment(now)))
        about = register.about
    left_out = [e.seen.record.id for e in entries if form is Form.VERIS and veris.cannot(e)]
    content = {
        Form.JSON: lambda: json_form.write(entries, about),
        Form.STIX: lambda: stix.write(entries, about),
        Form.VERIS: lambda: veris.write(entries),
        Form.CSV: lambda: tables.write_csv(entries),
        Form.PARQUET: lambda: _write_parquet(entries),
        Form.ATOM: lambda: feeds.atom(entries, about, language),
        Form.FEED: lambda: feeds.json_feed(entries, about, language),
    }[form]()
    if left_out:
        complain(f"{counted(len(left_out), 'record')} left out: VERIS demands a year")
    if target is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return
    target.write_bytes(content)
    if as_json:
        print_json(
            {
                "file": str(target),
                "form": form.value,
                "records": len(entries) - len(left_out),
                "left_out": left_out,
            }
        )
    else:
        out.print(f"[bold green]✓[/] {plain(target)}: {counted(len(entries) - len(left_out), 'record')}")


@app.command()
def check(directory: RegisterDir, as_json: Json = False) -> None:
    """Hold every published version against its signature, its digest and the log. Exit code 1 if one differs."""
    with open_register(directory) as register:
        found = register.check()
    if as_json:
        print_json(found)
    else:
        out.print(f"[bold green]✓[/] {counted(found['versions'], 'version')} hold")


# Reading arguments and files


def _read(file: Path) -> Record:
    """The record in a JSON or TOML file, or the one fault after the other."""
    content = file.read_bytes()
    try:
        if file.suffix == ".toml":
            try:
                return from_json(tomllib.loads(content.decode("utf-8")))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
                raise Refused(Code.UNREADABLE, Where(file=file.name), str(problem)) from None
        return decode(content)
    except BadRecord as problem:
        for fault in problem.faults:
            complain(f"{fault.path}: {fault.code}{f': {fault.hint}' if fault.hint else ''}")
        raise typer.Exit(int(Exit.UNUSABLE)) from None


def _taken(file: Path, form: Form | None, columns: Path | None) -> Taken:
    if columns is not None:
        return mapping.read(file.read_bytes(), mapping.load(columns.read_text("utf-8")))
    by_name = {".json": Form.JSON, ".csv": Form.CSV, ".parquet": Form.PARQUET}
    chosen = form or by_name.get(file.suffix)
    if chosen in (None, Form.ATOM, Form.FEED):
        fail("--form json, stix, veris, csv or parquet")
    readers = {
        Form.JSON: json_form.read,
        Form.STIX: stix.read,
        Form.VERIS: veris.read,
        Form.CSV: tables.read_csv,
        Form.PARQUET: _read_parquet,
    }
    return readers[chosen](file.read_bytes())


def _write_parquet(entries: list[Entry]) -> bytes:
    from kangma.incidents.exchange import parquet  # noqa: PLC0415  Arrow is slow to load and seldom needed

    return parquet.write(entries)


def _read_parquet(content: bytes) -> Taken:
    from kangma.incidents.exchange import parquet  # noqa: PLC0415  as above

    return parquet.read(content)


def _query(
    words: str,
    where: list[str] | None,
    since: str | None,
    until: str | None,
    sort: Sort,
    size: int,
    after: str,
) -> Query:
    chosen: dict[str, list[str]] = {}
    for pair in where or ():
        name, mark, value = pair.partition("=")
        if not mark:
            raise typer.BadParameter("FACET=VALUE, such as country=CN", param_hint="--where")
        chosen.setdefault(name, []).append(value)

    def day(text: str | None) -> int | None:
        try:
            return None if text is None else day_number(date.fromisoformat(text))
        except ValueError:
            raise typer.BadParameter("a day such as 2022-04-28") from None

    return Query(words, chosen, day(since), day(until), sort, after, size)


# Telling


def _find(directory: Path, by: str | None, query: Query, now: int | None, as_json: bool) -> None:
    with open_register(directory) as register:
        page = register.find(query, _caller(register, by), now=_moment(now))
    if as_json:
        print_json({"total": page.total, "incidents": page.cards, "counts": page.counts, "next": page.next})
        return
    listed = table("date", "victim", "id", "summary", texts=["victim", "id", "summary"])
    for card in page.cards:
        victim = card.get("victim", {})
        withdrawn = "[bold](withdrawn)[/] " if card.get("withdrawn") else ""
        summary = Words.of(card.get("summary", {})).best("en")
        listed.add_row(
            plain(card.get("date", "")),
            plain(victim.get("name", "")),
            plain(card["id"]),
            withdrawn + plain(summary),
        )
    out.print(listed)
    out.print(f"{counted(page.total, 'record')}" + (f"; more: --after {page.next}" if page.next else ""))
    for name, counts in page.counts.items():
        if len(counts) > 1:
            first = ", ".join(f"{plain(v)} {n:,}" for v, n in list(counts.items())[:MOST_FACES])
            out.print(f"  [dim]{name}[/] {first}{' …' if len(counts) > MOST_FACES else ''}")


def _version(found: Version, address: str, changes: tuple[Difference, ...] | None) -> dict[str, Any]:
    made = {
        **json_form.as_json(found.entry),
        "address": address,
        "change": found.change.value,
        "reason": dict(found.reason.pairs),
        "versions": found.versions,
        "log_index": found.log_index,
        "statement": found.statement.as_json(),
        "signed": found.signed.hex(),
    }
    if found.salt is not None:
        made["salt"] = found.salt.hex()
    if changes is not None:
        made["difference"] = [c.as_json() for c in changes]
    return made


def _tell(found: Version, address: str) -> None:
    seen, record = found.entry.seen, found.entry.seen.record
    title = headline(seen)
    out.print(f"[bold]{plain(title.zh)}[/] · [bold]{plain(title.en)}[/]")
    out.print(f"  {plain(address)}, version {found.entry.version} of {found.versions}")
    if found.change is not Change.FIRST:
        out.print(
            f"  [bold]{found.change}[/]: {plain(found.reason.best('zh'))} {plain(found.reason.get('en'))}"
        )
    for tag in ("zh", "en"):
        for text in (record.summary.get(tag), record.description.get(tag)):
            if text:
                paragraph(text, indent=2)
    for name in ("certainty", "kinds", "confidentiality", "integrity", "availability", "impact", "kept_working",
                 "motives", "techniques", "actors", "actions", "related", "sources"):  # fmt: skip
        value = getattr(record, name)
        if not isinstance(value, tuple):
            value = () if name in seen.hidden else (value,)
        for item in value:
            if line := _said(item):
                out.print(f"  [dim]{name}[/] {plain(line)}")
    more = for_members(seen)
    if more is not None:
        out.print(f"  [bold blue]{more.zh}[/] · [bold blue]{more.en}[/]")


def _said(value: Any) -> str:
    """What a part of a record says, for people; choices are named also where silence would mean the same."""
    if isinstance(value, Words):
        return " · ".join(text for _, text in value.pairs)
    if isinstance(value, Dated):
        return value.text
    if is_dataclass(value):
        told = []
        for f in fields(value):
            part = getattr(value, f.name)
            if f.name != "level" and (said := _said(part)):
                told.append(f"{f.name} {said}" if isinstance(part, StrEnum) else said)
        return ", ".join(told)
    return str(value) if value is not None else ""


def _changes(changes: tuple[Difference, ...]) -> None:
    for change in changes:
        out.print(f"  [bold]{plain(change.path)}[/]")
        if change.before is not None:
            out.print(f"    [red]-[/] {plain(json.dumps(change.before, ensure_ascii=False))}")
        if change.after is not None:
            out.print(f"    [green]+[/] {plain(json.dumps(change.after, ensure_ascii=False))}")

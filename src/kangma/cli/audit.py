"""`kangma audit`: everything derived again by another way, and what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kangma.audit.public import Folder, Public, Seen, audit_public
from kangma.audit.report import Check, Report
from kangma.cli.terminal import (
    Exit,
    Json,
    Now,
    counted,
    fail,
    out,
    paragraph,
    plain,
    print_json,
    progress,
    table,
    wall_clock,
)
from kangma.credential.text import unpack
from kangma.errors import Code, Refused, Unavailable
from kangma.signing.cose import first1
from kangma.signing.trust import Use
from kangma.store.durable import write_file
from kangma.store.keyfiles import read_key_file
from kangma.store.state import open_state
from kangma.terms import Moment, State, zone
from kangma.translog import tiles
from kangma.translog.checkpoint import Checkpoint
from kangma.translog.receipt import parse
from kangma.translog.witness import cosign


def audit(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A state directory: everything is checked.", show_default=False),
    ] = None,
    public: Annotated[
        str | None,
        typer.Option(
            "--public",
            metavar="DIR-OR-URL",
            help="A public folder instead: what a stranger can check, without any personal data.",
        ),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option("--root", metavar="FINGERPRINT", help="The root's SHA-256, as it was told elsewhere."),
    ] = None,
    marks: Annotated[
        Path | None,
        typer.Option(
            "--marks",
            metavar="FILE",
            help="What this auditor saw the last time; kept up to date. Without it, a city that is rolled back whole "
            "cannot be told from one that is young.",
        ),
    ] = None,
    credential: Annotated[
        list[str] | None,
        typer.Option("--credential", metavar="TEXT", help="A code seen at a door: was it ever issued?"),
    ] = None,
    receipt: Annotated[
        list[Path] | None,
        typer.Option("--receipt", metavar="FILE", help="A resident's receipt: is this turn in the log?"),
    ] = None,
    witness_key: Annotated[
        Path | None,
        typer.Option(
            "--witness-key",
            metavar="FILE",
            help="Be a witness: cosign the checkpoint with this key when nothing differs and it goes on from --marks.",
        ),
    ] = None,
    witness_name: Annotated[
        str, typer.Option("--witness-name", metavar="NAME", help="By which others know this witness.")
    ] = "",
    cosigned: Annotated[
        Path | None,
        typer.Option("--cosigned", metavar="FILE", help="Where the cosigned checkpoint goes."),
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Derive every code again and check log, lists and credentials against it.

    Nothing that a cycle concluded is believed. Says what differs, for whom (by key only) and since when. Exit code 1
    when anything does.
    """
    if (directory is None) == (public is None):
        fail("name a state directory, or a public folder with --public")
    if (witness_key is None) != (cosigned is None) or (
        witness_key and not (marks and witness_name and public)
    ):
        fail("a witness needs --public, --marks, --witness-key, --witness-name and --cosigned")
    seen, report = _seen(marks), Report()
    if public is not None:
        if credential:
            fail("whether a code was issued is in the state directory, not in the public folder")
        folder = Folder.at(public)
        with progress(quiet=as_json) as bars:
            bars.add_task("checking", total=None)
            found = audit_public(folder, report, seen=seen, root=root)
    else:
        from kangma.audit.whole import audit as audit_whole  # noqa: PLC0415  loads the engines
        from kangma.audit.whole import find_credential  # noqa: PLC0415  as above

        assert directory is not None
        with open_state(directory) as state, progress(quiet=as_json) as bars:
            bars.add_task("deriving again", total=None)
            found = audit_whole(state, report, seen=seen, root=root)
            for text in credential or ():
                content = unpack(text)
                _, end = first1(content, most=len(content))
                report.looked(Check.CREDENTIALS)
                try:
                    issued = find_credential(state, found, content[:end]) is not None
                except Unavailable:
                    if report.clean:
                        raise
                    continue  # what differs is told now
                if not issued:
                    report.differs(
                        Check.CREDENTIALS, "a code that was never issued: its key is used outside the log"
                    )
    turns = [_proved(report, found, file) for file in receipt or ()]
    if marks is not None and report.clean:
        _keep(marks, found.seen)  # before the cosignature leaves the house
        if witness_key is not None and cosigned is not None:
            at = wall_clock() if now is None else now
            write_file(cosigned, _cosigned(folder, found, seen, witness_key, witness_name, at))
    tell(report, found, turns, as_json=as_json)
    if not report.clean:
        raise typer.Exit(int(Exit.WRONG))


_MUST = {
    Check.TRUST: "the root signed every trust list",
    Check.LOG: "one log: every hash, and its signature",
    Check.ENTRIES: "its entries follow on each other",
    Check.POLICIES: "public in full, as logged",
    Check.LISTS: "signed, and as the log says",
    Check.SEALED: "every part signed, whole, as itself",
    Check.EVIDENCE: "files as they were taken in",
    Check.RELEASES: "the registry says what the log says",
    Check.TURNS: "each turn is in the log, and no other",
    Check.OUT: "what is out is the sum of all turns",
    Check.VERDICTS: "and is what the evidence gives",
    Check.TABLES: "so is what the next cycle builds on",
    Check.STATUS: "and what the lists say of each",
    Check.CREDENTIALS: "all that were issued are in the log",
    Check.SIGNER: "its book is the log's",
}


def _proved(report: Report, found: Public, file: Path) -> dict[str, int | str] | None:
    """What a receipt proves by this log, or a difference."""
    if found.trust is None:
        return None
    with report.looking(Check.TURNS, file.name):
        report.looked(Check.TURNS)
        city = found.trust.publisher
        keys = [k.public for k in city.keys if k.use is Use.LOG]
        turn, checkpoint = parse(file.read_bytes()).verify(city.origin, keys)
        ours = found.checkpoint
        if ours is None or checkpoint.size > ours.size or found.root_at(checkpoint.size) != checkpoint.root:
            report.differs(Check.TURNS, "a receipt of another log than this", file.name)
        said = (
            found.logged.releases[turn.release - 1]["at"] if turn.release <= len(found.logged.releases) else 0
        )
        return {
            "person": turn.person.hex(),
            "release": turn.release,
            "at": zone(city.zone).iso(said),
            "from": State(turn.from_state).name.lower(),
            "to": State(turn.to_state).name.lower(),
        }
    return None


def _cosigned(folder: Folder, found: Public, seen: Seen, key: Path, name: str, at: Moment) -> bytes:
    """The checkpoint with this witness's line; what was seen is stored already."""
    assert found.trust is not None
    assert found.checkpoint is not None
    city = found.trust.publisher
    before = None
    proof: list[bytes] = []
    if seen.size:
        before = Checkpoint(city.origin, seen.size, bytes.fromhex(seen.head))
        proof = tiles.consistency(folder.read, seen.size, found.checkpoint.size)
    content = folder.read("checkpoint")
    answer = cosign(
        content,
        proof,
        before,
        origin=city.origin,
        keys=[k.public for k in city.keys if k.use is Use.LOG],
        name=name,
        signer=read_key_file(key),
        now=at,
    )
    return content + answer.line


def tell(report: Report, found: Public, turns: list[dict[str, int | str] | None], *, as_json: bool) -> None:
    """What an audit found, for people or as JSON."""
    name = found.trust.publisher.zone if found.trust else "UTC"
    iso = zone(name).iso
    head = None
    if found.checkpoint is not None:
        head = {"origin": found.checkpoint.origin, "size": found.checkpoint.size}
        head["root"] = found.checkpoint.root.hex()
    if as_json:
        print_json(
            {
                "checked": {str(check): n for check, n in report.checked.items()},
                "differences": [d.as_json(iso) for d in report.differences],
                "more": {str(check): n for check, n in report.more.items()},
                "log": head,
                "root": found.seen.root,
                "receipts": turns,
            }
        )
        return
    rows = table("checked", "things", "differ", "what must hold", texts=["what must hold"])
    for check in Check:
        n, wrong = report.checked.get(check, 0), report.more.get(check, 0)
        wrong += sum(d.check is check for d in report.differences)
        if n or wrong:
            differ = f"[bold red]{wrong:,}[/]" if wrong else "·"
            rows.add_row(str(check), f"{n:,}" if n else "·", differ, f"[dim]{_MUST[check]}[/]")
    rows.columns[0].no_wrap = True
    out.print(rows)
    if head is not None:
        out.print(
            f"[dim]log {plain(head['origin'])}, {head['size']:,} entries, head {str(head['root'])[:16]}…[/]"
        )
        out.print(f"[dim]root {found.seen.root}[/]")
    for turn in turns:
        if turn is not None:
            out.print(
                f"release {turn['release']} of {str(turn['at'])[:16].replace('T', ' ')} turned "
                f"{str(turn['person'])[:8]}… from {turn['from']} to {turn['to']}"
            )
    if report.clean:
        out.print("[bold green]●[/] Nothing differs.")
        return
    total = len(report.differences) + sum(report.more.values())
    told = report.differences[:20]
    more = f", the first {len(told)} of them" if total > len(told) else ""
    out.print(f"\n[bold red]■ {counted(total, 'difference')}[/]{more}:")
    for d in told:
        since = (
            ""
            if d.since is None
            else f", since release {d.since[0]} of {iso(d.since[1])[:16].replace('T', ' ')}"
        )
        whom = "" if d.key is None else f"person {d.key}: "
        where = f" ({d.where})" if d.where else ""
        paragraph(f"{d.check}: {whom}{d.what}{where}{since}", indent=2)


# what was seen before ------------------------------------------------------------------------------------------------


def _seen(marks: Path | None) -> Seen:
    if marks is None or not marks.exists():
        return Seen()
    try:
        said = json.loads(marks.read_bytes())
        return Seen(said["root"], said["trust"], said["size"], said["head"], dict(said["lists"]))
    except (ValueError, KeyError, TypeError):
        raise Refused(Code.UNREADABLE, hint=f"{marks.name} holds no marks of an audit") from None


def _keep(marks: Path, seen: Seen) -> None:
    said: dict[str, str | int | dict[str, Moment]] = {
        "root": seen.root,
        "trust": seen.trust,
        "size": seen.size,
        "head": seen.head,
        "lists": dict(seen.lists),
    }
    write_file(marks, json.dumps(said, indent=1).encode(), mode=0o600)

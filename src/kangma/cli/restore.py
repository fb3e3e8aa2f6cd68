"""`kangma restore`: a backup checked, put in place and audited; it signs again only when the world has nothing more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kangma.audit.public import Public, Seen
from kangma.audit.report import Check, Report
from kangma.cli.audit import tell
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
    wall_clock,
)
from kangma.errors import Unavailable
from kangma.store.public_reader import folder
from kangma.store.restore import Compared, Restored, World, compare, let_go_on, read_manifest
from kangma.store.restore import restore as restore_in
from kangma.store.state import State, open_state

_RESUME = "kangma keys DIR resume --root-key FILE --root-key FILE"


def restore(
    backup: Annotated[
        Path, typer.Argument(metavar="BACKUP", help="What `kangma backup` wrote.", show_default=False)
    ],
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The state directory to make: new or empty.", show_default=False),
    ],
    keys: Annotated[
        Path, typer.Option("--keys", metavar="FOLDER", help="The keys, as `kangma backup --keys` wrote them.")
    ],
    public: Annotated[
        str | None,
        typer.Option(
            "--public",
            metavar="DIR-OR-URL",
            help="What the world has: the freshest public folder there is. Without it the city does not sign.",
        ),
    ] = None,
    read_only: Annotated[
        bool,
        typer.Option("--read-only", help="To look only: the kill switch stays on, whatever the world has."),
    ] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Restore a backup into a new state directory, and audit it.

    Every file is checked before anything is used; what is damaged or not of this backup is refused, and nothing is left.
    The city begins with the kill switch on. It is lifted at once when the audit is clean and --public has no entry that
    the backup lacks. A backup that lacks entries is refused: a city restored from it would sign a second history. Exit
    code 1 for that, and when the audit finds anything.
    """
    moment = wall_clock() if now is None else now
    manifest, _, _ = read_manifest(backup)
    beside = None if public is None else compare(backup, manifest, folder(public))
    if beside is not None and beside.how in (World.AHEAD, World.FORK) and not read_only:
        fail(
            f"{_figures(beside)} A city restored from this backup would sign a second history. --read-only "
            "restores it to look at, with the kill switch on.",
            Exit.WRONG,
        )
    with progress(quiet=as_json) as bars:
        bars.add_task("restoring", total=None)
        done = restore_in(
            backup, directory, keys, reason=f"restored from the backup of {manifest.at}", now=moment
        )
    report = Report()
    with open_state(directory) as state, progress(quiet=as_json) as bars:
        bars.add_task("deriving again", total=None)
        found, later = _audited(state, report, done)
    stopped = manifest.root is not None
    if (
        report.clean
        and not later
        and not read_only
        and not done.was_stopped
        and beside is not None
        and beside.may_go_on
    ):
        let_go_on(directory)
        stopped = False
    _tell(done, beside, found, report, later=later, stopped=stopped, public=public, as_json=as_json)
    if not report.clean:
        raise typer.Exit(int(Exit.WRONG))
    if later:
        raise typer.Exit(int(Exit.UNAVAILABLE))


def _audited(state: State, report: Report, done: Restored) -> tuple[Public | None, str]:
    """The audit of what was restored; and why it must come later, if evidence waits for a cycle."""
    from kangma.audit import whole  # noqa: PLC0415  loads the engines

    if (
        done.manifest.log is None
    ):  # nothing is public: the files of the evidence are all that can be held to anything
        for segment in state.live_segments():
            whole.evidence_file(state, report, str(segment.path.relative_to(state.path)), segment.digest)
        return None, ""
    try:
        return whole.audit(state, report, seen=Seen(), root=done.manifest.root), ""
    except Unavailable as problem:
        return None, str(problem)


def _figures(beside: Compared) -> str:
    ours, world = f"{beside.backup:,}", f"{beside.public:,}"
    if beside.how is World.FORK:
        return f"The public log of {world} entries and the backup's of {ours} are two histories: neither begins so."
    if beside.how is World.AHEAD:
        missing = counted(beside.public - beside.backup, "entry", "entries")
        return f"The public log has {world} entries, the backup's {ours}: {missing} are missing."
    if beside.how is World.BEHIND:
        return f"The public log has {world} entries, the beginning of the backup's {ours}."
    return f"The public log has the same {world} entries."


def _tell(
    done: Restored,
    beside: Compared | None,
    found: Public | None,
    report: Report,
    *,
    later: str,
    stopped: bool,
    public: str | None,
    as_json: bool,
) -> None:
    said = done.manifest
    if as_json:
        answer: dict[str, Any] = {
            "at": said.at,
            "release": said.release,
            "files": len(said.files),
            "bytes": done.bytes,
            "missing_keys": list(done.missing),
            "public": None
            if beside is None
            else {
                "log": beside.how,
                "entries": beside.public,
                "backup_entries": beside.backup,
                "trust": beside.trust_public,
                "backup_trust": beside.trust_backup,
            },
            "audit": {
                "clean": report.clean and not later,
                "checked": {str(check): n for check, n in report.checked.items()},
                "differences": [
                    {"check": d.check, "what": d.what, "where": d.where} for d in report.differences
                ],
                "later": later or None,
            },
            "stopped": stopped,
        }
        print_json(answer)
        return
    out.print(
        f"Restored: release {said.release:,}, {counted(said.persons, 'person')}, {counted(len(said.files), 'file')}, "
        f"{done.bytes / 1e6:,.1f} MB."
    )
    if found is not None:
        tell(report, found, [], as_json=False)
    elif report.clean and not later:
        out.print(
            f"Nothing is public; {counted(report.checked.get(Check.EVIDENCE, 0), 'file')} of evidence are as taken in."
        )
    elif later:
        paragraph(f"The audit must come later: {plain(later)}.", indent=0)
    if not report.clean:
        paragraph("The restored city is not sound: do not run it.", indent=0, style="bold red")
    if beside is not None:
        paragraph(_figures(beside), indent=0)
        if beside.trust_public > beside.trust_backup:
            paragraph(
                f"The public trust list is version {beside.trust_public}, the backup's {beside.trust_backup}: install "
                "those of its trust.d that are missing, in their order.",
                indent=0,
            )
    if done.missing:
        paragraph(
            f"Private keys that are missing: {plain(', '.join(done.missing))}. Announce new ones.", indent=0
        )
    if said.root is None:
        return
    if not stopped:
        out.print("The city may sign: `kangma serve` goes on from here.")
        return
    why = (
        ""
        if public is not None
        else " Nobody said what the world has; compare first, with --public into another folder."
    )
    paragraph(
        f"The kill switch is on: nothing is signed.{why} Two root officers lift it: {_RESUME}", indent=0
    )

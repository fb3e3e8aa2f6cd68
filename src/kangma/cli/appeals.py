"""`kangma appeals`: the queue of officers. A decision leads to evidence or to nothing; no verb here sets a colour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kangma.cli.terminal import (
    Exit,
    Json,
    Now,
    StateDir,
    fail,
    out,
    paragraph,
    plain,
    print_json,
    table,
    wall_clock,
)
from kangma.errors import Code, Refused, Where
from kangma.terms import Moment, Zone, calendar, zone

if TYPE_CHECKING:
    from kangma.store.appeals import Appeal, Appeals
    from kangma.store.state import State

app = typer.Typer(
    help="Appeals against holds: read, decide, agree. Two officers decide, and evidence follows.",
    no_args_is_help=True,
)

Number = Annotated[int, typer.Argument(metavar="APPEAL", help="Its number in the list.", show_default=False)]
Officer = Annotated[str, typer.Option("--officer", metavar="NAME", help="Who you are: it is written down.")]
FINDINGS = ("no_link", "registered", "paper_report", "released")


@dataclass(frozen=True, slots=True)
class _Desk:
    state: State
    appeals: Appeals
    zone: Zone
    now: Moment


@contextmanager
def _desk(directory: StateDir, now: Moment | None) -> Iterator[_Desk]:
    from kangma.publish.policies import policies  # noqa: PLC0415  the store is not needed for help
    from kangma.store.appeals import Appeals  # noqa: PLC0415  as above
    from kangma.store.front import prepare  # noqa: PLC0415  as above
    from kangma.store.state import open_state  # noqa: PLC0415  as above

    at = wall_clock() if now is None else now
    with open_state(directory) as state, Appeals(prepare(directory), state.vault) as appeals:
        yield _Desk(state, appeals, zone(policies(state).in_force(at).zone), at)


@app.command("list")
def list_(
    directory: StateDir,
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """What waits for an answer, the nearest deadline first. Nobody is named. Exit code 1 when a deadline is over."""
    with _desk(directory, now) as desk:
        found = desk.appeals.queue(everything=everything)
        late = sum(a.late(desk.now) for a in found)
        if as_json:
            print_json([_line(a, desk) for a in found])
        else:
            rows = table(
                "appeal",
                "state",
                "rule",
                "outcome",
                "why",
                "machine",
                "answer by",
                texts=["state", "rule", "answer by"],
            )
            for a in found:
                by = desk.zone.iso(a.answer_by)[:16].replace("T", " ") + (
                    " [bold red]late[/]" if a.late(desk.now) else ""
                )
                rows.add_row(
                    str(a.number), a.state.value, plain(a.rule), a.outcome, a.why.value, a.machine, by
                )
            out.print(rows)
            if late:
                out.print(f"[bold red]{late} beyond the deadline[/]")
    if late:
        raise typer.Exit(int(Exit.WRONG))


def _line(a: Appeal, desk: _Desk) -> dict[str, Any]:
    iso = desk.zone.iso
    return {
        "appeal": a.number, "state": a.state.value, "rule": a.rule, "since": iso(a.since), "outcome": a.outcome,
        "why": a.why.value, "machine": a.machine, "filed_at": iso(a.filed_at), "answer_by": iso(a.answer_by),
        "late": a.late(desk.now), "closed_at": None if a.closed_at is None else iso(a.closed_at),
    }  # fmt: skip


@app.command()
def show(
    directory: StateDir, appeal: Number, officer: Officer, now: Now = None, as_json: Json = False
) -> None:
    """One appeal: the words, the hold as it is now, what each finding would do, and the documents that speak of this
    person. The person sees that an officer looked."""
    from kangma.publish.objections import documents_about, standing  # noqa: PLC0415  as above
    from kangma.store.front import FrontStore, prepare  # noqa: PLC0415  as above

    with _desk(directory, now) as desk:
        a = desk.appeals.get(appeal)
        with FrontStore(prepare(directory)) as store:
            store.looked(a.person, "officer", "appeal", at=desk.now)  # before anything is read out
        desk.appeals.looked(appeal, officer, now=desk.now)
        a = desk.appeals.get(appeal)
        found = standing(desk.state, a.person, now=desk.now)
        hold, stands = found.hold(a.rule, a.since)
        if not stands:
            desk.appeals.settle(appeal, now=desk.now)
        ends = {f: found.ended_by(f, a.rule, a.since) for f in FINDINGS} if stands else {}
        documents = documents_about(desk.state, a.person)
        said = _line(a, desk) | {
            "text": None if a.filed is None else a.filed.text,
            "evidence": None if a.filed is None else dict(a.filed.evidence),
            "hold": hold,
            "stands": stands,
            "finding_would_end_it": ends,
            "documents": [d | {"at": _at(d, desk)} for d in documents],
            "proposed": None
            if a.decision is None
            else {"grants": a.decision.grants, "officer": a.decision.officer, "reason": a.decision.reason,
                  "correction": dict(a.decision.correction)},
            "steps": [
                {"at": desk.zone.iso(s.at), "who": s.who, "what": s.what, "officer": s.officer, "document": s.document}
                for s in a.steps
            ],
        }  # fmt: skip
    if as_json:
        print_json(said)
        return
    out.print(
        f"[bold]Appeal {appeal}[/], {said['state']}, answer by {said['answer_by']}; {a.why.value} against {plain(a.rule)}"
    )
    paragraph(said["text"] or "(no words)")
    if said["evidence"]:
        out.print(f"  wrong, they say: {plain(said['evidence'])}")
    if hold is not None:
        paragraph(hold["reason"]["en"], mark="hold: ")
    out.print(
        "  the evidence gives it still"
        if stands
        else "  the evidence no longer gives it: the next cycle ends it"
    )
    if ends:
        yes = ", ".join(f for f, e in ends.items() if e) or "none"
        out.print(f"  findings of a clearance that would end it: {yes}")
    rows = table("kind", "document", "source", "at", texts=["kind", "document", "source", "at"])
    for d in said["documents"]:
        rows.add_row(d["kind"], plain(d["document_id"]), plain(d["source"]), str(d["at"] or ""))
    out.print(rows)
    if a.decision is not None:
        what = "grant" if a.decision.grants else "dismiss"
        out.print(f"  proposed by {plain(a.decision.officer)}: {what} {plain(dict(a.decision.correction))}")
        paragraph(a.decision.reason)


def _at(document: dict[str, Any], desk: _Desk) -> str | None:
    """When a document's thing happened. Days are told as days."""
    at = document["at"]
    return None if at is None else (desk.zone.iso(at) if at > 10**7 else calendar(at).isoformat())


@app.command()
def decide(
    directory: StateDir,
    appeal: Number,
    officer: Officer,
    reason: Annotated[str, typer.Option("--reason", help="For the resident to read.")],
    finding: Annotated[
        str | None,
        typer.Option(
            "--finding", metavar="FINDING", help="Grant, by a clearance: " + ", ".join(FINDINGS) + "."
        ),
    ] = None,
    retract: Annotated[
        str | None,
        typer.Option(
            "--retract", metavar="SOURCE/DOCUMENT", help="Grant, by taking back this document of theirs."
        ),
    ] = None,
    dismiss: Annotated[bool, typer.Option("--dismiss", help="The hold is right.")] = False,
    now: Now = None,
) -> None:
    """Propose a decision: by a clearance, by a retraction, or dismissed. Nothing follows until a second officer
    agrees."""
    from kangma.publish.objections import require_theirs, standing  # noqa: PLC0415  as above
    from kangma.store.appeals import Decision  # noqa: PLC0415  as above

    if (finding is not None) + (retract is not None) + dismiss != 1:
        fail("one of --finding, --retract, --dismiss")
    if not (officer.strip() and reason.strip() and len(reason) <= 500 and len(officer) <= 64):
        fail("an officer has a name of at most 64 characters, and a reason is 1 to 500")
    with _desk(directory, now) as desk:
        a = desk.appeals.get(appeal)
        correction: dict[str, str] = {}
        if finding is not None:
            if finding not in FINDINGS:
                fail(f"a finding is one of {', '.join(FINDINGS)}")
            if not standing(desk.state, a.person, now=desk.now).ended_by(finding, a.rule, a.since):
                raise Refused(
                    Code.NOT_IN_LIST,
                    Where(column="--finding"),
                    "the policy ends this hold by another finding",
                )
            correction = {"kind": "clearance", "finding": finding}
        elif retract is not None:
            source, _, document = retract.partition("/")
            require_theirs(desk.state, a.person, document, source)
            correction = {"kind": "retraction", "document_id": document, "source": source}
        desk.appeals.propose(appeal, Decision(not dismiss, officer, reason, correction), now=desk.now)
    out.print(f"Appeal {appeal}: proposed. A second officer agrees with `kangma appeals agree`.")


@app.command()
def agree(directory: StateDir, appeal: Number, officer: Officer, now: Now = None) -> None:
    """Agree to what another officer proposed: the evidence that follows is accepted, and the next cycle derives
    the code."""
    from kangma.publish.objections import corrected  # noqa: PLC0415  as above

    with _desk(directory, now) as desk:
        a, decision = desk.appeals.must_be_proposed(appeal, officer)
        document = None
        if decision.correction:
            document = corrected(
                desk.state, appeal, a.person, a.rule, decision.correction, officer=decision.officer, second=officer,
                reason=decision.reason, now=desk.now,
            )  # fmt: skip
        done = desk.appeals.agreed(appeal, officer, document=document, now=desk.now)
        desk.state.log.info("appeal decided", code=done.state.value)
    follows = "" if document is None else f" Evidence {document} is accepted; the next cycle takes it up."
    out.print(f"Appeal {appeal}: {done.state.value}.{follows}")


@app.command("return")
def return_(directory: StateDir, appeal: Number, officer: Officer, now: Now = None) -> None:
    """Do not agree: the appeal is open again."""
    with _desk(directory, now) as desk:
        desk.appeals.returned(appeal, officer, now=desk.now)
    out.print(f"Appeal {appeal} is open again.")

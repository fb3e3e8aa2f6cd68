"""`kangma cycle`: one turn of the wheel."""

from __future__ import annotations

from typing import Annotated

import typer

from kangma.cli.terminal import (
    Json,
    Now,
    StateDir,
    counted,
    out,
    plain,
    print_json,
    progress,
    sign,
    table,
    wall_clock,
)
from kangma.publish.city import the_signer
from kangma.publish.cycle import STEPS, Cycled
from kangma.publish.cycle import cycle as turn_the_wheel
from kangma.store.state import open_state
from kangma.terms import State, zone


def cycle(
    directory: StateDir,
    everybody: Annotated[
        bool, typer.Option("--everybody", help="Judge everybody, not only whom new evidence touches.")
    ] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """One turn: absorb what was accepted, trace, judge, and publish whose code changed.

    Safe to call at any time and as often as wanted; nothing rolls back, so --now may not lie before the last release.
    """
    moment = wall_clock() if now is None else now
    with open_state(directory) as state, the_signer(directory, now=moment) as signer, progress() as bars:
        bar = bars.add_task("", total=len(STEPS))

        def step(name: str) -> None:
            bars.update(bar, description=name, completed=STEPS.index(name))

        done = turn_the_wheel(state, now=moment, everybody=everybody, signer=signer, step=step)
    if as_json:
        print_json(as_document(done))
        return
    judged = "everybody" if done.judged is None else f"{done.judged:,} of {counted(done.persons, 'person')}"
    when = zone(done.policy.zone).iso(done.release.now)
    out.print(
        f"[bold]Release {done.release.number}[/] as at {when}, by {done.policy.id} {done.policy.version}\n"
        f"  absorbed {counted(sum(done.absorbed.rows.values()), 'document')} in "
        f"{counted(done.absorbed.batches, 'batch', 'batches')}; traced {counted(done.retraced, 'case')}; "
        f"judged {judged};\n  [bold]{counted(done.turns.num_rows, 'code')}[/] turned"
    )
    if done.release.head is not None:
        out.print(f"  public: {counted(done.release.head.size, 'entry', 'entries')} in the log")
    rows = table("", "persons")
    for state_, n in done.by_state.items():
        if n or state_ is State.GREEN:
            rows.add_row(sign(state_), f"{n:,}")
    out.print(rows)
    if done.by_rule:
        rules = table("rule", "persons", "reason", texts=["reason"])
        for rule, n in done.by_rule.items():
            rules.add_row(plain(rule), f"{n:,}", plain(done.policy.rule(rule).reason.en))
        out.print(rules)


def as_document(done: Cycled) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "release": done.release.number,
        "as_of": zone(done.policy.zone).iso(done.release.now),
        "policy": {"id": done.policy.id, "version": done.policy.version, "digest": done.policy.digest},
        "absorbed": dict(done.absorbed.rows),
        "persons": done.persons,
        "judged": done.persons if done.judged is None else done.judged,
        "retraced": done.retraced,
        "exposures": done.exposures,
        "companions": done.companions,
        "turns": done.turns.num_rows,
        "by_state": {s.name.lower(): n for s, n in done.by_state.items()},
        "by_rule": dict(done.by_rule),
        "verdicts": done.release.verdict_digest,
        "log": None
        if done.release.head is None
        else {"size": done.release.head.size, "root": done.release.head.root.hex()},
    }

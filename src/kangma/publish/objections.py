"""What an appeal is about, and what follows from one: the hold as it is now, and the evidence by which two
officers may end it. No colour is set here or anywhere: the next cycle derives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from kangma.errors import Code, Refused, Where
from kangma.intake.kinds import KINDS
from kangma.policy.explain import explain
from kangma.publish import MEMORY
from kangma.publish.answers import canonical_number, evidence_of, facts_of
from kangma.publish.credentials import key_of
from kangma.publish.policies import policies
from kangma.publish.release import read_table
from kangma.store.engine import engine
from kangma.store.releases import last_release
from kangma.store.state import State
from kangma.terms import Moment, moment

FEED = "appeals"
FINDINGS = (
    "no_link",
    "registered",
    "paper_report",
    "released",
)  # `link` would uphold a hold: nobody appeals for that


def hold_now(
    state: State, number: int, rule: str, since: Moment, *, now: Moment
) -> tuple[dict[str, Any] | None, bool]:
    """(the hold, whether it stands now) of this rule since then: as the last release has it, derived once more from the
    evidence as it is at `now`. None when neither knows of one.

    A hold that the release has and the evidence no longer gives is `gone`: the next cycle says so to everybody.
    """

    def wanted(answer: Mapping[str, Any]) -> dict[str, Any] | None:
        return next((h for h in answer["holds"] if h["rule"] == rule and moment(h["since"]) == since), None)

    times = policies(state)
    last = last_release(state.registry)
    with evidence_of(state, times.in_force(now), [number]) as con:
        facts = facts_of(con)
    derived = wanted(explain(times, facts, now=now))
    if derived is not None:
        return derived, True
    if last is None:
        return None, False
    return wanted(explain(times, facts, now=last.now)), False


def would_end(state: State, number: int, rule: str, since: Moment, finding: str, *, now: Moment) -> bool:
    """Whether a clearance with this finding, given now, would end the hold by the policy in force. Nothing is written."""
    times = policies(state)
    with evidence_of(state, times.in_force(now), [number]) as con:
        facts = facts_of(con)
    if not any(_is(h, rule, since) for h in explain(times, facts, now=now)["holds"]):
        return True
    row = {"person": number, "rule": rule, "finding": finding, "at": now}
    with_it = facts | {"clearances": [*facts["clearances"], row]}
    return not any(_is(h, rule, since) for h in explain(times, with_it, now=now)["holds"])


def _is(hold: Mapping[str, Any], rule: str, since: Moment) -> bool:
    return bool(hold["rule"] == rule and moment(hold["since"]) == since)


def documents_about(state: State, number: int) -> list[dict[str, Any]]:
    """(kind, document_id, source, at) of live documents with an id that speak of this person: what a retraction
    can name."""
    person = canonical_number(state, number)
    aliases = read_table(state, last_release(state.registry), "aliases")
    numbers = {
        number,
        person,
        *aliases.filter(pa.compute.equal(aliases["canonical"], person))["person"].to_pylist(),
    }
    listed = ", ".join(str(int(n)) for n in sorted(numbers))
    found: list[dict[str, Any]] = []
    with engine(state.path / "tmp", memory=MEMORY) as con:
        state.raw(con)
        for name, kind in KINDS.items():
            if not any(c.name == "person" for c in kind.stored):
                continue
            at = f'max("{kind.at}")' if kind.at else "NULL"
            rows = con.execute(
                f"SELECT document_id, feed, {at} FROM raw_{name} WHERE document_id IS NOT NULL AND person IN ({listed}) "
                "GROUP BY document_id, feed ORDER BY 3 DESC NULLS LAST, document_id"
            ).fetchall()
            found += [{"kind": name, "document_id": d, "source": f, "at": t} for d, f, t in rows]
    return found


def require_theirs(state: State, number: int, document_id: str, source: str) -> None:
    """Refused unless a document of this id and source speaks of this person: an appeal corrects nobody else's
    evidence."""
    there = any(
        d["document_id"] == document_id and d["source"] == source for d in documents_about(state, number)
    )
    if not there:
        raise Refused(Code.NO_PERSON, Where(column="document_id"), "no such document speaks of this person")


def corrected(
    state: State, appeal: int, number: int, rule: str, correction: Mapping[str, str], *,
    officer: str, second: str, reason: str, now: Moment,
) -> str:  # fmt: skip
    """The evidence that two officers agreed on is accepted, durably, as any other; its document id. Again is the same."""
    name = f"appeal-{appeal}"
    if correction["kind"] == "retraction":
        row: dict[str, Any] = {
            "document_id": name, "document_version": 0, "retracts": correction["document_id"],
            "source": correction["source"], "from_at": None, "to_at": None, "reason": reason, "by":
            f"{officer}, {second}",
        }  # fmt: skip
        kind = "retractions"
    else:
        row = {
            "document_id": name, "document_version": 0, "person": key_of(state, number), "rule": rule,
            "finding": correction["finding"], "officer": officer, "second_officer": second, "at": now, "reason": reason,
        }  # fmt: skip
        kind = "clearances"
    schema = KINDS[kind].schema
    row = {k: v for k, v in row.items() if k in schema.names}
    state.inbox.accept(FEED, kind, [pa.RecordBatch.from_pylist([row], schema)], now=now)
    return name

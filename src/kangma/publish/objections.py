"""What an appeal is about, and what follows from one: the hold as it is now, and the evidence by which two
officers may end it. No colour is set here or anywhere: the next cycle derives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from kangma.errors import Code, Refused, Where
from kangma.intake.kinds import KINDS
from kangma.policy.document import Timeline
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


@dataclass(frozen=True, slots=True)
class Standing:
    """What the evidence says of one person at `now`, and said when the last release was made. `facts` as for
    `explain`."""

    times: Timeline
    facts: Mapping[str, list[dict[str, Any]]]
    now: Moment
    released: Moment | None

    def hold(self, rule: str, since: Moment) -> tuple[dict[str, Any] | None, bool]:
        """(the hold of this rule since then, whether it stands now). None when neither the evidence nor the last release
        knows of one. A hold that only the release has is gone: the next cycle says so to everybody."""
        found = self._find(self.facts, self.now, rule, since)
        if found is not None or self.released is None:
            return found, found is not None
        return self._find(self.facts, self.released, rule, since), False

    def ended_by(self, finding: str, rule: str, since: Moment) -> bool:
        """Whether a clearance with this finding, given now, would end the hold by the policy in force."""
        row = {"rule": rule, "finding": finding, "at": self.now, "reason": ""}
        with_it = {**self.facts, "clearances": [*self.facts["clearances"], row]}
        return self._find(with_it, self.now, rule, since) is None

    def _find(
        self, facts: Mapping[str, list[dict[str, Any]]], at: Moment, rule: str, since: Moment
    ) -> dict[str, Any] | None:
        holds = explain(self.times, facts, now=at)["holds"]
        return next((h for h in holds if h["rule"] == rule and moment(h["since"]) == since), None)


def standing(state: State, number: int, *, now: Moment) -> Standing:
    """That of a person number, derived once more from the evidence that is absorbed. Nothing is written."""
    times, last = policies(state), last_release(state.registry)
    with evidence_of(state, times.in_force(now), [number]) as con:
        facts = facts_of(con)
    return Standing(times, facts, now, None if last is None else last.now)


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

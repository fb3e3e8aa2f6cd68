"""One made-up resident: facts written as a nurse would say them, and what their code shows at any moment.

Times are local ("2022-04-20 10:00", seconds optional); a column of days takes "2022-04-20".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from kangma.evidence.facts import FACTS, FactType
from kangma.policy.document import Policy, Timeline, amend, load, timeline
from kangma.policy.doors import admit
from kangma.policy.judge import Verdict, judge_all, judge_one
from kangma.policy.nat import count
from kangma.policy.published import read
from kangma.terms import Moment, State, day_number, moment

BEIJING = "beijing-2022-04-22"
PROTOCOL_9 = "protocol-9-2022-06-28"


@cache
def published(name: str) -> Timeline:
    """A shipped series, or with `@version` one of its versions alone."""
    policies: list[Policy] = []
    for text in read(name):
        policies.append(amend(policies[-1], text) if policies else load(text))
    return timeline(policies)


@cache
def frozen() -> Policy:
    """Policy A as it was before 4 May, whatever the day."""
    return published(f"{BEIJING}@2022-04-22").versions[-1]


@cache
def amended() -> Policy:
    """Policy A with the changes of 4 May, whatever the day."""
    return published(BEIJING).versions[-1]


@cache
def protocol_9() -> Policy:
    return published(PROTOCOL_9).versions[-1]


def load_amended(base: Policy, *changes: tuple[str, str, str]) -> Policy:
    """The policy with words of some of its published rules changed, (rule, old, new), by an amendment of its own."""
    overlay = (
        f'format = 1\nid = "{base.id}"\nversion = "amended"\namends = "{base.version}"\n'
        "effective_from = 2022-12-01T00:00:00+08:00\n"
    )
    for rule, old, new in changes:
        blocks = [b for text in read(f"{base.id}@{base.version}") for b in text.split("\n[[rule]]\n")[1:]]
        block = [b for b in blocks if b.startswith(f'id = "{rule}"')][-1].partition("\n[[door]]")[0]
        assert old in block
        overlay += f"[[rule]]\n{block.replace(old, new)}\n"
    return amend(base, overlay)


def at(text: str) -> Moment:
    day, _, clock = text.partition(" ")
    return moment(f"{day}T{clock or '00:00'}+08:00")


_USUAL: dict[str, dict[str, Any]] = {
    "people": {"birth_date": "1985-03-02", "district": "朝阳区", "away": False},
    "tests": {"specimen_id": "s", "method": "nat", "pooled": False, "result": "negative", "lab": "L1"},
    "cases": {"case_id": "c1", "kind": "confirmed"},
    "contacts": {"degree": 1, "found_by": "tracer"},
    "exposures": {"case_id": "c1", "minutes": 30.0, "meetings": 1},
    "companions": {"case_id": "c1", "minutes": 90.0, "cumulative_hours": 31.0},
    "risk_stays": {
        "area_id": "a1",
        "name": "一号院",
        "district": "朝阳区",
        "county": "朝阳区",
        "in_city": True,
        "source": "declared",
    },
    "county_stays": {"county": "滨海县", "in_city": False, "land_border": False, "source": "declared"},
    "entries": {"country": "FR", "port": "PEK", "port_city": "北京市"},
    "city_entries": {"from_county": "滨海县", "means": "train", "itinerary": "undeclared"},
    "purchases": {"medicine_class": "fever", "pharmacy": "p1"},
    "clinic_visits": {"symptom_class": "fever", "clinic": "k1"},
    "missed_rounds": {"district": "朝阳区", "rounds": 3},
    "occupations": {"every_days": 7},
    "clearances": {"reason": "checked"},
}


def _stored(kind: FactType, value: Any) -> Any:
    if isinstance(value, str) and kind is FactType.TIME:
        return at(value)
    if isinstance(value, str) and kind is FactType.DATE:
        return day_number(date.fromisoformat(value))
    return value


def fact(name: str, /, **said: Any) -> tuple[str, dict[str, Any]]:
    """One row of a fact with every column; what is not said is usual or null."""
    said = {**_USUAL.get(name, {}), **said}
    if name == "contacts":
        said.setdefault("declared_degree", said["degree"])
    if name in ("exposures", "companions"):
        said.setdefault("first_at", said["last_at"])
    if name == "tests":
        said.setdefault("reported_at", said.get("sampled_at"))
    if name == "risk_stays":
        begins = [said["entered_at"], said["level_from"]]
        ends = [said[k] for k in ("left_at", "level_to") if said.get(k) is not None]
        said |= {"overlap_from": max(begins), "overlap_to": min(ends, default=None)}
    columns = FACTS[name].columns
    assert set(said) <= set(columns), f"{name} has no {set(said) - set(columns)}"
    row = {column: _stored(kind, said.get(column)) for column, (kind, _) in columns.items()}
    for column, (_, nullable) in columns.items():
        assert nullable or row[column] is not None, f"{name}.{column} must be said"
    return name, row


def negative(sampled: str, reported: str | None = None, **said: Any) -> tuple[str, dict[str, Any]]:
    """A negative nucleic acid test, reported when sampled unless said."""
    return fact("tests", sampled_at=sampled, reported_at=reported or sampled, **said)


def cleared(rule: str, finding: str, when: str) -> tuple[str, dict[str, Any]]:
    return fact("clearances", rule=rule, finding=finding, at=when)


@dataclass
class Resident:
    """Facts about one person and the policy that they are judged by."""

    policy: Policy | Timeline
    facts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def verdict(self, when: str | Moment) -> Verdict:
        return judge_one(self.policy, self.facts, now=at(when) if isinstance(when, str) else when)

    def shows(self, when: str | Moment) -> str:
        """The code in words: "red popup:2", "popup:4", "remind:4", "green"; a bare "remind" is a capped hold."""
        verdict = self.verdict(when)
        words = (
            [verdict.state.name.lower()] if verdict.state in (State.RED, State.YELLOW, State.UNKNOWN) else []
        )
        words += [f"popup:{c}" for c in verdict.popups] + [f"remind:{c}" for c in verdict.reminds]
        if words:
            return " ".join(words)
        return "remind" if verdict.state is State.REMIND else "green"

    def door(self, profile: str, when: str, *, entered: str | None = None, purpose: str | None = None) -> str:
        """What a door of that profile answers: pass, refuse or unknown."""
        policy = self.policy.force(at(when)) if isinstance(self.policy, Timeline) else self.policy
        admission = admit(
            policy,
            profile,
            self.verdict(when),
            count(policy, self.facts.get("tests", ()), now=at(when)),
            now=at(when),
            entered_at=None if entered is None else at(entered),
            purpose=purpose,
        )
        return admission.answer.value

    def holds(self, when: str) -> set[str]:
        return {hold.rule_id for hold in self.verdict(when).holds}


def resident(policy: Policy | Timeline, *facts: tuple[str, dict[str, Any]]) -> Resident:
    """A resident in the city of whom these facts are known."""
    known: dict[str, list[dict[str, Any]]] = {"people": [fact("people")[1]]}
    for name, row in facts:
        if name == "people":
            known["people"] = [row]
        else:
            known.setdefault(name, []).append(row)
    return Resident(policy, known)


def city(residents: Sequence[Resident]) -> duckdb.DuckDBPyConnection:
    """The facts of all of them as tables; the number of a person is their place in the list."""
    con = duckdb.connect()
    for name, kind in FACTS.items():
        rows = [
            {"person": i, **row} for i, someone in enumerate(residents) for row in someone.facts.get(name, ())
        ]
        con.register("given", pa.Table.from_pylist(rows, schema=kind.schema))
        con.execute(f"CREATE TABLE fact_{name} AS SELECT * FROM given")
        con.unregister("given")
    return con


def verdicts(
    con: duckdb.DuckDBPyConnection, policy: Policy | Timeline, now: Moment
) -> dict[int, tuple[State, tuple[str, ...], tuple[str, ...], Moment | None]]:
    """Everybody's verdict by the judge of the whole city, in the words of the judge of one person."""
    notices = tuple((policy.force(now) if isinstance(policy, Timeline) else policy).notices)

    def codes(mask: int) -> tuple[str, ...]:
        return tuple(code for i, code in enumerate(notices) if mask >> i & 1)

    return {
        row["person"]: (
            State(row["state"]),
            codes(row["popups"]),
            codes(row["reminds"]),
            row["next_change_at"],
        )
        for row in judge_all(con, policy, now=now)[1].to_pylist()
    }


def turns(someone: Resident, *changes: tuple[str, str]) -> None:
    """The code turns at exactly these moments: one second before it still shows what it showed, and every change
    without new evidence was foretold by `next_change_at`."""
    before = "green"
    for i, (when, after) in enumerate(changes):
        now = at(when)
        assert someone.shows(now - 1) == before, f"one second before {when}"
        assert someone.shows(now) == after, f"at {when}"
        if i + 1 < len(changes):
            foretold = someone.verdict(now).next_change_at
            assert foretold is not None, f"no change is foretold at {when}"
            assert now < foretold <= at(changes[i + 1][0]), f"the next change is missed at {when}"
        before = after

"""Why a person's code is what it is, for that person: reasons, ways out, expected ends. The JSON of `kangma code`.

Nothing here names anybody else: of the evidence only its class is told. Keys are stable; docs/formats/policy.md lists
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kangma.policy import nat
from kangma.policy.clock import clock
from kangma.policy.document import Policy, Timeline
from kangma.policy.judge import Facts, Hold, Verdict, judge_one
from kangma.policy.way import Leg, Step, blocks, way_out
from kangma.terms import HOUR, Moment, State, Text, calendar, zone


def explain(
    policy: Policy | Timeline,
    facts: Facts,
    *,
    now: Moment,
    person: str | None = None,
    verdict: Verdict | None = None,
) -> dict[str, Any]:
    """The explanation of one person's code at `now`, ready for JSON. `facts` as for judge_one; `person` the hex key.

    `verdict` saves judging again where it is at hand. Times are ISO 8601 with the policy's own offset.
    """
    if verdict is None:
        verdict = judge_one(policy, facts, now=now)
    rules = verdict.policy
    where = zone(rules.zone)

    def iso(at: Moment | None) -> str | None:
        return None if at is None else where.iso(at)

    tests = [
        t for t in facts.get("tests", ()) if t.get("reported_at") is not None and t["reported_at"] <= now
    ]
    counter = nat.count(rules, tests, now=now)
    holds = sorted(verdict.holds, key=lambda h: (-_weight(h), h.since, h.rule, h.stage))
    return {
        "person": person,
        "as_of": iso(now),
        "colour": verdict.state.colour,
        "notices": _notices(rules, holds),
        "holds": [_hold(rules, h, now, iso) for h in holds],
        "way": [_leg(leg, iso) for leg in way_out(policy, facts, now=now)],
        "next_change_at": iso(verdict.next_change_at),
        "nat": None
        if counter is None
        else {
            "result": counter.result,
            "sampled_at": iso(counter.sampled_at),
            "reported_at": iso(counter.reported_at),
            "days": counter.days,
            "pooled": counter.pooled,
        },
        "vaccination": vaccination(rules, facts.get("vaccinations", ()), now=now),
        "policy": {"id": rules.id, "version": rules.version, "digest": rules.digest},
    }


def vaccination(policy: Policy, doses: Sequence[Mapping[str, Any]], *, now: Moment) -> str:
    """none, partial, basic or booster: what the screen shows beside the code. It never colours it."""
    today = clock(policy.zone).day(now)
    given = [d for d in doses if d.get("given_on") is not None and d["given_on"] <= today]
    if not given:
        return "none"
    number = max(len(given), *(int(d.get("dose") or 0) for d in given))
    products = policy.vaccination.products
    basic = min(products.get(str(d.get("product")), policy.vaccination.basic_doses) for d in given)
    extra = policy.vaccination.booster_doses - policy.vaccination.basic_doses
    if number >= basic + extra:
        return "booster"
    return "basic" if number >= basic else "partial"


def _weight(hold: Hold) -> int:
    """Heaviest first; unknown stands between yellow and popup."""
    return 5 if hold.outcome.name == "UNKNOWN" else int(hold.outcome) * 2


def _notices(policy: Policy, holds: Sequence[Hold]) -> list[dict[str, str]]:
    seen: dict[tuple[str, str, str], None] = {}
    for hold in holds:
        for kind, mask in (("popup", hold.popups), ("remind", hold.reminds)):
            for i, code in enumerate(policy.notices):
                if mask >> i & 1:
                    seen[code, kind, hold.rule_id] = None
    return [{"code": code, "kind": kind, "rule": rule} for code, kind, rule in seen]


#: A notice stands beside a green code.
_TO = {State.YELLOW: "yellow", State.POPUP: "notice", State.GREEN: "green"}


def _leg(leg: Leg, iso: Any) -> dict[str, Any]:
    return {
        "to": _TO[leg.to],
        **leg.words.as_json(),
        "earliest": iso(leg.earliest),
        "by_itself": iso(leg.by_itself),
        "steps": [
            {
                **_step(step, iso),
                "tests": None
                if step.kind != "test" or not step.count
                else {"count": step.count, "apart_hours": -(-step.apart // HOUR), "single": step.single},
                "or": [_step(other, iso) for other in step.instead],
            }
            for step in leg.steps
        ],
        "or": [_step(other, iso) for other in leg.instead],
    }


def _step(step: Step, iso: Any) -> dict[str, Any]:
    return {"kind": step.kind, **step.words.as_json(), "since": iso(step.since), "until": iso(step.until)}


def _hold(policy: Policy, hold: Hold, now: Moment, iso: Any) -> dict[str, Any]:
    rule = policy.rules[hold.rule]
    stage = rule.stages[hold.stage]
    until = hold.until
    if until is None and hold.planned is not None and hold.planned > now:
        until = hold.planned  # its tests are still to come: this is when it ends if they are done
    reason: Text = stage.text if stage.text is not None and not hold.capped else rule.reason
    return {
        "rule": hold.rule_id,
        "outcome": hold.outcome.name.lower(),
        "since": iso(hold.since),
        "until": iso(until),
        "cap": iso(hold.cap) if blocks(hold) or hold.capped else None,
        "capped": hold.capped,
        "evidence": hold.fact,
        "authority": rule.authority,
        "authority_name": policy.authorities[rule.authority].as_json(),
        "reason": reason.as_json(),
        "way_out": rule.way_out.as_json(),
        "clears": [c.text.as_json() for c in rule.clears],
        "test_days": list(rule.test_days),
        "test_dates": [calendar(clock(rule.zone).day(hold.anchor) + k).isoformat() for k in rule.test_days],
        "then": rule.then,
    }

"""What a door may do with a code: pass, refuse, or admit that it does not know.

A door's condition has three truths like all conditions. Null, for want of a test record say, is `unknown`: the person
goes to the manual lane, and nobody is refused because a record is missing (domain 1.6). Standing exceptions always
pass: emergency care, going home and the like cannot be blocked by any policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kangma.errors import Code, Refused
from kangma.policy.clock import clock
from kangma.policy.compile_python import function, years_between
from kangma.policy.judge import Verdict
from kangma.policy.nat import Count
from kangma.policy.rules import Door, Policy
from kangma.terms import HOUR, Day, Moment, State, Text


class Answer(StrEnum):
    PASS = "pass"
    REFUSE = "refuse"
    UNKNOWN = "unknown"


class Why(StrEnum):
    """Why the door answers as it does. The list is closed."""

    CONDITION = "condition"  # the door's condition is true, or false
    MISSING = "missing"  # the condition needs something that is not known of this person
    NOT_VERIFIED = "not_verified"  # the code is neither green nor red
    EXCEPTION = "exception"  # a standing exception
    UNCHECKED = "unchecked"  # the rule exists and is not enforced at this door
    NOT_IN_FORCE = "not_in_force"  # the profile has no rule for this moment


@dataclass(frozen=True, slots=True)
class Admission:
    answer: Answer
    why: Why
    text: Text | None  # the door's own sentence, or the exception's


def door_at(policy: Policy, profile: str, now: Moment) -> Door | None:
    """The profile's rule at `now`; None where it has none then. Raises Refused for an unknown profile."""
    doors = [d for d in policy.doors if d.id == profile]
    if not doors:
        raise Refused(Code.BAD_VALUE, hint="unknown door profile")
    for door in doors:
        if (door.from_at is None or door.from_at <= now) and (door.to_at is None or now < door.to_at):
            return door
    return None


def admit(
    policy: Policy,
    profile: str,
    verdict: Verdict,
    nat: Count | None = None,
    *,
    now: Moment,
    birth_date: Day | None = None,
    entered_at: Moment | None = None,
    purpose: str | None = None,
) -> Admission:
    """What the door of that profile answers. `purpose` names a standing exception; `entered_at` the last entry into
    the city. Raises Refused for an unknown profile."""
    door = door_at(policy, profile, now)
    if purpose is not None and purpose in policy.standing_exceptions:
        return Admission(Answer.PASS, Why.EXCEPTION, policy.standing_exceptions[purpose])
    if door is None:
        return Admission(Answer.UNKNOWN, Why.NOT_IN_FORCE, None)
    if door.unchecked:
        return Admission(Answer.PASS, Why.UNCHECKED, door.text)
    known: dict[str, Any] = {
        "colour": verdict.state.colour,
        "popups": len(verdict.popups),
        "nat_hours": None if nat is None else nat.hours,
        "nat_days": None if nat is None else nat.days,
        "nat_result": None if nat is None else nat.result,
        "age": None if birth_date is None else years_between(birth_date, clock(policy.zone).day(now)),
        "entered_hours_ago": None if entered_at is None else (now - entered_at) / HOUR,
    }
    passes = function(door.passes, policy.zone)
    true = passes(known, None, None, None, None, now)
    # I6: not verified is not a refusal. Only what would be refused whatever the colour is refused.
    whatever = {**known, "colour": None}
    if (
        true is False
        and verdict.state is State.UNKNOWN
        and passes(whatever, None, None, None, None, now) is None
    ):
        return Admission(Answer.UNKNOWN, Why.NOT_VERIFIED, door.text)
    if true is None:
        return Admission(Answer.UNKNOWN, Why.MISSING, door.text)
    return Admission(Answer.PASS if true else Answer.REFUSE, Why.CONDITION, door.text)

"""What a partner is told of a code: pass, refuse or unknown, and until when that holds. Both when it asks and unasked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kangma.errors import Code, Refused
from kangma.policy.doors import admit
from kangma.policy.judge import Verdict
from kangma.policy.nat import Count
from kangma.policy.rules import Policy
from kangma.terms import HOUR, Moment, State, moment

PROFILE = "ride_hailing"  # the door of a policy by which passengers are let in
STEP = 600  # seconds: an answer holds until the end of the next of these
UNKNOWN = "unknown"
_COLOURS = {"green": State.GREEN, "yellow": State.YELLOW, "red": State.RED, "unknown": State.UNKNOWN}
_NOTHING = b'{"colour":"unknown","notices":[],"nat":null}'


def holds_until(now: Moment) -> Moment:
    """The end of the next ten minutes of the clock, the same for everybody (decision 0129)."""
    return (now // STEP + 2) * STEP


def result_at(content: bytes | None, policy: Policy, *, now: Moment) -> str:
    """pass, refuse or unknown for an answer of the read model; for none the same is done, and it is unknown."""
    result = result_of(policy, json.loads(_NOTHING if content is None else content), now=now)
    return UNKNOWN if content is None else result


def result_of(policy: Policy, code: Mapping[str, Any], *, now: Moment) -> str:
    """pass, refuse or unknown for a code as `GET /v1/me/code` has it: by the policy's door for rides; without one green
    without a notice passes, yellow and red do not."""
    state = _COLOURS[code["colour"]]
    popups = tuple(n["code"] for n in code["notices"] if n["kind"] == "popup")
    verdict = Verdict(state, popups, (), (), None, policy, now)
    try:
        return admit(policy, PROFILE, verdict, _count(code["nat"], now), now=now).answer.value
    except Refused as problem:
        if problem.code is not Code.BAD_VALUE:
            raise
    return (
        "unknown" if state is State.UNKNOWN else "pass" if state is State.GREEN and not popups else "refuse"
    )


def _count(nat: Mapping[str, Any] | None, now: Moment) -> Count | None:
    if nat is None:
        return None
    sampled, reported = nat["sampled_at"], moment(nat["reported_at"])
    hours = (now - reported) / HOUR if nat["result"] == "negative" else None
    return Count(nat["result"], None if sampled is None else moment(sampled), reported, nat["days"], hours)

"""The counter beside the code: how long ago the last test was, in the way that the policy counts.

Two ways are known (policy 7.0). `hours_from_report`: hours since the result came. `calendar_days_from_sample`:
calendar days since the day of sampling; where the sampling time is unknown the clock of the report decides it: a
result of 00:00 to 06:00 was sampled the day before, a later one the same day. With `grace_days` a sample that was
taken on the counter's last day and has no result yet holds the counter for one more day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kangma.policy.clock import Clock, clock
from kangma.policy.rules import Policy
from kangma.terms import DAY, HOUR, Day, Moment

RESULTS = ("negative", "positive")


@dataclass(frozen=True, slots=True)
class Count:
    """The last test with a result. `days` is what the counter shows; `hours` since the report; both None unless
    negative: a counter counts how long ago somebody was found well. `pooled`: the sample was one of several in a tube,
    so that a positive result speaks of the tube and of nobody in it."""

    result: str
    sampled_at: Moment | None
    reported_at: Moment
    days: int | None
    hours: float | None
    pooled: bool = False


def count(
    policy: Policy, tests: Sequence[Mapping[str, Any]], *, now: Moment, method: str = "nat"
) -> Count | None:
    """The counter of a person with these rows of the fact `tests`, as known at `now`; None without any result. Who was
    in a tube that turned out positive was not found well by it, whatever their own row says."""
    where = clock(policy.zone)
    known = [t for t in tests if t.get("method") == method and _at(t, "reported_at", now) <= now]
    done = [t for t in known if t.get("result") in RESULTS]
    if not done:
        return None
    last = max(done, key=lambda t: (_sample_day(t, where), _at(t, "sampled_at", 0), _at(t, "reported_at", 0)))
    sampled, reported = last.get("sampled_at"), last["reported_at"]
    pooled = bool(last.get("pooled"))
    if last["result"] != "negative" or (pooled and 0 < _at(last, "pool_positive_at", 0) <= now):
        return Count("positive", sampled, reported, None, None, pooled)
    if policy.nat.day_mode == "hours_from_report":
        days = (now - reported) // DAY
    else:
        days = max(0, where.day(now) - _sample_day(last, where))
        if policy.nat.grace_days and days == policy.nat.grace_days + 1:
            limit_day = _sample_day(last, where) + policy.nat.grace_days
            if any(_waits(t, known, limit_day, where) for t in known):
                days = policy.nat.grace_days
    return Count("negative", sampled, reported, days, (now - reported) / HOUR, pooled)


def _at(test: Mapping[str, Any], column: str, absent: Moment) -> Moment:
    value = test.get(column)
    return absent if value is None else int(value)


def _sample_day(test: Mapping[str, Any], where: Clock) -> Day:
    """The local day of sampling: known, or by the clock of the report. Source: domain 1.3, 2 July 2022."""
    if test.get("sampled_at") is not None:
        return where.day(test["sampled_at"])
    day = where.day(test["reported_at"])
    return day - 1 if test["reported_at"] - where.midnight(day) < 6 * HOUR else day


def _waits(test: Mapping[str, Any], known: Sequence[Mapping[str, Any]], day: Day, where: Clock) -> bool:
    """Whether this is a sample of that day still without any result."""
    if test.get("result") != "pending":
        return False
    taken = int(test["reported_at"] if test.get("sampled_at") is None else test["sampled_at"])
    answered = any(
        t.get("result") != "pending" and t.get("specimen_id") == test.get("specimen_id") is not None
        for t in known
    )
    return where.day(taken) == day and not answered

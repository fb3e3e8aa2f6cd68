"""The shortest way back to green, computed from the policy, that a person can walk alone.

For every hold that stands in the way: its own end, or one of its clears where the resident has it in hand (a test, a
registration, a paper). The way is found by walking it: the row that a clear asks for is made from the clear's own
condition, added to the person's facts, and the person is judged again at the moment reached, until the code is green.
So the way cannot promise what the judge would not do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from kangma.evidence.facts import FACTS, FactType
from kangma.policy.clock import clock
from kangma.policy.compile_python import function
from kangma.policy.document import Policy, Timeline
from kangma.policy.expressions import CHOICES
from kangma.policy.judge import Facts, Hold, Row, Verdict, cleared_at, compiled, judge_one
from kangma.policy.language import COMPARISONS, Column, Node, Op, Type, columns
from kangma.terms import DAY, HOUR, Moment, State, Text, calendar

OWN_ACTIONS = ("test", "report", "register", "paper")
MAX_ROUNDS = 40  # a way longer than this is told as the rules' own words
MAX_ALTERNATIVES = 32


@dataclass(frozen=True, slots=True)
class Step:
    """What one hold asks for. `rows` are (fact, new row, row that it replaces or None); `at` when it no longer blocks.

    `kind` is wait, act, or event: something that nobody can date, such as a discharge. `natural` is when the hold
    ends without anybody doing anything; None while that is open.
    """

    rule_id: str
    kind: str
    at: Moment
    rows: tuple[tuple[str, Row, Row | None], ...]
    words: Text
    natural: Moment | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """Rounds of steps, one after the other; the steps of a round side by side.

    `reached` is when the code is green if all is done at the first moment that counts; `earliest` the same, or None
    where an event without date is on the way. `facts` are the person's facts with the way walked.
    """

    rounds: tuple[tuple[Step, ...], ...]
    reached: Moment | None
    earliest: Moment | None
    words: Text
    facts: Facts


def blocks(hold: Hold) -> bool:
    """Whether a hold keeps the code from being plainly green; a reminder does not."""
    return hold.outcome > State.REMIND


def way_to_green(policy: Policy | Timeline, facts: Facts, *, now: Moment) -> Way:
    """The shortest way that the policy knows. Already green: no rounds, reached now."""
    walked: dict[str, Sequence[Row]] = dict(facts)
    rounds: list[tuple[Step, ...]] = []
    starts: list[Moment] = []
    at, reached, dated = now, False, True
    for _ in range(MAX_ROUNDS):
        verdict = judge_one(policy, walked, now=at)
        blocking = [h for h in verdict.holds if blocks(h)]
        reached = not blocking
        if reached:
            break
        found = [(hold, _step(verdict, hold, walked, at)) for hold in blocking]
        rules = verdict.policy.rules
        steps = _least_effort(
            [step or Step(hold.rule_id, "event", at, (), rules[hold.rule].way_out) for hold, step in found]
        )
        rounds.append(steps)
        starts.append(at)
        if any(step is None for _, step in found):
            break  # nothing that the policy knows ends it: its own words must do
        dated = dated and all(s.kind != "event" for s in steps)
        for fact, row, instead in (given for s in steps for given in s.rows):
            rows = [r for r in walked.get(fact, ()) if r is not instead]
            walked[fact] = rows if row in rows else [*rows, row]
        at = max(at if any(s.rows for s in steps) else at + 1, *(s.at for s in steps))
    words = _told(rounds, starts, verdict.policy)
    return Way(tuple(rounds), at if reached else None, at if reached and dated else None, words, walked)


def _least_effort(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Nobody is asked to do what waiting for another hold's end makes needless."""
    last = max(s.at for s in steps)
    return tuple(
        Step(s.rule_id, "wait", s.natural, (), s.words, s.natural)
        if s.kind == "act" and s.natural is not None and s.natural <= last
        else s
        for s in steps
    )


def _step(verdict: Verdict, hold: Hold, facts: Facts, now: Moment) -> Step | None:
    """The quickest way past one hold."""
    rule = verdict.policy.rules[hold.rule]
    ends = [e for e in (hold.until, None if hold.capped else hold.cap) if e is not None and e > now]
    natural = min(ends, default=None)
    options = [] if natural is None else [Step(hold.rule_id, "wait", natural, (), rule.way_out)]
    options += _tests_to_come(verdict, hold, facts, now)
    for i, clear in enumerate(rule.clears):
        if clear.action in OWN_ACTIONS:
            options += _cleared_by(verdict, hold, i, facts, now)
    best = min(options, key=lambda s: (s.at, len(s.rows)), default=None)
    if best is None:
        return _event(verdict, hold, facts, now)
    return Step(best.rule_id, best.kind, best.at, best.rows, best.words, natural)


# -- the row that a condition asks for -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    """A condition in its place: the rule's row, the person, the anchor and the main stage's beginning."""

    zone: str
    row: Row
    person: Row
    anchor: Moment
    since: Moment | None

    def value(self, node: Node, other: Row, now: Moment) -> Any:
        return function(node, self.zone)(self.row, other, self.person, self.anchor, self.since, now)


def _alternatives(node: Node, truth: bool) -> list[list[tuple[Node, bool]]]:
    """The ways to make a condition true (or false), each a list of simple conditions; cut off where there are many."""
    if isinstance(node, Op) and node.op == "not":
        return _alternatives(node.args[0], not truth)
    if isinstance(node, Op) and node.op in ("and", "or"):
        parts = [_alternatives(a, truth) for a in node.args]
        if (node.op == "and") == truth:
            return [left + right for left, right in product(*parts)][:MAX_ALTERNATIVES]
        return [one for part in parts for one in part][:MAX_ALTERNATIVES]
    return [[(node, truth)]]


def asked_rows(
    fact: str, condition: Node, where: _Asked, now: Moment
) -> Iterator[tuple[Moment, dict[str, Any]]]:
    """Rows of `fact` that make `condition` true, each with the first moment from `now` on at which it happens."""
    names = FACTS[fact].columns
    for simple in _alternatives(condition, True):
        fixed: dict[str, Any] = {}
        moments = {now}
        for node, truth in simple:
            _settle(fact, node, truth, where, now, fixed)
            for part in node.args if isinstance(node, Op) and node.op in COMPARISONS else ():
                if not columns(part, "other") and part.type in (Type.TIME, Type.DATE):
                    value = where.value(part, {}, now)
                    if value is not None:
                        at = value if part.type is Type.TIME else clock(where.zone).midnight(value)
                        moments |= {at, at + 1, clock(where.zone).midnight(clock(where.zone).day(at) + 1)}
        for at in sorted(m for m in moments if m >= now):
            row: dict[str, Any] = {}
            for name, (kind, nullable) in names.items():
                if kind is FactType.TIME:
                    row[name] = at if not nullable or name == "sampled_at" else None
                elif kind is FactType.DATE:
                    row[name] = clock(where.zone).day(at)
                elif nullable:
                    row[name] = None
                else:
                    row[name] = {
                        FactType.TEXT: CHOICES.get((fact, name), ("",))[0],
                        FactType.INT: 0,
                        FactType.REAL: 0.0,
                        FactType.BOOL: False,
                    }[kind]
            row.update(fixed)
            if where.value(condition, row, at) is True:
                yield at, row
                break


def _settle(fact: str, node: Node, truth: bool, where: _Asked, now: Moment, fixed: dict[str, Any]) -> None:
    """Give a column the value that one simple condition asks for, where it names a value."""
    if isinstance(node, Column) and node.scope == "other" and node.type is Type.BOOL:
        fixed[node.name] = truth
    if not isinstance(node, Op):
        return
    if node.op == "is_null" and truth and isinstance(node.args[0], Column) and node.args[0].scope == "other":
        fixed[node.args[0].name] = None
    if node.op not in ("=", "<>", "in"):
        return
    for column, other in (node.args, node.args[::-1]):
        if not isinstance(column, Column) or column.scope != "other" or columns(other, "other"):
            continue
        value = where.value(other, {}, now)
        values = tuple(value) if node.op == "in" else (value,)
        if (node.op != "<>") == truth:
            fixed[column.name] = values[0]
        else:
            rest = [c for c in CHOICES.get((fact, column.name), ("other",)) if c not in values]
            if rest and column.type is Type.TEXT:
                fixed[column.name] = rest[0]


def _cleared_by(verdict: Verdict, hold: Hold, i: int, facts: Facts, now: Moment) -> list[Step]:
    """The step that makes clear `i` end this hold soonest, if a row can do it."""
    policy = verdict.policy
    rule, made = policy.rules[hold.rule], compiled(policy)[hold.rule]
    clear = rule.clears[i]
    person = _person(facts)
    since = made.stages[0].since(hold.row, None, person, hold.anchor, None, now)
    where = _Asked(rule.zone, hold.row, person, hold.anchor, since)
    out = []
    for at, row in asked_rows(clear.on, clear.when, where, now):
        rows = [row]
        cleared = None
        for attempt in range(clear.count):
            if attempt:
                later = _later(clear.on, row, clear.apart_seconds)
                if where.value(clear.when, later, at + clear.apart_seconds) is not True:
                    break
                rows.append(later)
            cleared = cleared_at(
                made.clears[i],
                hold.row,
                person,
                hold.anchor,
                since,
                rows=[*facts.get(clear.on, ()), *rows],
                now=now,
                changes=[],
            )
            if cleared is not None:
                break
        if cleared is None:
            continue
        words = _acting(clear.action, clear.text, rows, at, policy)
        out.append(
            Step(hold.rule_id, "act", max(cleared, now), tuple((clear.on, r, None) for r in rows), words)
        )
    return out


def _later(fact: str, row: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    """The same row, all its times moved on."""
    times = {n for n, (kind, _) in FACTS[fact].columns.items() if kind is FactType.TIME}
    return {k: v + seconds if k in times and v is not None else v for k, v in row.items()}


def _tests_to_come(verdict: Verdict, hold: Hold, facts: Facts, now: Moment) -> list[Step]:
    """For a hold that ends only with its tests: the tests that are missing, on their days or made up for."""
    policy, rule = verdict.policy, verdict.policy.rules[hold.rule]
    made = compiled(policy)[hold.rule]
    if rule.tests_when is None or hold.stage or hold.planned is None or made.tests_when is None:
        return []
    where = clock(rule.zone)
    origin, last = where.day(hold.anchor), rule.test_days[-1]
    person = _person(facts)
    done = {
        where.day(t["sampled_at"]) - origin
        for t in facts.get("tests", ())
        if t.get("sampled_at") is not None
        and t.get("reported_at") is not None
        and made.tests_when(None, t, person, None, None, None) is True
    }
    if any(day > last for day in done):
        return []
    missing = [k for k in rule.test_days if not done & {k, k + 1}]
    if not missing:
        return []
    today = where.day(now) - origin
    # Too late for one of the days: a sample after the last scheduled day stands for all.
    days = [last + 1] if any(today > k + 1 for k in missing) else missing
    rows = []
    asked = _Asked(rule.zone, hold.row, person, hold.anchor, hold.since)
    for day in days:
        for _, row in asked_rows("tests", rule.tests_when, asked, max(now, where.midnight(origin + day))):
            rows.append(("tests", row, None))
            break
    if len(rows) != len(days):
        return []
    first, final = rows[0][1]["sampled_at"], max(r["reported_at"] for _, r, _ in rows)
    result = _result(rows[0][1])
    if days == missing:
        listed = "、".join(str(k) for k in days)
        words = Text(
            f"第{listed}天采样的检测结果均为{result.zh}",
            f"{result.en} tests sampled on day{'s' if len(days) > 1 else ''} {', '.join(str(k) for k in days)}",
        )
    else:
        words = Text(
            f"{_day(first, policy).zh}起采样的一次检测结果为{result.zh}",
            f"one {result.en} test sampled from {_day(first, policy).en} on",
        )
    end = max(hold.planned, final)
    if end > now:
        more = _waiting(end, now, policy)
        words = Text(f"{words.zh}，且{more.zh}", f"{words.en}, and {more.en}")
    return [Step(hold.rule_id, "act", end, tuple(rows), words)]


def _event(verdict: Verdict, hold: Hold, facts: Facts, now: Moment) -> Step | None:
    """A hold that is open because something has not happened yet: that column of its row is given a moment."""
    rule = verdict.policy.rules[hold.rule]
    until = rule.stages[hold.stage].until
    absent = [c for c in sorted(columns(until, "own")) if hold.row.get(c) is None]
    kinds = FACTS[rule.on].columns
    for column in absent:
        if kinds[column][0] not in (FactType.TIME, FactType.DATE):
            continue
        moment = now + HOUR
        value = moment if kinds[column][0] is FactType.TIME else clock(rule.zone).day(moment)
        row = {**hold.row, column: value}
        end = (
            None
            if until is None
            else function(until, rule.zone)(row, None, _person(facts), hold.anchor, hold.since, None)
        )
        if end is not None:
            return Step(hold.rule_id, "event", max(end, moment), ((rule.on, row, hold.row),), rule.way_out)
    return None


def _person(facts: Facts) -> Row:
    people = facts.get("people")
    return people[0] if people else {}


# -- words -----------------------------------------------------------------------------------------------------------

_DAYS_ZH = "一二三四五六日"
_DAYS_EN = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _day(at: Moment, policy: Policy) -> Text:
    """The local day: "4月21日（周四）", "Thu 21 Apr"."""
    date = calendar(clock(policy.zone).day(at))
    return Text(
        f"{date.month}月{date.day}日（周{_DAYS_ZH[date.weekday()]}）",
        f"{_DAYS_EN[date.weekday()]} {date.day} {_MONTHS[date.month - 1]}",
    )


def local_time(at: Moment, policy: Policy) -> Text:
    """The local day and minute: "4月21日（周四）10:00", "Thu 21 Apr 10:00"."""
    minute = clock(policy.zone).local(at) % DAY // 60
    shown = f"{minute // 60:02}:{minute % 60:02}"
    day = _day(at, policy)
    return Text(f"{day.zh}{shown}", f"{day.en} {shown}")


def _waiting(until: Moment, now: Moment, policy: Policy) -> Text:
    where = clock(policy.zone)
    days = where.day(until) - where.day(now)
    end = local_time(until, policy)
    if days < 1:
        hours = max(1, -(-(until - now) // HOUR))
        return Text(
            f"再等{hours}小时，至{end.zh}", f"{hours} more hour{'s' if hours > 1 else ''} (until {end.en})"
        )
    return Text(f"再等{days}天，至{end.zh}", f"{days} more day{'s' if days > 1 else ''} (until {end.en})")


def _result(row: Mapping[str, Any]) -> Text:
    known = {"negative": Text("阴性", "negative"), "positive": Text("阳性", "positive")}
    return known.get(str(row.get("result")), Text("合格", "valid"))


def _acting(action: str, text: Text, rows: Sequence[Row], at: Moment, policy: Policy) -> Text:
    """What to do, and from when it counts."""
    if action != "test" or "sampled_at" not in rows[0]:
        return Text(text.zh.rstrip("。"), text.en.rstrip("."))
    # A strict bound is told as the moment itself: "after 10:00" is what the rule says of 10:00:01.
    told = local_time(at - 1 if at % 60 == 1 else at, policy)
    result = _result(rows[0])
    many = len(rows) > 1
    return Text(
        f"{told.zh}之后采样的{'两次' if many else ''}检测结果为{result.zh}",
        f"{'two' if many else 'a'} {result.en} test{'s' if many else ''} sampled after {told.en}",
    )


def _told(rounds: Sequence[Sequence[Step]], starts: Sequence[Moment], policy: Policy) -> Text:
    """The whole way in words: rounds follow each other, the steps of one are asked together.

    Of waiting times side by side only the longest is told, and waiting after waiting is one waiting.
    """
    zh: list[str] = []
    en: list[str] = []
    waiting_since: Moment | None = None
    for steps, start in zip(rounds, starts, strict=True):
        texts: list[Text] = []
        for step in steps:
            words = step.words
            if step.kind == "act" and step.natural is not None:
                wait = _waiting(step.natural, start, policy)
                words = Text(f"{words.zh}，或{wait.zh}", f"{words.en}, or {wait.en}")
            if step.kind != "wait" and words not in texts:
                texts.append(words)
        ends = [s.at for s in steps if s.kind == "wait"]
        if not texts and waiting_since is not None:
            zh.pop()
            en.pop()
        else:
            waiting_since = start if not texts else None
        if ends:
            texts.append(_waiting(max(ends), start if waiting_since is None else waiting_since, policy))
        zh.append("，并且".join(t.zh.rstrip("。") for t in texts))
        en.append(", and ".join(t.en.rstrip(".") for t in texts))
    if not rounds:
        return Text("当前即为绿码。", "Your code is green now.")
    told = "; then: ".join(en)
    return Text("；之后：".join(zh) + "。", told[0].upper() + told[1:] + ".")

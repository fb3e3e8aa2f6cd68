"""The way out, computed from the policy: the next better states of a code, and what a person does to reach each.

A code gets better in three legs at the most: red turns yellow; then the colour is green, be it with a notice; then no
notice is left. A reminder keeps nobody from passing a door of any published policy, so the way ends there. A leg is
found by walking it: the row that a clear asks for is made from the clear's own condition, added to the person's facts,
and the person is judged again. So the way cannot promise what the judge would not do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from kangma.evidence.facts import FACTS, FactType
from kangma.policy.clock import clock
from kangma.policy.compile_python import function
from kangma.policy.document import Policy, Timeline
from kangma.policy.expressions import CHOICES
from kangma.policy.judge import Facts, Hold, Row, Verdict, cleared_at, compiled, judge_one
from kangma.policy.language import COMPARISONS, Column, Node, Op, Type, columns
from kangma.policy.way_words import Words
from kangma.terms import HOUR, Moment, State, Text

OWN_ACTIONS = ("test", "report", "register", "paper")
MAX_ROUNDS = 40  # a leg longer than this is told as the rules' own words
MAX_CHANGES = 400  # moments looked at to find when a code gets better
MAX_ALTERNATIVES = 32
#: Each leg ends when no hold is worse than this.
LEGS = (State.YELLOW, State.POPUP, State.REMIND)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, in one line.

    `kind`: test, report, register, paper; wait; or event, something that nobody can date, such as a discharge. What is
    done counts from `since` on, a test before `until`; a wait lasts until `until`. Both None: nobody can date it yet.
    `count` tests, each at least `apart` seconds after the one before; `single`: a pooled one does not count. `instead`:
    what does as well. `rows` are what the step adds to the facts, done on its first moment.
    """

    kind: str
    words: Text
    since: Moment | None = None
    until: Moment | None = None
    count: int = 0
    apart: int = 0
    single: bool = False
    instead: tuple[Step, ...] = ()
    rows: tuple[tuple[str, Row], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Leg:
    """The way to the next better state `to`: YELLOW, POPUP (a green code with a notice) or GREEN.

    `earliest`: when it is reached if every step is done on its first date; None where something that nobody can date is
    on the way. `by_itself`: when the same comes by waiting alone; None: never, or nobody can date it. `instead` says
    that in words, where there is anything to do. `reached` is the moment at which the judge finds `facts`, the person's
    with this leg and those before it walked, no worse than `to`; behind an event it is a supposition. None: the policy
    knows nothing that ends it.
    """

    to: State
    words: Text
    steps: tuple[Step, ...]
    instead: tuple[Step, ...]
    earliest: Moment | None
    by_itself: Moment | None
    reached: Moment | None
    facts: Facts = field(repr=False)


def blocks(hold: Hold) -> bool:
    """Whether a hold keeps the code from being plainly green; a reminder does not."""
    return hold.outcome > State.REMIND


def way_out(policy: Policy | Timeline, facts: Facts, *, now: Moment) -> tuple[Leg, ...]:
    """The legs that the policy knows, in their order. Plainly green: none."""
    state = judge_one(policy, facts, now=now).state
    legs: list[Leg] = []
    for level in LEGS:
        if not _above(state, level) or (level is State.YELLOW and state is not State.RED):
            continue
        leg = _leg(policy, facts, level, state, legs, now=now)
        if level is State.YELLOW and (leg.to is not State.YELLOW or leg.earliest is None):
            continue  # no yellow between, or on no day that can be named: the next leg goes on to green
        if legs and not leg.steps:
            state = State.RED if legs[-1].to is State.YELLOW else State.YELLOW
            leg = _leg(policy, facts, level, state, legs[:-1], now=now)
            legs.pop()
        legs.append(leg)
        state = leg.to
        if leg.reached is None:
            break
    return tuple(legs)


def first_at(policy: Policy | Timeline, facts: Facts, level: State, *, now: Moment) -> Moment | None:
    """The first moment from `now` on at which no hold is worse than `level`, if nothing but `facts` ever comes; None:
    never."""
    at: Moment | None = now
    for _ in range(MAX_CHANGES):
        if at is None:
            break
        verdict = judge_one(policy, facts, now=at)
        if not _worse(verdict, level):
            return at
        at = verdict.next_change_at
    return None


def _above(outcome: State, level: State) -> bool:
    """Whether an outcome is worse than the level; what is not verified is no worse than yellow."""
    return outcome > level and not (outcome is State.UNKNOWN and level is State.YELLOW)


def _worse(verdict: Verdict, level: State) -> list[Hold]:
    return [hold for hold in verdict.holds if _above(hold.outcome, level)]


# -- one leg ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Act:
    """A step before it has its words. `text` are the clear's own; `again`: the second of two tests, the first of which
    another step asks for."""

    kind: str
    rows: tuple[tuple[str, Row], ...]
    text: Text
    since: Moment
    until: Moment | None = None
    apart: int = 0
    again: bool = False
    single: bool = False
    others: tuple[_Act, ...] = ()

    @property
    def done(self) -> Moment:
        return self.since + self.apart * (len(self.rows) - 1)

    def told(self, words: Words, *, dated: bool = True) -> Step:
        since, until = (self.since, self.until) if dated else (None, None)
        others = tuple(other.told(words, dated=dated) for other in self.others)
        count, row = len(self.rows), self.rows[0][1]
        if self.kind != "test" or row.get("result") != "negative":
            told = self.text if since is None else words.after(self.text, since)
            return Step(self.kind, told, since, instead=others, rows=self.rows)
        told = words.test(
            None if self.again else since,
            until,
            count=count,
            apart=self.apart,
            single=self.single,
            nat=row.get("method") == "nat",
        )
        return Step("test", told, since, until, count, self.apart, self.single, others, self.rows)


@dataclass(frozen=True, slots=True)
class _Option:
    """A way past one hold, which is past at `at`; `words` are the rule's own.

    `kind`: wait, act or event. An event puts a row in the place of another.
    """

    hold: Hold
    kind: str
    at: Moment
    words: Text
    acts: tuple[_Act, ...] = ()
    event: tuple[str, Row, Row] | None = None

    @property
    def rows(self) -> tuple[tuple[str, Row], ...]:
        return tuple(row for act in self.acts for row in act.rows)


def _leg(
    policy: Policy | Timeline, facts: Facts, level: State, state: State, before: Sequence[Leg], *, now: Moment
) -> Leg:
    given = before[-1].facts if before else facts
    rounds, stuck = _walk(policy, given, level, now=now)
    options = [option for one in rounds for option in one]
    sure = not (stuck or any(o.kind == "event" for o in options) or any(g.earliest is None for g in before))
    reached = None if stuck else first_at(policy, _after(given, options), level, now=now)
    if reached is not None:
        needless = _needless(policy, given, options, level, now=now, reached=reached)
        options = [o for o in options if o not in needless]
    walked = _after(given, options)
    to = {State.YELLOW: State.YELLOW, State.POPUP: State.POPUP}.get(level, State.GREEN)
    if reached is not None:
        found = judge_one(policy, walked, now=reached).state
        to = found if found > State.REMIND else State.GREEN
    by_itself = first_at(policy, facts, State.REMIND if to is State.GREEN else to, now=now)

    def leads(fewer: Sequence[tuple[str, Row]], more: Sequence[tuple[str, Row]]) -> Moment | None:
        changed: dict[str, Sequence[Row]] = dict(walked)
        for fact, row in fewer:
            changed[fact] = [r for r in changed[fact] if r != row]
        for fact, row in more:
            changed[fact] = [*changed.get(fact, ()), row]
        return first_at(policy, changed, level, now=now)

    # What stands in the way today can be dated, whatever comes on the way.
    today = [o for o in options if sure or o in rounds[0]]
    acts: dict[int, tuple[_Act, bool]] = {}
    for option in options:
        for act in option.acts:
            _add(acts, act, option in today)
    for key, (act, known) in acts.items():
        if act.kind == "test" and reached is not None:
            tube = [(fact, {**row, "pooled": True}) for fact, row in act.rows]
            at = leads(act.rows, tube)
            act = replace(act, single=at is None or at > reached)  # noqa: PLW2901  the same act, known better
        as_well = [(other, leads(act.rows, other.rows)) for other in act.others if sure]
        others = [o for o, at in as_well if at is not None and (by_itself is None or at < by_itself)]
        acts[key] = replace(act, others=tuple(others)), known

    words = Words(judge_one(policy, facts, now=now).policy.zone, now)
    steps = [act.told(words, dated=known) for act, known in sorted(acts.values(), key=lambda a: a[0].done)]
    ends = [now]
    for option in options:
        real = any(option.hold.row is row for row in facts.get(option.hold.fact, ()))
        if option.kind == "wait" and option in today and real:
            ends.append(option.at)
        elif option.kind != "act" and option.words not in [
            s.words for s in (*steps, *(s for g in before for s in g.steps))
        ]:
            steps.append(Step(option.kind, option.words))
    if sure and reached is not None:
        steps, ends = [step for step in steps if step.rows], [reached]
    past = [
        now,
        *(act.done for act, _ in acts.values()),
        *(g.earliest for g in before if g.earliest is not None),
    ]
    if max(ends) > max(past):
        steps.append(Step("wait", words.until(max(ends)), until=max(ends)))

    instead = [] if by_itself is None or not acts else [words.by_itself(to, state, by_itself)]
    earliest = reached if sure else None
    return Leg(
        to,
        words.heading(to, state, earliest, bool(acts)),
        tuple(steps),
        tuple(Step("wait", told, until=by_itself) for told in instead),
        earliest,
        by_itself,
        reached,
        walked,
    )


def _add(acts: dict[int, tuple[_Act, bool]], act: _Act, known: bool) -> None:
    """One test does for every hold that asks for the same one."""
    for key, (one, one_known) in acts.items():
        if one.rows == act.rows:
            others = {other.text: other for other in (*act.others, *one.others)}
            acts[key] = replace(one, others=tuple(others.values())), known or one_known
            return
    acts[len(acts)] = act, known


def _walk(
    policy: Policy | Timeline, facts: Facts, level: State, *, now: Moment
) -> tuple[list[list[_Option]], bool]:
    """What is done about each hold in the way, in rounds that follow each other; and whether nothing ends one of them."""
    rounds: list[list[_Option]] = []
    at = now
    walked = facts
    for _ in range(MAX_ROUNDS):
        verdict = judge_one(policy, walked, now=at)
        holds = _worse(verdict, level)
        if not holds:
            return rounds, False
        found = [(hold, _past(verdict, hold, walked, at, now)) for hold in holds]
        words = [verdict.policy.rules[hold.rule].way_out for hold in holds]
        options = [
            option or _Option(hold, "event", at, own)
            for (hold, option), own in zip(found, words, strict=True)
        ]
        rounds.append(options)
        if any(option is None for _, option in found):
            break
        walked = _after(walked, options)
        at = max(at if any(o.rows or o.event for o in options) else at + 1, *(o.at for o in options))
    return rounds, True


def _after(facts: Facts, options: Sequence[_Option]) -> Facts:
    """The person's facts with this done, and nothing else."""
    after: dict[str, Sequence[Row]] = dict(facts)
    for option in options:
        if option.event is not None:
            fact, row, instead = option.event
            after[fact] = [*(r for r in after.get(fact, ()) if r is not instead), row]
        for fact, row in option.rows:
            rows = after.get(fact, ())
            after[fact] = rows if row in rows else [*rows, row]
    return after


def _needless(
    policy: Policy | Timeline,
    facts: Facts,
    options: Sequence[_Option],
    level: State,
    *,
    now: Moment,
    reached: Moment,
) -> list[_Option]:
    """What may be left undone and the leg takes no longer: waiting for something else ends it, or a later step does."""
    needless: list[_Option] = []
    acts = [o for o in options if o.kind == "act"]
    for option in sorted(acts, key=lambda o: o.acts[0].done):
        without = [o for o in options if o not in (*needless, option)]
        at = first_at(policy, _after(facts, without), level, now=now)
        if at is not None and at <= reached:
            needless.append(option)
    return needless


def _past(verdict: Verdict, hold: Hold, facts: Facts, at: Moment, now: Moment) -> _Option | None:
    """The quickest way past one hold, with what does as well; `at` is when the person stands there, `now` is today."""
    rule = verdict.policy.rules[hold.rule]
    ends = [e for e in (hold.until, None if hold.capped else hold.cap) if e is not None and e > at]
    options = [] if not ends else [_Option(hold, "wait", min(ends), rule.way_out)]
    options += _tests_to_come(verdict, hold, facts, at)
    for i, clear in enumerate(rule.clears):
        if clear.action in OWN_ACTIONS:
            options += _cleared_by(verdict, hold, i, facts, at, now)
    best = min(options, key=lambda o: (o.at, len(o.rows)), default=None)
    if best is None:
        return _event(verdict, hold, facts, at)
    if len(best.acts) == 1:
        (act,) = best.acts
        others = {o.acts[0].kind: o.acts[0] for o in reversed(options) if len(o.acts) == 1}
        others.pop(act.kind)
        return replace(best, acts=(replace(act, others=tuple(others.values())),))
    return best


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


def _cleared_by(verdict: Verdict, hold: Hold, i: int, facts: Facts, at: Moment, now: Moment) -> list[_Option]:
    """What makes clear `i` end this hold, for each way in which a row can do it."""
    policy = verdict.policy
    rule, made = policy.rules[hold.rule], compiled(policy)[hold.rule]
    clear, how = rule.clears[i], made.clears[i]
    person = _person(facts)
    since = made.stages[0].since(hold.row, None, person, hold.anchor, None, at)
    where = _Asked(rule.zone, hold.row, person, hold.anchor, since)
    there = facts.get(clear.on, ())

    def value(rows: Sequence[Row]) -> Moment | None:
        return cleared_at(how, hold.row, person, hold.anchor, since, rows=[*there, *rows], now=at, changes=[])

    # The second of two may come as soon as it is far enough from one that is there.
    starts = {at}
    if how.apart_on is not None:
        for row in there:
            if how.when(hold.row, row, person, hold.anchor, since, at) is True:
                apart = how.apart_on(hold.row, row, person, hold.anchor, since, at)
                if apart is not None and apart < now and apart + clear.apart_seconds > at:
                    starts.add(apart + clear.apart_seconds)
    out = []
    for start in sorted(starts):
        for found, row in asked_rows(clear.on, clear.when, where, start):
            rows, first = [row], found
            while value(rows) is None and len(rows) < clear.count:
                later = _later(clear.on, rows[-1], clear.apart_seconds)
                if where.value(clear.when, later, first + clear.apart_seconds) is not True:
                    break
                rows.append(later)
            cleared = value(rows)
            if cleared is None:
                continue
            again = len(rows) > 1 and row in there  # the first of the two is asked for already
            if again:
                rows, first = rows[1:], first + clear.apart_seconds
            act = _Act(
                clear.action,
                tuple((clear.on, r) for r in rows),
                clear.text,
                first,
                apart=clear.apart_seconds if again or len(rows) > 1 else 0,
                again=again,
            )
            out.append(_Option(hold, "act", max(cleared, at), rule.way_out, (act,)))
    return out


def _later(fact: str, row: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    """The same row, all its times moved on."""
    times = {n for n, (kind, _) in FACTS[fact].columns.items() if kind is FactType.TIME}
    return {k: v + seconds if k in times and v is not None else v for k, v in row.items()}


def _tests_to_come(verdict: Verdict, hold: Hold, facts: Facts, at: Moment) -> list[_Option]:
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
    # Too late for one of the days: a sample after the last scheduled day stands for all.
    late = any(where.day(at) - origin > k + 1 for k in missing)
    asked = _Asked(rule.zone, hold.row, person, hold.anchor, hold.since)
    acts: list[_Act] = []
    for day in [last + 1] if late else missing:
        start = max(at, where.midnight(origin + day))
        row = next((r for _, r in asked_rows("tests", rule.tests_when, asked, start)), None)
        if row is None:
            return []
        since = row["sampled_at"]
        if acts and acts[-1].since == since:
            continue  # today's test is yesterday's, that was missed, too
        until = None if late else where.midnight(origin + day + 2)
        acts.append(_Act("test", (("tests", row),), rule.way_out, since, until))
    return [_Option(hold, "act", max(hold.planned, acts[-1].since), rule.way_out, tuple(acts))]


def _event(verdict: Verdict, hold: Hold, facts: Facts, now: Moment) -> _Option | None:
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
            return _Option(hold, "event", max(end, moment), rule.way_out, event=(rule.on, row, hold.row))
    return None


def _person(facts: Facts) -> Row:
    people = facts.get("people")
    return people[0] if people else {}

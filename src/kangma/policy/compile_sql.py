"""A checked policy → SQL over the fact relations, for everybody at once. The twin of compile_python and judge_one.

The text is DuckDB's dialect and stays within what Spark has too (sqlglot carries it over; a test parses it there).
Every moment is a BIGINT of seconds. The order of work is what makes a city affordable:

0 `seen` of each fact that rules stand on: one scan, kept are the rows that some rule's condition may take.
1 `base` of each rule: its rows of those that satisfy the condition and can still be active, now or later. Few.
2 `near` of each other fact that clears or exempts: one scan, kept for persons who have a base row only.
3 `judged` of each rule: base rows with their exemptions, tests and clears, one hash join a fact, then arithmetic.
4 `holds` and `verdicts`: the union of all of them, and one aggregation by person.

A rule without base rows costs nothing after step 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kangma.evidence.facts import FACTS, FactType
from kangma.policy.clock import Clock, clock
from kangma.policy.expressions import FROM_FACT, bound
from kangma.policy.language import (
    COMPARISONS,
    Column,
    Const,
    Node,
    Special,
    Type,
    columns,
    conjuncts,
    split,
    thresholds,
    uses,
)
from kangma.policy.rules import Policy, Rule
from kangma.terms import Moment, State

NULL = "CAST(NULL AS BIGINT)"


# -- one expression -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Names:
    """How columns are called where an expression stands: a prefix for each scope, and the special names."""

    zone: Clock
    prefixes: Mapping[str, str] = field(default_factory=lambda: {"own": "h_", "other": "o_", "person": "p_"})
    specials: Mapping[str, str] = field(default_factory=dict)


def literal(value: object) -> str:
    """The SQL literal of a parameter or constant. The only place where an author's text enters the SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return f"({value})" if value < 0 else str(value)
    if isinstance(value, float):
        shown = repr(value)
        return f"({shown})" if "e" in shown else f"({shown}e0)"  # without exponent it would be a DECIMAL
    assert isinstance(value, str)
    return "'" + value.replace("'", "''") + "'"


def expression(node: Node, names: Names) -> str:
    """The SQL of a checked tree."""
    match node:
        case Const(value, _):
            return literal(value)
        case Special(name, _):
            return names.specials[name]
        case Column(scope, name, _):
            return f"{names.prefixes[scope]}{name}"
    op, kinds = node.op, [a.type for a in node.args]
    x = [expression(a, names) for a in node.args if a.type not in (Type.TEXTS, Type.INTS)]
    if node.type is Type.REAL and op in ("+", "-", "*", "/", "least", "greatest", "coalesce", "if"):
        x = [f"CAST({s} AS DOUBLE)" if k is Type.INT else s for s, k in zip(x, kinds, strict=True)]
    if op in ("and", "or"):
        return f"({x[0]} {op.upper()} {x[1]})"
    if op in COMPARISONS or op in ("+", "-", "*"):
        return f"({x[0]} {op} {x[1]})"
    if op == "/":
        return f"({x[0]} / nullif({x[1]}, 0e0))"
    if op in ("least", "greatest", "coalesce"):
        return f"{op}({', '.join(x)})"
    if op == "in":
        listed = node.args[1]
        assert isinstance(listed, Const)
        return f"({x[0]} IN ({', '.join(literal(v) for v in listed.value)}))"
    simple = {
        "not": "(NOT {0})",
        "neg": "(- {0})",
        "is_null": "({0} IS NULL)",
        "is_not_null": "({0} IS NOT NULL)",
        "if": "CASE WHEN {0} THEN {1} ELSE {2} END",
        "minutes_between": "(CAST({1} - {0} AS DOUBLE) / 60e0)",
    }
    if op in simple:
        return simple[op].format(*x)
    if op == "local_date":
        return names.zone.day_sql(x[0])
    if op == "year":
        return f"CAST(year({_date(x[0] if kinds[0] is Type.DATE else names.zone.day_sql(x[0]))}) AS BIGINT)"
    if op == "years_between":
        return _years_between(x[0], x[1] if kinds[1] is Type.DATE else names.zone.day_sql(x[1]))
    assert op == "day", op
    day = x[0] if kinds[0] is Type.DATE else names.zone.day_sql(x[0])
    return names.zone.midnight_sql(f"({day} + {x[1]})" if x[1] != "0" else day)


def _date(day: str) -> str:
    return f"(DATE '1970-01-01' + CAST({day} AS INTEGER))"


def _years_between(birth: str, day: str) -> str:
    a, b = _date(birth), _date(day)
    before = f"month({b}) * 100 + day({b}) < month({a}) * 100 + day({a})"
    return f"CAST(year({b}) - year({a}) - CASE WHEN {before} THEN 1 ELSE 0 END AS BIGINT)"


def _read(fact: str, column: str, alias: str) -> str:
    """A fact's column as the judges read it: whole numbers out of bounds are null."""
    kind = FROM_FACT[FACTS[fact].columns[column][0]]
    if FACTS[fact].columns[column][0] in (FactType.TEXT, FactType.BOOL, FactType.REAL):
        return f"{alias}.{column}"
    limit = bound(kind)
    read = f"CAST({alias}.{column} AS BIGINT)"
    return f"CASE WHEN {alias}.{column} BETWEEN -{limit} AND {limit} THEN {read} END"


def _least(*parts: str) -> str:
    """The least that is not null, of SQL texts of which some may be the literal null."""
    known = [p for p in dict.fromkeys(parts) if p != NULL]
    if not known:
        return NULL
    return known[0] if len(known) == 1 else f"least({', '.join(known)})"


# -- one rule -------------------------------------------------------------------------------------------------------


def relation(kind: str, name: object) -> str:
    """The name of an intermediate relation."""
    return f"judge_{kind}_{name}"


def _changes(nodes: Iterable[Node], names: Names, now: Moment) -> str:
    """The earliest moment after `now` at which one of the thresholds lies, in this row."""
    parts = [expression(n, names) for n in nodes]
    return _least(*(f"CASE WHEN {p} > {now} THEN {p} END" for p in parts)) if parts else NULL


def standing(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """Per fact: the rules that stand on it."""
    out: dict[str, list[Rule]] = {}
    for rule in rules:
        out.setdefault(rule.on, []).append(rule)
    return out


def needed(rules: Iterable[Rule]) -> dict[str, set[str]]:
    """Per fact that clears, exempts or counts as a test: the columns that are read of it."""
    out: dict[str, set[str]] = {}
    for rule in rules:
        for unless in rule.unless:
            out.setdefault(unless.on, set()).update(columns(unless.when, "other"))
        for clear in rule.clears:
            for node in (clear.when, clear.at, clear.apart_on):
                out.setdefault(clear.on, set()).update(columns(node, "other"))
        if rule.tests_when is not None:
            wanted = out.setdefault("tests", set())
            wanted.update(columns(rule.tests_when, "other"), ("sampled_at", "reported_at"))
    return out


def _nodes(rule: Rule) -> list[Node]:
    nodes = [rule.when, rule.anchor, *([rule.cap] if rule.cap is not None else [])]
    for stage in rule.stages:
        nodes += [stage.since, *([stage.until] if stage.until is not None else [])]
    for unless in rule.unless:
        nodes.append(unless.when)
    for clear in rule.clears:
        nodes += [clear.when, clear.at, *([clear.apart_on] if clear.apart_on is not None else [])]
    return nodes


def seen(fact: str, rules: Iterable[Rule], *, persons: str | None = None) -> str:
    """Step 0: the rows of a fact that some rule on it may take, by what the conditions say of the row alone.

    `persons` names a relation with a column `person`: nobody else is looked at.
    """
    rules = list(rules)
    own = sorted({c for rule in rules for n in _nodes(rule) for c in columns(n, "own")})
    picked = ", ".join(["f.person", *(f"{_read(fact, c, 'f')} AS h_{c}" for c in own)])
    only = f" WHERE f.person IN (SELECT person FROM {persons})" if persons else ""
    ways = []
    for rule in rules:
        alone = [
            part
            for part in conjuncts(rule.when)
            if not columns(part, "person") and not uses(part, "now") and not uses(part, "anchor")
        ]
        names = Names(clock(rule.zone))
        ways.append(" AND ".join(expression(part, names) for part in alone) or "TRUE")
    return f"SELECT * FROM (SELECT {picked} FROM fact_{fact} AS f{only}) AS q0 WHERE ({') OR ('.join(ways)})"


def base(rule: Rule, *, now: Moment, row_id: str = "row_number() OVER ()") -> str:
    """Step 1: the rule's fact rows that can be active now or later, with their anchor, stages and cap.

    Columns: rid, person, a, s<i>, u<i>, k, kr, w (the truth of what the clock can change
    in the condition), tw (its next change), and the columns of
    the row (h_) and of the person (p_) that conditions read.
    """
    names = Names(clock(rule.zone), specials={"anchor": "a", "since": "s0", "now": str(now)})
    nodes = _nodes(rule)
    own = sorted({c for n in nodes for c in columns(n, "own")})
    person = sorted({c for n in nodes for c in columns(n, "person")})
    picked = ["f.person", *(f"f.h_{c}" for c in own)]
    picked += [f"{_read('people', c, 'p')} AS p_{c}" for c in person]
    join = " LEFT JOIN fact_people AS p ON p.person = f.person" if person else ""
    sql = f"SELECT {', '.join(picked)} FROM {relation('seen', rule.on)} AS f{join}"
    sql = f"SELECT *, {expression(rule.anchor, names)} AS a FROM ({sql}) AS q1"

    tests = ["a IS NOT NULL"]
    first, last = rule.anchors
    tests += [f"a >= {first}"] if first is not None else []
    tests += [f"a < {last}"] if last is not None else []
    still, moving = split(rule.when)
    tests.append(expression(still, names))
    sql = (
        f"SELECT *, {expression(rule.main.since, names)} AS s0 FROM ({sql}) AS q2 WHERE {' AND '.join(tests)}"
    )

    parts = ["*"]
    for i, stage in enumerate(rule.stages):
        parts += [f"{expression(stage.since, names)} AS s{i}"] if i else []
        parts.append(f"{NULL if stage.until is None else expression(stage.until, names)} AS u{i}")
    parts.append(f"{NULL if rule.cap is None else expression(rule.cap, names)} AS k")
    if moving is None:
        parts += ["TRUE AS w", f"{NULL} AS tw"]
    else:
        parts.append(f"coalesce({expression(moving, names)}, FALSE) AS w")
        parts.append(f"{_changes(thresholds(moving), names, now)} AS tw")
    sql = f"SELECT {', '.join(parts)} FROM ({sql}) AS q3"
    sql = f"SELECT *, k + {rule.remind_seconds} AS kr FROM ({sql}) AS q4"
    # An end that waits for tests is open until the tests are known (step 3).
    alive = [
        _alive(rule, i, now, open_end=i == 0 and rule.tests_when is not None) for i in range(len(rule.stages))
    ]
    return f"SELECT {row_id} AS rid, * FROM ({sql}) AS q5 WHERE {' OR '.join(alive)}"


def _alive(rule: Rule, i: int, now: Moment, *, open_end: bool = False) -> str:
    limits = [NULL if open_end else f"u{i}"]
    if rule.cap is not None and rule.stages[i].outcome.capped:
        limits.append("kr")
    limit = _least(*limits)
    if limit == NULL:
        return f"s{i} IS NOT NULL"
    return f"(s{i} IS NOT NULL AND ({limit} IS NULL OR (s{i} < {limit} AND {now} < {limit})))"


def near(fact: str, wanted: Iterable[str], bases: Iterable[int]) -> str:
    """Step 2: the rows of another fact, of persons who have a row in one of these bases only."""
    picked = ", ".join(["f.person", *(f"{_read(fact, c, 'f')} AS o_{c}" for c in sorted(wanted))])
    persons = " UNION ".join(f"SELECT person FROM {relation('base', k)}" for k in bases)
    return f"SELECT {picked} FROM fact_{fact} AS f WHERE f.person IN ({persons})"


def judged(rule: Rule, index: int, *, now: Moment) -> str:
    """Step 3: one row per base row: for each stage whether it is active and until when, and the next change."""
    where = clock(rule.zone)
    names = Names(
        where,
        specials={"anchor": "b.a", "since": "b.s0", "now": str(now)},
        prefixes={"own": "b.h_", "other": "o.o_", "person": "b.p_"},
    )
    source = relation("base", index)
    joins: list[str] = []
    per_fact: dict[str, list[str]] = {}
    hits, exempt_changes, clears, clear_changes = [], [], [], []

    def add(fact: str, sql: str, name: str) -> str:
        per_fact.setdefault(fact, []).append(f"{sql} AS {name}")
        return name

    for j, unless in enumerate(rule.unless):
        hits.append(add(unless.on, f"bool_or({expression(unless.when, names)})", f"x{j}"))
        if change := thresholds(unless.when):
            exempt_changes.append(add(unless.on, f"min({_changes(change, names, now)})", f"xt{j}"))
    for j, clear in enumerate(rule.clears):
        if change := thresholds(clear.when):
            clear_changes.append(add(clear.on, f"min({_changes(change, names, now)})", f"ct{j}"))
        when, at = expression(clear.when, names), expression(clear.at, names)
        if clear.apart_on is None:
            clears.append(add(clear.on, f"min(CASE WHEN {when} THEN {at} END)", f"c{j}"))
            continue
        found = (
            f"SELECT b.rid, {at} AS cleared_at, {expression(clear.apart_on, names)} AS apart FROM {source} AS b "
            f"JOIN {relation('near', clear.on)} AS o ON o.person = b.person WHERE {when}"
        )
        # min over pairs of the later moment; both must be known
        joins.append(
            f"LEFT JOIN (SELECT m.rid, min(greatest(m.cleared_at, n.cleared_at)) AS c{j} "
            f"FROM ({found}) AS m JOIN ({found}) AS n ON n.rid = m.rid "
            f"WHERE n.apart - m.apart >= {clear.apart_seconds} AND m.cleared_at IS NOT NULL "
            f"AND n.cleared_at IS NOT NULL GROUP BY m.rid) AS pair{j} ON pair{j}.rid = b.rid"
        )
        clears.append(f"c{j}")
    done: list[str] = []
    if rule.tests_when is not None:
        counts = f"{expression(rule.tests_when, names)} AND o.o_reported_at IS NOT NULL"
        sampled, origin = where.day_sql("o.o_sampled_at"), where.day_sql("b.a")
        late = f"{sampled} > {origin} + {rule.test_days[-1]}"
        for day in rule.test_days:
            on_day = f"{sampled} BETWEEN {origin} + {day} AND {origin} + {day + 1}"
            done.append(
                add(
                    "tests",
                    f"min(CASE WHEN {counts} AND ({on_day} OR {late}) THEN o.o_reported_at END)",
                    f"d{day}",
                )
            )
    for fact, picked in per_fact.items():
        joins.append(
            f"LEFT JOIN (SELECT b.rid, {', '.join(picked)} FROM {source} AS b JOIN {relation('near', fact)} AS o "
            f"ON o.person = b.person GROUP BY b.rid) AS {fact}_ ON {fact}_.rid = b.rid"
        )
    made = [*hits, *exempt_changes, *clears, *clear_changes, *done]
    kept = ["b.person", "b.a", "b.k", "b.kr", "b.w", "b.tw", *(f"b.s{i}" for i in range(len(rule.stages)))]
    for i in range(len(rule.stages)):
        if i == 0 and done:
            every = " AND ".join(f"{d} IS NOT NULL" for d in done)
            kept.append(
                f"CASE WHEN b.u0 IS NOT NULL AND {every} THEN greatest(b.u0, {', '.join(done)}) END AS u0"
            )
        else:
            kept.append(f"b.u{i}")
    sql = f"SELECT {', '.join([*kept, *made])} FROM {source} AS b {' '.join(joins)}"

    hit = " OR ".join(f"coalesce({h}, FALSE)" for h in hits) or "FALSE"
    stages = range(len(rule.stages))
    parts = [f"(w AND NOT ({hit})) AS stands", f"{_least(*clears) if clears else NULL} AS c"]
    parts.append(f"{_least(*exempt_changes) if exempt_changes else NULL} AS xt")
    parts.append(f"{_least(*clear_changes) if clear_changes else NULL} AS ct")
    alive = f" WHERE {' OR '.join(_alive(rule, i, now) for i in stages)}" if done else ""
    sql = f"SELECT *, {', '.join(parts)} FROM ({sql}) AS r1{alive}"

    capped = [rule.cap is not None and s.outcome.capped for s in rule.stages]
    ends = [f"{_least(f'u{i}', 'c', 'kr' if capped[i] else NULL)} AS e{i}" for i in stages]
    sql = f"SELECT *, {', '.join(ends)} FROM ({sql}) AS r2"
    real = [f"(stands AND s{i} IS NOT NULL AND (e{i} IS NULL OR s{i} < e{i})) AS v{i}" for i in stages]
    sql = f"SELECT *, {', '.join(real)} FROM ({sql}) AS r3"

    out, changes = ["person", "k AS cap"], ["tw", "CASE WHEN w THEN xt END", "CASE WHEN stands THEN ct END"]
    for i in stages:
        changes.append(f"CASE WHEN v{i} AND s{i} > {now} THEN s{i} END")
        changes.append(f"CASE WHEN v{i} AND e{i} > {now} THEN e{i} END")
        if capped[i]:
            changes.append(
                f"CASE WHEN v{i} AND k > {now} AND s{i} < k AND (e{i} IS NULL OR k < e{i}) THEN k END"
            )
        out.append(f"(v{i} AND s{i} <= {now} AND (e{i} IS NULL OR {now} < e{i})) AS active{i}")
        out.append(f"s{i} AS since{i}")
        over = f"coalesce(k <= {now}, FALSE)" if capped[i] else "FALSE"
        out.append(f"{over} AS capped{i}")
        plain = _least(f"u{i}", "c")
        out.append(
            (f"CASE WHEN {over} THEN {_least(plain, 'kr')} ELSE {plain} END" if capped[i] else plain)
            + f" AS until{i}"
        )
    out.append(f"{_least(*changes)} AS next_change_at")
    return f"SELECT {', '.join(out)} FROM ({sql}) AS r4"


# -- everybody ------------------------------------------------------------------------------------------------------


def holds(rules: Mapping[int, Rule]) -> str:
    """Step 4: one row per active stage of every row."""
    parts = []
    for k, rule in rules.items():
        for i, stage in enumerate(rule.stages):
            o = stage.outcome

            def either(capped: int, plain: int, i: int = i) -> str:
                return f"CASE WHEN capped{i} THEN {capped} ELSE {plain} END"

            parts.append(
                f"SELECT person, {k} AS rule, {i} AS stage, {either(State.REMIND, o.state)} AS outcome, "
                f"{either(0, o.popups)} AS popups, {either(rule.cap_reminds, o.reminds)} AS reminds, "
                f"since{i} AS since, until{i} AS until, cap, capped{i} AS capped "
                f"FROM {relation('judged', k)} WHERE active{i}"
            )
    return " UNION ALL ".join(parts)


def verdicts(rules: Mapping[int, Rule], switch: Moment | None = None) -> str:
    """Step 4: one row per person with an active hold or a change to come."""
    rows = [
        f"SELECT person, outcome, popups, reminds, {NULL} AS next_change_at FROM {relation('holds', 'all')}",
        *(
            f"SELECT person, 0 AS outcome, 0 AS popups, 0 AS reminds, next_change_at "
            f"FROM {relation('judged', k)} WHERE next_change_at IS NOT NULL"
            for k in rules
        ),
    ]
    later = "min(next_change_at)" if switch is None else f"least(min(next_change_at), {switch})"
    unknown = int(State.UNKNOWN)
    grouped = (
        f"SELECT person, max(CASE WHEN outcome <> {unknown} THEN outcome ELSE 0 END) AS best, "
        f"max(CASE WHEN outcome = {unknown} THEN 1 ELSE 0 END) AS unknown, bit_or(popups) AS popups, "
        f"bit_or(reminds) AS reminds, {later} AS next_change_at "
        f"FROM ({' UNION ALL '.join(rows)}) AS every GROUP BY person"
    )
    return (
        f"SELECT person, CASE WHEN unknown = 1 AND best < {int(State.YELLOW)} THEN {unknown} ELSE best END AS state, "
        f"popups, reminds, next_change_at FROM ({grouped}) AS per_person"
    )


def script(policy: Policy, *, now: Moment, switch: Moment | None = None) -> list[tuple[str, str]]:
    """All relations of a whole-city run in order, (name, SELECT), for an engine that makes views of them (Spark)."""
    rules = dict(enumerate(policy.rules))
    row_id = "row_number() OVER (ORDER BY person)"
    out = [(relation("seen", fact), seen(fact, on)) for fact, on in standing(rules.values()).items()]
    out += [(relation("base", k), base(r, now=now, row_id=row_id)) for k, r in rules.items()]
    for fact, wanted in needed(rules.values()).items():
        bases = [k for k, r in rules.items() if fact in needed([r])]
        out.append((relation("near", fact), near(fact, wanted, bases)))
    out += [(relation("judged", k), judged(r, k, now=now)) for k, r in rules.items()]
    out.append((relation("holds", "all"), holds(rules)))
    out.append((relation("verdicts", "all"), verdicts(rules, switch)))
    return out

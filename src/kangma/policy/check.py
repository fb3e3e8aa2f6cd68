"""A policy file → a checked policy, or every mistake in it at once, with line, column and name.

The file is TOML. Nothing is looked up later: names, types, texts, chains and caps are settled here, so that both
judges can trust a `Policy` blindly. docs/formats/policy.md is the reference of what may be written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from kangma.evidence.facts import FACTS
from kangma.policy.expressions import Scope, nearest, parameter_type, typed
from kangma.policy.language import Const, Mistake, Node, Op, Special, Type, parse, substitute
from kangma.policy.positions import Marked, Path, Place, read
from kangma.policy.rules import (
    Clear,
    Door,
    Nat,
    Outcome,
    Policy,
    Problem,
    Rule,
    Stage,
    Unless,
    Vaccination,
)
from kangma.terms import DAY, HOUR, Moment, State, Text, zone
from kangma.tracing.rule import CompanionRule, TracingRule

FORMAT = 1
MAX_NOTICES = 32
MAX_RETENTION = 28  # of visits and stays, whatever a policy says
MAX_RULES = 1_000
MAX_DAYS = 3_660
MAX_CHARACTERS = 2_000_000

TOP = (
    "format",
    "id",
    "version",
    "effective_from",
    "time_zone",
    "amends",
    "grandfather",
    "remove_rules",
    "remove_doors",
    "remind_days_after_cap",
    "title",
    "city",
    "parameters",
    "tracing",
    "notices",
    "authorities",
    "nat",
    "vaccination",
    "standing_exceptions",
    "rule",
    "door",
)
MERGED = (
    "title",
    "city",
    "parameters",
    "tracing",
    "notices",
    "authorities",
    "nat",
    "vaccination",
    "standing_exceptions",
)
COLOURS = {"red": State.RED, "yellow": State.YELLOW, "unknown": State.UNKNOWN}
NOTICES = {"popup": State.POPUP, "remind": State.REMIND}
ACTIONS = ("test", "report", "officer", "wait", "register", "paper")
DAY_MODES = ("hours_from_report", "calendar_days_from_sample")
# Key → its least value, or what else it is. What is not said has the value of kangma.tracing.rule.
TRACING = {
    "min_overlap_minutes": 1,
    "linger_minutes": 0,
    "look_back_days": 0,
    "companion": {"cell_metres": 1, "min_minutes": 0, "min_hours": 0, "days": 1, "either": bool},
}

# When a clearing row counts from, where the rule does not say.
AT = {
    "tests": "reported_at",
    "vaccinations": "given_on",
    "cases": "confirmed_at",
    "contacts": "last_exposure_at",
    "exposures": "last_at",
    "companions": "last_at",
    "risk_stays": "entered_at",
    "county_stays": "entered_at",
    "entries": "entered_on",
    "city_entries": "at",
    "purchases": "at",
    "clinic_visits": "at",
    "missed_rounds": "last_closed_at",
    "occupations": "from_at",
    "isolations": "from_at",
    "clearances": "at",
}

# What "the test was done" means where a rule says only `end_needs_tests = true`.
TESTS_DONE = "method = 'nat' and result = 'negative'"

DOOR_WORDS = {
    "colour": Type.TEXT,
    "popups": Type.INT,
    "nat_hours": Type.REAL,
    "nat_days": Type.INT,
    "nat_result": Type.TEXT,
    "age": Type.INT,
    "entered_hours_ago": Type.REAL,
}
DOOR_CHOICES = {
    "colour": ("green", "yellow", "red", "unknown"),
    "nat_result": ("negative", "positive", "invalid", "pending"),
}

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_RESERVED = ("now", "anchor", "since", "person", "hold")


def tracing_rule(values: Mapping[str, Any]) -> TracingRule:
    """The [tracing] table; without a `companion` in it nobody is a companion."""
    named = {k: v for k, v in values.items() if k != "companion"}
    asked = values.get("companion")
    return TracingRule(**named, companion=None if asked is None else CompanionRule(**asked))


def check(text: str, base: Policy | None = None) -> tuple[Policy | None, tuple[Problem, ...]]:
    """The policy of a file, and all that is wrong with it; the policy is None when anything is.

    `base` is the version that an amending file amends.
    """
    if len(text) > MAX_CHARACTERS:
        return None, (Problem(1, 1, "file", f"a policy has at most {MAX_CHARACTERS} characters"),)
    marked = read(text)
    if base is None and "amends" in marked.values:
        # Everything else would be found missing, and stands in the base.
        place = marked.place(("amends",))
        named = str(marked.values["amends"])
        return None, (Problem(*place.value, named, "this file amends a version that was not given with it"),)
    return check_marked(marked, base)


def check_values(
    values: dict[str, Any], base: Policy | None = None
) -> tuple[Policy | None, tuple[Problem, ...]]:
    """The same for values that are already read, and have no places: every problem is told at 1:1."""
    return check_marked(Marked(values, {}), base)


def check_marked(marked: Marked, base: Policy | None) -> tuple[Policy | None, tuple[Problem, ...]]:
    found = [Problem(f.line, f.column, "TOML", f.message) for f in marked.faults]
    checker = _Checker(*_merged(marked, base), base)
    checker.problems += found
    policy = checker.policy()
    told = set(checker.problems)
    if found:  # what is missing from a file that cannot be read whole may stand in the part that was not read
        told = {p for p in told if (p.line, p.column) != (1, 1) or not p.message.endswith("is missing")}
    problems = sorted(told, key=lambda p: (p.line, p.column, p.name, p.message))
    return (None if problems else policy), tuple(problems)


def _merged(marked: Marked, base: Policy | None) -> tuple[dict[str, Any], Marked]:
    """The whole document: the base with the overlay on it; and the overlay's places, moved to where things now are."""
    over = marked.values
    if base is None or "amends" not in over:
        return dict(over), marked
    values: dict[str, Any] = {k: v for k, v in base.document.items() if k not in ("amends", "grandfather")}
    places = {p: at for p, at in marked.places.items() if p[0] not in ("rule", "door")}
    for key, value in over.items():
        if key in MERGED and isinstance(value, dict) and isinstance(values.get(key), dict):
            values[key] = {**values[key], **value}
        elif key not in ("rule", "door"):
            values[key] = value
    for key in ("rule", "door"):
        mine = over.get(key, [])
        gone = over.get(f"remove_{key}s", [])
        if not isinstance(mine, list) or not isinstance(gone, list):
            values[key] = mine
            continue
        # A rule is replaced where it stood. A door may have several entries (one per period): all of them are.
        by_id: dict[Any, list[int]] = {}
        for i, entry in enumerate(mine):
            name = entry.get("id") if isinstance(entry, dict) else None
            by_id.setdefault(name if isinstance(name, str) else None, []).append(i)
        out: list[tuple[Any, int | None]] = []
        used: set[Any] = set()
        for entry in values.get(key, []):
            name = entry["id"]
            if name in by_id:
                if name not in used:
                    out += [(mine[i], i) for i in by_id[name]]
                    used.add(name)
            elif name not in gone:
                out.append((entry, None))
        out += [(mine[i], i) for name, indices in by_id.items() if name not in used for i in indices]
        values[key] = [entry for entry, _ in out]
        for new, (_, old) in enumerate(out):
            for path, place in marked.places.items() if old is not None else ():
                if path[:2] == (key, old):
                    places[(key, new, *path[2:])] = place
    return values, Marked(marked.values, places, marked.faults)


def plain(value: Any) -> Any:
    """The value as JSON can carry it; times as UTC, so that the same moment has the same digest."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
        case date():
            return value.isoformat()
        case Mapping():
            return {k: plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
    return value


def digest(document: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a policy's canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(
        plain(document), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class _Checker:
    values: dict[str, Any]
    marked: Marked
    base: Policy | None
    problems: list[Problem] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    rule_ids: tuple[str, ...] = ()
    zone: str = "UTC"

    # -- saying what is wrong --------------------------------------------------------------------------------------

    def place(self, path: Path) -> Place:
        place = self.marked.places.get(path)
        while place is None and path:
            path = path[:-1]
            place = self.marked.places.get(path)
        # A fault in what an amendment took over from its base shows at the line that names the base.
        return place or self.marked.places.get(("amends",)) or Place(1, 1, (1, 1))

    def wrong(self, path: Path, name: object, message: str, *, value: bool = False) -> None:
        place = self.place(path)
        line, column = place.value if value else (place.line, place.column)
        self.problems.append(Problem(line, column, str(name), message))

    def mistakes(self, path: Path, found: Collection[Mistake]) -> None:
        for mistake in found:
            line, column = self.place(path).of_char(mistake.at)
            self.problems.append(Problem(line, column, mistake.name, mistake.message))

    # -- reading values --------------------------------------------------------------------------------------------

    def known(self, table: Mapping[str, Any], path: Path, keys: Collection[str]) -> None:
        for key in table:
            if key not in keys:
                self.wrong((*path, key), key, f"unknown key{nearest(key, keys)}")

    def get(
        self,
        table: Mapping[str, Any],
        path: Path,
        key: str,
        kind: type | tuple[type, ...],
        required: bool = False,
    ) -> Any:
        """The value if it is there and of that kind, else None with the mistake noted."""
        if key not in table:
            if required:
                self.wrong(path, key, f"{key} is missing")
            return None
        value = table[key]
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            shown = " or ".join(_KIND[k] for k in kinds)
            self.wrong((*path, key), key, f"{key} must be {shown}", value=True)
            return None
        return value

    def number(self, table: Mapping[str, Any], path: Path, key: str, low: int, high: int) -> int | None:
        value = self.get(table, path, key, int)
        if value is not None and not low <= value <= high:
            self.wrong((*path, key), key, f"{key} must be from {low} to {high}", value=True)
            return None
        return value  # type: ignore[no-any-return]  # its type was asked for above

    def text(self, table: Mapping[str, Any], path: Path, key: str, required: bool = True) -> Text | None:
        """A sentence in both languages."""
        value = self.get(table, path, key, dict, required)
        if value is None:
            return None
        return self.both(value, (*path, key), key)

    def both(self, value: Any, path: Path, name: str) -> Text | None:
        if not isinstance(value, dict):
            self.wrong(path, name, "must be a text { zh = ..., en = ... }", value=True)
            return None
        self.known(value, path, ("zh", "en"))
        for language in ("zh", "en"):
            words = value.get(language)
            if not isinstance(words, str) or not words.strip():
                self.wrong(path, name, f"the text in {language} is missing")
        if all(isinstance(value.get(k), str) and value[k].strip() for k in ("zh", "en")):
            return Text(value["zh"], value["en"])
        return None

    def texts(self, key: str) -> dict[str, Text]:
        table = self.get(self.values, (), key, dict) or {}
        out = {}
        for name, value in table.items():
            if not _CODE.fullmatch(name):
                self.wrong((key, name), name, "a name has letters, digits, - and _, at most 64")
            text = self.both(value, (key, name), name)
            out[name] = text or Text("", "")
        return out

    def moment(self, table: Mapping[str, Any], path: Path, key: str, required: bool = False) -> Moment | None:
        value = self.get(table, path, key, (datetime, str), required)
        if isinstance(value, str):  # an amendment's base, already in canonical form
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                self.wrong((*path, key), key, f"{key} must be a time with offset", value=True)
                return None
        if value is None:
            return None
        if value.tzinfo is None:
            self.wrong((*path, key), key, f"{key} must have an offset, such as +08:00", value=True)
            return None
        return int(value.timestamp())

    def entries(
        self, table: Mapping[str, Any], path: Path, key: str
    ) -> Iterator[tuple[dict[str, Any], Path]]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            self.wrong((*path, key), key, f"{key} must be written as [[{'.'.join([*_words(path), key])}]]")
            return
        for i, entry in enumerate(value):
            yield entry, (*path, key, i)

    # -- expressions -----------------------------------------------------------------------------------------------

    def expression(
        self,
        table: Mapping[str, Any],
        path: Path,
        key: str,
        scope: Scope,
        want: tuple[Type, ...],
        *,
        required: bool = False,
    ) -> Node | None:
        text = self.get(table, path, key, str, required)
        if text is None:
            return None
        return self.parsed(text, (*path, key), scope, want)

    def parsed(self, text: str, path: Path, scope: Scope, want: tuple[Type, ...]) -> Node | None:
        try:
            raw = parse(text)
        except Mistake as mistake:
            self.mistakes(path, (mistake,))
            return None
        node, mistakes = typed(raw, scope)
        self.mistakes(path, mistakes)
        if mistakes:
            return None
        if node.type not in want:
            kinds = " or ".join(t.value for t in want)
            self.wrong(
                path, path[-1], f"{path[-1]} must be a {kinds}, this is a {node.type.value}", value=True
            )
            return None
        return node

    # -- the document ----------------------------------------------------------------------------------------------

    def policy(self) -> Policy | None:
        values = self.values
        self.known(values, (), TOP)
        if self.get(values, (), "format", int, required=True) not in (None, FORMAT):
            self.wrong(("format",), values["format"], f"this version reads format {FORMAT}", value=True)
        name = self.get(values, (), "id", str, required=True)
        version = self.get(values, (), "version", str, required=True)
        for key, value in (("id", name), ("version", version)):
            if value is not None and not _CODE.fullmatch(value):
                self.wrong((key,), value, f"{key} has letters, digits, - and _, at most 64", value=True)
        effective = self.moment(values, (), "effective_from", required=True)
        self.zone = self.get(values, (), "time_zone", str, required=True) or "UTC"
        try:
            zone(self.zone)
        except ValueError:
            self.wrong(("time_zone",), self.zone, "unknown time zone", value=True)
            self.zone = "UTC"
        amends = self.get(values, (), "amends", str)
        if amends is not None and self.base is not None and amends != self.base.version:
            self.wrong(("amends",), amends, f"amends another version than {self.base.version}", value=True)
        elif self.base is not None and amends is None:
            self.wrong((), "amends", "amends is missing: this file does not amend")
        elif self.base is not None and effective is not None and effective <= self.base.effective_from:
            self.wrong(
                ("effective_from",), "effective_from", "an amendment takes effect after its base", value=True
            )
        self.removals(amends is not None)
        grandfather = self.get(values, (), "grandfather", bool) or False
        remind = self.number(values, (), "remind_days_after_cap", 0, MAX_DAYS)
        title = self.text(values, (), "title")

        city = self.get(values, (), "city", dict) or {}
        self.known(city, ("city",), ("name", "districts"))
        city_name = self.get(city, ("city",), "name", str) or ""
        districts = self.names_in(city, ("city",), "districts")

        self.read_parameters()
        kept = self.parameters.get("retention_days", 1)
        if isinstance(kept, bool) or not isinstance(kept, int) or not 1 <= kept <= MAX_RETENTION:
            message = f"visits and stays are kept 1 to {MAX_RETENTION} days"
            self.wrong(("parameters", "retention_days"), "retention_days", message, value=True)
        tracing = self.get(values, (), "tracing", dict) or {}
        self.shape(tracing, ("tracing",), TRACING)
        notices = self.texts("notices")
        if len(notices) > MAX_NOTICES:
            self.wrong(("notices",), "notices", f"at most {MAX_NOTICES} notices")
        authorities, exceptions = self.texts("authorities"), self.texts("standing_exceptions")
        self.notices, self.authorities, self.exceptions = (
            tuple(notices),
            tuple(authorities),
            tuple(exceptions),
        )
        nat, vaccination = self.nat(), self.vaccination()

        listed = values.get("rule", [])
        if isinstance(listed, list):
            self.rule_ids = tuple(
                r["id"] for r in listed if isinstance(r, dict) and isinstance(r.get("id"), str)
            )
        if len(self.rule_ids) > MAX_RULES:
            self.wrong(("rule",), "rule", f"at most {MAX_RULES} rules")
        remind_seconds = (7 if remind is None else remind) * DAY
        rules: dict[str, Rule] = {}
        seen: set[str] = set()
        for table, path in self.entries(values, (), "rule"):
            rule_id = self.get(table, path, "id", str, required=True)
            if rule_id is not None and not _NAME.fullmatch(rule_id):
                self.wrong(
                    (*path, "id"), rule_id, "a rule's id begins with a letter; letters, digits, - and _"
                )
            if rule_id in seen:
                self.wrong((*path, "id"), rule_id, "another rule has this id", value=True)
            seen.add(rule_id or "")
            rule = self.rule(table, path, rule_id or "?", remind_seconds)
            if rule is not None:
                rules.setdefault(rule.id, rule)
        self.chains(rules)
        doors = [door for t, p in self.entries(values, (), "door") if (door := self.door(t, p))]
        if self.problems or effective is None or title is None:
            return None
        return Policy(
            id=name,
            version=version,
            effective_from=effective,
            zone=self.zone,
            amends=amends,
            grandfather=grandfather,
            remind_seconds=remind_seconds,
            title=title,
            city=city_name,
            districts=districts,
            parameters=self.parameters,
            tracing=tracing_rule(tracing),
            notices=notices,
            authorities=authorities,
            nat=nat,
            vaccination=vaccination,
            standing_exceptions=exceptions,
            rules=tuple(rules.values()),
            doors=tuple(doors),
            digest=digest(values),
            document=plain(values),
        )

    def removals(self, amending: bool) -> None:
        for key, what in (("remove_rules", "rule"), ("remove_doors", "door")):
            if key not in self.values:
                continue
            names = self.names_in(self.values, (), key)
            if not amending:
                self.wrong((key,), key, "only an amendment can remove")
            elif self.base is not None:
                had = {r.id for r in self.base.rules} if what == "rule" else {d.id for d in self.base.doors}
                for i, name in enumerate(names):
                    if name not in had:
                        self.wrong(
                            (key, i), name, f"{self.base.version} has no such {what}{nearest(name, had)}"
                        )

    def names_in(self, table: Mapping[str, Any], path: Path, key: str) -> tuple[str, ...]:
        value = self.get(table, path, key, list)
        if value is None:
            return ()
        if not all(isinstance(v, str) for v in value):
            self.wrong((*path, key), key, f"{key} must be a list of texts", value=True)
            return ()
        return tuple(value)

    def read_parameters(self) -> None:
        table = self.get(self.values, (), "parameters", dict) or {}
        for key, value in table.items():
            if not _IDENTIFIER.fullmatch(key) or key in _RESERVED:
                self.wrong(
                    ("parameters", key), key, "a parameter's name is one word of letters, digits and _"
                )
            elif parameter_type(value) is None:
                self.wrong(
                    ("parameters", key),
                    key,
                    "a parameter is a whole number (at most a milliard), a real, true/false, a text or a list of texts",
                    value=True,
                )
            self.parameters[key] = value

    def shape(self, table: Mapping[str, Any], path: Path, shape: Mapping[str, Any]) -> None:
        self.known(table, path, shape)
        for key, want in shape.items():
            if isinstance(want, Mapping):
                inner = self.get(table, path, key, dict)
                if inner is not None:
                    self.shape(inner, (*path, key), want)
            elif want is bool:
                self.get(table, path, key, bool)
            else:
                self.number(table, path, key, want, 100_000)

    def nat(self) -> Nat:
        table = self.get(self.values, (), "nat", dict) or {}
        self.known(table, ("nat",), ("day_mode", "grace_days"))
        mode = self.get(table, ("nat",), "day_mode", str)
        if mode is not None and mode not in DAY_MODES:
            self.wrong(("nat", "day_mode"), mode, f"unknown mode{nearest(mode, DAY_MODES)}", value=True)
        return Nat(mode or DAY_MODES[0], self.number(table, ("nat",), "grace_days", 0, 60) or 0)

    def vaccination(self) -> Vaccination:
        table, path = self.get(self.values, (), "vaccination", dict) or {}, ("vaccination",)
        self.known(table, path, ("basic_doses", "booster_doses", "products"))
        products = self.get(table, path, "products", dict) or {}
        for name in products:
            self.number(products, (*path, "products"), name, 1, 20)
        basic = self.number(table, path, "basic_doses", 1, 20) or 2
        return Vaccination(basic, self.number(table, path, "booster_doses", 1, 20) or basic + 1, products)

    # -- rules -----------------------------------------------------------------------------------------------------

    def rule(self, table: dict[str, Any], path: Path, rule_id: str, remind_seconds: int) -> Rule | None:
        before = len(self.problems)
        self.known(table, path, _RULE_KEYS)
        on = self.fact(table, path)
        authority = self.get(table, path, "authority", str, required=True)
        if authority is not None and authority not in self.authorities:
            self.wrong(
                (*path, "authority"),
                authority,
                f"unknown authority{nearest(authority, self.authorities)}",
                value=True,
            )
        basis = self.get(table, path, "basis", str, required=True)
        reason, way_out = self.text(table, path, "reason"), self.text(table, path, "way_out")
        then = self.get(table, path, "then", str)
        test_days = self.test_days(table, path)

        # With an unknown fact nothing about columns can be said; names of parameters still can.
        bare = on
        row = Scope(bare, parameters=self.parameters, rules=self.rule_ids)
        times = replace(row, specials=frozenset({"anchor"}))
        later = replace(row, specials=frozenset({"anchor", "since"}))
        outcome = self.outcome(table, path)
        when = anchor = cap = None
        main: Stage | None = None
        stages: list[Stage] = []
        unless: list[Unless] = []
        clears: list[Clear] = []
        if on is not None:
            scope = replace(row, specials=frozenset({"now", "anchor"}))
            when = self.expression(table, path, "when", scope, (Type.BOOL,)) if "when" in table else _TRUE
            anchor = self.time(table, path, "anchor", row, required=True)
            main = self.stage(table, path, outcome, times, None)
            stages = [
                s
                for t, p in self.entries(table, path, "stage")
                if (s := self.stage(t, p, self.outcome(t, p), later, ("outcome", *_SPAN_KEYS, "text")))
            ]
            cap = self.one_of(table, path, ("cap_days", "cap_hours", "cap"), later, "cap")
            other = Scope(
                None,
                "other",
                hold=on,
                specials=frozenset({"now", "anchor", "since"}),
                parameters=self.parameters,
                rules=self.rule_ids,
            )
            for t, p in self.entries(table, path, "unless"):
                self.known(t, p, ("on", "when"))
                fact = self.fact(t, p)
                if fact is not None:
                    condition = self.expression(
                        t, p, "when", replace(other, bare=fact), (Type.BOOL,), required=True
                    )
                    if condition is not None:
                        unless.append(Unless(fact, condition))
            clears = [c for t, p in self.entries(table, path, "clear") if (c := self.clear(t, p, other))]
        else:
            for t, p in self.entries(table, path, "stage"):
                self.outcome(t, p)
        cap_reminds = self.cap_notice(table, path)
        tests_when = self.end_tests(table, path, test_days)
        self.sense(table, path, on, [outcome, *(s.outcome for s in stages)])
        if len(self.problems) > before or main is None or when is None or anchor is None:
            return None
        assert on is not None
        assert reason is not None
        assert way_out is not None
        return Rule(
            id=rule_id,
            on=on,
            when=when,
            anchor=anchor,
            stages=(main, *stages),
            unless=tuple(unless),
            clears=tuple(clears),
            cap=cap,
            cap_reminds=cap_reminds,
            remind_seconds=remind_seconds,
            test_days=test_days,
            tests_when=tests_when,
            then=then,
            authority=authority,
            basis=basis,
            reason=reason,
            way_out=way_out,
            zone=self.zone,
        )

    def fact(self, table: Mapping[str, Any], path: Path) -> str | None:
        name = self.get(table, path, "on", str, required=True)
        if name is None:
            return None
        if name not in FACTS:
            self.wrong((*path, "on"), name, f"unknown fact{nearest(name, FACTS)}", value=True)
            return None
        return str(name)

    def time(
        self, table: Mapping[str, Any], path: Path, key: str, scope: Scope, required: bool = False
    ) -> Node | None:
        """A moment; a date means its local midnight."""
        node = self.expression(table, path, key, scope, (Type.TIME, Type.DATE), required=required)
        return node if node is None or node.type is Type.TIME else Op("day", (node, _int(0)), Type.TIME)

    def one_of(
        self, table: Mapping[str, Any], path: Path, keys: tuple[str, ...], scope: Scope, what: str
    ) -> Node | None:
        """At most one of the ways to write a moment: a count of days, of hours, or an expression."""
        given = [k for k in keys if k in table]
        for extra in given[1:]:
            self.wrong((*path, extra), extra, f"{given[0]} says the {what} already")
        if not given:
            return None
        key = given[0]
        if key in ("days", "cap_days", "from_day"):
            count = self.number(table, path, key, 0, MAX_DAYS)
            shift = 0 if key == "from_day" else 1
            return None if count is None else Op("day", (_ANCHOR, _int(count + shift)), Type.TIME)
        if key in ("hours", "cap_hours"):
            count = self.number(table, path, key, 0, MAX_DAYS * 24)
            return None if count is None else Op("+", (_ANCHOR, _int(count * HOUR)), Type.TIME)
        return self.time(table, path, key, scope)

    def stage(
        self,
        table: Mapping[str, Any],
        path: Path,
        outcome: Outcome | None,
        scope: Scope,
        keys: tuple[str, ...] | None,
    ) -> Stage | None:
        before = len(self.problems)
        if keys is not None:
            self.known(table, path, keys)
        since = self.one_of(table, path, ("since", "from_day"), scope, "beginning") or _ANCHOR
        # The end of the main stage may be counted from its own beginning.
        ends = replace(scope, specials=frozenset({"anchor", "since"}))
        until = self.one_of(table, path, ("until", "days", "hours"), ends, "end")
        days, begin = table.get("days"), table.get("from_day")
        if isinstance(days, int) and isinstance(begin, int) and days < begin:
            self.wrong((*path, "days"), "days", f"ends before it begins: from_day is {begin}")
        text = self.text(table, path, "text", required=False) if keys is not None else None
        if outcome is None or len(self.problems) > before:
            return None
        return Stage(outcome, since, until, text)

    def outcome(self, table: Mapping[str, Any], path: Path) -> Outcome | None:
        written = self.get(table, path, "outcome", (str, list), required=True)
        if written is None:
            return None
        words = [written] if isinstance(written, str) else written
        key = (*path, "outcome")
        if not words or not all(isinstance(w, str) for w in words):
            self.wrong(key, "outcome", "outcome is a text or a list of texts", value=True)
            return None
        # What is sound of it is returned even so, so that the rest can be judged.
        states, popups, reminds = [], 0, 0
        for i, word in enumerate(words):
            at = (*key, i) if isinstance(written, list) else key
            head, colon, notice = word.partition(":")
            if word in COLOURS:
                states.append(COLOURS[word])
            elif head in NOTICES and colon:
                states.append(NOTICES[head])
                if notice not in self.notices:
                    self.wrong(at, notice, f"unknown notice{nearest(notice, self.notices)}", value=True)
                    continue
                bit = 1 << self.notices.index(notice)
                popups |= bit if head == "popup" else 0
                reminds |= bit if head == "remind" else 0
            else:
                ways = [*COLOURS, *(f"{k}:{n}" for k in NOTICES for n in self.notices)]
                self.wrong(at, word, f"unknown outcome{nearest(word, ways)}", value=True)
        if sum(s in COLOURS.values() for s in states) > 1:
            self.wrong(key, "outcome", "an outcome has at most one colour", value=True)
        return Outcome(max(states), popups, reminds, tuple(words)) if states else None

    def test_days(self, table: Mapping[str, Any], path: Path) -> tuple[int, ...]:
        days = self.get(table, path, "test_days", list)
        if days is None:
            return ()
        if not all(isinstance(d, int) and not isinstance(d, bool) and 0 <= d <= MAX_DAYS for d in days):
            self.wrong((*path, "test_days"), "test_days", "test_days is a list of day numbers", value=True)
            return ()
        if any(a >= b for a, b in pairwise(days)):
            self.wrong((*path, "test_days"), "test_days", "test_days must rise", value=True)
        return tuple(days)

    def end_tests(self, table: Mapping[str, Any], path: Path, days: tuple[int, ...]) -> Node | None:
        written = self.get(table, path, "end_needs_tests", (bool, str))
        if written is None or written is False:
            return None
        if not days:
            self.wrong((*path, "end_needs_tests"), "end_needs_tests", "needs test_days")
        if not any(k in table for k in ("until", "days", "hours")):
            self.wrong((*path, "end_needs_tests"), "end_needs_tests", "needs an end: days, hours or until")
        scope = Scope("tests", "other", person=False, parameters=self.parameters)
        text = TESTS_DONE if written is True else str(written)
        return self.parsed(text, (*path, "end_needs_tests"), scope, (Type.BOOL,))

    def cap_notice(self, table: Mapping[str, Any], path: Path) -> int:
        notice = self.get(table, path, "cap_notice", str)
        if notice is None:
            return 0
        if not any(k in table for k in ("cap_days", "cap_hours", "cap")):
            self.wrong((*path, "cap_notice"), notice, "there is no cap that would show it")
        if notice not in self.notices:
            self.wrong(
                (*path, "cap_notice"), notice, f"unknown notice{nearest(notice, self.notices)}", value=True
            )
            return 0
        return 1 << self.notices.index(notice)

    def clear(self, table: Mapping[str, Any], path: Path, other: Scope) -> Clear | None:
        before = len(self.problems)
        self.known(table, path, ("on", "when", "at", "count", "apart_hours", "apart_on", "action", "text"))
        text = self.text(table, path, "text")
        action = self.get(table, path, "action", str, required=True)
        if action is not None and action not in ACTIONS:
            self.wrong((*path, "action"), action, f"unknown action{nearest(action, ACTIONS)}", value=True)
        count = self.number(table, path, "count", 1, 2) or 1
        apart = self.number(table, path, "apart_hours", 1, MAX_DAYS * 24)
        for key in ("apart_hours", "apart_on"):
            if key in table and count == 1:
                self.wrong((*path, key), key, f"{key} needs count = 2")
        fact = self.fact(table, path)
        if fact is None:
            return None
        bare = replace(other, bare=fact)
        timeless = replace(bare, specials=frozenset({"anchor", "since"}))
        when = self.expression(table, path, "when", bare, (Type.BOOL,), required=True)
        if "at" not in table and fact not in AT:
            self.wrong(path, "at", f"{fact} has no moment of its own: say at")
            return None
        at = self.time(table if "at" in table else {"at": AT[fact]}, path, "at", timeless)
        apart_on: Node | None = None
        if count == 2:
            default = "sampled_at" if "sampled_at" in FACTS[fact].columns else table.get("at", AT.get(fact))
            apart_on = self.time(
                table if "apart_on" in table else {"apart_on": default}, path, "apart_on", timeless
            )
        if len(self.problems) > before or when is None or at is None or text is None:
            return None
        return Clear(fact, when, at, count, apart_on, (24 if apart is None else apart) * HOUR, action, text)

    def sense(
        self, table: Mapping[str, Any], path: Path, on: str | None, outcomes: list[Outcome | None]
    ) -> None:
        """What is well formed and still wrong: colours from vaccination, holds without end, caps that never bite."""
        known = [o for o in outcomes if o is not None]
        # Source: policy 7.0, "vaccination (never colours the code)".
        if on == "vaccinations" and any(o.capped for o in known):
            self.wrong((*path, "outcome"), "vaccinations", "vaccination never colours a code nor blocks it")
        capped = any(k in table for k in ("cap_days", "cap_hours", "cap"))
        stages = table.get("stage", [])
        parts = [table, *(s for s in stages if isinstance(s, dict))] if isinstance(stages, list) else [table]
        for part, outcome in zip(parts, outcomes, strict=False):
            open_end = not any(k in part for k in ("until", "days", "hours"))
            if outcome is not None and outcome.capped and open_end and not capped:
                self.wrong(
                    (*path, "outcome"),
                    table.get("id", "?"),
                    "a hold without end needs a cap: cap_days, cap_hours or cap",
                )
                break
        for end, cap in (("days", "cap_days"), ("hours", "cap_hours")):
            if (
                isinstance(table.get(end), int)
                and isinstance(table.get(cap), int)
                and table[cap] < table[end]
            ):
                self.wrong(
                    (*path, cap), cap, f"the cap comes before the end: {end} is {table[end]}", value=True
                )

    def chains(self, rules: Mapping[str, Rule]) -> None:
        """`then` must exist, stand on the same fact, and begin where this rule ends."""
        listed = self.values.get("rule", [])
        for i, table in enumerate(listed if isinstance(listed, list) else []):
            then = table.get("then") if isinstance(table, dict) else None
            if not isinstance(then, str):
                continue
            path = ("rule", i, "then")
            if then not in self.rule_ids:
                self.wrong(path, then, f"unknown rule{nearest(then, self.rule_ids)}", value=True)
                continue
            if then == table.get("id"):
                self.wrong(path, then, "a rule cannot follow itself", value=True)
                continue
            this, following = rules.get(str(table.get("id"))), rules.get(then)
            if this is None or following is None:
                continue
            if this.on != following.on:
                self.wrong(path, then, f"stands on {following.on}, not on {this.on}", value=True)
                continue
            ends = [_settled(s.until, this) for s in this.stages if s.until is not None]
            if not ends:
                self.wrong(path, then, "this rule has no end after which another could follow", value=True)
            elif _settled(following.main.since, following) not in ends:
                self.wrong(path, then, "does not begin where this rule ends", value=True)

    # -- doors -----------------------------------------------------------------------------------------------------

    def door(self, table: dict[str, Any], path: Path) -> Door | None:
        before = len(self.problems)
        self.known(table, path, ("id", "from", "to", "pass", "unchecked", "never_block", "text"))
        name = self.get(table, path, "id", str, required=True)
        if name is not None and not _CODE.fullmatch(name):
            self.wrong((*path, "id"), name, "a door's id has letters, digits, - and _", value=True)
        start, end = self.moment(table, path, "from"), self.moment(table, path, "to")
        if start is not None and end is not None and end <= start:
            self.wrong((*path, "to"), "to", "ends before it begins", value=True)
        scope = Scope(None, person=False, parameters=self.parameters, words=DOOR_WORDS, choices=DOOR_CHOICES)
        passes = self.expression(table, path, "pass", scope, (Type.BOOL,), required=True)
        unchecked = self.get(table, path, "unchecked", bool) or False
        never = self.names_in(table, path, "never_block")
        for i, exception in enumerate(never):
            if exception not in self.exceptions:
                self.wrong(
                    (*path, "never_block", i),
                    exception,
                    f"unknown standing exception{nearest(exception, self.exceptions)}",
                )
        text = self.text(table, path, "text")
        if len(self.problems) > before or passes is None or text is None:
            return None
        return Door(name, start, end, passes, unchecked, never, text)


_ANCHOR = Special("anchor", Type.TIME)
_TRUE = Const(True, Type.BOOL)
_SPAN_KEYS = ("since", "from_day", "until", "days", "hours")
_RULE_KEYS = (
    "id",
    "on",
    "when",
    "anchor",
    "outcome",
    *_SPAN_KEYS,
    "cap_days",
    "cap_hours",
    "cap",
    "cap_notice",
    "test_days",
    "end_needs_tests",
    "then",
    "authority",
    "basis",
    "reason",
    "way_out",
    "stage",
    "unless",
    "clear",
)
_KIND: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    datetime: "a time with offset",
}


def _int(value: int) -> Const:
    return Const(value, Type.INT)


def _words(path: Path) -> list[str]:
    return [str(p) for p in path if isinstance(p, str)]


def _settled(node: Node, rule: Rule) -> Node:
    """The moment with `since` and `anchor` put in, days of days added up: equal moments written alike."""
    node = substitute(
        node, {"since": substitute(rule.main.since, {"anchor": rule.anchor}), "anchor": rule.anchor}
    )
    return _folded(node)


def _folded(node: Node) -> Node:
    if not isinstance(node, Op):
        return node
    args = tuple(_folded(a) for a in node.args)
    if node.op == "day" and isinstance(args[1], Const):
        inner = args[0]
        if isinstance(inner, Op) and inner.op == "day" and isinstance(inner.args[1], Const):
            return Op("day", (inner.args[0], _int(inner.args[1].value + args[1].value)), Type.TIME)
    return Op(node.op, args, node.type)

"""A policy as checked values: everything a judge needs, nothing that still has to be looked up.

Expressions are checked trees in which parameters are already replaced by their values, so a rule stands on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kangma.policy.language import Node
from kangma.terms import Moment, State, Text
from kangma.tracing.rule import TracingRule


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage gives: a state of the lattice, and masks over the policy's notice codes (bit i = code i)."""

    state: State
    popups: int
    reminds: int
    words: tuple[str, ...]  # as written: ("yellow", "popup:2")

    @property
    def capped(self) -> bool:
        """Whether the cap speaks to it: all that takes something away from a person."""
        return self.state > State.REMIND


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of a hold. `since` and `until` are times; a null `since` means never, a null `until` open."""

    outcome: Outcome
    since: Node
    until: Node | None
    text: Text | None = None


@dataclass(frozen=True, slots=True)
class Unless:
    """An exemption: any row of `on` of the same person for which `when` is true, and there is no hold."""

    on: str
    when: Node


@dataclass(frozen=True, slots=True)
class Clear:
    """What ends a hold for good: `count` rows of `on` for which `when` is true, at the moment `at`.

    With `count` 2 the rows' `apart_on` lie at least `apart_seconds` apart.
    """

    on: str
    when: Node
    at: Node
    count: int
    apart_on: Node | None
    apart_seconds: int
    action: str
    text: Text


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `stages[0]` is the main stage; `cap` is a time or None.

    `anchors` is set by a grandfathering timeline only: the half-open stretch in which the anchor must lie.
    """

    id: str
    on: str
    when: Node
    anchor: Node
    stages: tuple[Stage, ...]
    unless: tuple[Unless, ...]
    clears: tuple[Clear, ...]
    cap: Node | None
    cap_reminds: int
    remind_seconds: int
    test_days: tuple[int, ...]
    tests_when: Node | None  # set where the main stage ends only with its tests done: which tests count
    then: str | None
    authority: str
    basis: str
    reason: Text
    way_out: Text
    zone: str
    anchors: tuple[Moment | None, Moment | None] = (None, None)

    @property
    def main(self) -> Stage:
        return self.stages[0]


@dataclass(frozen=True, slots=True)
class Door:
    """A door profile during [from_at, to_at). `passes` may be null: then the door does not know."""

    id: str
    from_at: Moment | None
    to_at: Moment | None
    passes: Node
    unchecked: bool
    never_block: tuple[str, ...]
    text: Text


@dataclass(frozen=True, slots=True)
class Nat:
    """How the counter beside the code counts. `grace_days`: at this count a pending sample holds it a day; 0 never."""

    day_mode: str
    grace_days: int


@dataclass(frozen=True, slots=True)
class Vaccination:
    """What the resident's screen calls a course; it never colours."""

    basic_doses: int
    booster_doses: int
    products: Mapping[str, int]  # products whose basic course has another number of doses


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One dated version of a policy, checked. `document` is the whole of it (amendments merged) as plain values.

    Two policies are the same when their digests are.
    """

    id: str
    version: str
    effective_from: Moment
    zone: str
    amends: str | None
    grandfather: bool
    remind_seconds: int
    title: Text
    city: str
    districts: tuple[str, ...]
    parameters: Mapping[str, Any]
    tracing: TracingRule
    notices: Mapping[str, Text]  # in bit order
    authorities: Mapping[str, Text]
    nat: Nat
    vaccination: Vaccination
    standing_exceptions: Mapping[str, Text]
    rules: tuple[Rule, ...]
    doors: tuple[Door, ...]
    digest: str  # SHA-256 (hex) of the canonical JSON of `document`
    document: Mapping[str, Any] = field(repr=False)

    def rule(self, name: str) -> Rule:
        """The rule of that id. Raises KeyError."""
        for rule in self.rules:
            if rule.id == name:
                return rule
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a policy file, where its author finds it (1-based)."""

    line: int
    column: int
    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.name}: {self.message}"

"""Reading policies: one file, an amendment on its base, and the timeline of dated versions."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from kangma.errors import Code, Conflict, Refused, Where
from kangma.policy.check import MAX_NOTICES, check
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
from kangma.terms import Moment

__all__ = [
    "BadPolicy",
    "Clear",
    "Door",
    "Nat",
    "Outcome",
    "Policy",
    "Problem",
    "Rule",
    "Stage",
    "Timeline",
    "Unless",
    "Vaccination",
    "amend",
    "checked",
    "load",
    "timeline",
]


class BadPolicy(Refused):
    """A policy file with mistakes in it: all of them, in the order in which they stand."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        first = problems[0]
        super().__init__(
            Code.BAD_POLICY,
            Where(line=first.line, column=first.name),
            "\n".join(str(p) for p in problems),
        )

    def __reduce__(self) -> tuple[type[BadPolicy], tuple[tuple[Problem, ...]]]:  # type: ignore[override]  # pickle takes any tuple
        return (BadPolicy, (self.problems,))


def load(text: str, *, base: Policy | None = None) -> Policy:
    """The checked policy of a file; a file that amends needs its `base`. Raises BadPolicy with every mistake."""
    policy, problems = check(text, base)
    if policy is None:
        raise BadPolicy(problems)
    return policy


def amend(base: Policy, overlay: str) -> Policy:
    """The version that an amending file makes of `base`.

    Tables are merged key by key; a [[rule]] with a known id takes the place of that rule, a new one comes last; all
    [[door]] entries of a named door are replaced; `remove_rules` and `remove_doors` drop. Raises BadPolicy.
    """
    return load(overlay, base=base)


@dataclass(frozen=True, eq=False)
class Timeline:
    """Dated versions of one policy, oldest first. Before the first takes effect there is nothing else to judge by:
    the first holds then too."""

    versions: tuple[Policy, ...]
    _forces: dict[int, Policy] = field(default_factory=dict, repr=False)

    def _index(self, now: Moment) -> int:
        past = [i for i, policy in enumerate(self.versions) if policy.effective_from <= now]
        return past[-1] if past else 0

    def in_force(self, now: Moment) -> Policy:
        """The version that names the verdicts of `now`."""
        return self.versions[self._index(now)]

    def next_switch(self, now: Moment) -> Moment | None:
        """When the next version takes effect; everybody is judged again then."""
        return min((p.effective_from for p in self.versions[1:] if p.effective_from > now), default=None)

    def force(self, now: Moment) -> Policy:
        """What is judged by at `now`: the version in force and, where it grandfathers, the rules of the version
        before it for holds whose anchor lies before the switch."""
        return self._force(self._index(now))

    def _force(self, i: int) -> Policy:
        policy = self.versions[i]
        if i == 0 or not policy.grandfather:
            return policy
        if i not in self._forces:
            before = self._force(i - 1)
            codes = [*policy.notices, *(c for c in before.notices if c not in policy.notices)]
            switch = policy.effective_from
            rules = [replace(r, anchors=(switch, None)) for r in policy.rules]
            for rule in before.rules:
                start, end = rule.anchors
                if start is not None and start >= switch:
                    continue
                until = switch if end is None else min(end, switch)
                rules.append(replace(_renumbered(rule, tuple(before.notices), codes), anchors=(start, until)))
            texts = {**before.notices, **policy.notices}
            authorities = {**before.authorities, **policy.authorities}
            self._forces[i] = replace(
                policy, rules=tuple(rules), notices={c: texts[c] for c in codes}, authorities=authorities
            )
        return self._forces[i]


def _renumbered(rule: Rule, codes: tuple[str, ...], new: list[str]) -> Rule:
    """The rule with its notice bits moved from the order `codes` to the order `new`."""

    def move(mask: int) -> int:
        return sum(1 << new.index(code) for i, code in enumerate(codes) if mask >> i & 1)

    stages = tuple(
        replace(s, outcome=replace(s.outcome, popups=move(s.outcome.popups), reminds=move(s.outcome.reminds)))
        for s in rule.stages
    )
    return replace(rule, stages=stages, cap_reminds=move(rule.cap_reminds))


def checked(texts: Iterable[str]) -> list[Policy]:
    """The policies of these texts, each amendment on the version that it names, which stands before it.

    Raises BadPolicy with every mistake of the first bad file, Conflict for an amendment without its base.
    """
    made: dict[tuple[str, str], Policy] = {}
    for text in texts:
        name, amends = _head(text)
        base = None
        if amends is not None:
            base = made.get((name, amends))
            if base is None:
                raise Conflict(f"an amendment of {name} {amends} needs that version before it")
        policy = load(text, base=base)
        made[policy.id, policy.version] = policy
    return list(made.values())


def _head(text: str) -> tuple[str, str | None]:
    """Id and base version, read leniently: `load` reports what is wrong with a file."""
    try:
        head = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return "", None
    amends = head.get("amends")
    return str(head.get("id", "")), None if amends is None else str(amends)


def timeline(policies: Iterable[Policy]) -> Timeline:
    """The versions by the day they take effect. Raises Refused for none, or two that begin together, or two zones."""
    versions = tuple(sorted(policies, key=lambda p: p.effective_from))
    if not versions:
        raise Refused(Code.BAD_POLICY, hint="a timeline needs a policy")
    for older, newer in pairwise(versions):
        if older.effective_from == newer.effective_from:
            raise Refused(Code.BAD_POLICY, hint=f"{older.version} and {newer.version} take effect together")
        if newer.grandfather and len({*older.notices, *newer.notices}) > MAX_NOTICES:
            raise Refused(
                Code.BAD_POLICY, hint=f"{newer.version} would stand beside more than {MAX_NOTICES} notices"
            )
    return Timeline(versions)

"""Records that may be about the same incident: same victim, about the same days, same place. A person decides."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from kangma.incidents.record import FIELDS, Record, Victim
from kangma.incidents.words import Dated

#: Days between two dates that may still be one: reports name the day of the attack, of its discovery, of the news.
NEAR = 45
#: From here on a pair is suggested.
LIKELY = 0.6
#: What is taken off when both name a place and it is not the same.
ELSEWHERE = 0.15


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`score` in [0, 1]; `reasons` among victim, date, country, place, source."""

    id: str
    score: float
    reasons: tuple[str, ...]


def suggest(record: Record, others: Iterable[Record]) -> tuple[Suggestion, ...]:
    """Those of `others` that may be the same incident, likeliest first. Never the record itself."""
    found = [
        s for other in others if other.id != record.id and (s := _compare(record, other)).score >= LIKELY
    ]
    return tuple(sorted(found, key=lambda s: (-s.score, s.id)))


def _compare(a: Record, b: Record) -> Suggestion:
    reasons = []
    victim = _alike(_names(a.victim), _names(b.victim))
    near = _near(a.date, b.date)
    score = 0.55 * victim + 0.35 * near
    if victim >= 0.5:
        reasons.append("victim")
    if near > 0:
        reasons.append("date")
    if a.victim and b.victim and a.victim.country == b.victim.country != "unknown":
        score += 0.1
        reasons.append("country")
        here, there = _places(a.victim), _places(b.victim)
        if here and there:  # two cities of one country have two incidents
            same = _alike(here, there) >= 0.5
            score += 0.1 if same else -ELSEWHERE
            reasons += ["place"] if same else []
    urls = {s.url.rstrip("/").lower() for s in a.sources if s.url}
    if urls & {s.url.rstrip("/").lower() for s in b.sources if s.url}:
        score = max(score, 0.3) + 0.3
        reasons.append("source")
    if near == 0:
        score = min(score, LIKELY - 0.01)  # another year is another incident, whatever the name
    return Suggestion(b.id, round(min(score, 1.0), 3), tuple(reasons))


def _names(victim: Victim | None) -> list[frozenset[str]]:
    return [] if victim is None else _pairs(victim.name, *(name for _, name in victim.names))


def _places(victim: Victim) -> list[frozenset[str]]:
    return _pairs(*(name for _, name in victim.place))


def _pairs(*names: str) -> list[frozenset[str]]:
    return [pairs for name in names if (pairs := pairs_of(name))]


def pairs_of(name: str) -> frozenset[str]:
    """The pairs of neighbouring letters or characters of a name, without case, accents and punctuation."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    letters = re.sub(r"[\W_]+", "", "".join(c for c in plain if not unicodedata.combining(c)))
    return frozenset(letters[i : i + 2] for i in range(max(1, len(letters) - 1))) if letters else frozenset()


def _alike(ours: list[frozenset[str]], theirs: list[frozenset[str]]) -> float:
    """Best overlap of any two names; a name within the other counts nearly whole."""
    best = 0.0
    for a in ours:
        for b in theirs:
            common = len(a & b)
            best = max(best, common / len(a | b), 0.9 * common / min(len(a), len(b)))
    return best


def _near(a: Dated | None, b: Dated | None) -> float:
    """1 for days in common, falling to 0 at NEAR days between."""
    if a is None or b is None:
        return 0.0
    apart = max((b.first - a.last).days, (a.first - b.last).days, 0)
    return max(0.0, 1 - apart / NEAR)


def merged(kept: Record, other: Record) -> tuple[Record, tuple[str, ...]]:
    """`kept` with what only `other` says, and the fields on which they disagree (`kept` prevails there).

    A list gets the items that it lacks. A person looks at the result: it is a draft like any other."""
    blank = Record()
    made: dict[str, Any] = {}
    disagree = []
    for name in FIELDS:
        ours, theirs, none = getattr(kept, name), getattr(other, name), getattr(blank, name)
        if theirs in (none, ours):
            continue
        if ours == none:
            made[name] = theirs
        elif isinstance(ours, tuple):
            made[name] = ours + tuple(item for item in theirs if item not in ours)
        else:
            disagree.append(name)
    related = tuple(r for r in made.get("related", kept.related) if r.id != kept.id)
    # What was for members of either stays so.
    return replace(kept, **{**made, "related": related, "levels": {**other.levels, **kept.levels}}), tuple(
        disagree
    )

"""What changed between two versions, as a list of paths with before and after. Works on what one viewer sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from kangma.incidents import canonical
from kangma.incidents.form import to_json
from kangma.incidents.levels import Seen


@dataclass(frozen=True, slots=True)
class Change:
    """`before` or `after` None: not there. `path` as in `summary.en`, `sources[1].url`; of an item that came or went
    whole, the list's own path. `hidden.motives` counts what only members see."""

    path: str
    before: Any
    after: Any

    def as_json(self) -> dict[str, Any]:
        return {"path": self.path, "before": self.before, "after": self.after}


def difference(old: Seen, new: Seen) -> tuple[Change, ...]:
    """The changes in order of path. Both must be seen by the same kind of viewer (ValueError)."""
    if old.member != new.member:
        raise ValueError("two viewers")
    before = {**to_json(old.record), "hidden": dict(old.hidden)}
    after = {**to_json(new.record), "hidden": dict(new.hidden)}
    return tuple(_changes("", before, after))


def _changes(path: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _changes(f"{path}.{key}" if path else key, before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _items(path, before, after)
    elif before is None and isinstance(after, dict | list) and after:
        yield from _changes(path, type(after)(), after)
    elif after is None and isinstance(before, dict | list) and before:
        yield from _changes(path, before, type(before)())
    else:
        yield Change(path, before, after)


def _items(path: str, before: list[Any], after: list[Any]) -> Iterator[Change]:
    """Items are told apart by what they say: one that was only moved is no change of the others."""
    keys_before, keys_after = ([canonical.dumps(x) for x in items] for items in (before, after))
    for tag, i, j, k, m in SequenceMatcher(None, keys_before, keys_after, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        common = min(j - i, m - k)
        for n in range(common):
            yield from _changes(f"{path}[{k + n}]", before[i + n], after[k + n])
        yield from (Change(path, gone, None) for gone in before[i + common : j])
        yield from (Change(path, None, came) for came in after[k + common : m])

"""What every form shares: an entry with its times, and the report of an import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kangma.errors import Code, Refused
from kangma.incidents.form import BadRecord, Fault
from kangma.incidents.levels import Seen
from kangma.incidents.record import FIELDS
from kangma.terms import Moment, Text

MOST_RECORDS = 200_000
MOST_NOTES = 10_000
TITLE = Text("事件登记册", "Incident register")  # of a register that was given none


@dataclass(frozen=True, slots=True)
class About:
    """The register that speaks: its title, its address (`https://…`, no slash at the end), and its title in Chinese where
    that is another one."""

    title: str
    base: str
    title_zh: str = ""

    def named(self, tag: str) -> str:
        """Its title for readers of that language. The one that a register has by itself is known in both."""
        if tag != "zh":
            return self.title
        return self.title_zh or (TITLE.zh if self.title == TITLE.en else self.title)

    def address(self, id: str) -> str:
        """The stable address of a record."""
        return f"{self.base}/incidents/{id}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One record on its way: as somebody sees it, with the times of its first and of this version."""

    seen: Seen
    created: Moment
    modified: Moment
    version: int = 1
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """One record that was not taken; its neighbours were. `where`: `line 7`, `objects[3]`."""

    where: str
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something of a taken record that has no place in ours, or was read with a doubt."""

    where: str
    what: str


@dataclass
class Taken:
    """An import: what was taken, what was refused, and what could not be mapped. `dropped_notes` counts notes beyond
    the first 10,000."""

    entries: list[Entry] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    dropped_notes: int = 0
    _ids: set[str] = field(default_factory=set)

    def note(self, where: str, what: str) -> None:
        if len(self.notes) < MOST_NOTES:
            self.notes.append(Note(where, what))
        else:
            self.dropped_notes += 1

    def refuse(self, where: str, problem: Refused) -> None:
        faults = problem.faults if isinstance(problem, BadRecord) else None
        self.refused.append(
            Refusal(
                where,
                faults
                or (Fault(problem.where.path or problem.where.column or "", problem.code, problem.hint),),
            )
        )

    def as_json(self) -> dict[str, Any]:
        """What was refused and what had no place, as the API and the command line tell it."""
        return {
            "refused": [
                {
                    "where": r.where,
                    "faults": [{"path": f.path, "code": f.code.value, "hint": f.hint} for f in r.faults],
                }
                for r in self.refused
            ],
            "not_mapped": [{"where": n.where, "what": n.what} for n in self.notes],
            "not_mapped_further": self.dropped_notes,
        }

    def take(self, where: str, entry: Entry) -> None:
        """Refuses an id that this file had before: which of the two is meant, only its sender knows."""
        id = entry.seen.record.id
        if id in self._ids:
            self.refused.append(Refusal(where, (Fault("id", Code.DUPLICATE_ID, "the id is there already"),)))
            return
        self._ids.add(id)
        self.entries.append(entry)
        for name, count in entry.seen.hidden.items():
            self.note(where, f"{count} of {name}: withheld by the sender")


class Pick:
    """A JSON object of somebody else's, taken apart: what nobody asked for is left over and can be listed."""

    def __init__(self, value: Any, path: str = "") -> None:
        self._value, self._path, self._taken = value, path, set[str]()

    def get(self, path: str, kind: type | tuple[type, ...] = str) -> Any:
        """The value at `a.b.c` when it is of that kind, else None; either way nothing there is left over when it is."""
        value = self._value
        for part in path.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return None
            value = value[part]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            return None
        self._taken.add(path)
        return value

    def texts(self, path: str) -> list[str]:
        """The texts of a list."""
        found = self.get(path, list)
        return [x for x in found or () if isinstance(x, str)]

    def ignore(self, *paths: str) -> None:
        """What needs no place of its own: it says nothing, or is said elsewhere."""
        self._taken.update(p for p in paths if p)

    def left(self) -> Iterator[str]:
        """The paths of what nobody took."""
        yield from self._left(self._value, "")

    def _left(self, value: Any, path: str) -> Iterator[str]:
        if path in self._taken:
            return
        if isinstance(value, Mapping) and value:
            for key, inner in value.items():
                yield from self._left(inner, f"{path}.{str(key)[:60]}" if path else str(key)[:60])
        elif path:
            yield f"{self._path}.{path}" if self._path else path


def hidden_of(value: Any) -> dict[str, int]:
    """The counts that a sender gives of what it withholds; what is no count is left out."""
    if not isinstance(value, Mapping):
        return {}
    return {
        str(k): v
        for k, v in value.items()
        if k in FIELDS and isinstance(v, int) and not isinstance(v, bool) and 0 < v <= 1_000
    }

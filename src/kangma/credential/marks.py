"""High-water marks: the newest that a verifier has seen, so that nothing older is ever believed again.

`trust` is the highest version of the trust list, `time` the newest signed time, `list <uri>` the newest `iat` of that
status list.
"""

from __future__ import annotations

from typing import Protocol

TRUST, TIME = "trust", "time"


def of_list(uri: str) -> str:
    return f"list {uri}"


class Marks(Protocol):
    """Whole numbers by name that only rise. What `raise_to` took is what `get` gives from then on, after a restart as
    well where marks are kept; lower values leave a mark where it is."""

    def get(self, name: str) -> int:
        """The mark, 0 when it was never raised."""
        ...

    def raise_to(self, name: str, value: int) -> None: ...


class MarksInMemory:
    """Marks that end with the process. For vectors, tests, and verifiers that keep them some other way."""

    def __init__(self, marks: dict[str, int] | None = None) -> None:
        self.marks = dict(marks or {})

    def get(self, name: str) -> int:
        return self.marks.get(name, 0)

    def raise_to(self, name: str, value: int) -> None:
        self.marks[name] = max(value, self.get(name))

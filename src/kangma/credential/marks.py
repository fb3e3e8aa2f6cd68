"""High-water marks: the newest that a verifier has seen, so that nothing older is ever believed again.

`trust` is the highest version of the trust list and `time` when the newest one was issued; `time <key id>` is the newest
time that this status key signed, and `list <uri> <key id>` the newest of that list that it signed. Whose marks count for
whom is said by the trust list in force, and so a mark is worth no more than the key behind it: decision 0171.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from kangma.terms import Moment

if TYPE_CHECKING:
    from kangma.signing.trust import Authority

TRUST, TIME = "trust", "time"
_LIST = "list "


def of_key(key_id: bytes) -> str:
    return f"{TIME} {key_id.hex()}"


def of_list(uri: str, key_id: bytes) -> str:
    return f"{_LIST}{uri} {key_id.hex()}"


class Marks(Protocol):
    """Whole numbers by name that only rise. What `raise_to` took is what `get` gives from then on, after a restart as
    well where marks are kept; lower values leave a mark where it is."""

    def get(self, name: str) -> int:
        """The mark, 0 when it was never raised."""
        ...

    def raise_to(self, name: str, value: int) -> None: ...


def newest_time(marks: Marks, authority: Authority) -> Moment:
    """The newest time that this authority's status keys signed; 0 without one. What a revoked key signed counts up to
    its revocation: an honest hand signed nothing with it afterwards."""
    return max(
        (_until_revoked(marks.get(of_key(k.id)), k.revoked_at) for k in authority.status_keys), default=0
    )


def newest_list(marks: Marks, authority: Authority, uri: str) -> Moment:
    """The same of the one list at `uri`. Marks that were kept before they named a key count for this list as they are."""
    by_key = (_until_revoked(marks.get(of_list(uri, k.id)), k.revoked_at) for k in authority.status_keys)
    return max(marks.get(f"{_LIST}{uri}"), max(by_key, default=0))


def _until_revoked(mark: Moment, revoked_at: Moment | None) -> Moment:
    return mark if revoked_at is None else min(mark, revoked_at)


def needless(marks: Mapping[str, int], life: int) -> list[str]:
    """The marks of lists that are over, by the times alone that the city and the list's own key have signed. No list
    lives longer than `life`."""

    def over(name: str, value: int) -> bool:
        by_its_key = marks.get(f"{TIME} {name.rpartition(' ')[2]}", 0)
        return value < max(marks.get(TIME, 0), by_its_key) - life

    return [name for name, value in marks.items() if name.startswith(_LIST) and over(name, value)]


class MarksInMemory:
    """Marks that end with the process. For vectors, tests, and verifiers that keep them some other way."""

    def __init__(self, marks: dict[str, int] | None = None) -> None:
        self.marks = dict(marks or {})

    def get(self, name: str) -> int:
        return self.marks.get(name, 0)

    def raise_to(self, name: str, value: int) -> None:
        self.marks[name] = max(value, self.get(name))

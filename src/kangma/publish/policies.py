"""Which policy a state is judged by: the shipped series, a file, and the timeline of what was published."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from kangma.errors import Code, Refused, Where
from kangma.evidence.views import City
from kangma.policy import published
from kangma.policy.document import Policy, Timeline, checked, timeline
from kangma.store.state import State

#: A policy file larger than this is not one.
MAX_POLICY_BYTES = 4_000_000


def texts_of(name: str) -> list[str]:
    """The TOML texts behind a `--policy`: a file, else a shipped series, `NAME@VERSION` pinning one version of it.

    Raises Refused for neither, and for a file that is too large or not UTF-8.
    """
    path = Path(name)
    if not path.is_file():
        return published.read(name)
    if path.stat().st_size > MAX_POLICY_BYTES:
        raise Refused(Code.TOO_MANY_BYTES, Where(file=path.name))
    try:
        return [path.read_bytes().decode("utf-8")]
    except UnicodeDecodeError:
        raise Refused(Code.NOT_UTF8, Where(file=path.name)) from None


def policies(state: State) -> Timeline:
    """The versions published in this state."""
    return _timeline(tuple(text.document for text in state.policies()))


@lru_cache(maxsize=8)
def _timeline(texts: tuple[str, ...]) -> Timeline:
    """Checking a policy takes longer than judging by it, and a published text never changes."""
    return timeline(checked(texts))


def city_of(policy: Policy) -> City:
    return City(name=policy.city, districts=policy.districts)

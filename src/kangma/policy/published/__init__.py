"""The reference policies as they were published: whole series of dated TOML files, told in docs/reference/policies.md.

Nothing here is code that decides: the files are data, and what reads and checks them is `kangma.policy`.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files

from kangma.errors import Code, Refused


def _texts() -> dict[str, list[tuple[str, str]]]:
    """Series → (version, text) of each of its files, the earliest version first."""
    series: dict[str, list[tuple[str, str]]] = {}
    for found in files(__name__).iterdir():
        if found.name.endswith(".toml"):
            text = found.read_text(encoding="utf-8")
            head = tomllib.loads(text)
            series.setdefault(head["id"], []).append((head["version"], text))
    return {name: sorted(series[name]) for name in sorted(series)}


def names() -> tuple[str, ...]:
    """The series that are shipped."""
    return tuple(_texts())


def read(name: str) -> list[str]:
    """The TOML texts of a series, the earliest version first, each amendment after what it amends.

    `NAME@VERSION` pins one version: it and what it amends, and none of the later ones. Raises Refused (bad_policy) for
    a series or a version that is not shipped.
    """
    series, pinned, version = name.partition("@")
    texts = _texts()
    if series not in texts:
        raise Refused(Code.BAD_POLICY, hint=f"no such policy is shipped; there are {', '.join(texts)}")
    versions = [v for v, _ in texts[series]]
    if pinned and version not in versions:
        raise Refused(Code.BAD_POLICY, hint=f"{series} has the versions {', '.join(versions)}")
    return [text for v, text in texts[series] if not pinned or v <= version]

"""The records that ship with the register: the founding one and others of this field, in our words, with their sources.

A title in square brackets is ours, not the source's: we had excerpts of most sources, not whole pages, and say no more
than those. A record is one TOML file of the same fields as its JSON (docs/formats/incident.md).
"""

from __future__ import annotations

import tomllib
from importlib.resources import files

from kangma.incidents.form import from_json
from kangma.incidents.record import Record

FOUNDING = "2022-04-28-jiankangbao"


def records() -> tuple[Record, ...]:
    """All of them, the founding one first, the others by id."""
    found = [
        from_json(tomllib.loads(f.read_text(encoding="utf-8")))
        for f in files(__name__).iterdir()
        if f.name.endswith(".toml")
    ]
    return tuple(sorted(found, key=lambda r: (r.id != FOUNDING, r.id)))

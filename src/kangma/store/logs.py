"""What may be logged: the fields below and nothing else. Counts, codes, versions; never a value that was sent.

A field outside the list is dropped, and its name is counted, so that a careless call cannot leak and does not pass
unseen. Events go to `log/events.ndjson` of the state directory, one JSON object a line.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

#: Field → what it may hold. An event's name is a sentence of our own.
ALLOWED: dict[str, type | tuple[type, ...]] = {
    "event": str,
    "level": str,
    "timestamp": str,
    "kind": str,
    "form": str,
    "code": str,
    "why": str,
    "digest": str,
    "received": int,
    "accepted": int,
    "duplicate": int,
    "refused": int,
    "quarantined": int,
    "batches": int,
    "rows": int,
    "generation": int,
    "new_persons": int,
    "new_places": int,
    "run": int,
    "marked": int,
    "shredded": int,
    "files": int,
    "sequence": int,
    "expected": int,
    "seconds": float,
    "city": str,  # an id of the trust list
    "age_seconds": int,
    "method": str,
    "route": str,  # as it is declared, never as it was asked for
    "status": int,
    "dropped_fields": int,
}


def only_allowed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the event with the allowed fields of the right type; the rest is counted."""
    kept = {k: v for k, v in event.items() if k in ALLOWED and isinstance(v, ALLOWED[k])}
    if len(kept) != len(event):
        kept["dropped_fields"] = len(event) - len(kept)
    return kept


class EventLog:
    """The log of a state directory; the file is opened with the first event."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._out: TextIO | None = None

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if self._out is None:
            self._out = self._path.open("a", encoding="utf-8", buffering=1)
        log = structlog.wrap_logger(
            structlog.WriteLogger(self._out),
            processors=[
                only_allowed,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False),
            ],
        )
        getattr(log, level)(event, **fields)

    def close(self) -> None:
        if self._out is not None:
            self._out.close()
            self._out = None

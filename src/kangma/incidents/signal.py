"""Drafts by machine: a defence of ours, or Prometheus through its Alertmanager, says that something happens.

A `Signal` is one event as the machine saw it; the register opens at most one draft for it, however often it is told.
The draft speaks only of what was measured: times, figures, parts, what kept working. Why and who is for people.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from kangma.errors import Code, Refused, Where
from kangma.incidents.form import from_json
from kangma.incidents.record import ITEMS, LINE, Record
from kangma.incidents.vocabulary import Exactness, Kind, Unit
from kangma.terms import Moment, moment

MOST_ALERTS = 1_000


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure of the machine: `requests refused`, 1400000, requests."""

    what_zh: str  # "" where the unit says it all
    what_en: str
    value: str  # decimal
    unit: Unit


@dataclass(frozen=True, slots=True)
class Signal:
    """One event. Two signals with the same `source` and `event` are about the same."""

    source: str  # which defence: `gateway`, `alertmanager`
    event: str  # its own name for this event, stable while the event lasts
    kind: Kind
    system: str  # the victim: what we run
    title: str
    began: Moment
    ended: Moment | None = None  # None: goes on
    affected: tuple[str, ...] = ()
    kept_working: tuple[str, ...] = ()
    figures: tuple[Measured, ...] = field(default=())

    @property
    def key(self) -> str:
        """32 hex digits that name the event."""
        return hashlib.sha256(f"{self.source}\0{self.event}".encode()).hexdigest()[:32]


class TakesSignals(Protocol):
    """What a defence is handed: `Register`."""

    def signal(self, signal: Signal, *, now: Moment) -> str:
        """The id of the draft for this event, opened now or before. Durable on return; may be repeated. What a later one
        adds, its end above all, goes into the draft until a person has taken it up."""
        ...


def draft_of(signal: Signal, id: str, *, now: Moment, country: str = "unknown") -> Record:
    """The draft that a signal opens, `now`. Refused when what the machine says does not fit a record."""
    began = _iso(signal.began)
    span = "" if signal.ended is None else f"/{_iso(signal.ended)}"
    affected = f"; affected: {', '.join(signal.affected)}" if signal.affected else ""
    affected_zh = f"；受影响：{'、'.join(signal.affected)}" if signal.affected else ""
    return from_json(
        {
            "id": id,
            "certainty": "suspected",
            "kinds": [signal.kind.value],
            "victim": {"name": signal.system, "country": country},
            "date": began + span if signal.ended is None or signal.ended > signal.began else began,
            "summary": {
                "en": f"{signal.title} (draft by machine, not yet looked at by anybody)"[:LINE],
                "zh": f"{signal.title}（机器起草，尚未经人核对）"[:LINE],
            },
            "description": {
                "en": f"Since {began}{_until(signal, ', goes on', ' until ')}{affected}.",
                "zh": f"自 {began} 起{_until(signal, '，仍在持续', '，至 ')}{affected_zh}。",
            },
            "impact": [
                {
                    "what": {"zh": f.what_zh, "en": f.what_en},
                    "value": f.value,
                    "unit": f.unit.value,
                    "exactness": Exactness.EXACT.value,
                }
                for f in signal.figures[:ITEMS]
            ],
            "kept_working": [{"what": {"zh": part, "en": part}} for part in signal.kept_working[:ITEMS]],
            "actions": [
                {
                    "what": {"zh": "机器开立草稿", "en": "draft opened by machine"},
                    "at": _iso(now),
                    "by": signal.source,
                }
            ],
        }
    )


def _until(signal: Signal, goes_on: str, until: str) -> str:
    return goes_on if signal.ended is None else f"{until}{_iso(signal.ended)}"


def _iso(at: Moment) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+")


def alerts(webhook: Any, *, system: str) -> tuple[Signal, ...]:
    """The signals of one Alertmanager webhook (its version 4: docs "Alerting / Configuration / webhook_config").

    Of each alert: `labels.alertname`, `labels.kind` (a kind of incident, else `other`), `labels.system`,
    `annotations.summary`, `annotations.kept_working` and `annotations.affected` (lists with commas), `startsAt`,
    `endsAt` of a resolved one; every number in `annotations` named `figure_<unit>` is a figure. The event is the
    alert's fingerprint and start. Refused (bad_message) for anything else; nothing of it is executed or fetched.
    """
    if not isinstance(webhook, Mapping) or webhook.get("version") != "4":
        raise Refused(Code.BAD_MESSAGE, Where(path="version"), "an Alertmanager webhook of version 4")
    listed = webhook.get("alerts")
    if not isinstance(listed, Sequence) or isinstance(listed, str) or len(listed) > MOST_ALERTS:
        raise Refused(Code.BAD_MESSAGE, Where(path="alerts"), f"a list of at most {MOST_ALERTS}")
    return tuple(_alert(a, i, system) for i, a in enumerate(listed))


def _alert(alert: Any, i: int, system: str) -> Signal:
    path = f"alerts[{i}]"
    if not isinstance(alert, Mapping):
        raise Refused(Code.BAD_MESSAGE, Where(path=path), "an object")
    for name in ("status", "startsAt", "endsAt"):
        if not isinstance(alert.get(name, ""), str):
            raise Refused(Code.BAD_MESSAGE, Where(path=f"{path}.{name}"), "a text")
    labels, notes = (_texts(alert.get(n, {}), f"{path}.{n}") for n in ("labels", "annotations"))
    fingerprint = alert.get("fingerprint")
    if not isinstance(fingerprint, str) or not re.fullmatch(r"[0-9a-f]{16,64}", fingerprint):
        raise Refused(Code.BAD_MESSAGE, Where(path=f"{path}.fingerprint"), "hex digits")
    try:
        began = moment(str(alert.get("startsAt")))
        ended = moment(str(alert.get("endsAt"))) if alert.get("status") == "resolved" else None
    except ValueError:
        raise Refused(Code.BAD_TIME, Where(path=path), "startsAt and endsAt in RFC 3339") from None
    kind = labels.get("kind", "")
    return Signal(
        source="alertmanager",
        event=f"{fingerprint} {began}",
        kind=Kind(kind) if kind in list(Kind) else Kind.OTHER,
        system=labels.get("system", system)[:200],
        title=(notes.get("summary") or labels.get("alertname") or "alert")[:400],
        began=began,
        ended=ended,
        affected=_split(notes.get("affected", "")),
        kept_working=_split(notes.get("kept_working", "")),
        figures=tuple(
            Measured("", "", value, Unit(unit))  # an annotation's name says no more than its unit does
            for name, value in sorted(notes.items())
            if name.startswith("figure_")
            and (unit := name.removeprefix("figure_").replace("_per_", "/")) in list(Unit)
            and re.fullmatch(r"(0|[1-9]\d{0,17})(\.\d{1,4})?", value)
        ),
    )


def _texts(value: Any, path: str) -> dict[str, str]:
    """Labels and annotations as plain text: what a terminal or a page could obey is taken out."""
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise Refused(Code.BAD_MESSAGE, Where(path=path), "an object of texts")
    return {str(k)[:100]: _TEXT.sub(" ", v)[:2_000].strip() for k, v in value.items()}


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip()[:400] for part in text.split(",") if part.strip())[:ITEMS]

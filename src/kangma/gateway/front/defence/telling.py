"""What the door tells a register of incidents: within five minutes of an event's beginning, and at its end.

The register is another system, reached over HTTP with a token that can do nothing else (`kangma incident token --scope
signal`); who runs a door names it in `front/register.json`: `{"url": …, "token": …}`, for its owner only. A signal is
written to `front/signals/` first and leaves when the register has taken it, so neither waits for the other. What is told
are times, counts by kind, parts, and what kept working: nothing about who, and nothing about anybody.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from kangma.gateway.front.defence.alarm import Event
from kangma.incidents import canonical
from kangma.incidents.signal import Measured, Signal
from kangma.incidents.vocabulary import Kind, Unit
from kangma.store.durable import write_file
from kangma.terms import Moment

AFTER = 120  # seconds of an event until it is told: long enough for figures, well within five minutes
MOST_WAITING = 100  # signals that the register has not taken yet
PATIENCE = 5.0  # seconds for one call
FOLDER, SETTINGS = "signals", "register.json"
KINDS = {
    "token": ("以无效令牌发出的请求被拒绝", "requests refused for a bad token"),
    "rate": ("过于频繁的请求被拒绝", "requests refused because they came too often"),
    "address": ("地址有误的请求被拒绝", "requests refused for an address that is none"),
    "work": ("未附工作量证明的请求被拒绝", "requests refused that brought no proof of work"),
    "busy": ("因繁忙而被拒绝的请求", "requests refused because there was no room"),
}


def signal_of(event: Event, *, system: str, now: Moment) -> Signal:
    """The event as the register takes it. Figures are counts since it began."""
    figures = [
        Measured(zh, en, str(event.refused[kind]), Unit.REQUESTS)
        for kind, (zh, en) in KINDS.items()
        if event.refused[kind]
    ]
    figures += [
        Measured(
            "每分钟拒绝数（最高）",
            "refused in a minute, at most",
            str(round(event.peak * 60)),
            Unit.REQUESTS_PER_MINUTE,
        ),
        Measured("期间正常出示的健康码", "codes shown meanwhile", str(event.codes), Unit.REQUESTS),
    ]
    kept = ["doors verify offline", "phones show the last state with its age"]
    kept += ["codes are shown"] if event.codes else []
    affected = ["binding asks for proof of work"] + (["answers that failed"] if event.failed else [])
    return Signal(
        source="gateway",
        event=f"front {event.began}",
        kind=Kind.DENIAL_OF_SERVICE if event.refused.total() else Kind.OVERLOAD,
        system=system,
        title="The front door is under attack" if event.refused.total() else "The front door answers late",
        began=event.began,
        ended=event.ended,
        affected=tuple(affected),
        kept_working=tuple(kept),
        figures=tuple(figures),
    )


def as_sent(signal: Signal) -> bytes:
    """The form that the register's `POST /v1/signals` takes."""
    said = {
        "source": signal.source, "event": signal.event, "kind": signal.kind.value, "system": signal.system,
        "title": signal.title, "began": _iso(signal.began), "affected": list(signal.affected),
        "kept_working": list(signal.kept_working),
        "figures": [
            {"what_zh": f.what_zh, "what_en": f.what_en, "value": f.value, "unit": f.unit.value}
            for f in signal.figures
        ],
    }  # fmt: skip
    return canonical.dumps(said | ({} if signal.ended is None else {"ended": _iso(signal.ended)}))


def _iso(at: Moment) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Teller:
    """Writes signals down and sends them. For one process; `saw` is called with every event, often."""

    def __init__(self, front: Path, *, system: str, post: Callable[[bytes], bool] | None = None) -> None:
        """`post` sends one signal and says whether it was taken; by default to the register of `register.json`."""
        self.folder, self.system = front / FOLDER, system
        self._post = post or _posting(front / SETTINGS)
        self._told: tuple[Moment, Moment | None] | None = (
            None  # when the last event that was told began and ended
        )

    def saw(self, event: Event | None, *, now: Moment) -> None:
        """Writes the signal of an event that has lasted long enough, and of one that has ended; each once."""
        if event is None or (event.ended is None and now - event.began < AFTER):
            return
        if (event.began, event.ended) == self._told:
            return
        self._told = (event.began, event.ended)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if len(list(self.folder.iterdir())) < MOST_WAITING:
            content = as_sent(signal_of(event, system=self.system, now=now))
            write_file(self.folder / f"{event.began}-{os.getpid()}.json", content)

    def send(self) -> int:
        """Sends what waits, the oldest first, until one is not taken; how many were. May take its time: in a thread."""
        taken = 0
        for file in sorted(self.folder.glob("*.json")) if self.folder.is_dir() else []:
            if not self._post(file.read_bytes()):
                break
            file.unlink()
            taken += 1
        return taken


def _posting(settings: Path) -> Callable[[bytes], bool]:
    def post(content: bytes) -> bool:
        try:
            said = json.loads(settings.read_bytes())
            url, token = urlsplit(said["url"]), str(said["token"])
        except (OSError, ValueError, KeyError, TypeError):
            return False  # no register: signals wait for one
        host, port = url.hostname or "", url.port
        if url.scheme == "https":
            on: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=PATIENCE, context=ssl.create_default_context()
            )
        elif url.scheme == "http" and host in ("127.0.0.1", "localhost", "::1"):
            on = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        else:
            return False  # a token goes over no open line
        try:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            on.request("POST", f"{url.path.rstrip('/')}/v1/signals", content, headers)
            return on.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            on.close()

    return post

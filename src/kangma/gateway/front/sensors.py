"""What the front door counts about itself: by route as it is declared, status and purpose. Nothing about anybody.

Every metric is named in docs/gateway.md. They are read on a port of their own (`inner.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class Sensors:
    """A registry of its own, so that two doors in one program do not count together."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.answers = Counter(
            "kangma_front_answers", "Answers by declared route", ["method", "route", "status"], registry=r
        )
        self.seconds = Histogram(
            "kangma_front_seconds", "Seconds to an answer", ["purpose"], buckets=BUCKETS, registry=r
        )
        self.turned_away = Counter(
            "kangma_front_turned_away", "429s: rate, busy, work", ["why", "purpose"], registry=r
        )
        self.codes = (
            0  # answered by the hot path, which counts here: a counter of the registry costs it a lock
        )
        self._told = 0
        self.hot = Counter("kangma_front_codes", "Codes answered by the hot path", registry=r)
        self.entered = Counter("kangma_front_scan_ins", "Scan-ins answered at once", registry=r)
        self.held = Gauge("kangma_front_held", "Refusals that are answered late, waiting now", registry=r)
        self.failed = Counter("kangma_front_failed", "Answers that failed within", registry=r)
        self.letters_failed = Counter("kangma_front_letters_failed", "Codes that were not sent", registry=r)

        self._answered: dict[tuple[str, str, int], Counter] = {}
        self._took: dict[str, Histogram] = {}

    def answered(self, method: str, route: str, status: int) -> None:
        """One more. The few that there are of them are remembered: looking a label up costs more than counting."""
        found = self._answered.get((method, route, status))
        if found is None:
            found = self._answered[method, route, status] = self.answers.labels(method, route, status)
        found.inc()

    def took(self, purpose: str, seconds: float) -> None:
        found = self._took.get(purpose)
        if found is None:
            found = self._took[purpose] = self.seconds.labels(purpose)
        found.observe(seconds)

    def watch(self, name: str, about: str, value: Callable[[], float]) -> None:
        """A figure that is looked up when it is read."""
        Gauge(f"kangma_front_{name}", about, registry=self.registry).set_function(value)

    def watch_each(
        self, name: str, about: str, label: str, values: Mapping[str, Callable[[], float]]
    ) -> None:
        """The same of each of these, told apart by a label."""
        gauge = Gauge(f"kangma_front_{name}", about, [label], registry=self.registry)
        for key, value in values.items():
            gauge.labels(key).set_function(value)

    def text(self) -> bytes:
        """All of it, in the text form of Prometheus."""
        codes = self.codes
        self.hot.inc(codes - self._told)
        self._told = codes
        return generate_latest(self.registry)

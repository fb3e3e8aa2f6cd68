"""What the front door counts about itself: by route as it is declared, status and purpose. Nothing about anybody.

Every metric is named in docs/gateway.md. They are read on a port of their own (`inner.py`). What is counted with every
request is counted in plain numbers, which are made metrics of when somebody reads them: a counter of the library takes a
lock, and under a flood that was a sixth of what a refusal costs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class Sensors:
    """A registry of its own, so that two doors in one program do not count together. Everything but `codes` is counted in
    the event loop's thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.codes = 0  # answered by the hot path, which has a thread of its own
        self.scan_ins = 0  # answered at once
        self.held = 0  # refusals that are answered late, waiting now
        self.failed = 0  # answers that failed within
        self.letters_failed = 0  # codes that were not sent
        self.turned_away: Counter[tuple[str, str]] = Counter()  # why, purpose
        self._answers: Counter[tuple[str, str, int]] = Counter()  # method, route, status
        self._seconds: dict[str, tuple[list[int], list[float]]] = {}  # purpose: in each bucket, and their sum
        self.registry.register(self)

    def answered(self, method: str, route: str, status: int) -> None:
        self._answers[method, route, status] += 1

    def took(self, purpose: str, seconds: float) -> None:
        found = self._seconds.get(purpose)
        if found is None:
            found = self._seconds[purpose] = ([0] * (len(BUCKETS) + 1), [0.0])
        found[0][bisect_left(BUCKETS, seconds)] += 1
        found[1][0] += seconds

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

    def watch_those(
        self, name: str, about: str, label: str, values: Callable[[], Mapping[str, float]]
    ) -> None:
        """The same where which there are is looked up as well."""
        self.registry.register(_Those(f"kangma_front_{name}", about, label, values))

    def text(self) -> bytes:
        """All of it, in the text form of Prometheus."""
        return generate_latest(self.registry)

    def describe(self) -> Iterator[Metric]:
        """Names alone: the library asks when it registers."""
        yield from self.collect()

    def collect(self) -> Iterator[Metric]:
        """What was counted, as the library wants it."""
        answers = CounterMetricFamily(
            "kangma_front_answers", "Answers by declared route", labels=["method", "route", "status"]
        )
        for (method, route, status), count in list(self._answers.items()):
            answers.add_metric([method, route, str(status)], count)
        yield answers
        seconds = HistogramMetricFamily("kangma_front_seconds", "Seconds to an answer", labels=["purpose"])
        for purpose, (counts, (total,)) in list(self._seconds.items()):
            up_to = [(str(bound), sum(counts[: n + 1])) for n, bound in enumerate(BUCKETS)]
            seconds.add_metric([purpose], [*up_to, ("+Inf", sum(counts))], total)
        yield seconds
        away = CounterMetricFamily(
            "kangma_front_turned_away", "429s: rate, busy, work", labels=["why", "purpose"]
        )
        for labels, count in list(self.turned_away.items()):
            away.add_metric(labels, count)
        yield away
        for name, about, value in (
            ("codes", "Codes answered by the hot path", self.codes),
            ("scan_ins", "Scan-ins answered at once", self.scan_ins),
            ("failed", "Answers that failed within", self.failed),
            ("letters_failed", "Codes that were not sent", self.letters_failed),
        ):
            yield CounterMetricFamily(f"kangma_front_{name}", about, value=value)
        yield GaugeMetricFamily(
            "kangma_front_held", "Refusals that are answered late, waiting now", value=self.held
        )


class _Those:
    """Figures told apart by a label whose values come and go."""

    def __init__(self, name: str, about: str, label: str, values: Callable[[], Mapping[str, float]]) -> None:
        self._name, self._about, self._label, self._values = name, about, label, values

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(self._name, self._about, labels=[self._label])

    def collect(self) -> Iterator[Metric]:
        gauge = GaugeMetricFamily(self._name, self._about, labels=[self._label])
        for key, value in self._values().items():
            gauge.add_metric([key], value)
        yield gauge

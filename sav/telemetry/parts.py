"""Numbers that are read, not counted: each part's beside the request, which waits for none of them long."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from sav.telemetry.metrics import CATALOGUE_OF_METRICS, PART_AGE_SECONDS, PART_UP

PATIENCE_SECONDS = 0.5
"""How long an answer waits for new numbers of all parts together; after that the old ones count."""
HANGING_SECONDS = 5.0
"""A part that has not answered for so long is reported as away, though nobody has refused."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a gauge."""

    gauge: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class Part:
    """Remembers what was read last, and reads again when somebody asks and it is older than `fresh_seconds`.

    So whoever asks often costs no more than whoever asks now and then.
    """

    def __init__(self, name: str, read: Callable[[], Iterable[Sample]], *, fresh_seconds: float) -> None:
        self.name = name
        self._read = read
        self._fresh_seconds = fresh_seconds
        self._reading = threading.Lock()
        self._began_at = float("-inf")
        self._read_at = float("-inf")
        self._samples: tuple[Sample, ...] | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Starts to read when it is time to; returns at once."""
        if self._age(self._began_at) < self._fresh_seconds or not self._reading.acquire(blocking=False):
            return
        self._began_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"numbers-{self.name}", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))

    def samples(self) -> list[Sample]:
        """Whether the part answers, and if it does, its numbers."""
        samples, part = self._samples, {"part": self.name}
        hangs = self._reading.locked() and self._age(self._began_at) > HANGING_SECONDS
        if samples is None or hangs:
            return [Sample(PART_UP, 0, part)]
        age = Sample(PART_AGE_SECONDS, self._age(self._read_at), part)
        return [Sample(PART_UP, 1, part), age, *samples]

    def _run(self) -> None:
        try:
            self._samples = tuple(self._read())
            self._read_at = time.monotonic()
        except Exception as error:
            self._samples = None
            log.warning(
                "a part does not answer", action="measure", part=self.name, error=type(error).__name__
            )
        finally:
            self._reading.release()

    @staticmethod
    def _age(moment: float) -> float:
        return time.monotonic() - moment


def read_parts(parts: Sequence[Part], *, patience_seconds: float = PATIENCE_SECONDS) -> bytes:
    """The numbers of all parts in Prometheus's text format, within `patience_seconds` whatever is away."""
    give_up_at = time.monotonic() + patience_seconds
    for part in parts:
        part.begin()
    for part in parts:
        part.wait(give_up_at - time.monotonic())
    return gauges_text(sample for part in parts for sample in part.samples())


def gauges_text(samples: Iterable[Sample]) -> bytes:
    """Samples in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Samples(samples))
    return generate_latest(registry)


class _Samples:
    """What `prometheus_client` calls a collector."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = samples

    def describe(self) -> list[GaugeMetricFamily]:
        # Nothing in advance: else it would be collected once more.
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for sample in self._samples:
            described = CATALOGUE_OF_METRICS[sample.gauge]
            family = families.setdefault(
                sample.gauge, GaugeMetricFamily(sample.gauge, described.meaning, labels=described.labels)
            )
            family.add_metric([sample.labels[label] for label in described.labels], sample.value)
        return families.values()

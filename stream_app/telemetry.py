"""Metrics: what the worker counts and where it is read. The door to prometheus-client.

Names follow Prometheus' conventions: base units (seconds, bytes), ``_total`` for counters. Hit rate and MRR
are each one division of two rates. ``docs/metrics.md`` is the same list for people; a test holds them
together.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final, get_args
from wsgiref.types import WSGIApplication

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, ProcessCollector, make_wsgi_app
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from core.window.placement import LETTER_REASONS, Unkeyed
from core.window.sessions import CAUSES, Outcome

_LATENCY_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
_SCORING_BUCKETS: Final = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5,
)  # fmt: skip
_RUN_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Histogram(Collector):
    """A histogram that takes the values of a whole run at once; prometheus-client's takes one at a time.

    Args:
        name: of the metric.
        text: what it means.
        bounds: upper bounds of the buckets, ascending; the last bucket, without one, comes on top.
    """

    _labelnames = ()

    def __init__(self, name: str, text: str, bounds: tuple[float, ...]) -> None:
        self._name, self._text = name, text
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()  # /metrics is answered in a thread of its own

    def observe(self, values: Iterable[tuple[float, int]]) -> None:
        """Count values, each with how often it came."""
        with self._lock:
            for value, count in values:
                self._sum += value * count
                self._counts[bisect_left(self._bounds, value)] += count

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The metric without its values."""
        yield HistogramMetricFamily(self._name, self._text)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The metric with its values."""
        with self._lock:
            counts, total = list(accumulate(self._counts)), self._sum
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        yield HistogramMetricFamily(self._name, self._text, list(zip(bounds, counts, strict=True)), total)


class Telemetry:
    """All metrics of one worker, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"nextclick_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"nextclick_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, bounds: tuple[float, ...]) -> Histogram:
            made = Histogram(f"nextclick_{name}", text, bounds)
            self.registry.register(made)
            return made

        self.clicks = counter("clicks", "Records of the input topic by what became of them", "outcome")
        self.recommendations = counter("recommendations", "Answers whose write was confirmed")
        self.items = counter("recommended_items", "Recommended items by where they come from", "source")
        self.distinct_items = gauge(
            "recommended_distinct_items",
            "Different items in the last 50,000 to 100,000 answers",
        )
        self.closed = counter("sessions_closed", "Sessions closed by cause", "cause")
        self.dead_letters = counter(
            "dead_letters", "Records sent to dead-letters, late and future ones included, by reason", "reason"
        )
        self.misplaced = counter(
            "misplaced_clicks",
            "Clicks that were not in their visitor's partition, by what was done",
            "unkeyed",
        )
        self.open_sessions = gauge("open_sessions", "Sessions open in this worker's partitions", "partition")
        self.watermark = gauge(
            "watermark_timestamp_seconds",
            "Largest time of a click so far, seconds since 1970",
            "partition",
        )
        self.index_sessions = gauge("index_sessions", "Closed sessions held by the index")
        self.index_items = gauge("index_items", "Items that the held sessions have")
        self.index_clicks = gauge("index_clicks", "Clicks of the held sessions")
        self.index_bytes = gauge("index_bytes", "Memory of the index's arrays, bytes")
        self.index_offset = gauge("index_offset", "Records of the sessions topic taken in by the index")
        self.index_lag = gauge("index_lag", "Records of the sessions topic not yet taken in")
        self.unreadable = counter("sessions_unreadable", "Records of the sessions topic that are no session")
        self.snapshot_timestamp = gauge(
            "snapshot_timestamp_seconds",
            "When the newest snapshot of the index was written, seconds since 1970; 0: there is none",
        )
        self.snapshot_interval = gauge(
            "snapshot_interval_seconds", "The setting `snapshot_every_s`; 0: no snapshots are written"
        )
        self.snapshot_seconds = gauge("snapshot_write_seconds", "How long the last snapshot took to write")
        self.snapshot_bytes = gauge("snapshot_bytes", "Size of the newest snapshot, bytes")
        self.snapshot_failures = counter(
            "snapshot_failures", "Snapshots that could not be written, or not be used at the start", "doing"
        )
        self.latency = histogram(
            "click_to_recommendation_seconds",
            "From a click's append to the log to its confirmed answer, seconds",
            _LATENCY_BUCKETS,
        )
        self.scoring = histogram(
            "scoring_seconds", "Scoring of one click, its share of its run's, seconds", _SCORING_BUCKETS
        )
        self.run_clicks = histogram("run_clicks", "Records processed and written together", _RUN_BUCKETS)
        self.judged = counter(
            "prequential_clicks", "Clicks that could be compared with the answer to the click before"
        )
        self.hits = counter("prequential_hits", "Of these, clicks on one of that answer's first 20 items")
        self.reciprocal_ranks = counter("prequential_reciprocal_rank", "Sum of 1 / rank of these hits")
        self.popularity_hits = counter(
            "prequential_popularity_hits", "The same hits for the 20 most popular items of the index"
        )
        self.popularity_reciprocal_ranks = counter(
            "prequential_popularity_reciprocal_rank", "The same sum for the most popular items"
        )
        self.lag = gauge("consumer_lag", "Records of the input not yet read", "partition")
        self.rebalances = counter("rebalances", "Rebalances of the consumer group that this worker saw")
        self.changelog_merged = counter(
            "changelog_merged",
            "Records read back because another worker wrote to the changelog of an assigned partition",
        )
        self.transactions = counter(
            "transactions",
            "Transactions of runs by how they ended, with `guarantee = exactly_once`; `lost`: to another "
            "owner of the partition, or because they took too long",
            "outcome",
        )
        self.recovery_seconds = gauge(
            "recovery_seconds",
            "From the last assignment of partitions until their state was restored, seconds; grows meanwhile",
        )
        self.recovery_remaining = gauge(
            "recovery_remaining_records", "Records of the changelog still to be restored"
        )
        self.assigned_partitions = gauge("assigned_partitions", "Partitions of the input this worker has")
        self.input_partitions = gauge("input_partitions", "Partitions of the input that there are")
        self.stalled = gauge(
            "stalled_partitions",
            "Partitions with input that finished nothing for `stall_s`; /live says which",
        )
        self.ready = gauge(
            "ready",
            "1: assigned, recovered, index caught up, brokers in reach; else 0, and /ready says why",
        )
        self.rocksdb_files = gauge("rocksdb_files_bytes", "RocksDB's files on disk, bytes", "partition")
        self.rocksdb_memory = gauge(
            "rocksdb_memory_bytes", "RocksDB's memtables, cached blocks and open files, bytes", "partition"
        )
        self.rocksdb_keys = gauge("rocksdb_keys", "Keys in RocksDB, estimated", "partition")
        self.disk_free = gauge("data_dir_free_bytes", "Free room on the disk of `data_dir`, bytes")
        self.disk_size = gauge("data_dir_size_bytes", "Size of the disk of `data_dir`, bytes")
        self.memory_limit = gauge(
            "memory_limit_bytes",
            "The most memory it can have: the container's limit or the machine's, bytes",
        )
        self.build = Info("nextclick_build", "Version and parameters", registry=self.registry)
        self.process = ProcessCollector(registry=self.registry)
        self._begin_with_zero()

    def collectors(self) -> list[Counter | Gauge | Histogram | Info]:
        """All metrics in the order in which they are defined."""
        kinds = (Counter, Gauge, Histogram, Info)
        return [value for value in vars(self).values() if isinstance(value, kinds)]

    def page(self) -> WSGIApplication:
        """The page for Prometheus."""
        made: WSGIApplication = make_wsgi_app(self.registry)
        return made

    def _begin_with_zero(self) -> None:
        """Show what labels are known from the start: a rate sees nothing of a counter's first value."""
        for counter, labels in (
            (self.clicks, (*get_args(Outcome), "bad", "moved")),
            (self.closed, CAUSES),
            (self.dead_letters, LETTER_REASONS),
            (self.misplaced, get_args(Unkeyed)),
            (self.snapshot_failures, ("read", "write")),
            (self.transactions, ("committed", "aborted", "lost")),
        ):
            for label in labels:
                counter.labels(label)


def read_metrics(text: str) -> dict[str, float]:
    """Sum the samples of a /metrics page by name, labels added up.

    Args:
        text: the page.

    Returns:
        ``{"nextclick_clicks_total": 17.0, …}``; a histogram's buckets are left out.
    """
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def set_by_partition(gauge: Gauge, values: Mapping[int, float]) -> None:
    """Set a gauge whose label is the partition; a partition that has no value is no longer shown."""
    known = {label for family in gauge.collect() for one in family.samples for label in one.labels.values()}
    for partition, value in values.items():
        gauge.labels(str(partition)).set(value)
    for label in known - {str(partition) for partition in values}:
        gauge.remove(label)


def describe(telemetry: Telemetry) -> list[dict[str, Any]]:
    """Name, kind, labels and meaning of each metric, for the documentation."""
    rows = []
    for collector in telemetry.collectors():
        family = next(iter(collector.describe()))
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        rows.append(
            {
                "name": family.name + suffix,
                "kind": family.type,
                "labels": list(collector._labelnames),  # noqa: SLF001 -- published nowhere else
                "meaning": family.documentation,
            }
        )
    return rows

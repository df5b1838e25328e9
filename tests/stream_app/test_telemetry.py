"""The metrics beside their documentation: labels that come and go, and counters that begin with zero."""

from __future__ import annotations

from core.window.clicks import BAD_REASONS, WINDOW_REASONS
from stream_app.telemetry import Telemetry, set_by_partition


def labels_of(metric) -> dict[str, float]:
    """The values by label of a metric that has one."""
    (family,) = metric.collect()
    samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
    return {label: sample.value for sample in samples for label in sample.labels.values()}


def test_a_partition_without_a_value_is_no_longer_shown():
    """Values are set, and what another worker has by now is taken back."""
    gauge = Telemetry().rocksdb_keys
    set_by_partition(gauge, {0: 5, 1: 7})
    assert labels_of(gauge) == {"0": 5, "1": 7}
    set_by_partition(gauge, {1: 8, 2: 9})
    assert labels_of(gauge) == {"1": 8, "2": 9}
    set_by_partition(gauge, {})
    assert labels_of(gauge) == {}


def test_a_counter_shows_the_labels_that_are_known_before_it_counts():
    """The first dead letter of a reason is a step from 0 to 1, which a rate sees."""
    counted = labels_of(Telemetry().dead_letters)
    assert counted.keys() >= {*BAD_REASONS, *WINDOW_REASONS}
    assert set(counted.values()) == {0.0}

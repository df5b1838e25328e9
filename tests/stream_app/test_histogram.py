"""The histogram that takes a run's values at once says what prometheus-client's says of them one by one."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as OneByOne

from stream_app.telemetry import Histogram

BOUNDS = (0.5, 1.0, 2.5, 10.0)


@given(
    runs=st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 2.5, 3.0, 10.0, 11.0])), max_size=5)
)
def test_it_counts_as_prometheus_client_does(runs):
    """Buckets, also at their bounds, count and sum are equal, line by line."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    together = Histogram("seconds", "How long", BOUNDS)
    ours.register(together)
    alone = OneByOne("seconds", "How long", buckets=BOUNDS, registry=theirs)
    for run in runs:
        together.observe(Counter(run).items())
        for value in run:
            alone.observe(value)
    said = [line for line in generate_latest(theirs).splitlines() if b"_created" not in line]
    assert generate_latest(ours).splitlines() == said

"""Two workers on this machine's cores beside one: clicks a second of the group, the broker included.

The workers are ready and share the partitions before the first click is there; the clicks are then written as
fast as the broker takes them, which is part of the time for both.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from tests.benchmarks.stream.load import clicks_of, fill, fill_clicks
from tests.benchmarks.stream.place import make_topics, new_worker, say
from tests.benchmarks.stream.throughput import medians, watch


def run_scaling(place, options):
    """Clicks a second of one and of two workers, medians of the rounds, and their ratio."""
    clicks = clicks_of(place.load, options.clicks)
    spans = {1: [], 2: []}
    for number in range(options.rounds):
        for workers, taken in spans.items():
            span = _round(place, options, workers, number, clicks)
            taken.append(span)
            say(
                f"  {workers} worker(s): {span.records / span.seconds:,.0f} clicks/s, "
                f"{span.cpu_s / span.counted * 1e6:.0f} us CPU a click, broker's "
                f"{span.broker_cpu_s / span.counted * 1e6:.0f}, others used {span.others_cores:.1f} cores"
            )
    found = [{"workers": workers, **medians(taken)} for workers, taken in spans.items()]
    ratio = found[1]["clicks_per_s"] / found[0]["clicks_per_s"]
    return {
        "scaling": {"workers": found, "two_to_one": round(ratio, 2), "partitions": place.partitions},
    }


def _round(place, options, count, number, clicks):
    settings = place.settings(f"scaling-{count}-{number}", preset=options.presets[0])
    make_topics(settings)
    fill(settings, place.load, [])
    with ExitStack() as stack:
        workers = [stack.enter_context(new_worker(settings, f"worker-{n}")) for n in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.wait_ready()
        began = time.monotonic()
        fill_clicks(settings, clicks)
        return watch(place, settings, workers, len(clicks), began)

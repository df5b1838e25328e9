"""Workers that hold so many visitors, each with an open session: what memory and recovery are measured on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Final

from core.window.clicks import Click
from tests.benchmarks.stream.load import BEGIN_S, fill, fill_clicks
from tests.benchmarks.stream.place import make_topics, new_worker, resident_mib
from tests.worker_process import wait_until

#: Open visitors of each case.
SIZES: Final = (10_000, 100_000, 1_000_000)
QUICK_SIZES: Final = (1000,)

#: All of a case's clicks are within so many seconds of event time, so that no session ends.
SPAN_S: Final = 600.0
BOUND_S: Final = 600.0


def open_visitors(visitors, clicks_each):
    """One open session for each visitor; all within :data:`SPAN_S` of event time."""
    step_s = SPAN_S / (visitors * clicks_each)
    return [
        Click(
            f"visitor-{number % visitors}", f"item-{number % 997}", round((BEGIN_S + number * step_s) * 1000)
        )
        for number in range(visitors * clicks_each)
    ]


@contextmanager
def with_state(place, case, visitors, clicks_each=1):
    """A worker that has answered and so holds the visitors; its memory before, MiB."""
    settings = place.settings(case)
    make_topics(settings)
    fill(settings, place.load._replace(learnt=place.load.learnt[-1000:]), [])
    with new_worker(settings) as worker:
        worker.start().wait_ready()
        before = resident_mib(worker.process.pid)
        clicks = open_visitors(visitors, clicks_each)
        fill_clicks(settings, clicks)
        wait_until(
            lambda: worker.metrics().get("nextclick_recommendations_total", 0) >= len(clicks),
            "all are answered",
            BOUND_S,
            [worker],
        )
        yield settings, worker, before

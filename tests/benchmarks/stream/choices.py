"""What each choice brings: the worker's throughput with one choice at a time taken back.

The first row is the worker as it comes. Each row below changes one setting, so that what the choice behind it
brings is the ratio between the two, on the same clicks.
"""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

from tests.benchmarks.stream.load import clicks_of, fill
from tests.benchmarks.stream.place import make_topics, new_worker, say
from tests.benchmarks.stream.throughput import medians, watch


class Choice(NamedTuple):
    """One way to run the worker.

    Args:
        name: in the tables.
        settings: of the worker, over those of the benchmark.
        share: of the clicks: a slow way has enough of fewer.
    """

    name: str
    settings: dict[str, Any]
    share: float = 1.0


CHOICES: Final = (
    Choice("as it comes", {}),
    Choice("one run scored at a time", {"scoring_threads": 1}),
    Choice("runs of 500 clicks at most", {"max_run_clicks": 500}),
    Choice("runs of 100", {"max_run_clicks": 100}),
    Choice("runs of 10", {"max_run_clicks": 10}, 0.25),
    Choice("runs of 1", {"max_run_clicks": 1}, 0.05),
    Choice("each run a transaction (exactly once)", {"guarantee": "exactly_once"}),
    Choice("a click a message, as Faust has it", {"transport": "faust"}, 0.25),
    Choice("the most popular items for an answer", {"preset": "pop"}),
)


def run_choices(place, options):
    """Clicks a second and CPU of each choice, medians of the rounds, and how the rates compare."""
    clicks = clicks_of(place.load, options.clicks)
    spans = {choice.name: [] for choice in CHOICES}
    for number in range(1, options.rounds + 1):
        for at, choice in enumerate(CHOICES):
            some = clicks[: max(200, round(len(clicks) * choice.share))]
            span = _round(place, options, choice, f"choice-{at}-{number}", some)
            spans[choice.name].append(span)
            say(f"  round {number}, {choice.name}: {span.records / span.seconds:,.0f} clicks/s")
    found = [{"choice": name, **medians(rounds)} for name, rounds in spans.items()]
    for one in found:
        one["of_the_first"] = round(one["clicks_per_s"] / found[0]["clicks_per_s"], 2)
    return {"choices": found}


def _round(place, options, choice, case, clicks):
    settings = place.settings(case, **{"preset": options.presets[0], **choice.settings})
    make_topics(settings)
    fill(settings, place.load, clicks)
    with new_worker(settings) as worker:
        began = time.monotonic()
        worker.start()
        return watch(place, settings, [worker], len(clicks), began)

"""What exactly once costs: nextclick's and Faust's own guarantee, each beside at least once, in one run.

nextclick does all of its work; Faust is the plainest agent that stores a click and forwards it, with
``processing_guarantee="exactly_once"`` and nothing else changed. Whether each is exact then is measured in
:mod:`tests.benchmarks.stream.exactness`.
"""

from __future__ import annotations

from tests.benchmarks.stream.contenders import Contender
from tests.benchmarks.stream.load import clicks_of
from tests.benchmarks.stream.place import say
from tests.benchmarks.stream.throughput import medians, run_round

GUARANTEES = ("at_least_once", "exactly_once")


def run_exactly_once(place, options):
    """Clicks a second and CPU a click of both with both guarantees: medians of the finished rounds."""
    clicks = clicks_of(place.load, options.clicks)
    found = []
    for kind, preset, many in (
        ("nextclick", options.presets[0], options.clicks),
        ("faust_plain", None, options.peer_clicks),
    ):
        for guarantee in GUARANTEES:
            contender = Contender(f"{kind}_{guarantee}", kind, preset, guarantee)
            found.append(
                {"who": kind, "guarantee": guarantee, **_rounds(place, options, contender, clicks[:many])}
            )
    for one, first in zip(found, (found[0], found[0], found[2], found[2]), strict=True):
        if "clicks_per_s" in one and "clicks_per_s" in first:
            one["of_at_least_once"] = round(one["clicks_per_s"] / first["clicks_per_s"], 2)
    return {"exactly_once": found}


def _rounds(place, options, contender, clicks):
    spans, failed = [], []
    for number in range(1, options.rounds + 1):
        try:
            spans.append(run_round(place, options, contender, number, clicks))
        except TimeoutError as error:
            failed.append(f"round {number}: did not finish {len(clicks):,} clicks: {error}")
            say(f"  {contender.name}, {failed[-1]}")
    rates = [round(span.records / span.seconds) for span in spans]
    measured = {**medians(spans), "clicks_per_s_of_rounds": rates} if spans else {}
    return {"clicks": len(clicks), **measured, "failed": failed}

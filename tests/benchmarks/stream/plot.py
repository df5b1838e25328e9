"""The picture of latency over the offered load."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.benchmarks.stream.latency import GOAL_MS

LINES = {"p50_ms": "p50", "p90_ms": "p90", "p99_ms": "p99", "p99_9_ms": "p99.9"}


def plot(result, path):
    """Write the curve of the part ``latency`` as SVG: the same bytes for the same figures."""
    latency = result["latency"]
    loads = [step["offered_a_second"] for step in latency["curve"]]
    # Names in the file are drawn from a salt, and it would carry the time of day.
    with mpl.rc_context({"svg.hashsalt": "nextclick", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8.0, 4.5), layout="constrained")
        axes = figure.subplots()
        for name, label in LINES.items():
            axes.plot(loads, [max(step[name], 0.5) for step in latency["curve"]], marker="o", label=label)
        for name, goal in GOAL_MS.items():
            axes.axhline(goal, linestyle=":", color="grey", linewidth=1)
            axes.annotate(f"goal of {LINES[name]}", (loads[0], goal), fontsize=8, color="grey", va="bottom")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(loads, [f"{load:,}" for load in loads], rotation=45)
        axes.minorticks_off()
        axes.set_xlabel("clicks a second offered")
        axes.set_ylabel("ms from a click's append to its answer's")
        axes.set_title(f"One worker, preset {latency['preset']}, broker and sender on the same cores")
        axes.legend()
        axes.grid(visible=True, alpha=0.3)
        figure.savefig(path, format="svg", metadata={"Date": None})

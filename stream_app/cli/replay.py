"""`nextclick replay`: a recorded file into the clicks topic."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.cli.reading import ClickIdColumn, ColumnNames, column_names
from stream_app.recordings.columns import Columns, guess_columns, other_visitors
from stream_app.recordings.files import Format, open_table
from stream_app.recordings.replay import MAX_SPEED, ReplayReport, dry_run, replay
from stream_app.settings import Settings, load_settings
from stream_app.terminal.progress import ReplayProgress

if TYPE_CHECKING:
    from core.window.clicks import Click
    from stream_app.recordings.rows import Table

#: Clicks that a dry run shows.
SHOWN_CLICKS = 5
#: The file could not be read to its end.
EXIT_CUT_SHORT = 1
#: Nothing of the file could be read as a click.
EXIT_NOTHING_READ = 2
#: And the number of the signal that ended it.
EXIT_SIGNAL = 128

# The backslashes keep a paragraph one line: the help is wrapped to the width of the terminal.
HELP = """Send a recorded file of clicks to the clicks topic, at its recorded pace.

FILE is TSV, CSV, JSON lines or Parquet, gzipped or not. The columns are guessed by their names \
(visitor, user_id, SessionId, item, product_id, time, timestamp, ...); options say them where the guess \
fails or is not what you want. A time is in seconds or milliseconds since 1970, or ISO 8601.

The clicks are sent in the file's order; where that is not the order of time, a worker would take the \
older ones for late: --sort reads the file into memory and sends it in the order of \
time. Lines that are no click are reported by number, and the replay goes on.

See what would be sent, without Kafka:

  nextclick replay clicks.csv.gz --dry-run

A day in an hour; as fast as it goes:

  nextclick replay clicks.csv.gz --speed 24

  nextclick replay clicks.csv.gz --speed max --sort

Go on after an interruption, with the newest click that the topic has; what has that very time is sent \
again, and counts once where clicks have an id:

  nextclick replay clicks.csv.gz --speed 24 --resume

Say which column is what; one is enough where the others are guessed:

  nextclick replay clicks.csv --visitor user_session

A file without a header, and a date in three columns:

  nextclick replay u.data --columns visitor,item,rating,time

  nextclick replay shop.csv --item model --time year+month+day

Exits with 0 even if some lines are bad, with 1 if the file is cut short or damaged, with 2 if it has no \
click, with 130 or 143 if a signal (SIGINT, SIGTERM) ended it.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("replay", help=HELP)(replay_command)


def _speed(text: str) -> float:
    if text.strip().lower() == "max":
        return MAX_SPEED
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not (math.isfinite(speed) and speed > 0):
        raise typer.BadParameter(f"--speed: expected a number above 0, or max; came {text!r}")
    return speed


def replay_command(
    file: Annotated[Path, typer.Argument(help="the file of clicks", show_default=False)],
    *,
    visitor: Annotated[str | None, typer.Option(help="column of the visitor", metavar="COL")] = None,
    item: Annotated[str | None, typer.Option(help="column of the item", metavar="COL")] = None,
    time: Annotated[
        str | None,
        typer.Option(help="column of the time, or columns: date+time, year+month+day", metavar="COL"),
    ] = None,
    click_id: ClickIdColumn = None,
    action: Annotated[str | None, typer.Option(help="column of what was done", metavar="COL")] = None,
    columns: ColumnNames = None,
    file_format: Annotated[Format, typer.Option("--format", help="how FILE is written")] = "auto",
    speed: Annotated[
        str, typer.Option(help="times the recorded pace, or max: as fast as it goes", metavar="FLOAT|max")
    ] = "1",
    limit: Annotated[int | None, typer.Option(help="clicks after which to end", min=1, metavar="N")] = None,
    sort: Annotated[
        bool, typer.Option("--sort", help="read the file first and send it in the order of time")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="leave out what is older than the newest click on the topic")
    ] = False,
    topic: Annotated[str | None, typer.Option(help="in place of the setting clicks_topic")] = None,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="in place of the setting bootstrap_servers", metavar="HOST:PORT")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings")] = None,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="show the first clicks and the report, send nothing")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as one JSON object")] = False,
) -> None:
    """Read the options, replay, and print the report."""
    times = _speed(speed)
    settings = load_settings(config, clicks_topic=topic, bootstrap_servers=bootstrap_servers)
    with open_table(file, file_format, column_names(columns)) as table:
        chosen = guess_columns(
            table.columns, visitor=visitor, item=item, time=time, id=click_id, action=action
        )
        _say_columns(table, chosen)
        if dry:
            report = _dry_run(settings, table, chosen, limit=limit, sort=sort, quiet=as_json)
        else:
            with ReplayProgress() as progress:
                report = asyncio.run(
                    replay(
                        settings,
                        table,
                        chosen,
                        speed=times,
                        limit=limit,
                        sort=sort,
                        resume=resume,
                        on_progress=progress.update,
                    )
                )
    _print_report(report, chosen, settings, dry=dry, as_json=as_json)
    if report.stopped_by is not None:
        raise typer.Exit(EXIT_SIGNAL + report.stopped_by)
    if report.cut_short is not None:
        raise typer.Exit(EXIT_CUT_SHORT)
    if not report.sent and not report.left_out:
        raise typer.Exit(EXIT_NOTHING_READ)


def _dry_run(
    settings: Settings, table: Table, columns: Columns, *, limit: int | None, sort: bool, quiet: bool
) -> ReplayReport:
    shown = 0

    def show(click: Click, value: bytes) -> None:
        nonlocal shown
        shown += 1
        if shown <= SHOWN_CLICKS and not quiet:
            typer.echo(f"{click.visitor}\t{value.decode()}")

    return dry_run(settings, table, columns, limit, show, sort=sort)


def _say_columns(table: Table, columns: Columns) -> None:
    typer.echo(f"columns: {columns}", err=True)
    others = other_visitors(table.columns, columns)
    if others:
        typer.echo(
            f"{columns.visitor!r} is taken for the visitor; --visitor {others[0]!r} would take the other",
            err=True,
        )


def _print_report(
    report: ReplayReport, columns: Columns, settings: Settings, *, dry: bool, as_json: bool
) -> None:
    if as_json:
        typer.echo(json.dumps(report_as_json(report, columns, settings, dry=dry)))
        return
    sent = "would be sent" if dry else "sent"
    rate = "" if dry else f" in {report.seconds:.1f} s, {report.clicks_per_s:,.0f} a second"
    typer.echo(f"{report.sent:,} clicks {sent} to {settings.clicks_topic!r}{rate}")
    if report.left_out:
        typer.echo(f"{report.left_out:,} were left out: they are older than what the topic had")
    if report.first_time_ms is not None and report.last_time_ms is not None:
        typer.echo(f"recorded from {_iso(report.first_time_ms)} to {_iso(report.last_time_ms)}")
    if report.stopped_by is not None:
        typer.echo("stopped by a signal before the end of the file")
    if report.cut_short is not None:
        typer.echo(f"the file was not read to its end: {report.cut_short}")
    if report.behind_topic and report.topic_had_ms is not None:
        typer.echo(
            f"{report.behind_topic:,} of them lie more than {settings.grace_s:g} s (grace_s) behind "
            f"{_iso(report.topic_had_ms)}, where the topic was before: a worker takes such clicks for late. "
            "--resume leaves out what the topic has; a new topic (--topic) begins anew."
        )
    if report.likely_late:
        typer.echo(
            f"{report.likely_late:,} of them lie more than {settings.grace_s:g} s (grace_s) behind one that "
            "comes before: a worker takes such clicks for late. --sort sends them in the order of time."
        )
    if report.bad_lines:
        typer.echo(f"{report.bad_lines:,} lines are no click:")
        for bad in report.first_bad:
            typer.echo(f"  line {bad.line}: {bad.reason}")
        if report.bad_lines > len(report.first_bad):
            typer.echo(f"  and {report.bad_lines - len(report.first_bad):,} more")


def report_as_json(
    report: ReplayReport, columns: Columns, settings: Settings, *, dry: bool
) -> dict[str, Any]:
    """The report of ``--json``: plain values, times in seconds since 1970."""
    return {
        "topic": settings.clicks_topic,
        "dry_run": dry,
        "columns": str(columns),
        "sent": report.sent,
        "left_out": report.left_out,
        "bad_lines": report.bad_lines,
        "first_bad": [{"line": bad.line, "reason": bad.reason} for bad in report.first_bad],
        "likely_late": report.likely_late,
        "behind_topic": report.behind_topic,
        "topic_had": None if report.topic_had_ms is None else report.topic_had_ms / 1000,
        "first_time": None if report.first_time_ms is None else report.first_time_ms / 1000,
        "last_time": None if report.last_time_ms is None else report.last_time_ms / 1000,
        "seconds": round(report.seconds, 3),
        "clicks_per_s": round(report.clicks_per_s, 1),
        "stopped": report.stopped_by is not None,
        "cut_short": report.cut_short,
    }


def _iso(time_ms: int) -> str:
    return (
        datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )

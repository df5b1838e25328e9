"""``nextclick evaluate``: how good methods are on recorded sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from core.errors import InvalidParameterError
from core.params import Exclude
from stream_app.cli.reading import (
    ByGap,
    ClickIdColumn,
    ColumnNames,
    Gap,
    ItemColumn,
    SessionColumn,
    SessionFileFormat,
    TimeColumn,
    VisitorColumn,
    read_options,
)
from stream_app.evaluate.data import Reading
from stream_app.evaluate.methods import DEFAULT_METHODS
from stream_app.settings import load_settings
from stream_app.terminal.evaluation import EvaluationProgress, print_evaluation

# The backslashes keep a paragraph one line: the help is wrapped to the width of the terminal.
HELP = """Measure methods on recorded sessions: hit rate, MRR, NDCG, precision, recall, coverage, time.

With TRAIN and TEST, TRAIN is learnt and every beginning of a TEST session is asked for what comes next. \
With one file, or with --prequential, clicks come in the order of time, each is judged before it is learnt, \
and sessions are learnt as they close. A query never sees what it is judged by; an item that was never \
learnt counts as a miss.

Files are all that `nextclick replay` reads, and files with one session a line (item ids apart by spaces, \
oldest first). A session column is used where there is one; else a visitor's clicks are parted by the \
worker's own window.

Three methods, compared on the same sessions:

  nextclick evaluate train.tsv test.tsv --methods blend,vstan,vsknn

The newest fifth of one file held out; play a day after its history; play a file from nothing:

  nextclick evaluate clicks.csv.gz --holdout 0.2

  nextclick evaluate history.csv day.csv --prequential --plot day.svg

  nextclick evaluate clicks.csv.gz --visitor user_id --gap 1800

Your parameters against a preset; one parameter changed:

  nextclick evaluate train.tsv test.tsv --methods vstan --params tuned.toml

  nextclick evaluate train.tsv test.tsv --methods vsknn,vstan --set vsknn.neighbours=100 --full

A file without a header; a date in three columns:

  nextclick evaluate u.data --columns session,item,rating,time --holdout 0.2

  nextclick evaluate shop.csv --item model --time year+month+day --holdout 0.2 --json

What may be recommended moves the figures by far more than the method does, so every row states it: \
--exclude none (as in most papers), current (not the item that is being looked at) or session (nothing seen \
before).
"""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("evaluate", help=HELP)(evaluate_command)


def evaluate_command(
    train: Annotated[Path, typer.Argument(help="the file to learn from, or the stream", show_default=False)],
    test: Annotated[
        Path | None, typer.Argument(help="the file to ask; without it TRAIN is played", show_default=False)
    ] = None,
    *,
    methods: Annotated[
        str | None,
        typer.Option("--methods", "-m", help="names apart by commas", show_default=",".join(DEFAULT_METHODS)),
    ] = None,
    params: Annotated[
        list[Path] | None,
        typer.Option(help="TOML file of `nextclick tune`, a method too; may be repeated", metavar="FILE"),
    ] = None,
    exclude: Annotated[
        Exclude | None,
        typer.Option(help="what answers leave out", show_default="none; for --params, as the file says"),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="a parameter of all methods, or METHOD.NAME=VALUE", metavar="NAME=VALUE"),
    ] = None,
    k: Annotated[str, typer.Option("--k", help="cut-offs, apart by commas", metavar="K,…")] = "5,10,20",
    prequential: Annotated[
        bool, typer.Option("--prequential", help="play TEST after TRAIN, learning as sessions close")
    ] = False,
    share: Annotated[
        float | None,
        typer.Option("--holdout", help="with one file: share of its newest sessions to ask", metavar="SHARE"),
    ] = None,
    known_items_only: Annotated[
        bool, typer.Option("--known-items-only", help="leave out test clicks on items that TRAIN lacks")
    ] = False,
    sessions: Annotated[
        int | None, typer.Option(help="newest sessions of TRAIN to use", min=1, metavar="N")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="first sessions to ask, of TEST or of the stream", min=1, metavar="N")
    ] = None,
    index_sessions: Annotated[
        int | None, typer.Option(help="sessions held at most, as a worker would; default all", min=1)
    ] = None,
    session: SessionColumn = None,
    visitor: VisitorColumn = None,
    item: ItemColumn = None,
    time: TimeColumn = None,
    click_id: ClickIdColumn = None,
    columns: ColumnNames = None,
    file_format: SessionFileFormat = "auto",
    by_gap: ByGap = False,
    gap: Gap = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="picture of the hit rate: over the stream, or by clicks known", metavar="FILE"),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="every figure at every k, comparisons, times")] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings, for the window")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print a list of objects, one a method")] = False,
) -> None:
    """Read the options, evaluate, and print."""
    from stream_app.evaluate.run import Plan, evaluate, parse_settings  # noqa: PLC0415 -- numpy, not for --help

    settings = load_settings(config, gap_s=gap)
    plan = Plan(
        train=train,
        test=test,
        methods=_names(methods) if methods is not None else (() if params else DEFAULT_METHODS),
        params=params or (),
        exclude=exclude,
        settings=parse_settings(changes or ()),
        cutoffs=_cutoffs(k),
        prequential=prequential,
        share=share,
        known_items=known_items_only,
        sessions=sessions,
        limit=limit,
        max_sessions=index_sessions,
        reading=read_options(
            settings,
            file_format=file_format,
            session=session,
            visitor=visitor,
            item=item,
            time=time,
            click_id=click_id,
            columns=columns,
            by_gap=by_gap,
        ),
    )
    if plot is not None:
        from stream_app.evaluate.plot import check_plot  # noqa: PLC0415 -- for those who plot only

        check_plot(plot)
    from stream_app.compiled import use_kernels  # noqa: PLC0415 -- before any kernel is imported

    use_kernels(settings)
    with EvaluationProgress(quiet=as_json) as progress:
        reports = evaluate(plan, progress.update, _say_read, _say_doubt)
    if plot is not None:
        from stream_app.evaluate.plot import plot as draw  # noqa: PLC0415 -- for those who plot only

        draw(reports, plot)
        typer.echo(f"{plot} is written", err=True)
    rows = [report.row(reports[0] if at else None) for at, report in enumerate(reports)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        print_evaluation(rows, plan.cutoffs, full=full)


def _say_read(path: Path, reading: Reading, sessions: int) -> None:
    typer.echo(f"{path}: {reading.clicks:,} clicks, {sessions:,} sessions by {reading.sessions_by}", err=True)
    if reading.bad and reading.first_bad:
        typer.echo(
            f"{path}: {reading.bad:,} lines are no click, the first is line {reading.first_bad.line}: "
            f"{reading.first_bad.reason}",
            err=True,
        )


def _say_doubt(doubt: str) -> None:
    typer.echo(f"warning: {doubt}", err=True)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _cutoffs(text: str) -> list[int]:
    try:
        return sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise InvalidParameterError(
            f"--k {text!r}: expected whole numbers apart by commas, such as 5,10,20"
        ) from None

"""``nextclick tune``: the scorer's parameters, by a search on training data."""

from __future__ import annotations

import json
import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from core.errors import TuneError
from core.params import Exclude
from core.presets import PRESETS
from core.window.sessions import ClosedSession
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
from stream_app.evaluate.data import Reading, ReadOptions, read_sessions
from stream_app.scoring_file import DEFAULT_PRESET, known_preset, named, read_scoring, write_atomically
from stream_app.settings import Settings, load_settings
from stream_app.terminal.tables import print_table
from stream_app.terminal.tune_progress import TuneProgress
from stream_app.tune.figures import Objective
from stream_app.tune.report import (
    NAME,
    Source,
    as_json,
    as_toml,
    figures_of,
    found_rows,
    refuse_to_overwrite,
    verdict,
)
from stream_app.tune.stopping import stop_on_signals

if TYPE_CHECKING:
    from stream_app.tune.search import Found, Search

#: The option that says what a setting of the worker is to be.
_OPTIONS = {"exclude": "--exclude", "recommendations": "--k"}

# The backslashes keep a paragraph one line: the help is wrapped to the width of the terminal.
HELP = """Search the scorer's parameters for a file of clicks, and write them for worker and evaluate.

TRAIN is read as `nextclick evaluate` reads it. Its newest sessions are held out (--validation), and trials \
are judged by how well the next items of these are found by what the older ones teach. Give it the training \
data and nothing else: the command takes no test file, so what it finds can be tested honestly afterwards.

The search begins with the presets, goes on for --trials or --minutes, whichever is over first, and gives up \
trials that are worse than the median on a part of the queries. Each better trial is written to --output at \
once; Ctrl-C or SIGTERM ends the search and keeps the best. The same data, seed and --trials with one job \
find the same, byte for byte.

The best of many trials is better than the start by chance alone where few queries are asked. So the best is \
written only if it is better by more than that, else the trial that is so most surely, else the start \
(--best-anyway: the best). A larger --validation or --max-queries asks more.

Tune with the --exclude that is to be served: the worker's own default is current.

  nextclick tune clicks.csv.gz --exclude current

  nextclick worker --params tuned.toml

An hour of search, for the hit rate among ten items:

  nextclick tune train.tsv --trials 10000 --minutes 60 --objective hr --k 10

Later, on newer clicks, go on from what was found:

  nextclick tune new.csv.gz --also tuned.toml --output tuned-again.toml

Then the honest test:

  nextclick evaluate train.tsv test.tsv --params tuned.toml
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("tune", help=HELP)(tune)


def tune(
    train: Annotated[Path, typer.Argument(help="the training data; never a test set", show_default=False)],
    *,
    output: Annotated[Path, typer.Option(help="file that is written")] = Path("tuned.toml"),
    trials: Annotated[int, typer.Option(help="trials at most", min=1)] = 100,
    minutes: Annotated[float | None, typer.Option(help="minutes of search at most", min=0.001)] = None,
    seed: Annotated[int, typer.Option(help="of the search and of the queries drawn", min=0)] = 1,
    objective: Annotated[
        Objective, typer.Option(help="what is to be as large as possible; sum is HR + MRR")
    ] = "mrr",
    preset: Annotated[
        str, typer.Option(help=f"what the search begins with: {', '.join(PRESETS)}", metavar="START")
    ] = DEFAULT_PRESET,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="file of parameters that is tried, too, such as an earlier search's; repeatable"),
    ] = None,
    exclude: Annotated[Exclude, typer.Option(help="what answers leave out")] = "none",
    k: Annotated[int, typer.Option(help="items in an answer", min=1, max=100)] = 20,
    validation: Annotated[
        str, typer.Option(help="the newest sessions: a share such as 10%, or a time such as 1d or 12h")
    ] = "10%",
    max_queries: Annotated[int, typer.Option(help="queries at most, drawn by the seed", min=1)] = 20_000,
    best_anyway: Annotated[
        bool, typer.Option("--best-anyway", help="write the best trial even if chance may have made it so")
    ] = False,
    jobs: Annotated[int, typer.Option(help="trials at a time; with more than 1 results vary", min=1)] = 1,
    session: SessionColumn = None,
    visitor: VisitorColumn = None,
    item: ItemColumn = None,
    time: TimeColumn = None,
    click_id: ClickIdColumn = None,
    columns: ColumnNames = None,
    file_format: SessionFileFormat = "auto",
    by_gap: ByGap = False,
    gap: Gap = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings: the window, the cache")] = None,
    json_: Annotated[bool, typer.Option("--json", help="print the report as one JSON object")] = False,
) -> None:
    """Read the options, search, and print the report."""
    settings = load_settings(config, gap_s=gap)
    known_preset(preset, "--preset:")
    others = [read_scoring(file) for file in also or []]
    refuse_to_overwrite(output)
    from stream_app.compiled import use_kernels  # noqa: PLC0415 -- before any kernel is imported

    use_kernels(settings)
    from stream_app.tune.search import Search  # noqa: PLC0415 -- imports the kernels and optuna
    from stream_app.tune.validation import Cut, Validation  # noqa: PLC0415 -- imports the kernels

    cut = Cut.parse(validation)
    options = read_options(
        settings,
        file_format=file_format,
        session=session,
        visitor=visitor,
        item=item,
        time=time,
        click_id=click_id,
        columns=columns,
        by_gap=by_gap,
    )
    began = clock.monotonic()
    with TuneProgress(quiet=json_) as progress:
        sessions = _read(train, options, progress)
        asked = Validation(sessions, cut, seed, max_queries)
        progress.phase(
            f"learnt from {len(asked.older):,} sessions, asking {len(asked.queries):,} of {asked.possible:,} "
            f"queries of the {len(asked.newer):,} newer ones"
        )
        start = msgspec.structs.replace(PRESETS[preset], recommendations=k, exclude=exclude)
        search = Search(asked, start, objective, trials=trials, seed=seed, jobs=jobs, also=others)
        command = _command(
            train, cut=validation, search=search, preset=preset, seed=seed, max_queries=max_queries
        ) + (["--best-anyway"] if best_anyway else [])
        command += [part for file in also or [] for part in ("--also", file.name)]
        source = Source(command, train, sessions, preset)
        written: Found | None = None

        def after(search: Search) -> None:
            nonlocal written
            progress.update(search)
            found = search.best if best_anyway else search.chosen
            if found is not None and found is not written:
                written = found
                write_atomically(output, as_toml(search, written, source))

        with stop_on_signals(minutes) as stop:
            search.run(stop, after)
    chosen = search.best if best_anyway else search.chosen
    if chosen is None:
        raise TuneError(
            f"the search was stopped ({stop.reason}) before its first trial was finished, so nothing is "
            "written; give it more time, or fewer queries by --max-queries"
        )
    write_atomically(output, as_toml(search, chosen, source))
    report = as_json(search, chosen, source, output)
    report |= {"stopped": stop.reason or None, "seconds": round(clock.monotonic() - began, 3)}
    if json_:
        typer.echo(json.dumps(report))
    else:
        _print(search, chosen, source, output, settings, stopped=stop.reason)


def _read(train: Path, options: ReadOptions, progress: TuneProgress) -> list[ClosedSession]:
    progress.phase(f"reading {train.name}")
    reading = Reading()
    sessions = read_sessions(train, options, reading=reading, on_progress=progress.reading)
    progress.phase(f"{len(sessions):,} sessions by {reading.sessions_by}, {reading.clicks:,} clicks")
    if reading.bad and reading.first_bad is not None:
        progress.phase(
            f"{reading.bad:,} lines are no click; line {reading.first_bad.line}: {reading.first_bad.reason}"
        )
    return sessions


def _command(train: Path, *, cut: str, search: Search, preset: str, seed: int, max_queries: int) -> list[str]:
    """The command line with all that the result depends on, the columns of the file excepted."""
    options = {
        "trials": search.trials,
        "seed": seed,
        "objective": search.objective,
        "preset": preset,
        "exclude": search.start.exclude,
        "k": search.start.recommendations,
        "validation": cut,
        "max-queries": max_queries,
        "jobs": search.jobs,
    }
    flat = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return ["nextclick", "tune", train.name, *flat]


def _print(
    search: Search, chosen: Found, source: Source, output: Path, settings: Settings, *, stopped: str
) -> None:
    rows = found_rows(search, chosen, source.preset)
    names = [name.replace("_", "@").upper() for name in figures_of(chosen)]
    print_table(
        ("", *names),
        [(what, *(f"{value:.4f}" for value in figures_of(one).values())) for what, one in rows],
    )
    early = {"": "", "signal": "; stopped by a signal", "time": "; the time is over"}[stopped]
    typer.echo(f"{search.done} trials, {search.given_up} given up early{early}")
    if said := verdict(search, chosen, source.preset):
        typer.echo(said)
    typer.echo(
        f"written to {output}; answers call these parameters {named(chosen.parameters, NAME).name}:\n"
        f"  nextclick worker --params {output}"
    )
    for name in ("exclude", "recommendations"):
        tuned, set_to = getattr(chosen.parameters, name), getattr(settings, name)
        if tuned != set_to:
            typer.echo(
                f"note: with this file {name} is {tuned}, where the worker's setting is {set_to}; tune with "
                f"{_OPTIONS[name]} {set_to} for answers like those of today"
            )

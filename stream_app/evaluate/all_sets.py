"""``make evaluation``: every method on every data set, and the tables of ``docs/evaluation.md``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from core.errors import NextclickError, ReplayError
from core.params import EXCLUDES, Exclude, ScoringParameters
from stream_app.compiled import use_kernels
from stream_app.docs import ROOT, fill, markdown_table
from stream_app.evaluate.data import ReadOptions, asking_sessions, read_sessions, split_by_time
from stream_app.evaluate.holdout import CUTOFFS, Holdout
from stream_app.evaluate.methods import method_names, recommender, tuned
from stream_app.scoring_file import read_scoring
from stream_app.settings import load_settings

DOCUMENT: Final = "docs/evaluation.md"
HEADER: Final = (
    *("data set", "exclude", "queries", "method", "HR@20", "MRR@20", "NDCG@20", "precision@20", "recall@20"),
    *("coverage@20", "us a query", "learning, s", "in all, s"),
)
#: Share of the newest sessions that is held out where a set has one file.
SHARE: Final = 0.2

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set and its protocol.

    Args:
        name: how the table names it.
        train: file to learn from, from the folder of all sets.
        test: file to ask; None: the newest :data:`SHARE` of the sessions is held out.
        reading: how both are read.
        excludes: what answers leave out: all figures once for each.
    """

    name: str
    train: str
    test: str | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)
    excludes: tuple[Exclude, ...] = ("none",)


_ESHOP: Final = ReadOptions(item="page 2 (clothing model)", time="year+month+day")
_MOVIES: Final = ReadOptions(names=("session", "item", "rating", "time"))

DATA_SETS: Final = (
    DataSet("yoochoose", "yoochoose_100k/train_full.txt.gz", "yoochoose_100k/test.txt.gz"),
    DataSet("diginetica", "diginetica_sequences/train.txt.gz", "diginetica_sequences/test.txt.gz"),
    DataSet(
        "serenade valid",
        "serenade_example/train.txt.gz",
        "serenade_example/valid.txt.gz",
        excludes=("none", "current"),
    ),
    DataSet(
        "serenade test",
        "serenade_example/train.txt.gz",
        "serenade_example/test.txt.gz",
        excludes=("none", "current"),
    ),
    DataSet("movielens", "movielens_100k/u.data.gz", reading=_MOVIES, excludes=("none", "session")),
    DataSet("eshop", "eshop_clothing/e-shop-clothing-2008.csv.gz", reading=_ESHOP),
    DataSet("rees46", "rees46_head/2019-Oct-head.csv.gz", reading=ReadOptions(by_gap=True)),
)


def ready(data: Path, chosen: DataSet, sessions: int | None = None, limit: int | None = None) -> Holdout:
    """Read a data set and make its split.

    Args:
        data: the folder of all sets.
        chosen: the set.
        sessions: newest training sessions that are used; None: all.
        limit: first test sessions of two clicks and more that are used; None: all.

    Raises:
        NextclickError: a file cannot be read.
    """
    train = read_sessions(data / chosen.train, chosen.reading)
    if chosen.test is None:
        train, test = split_by_time(train, SHARE)
    else:
        test = read_sessions(data / chosen.test, chosen.reading, partition=1, after_ms=train[-1].end)
    return Holdout(train[-sessions:] if sessions else train, asking_sessions(test, limit))


def rows_of(
    chosen: DataSet, split: Holdout, methods: Sequence[str], parameters: Sequence[ScoringParameters] = ()
) -> Iterator[Row]:
    """A row of figures for each method; a method that cannot be run gives its reason under ``problem``.

    Args:
        chosen: the data set.
        split: see :func:`ready`.
        methods: names of methods.
        parameters: of the engine, further methods.
    """
    n = CUTOFFS[-1]
    for exclude in chosen.excludes:
        every: list[str | ScoringParameters] = [*methods, *parameters]
        for one in every:
            label = one if isinstance(one, str) else one.name
            try:
                method = recommender(one, exclude, n) if isinstance(one, str) else tuned(one, exclude, n)
                row = split.run(method, method=label, exclude=exclude).row()
            except NextclickError as error:
                row = {"method": label, "exclude": exclude, "problem": str(error)}
            yield {"set": chosen.name, **row}


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row of the table: figures with half of their 95 % interval."""
    if "problem" in row:
        first = [row["set"], row["exclude"], "", row["method"], row["problem"]]
        return [*first, *[""] * (len(HEADER) - len(first))]

    def estimate(name: str) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return f"{row[name]:.3f}" + ("" if low is None else f" ± {(high - low) / 2:.3f}")

    return [
        row["set"],
        row["exclude"],
        f"{row['queries']:,}",
        row["method"],
        *(estimate(f"{name}_20") for name in ("hr", "mrr", "ndcg", "precision", "recall")),
        f"{row['coverage_20']:.3f}",
        f"{row['us_per_query']:,.0f}",
        f"{row['fit_seconds']:.1f}",
        f"{row['seconds']:.1f}",
    ]


def settings_cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Each method once with its settings."""
    found = {row["method"]: shown_settings(row["settings"]) for row in rows if "problem" not in row}
    return [[name, text or "defaults"] for name, text in found.items()]


def shown_settings(settings: Mapping[str, Any]) -> str:
    """A method's settings; of the engine's, those that differ from its defaults. Four digits of a number."""
    plain = msgspec.structs.asdict(ScoringParameters())
    left_out = {"name", "exclude", "recommendations", "n"}
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in settings.items()
        if key not in left_out and (key not in plain or value != plain[key])
    )


def made_with() -> str:
    """The processor and the versions that figures of time hold for."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("nextclick", "numpy", "numba"))
    return f"{_processor()}, {os.cpu_count()} processors; Python {platform.python_version()}, {versions}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def written(text: str, rows: Sequence[Mapping[str, Any]], note: str) -> str:
    """The document's text with the tables of these rows.

    Raises:
        NextclickError: the document lacks the comments between which the tables stand.
    """
    table = f"{note}\n\n{markdown_table(HEADER, map(cells, rows))}"
    text = fill(text, "figures", table)
    return fill(text, "methods", markdown_table(("method", "settings"), settings_cells(rows)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all methods on all sets and write the tables; after each set what there is is written.

    Returns:
        0; 2 where the folder, a set or a method is not there.
    """
    return finished(_run, _options(arguments))


def finished(run: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    """Do what a verb on a folder of data sets is for: 0, or 2 after a sentence that says what is wrong."""
    try:
        if not options.data.is_dir():
            raise ReplayError(f"there is no folder {options.data}; --data names the folder of the data sets")
        run(options)
    except NextclickError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
    chosen = chosen_sets(options.sets)
    parameters: dict[str, list[ScoringParameters]] = {}
    for text in options.params:
        name, _, path = text.partition("=")
        chosen_sets(name)
        parameters.setdefault(name, []).append(read_scoring(Path(path)))
    methods = options.methods.split(",") if options.methods else method_names()
    for name in methods:
        if name not in method_names():
            raise NextclickError(f"unknown method {name!r}; the methods are: {', '.join(method_names())}")
    use_kernels(load_settings())
    template, rows = options.output.read_text(encoding="utf-8"), list[Row]()
    note = f"All figures by `make evaluation` on: {made_with()}; one thread."
    for data_set in chosen:
        one = replace(data_set, excludes=(options.exclude,)) if options.exclude else data_set
        split = ready(options.data, one, options.sessions, options.limit)
        for row in rows_of(one, split, methods, parameters.get(one.name, [])):
            rows.append(row)
            sys.stderr.write(" ".join(cell for cell in cells(row) if cell) + "\n")
        options.output.write_text(written(template, rows, note), encoding="utf-8")
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def chosen_sets(names: str | None) -> list[DataSet]:
    """The data sets of these names, apart by commas; None: all.

    Raises:
        NextclickError: there is none of that name.
    """
    if not names:
        return list(DATA_SETS)
    by_name = {one.name: one for one in DATA_SETS}
    for name in names.split(","):
        if name not in by_name:
            raise NextclickError(f"unknown data set {name!r}; the sets are: {', '.join(by_name)}")
    return [by_name[name] for name in names.split(",")]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--sets", help="names of sets, apart by commas; default all")
    parser.add_argument("--methods", help="names of methods, apart by commas; default all")
    parser.add_argument("--params", action="append", default=[], metavar="SET=FILE", help="TOML of `tune`")
    parser.add_argument("--exclude", choices=EXCLUDES, help="default: as each set has it")
    parser.add_argument("--sessions", type=int, help="newest training sessions of each set; default all")
    parser.add_argument("--limit", type=int, help="first test sessions of each set; default all")
    parser.add_argument("--output", type=Path, default=ROOT / DOCUMENT, help="document to write")
    parser.add_argument("--json", type=Path, help="file for all rows, every figure")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

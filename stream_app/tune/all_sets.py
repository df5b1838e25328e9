"""``make evaluation-tuned``: what ``nextclick tune`` finds on each set's training data, asked of its test.

Beside it stand the preset that it began with and the best single method: of all methods but the blend, the
one with the highest hit rate and the one with the highest reciprocal rank.

Searches take minutes, so what was found is kept in a file (``--json``): a run of some sets replaces their
rows and leaves the others as they are. What a row had found is among the first trials of the search that
replaces it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from core.errors import NextclickError
from core.params import Exclude, ScoringParameters
from core.presets import preset
from stream_app.compiled import use_kernels
from stream_app.docs import ROOT, fill, markdown_table
from stream_app.evaluate.all_sets import (
    DOCUMENT,
    DataSet,
    chosen_sets,
    finished,
    made_with,
    ready,
    rows_of,
    shown_settings,
)
from stream_app.evaluate.holdout import CUTOFFS, Holdout
from stream_app.evaluate.methods import method_names
from stream_app.scoring_file import DEFAULT_PRESET
from stream_app.settings import load_settings
from stream_app.terminal.tune_progress import TuneProgress
from stream_app.tune.search import Found, Search
from stream_app.tune.stopping import stop_on_signals
from stream_app.tune.validation import Cut, Validation

HEADER: Final = (
    *(
        "data set",
        "exclude",
        "best single HR@20",
        "best single MRR@20",
        "`blend`, HR / MRR",
        "tuned, HR / MRR",
    ),
    *("us a query", "validation queries", "trials", "search, s", "found"),
)
ROWS: Final = "build/tuned-sets.json"
VALIDATION: Final = "10%"
SEED: Final = 1
#: What a search makes as large as possible: both figures that the table has.
OBJECTIVE: Final = "sum"
#: Not single methods: the blend itself, and the preset of the demo's baskets.
_NO_SINGLE: Final = frozenset({DEFAULT_PRESET, "baskets"})

Row = dict[str, Any]


def tune(
    split: Holdout, exclude: Exclude, options: argparse.Namespace, also: Sequence[ScoringParameters] = ()
) -> tuple[Search, Found]:
    """Search on a split's training data alone, as ``nextclick tune`` does; ``also`` is tried, too.

    Returns:
        The search, and what it chose.

    Raises:
        NextclickError: the data cannot be cut, or the search was stopped before it was over.
    """
    validation = Validation(split.train, Cut.parse(VALIDATION), SEED, options.max_queries)
    start = preset(DEFAULT_PRESET, recommendations=CUTOFFS[-1], exclude=exclude)
    search = Search(validation, start, OBJECTIVE, trials=options.trials, seed=SEED, also=also)
    with TuneProgress() as progress, stop_on_signals(options.minutes) as stop:
        search.run(stop, progress.update)
    chosen = search.chosen
    if stop.reason == "signal" or chosen is None:
        raise NextclickError("stopped before a search was over; the tables have the sets before it")
    return search, chosen


def row_of(
    chosen: DataSet, split: Holdout, methods: Sequence[str], options: argparse.Namespace, before: Row | None
) -> Row:
    """The row of a data set with one ``exclude``; ``settings`` has what was found, ``before`` it, too."""
    begun = time.perf_counter()
    also = [msgspec.convert(before["settings"], ScoringParameters)] if before else []
    search, found = tune(split, chosen.excludes[0], options, also)
    seconds = time.perf_counter() - begun
    parameters = msgspec.structs.replace(found.parameters, name="tuned")
    rows = {row["method"]: row for row in rows_of(chosen, split, [DEFAULT_PRESET, *methods], [parameters])}
    singles = [row for row in rows.values() if row["method"] in methods and "problem" not in row]
    kept = found is search.started
    return {
        "set": chosen.name,
        "exclude": chosen.excludes[0],
        "best_hr": _figures(max(singles, key=lambda row: row["hr_20"])),
        "best_mrr": _figures(max(singles, key=lambda row: row["mrr_20"])),
        "start": _figures(rows[DEFAULT_PRESET]),
        "tuned": _figures(rows["tuned"]),
        "us_per_query": rows["tuned"]["us_per_query"],
        "validation_queries": len(search.validation.queries),
        "trials": search.done,
        "seconds": seconds,
        "found": "`blend` kept" if kept else f"trial {found.trial}",
        "settings": msgspec.to_builtins(parameters),
    }


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row of the table."""
    both = ("{hr_20:.3f} / {mrr_20:.3f}".format(**row[name]) for name in ("start", "tuned"))
    return [
        row["set"],
        row["exclude"],
        "{hr_20:.3f} {method}".format(**row["best_hr"]),
        "{mrr_20:.3f} {method}".format(**row["best_mrr"]),
        *both,
        f"{row['us_per_query']:.0f}",
        f"{row['validation_queries']:,}",
        f"{row['trials']}",
        f"{row['seconds']:.0f}",
        row["found"],
    ]


def written(text: str, rows: Sequence[Mapping[str, Any]], note: str) -> str:
    """The document's text with the tables of these rows.

    Raises:
        NextclickError: the document lacks the comments between which the tables stand.
    """
    text = fill(text, "tuned", f"{note}\n\n{markdown_table(HEADER, map(cells, rows))}")
    settings = [
        [row["set"], row["exclude"], shown_settings(row["settings"])]
        for row in rows
        if row["tuned"] != row["start"]
    ]
    return fill(text, "tuned settings", markdown_table(("data set", "exclude", "found"), settings))


def main(arguments: Sequence[str] | None = None) -> int:
    """Tune on all sets and write the tables; after each row what there is is written.

    Returns:
        0; 2 where the folder or a set is not there, or a search was stopped.
    """
    return finished(_run, _options(arguments))


def _run(options: argparse.Namespace) -> None:
    chosen = chosen_sets(options.sets)
    use_kernels(load_settings())
    methods = [name for name in method_names() if name not in _NO_SINGLE]
    template, rows = options.output.read_text(encoding="utf-8"), _known(options.json)
    note = (
        f"All figures by `make evaluation-tuned` on: {made_with()}; {VALIDATION} of the training sessions "
        f"held out, objective {OBJECTIVE}, seed {SEED}, one thread."
    )
    for data_set in chosen:
        split = ready(options.data, data_set, limit=options.limit)
        for exclude in data_set.excludes:
            before = rows.get((data_set.name, exclude))
            row = row_of(replace(data_set, excludes=(exclude,)), split, methods, options, before)
            rows[row["set"], row["exclude"]] = row
            sys.stderr.write(" | ".join(cells(row)) + "\n")
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(list(rows.values()), indent=1) + "\n", encoding="utf-8")
            options.output.write_text(written(template, list(rows.values()), note), encoding="utf-8")


def _known(path: Path) -> dict[tuple[str, Exclude], Row]:
    """The rows that earlier runs have left, by set and exclude."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {(row["set"], row["exclude"]): row for row in found}


def _figures(row: Mapping[str, Any]) -> Row:
    return {name: row[name] for name in ("method", "hr_20", "mrr_20")}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--sets", help="names of sets, apart by commas; default all")
    parser.add_argument("--trials", type=int, default=300, help="of each search; default 300")
    parser.add_argument("--minutes", type=float, help="of each search at most; default no end")
    parser.add_argument("--max-queries", type=int, default=10_000, help="of each trial; default 10,000")
    parser.add_argument("--limit", type=int, help="first test sessions of each set; default all")
    parser.add_argument("--output", type=Path, default=ROOT / DOCUMENT, help="document to write")
    parser.add_argument(
        "--json", type=Path, default=ROOT / ROWS, help="file of all rows; those there are kept"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""How long a query of core.wsknn takes beside one of the package wsknn, in one run.

Run from the project's folder: ``python -m tests.benchmarks.wsknn_facade`` (``--data FOLDER``). Both learn the
same sessions with the package's default settings but for the sampling, ``recent``. Queries: the known part of
sessions, whole and cut to the last five items. One thread; the fastest of some rounds, for the time of the
process, so that other programs do not count.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import time
from pathlib import Path

import wsknn

from stream_app.compiled import use_kernels
from stream_app.settings import load_settings

use_kernels(load_settings())

from stream_app.wsknn import fit, parse_flat_file  # noqa: E402 -- kernels are imported after use_kernels

DATA = Path(os.environ.get("NEXTCLICK_DATA") or Path(__file__).parents[3] / "shared" / "data")
ROUNDS = 5
#: Queries that the package is asked; it is the slow one.
MOST_OF_THE_PACKAGE = 150
SHORT = 5


def movielens(data: Path):
    """Sessions of users; each user is asked for."""
    _, sessions = parse_flat_file(data / "movielens_100k" / "u.data.gz", "\t", 0, 1, 3)
    learnt = sessions.session_items_actions_map
    return learnt, list(learnt.values())


def yoochoose(data: Path):
    """Sessions of the training days; those of the test day are asked for."""
    learnt, asked = (_clicks(data / "yoochoose_100k" / name) for name in ("train_full.txt.gz", "test.txt.gz"))
    return learnt, list(asked.values())[::10]


def _clicks(path: Path):
    sessions = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            items, times = sessions.setdefault(row["SessionId"], ([], []))
            items.append(row["ItemId"])
            times.append(float(row["Time"]))
    return sessions


def us_each(ask, queries, rounds):
    """Microseconds of the process a query, of the fastest round."""
    ask(queries[0])
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        for query in queries:
            ask(query)
        times.append(time.process_time() - begin)
    return min(times) / len(queries) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA)
    data = parser.parse_args().data
    print("| set | queries | facade, us | facade, a batch, us | wsknn, us | times faster |")
    print("|---|---|---|---|---|---|")
    for name, load in (("movielens_100k", movielens), ("yoochoose_100k", yoochoose)):
        learnt, queries = load(data)
        model = fit(learnt, sampling_strategy="recent")
        package = wsknn.fit(learnt, sampling_strategy="recent")
        for kind, asked in (
            ("whole", queries),
            ("last 5", [[row[-SHORT:] for row in query] for query in queries]),
        ):
            batch = dict(enumerate(asked))
            ours = us_each(model.recommend, asked, ROUNDS)
            together = us_each(model.recommend, [batch], ROUNDS) / len(batch)
            every = max(1, len(asked) // MOST_OF_THE_PACKAGE)
            theirs = us_each(package.recommend, asked[::every], 1)
            print(f"| {name} | {kind} | {ours:.0f} | {together:.0f} | {theirs:.0f} | {theirs / ours:.0f} |")


if __name__ == "__main__":
    main()

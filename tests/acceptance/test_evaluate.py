"""Real data sets, evaluated: every file is read, and the figures are those that others report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream_app.docs import ROOT
from stream_app.evaluate import all_sets
from stream_app.evaluate.data import Reading, ReadOptions, read_sessions

NEXTCLICK = str(Path(sys.executable).with_name("nextclick"))


def evaluate(*arguments) -> list[dict]:
    """The rows of the command."""
    done = subprocess.run(
        [NEXTCLICK, "evaluate", *map(str, arguments), "--json"],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("file", "options", "sessions", "queries", "clicks"),
    [
        ("yoochoose_100k/train_full.txt.gz", {}, 17_794, 52_484, 70_278),
        ("yoochoose_100k/test.txt.gz", {}, 3_416, 10_152, 13_568),
        ("diginetica_sequences/train.txt.gz", {}, 186_670, 719_470, 906_140),
        ("diginetica_sequences/test.txt.gz", {}, 15_963, 60_858, 76_821),
        ("serenade_example/train.txt.gz", {}, 23_753, 89_848, 113_601),
        ("serenade_example/test.txt.gz", {}, 302, 931, 1_233),
        (
            "movielens_100k/u.data.gz",
            {"names": ("session", "item", "rating", "time")},
            943,
            99_057,
            100_000,
        ),
        (
            "eshop_clothing/e-shop-clothing-2008.csv.gz",
            {"item": "page 2 (clothing model)", "time": "year+month+day"},
            24_026,
            141_448,
            165_474,
        ),
        ("rees46_head/2019-Oct-head.csv.gz", {"by_gap": True}, 4_528, 12_906, 17_434),
    ],
)
def test_every_file_is_read_whole(data, file, options, sessions, queries, clicks):
    """As many sessions as its description counts, and no line that is no click."""
    reading = Reading()
    found = read_sessions(data / file, ReadOptions(**options), reading=reading)
    assert (len(found), reading.clicks, reading.bad, reading.late) == (sessions, clicks, 0, 0)
    assert sum(len(session.items) - 1 for session in found) == queries
    assert [session.end for session in found] == sorted(session.end for session in found)


def test_yoochoose_holdout(data):
    """VS-kNN is within .005 of session-rec (.688 / .367), VSTAN no worse than it gives; in one run."""
    folder = data / "yoochoose_100k"
    first, second = evaluate(
        folder / "train_full.txt.gz", folder / "test.txt.gz", "--methods", "vsknn,vstan", "--exclude", "none"
    )
    assert (first["queries"], first["sessions"], first["train_sessions"]) == (10_152, 3_416, 17_794)
    assert (first["hr_20"], first["mrr_20"]) == pytest.approx((0.688, 0.367), abs=0.005)
    assert second["hr_20"] > 0.685
    assert second["mrr_20"] > 0.370
    for row in (first, second):
        assert row["hr_20_low"] < row["hr_20"] < row["hr_20_high"]
        # Some 3,400 sessions: the interval is about a point and a quarter to either side.
        assert 0.01 < (row["hr_20_high"] - row["hr_20_low"]) / 2 < 0.016
        assert row["coverage_20"] > 0.8
    assert second["mrr_20_p"] < 0.01


def test_yoochoose_prequential(data):
    """The test day after six days of history, learnt while it goes on, is above the frozen index."""
    folder = data / "yoochoose_100k"
    files = (folder / "train_full.txt.gz", folder / "test.txt.gz")
    (frozen,), (growing,) = (
        evaluate(*files, "--methods", "vstan", *more) for more in ((), ("--prequential",))
    )
    assert growing["protocol"] == "prequential"
    assert growing["queries"] == frozen["queries"]
    assert growing["hr_20"] > frozen["hr_20"] + 0.003
    assert growing["hr_20"] > 0.69


def test_the_current_item_matters_more_than_the_method(data):
    """On Serenade's set, where many clicks repeat the item before."""
    folder = data / "serenade_example"
    files = (folder / "train.txt.gz", folder / "test.txt.gz")
    mrr = {
        exclude: [row["mrr_20"] for row in evaluate(*files, "--exclude", exclude)]
        for exclude in ("none", "current")
    }
    assert min(mrr["current"]) > max(mrr["none"]) + 0.05


def test_the_tables_are_made_of_all_sets(data, tmp_path):
    """`make evaluation` in short: two methods, the first sessions of each set."""
    document = tmp_path / "evaluation.md"
    document.write_text((ROOT / all_sets.DOCUMENT).read_text(encoding="utf-8"), encoding="utf-8")
    rows = tmp_path / "rows.json"
    options = [
        "--data",
        str(data),
        "--methods",
        "vstan,vsknn",
        "--output",
        str(document),
        "--json",
        str(rows),
    ]
    assert all_sets.main([*options, "--limit", "10", "--sessions", "5000"]) == 0
    made = json.loads(rows.read_text(encoding="utf-8"))
    assert {row["set"] for row in made} == {one.name for one in all_sets.DATA_SETS}
    assert len(made) == 2 * sum(len(one.excludes) for one in all_sets.DATA_SETS)
    assert [row for row in made if "problem" in row] == []
    text = document.read_text(encoding="utf-8")
    assert all(f"| {one.name} |" in text for one in all_sets.DATA_SETS)

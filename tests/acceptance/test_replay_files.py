"""The real files are read whole by ``nextclick replay --dry-run``."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

NEXTCLICK = [sys.executable, "-c", "from stream_app.cli import main; main()"]


def dry_run(path, *options: str) -> dict:
    """The report of a dry run, as the command prints it."""
    done = subprocess.run(
        [*NEXTCLICK, "replay", str(path), "--dry-run", "--json", *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("file", "options", "clicks", "columns"),
    [
        ("yoochoose_100k/train_full.txt.gz", [], 70_278, "visitor=SessionId item=ItemId time=Time"),
        ("yoochoose_100k/test.txt.gz", [], 13_568, "visitor=SessionId item=ItemId time=Time"),
        ("serenade_example/train.txt.gz", [], 113_601, "visitor=SessionId item=ItemId time=Time"),
        ("serenade_example/valid.txt.gz", [], 1_451, "visitor=SessionId item=ItemId time=Time"),
        ("serenade_example/test.txt.gz", [], 1_233, "visitor=SessionId item=ItemId time=Time"),
        (
            "rees46_head/2019-Oct-head.csv.gz",
            [],
            17_434,
            "visitor=user_id item=product_id time=event_time action=event_type",
        ),
        (
            "eshop_clothing/e-shop-clothing-2008.csv.gz",
            ["--item", "page 2 (clothing model)", "--time", "year+month+day"],
            165_474,
            "visitor=session ID item=page 2 (clothing model) time=year+month+day",
        ),
        (
            "movielens_100k/u.data.gz",
            ["--columns", "visitor,item,rating,time"],
            100_000,
            "visitor=visitor item=item time=time",
        ),
    ],
)
def test_every_line_of_a_real_file_is_a_click(data, file, options, clicks, columns):
    """As many clicks as the data's own description counts, and no bad line."""
    report = dry_run(data / file, *options)
    assert (report["sent"], report["bad_lines"], report["columns"]) == (clicks, 0, columns)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            "eshop_clothing/e-shop-clothing-2008.csv.gz",
            ["--item COLUMN --time COLUMN", "page 2 (clothing model)"],
        ),
        ("movielens_100k/u.data.gz", ["--columns visitor,item,rating,time"]),
        ("diginetica_sequences/test.txt.gz", ["--visitor COLUMN --item COLUMN --time COLUMN"]),
    ],
)
def test_a_file_that_needs_options_says_which(data, file, words):
    """Exit code 2, and a sentence that names the columns and the options."""
    done = subprocess.run(
        [*NEXTCLICK, "replay", str(data / file), "--dry-run"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr


def test_a_file_of_whole_sessions_one_after_the_other_is_told_to_need_sorting(data):
    """The clicks of this file are in the order of their sessions: nearly all lie behind an earlier one."""
    report = dry_run(data / "yoochoose_100k/test.txt.gz")
    assert report["likely_late"] > 13_000
    assert dry_run(data / "rees46_head/2019-Oct-head.csv.gz")["likely_late"] == 0

"""``nextclick evaluate`` as a process: what it prints and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NEXTCLICK = str(Path(sys.executable).with_name("nextclick"))


def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [NEXTCLICK, "evaluate", *map(str, arguments)],
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="module")
def lines(tmp_path_factory) -> tuple[Path, Path]:
    """Two files with one session a line; what follows an item is always the same."""
    folder = tmp_path_factory.mktemp("lines")
    train, test = folder / "train.txt", folder / "test.txt"
    train.write_text("".join(f"{n % 7} {n % 7 + 1} {n % 7 + 2}\n" for n in range(140)))
    test.write_text("".join(f"{n} {n + 1}\n" for n in range(6)) + "0 99\n")
    return train, test


def test_json_is_a_list_of_objects(lines):
    """One a method on stdout and nothing else there; the second compared with the first."""
    done = run(*lines, "--methods", "vsknn,vstan", "--exclude", "none", "--json")
    assert done.returncode == 0
    first, second = json.loads(done.stdout)
    assert (first["method"], second["method"], second["against"]) == ("vsknn", "vstan", "vsknn")
    for row in (first, second):
        assert (row["exclude"], row["protocol"], row["queries"], row["sessions"]) == ("none", "holdout", 7, 7)
        assert row["hr_20"] == pytest.approx(6 / 7)  # nobody has seen 99
        assert row["us_per_query"] > 0
        assert {"hr_5", "ndcg_10", "recall_20", "precision_20", "coverage_20", "popularity_20"} <= row.keys()
    assert "against" not in first
    assert 0 < second["hr_20_p"] <= 1
    assert "one a line" in done.stderr


def test_the_training_file_as_the_test_is_said(lines):
    """And nothing is, of files that may well be what they should."""
    assert "warning" not in run(*lines, "--methods", "vsknn", "--json").stderr
    same = run(lines[0], lines[0], "--methods", "vsknn", "--json")
    assert same.returncode == 0
    assert f"warning: {lines[0]}: it is the file that was learnt from" in same.stderr


def test_known_items_only_leaves_out_what_cannot_be_found(lines):
    """The session 0, 99 has no next click left."""
    (row,) = json.loads(run(*lines, "--methods", "vsknn", "--known-items-only", "--json").stdout)
    assert (row["queries"], row["hr_20"]) == (6, 1.0)


def test_a_table_and_a_picture(lines, tmp_path):
    """The table on stdout, what was read and written on stderr."""
    done = run(*lines, "--plot", tmp_path / "curve.svg")
    assert done.returncode == 0
    assert "HR@20" in done.stdout
    assert all(name in done.stdout for name in ("blend", "vstan", "us/query", "exclude none"))
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")
    assert "curve.svg is written" in done.stderr


def test_one_file_is_played(lines):
    """Without a test file every click is judged before it is learnt."""
    done = run(lines[0], "--methods", "vsknn", "--json", "--limit", "50")
    (row,) = json.loads(done.stdout)
    assert (row["protocol"], row["queries"], row["train_sessions"]) == ("prequential", 100, 0)
    assert 0.8 < row["hr_20"] < 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.txt", "test"], "the file nowhere.txt cannot be read"),
        (["train", "test", "--methods", "vsknnn"], "did you mean 'vsknn'?"),
        (["train", "test", "--k", "0,5"], "expected cut-offs k of 1 to 1000, came 0, 5"),
        (["train", "test", "--k", "five"], "whole numbers apart by commas"),
        (["train", "empty"], "nothing to read"),
        (["empty", "test"], "nothing to read"),
        (["train", "single"], "expected test sessions of two clicks and more"),
        (["train", "test", "--holdout", "0.2"], "there is a test file"),
        (["train", "--holdout", "2"], "expected above 0 and below 1"),
        (["train", "test", "--set", "neighbors=5"], "did you mean neighbours?"),
        (["train", "test", "--plot", "curve.gif"], ".png or .svg"),
        (["train", "test", "--gap", "-1"], "gap_s"),
    ],
)
def test_an_error_is_one_sentence(lines, tmp_path, arguments, words):
    """On stderr, with exit code 2 and without a traceback."""
    for name, text in (("empty", ""), ("single", "1\n2\n")):
        (tmp_path / name).write_text(text)
    places = {"train": lines[0], "test": lines[1], **{name: tmp_path / name for name in ("empty", "single")}}
    done = run(*(str(places.get(argument, argument)) for argument in arguments), "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


def test_help_teaches():
    """Examples of each way to use it, and what exclude is."""
    done = run("--help")
    assert done.returncode == 0
    for words in ("nextclick evaluate train.tsv test.tsv", "--holdout 0.2", "--prequential", "--exclude"):
        assert words in done.stdout

"""Tuning on real clicks: what is found on the training data holds on the test data, which was not seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from stream_app.scoring_file import read_scoring

NEXTCLICK = str(Path(sys.executable).with_name("nextclick"))


def run(folder: Path, *arguments: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [NEXTCLICK, *arguments], cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_day_of_validation_tunes_for_the_day_after(data, tmp_path):
    """On the yoochoose slice forty trials gain on the last training day, and keep it on the test day."""
    train, test = (str(data / "yoochoose_100k" / name) for name in ("train_full.txt.gz", "test.txt.gz"))
    search = ["tune", train, "--preset", "vsknn", "--trials", "40", "--validation", "1d"]
    report = json.loads(run(tmp_path, *search, "--max-queries", "4000", "--json"))
    assert report["train_sessions"] + report["validation_sessions"] <= report["sessions"] == 17_794
    assert report["best"]["mrr_20"] > report["start"]["mrr_20"] > 0.3
    found = read_scoring(tmp_path / "tuned.toml")
    assert found.name == report["parameters"]["name"]
    start, tuned = json.loads(
        run(tmp_path, "evaluate", train, test, "--methods", "vsknn", "--params", "tuned.toml", "--json")
    )
    assert (start["method"], tuned["exclude"]) == ("vsknn", "none")
    assert tuned["mrr_20"] > start["mrr_20"]


def test_a_file_with_one_session_a_line_is_tuned(data, tmp_path):
    """Diginetica's sequences have no times: the order of the lines is what the cut goes by."""
    train = str(data / "diginetica_sequences" / "train.txt.gz")
    report = json.loads(run(tmp_path, "tune", train, "--trials", "4", "--max-queries", "1000", "--json"))
    assert (report["train_sessions"], report["validation_sessions"]) == (168_003, 18_667)
    assert report["best"]["mrr_20"] >= report["start"]["mrr_20"] > 0.15

"""``make evaluation-tuned`` on small sets: what it writes, and that its search asks no test data."""

from __future__ import annotations

import argparse
import json

import pytest

from core.errors import NextclickError
from core.presets import preset
from stream_app.docs import ROOT
from stream_app.evaluate import all_sets as evaluated
from stream_app.evaluate.holdout import Holdout
from stream_app.tune import all_sets
from tests.oracles.chains import as_tsv, chains

SMALL = evaluated.DataSet("chain", "train.tsv", "test.tsv", excludes=("none", "current"))


@pytest.fixture
def folder(tmp_path):
    """A set with a test file, in a folder."""
    sessions = chains(900, seed=1)
    (tmp_path / "train.tsv").write_text(as_tsv(sessions[:800]))
    (tmp_path / "test.tsv").write_text(as_tsv(sessions[800:]))
    return tmp_path


def test_the_verb_writes_the_tables(folder, monkeypatch):
    """A row for each exclude, with the best single methods; a run of one set keeps the rows of others."""
    monkeypatch.setattr(evaluated, "DATA_SETS", (SMALL,))
    document, rows = folder / "evaluation.md", folder / "rows.json"
    document.write_text((ROOT / evaluated.DOCUMENT).read_text(encoding="utf-8"), encoding="utf-8")
    options = ["--data", str(folder), "--output", str(document), "--json", str(rows)]
    assert all_sets.main([*options, "--trials", "14", "--max-queries", "200", "--limit", "50"]) == 0
    found = json.loads(rows.read_text())
    assert [(row["set"], row["exclude"]) for row in found] == [("chain", "none"), ("chain", "current")]
    for row in found:
        assert row["best_hr"]["method"] not in {"blend", "baskets"}
        assert row["best_hr"]["hr_20"] >= row["best_mrr"]["hr_20"] > 0
        assert row["best_mrr"]["mrr_20"] >= row["best_hr"]["mrr_20"] > 0
        assert row["trials"] == 14
        assert row["validation_queries"] == 200
    text = document.read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("| chain |")]
    assert all(f"{found[at]['tuned']['hr_20']:.3f} / " in table[at] for at in range(2))
    other = {**found[0], "set": "other"}
    rows.write_text(json.dumps([other, found[0] | {"trials": 3}]))
    assert all_sets.main([*options, "--trials", "2", "--max-queries", "200", "--limit", "50"]) == 0
    again = json.loads(rows.read_text())
    assert again[0] == other
    assert [(row["set"], row["exclude"], row["trials"]) for row in again[1:]] == [
        ("chain", "none", 2),
        ("chain", "current", 2),
    ]
    before = (ROOT / evaluated.DOCUMENT).read_text(encoding="utf-8")
    assert text.partition("<!-- tuned: begin")[0] == before.partition("<!-- tuned: begin")[0]


def test_the_search_asks_the_newest_training_sessions_alone(folder):
    """What is chosen is the same whatever the test sessions are, and the start where nothing is better."""
    options = argparse.Namespace(trials=14, minutes=None, max_queries=100)
    split = evaluated.ready(folder, SMALL)
    search, found = all_sets.tune(split, "none", options)
    assert search.validation.newer[-1] == split.train[-1]
    assert search.started.parameters == preset("blend", exclude="none")
    other = Holdout(split.train, chains(20, seed=9))
    assert all_sets.tune(other, "none", options)[1] == found


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--data", "nowhere"], "no folder nowhere"), (["--data", ".", "--sets", "mine"], "data set 'mine'")],
)
def test_the_verb_says_what_is_missing(options, words, capsys):
    """One sentence and exit code 2."""
    assert all_sets.main(options) == 2
    assert words in capsys.readouterr().err


def test_a_document_without_its_comments_is_refused():
    """The error names them."""
    with pytest.raises(NextclickError, match="tuned"):
        all_sets.written("# nothing\n", [], "")

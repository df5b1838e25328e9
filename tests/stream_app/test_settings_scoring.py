"""Settings of the scorer: the table ``[scoring]``, the flat keys beside it, and the variables of both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import SettingsError
from core.presets import PRESETS
from stream_app.settings import ENV_PREFIX, load_settings


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    """No variable of the prefix is left from the shell that runs the tests."""
    for variable in list(os.environ):
        if variable.upper().startswith(ENV_PREFIX):
            monkeypatch.delenv(variable)


@pytest.fixture
def toml(tmp_path: Path):
    """Write a settings file and give its path."""

    def write(text: str) -> Path:
        path = tmp_path / "nextclick.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_scoring_changes_single_parameters_of_the_preset(toml):
    """The table of the file is what the worker's scorer is made with, over its preset."""
    loaded = load_settings(toml('[scoring]\npreset = "vsknn"\ndistance_decay = 4\nneighbours = 70\n'))
    found = loaded.scoring_parameters()
    assert (found.distance_decay, found.neighbours, found.idf_score) == (4.0, 70, PRESETS["vsknn"].idf_score)
    assert found.name.startswith("vsknn+")


@pytest.mark.parametrize("name", PRESETS)
def test_a_worker_takes_every_preset_of_the_core(name, monkeypatch):
    """Whatever core/params.py names can be set, and answers call it by that name where nothing differs."""
    monkeypatch.setenv("NEXTCLICK_PRESET", name)
    loaded = load_settings(exclude=PRESETS[name].exclude, recommendations=PRESETS[name].recommendations)
    assert loaded.scoring_parameters() == PRESETS[name]


def test_flat_settings_win_over_scoring_and_hold_what_it_says_where_they_are_not_given(toml):
    """One value is in force for each key, and the flat setting shows it, wherever it came from."""
    text = 'exclude = "session"\n[scoring]\nexclude = "none"\nrecommendations = 7\npreset = "baskets"\n'
    loaded = load_settings(toml(text), preset="vsknn")
    assert (loaded.preset, loaded.exclude, loaded.recommendations) == ("vsknn", "session", 7)
    found = loaded.scoring_parameters()
    assert (found.exclude, found.recommendations) == ("session", 7)
    assert found.name.startswith("vsknn+")


def test_the_variable_of_scoring_is_json_and_wins_over_the_file_key_by_key(toml, monkeypatch):
    """NEXTCLICK_SCORING changes what it names and leaves the rest of the file's table."""
    monkeypatch.setenv("NEXTCLICK_SCORING", '{"idf_score": 3}')
    loaded = load_settings(toml("[scoring]\nidf_score = 2.0\ndistance_decay = 4.0\n"))
    found = loaded.scoring_parameters()
    assert (found.idf_score, found.distance_decay) == (3.0, 4.0)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("neighbors = 7", r"no parameter 'neighbors'; did you mean neighbours\?"),
        ("idf_score = -1.0", r"idf_score is -1\.0, expected 0\.0 to 1000\.0"),
        ("idf_score = nan", r"idf_score is nan"),
        ('idf_score = "high"', r"idf_score is 'high', expected a number"),
        ("neighbours = 0", r"neighbours: .*greater than or equal to 1"),
        ("recommendations = 101", r"recommendations: .*less than or equal to 100"),
        ('preset = "vsknnn"', r"preset: .*'vsknnn', expected one of .*; did you mean vsknn\?"),
    ],
)
def test_a_mistake_in_scoring_is_said(table, said, toml):
    """Unknown keys and values out of their range are refused at the start, with what was expected."""
    with pytest.raises(SettingsError, match=said):
        load_settings(toml(f"[scoring]\n{table}\n"))


@pytest.mark.parametrize("value", ["neighbours = 5", "{", ""])
def test_a_variable_of_scoring_that_is_no_json_is_said(value, monkeypatch):
    """TOML in place of JSON is an error that shows an example, whatever else the environment holds."""
    monkeypatch.setenv("NEXTCLICK_SCORING", value)
    with pytest.raises(SettingsError, match=r"NEXTCLICK_SCORING is not JSON, expected an object such as \{"):
        load_settings()


@pytest.mark.parametrize("value", ["[1]", "5", '"vstan"'])
def test_scoring_that_is_no_table_is_refused_by_name(value, monkeypatch):
    """JSON that is no object is an error that names the setting."""
    monkeypatch.setenv("NEXTCLICK_SCORING", value)
    with pytest.raises(SettingsError, match="settings: scoring: "):
        load_settings()


def test_the_worker_reads_a_file_of_parameters_beside_its_settings(toml, tmp_path):
    """`--params` gives the [scoring] table of another file; a flat setting still wins over it."""
    params = tmp_path / "tuned.toml"
    params.write_text('[scoring]\nname = "tuned"\nneighbours = 77\nlast_clicks = 5\n', encoding="utf-8")
    command = [Path(sys.executable).with_name("nextclick"), "worker", "--print-settings"]
    command += ["--config", toml("last_clicks = 9\n"), "--params", params]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    printed = json.loads(run.stdout)
    assert (printed["neighbours"], printed["last_clicks"]) == (77, 9)
    assert printed["scoring"]["name"] == "tuned"

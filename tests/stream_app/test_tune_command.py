"""``nextclick tune`` as a process: the file that it writes, who reads it, how it ends, what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from core.params import ScoringParameters
from stream_app.scoring_file import read_scoring
from tests.oracles.chains import as_tsv, chains

NEXTCLICK = str(Path(sys.executable).with_name("nextclick"))


def tune(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder until it ends."""
    return subprocess.run(
        [NEXTCLICK, "tune", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with training data, and the last of it as another file."""
    folder = tmp_path_factory.mktemp("tune")
    sessions = chains(900, seed=1)
    (folder / "train.tsv").write_text(as_tsv(sessions[:800]))
    (folder / "test.tsv").write_text(as_tsv(sessions[800:]))
    return folder


@pytest.fixture(scope="module")
def tuned(folder) -> dict:
    """The report of a short search from a start that does not suit."""
    done = tune(folder, "train.tsv", "--trials", "12", "--preset", "vsknn", "--max-queries", "300", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_the_report_says_what_was_done_and_found(tuned, folder):
    """The JSON has the counts, the figures of the start and of the best, and all parameters."""
    assert (tuned["output"], tuned["trials"], tuned["stopped"]) == ("tuned.toml", 12, None)
    assert (tuned["objective"], tuned["k"], tuned["exclude"]) == ("mrr", 20, "none")
    assert tuned["sessions"] == 800 == tuned["train_sessions"] + tuned["validation_sessions"]
    assert tuned["queries"] == 300 <= tuned["possible_queries"]
    assert tuned["start"]["preset"] == "vsknn"
    assert tuned["best"]["mrr_20"] > tuned["start"]["mrr_20"] > 0
    assert set(tuned["parameters"]) == set(ScoringParameters.__struct_fields__)


def test_the_file_has_all_parameters_and_says_how_they_were_found(tuned, folder):
    """The comments have command, data, counts and figures; the table is what the report has."""
    text = (folder / "tuned.toml").read_text()
    assert list(tomllib.loads(text)) == ["scoring"]
    found = read_scoring(folder / "tuned.toml")
    assert {key: getattr(found, key) for key in ScoringParameters.__struct_fields__} == tuned["parameters"]
    for said in (
        "# command: nextclick tune train.tsv --trials 12 --seed 1 --objective mrr --preset vsknn ",
        "# data: train.tsv, 800 sessions, ",
        f"# learnt from the older {tuned['train_sessions']} sessions; asked 300 of ",
        f"# trials: 12, of which {tuned['given_up']} were given up early\n",
        "no test data was read",
        f" {tuned['best']['hr_20']:.4f} {tuned['best']['mrr_20']:.4f} {tuned['best']['ndcg_20']:.4f}\n",
    ):
        assert said in text


def test_a_worker_runs_with_the_file(tuned, folder):
    """Both `--config` and `--params` take it, and answers would name these very parameters."""
    for option in ("--config", "--params"):
        done = subprocess.run(
            [NEXTCLICK, "worker", "--print-settings", option, "tuned.toml"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        printed = json.loads(done.stdout)
        assert printed["scoring"]["name"] == "tuned"
        for key in ("exclude", "recommendations", "neighbours", "sessions_per_item", "last_clicks"):
            assert printed[key] == tuned["parameters"][key]
    assert tuned["parameters"]["name"].startswith("tuned+")


def test_evaluate_measures_with_the_file(tuned, folder):
    """What was found on the training data is better than its start on sessions that came later, too."""
    done = subprocess.run(
        [
            NEXTCLICK,
            "evaluate",
            "train.tsv",
            "test.tsv",
            "--methods",
            "vsknn",
            "--params",
            "tuned.toml",
            "--json",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    start, found = json.loads(done.stdout)
    assert start["method"] == "vsknn"
    assert found["mrr_20"] > start["mrr_20"]


def test_the_same_command_writes_the_same_file(tuned, folder):
    """Same data, seed and trials: the same bytes, and nothing else is left in the folder."""
    before = (folder / "tuned.toml").read_bytes()
    arguments = ["train.tsv", "--trials", "12", "--preset", "vsknn", "--max-queries", "300"]
    done = tune(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert (folder / "tuned.toml").read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {"train.tsv", "test.tsv", "tuned.toml"}
    assert "12 trials" in done.stdout
    assert tuned["parameters"]["name"] in done.stdout
    assert "1 of 12 trials, 0 given up; best HR@20 0." in done.stderr
    assert "exclude is none, where the worker's setting is current; tune with --exclude current" in (
        done.stdout
    )
    assert "recommendations is" not in done.stdout


def test_a_search_goes_on_from_an_earlier_one(tuned, folder, tmp_path):
    """What it had found is the second trial, so the next is no worse; the file names it."""
    for name in ("train.tsv", "tuned.toml"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    options = ["--preset", "vsknn", "--max-queries", "300", "--also", "tuned.toml", "--output", "again.toml"]
    done = tune(tmp_path, "train.tsv", "--trials", "2", *options, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    again = json.loads(done.stdout)
    assert again["best"]["mrr_20"] == tuned["best"]["mrr_20"]
    assert again["parameters"] == tuned["parameters"]
    assert "--also tuned.toml" in (tmp_path / "again.toml").read_text()


@pytest.mark.parametrize(
    ("options", "said"), [([], "vsknn itself is kept"), (["--best-anyway"], "all the same")]
)
def test_what_chance_may_have_made_better_is_written_only_if_asked_for(options, said, folder, tmp_path):
    """Eight queries say little: file, report and command line tell which trial was taken, and why."""
    arguments = [str(folder / "train.tsv"), "--trials", "14", "--preset", "vsknn", "--max-queries", "8"]
    report = json.loads(tune(tmp_path, *arguments, *options, "--json").stdout)
    assert report["gain"]["low"] < 0 < report["gain"]["value"]
    assert report["chosen"] == (report["best"]["trial"] if options else 0)
    text = (tmp_path / "tuned.toml").read_text()
    assert said in text
    (command,) = (line for line in text.splitlines() if line.startswith("# command: "))
    assert command.endswith(" ".join(["--jobs 1", *options]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_search_and_the_best_so_far_is_written(number, folder, tmp_path):
    """Ctrl-C and SIGTERM end a search without end in good order, with the file of the best trial."""
    output = tmp_path / "best.toml"
    command = [NEXTCLICK, "tune", str(folder / "train.tsv"), "--output", str(output), "--trials", "1000000"]
    process = subprocess.Popen(
        [*command, "--preset", "vsknn", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 100
        while not output.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, stderr) == (0, "")
    report = json.loads(stdout)
    assert report["stopped"] == "signal"
    assert 1 <= report["trials"] < 1000000
    found = read_scoring(output)
    assert found.name == report["parameters"]["name"]
    assert "stopped before the 1000000 that were asked for" in output.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["best.toml"]


def test_a_search_without_time_for_one_trial_says_so_and_writes_nothing(folder, tmp_path):
    """A twentieth of a second is not enough for the start's own queries: an error, and no file."""
    file = tmp_path / "train.tsv"
    file.write_text(as_tsv(chains(3000, seed=1)))
    done = tune(tmp_path, "train.tsv", "--minutes", "0.001", "--validation", "80%")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: the search was stopped (time) before its first trial was finished" in done.stderr
    assert not (tmp_path / "tuned.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.tsv"], "error: the file none.tsv cannot be read: No such file or directory\n"),
        (["train.tsv", "--preset", "vsknnn"], "did you mean vsknn?\n"),
        (["train.tsv", "--validation", "1 week"], "error: the validation cut is '1 week', expected a share"),
        (["train.tsv", "--validation", "30d"], "choose another --validation\n"),
        (["train.tsv", "--item", "Itm"], "error: --item 'Itm': no such column; did you mean 'ItemId'?"),
        (["train.tsv", "--also", "none.toml"], "error: the settings file none.toml cannot be read"),
        (["train.tsv", "--output", "none/tuned.toml"], "there is no folder none\n"),
        (
            ["train.tsv", "--output", "worker.toml"],
            "worker.toml is there already and holds more than [scoring]",
        ),
        (["train.tsv", "--output", "train.tsv"], "error: the settings file train.tsv is not TOML"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments, said, folder, tmp_path):
    """An error says what was expected and what came, before anything is written, without a traceback."""
    (tmp_path / "train.tsv").write_text((folder / "train.tsv").read_text())
    (tmp_path / "worker.toml").write_text("gap_s = 5\n[scoring]\nneighbours = 5\n")
    done = tune(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "tuned.toml").exists()


def test_a_missing_extra_is_named():
    """Without optuna the command says what to install."""
    program = "import sys; sys.modules['optuna'] = None; from stream_app.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "tune", "train.tsv"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "error: tuning needs optuna: pip install 'nextclick[tune]'\n"


def test_help_teaches_and_says_that_no_test_file_is_taken():
    """The help shows how the command is called, and what it is never given."""
    done = tune(Path.cwd(), "--help")
    assert done.returncode == 0
    assert "nextclick tune clicks.csv.gz" in done.stdout
    assert "takes no test file" in " ".join(done.stdout.split())

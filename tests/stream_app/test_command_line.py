"""The command line as a process: what it prints and how it exits, without a broker."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

NEXTCLICK = str(Path(sys.executable).with_name("nextclick"))


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with variables over the environment."""
    return subprocess.run(
        [NEXTCLICK, *arguments],
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version():
    """`--version` is the version of the installed package."""
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"nextclick {version('nextclick')}\n", "")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help(arguments):
    """Without a command, and with `--help`, the commands are listed."""
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "topics" in done.stdout
    assert "kafka" in done.stdout


@pytest.mark.parametrize("command", [["kafka"], ["topics", "create"], ["topics", "check"]])
def test_help_teaches(command):
    """The help of a command shows how it is called."""
    done = run(*command, "--help")
    assert done.returncode == 0
    assert f"nextclick {' '.join(command)}" in done.stdout.partition("For example:")[2]


def test_unknown_command():
    """An unknown command is exit code 2."""
    assert run("bogus").returncode == 2


def test_error_is_one_sentence():
    """An error that is raised on purpose is one line on stderr and exit code 2, without a traceback."""
    done = run("topics", "check", NEXTCLICK_GAP="3")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "error: unknown setting NEXTCLICK_GAP in the environment; did you mean NEXTCLICK_GAP_S?\n"
    )


def test_no_broker():
    """Where no broker answers, one line says what to do; aiokafka's own log lines are not in the way."""
    done = run("topics", "create", NEXTCLICK_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no Kafka answers at 127.0.0.1:1; start one with `nextclick kafka`")
    assert done.stderr.count("\n") == 1


def test_settings_file(tmp_path):
    """`--config` names the settings file."""
    file = tmp_path / "nextclick.toml"
    file.write_text('bootstrap_servers = "127.0.0.1:2"\n')
    done = run("topics", "check", "--config", str(file))
    assert done.returncode == 2
    assert "no Kafka answers at 127.0.0.1:2" in done.stderr

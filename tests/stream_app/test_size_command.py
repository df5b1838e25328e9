"""``nextclick size`` as docs/sizing.md shows it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from stream_app.settings import Settings
from tests.worker_process import run_nextclick

DOCUMENT = Path(__file__).parents[2] / "docs" / "sizing.md"
(BLOCK,) = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    """Tables and errors are not wrapped."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("line", BLOCK.splitlines())
def test_a_command_of_the_document_says_what_it_takes(line):
    """Each line runs; workers and memory are said, as a table or as JSON."""
    program, *arguments = shlex.split(line)
    assert program == "nextclick"
    done = run_nextclick(Settings(), *arguments)
    assert done.returncode == 0, done.stderr
    if "--json" in arguments:
        told = json.loads(done.stdout)
        assert told["stream"]["items"] == 40_000
        assert told["size"]["workers"] == 2
    else:
        assert "memory of a worker" in done.stdout
        assert "planned for 60% of 10,000 clicks/s" in done.stdout


def test_the_index_is_that_of_the_settings():
    """More sessions are remembered for longer, and take more of every worker."""
    small, large = (
        json.loads(run_nextclick(Settings(index_sessions=sessions), "size", "100", "--json").stdout)["size"]
        for sessions in (1000, 1_000_000)
    )
    assert small["remembers_s"] < large["remembers_s"]
    assert small["worker_memory_mib"] < large["worker_memory_mib"]


@pytest.mark.parametrize("rate", ["0", "-5", "many"])
def test_a_rate_that_is_none_is_refused(rate):
    """The argument is named, and what is expected."""
    done = run_nextclick(Settings(), "size", "--", rate)
    assert done.returncode == 2
    assert "Invalid value for 'clicks_per_second': Input should be" in done.stderr

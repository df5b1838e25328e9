"""The rule that in CI a skipped test is a failure, with pytest as a process on small files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

KINDS = {
    "a mark": "@pytest.mark.skip(reason='not today')\ndef test_it(): pass",
    "a condition": "@pytest.mark.skipif(True, reason='not here')\ndef test_it(): pass",
    "a call": "def test_it(): pytest.skip('not today')",
    "a fixture": "@pytest.fixture\ndef tool(): pytest.skip('not here')\ndef test_it(tool): pass",
    "a whole file": "pytest.skip('not here', allow_module_level=True)",
    "a missing library": "pytest.importorskip('no_such_library')",
    "an expected failure": "@pytest.mark.xfail(reason='known')\ndef test_it(): assert False",
    "an expected failure that did not come": "@pytest.mark.xfail(reason='known')\ndef test_it(): pass",
}


def run_pytest(folder: Path, source: str, ci: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the hooks on one file beside a test that passes."""
    (folder / "test_kind.py").write_text(f"import pytest\n{source}\n", encoding="utf-8")
    (folder / "test_other.py").write_text("def test_passes(): pass\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.no_skips", "-p", "no:cacheprovider", "--rootdir=."],
        cwd=folder,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_in_ci_what_did_not_run_fails_the_run(kind, tmp_path):
    """With CI set, every way to skip or to excuse a test ends the run with a failure that says why."""
    run = run_pytest(tmp_path, KINDS[kind], ci="true")
    assert run.returncode in {1, 2}, run.stdout
    assert "in CI every test runs" in run.stdout
    assert "skipped" not in run.stdout.splitlines()[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_elsewhere_a_skip_is_a_skip(kind, tmp_path):
    """Without CI the same files pass, as pytest has it."""
    run = run_pytest(tmp_path, KINDS[kind], ci="")
    assert run.returncode == 0, run.stdout


def test_in_ci_tests_that_ran_pass(tmp_path):
    """With CI set, a run in which every test ran and passed is a success."""
    run = run_pytest(tmp_path, "def test_it(): pass", ci="true")
    assert run.returncode == 0, run.stdout
    assert "2 passed" in run.stdout

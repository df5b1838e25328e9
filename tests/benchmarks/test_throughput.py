"""The short form of the benchmark: it runs, both contenders finish, and it says what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_benchmark_measures_both_in_one_run():
    """A few clicks, one round: rates, CPU, the ratio, versions and machine, as one JSON object."""
    script = Path(__file__).with_name("throughput.py")
    done = subprocess.run(
        [sys.executable, str(script), "--clicks", "2000", "--rounds", "1", "--json"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    for figure in ("throughput", "cpu_us_a_click"):
        assert set(result[figure]) == {"nextclick", "faust_plain"}
        assert all(value > 0 for value in result[figure].values())
    assert result["ratio"] > 0
    assert {"faust-streaming", "aiokafka"} <= set(result["versions"])

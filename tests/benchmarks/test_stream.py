"""The short form of the stream's benchmark: every part runs, and says what it measured."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.benchmarks.datasets import ROOT
from tests.benchmarks.stream.__main__ import read_options
from tests.benchmarks.stream.profile import package_of, shares


@pytest.mark.timeout(900)
def test_the_quick_form_measures_throughput_latency_and_memory(tmp_path):
    """A few clicks of each part, beside plain Faust: every figure is there, as tables and as JSON.

    Quix Streams is left out: it is in no environment of the tests. Scaling and recovery are left to
    `make bench`: they wait for session timeouts, and tests/faults shows that workers recover.
    """
    file, tables, picture = (tmp_path / name for name in ("bench.json", "bench.md", "curve.svg"))
    options = [
        "--quick",
        "--only",
        "throughput,exactly_once,exactness,choices,latency,memory,disk",
        "--plans",
        "joined",
        "--peers",
        "faust_plain",
        "--presets",
        "vstan",
        "--clicks",
        "2000",
        "--learnt",
        "5000",
    ]
    options += ["--markdown", str(tables), "--plot", str(picture)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.stream", *options, "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(file.read_text(encoding="utf-8"))
    assert set(result["throughput"]) == {"nextclick", "faust_plain"}
    assert all(rate > 0 for rate in result["throughput"].values())
    assert result["throughput_ratio"]["nextclick/faust_plain"] > 0
    assert {"faust-streaming", "aiokafka", "kafka"} <= set(result["versions"])
    assert [one["guarantee"] for one in result["exactly_once"]] == ["at_least_once", "exactly_once"] * 2
    assert all(one["clicks_per_s"] > 0 for one in result["exactly_once"])
    faust, ours = result["exactness"]["cases"]
    assert (faust["who"], ours["who"]) == ("faust", "nextclick")
    (left,) = ours["rounds"]
    assert [name for name, found in left.items() if found and name != "seconds"] == []
    assert result["choices"][0]["of_the_first"] == 1
    assert all(choice["clicks_per_s"] > 0 for choice in result["choices"])
    latency = result["latency"]
    assert 0 <= latency["p50_ms"] <= latency["p99_ms"] <= latency["max_ms"]
    assert [step["offered_a_second"] for step in latency["curve"]] == [500, 1000, 2000]
    (memory,) = result["memory"]["cases"]
    assert memory["open_sessions"] == memory["visitors"]
    disk = result["disk"]
    assert 0 < disk["click_bytes"] < disk["answer_bytes"]
    assert disk["snapshot_bytes_a_session"] > 0
    assert tables.read_text(encoding="utf-8") in done.stdout
    assert all(part in done.stdout for part in ("### Throughput", "### Latency"))
    assert picture.read_text(encoding="utf-8").rstrip().endswith("</svg>")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "speed"],
        ["--peers", "flink"],
        ["--presets", "magic"],
        ["--plans", "magic"],
        ["--peers-python", "absent"],
    ],
)
def test_an_unknown_name_or_a_missing_environment_ends_with_what_to_do(arguments, capsys):
    """A part, a peer or a preset that does not exist is refused with those that do."""
    with pytest.raises(SystemExit):
        read_options(arguments)
    said = capsys.readouterr().err
    assert "known:" in said or "make bench" in said


def test_samples_are_shared_out_as_microseconds_of_a_click():
    """Shares of the samples times the CPU of a click; a thread that only waits does not count."""
    raw = (
        "main (stream_app/cli/worker.py);answer (x/core/scoring.py:12) 3\n"
        "main (stream_app/cli/worker.py);send (env/site-packages/aiokafka/producer/sender.py:4) 1\n"
        "main (stream_app/cli/worker.py);EpollSelector.select (lib/python3.11/selectors.py:400) 96\n"
    )
    found = shares(raw, 100.0)
    assert found["packages_us"] == {"core": 75.0, "aiokafka": 25.0}
    assert found["functions_us"]["core: scoring.answer"] == 75.0
    assert found["with_callees_us"]["stream_app: worker.main"] == 100.0


def test_the_package_of_a_file_is_told_by_its_path():
    """Installed packages by their folder, ours by theirs, Python's own library as such."""
    assert package_of("env/lib/python3.11/site-packages/faust/app/base.py") == "faust"
    assert package_of("env/lib/python3.11/site-packages/six.py") == "six"
    assert package_of("repo/core/window/step.py") == "core"
    assert package_of("usr/lib/python3.11/asyncio/events.py") == "python"
    assert package_of("<string>") == "other"

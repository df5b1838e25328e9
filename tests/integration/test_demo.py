"""The demo as a person runs it: a process with a broker and a worker of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEMO = [sys.executable, "-c", "from stream_app.cli import main; main()", "demo"]
KEYS = {
    "clicks",
    "recommendations",
    "sessions_closed",
    "dead_letters",
    "hit_rate_20",
    "mrr_20",
    "popularity_hit_rate_20",
    "clicks_per_s",
    "latency_p50_ms",
    "latency_p99_ms",
}
#: Seconds that a demo has from a signal to its end.
STOP_S = 5.0


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """The environment with a folder for temporary files that no other demo has."""
    return {**os.environ, "TMPDIR": str(tmp_path)}


def run(environment, *options: str, seconds: float = 200) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *options], env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def family(pid: int) -> set[int]:
    """A process and all that descend from it; a session of its own hides none."""
    children: dict[int, set[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), set()).add(int(status.parent.name))
    found, new = {pid}, {pid}
    while new:
        new = {child for parent in new for child in children.get(parent, ())} - found
        found |= new
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that run; a process that has ended and was not waited for does not."""
    running = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            running.add(pid)
    return running


def wait_until(condition, seconds: float):
    """The first true value of the condition; fails after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not true after {seconds} s")


@pytest.fixture
def started(environment, tmp_path):
    """A demo in the middle of its clicks: its process, and the processes that belong to it."""
    errors = tmp_path / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [*DEMO, "--headless", "--json", "--clicks", "1000000"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        wait_until(lambda: b" sessions closed, hit" in errors.read_bytes() or process.poll(), 120)
        time.sleep(3)
        assert process.poll() is None, errors.read_text()
        yield process, family(process.pid)
    finally:
        process.kill()
        process.communicate()


def check_sane(answer: dict, clicks: int) -> None:
    assert answer.keys() >= KEYS
    assert answer["clicks"] == answer["recommendations"] == clicks
    assert answer["dead_letters"] == 0
    assert 0 < answer["mrr_20"] < answer["hit_rate_20"] < 1
    assert 0 < answer["popularity_hit_rate_20"] < 1
    assert 0 < answer["sessions_closed"] < answer["baskets"]
    assert answer["clicks_per_s"] > 0
    assert 0 < answer["latency_p50_ms"] <= answer["latency_p99_ms"]


def test_the_demo_answers_every_click_on_the_embedded_broker(environment, tmp_path):
    """It exits with 0, prints one JSON object, and leaves no file behind."""
    done = run(environment, "--headless", "--clicks", "3000", "--speed", "max", "--json")
    assert done.returncode == 0, done.stderr
    check_sane(json.loads(done.stdout), 3000)
    assert "3,000 clicks answered" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_demo_runs_on_an_apache_kafka_that_it_starts(environment, tmp_path):
    """The same with --broker kafka."""
    done = run(environment, "--headless", "--clicks", "1000", "--speed", "max", "--json", "--broker", "kafka")
    assert done.returncode == 0, done.stderr
    check_sane(json.loads(done.stdout), 1000)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_runs_on_a_kafka_that_is_there_with_topics_of_its_own(environment, kafka):
    """With --broker HOST:PORT nothing of the real topics is touched; the summary names what was made."""
    done = run(environment, "--headless", "--clicks", "300", "--speed", "max", "--broker", kafka)
    assert done.returncode == 0, done.stderr
    assert "300 of " in done.stdout
    left = done.stdout[done.stdout.index("left there") :]
    assert "clicks-demo-" in left
    assert "sessions-demo-" in left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_demo_and_all_that_it_started(started, number, tmp_path):
    """Within 5 s it has ended with a summary; no process and no file is left."""
    process, everyone = started
    assert len(everyone) >= 3  # the demo, its broker, its worker
    process.send_signal(number)
    begun = time.monotonic()
    out, _ = process.communicate(timeout=30)
    assert time.monotonic() - begun < STOP_S
    assert process.returncode == 130
    answer = json.loads(out)
    assert 0 < answer["recommendations"] <= answer["clicks"]
    assert alive(everyone) == set()
    assert [path.name for path in tmp_path.iterdir()] == ["stderr"]


def test_a_demo_that_is_killed_leaves_no_process(started):
    """Even kill -9, which it cannot notice, ends its worker and its broker."""
    process, everyone = started
    process.kill()
    process.wait()
    wait_until(lambda: not alive(everyone), 10)


def test_a_worker_that_dies_ends_the_demo(started, tmp_path):
    """It says so with the end of the worker's log, exits with 1, and leaves no process."""
    process, everyone = started
    worker = [pid for pid in everyone if b"demo.child" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(worker[0], signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == 1
    text = (tmp_path / "stderr").read_text()
    assert "the demo's worker has ended with exit code -9; its log ends:" in text
    assert "metrics at http://127.0.0.1:" in text
    assert alive(everyone) == set()


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--speed", "slow", "expected clicks a second above 0, or max; came 'slow'"),
        ("--speed", "0", "expected clicks a second above 0"),
        ("--broker", "somewhere", "expected embedded, kafka or HOST:PORT; came 'somewhere'"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_starts(environment, option, value, expected):
    """The message says what was expected and what came."""
    done = run({**environment, "COLUMNS": "200"}, option, value, seconds=60)
    assert done.returncode == 2
    assert expected in done.stderr

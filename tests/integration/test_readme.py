"""Every command and every piece of code in the README works as it stands there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.answers import decode_answer
from core.presets import PRESETS
from stream_app.kafka import topics
from stream_app.kafka.broker_process import free_ports
from stream_app.settings import Settings
from tests.worker_process import NEXTCLICK, WorkerProcess

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = ".venv/bin/nextclick"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands():
    return [line for block in blocks("sh") for line in block.splitlines() if line]


def run(command, cwd, **variables):
    """Run a README command with this interpreter's environment; its standard output."""
    done = subprocess.run(
        [*NEXTCLICK, *command.removeprefix(BIN).split()],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def default_names(kafka, settings):
    """The test broker with the README's own topic names."""
    plain = Settings(
        bootstrap_servers=kafka, data_dir=settings.data_dir, metrics_port=0, group_id=settings.group_id
    )
    asyncio.run(topics.create(plain))
    return plain


def test_no_command_is_left_out():
    """The README's commands are the ones that the tests below run, and make test is what CI runs."""
    assert commands() == [
        "make demo",
        "make test",
        f"{BIN} demo --headless --clicks 2000 --speed max --json",
        "export NEXTCLICK_BOOTSTRAP_SERVERS=127.0.0.1:9092",
        f"{BIN} topics create",
        f"{BIN} topics check",
        f"{BIN} worker",
        f"{BIN} kafka --data nextclick-kafka",
        f"{BIN} replay clicks.csv --dry-run",
        f"{BIN} replay clicks.csv --speed max --sort",
        f"{BIN} worker --print-settings",
        f"{BIN} evaluate clicks.csv --methods blend,vstan,vsknn",
        f"{BIN} tune clicks.csv --trials 20 --exclude current --output tuned.toml",
        f"{BIN} evaluate clicks.csv --params tuned.toml",
        f"{BIN} worker --params tuned.toml",
    ]
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_make_demo_runs_the_demo():
    """The first of the two commands, shortened by options; nothing has to be installed again."""
    options = "ARGS=--headless --clicks 500 --speed max --json"
    done = subprocess.run(
        ["make", "--no-print-directory", "demo", options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["recommendations"] == 500


def test_the_headless_demo_prints_one_object_last():
    """The command for scripts."""
    summary = json.loads(run(commands()[2], ROOT).splitlines()[-1])
    assert summary["clicks"] == summary["recommendations"] == 2000


def test_the_producer_sends_clicks_that_are_answered_as_the_consumer_reads(default_names, tmp_path):
    """Topics, worker, producer and consumer as pasted, three clicks in, three answers out."""
    broker = default_names.bootstrap_servers
    variables = {"NEXTCLICK_BOOTSTRAP_SERVERS": broker, "NEXTCLICK_GROUP_ID": default_names.group_id}
    run(f"{BIN} topics create", tmp_path, **variables)
    run(f"{BIN} topics check", tmp_path, **variables)
    producer, consumer = (code.replace("127.0.0.1:9092", broker) for code in blocks("python"))
    with WorkerProcess(default_names) as worker:
        worker.start().wait_ready()
        subprocess.run([sys.executable, "-c", producer], check=True, timeout=60, cwd=tmp_path)
        reading = subprocess.Popen(
            [sys.executable, "-u", "-c", consumer], stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        try:
            said = [reading.stdout.readline() for _ in range(3)]
        finally:
            reading.kill()
            reading.wait()
            reading.stdout.close()
    assert [line.split(" -> ")[0] for line in said] == ["v1 milk", "v1 bread", "v1 butter"]


def test_a_recording_is_shown_and_replayed(kafka, settings, tmp_path):
    """Both replay commands on a small file."""
    (tmp_path / "clicks.csv").write_text("visitor,item,time\nv,a,1700000010\nv,b,1700000000\n")
    asyncio.run(topics.create(settings))
    variables = {"NEXTCLICK_BOOTSTRAP_SERVERS": kafka, "NEXTCLICK_CLICKS_TOPIC": settings.clicks_topic}
    assert "2 clicks would be sent" in run(f"{BIN} replay clicks.csv --dry-run", tmp_path, **variables)
    assert "2 clicks sent" in run(f"{BIN} replay clicks.csv --speed max --sort", tmp_path, **variables)


def test_a_recording_is_evaluated_and_tuned_and_a_worker_takes_what_was_found(tmp_path):
    """The commands from evaluate to the worker, on sessions in which each item leads to the next."""
    rows = [
        f"v{visitor},i{(visitor + step) % 30},{1700000000 + 3600 * visitor + 10 * step}"
        for visitor in range(300)
        for step in range(4)
    ]
    (tmp_path / "clicks.csv").write_text("visitor,item,time\n" + "\n".join(rows) + "\n")
    table = run(f"{BIN} evaluate clicks.csv --methods blend,vstan,vsknn", tmp_path)
    assert all(method in table for method in ("blend", "vstan", "vsknn"))
    run(f"{BIN} tune clicks.csv --trials 20 --exclude current --output tuned.toml", tmp_path)
    assert "tuned" in run(f"{BIN} evaluate clicks.csv --params tuned.toml", tmp_path)
    printed = json.loads(run(f"{BIN} worker --params tuned.toml --print-settings", tmp_path))
    assert printed["scoring"]


def test_the_local_kafka_starts_and_stops(tmp_path):
    """As in the README, on a free port, so that it disturbs no other broker."""
    (port,) = free_ports(1)
    command = [*NEXTCLICK, "kafka", "--data", "nextclick-kafka", "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert f"127.0.0.1:{port}" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def test_the_settings_are_printed(tmp_path):
    """As JSON, the ones that matter among them."""
    printed = json.loads(run(f"{BIN} worker --print-settings", tmp_path))
    table = re.findall(r"^\| `NEXTCLICK_(\w+)` \| (\S+) \|", README, re.MULTILINE)
    assert len(table) >= 5
    for name, default in table:
        assert str(printed[name.lower()]).removesuffix(".0") == default.strip("`")


def test_the_answer_shown_is_an_answer():
    """The JSON of the README is read by the code that reads answers, and names a preset."""
    (example,) = blocks("json")
    answer = decode_answer(example.encode())
    assert answer.parameters in PRESETS
    assert {item.source for item in answer.items} == {"neighbours", "rules", "popular"}


def test_the_query_names_metrics_that_exist():
    """Each nextclick_… name of the README is in the table of metrics."""
    known = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"nextclick_\w+_\w+", README)):
        assert f"`{name}`" in known

"""A broker that takes the worker's output slowly: the input waits in the log, not in memory."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from core.window.clicks import Click
from stream_app.kafka import jars as kafka_jars
from stream_app.kafka.brokers import CACHE, local_kafka
from stream_app.kafka.topics import transactional_id
from stream_app.settings import Settings
from tests.oracles.whole_log import BEGIN_MS, expected_of
from tests.worker_process import (
    WorkerProcess,
    create_topics,
    read_topics,
    send_clicks,
    wait_done,
    wait_until,
)

CLICKS = 90_000

#: Clicks that are left in the log at some time, at least: the worker holds some 40,000 at most.
LEFT_IN_LOG = 10_000

#: Bytes a second that the throttled worker may write: some hundred answers.
SLOW_BYTES = 200_000

#: How long the output is slow, seconds.
SLOW_S = 15.0

#: What the worker may grow by while its output is slow, bytes: runs that wait, what one fetch of the client
#: holds, and what the allocator keeps. It grew by 34 MiB when it was measured.
MOST_GROWTH = 100 * 1024 * 1024


def producers(settings: Settings) -> list[str]:
    """The client ids that a worker writes with."""
    if settings.guarantee == "exactly_once":
        return [transactional_id(settings, partition) for partition in range(settings.partitions)]
    return [f"{settings.group_id}-worker"]


def throttle(settings: Settings, config: str) -> None:
    """Change the quota of each of the worker's producers, by Kafka's own command."""
    for client in producers(settings):
        command = [
            *(kafka_jars.java(), "-Xmx128m", "-cp", f"{kafka_jars.jars(CACHE)}/*"),
            *("kafka.admin.ConfigCommand", "--bootstrap-server", settings.bootstrap_servers),
            *("--alter", *config.split(), "--entity-type", "clients", "--entity-name", client),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def rss_bytes(worker: WorkerProcess) -> int:
    """Memory of the worker's process."""
    assert worker.process
    status = Path(f"/proc/{worker.process.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


@pytest.mark.timeout(400)
def test_a_slow_output_lets_the_lag_grow_and_not_the_memory(tmp_path):
    """While a quota holds the answers back the worker takes no more in than a bound; then it catches up."""
    with local_kafka(tmp_path / "kafka", heap_mb=384) as broker:
        settings = Settings(
            bootstrap_servers=broker.bootstrap, data_dir=tmp_path / "data", gap_s=60.0, close_idle=False
        )
        create_topics(settings)
        with WorkerProcess(settings) as worker:
            worker.start().wait_ready()
            clicks = [Click(f"v{n % 2000}", f"i{n % 97}", BEGIN_MS + 5 * n) for n in range(CLICKS + 2000)]
            send_clicks(settings, clicks[:2000])
            wait_done(settings, [worker])
            before = rss_bytes(worker)
            rate = SLOW_BYTES // len(producers(settings))
            throttle(settings, f"--add-config producer_byte_rate={rate}")
            send_clicks(settings, clicks[2000:])
            most, samples = 0, []
            until = time.monotonic() + SLOW_S
            while time.monotonic() < until:
                most = max(most, rss_bytes(worker))
                samples.append(worker.metrics())
                time.sleep(0.5)
            lags = [sample["nextclick_consumer_lag"] for sample in samples if sample]
            assert most - before < MOST_GROWTH, f"from {before} to {most} bytes"
            assert max(lags) > LEFT_IN_LOG, "the output was slow, so the input waits in the log"
            assert lags[-1] > 0, "it was slow until the end"
            assert samples[-1]["nextclick_rebalances_total"] == samples[0]["nextclick_rebalances_total"] == 1
            throttle(settings, "--delete-config producer_byte_rate")
            wait_until(
                lambda: worker.metrics().get("nextclick_consumer_lag") == 0, "it catches up", 120, [worker]
            )
            seen = wait_done(settings, [worker], timeout_s=120)
            assert rss_bytes(worker) - before < MOST_GROWTH + 50 * 1024 * 1024
        assert seen.answers.keys() == expected_of(settings, seen.clicks).queries.keys()
        assert all(len(answers) == 1 for answers in seen.answers.values())
        assert len(read_topics(settings).answers) == CLICKS + 2000

"""The services of docker-compose.yml as plain processes: its broker's variables, its commands, its checks.

The image's own variables (folders, prepared kernels) are tested in tests/integration/test_image.py.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream_app.kafka.broker_process import free_ports
from stream_app.kafka.brokers import local_kafka
from stream_app.settings import ENV_PREFIX, Settings
from tests.composed import command_of, listeners, ours, services, workers
from tests.worker_process import NEXTCLICK, WorkerProcess, read_topics, wait_until

CLICKS = 3000


class Composed:
    """The composed broker, running on free ports of the loopback, and what the others need to know of it."""

    def __init__(self, folder: Path, inside: int, outside: int) -> None:
        self.folder = folder
        self.inside = Settings(bootstrap_servers=f"127.0.0.1:{inside}", data_dir=folder / "data")
        self.outside = Settings(bootstrap_servers=f"127.0.0.1:{outside}", data_dir=folder / "data")

    def environment(self, name: str, **own: str) -> dict[str, str]:
        """A service's variables, with the broker where it is here."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ENV_PREFIX)}
        given = {
            key: value for key, value in services()[name]["environment"].items() if key.startswith(ENV_PREFIX)
        }
        return {**kept, **given, "NEXTCLICK_BOOTSTRAP_SERVERS": self.inside.bootstrap_servers, **own}

    def command(self, name: str) -> list[str]:
        """A service's command, with the file of purchases where it is here."""
        here = str(self.folder / "purchases.csv")
        words = (here if word.endswith(".csv.gz") else word for word in command_of(services()[name]))
        return [*NEXTCLICK, *words]


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Composed:
    """A Kafka with the composed broker's variables, and the beginning of the purchases as a file."""
    folder = tmp_path_factory.mktemp("composed")
    write = [*NEXTCLICK, "demo", "--write", "purchases.csv", "--clicks", str(CLICKS)]
    subprocess.run(write, cwd=folder, check=True, capture_output=True, timeout=120)
    inside, outside, controller = free_ports(3)
    extra = properties({"19092": inside, "9092": outside, "9093": controller})
    del extra["log.dirs"]  # a place in the image
    with local_kafka(folder / "kafka", port=outside, extra=extra):
        yield Composed(folder, inside, outside)


def properties(ports: dict[str, int]) -> dict[str, str]:
    """The server's properties as the image makes them of the variables, on free ports of the loopback."""
    made = {}
    for variable, value in services()["broker"]["environment"].items():
        if variable == "KAFKA_HEAP_OPTS":
            continue  # the scripts', which start Java
        moved = value.replace("://:", "://127.0.0.1:").replace("broker:", "127.0.0.1:")
        for port, free in ports.items():
            moved = moved.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
        made[variable.removeprefix("KAFKA_").lower().replace("_", ".")] = moved
    return made


def test_every_service_of_ours_is_run_below():
    """What is added to the file is to be run here, too."""
    assert set(ours()) == {"topics", "replayer", *workers()}
    assert set(listeners("KAFKA_ADVERTISED_LISTENERS")) == {"INSIDE", "OUTSIDE"}


def test_the_composed_services_make_topics_answer_replayed_purchases_and_go_on_after_a_stop(stack):
    """In the order of the file: topics, two workers that become healthy, the replayer, twice."""
    done = run(stack, "topics")
    assert done.returncode == 0, done.stderr
    with worker(stack, "worker-1") as first, worker(stack, "worker-2") as second:
        both = [first, second]
        assert not is_healthy("worker-1", first)
        for one in both:
            one.start()
        for name, one in zip(workers(), both, strict=True):
            wait_until(lambda name=name, one=one: is_healthy(name, one), f"{name} is healthy", 120, both)
        with replaying(stack) as replayer:
            wait_until(lambda: answered(both) > 50, "clicks are answered", workers=both)
            replayer.send_signal(signal.SIGTERM)
            out, err = replayer.communicate(timeout=60)
        assert replayer.returncode == 128 + signal.SIGTERM, err
        assert "stopped by a signal" in out
        # The second start: all of it at once, from where the first one stopped.
        again = run(stack, "replayer", "--speed", "max", "--json")
        report = json.loads(again.stdout)
        assert report["left_out"] > 20
        assert 0 < report["sent"] < CLICKS
        wait_until(lambda: read_topics(stack.outside).done, "every click is answered", workers=both)
        seen = read_topics(stack.outside)
        assert len({record.value for log in seen.clicks.values() for record in log}) == CLICKS
        assert seen.dead == {}
        assert all(one.metrics()["nextclick_recommendations_total"] > 0 for one in both)
        for one in both:
            assert one.terminate()[0] == 0


def answered(both: list[WorkerProcess]) -> float:
    """Clicks that the workers have answered."""
    return sum(one.metrics().get("nextclick_recommendations_total", 0) for one in both)


def run(stack: Composed, name: str, *more: str) -> subprocess.CompletedProcess:
    """Run a service's command to its end; the last of two equal options counts."""
    return subprocess.run(
        [*stack.command(name), *more],
        env=stack.environment(name),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def replaying(stack: Composed):
    """The replayer in a process of its own."""
    with subprocess.Popen(
        stack.command("replayer"),
        env=stack.environment("replayer"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def worker(stack: Composed, name: str) -> WorkerProcess:
    """A composed worker, with a folder and a port of its own."""
    made = WorkerProcess(stack.inside, name)
    own = {
        "NEXTCLICK_METRICS_PORT": str(made.settings.metrics_port),
        "NEXTCLICK_DATA_DIR": str(made.data_dir),
    }
    variables = stack.environment(name, **own).items()
    given = [f"{key}={value}" for key, value in variables if key.startswith(ENV_PREFIX)]
    unset = [f"--unset={ENV_PREFIX}{key.upper()}" for key in Settings.model_fields]
    made.command = ["env", *unset, *given, *stack.command(name)]
    return made


def is_healthy(name: str, process: WorkerProcess) -> bool:
    """What the service's check says, asked where this worker listens."""
    kind, program, *arguments = services()[name]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    port = services()[name]["environment"]["NEXTCLICK_METRICS_PORT"]
    moved = [re.sub(rf":{port}/", f":{process.settings.metrics_port}/", word) for word in arguments]
    assert moved != arguments
    check = subprocess.run([sys.executable, *moved], capture_output=True, timeout=60, check=False)
    return check.returncode == 0

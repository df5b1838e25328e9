"""Where the stream's benchmark runs: a local Kafka, a folder, topics of each case's own, and processes."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from stream_app.kafka import topics
from stream_app.kafka.broker_process import Broker
from stream_app.kafka.brokers import local_kafka
from stream_app.kafka.client import TopicShape, create_topics
from stream_app.settings import Settings
from tests.benchmarks.stream.load import Load
from tests.worker_process import NEXTCLICK, WorkerProcess

APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}


class Place(NamedTuple):
    """What every case runs on.

    Args:
        broker: a Kafka on the loopback.
        folder: of all files of the run.
        load: what is learnt and clicked.
        partitions: of the input topic.
    """

    broker: Broker
    folder: Path
    load: Load
    partitions: int

    def settings(self, case, **changes) -> Settings:
        """Settings of a case: topics, group and folder of its own."""
        folder = self.folder / case
        folder.mkdir(parents=True, exist_ok=True)
        given = {
            "bootstrap_servers": self.broker.bootstrap,
            "group_id": case,
            "data_dir": folder / "data",
            "partitions": self.partitions,
            "log_level": "warning",
            **{f"{topic}_topic": f"{case}-{topic}" for topic in ("clicks", "recommendations", "sessions")},
            "dead_letters_topic": f"{case}-dead-letters",
        }
        return Settings(**{**given, **changes})


@contextmanager
def open_place(load, partitions) -> Iterator[Place]:
    """A Kafka in a new folder; both are gone at the end."""
    with tempfile.TemporaryDirectory(prefix="nextclick-bench-") as temporary:
        folder = Path(temporary)
        with local_kafka(folder / "kafka", lives_long=True) as broker:
            yield Place(broker, folder, load, partitions)


def make_topics(settings, *, changelog=True):
    """The topics of a case; answers carry the broker's append time, or they could not be timed."""
    shapes = topics.wanted_topics(settings)
    answers = shapes[settings.recommendations_topic]
    shapes[settings.recommendations_topic] = TopicShape(
        answers.partitions, answers.replication, {**(answers.configs or {}), **APPEND_TIME}
    )
    if not changelog:  # a peer makes its own
        del shapes[topics.changelog_topic(settings)]
    asyncio.run(create_topics(settings, shapes))


def new_worker(settings, name="worker") -> WorkerProcess:
    """A nextclick worker that is not started."""
    return WorkerProcess(settings, name, (*NEXTCLICK, "worker"))


def cpu_s(pid) -> float:
    """Seconds that a process's threads have computed, in it and in the kernel; steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine_cpu_s() -> float:
    """Seconds that this machine's cores have worked, for whomever; those stolen from it included."""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    user, nice, system, _idle, _wait, irq, soft_irq, stolen = map(int, first[1:9])
    return (user + nice + system + irq + soft_irq + stolen) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid) -> float:
    """Resident memory of a process, MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def say(text):
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)

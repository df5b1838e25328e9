"""Faults of brokers: killed and started again, frozen, one of three gone; on brokers of their own."""

from __future__ import annotations

from pathlib import Path

from aiokafka.admin import NewTopic

from core.window.placement import partition_of
from stream_app.kafka.brokers import local_kafka
from stream_app.settings import Settings
from tests.faults.cluster import kafka_nodes
from tests.faults.stream import FaultStream, Outcome, freeze, thaw
from tests.kafka_admin import administer
from tests.oracles.whole_log import BEGIN_MS, messy_clicks

#: Longer than the session timeout of the streams here, seconds.
BEYOND_TIMEOUT_S = 9.0

#: Java's heap of one node, MiB.
HEAP_MB = 256


def killed_and_frozen(settings: Settings, scale: float, folder: Path) -> Outcome:
    """The one broker is killed and started again, then frozen for longer than the session timeout."""
    with local_kafka(folder / "kafka", heap_mb=HEAP_MB) as broker:
        settings = settings.model_copy(update={"bootstrap_servers": broker.bootstrap})
        with FaultStream(settings, 50, scale) as stream:
            first, second = stream.ready("first", "second")
            with stream.load(6000, 200):
                stream.live(2)
                broker.kill()
                stream.live(2)
                broker.start()
                stream.watchdog.forgive()
                stream.live(8)
                freeze(broker.pid)
                stream.live(BEYOND_TIMEOUT_S)
                thaw(broker.pid)
                stream.watchdog.forgive()
            outcome = stream.finish()
        assert not first.running
        assert not second.running
        return outcome


def one_of_three_killed(settings: Settings, scale: float, folder: Path) -> Outcome:
    """Of three brokers with three copies of everything one is killed, each in its turn."""
    with kafka_nodes(folder, 3, heap_mb=HEAP_MB) as nodes:
        bootstrap = ",".join(node.bootstrap for node in nodes)
        settings = settings.model_copy(update={"bootstrap_servers": bootstrap, "replication_factor": 3})
        with FaultStream(settings, 51, scale) as stream:
            stream.ready("first", "second")
            with stream.load(6000, 150):
                for node in nodes[: max(1, round(scale))]:
                    stream.live(3)
                    node.kill()
                    stream.live(12)
                    node.start()
                    stream.live(12)
            return stream.finish()


def one_partition_without_a_leader(settings: Settings, scale: float, folder: Path) -> Outcome:
    """Of the clicks, of which there is one copy, one partition's broker is gone; the others' are answered."""
    on_nodes = {0: [1], 1: [2], 2: [3], 3: [1]}
    lost = 2
    with kafka_nodes(folder, 3, heap_mb=HEAP_MB) as nodes:
        bootstrap = ",".join(node.bootstrap for node in nodes)
        settings = settings.model_copy(update={"bootstrap_servers": bootstrap, "replication_factor": 3})
        alone = NewTopic(settings.clicks_topic, -1, -1, on_nodes, topic_configs={"min.insync.replicas": "1"})
        administer(settings, lambda admin: admin.create_topics([alone]))
        with FaultStream(settings, 52, scale) as stream:
            (worker,) = stream.ready("first")
            with stream.load(600, 150):
                pass
            stream.until_answered()
            count = int(5000 * max(1, scale))
            later = messy_clicks(53, count, begin_ms=BEGIN_MS + 10_000_000_000)
            others = [one for one in later if partition_of(one.visitor, len(on_nodes)) != lost]
            nodes[-1].kill()
            stream.watchdog.forgive()
            with stream.send(others, 100):  # the watchdog looks on meanwhile
                pass
            stream.until_answered()
            assert worker.live()[0] == 200
            nodes[-1].start()
            return stream.finish()

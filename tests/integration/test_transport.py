"""The contract of stream_app/worker/transport.py with the pinned Faust, and runs over seeks and holes."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message

from core.window.clicks import encode_click
from core.window.step import Record
from stream_app.kafka.security import client_options
from stream_app.kafka.topics import changelog_topic
from stream_app.settings import Settings
from stream_app.worker.app import new_app
from stream_app.worker.transport import RunConsumer, RunTransport
from tests.kafka_admin import committed_offsets, delete_before
from tests.oracles.whole_log import BEGIN_MS, expected_of, messy_clicks
from tests.worker_process import (
    WorkerProcess,
    create_topics,
    read_topic,
    read_topics,
    send_clicks,
    sending,
    wait_done,
)

ROOT = Path(__file__).resolve().parents[2]

#: What transport.py overrides, with the parameters that Faust calls it with.
OVERRIDDEN = {
    "getmany": ["self", "timeout"],
    "perform_seek": ["self"],
    "ack": ["self", "message"],
    "_getmany": ["self", "active_partitions", "timeout"],
    "on_buffer_full": ["self", "tp"],
    "_filter_tps_with_pending_acks": ["self", "topics"],
    "_new_offset": ["self", "tp"],
    "_add_gap": ["self", "tp", "offset_from", "offset_to"],
    "on_partitions_revoked": ["self", "revoked"],
}

#: What it uses of Faust and must therefore still be there.
USED_METHODS = ["_wait_next_records", "_to_message", "earliest_offsets", "highwater", "assignment"]
USED_FIELDS = ["_committed_offset", "_unacked_messages", "_buffered_partitions", "_n_acked", "flow_active"]


@pytest.fixture
def settings(settings) -> Settings:
    """A window for the messy stream, short runs."""
    return settings.model_copy(
        update={
            "gap_s": 20.0,
            "grace_s": 5.0,
            "max_clicks": 8,
            "close_idle": False,
            "commit_interval_s": 0.2,
            "session_timeout_s": 6.0,
            "max_run_clicks": 50,
        }
    )


def disturbed(moment: str) -> list[str]:
    """The command of a worker that throws away and seeks at certain moments."""
    return [sys.executable, str(Path(__file__).with_name("disturbed_worker.py")), moment]


def wait_exact(settings: Settings, worker: WorkerProcess) -> None:
    """Wait until all is answered, and hold answers and sessions against the core."""
    seen = wait_done(settings, [worker], sessions=lambda seen: len(expected_of(settings, seen.clicks).closed))
    expected = expected_of(settings, seen.clicks)
    assert seen.answers.keys() == expected.queries.keys()
    assert all(session == expected.closed[session.session] for session in seen.sessions)
    assert {session.session for session in seen.sessions} == expected.closed.keys()


def test_faust_is_the_version_that_the_transport_was_written_for():
    """The dependency is pinned to one version, and that one is installed."""
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (pin,) = [pin for pin in pins if pin.startswith("faust-streaming")]
    assert pin == f"faust-streaming=={version('faust-streaming')}" == "faust-streaming==0.15.3"
    assert version("aiokafka").startswith("0.14.")


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_is_overridden_is_there_with_the_same_parameters(name):
    """Faust calls each overridden method with the parameters that ours takes."""
    assert list(inspect.signature(getattr(faust_consumer.Consumer, name)).parameters) == OVERRIDDEN[name]
    assert list(inspect.signature(getattr(RunConsumer, name)).parameters) == OVERRIDDEN[name]
    kinds = [inspect.iscoroutinefunction(getattr(c, name)) for c in (faust_consumer.Consumer, RunConsumer)]
    assert kinds[0] == kinds[1]


def test_what_is_used_is_there():
    """Methods and fields of Faust's consumer, its thread and its messages that the transport leans on."""
    source = inspect.getsource(faust_consumer.Consumer)
    assert [name for name in USED_METHODS if not hasattr(driver.Consumer, name)] == []
    assert [name for name in USED_FIELDS if name not in source] == []
    assert list(inspect.signature(driver.AIOKafkaConsumerThread.seek_wait).parameters) == [
        "self",
        "partitions",
    ]
    assert {"acked", "tracked", "generation_id", "refcount"} <= set(Message.__slots__)
    assert driver.Transport.Consumer is driver.Consumer
    assert RunTransport.Consumer is RunConsumer


def test_the_heartbeat_can_be_watched():
    """Of aiokafka's coordinator: what says that a heartbeat was answered, and the generation."""
    assert inspect.iscoroutinefunction(GroupCoordinator._do_heartbeat)
    assert "success = await self._do_heartbeat()" in inspect.getsource(GroupCoordinator._heartbeat_routine)
    assert "self.generation = OffsetCommitRequest.DEFAULT_GENERATION_ID" in inspect.getsource(
        GroupCoordinator
    )
    assert RunConsumer.RebalanceListener is not driver.Consumer.RebalanceListener
    assert "consumer.RebalanceListener(self)" in inspect.getsource(driver.AIOKafkaConsumerThread)


def test_records_that_wait_in_the_client_are_in_an_order_that_can_be_changed():
    """The consumer's thread puts a partition that was handed out behind the others that aiokafka holds."""
    assert "self._records = collections.OrderedDict()" in inspect.getsource(Fetcher.__init__)
    assert "for tp in list(self._records.keys())" in inspect.getsource(Fetcher.fetched_records)
    assert inspect.iscoroutinefunction(driver.AIOKafkaConsumerThread._fetch_records)


def test_a_partition_is_the_same_to_faust_and_to_aiokafka():
    """Faust's pair of topic and number is found among aiokafka's."""
    theirs = {TopicPartition("clicks", 3), TopicPartition("other", 2)}
    assert TP("clicks", 3) in theirs
    assert TP("clicks", 2) not in theirs


def test_faust_looks_up_and_notes_what_it_has_read_in_one_mapping():
    """What it drops by that mapping is dropped for good, so the transport keeps none for runs."""
    source = inspect.getsource(faust_consumer.Consumer._drain_messages)
    assert "get_read_offset = self._read_offset.__getitem__" in source
    assert "set_read_offset = self._read_offset.__setitem__" in source


def test_the_changelog_is_read_as_bytes(settings):
    """Faust would read a changelog of a table without types as JSON, and wait for ever on what is none."""
    app, _ = new_app(settings, 4)
    (table,) = app.tables.values()
    topic = table.changelog_topic
    assert topic.get_topic_name() == changelog_topic(settings)
    assert (topic.schema.key_serializer, topic.schema.value_serializer) == ("raw", "raw")
    assert (table.key_serializer, table.value_serializer) == ("raw", "raw")
    assert table.data.offset_key


def test_no_worker_reads_along_anothers_changelog(settings):
    """Faust's standbys are off: one was seen to lack records of the changelog."""
    app, _ = new_app(settings, 4)
    assert app.conf.table_standby_replicas == 0


def test_seeks_at_any_moment_lose_nothing(settings):
    """A worker that seeks back 30 times a second answers every click, and its sessions are exact."""
    settings = settings.model_copy(update={"guarantee": "at_least_once"})
    create_topics(settings)
    with WorkerProcess(settings, command=disturbed("any")) as worker:
        with sending(settings, messy_clicks(30, 4000), 500):
            worker.start().wait_ready()
        # A seek while a run is worked on answers it twice; a quick run seldom meets one.
        for batch in range(1, 7):
            seen = read_topics(settings)
            if sum(map(len, seen.answers.values())) > len(seen.answers):
                break
            later = messy_clicks(30 + batch, 4000, begin_ms=1_800_000_000_000 + batch * 1_000_000_000)
            with sending(settings, later, 1000):
                pass
    seen = read_topics(settings)
    assert len(seen.answers) > 100
    assert sum(map(len, seen.answers.values())) > len(seen.answers), (
        f"no seek has crossed a run: {worker.tail()}"
    )
    with worker:
        worker.start()
        wait_exact(settings, worker)


@pytest.mark.parametrize("moment", ["fetched", "noted", "full"])
def test_what_a_seek_leaves_of_what_it_throws_away_is_not_handed_over(settings, moment):
    """Records fetched before it, and a run that waited for room in the buffer, come again in their turn."""
    # Many small runs, so that some always wait for the agent.
    settings = settings.model_copy(update={"max_run_clicks": 20, "commit_interval_s": 0.5})
    create_topics(settings)
    send_clicks(settings, messy_clicks(36, 1500))
    with WorkerProcess(settings, command=disturbed(moment)) as worker:
        worker.start()
        wait_exact(settings, worker)


def test_what_is_fetched_while_a_start_seeks_is_not_lost(settings):
    """Clicks of a worker's absence are answered, though it restores its state and none come behind them."""
    create_topics(settings)
    send_clicks(settings, messy_clicks(37, 400))
    with WorkerProcess(settings) as worker:
        worker.start()
        wait_exact(settings, worker)
        assert worker.terminate()[0] == 0
        send_clicks(settings, messy_clicks(38, 200, begin_ms=1_800_000_000_000))
        shutil.rmtree(worker.data_dir)
        worker.command = disturbed("sought")
        worker.start()
        wait_exact(settings, worker)


def test_a_recovery_goes_on_where_brokers_take_longer_than_faust_waits(settings):
    """Faust would take that for its own stop, and never restore anything again, nor say so."""
    create_topics(settings)
    send_clicks(settings, messy_clicks(39, 400))
    with WorkerProcess(settings, command=disturbed("patient")) as worker:
        worker.start()
        wait_exact(settings, worker)
        assert worker.tail().count("the recovery begins anew") == 2


def test_a_worker_that_fetches_nothing_stays_in_the_group(settings):
    """Nobody would fetch for a member that has left, nor let it join again before it fetches."""
    app, _ = new_app(settings, 4)
    source = inspect.getsource(GroupCoordinator)
    assert "idle_time >= self._max_poll_interval" in source
    assert "if idle_time < self._max_poll_interval" in source
    assert app.conf.broker_max_poll_interval > 10 * 365 * 86_400


def test_what_is_lost_on_its_way_is_fetched_again(settings):
    """Also the last records of a partition, behind which none come that would show the hole."""
    create_topics(settings)
    with WorkerProcess(settings, command=disturbed("lost")) as worker:
        worker.start().wait_ready()
        for number in range(3):
            send_clicks(settings, messy_clicks(40 + number, 20, begin_ms=BEGIN_MS + number * 1_000_000_000))
            wait_exact(settings, worker)
        assert worker.tail().count("lost: ") >= 2


def test_a_log_with_transaction_markers_does_not_stall(settings):
    """Every transaction leaves a hole of one offset; clicks around holes are all answered, in order."""
    create_topics(settings)

    clicks = messy_clicks(31, 1200)
    asyncio.run(send_in_transactions(settings, [clicks[at : at + 40] for at in range(0, len(clicks), 40)]))
    log = read_topics(settings).clicks
    assert any(holes(records) for records in log.values())
    with WorkerProcess(settings) as worker:
        worker.start()
        wait_exact(settings, worker)
        assert worker.terminate()[0] == 0
        # The end of the log is a marker: a restart finds nothing to read and must not wait for it.
        worker.start().wait_ready()
        send_clicks(settings, messy_clicks(32, 100, begin_ms=1_800_000_000_000))
        wait_exact(settings, worker)


def test_deleted_records_do_not_stall(settings):
    """Retention that took records which were never read leaves a hole: what remains is answered."""
    create_topics(settings)
    with WorkerProcess(settings) as worker:
        send_clicks(settings, messy_clicks(33, 500))
        worker.start()
        wait_exact(settings, worker)
        assert worker.terminate()[0] == 0
        committed = committed_offsets(settings)
        send_clicks(settings, messy_clicks(34, 1000, begin_ms=1_750_000_000_000))
        begins = {part: offset + 50 for part, offset in committed.items()}
        delete_before(settings, settings.clicks_topic, begins)
        worker.start()
        seen = wait_done(settings, [worker])
        for partition, log in seen.clicks.items():
            assert log[0].offset == committed[partition] + 50
        assert not any(
            committed[partition] <= offset < committed[partition] + 50
            for partition, offset in seen.answers.keys() | seen.dead.keys()
        )


def test_partitions_take_turns(settings):
    """A backlog of all partitions is worked off together: none waits until another has nothing left."""
    create_topics(settings)
    send_clicks(settings, messy_clicks(35, 4000))
    with WorkerProcess(settings) as worker:
        worker.start()
        wait_exact(settings, worker)
    times: dict[int, list[int]] = {}
    for record in read_topic(settings, settings.recommendations_topic):
        times.setdefault(record.partition, []).append(record.timestamp)
    assert sorted(times) == list(range(settings.partitions))
    last_begun = max(answered[0] for answered in times.values())
    assert all(answered[len(answered) // 2] > last_begun for answered in times.values())


def holes(records: list[Record]) -> int:
    """Offsets that no record has, between the first and the last."""
    return records[-1].offset - records[0].offset + 1 - len(records)


async def send_in_transactions(settings: Settings, parts: list) -> None:
    """Send clicks, each part in a transaction of its own."""
    producer = AIOKafkaProducer(transactional_id=f"{settings.group_id}-tx", **client_options(settings))
    await producer.start()
    try:
        for part in parts:
            async with producer.transaction():
                for click in part:
                    await producer.send(
                        settings.clicks_topic, encode_click(click), key=click.visitor.encode()
                    )
    finally:
        await producer.stop()

"""Transactions on a real Kafka: what readers see of them, whose they are, a worker that writes in them."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka.errors import ProducerFenced

from core.errors import BrokerError, TransactionLostError
from core.window.step import PartitionState
from stream_app.index.feed import IndexFeed
from stream_app.kafka.outbox import Batch, OutRecord
from stream_app.kafka.partition_log import PartitionLog
from stream_app.kafka.topics import changelog_topic, transactional_id
from stream_app.kafka.transactions import TransactionalOutbox
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry
from stream_app.worker.tables import encode_state
from tests.exact_stream import MESSY_WINDOW, check_topics, wait_exact
from tests.faults.exact import check_exact, check_tables
from tests.faults.stream import DOOMED
from tests.oracles.whole_log import messy_clicks
from tests.worker_process import (
    Topics,
    WorkerProcess,
    create_topics,
    read_topics,
    send_clicks,
    sending,
    wait_until,
)

PARTITIONS = 4


def batch(settings: Settings, *values: bytes) -> Batch:
    """Records for the sessions topic."""
    return Batch(settings.sessions_topic, 0, [OutRecord(b"key", value) for value in values])


async def abandon(outbox: TransactionalOutbox) -> None:
    """Disconnect in the middle of a transaction, as a kill does."""
    producer = outbox._producer
    producer._closed = True
    await producer._sender.close()
    await producer.client.close()


async def values(settings: Settings) -> list[bytes]:
    """What a reader of the sessions topic sees."""
    async with PartitionLog.opened(settings, settings.sessions_topic, 0) as log:
        begin, end = await log.bounds()
        return [record.value async for records in log.read(begin, end) for record in records]


def test_readers_see_what_is_committed(settings):
    """Nothing of an open or an aborted transaction; the end is behind the markers."""
    create_topics(settings)

    async def run() -> None:
        first = await TransactionalOutbox.open(settings, "first")
        assert await first.write([batch(settings, b"a", b"b")], {}) == [1]
        producer = first._producer
        await producer.begin_transaction()
        await first._outbox.write(*batch(settings, b"c"))
        assert await values(settings) == [b"a", b"b"]
        await producer.abort_transaction()
        assert await values(settings) == [b"a", b"b"]
        async with PartitionLog.opened(settings, settings.sessions_topic, 0) as log:
            assert await log.bounds() == (0, 5)  # two records, a marker, one that was aborted, its marker
            log.seek(0)
            while await log.position() < 5:
                await log.fetch()
            assert log.end_seen == 5
        await first.close()

    asyncio.run(run())


def test_the_index_has_nothing_left_to_read_in_front_of_a_marker(settings):
    """A topic that ends with a marker, or with what was aborted, is caught up with; the lag is 0."""
    create_topics(settings)

    async def run() -> None:
        outbox = await TransactionalOutbox.open(settings, "first")
        await outbox.write([batch(settings, b"no session")], {})
        telemetry = Telemetry()
        feed = IndexFeed(settings, telemetry)
        await feed.start()
        async with asyncio.timeout(20):
            await feed.wait_caught_up()
            assert (feed.offset, feed.lag) == (1, 0)
            await outbox.write([batch(settings, b"neither")], {})
            while feed.offset < 3 or feed.lag:
                await asyncio.wait({feed.task}, timeout=0.05)
        await feed.stop()
        await outbox.close()

    asyncio.run(run())


def test_who_opens_an_id_has_it_alone(settings):
    """What the one before left open is aborted at once, and nothing that it does from then on counts."""
    create_topics(settings)

    async def run() -> None:
        first = await TransactionalOutbox.open(settings, "same")
        await first._producer.begin_transaction()
        await first._outbox.write(*batch(settings, b"first"))
        second = await TransactionalOutbox.open(settings, "same")
        with pytest.raises(ProducerFenced):
            await first._commit()
        await second.write([batch(settings, b"second")], {(settings.clicks_topic, 0): 7})
        third = await TransactionalOutbox.open(settings, "same")
        with pytest.raises(TransactionLostError, match="the transaction of same was ended by another owner"):
            await second.write([batch(settings, b"later")], {(settings.clicks_topic, 0): 3})
        assert await values(settings) == [b"second"]
        for outbox in (first, second, third):
            await outbox.close()

    asyncio.run(run())


def test_what_cannot_be_written_is_aborted(settings):
    """A record that the topic does not take: the error says so, nothing of its transaction is seen."""
    create_topics(settings)

    async def run() -> None:
        outbox = await TransactionalOutbox.open(settings, "first")
        too_large = Batch(settings.clicks_topic, 0, [OutRecord(b"key", b"x" * 5_000_000)])
        with pytest.raises(BrokerError) as caught:
            await outbox.write([batch(settings, b"a"), too_large], {})
        assert not isinstance(caught.value, TransactionLostError)
        await outbox.write([batch(settings, b"b")], {})
        assert await values(settings) == [b"b"]
        await outbox.close()

    asyncio.run(run())


@pytest.fixture
def streamed(settings) -> Settings:
    """Settings for the messy stream, and the topics; the worker answers exactly once."""
    settings = settings.model_copy(update=MESSY_WINDOW | {"guarantee": "exactly_once"})
    create_topics(settings)
    return settings


def once(settings: Settings, worker: WorkerProcess) -> Topics:
    """Wait until all is there, and see that it is there once."""
    seen, _ = wait_exact(settings, [worker])
    check_exact(settings, seen)
    return seen


def test_a_worker_whose_partitions_ids_are_taken_from_it_goes_on(streamed):
    """Again and again another opens the transactional ids, as a zombie would: each click is answered once."""

    async def take_all() -> None:
        for partition in range(PARTITIONS):
            zombie = await TransactionalOutbox.open(streamed, transactional_id(streamed, partition))
            await zombie.close()

    with WorkerProcess(streamed) as worker:
        worker.start().wait_ready()
        with sending(streamed, messy_clicks(21, 3000), 400) as thread:
            while thread.is_alive():
                asyncio.run(take_all())
                time.sleep(0.5)
        seen = once(streamed, worker)
        ended = worker.by_label("nextclick_transactions_total")
        assert ended["lost"] > 10
        assert ended.keys() <= {"lost", "committed"}
        assert worker.terminate()[0] == 0
        check_tables(streamed, check_topics(streamed, seen), seen, [worker.data_dir])


def test_the_guarantee_can_be_changed_and_changed_back(streamed):
    """At least once, exactly once, at least once on the same topics, with what was aborted at the end of all.

    The changelog restores what was committed and no more, though behind that there are markers only.
    """
    plainly = streamed.model_copy(update={"guarantee": "at_least_once"})
    clicks = messy_clicks(22, 3000)

    async def leave_behind() -> None:
        """An aborted transaction of states that are far ahead."""
        ahead = [OutRecord(b"p", encode_state(PartitionState(10**6, 10**15)))]
        for partition in range(PARTITIONS):
            other = await TransactionalOutbox.open(streamed, f"other-{partition}")
            await other._producer.begin_transaction()
            await other._outbox.write(changelog_topic(streamed), partition, ahead)
            await abandon(other)
            other = await TransactionalOutbox.open(streamed, f"other-{partition}")
            await other.close()

    for number, settings in enumerate((plainly, streamed, plainly)):
        # A folder of its own: each restores from the changelog what the one before has left.
        with WorkerProcess(settings, f"worker-{number}") as worker:
            worker.start().wait_ready()
            send_clicks(settings, clicks[number * 1000 : (number + 1) * 1000])
            if number < 2:
                wait_until(lambda: read_topics(streamed).done, "all is answered", workers=[worker])
            else:
                seen = once(streamed, worker)
            assert "another worker wrote" not in worker.log.read_text()
            assert worker.terminate()[0] == 0
        if number == 1:
            asyncio.run(leave_behind())
    check_tables(streamed, check_topics(streamed, seen), seen, [worker.data_dir])


def test_what_a_worker_without_transactions_left_unanswered_is_answered(streamed):
    """Killed with a state stored and its answers lost, it is followed by one that answers exactly once."""
    plainly = streamed.model_copy(update={"guarantee": "at_least_once"})
    with WorkerProcess(plainly, "plain") as killed, WorkerProcess(streamed, "once") as successor:
        killed.command = [*DOOMED, "unanswered", "20", "SIGKILL"]
        killed.start().wait_ready()
        with sending(plainly, messy_clicks(23, 2000), 300):
            wait_until(lambda: not killed.running, "the worker is killed between state and answers")
        successor.start()
        seen, _ = wait_exact(streamed, [successor])
        assert successor.terminate()[0] == 0
        check_tables(streamed, check_topics(streamed, seen), seen, [successor.data_dir])

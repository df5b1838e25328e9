"""Producers on a real Kafka: those of clicks, which may compress, and the worker's own, which live long."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition

from core.window.clicks import encode_click
from stream_app.kafka import client as door
from stream_app.kafka import topics
from stream_app.kafka.brokers import local_kafka
from stream_app.kafka.outbox import Outbox, OutRecord
from stream_app.settings import Settings
from tests.faults.stream import freeze, thaw
from tests.oracles.whole_log import messy_clicks
from tests.worker_process import WorkerProcess, create_topics, wait_done

#: Writers of one partition, and for how long its broker is silent, seconds.
WRITERS = 12
SILENT_S = 10.0


def test_clicks_are_answered_however_they_are_compressed(settings):
    """Whoever sends clicks decides how; a batch that cannot be read would end one worker after the other."""
    create_topics(settings)
    kinds = (None, "gzip", "snappy", "lz4", "zstd")
    clicks = messy_clicks(70, 50 * len(kinds))

    async def send() -> None:
        for number, kind in enumerate(kinds):
            producer = door.new_producer(settings, compression=kind, linger_ms=20)
            await door.start(producer, settings)
            some = clicks[50 * number : 50 * (number + 1)]
            sent = [
                await producer.send(settings.clicks_topic, encode_click(one), key=one.visitor.encode())
                for one in some
            ]
            await asyncio.gather(*sent)
            await producer.stop()

    asyncio.run(send())
    with WorkerProcess(settings) as worker:
        worker.start()
        seen = wait_done(settings, [worker])
        assert sum(map(len, seen.clicks.values())) == len(clicks)
        assert worker.terminate()[0] == 0


def test_many_who_write_to_one_partition_wait_for_a_broker_that_is_silent(settings, tmp_path):
    """As a worker's partitions do for the sessions topic; none takes the wait for a broker's absence."""

    async def write() -> list[int | None]:
        outbox = await Outbox.open(mine)
        await outbox.write(mine.sessions_topic, 0, [OutRecord(b"key", b"first")])
        freeze(broker.pid)
        try:
            records = [OutRecord(b"key", b"%d" % number) for number in range(WRITERS)]
            writes = [
                asyncio.create_task(outbox.write(mine.sessions_topic, 0, [record])) for record in records
            ]
            await asyncio.sleep(SILENT_S)
        finally:
            thaw(broker.pid)
        offsets = await asyncio.gather(*writes)
        await outbox.close()
        return offsets

    with local_kafka(tmp_path / "kafka", heap_mb=256) as broker:
        mine: Settings = settings.model_copy(update={"bootstrap_servers": broker.bootstrap})
        asyncio.run(topics.create(mine))
        assert sorted(asyncio.run(write())) == list(range(1, WRITERS + 1))


def test_a_producer_writes_on_past_two_billion_records(settings):
    """Its numbers go on with 0, as the brokers expect, and not below."""

    async def run() -> None:
        await topics.create(settings)
        producer = await door.open_producer(settings)
        await producer._txn_manager.wait_for_pid()
        partition = TopicPartition(settings.sessions_topic, 0)
        producer._txn_manager._sequence_numbers[partition] = 2**31 - 3
        for number in range(6):
            sent = await producer.send_and_wait(settings.sessions_topic, b"%d" % number, partition=0)
            assert sent.offset == number
        assert producer._txn_manager._sequence_numbers[partition] == 3
        await producer.stop()

    asyncio.run(run())

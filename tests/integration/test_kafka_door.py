"""Records through the door and back, on a real Kafka."""

from __future__ import annotations

import asyncio
import time

import pytest

from core.errors import TopicError
from stream_app.kafka import client as door
from stream_app.kafka import topics
from stream_app.kafka.client import TopicShape


async def take(reader, count: int) -> list:
    """The next records of a reader."""
    async with asyncio.timeout(20):
        return [await reader.getone() for _ in range(count)]


def test_batch_and_back(settings):
    """A batch of many records arrives in order, whole, at the partition that it was sent to."""

    async def run() -> None:
        await topics.create(settings)
        producer = await door.open_producer(settings)
        reader = door.new_log_reader(settings, settings.clicks_topic, 2)
        await door.start(reader, settings)
        batch = producer.create_batch()
        for number in range(1000):
            assert batch.append(key=b"k%d" % number, value=b"v%d" % number, timestamp=None) is not None
        first = await (await producer.send_batch(batch, settings.clicks_topic, partition=2))
        records = await take(reader, 1000)
        assert first.offset == 0
        assert [record.offset for record in records] == list(range(1000))
        assert [record.value for record in records] == [b"v%d" % number for number in range(1000)]
        assert await door.end_offsets(reader, settings, settings.clicks_topic) == {2: 1000}
        await reader.stop()
        await producer.stop()

    asyncio.run(run())


def test_clicks_have_the_time_of_the_broker(settings):
    """The timestamp of a click is when the broker appended it, whatever its producer claims."""

    async def run() -> None:
        await topics.create(settings)
        producer = await door.open_producer(settings)
        began = time.time() * 1000
        for claimed in (0, 4_000_000_000_000):
            await producer.send_and_wait(settings.clicks_topic, b"{}", key=b"v", timestamp_ms=claimed)
        await producer.stop()
        reader = await door.new_topic_reader(settings, settings.clicks_topic, from_beginning=True)
        for record in await take(reader, 2):
            assert began - 1000 <= record.timestamp <= time.time() * 1000 + 1000
        await reader.stop()

    asyncio.run(run())


def test_key_decides_the_partition(settings):
    """The partitions of known keys are those of Kafka's own murmur2, so that any producer agrees."""

    async def run() -> None:
        await door.create_topics(settings, {settings.clicks_topic: TopicShape(8)})
        producer = await door.open_producer(settings)
        # Kafka's own test vectors of Utils.murmur2: 21 gives -973932308, foobar -790332482.
        for key, murmur2 in ((b"21", -973932308), (b"foobar", -790332482)):
            sent = await producer.send_and_wait(settings.clicks_topic, b"{}", key=key)
            assert sent.partition == (murmur2 & 0x7FFFFFFF) % 8
        await producer.stop()

    asyncio.run(run())


def test_from_the_end(settings):
    """A reader from the end sees every record that is sent after it was made, and none before."""

    async def run() -> None:
        await topics.create(settings)
        producer = await door.open_producer(settings)
        for partition in range(4):
            await producer.send_and_wait(settings.clicks_topic, b"before", partition=partition)
        reader = await door.new_topic_reader(settings, settings.clicks_topic, from_beginning=False)
        for partition in range(4):
            await producer.send_and_wait(settings.clicks_topic, b"after", partition=partition)
        records = await take(reader, 4)
        assert {record.value for record in records} == {b"after"}
        assert {record.partition for record in records} == {0, 1, 2, 3}
        await reader.stop()
        await producer.stop()

    asyncio.run(run())


def test_large_records(settings):
    """A click of 1 MiB fits the input topic, and so does the dead letter that it becomes."""

    async def run() -> None:
        await topics.create(settings)
        producer = await door.open_producer(settings)
        value = bytes(1024 * 1024)
        await producer.send_and_wait(settings.clicks_topic, value, key=b"v")
        headers = [("reason", b"x" * 100_000)]
        await producer.send_and_wait(settings.dead_letters_topic, value, key=b"v", headers=headers)
        await producer.stop()
        reader = await door.new_topic_reader(settings, settings.dead_letters_topic, from_beginning=True)
        (record,) = await take(reader, 1)
        assert record.value == value
        assert record.headers == tuple(headers)
        await reader.stop()

    asyncio.run(run())


def test_missing_topic(settings):
    """A reader of a topic that does not exist says so, and the question does not create it."""

    async def run() -> None:
        with pytest.raises(
            TopicError, match=r"topic 'sessions-\w+' does not exist; make it with `nextclick topics"
        ):
            await door.new_topic_reader(settings, settings.sessions_topic, from_beginning=True)
        assert await door.describe_topics(settings, [settings.sessions_topic]) == {
            settings.sessions_topic: None
        }

    asyncio.run(run())

"""The offsets of a consumer group that has no members: what it has committed, and where it is to begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError

from core.errors import BrokerError, TopicError
from stream_app.kafka.client import COMMITTED, CONTACT_S, broker_errors, start
from stream_app.kafka.security import client_options
from stream_app.settings import Settings


class GroupOffsets:
    """The offsets of the settings' group in one topic; made by :func:`group_offsets`."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._settings = settings
        self._consumer = consumer
        self._topic = topic
        self._partitions = sorted(consumer.assignment())

    async def committed(self) -> dict[int, int]:
        """What the group has committed; a partition without is absent."""
        async with self._asked():
            found = {tp.partition: await self._consumer.committed(tp) for tp in self._partitions}
        return {partition: offset for partition, offset in found.items() if offset is not None}

    async def ends(self) -> dict[int, int]:
        """The offset after the newest record of each partition."""
        async with self._asked():
            ends = await self._consumer.end_offsets(self._partitions)
        return {tp.partition: offset for tp, offset in ends.items()}

    async def begins(self) -> dict[int, int]:
        """The offset of the oldest record of each partition."""
        async with self._asked():
            begins = await self._consumer.beginning_offsets(self._partitions)
        return {tp.partition: offset for tp, offset in begins.items()}

    async def at(self, time_ms: int) -> dict[int, int]:
        """The offset of each partition's first record at or after a time; its end where there is none."""
        async with self._asked():
            found = await self._consumer.offsets_for_times(dict.fromkeys(self._partitions, time_ms))
        ends = await self.ends()
        return {tp.partition: at.offset if at else ends[tp.partition] for tp, at in found.items()}

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Have the group begin at these offsets.

        Raises:
            TopicError: the group has members.
        """
        places = {TopicPartition(self._topic, partition): offset for partition, offset in offsets.items()}
        try:
            async with self._asked():
                await self._consumer.commit(places)
        except BrokerError as error:
            if not isinstance(error.__cause__, CommitFailedError):
                raise
            raise TopicError(
                f"the group {self._settings.group_id!r} has workers that run: stop them first"
            ) from None

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        with broker_errors(self._settings):
            async with asyncio.timeout(CONTACT_S):
                yield


@asynccontextmanager
async def group_offsets(settings: Settings, topic: str, partitions: int) -> AsyncIterator[GroupOffsets]:
    """Ask about, and set, the offsets of the settings' group.

    Raises:
        BrokerError: no broker answers.
    """
    consumer = AIOKafkaConsumer(
        client_id="nextclick",
        group_id=settings.group_id,
        enable_auto_commit=False,
        isolation_level=COMMITTED,
        **client_options(settings),
    )
    consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
    await start(consumer, settings)
    try:
        yield GroupOffsets(settings, consumer, topic)
    finally:
        await consumer.stop()

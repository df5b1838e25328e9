"""Writing records in batches, each write confirmed by all in-sync replicas before it counts."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from stream_app.kafka.client import broker_errors, open_producer
from stream_app.settings import Settings


class OutRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to write."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Batch(NamedTuple):
    """Records to write to one partition, in their order."""

    topic: str
    partition: int
    records: Sequence[OutRecord]


class Outbox:
    """One producer; records of a call reach their partition in their order, those of other calls between.

    aiokafka holds one batch of a partition, and whoever brings another waits for a place. It counts the time
    of each wait again with each that follows, so of many who wait for one partition some would be told after
    seconds that no broker answers. Here they wait for each other, and one at a time for aiokafka.
    """

    def __init__(self, settings: Settings, producer: Any) -> None:
        self._settings = settings
        self._producer = producer
        self._turns: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)

    @classmethod
    async def open(cls, settings: Settings) -> Outbox:
        """Connect.

        Raises:
            BrokerError: no broker answers.
        """
        return cls(settings, await open_producer(settings, client_id=f"{settings.group_id}-worker"))

    async def write(self, topic: str, partition: int, records: Iterable[OutRecord]) -> int | None:
        """Write records to one partition and wait until they are confirmed.

        Returns:
            The offset of the last one; None when there was none.

        Raises:
            AccessError: this user may not write to the topic.
            BrokerError: the broker answers with another error, or not in time.
        """
        with broker_errors(self._settings):
            return await self._write(topic, partition, records)

    async def _write(self, topic: str, partition: int, records: Iterable[OutRecord]) -> int | None:
        sent: list[Any] = []
        batch, in_batch = None, 0
        for record in records:
            while batch is None or not self._append(batch, record):
                if batch is not None:
                    sent.append(await self._send(batch, topic, partition))
                batch, in_batch = self._producer.create_batch(), 0
            in_batch += 1
        if batch is None:
            return None
        sent.append(await self._send(batch, topic, partition))
        confirmed = await asyncio.gather(*sent)
        # A batch is confirmed with the offset of its first record.
        return int(confirmed[-1].offset) + in_batch - 1

    async def _send(self, batch: Any, topic: str, partition: int) -> Any:
        """Hand a batch over; a future of its confirmation."""
        async with self._turns[topic, partition]:
            return await self._producer.send_batch(batch, topic, partition=partition)

    async def close(self) -> None:
        """Send what is buffered and disconnect."""
        await self._producer.stop()

    @staticmethod
    def _append(batch: Any, record: OutRecord) -> bool:
        """Add a record to a batch; False when the batch is full. An empty batch takes any record."""
        added = batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers))
        return added is not None

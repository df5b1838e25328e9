"""One partition of a topic, read by offset: its bounds, one record, or all of a stretch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from core.errors import TopicError
from stream_app.kafka.client import CONTACT_S, broker_errors, new_log_reader, start
from stream_app.settings import Settings

#: Records that one read brings at most.
MOST_AT_ONCE = 2000

#: Milliseconds that reading up to an end waits for records, before it looks whether it has come there.
MARKERS_WAIT_MS = 50


class PartitionLog:
    """A partition's log; made by :meth:`connect` or :meth:`opened`.

    Args:
        settings: the brokers.
        reader: a started reader that is assigned this one partition.
    """

    def __init__(self, settings: Settings, reader: Any) -> None:
        self._settings = settings
        self._reader = reader
        (self._tp,) = reader.assignment()

    @classmethod
    async def connect(cls, settings: Settings, topic: str, partition: int, client_id: str) -> PartitionLog:
        """Connect; reading begins at the oldest record.

        Raises:
            BrokerError: no broker answers.
        """
        reader = new_log_reader(settings, topic, partition, client_id=client_id)
        await start(reader, settings)
        return cls(settings, reader)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, settings: Settings, topic: str, partition: int, client_id: str = "nextclick"
    ) -> AsyncIterator[PartitionLog]:
        """The same for a block.

        Raises:
            BrokerError: no broker answers.
        """
        log = await cls.connect(settings, topic, partition, client_id)
        try:
            yield log
        finally:
            await log.close()

    async def bounds(self) -> tuple[int, int]:
        """The offset of the oldest record, and the end: after the newest, and behind what a transaction left.

        In front of the end there may be offsets without a record: transactions leave markers, and aborted
        ones what they wrote. What a transaction has written that goes on is beyond the end.

        Raises:
            BrokerError: the broker does not answer within :data:`stream_app.kafka.client.CONTACT_S`.
        """
        with broker_errors(self._settings):
            async with asyncio.timeout(CONTACT_S):
                begins = await self._reader.beginning_offsets([self._tp])
                ends = await self._reader.end_offsets([self._tp])
        return int(begins[self._tp]), int(ends[self._tp])

    @property
    def end_seen(self) -> int | None:
        """The end, as the last read saw it; None before the first."""
        end: int | None = self._reader.last_stable_offset(self._tp)
        # The demo's embedded broker knows no transactions.
        return self._reader.highwater(self._tp) if end is None or end < 0 else end

    async def position(self) -> int:
        """The offset that the next read begins at; after an empty read there is nothing before the end."""
        return int(await self._reader.position(self._tp))

    def seek(self, offset: int) -> None:
        """Go on from an offset."""
        self._reader.seek(self._tp, offset)

    async def fetch(self, wait_ms: int = 1000) -> list[Any]:
        """The next records, up to :data:`MOST_AT_ONCE`; none when so many milliseconds brought none.

        Raises:
            AccessError: this user may not read the topic.
            BrokerError: the broker answers with another error.
        """
        with broker_errors(self._settings):
            fetched = await self._reader.getmany(self._tp, timeout_ms=wait_ms, max_records=MOST_AT_ONCE)
        return [record for records in fetched.values() for record in records]

    async def record_at(self, offset: int) -> Any | None:
        """The record at an offset below the end; None where the log has none there (any more)."""
        async for records in self.read(offset, offset + 1):
            return records[0]
        return None

    async def read(self, begin: int, end: int) -> AsyncIterator[list[Any]]:
        """All records from one offset up to another, which must not be beyond the end.

        Raises:
            TopicError: nothing came for :data:`stream_app.kafka.client.CONTACT_S` though there is more.
        """
        self.seek(begin)
        while await self.position() < end:
            try:
                async with asyncio.timeout(CONTACT_S):
                    records: list[Any] = []
                    while not records and await self.position() < end:
                        # A short wait: where only markers are left, nothing comes, and that is the end.
                        records = await self.fetch(MARKERS_WAIT_MS)
            except TimeoutError:
                raise TopicError(
                    f"{self._tp.topic} partition {self._tp.partition}: nothing came for {CONTACT_S:g} s from "
                    f"offset {await self.position()} on, though its end is {end}; are its brokers running?"
                ) from None
            if within := [record for record in records if record.offset < end]:
                yield within

    async def close(self) -> None:
        """Disconnect."""
        await self._reader.stop()

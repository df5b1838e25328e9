"""The changelog of one partition, written by its owner: a run's changes, and a second writer's noticed.

A partition's changelog has one writer, so a write begins where the last one ended, behind the marker if that
was a transaction. Where it does not, it is looked what is between. It may be what transactions leave there;
else another worker wrote: one that was replaced and does not know it yet. Its records are merged as a restore
would (:mod:`core.window.changelog`), and the current state of every key concerned is written once more, so
that compaction keeps that one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from stream_app.kafka.outbox import Batch, OutRecord
from stream_app.kafka.partition_log import PartitionLog
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry
from stream_app.worker.restoring import patiently
from stream_app.worker.tables import AS_OF, Change, VisitorTable

logger = logging.getLogger(__name__)


#: Writes to a changelog; returns the offset of the last record once the write counts.
Append = Callable[[Batch], Awaitable[int | None]]


class Changelog:
    """Writes a partition's changes to the changelog and, when they count there, to the table.

    Args:
        partition: of the input.
        settings: the brokers.
        append: writes.
        markers: offsets that each write takes behind its records: 1 for a transaction.
        table: the visitor table, restored.
        telemetry: is told of records that somebody else wrote.
    """

    def __init__(
        self,
        partition: int,
        settings: Settings,
        append: Append,
        markers: int,
        table: VisitorTable,
        telemetry: Telemetry,
    ) -> None:
        self._partition = partition
        self._settings = settings
        self._write = append
        self._markers = markers
        self._table = table
        self._telemetry = telemetry
        self._next = table.changelog_offset(partition) + 1
        self._stale = table.stale(partition)

    async def store(
        self, changes: Sequence[Change], applied: int, still_ours: Callable[[], Awaitable[bool]]
    ) -> list[bytes] | None:
        """Write a run's changes.

        Args:
            changes: in the order of :func:`stream_app.worker.tables.changes_of`, with the partition's record.
            applied: the input offset that the run ends with.
            still_ours: whether the partition is; asked before each write.

        Returns:
            The keys that may hold another state than ``changes`` say; mostly none. None when the partition is
            no longer ours: then the table is as it was.
        """
        if not await still_ours():
            return None
        first = self._next
        last = await self._append(changes, deleted_as_of=applied)
        if not await still_ours():
            return None
        again = self._stale
        if others := await self._others(first, last, len(changes)):
            again = again | self._merge(first, others)
        else:
            self._table.write(self._partition, changes, last)
        self._next = last + 1 + self._markers
        return await self._write_again(again, still_ours) if again else []

    async def _write_again(
        self, keys: set[bytes], still_ours: Callable[[], Awaitable[bool]]
    ) -> list[bytes] | None:
        """Write the current states of keys, until nobody else has written between."""
        alone = False
        while not alone:
            if not await still_ours():
                return None
            first = self._next
            changes = self._table.current(self._partition, keys)
            as_of = self._table.partition(self._partition).applied
            last = await self._append(changes, deleted_as_of=as_of, put_as_of=as_of)
            others = await self._others(first, last, len(changes))
            alone = not others
            if others:
                keys |= self._merge(first, others)
            self._next = last + 1 + self._markers
        self._table.write(self._partition, [], last, no_longer_stale=keys)
        self._stale = set()
        return sorted(keys)

    async def _others(self, first: int, last: int, written: int) -> list[Any]:
        """The records of a stretch that ends with those just written, if there are others among them."""
        if last - first + 1 == written:
            return []

        async def read() -> list[Any]:
            topic = self._table.changelog
            async with PartitionLog.opened(self._settings, topic, self._partition) as log:
                return [record async for records in log.read(first, last + 1) for record in records]

        # Patiently: a transaction that somebody has left open in between hides all that comes behind it.
        records = await patiently(read)
        return records if len(records) > written else []

    def _merge(self, first: int, records: list[Any]) -> set[bytes]:
        """Apply what counts of records that another wrote and of one's own between; the keys of all."""
        # The table goes on to say that it was read up to before: a crash now finds all of it again.
        self._table.restore(self._partition, records, first - 1)
        keys = {record.key for record in records}
        self._telemetry.changelog_merged.inc(len(records))
        logger.warning(
            "partition %d: another worker wrote to the changelog between offsets %d and %d; merged, and %d "
            "keys are written once more",
            self._partition,
            first,
            records[-1].offset,
            len(keys),
            extra={"partition": self._partition, "offset": first, "records": len(records)},
        )
        return keys

    async def _append(
        self, changes: Iterable[Change], *, deleted_as_of: int, put_as_of: int | None = None
    ) -> int:
        """Write to the changelog; the offset of the last record."""
        deleted = [(AS_OF, str(deleted_as_of).encode())]
        put = [] if put_as_of is None else [(AS_OF, str(put_as_of).encode())]
        records = [OutRecord(key, value, put if value is not None else deleted) for key, value in changes]
        offset = await self._write(Batch(self._table.changelog, self._partition, records))
        if offset is None:
            raise ValueError("a write to the changelog has at least the partition's own record")
        return offset

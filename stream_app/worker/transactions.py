"""Exactly once: a run is one transaction, and a partition has one transactional id, whoever its owner is.

The id is of the group and the partition. So an owner that opens its producer fences the one before it, frozen
or not, and aborts what that left open, before it looks where the changelog ends: from then on nobody else
writes for the partition. The partition's record, on the changelog and in the transaction of its run, says up
to which input offset all was answered; what is read again is left out by it. So does the record that a worker
without transactions has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from core.errors import TransactionLostError
from core.window.step import PartitionState, Record
from stream_app.kafka.outbox import Batch
from stream_app.kafka.topics import transactional_id
from stream_app.kafka.transactions import TransactionalOutbox
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry
from stream_app.worker.changelog import Changelog
from stream_app.worker.restoring import catch_up, patiently
from stream_app.worker.tables import VisitorTable
from stream_app.worker.writers import RunWrites, Writer


class TransactionalWriter:
    """Writes the runs of one partition, each a transaction.

    Args:
        partition: of the input.
        settings: the brokers, the clicks topic, the group.
        outbox: of the partition's transactional id.
        table: the visitor table, restored.
        telemetry: is told.
    """

    atomic = True

    def __init__(
        self,
        partition: int,
        settings: Settings,
        outbox: TransactionalOutbox,
        table: VisitorTable,
        telemetry: Telemetry,
    ) -> None:
        self._input = settings.clicks_topic, partition
        self._outbox = outbox
        self._telemetry = telemetry
        self._changelog = Changelog(partition, settings, self._commit, 1, table, telemetry)
        self._published: Sequence[Batch] = ()
        self._answered: int | None = None
        self._on_published: Callable[[], object] = _nothing

    def left_to_do(self, records: list[Record], before: PartitionState) -> list[Record]:
        """Those that are not known to be answered, be they applied: what is, was so with the state."""
        return [record for record in records if record.offset > before.answered_until]

    async def write(
        self, run: RunWrites, still_ours: Callable[[], Awaitable[bool]], on_published: Callable[[], object]
    ) -> list[bytes] | None:
        """Write a run; see :class:`stream_app.worker.writers.Writer`."""
        self._published, self._on_published = run.published, on_published
        self._answered = run.answered
        return await self._changelog.store(run.changes, run.applied, still_ours)

    async def _commit(self, changes: Batch) -> int | None:
        """Write what is published, the changes and the input's offset; what is published is so once."""
        batches, self._published = (changes, *self._published), ()
        offsets = {} if self._answered is None else {self._input: self._answered + 1}
        ended = self._telemetry.transactions
        try:
            last, *_ = await self._outbox.write(batches, offsets)
        except BaseException as error:
            ended.labels("lost" if isinstance(error, TransactionLostError) else "aborted").inc()
            raise
        ended.labels("committed").inc()
        on_published, self._on_published = self._on_published, _nothing
        on_published()
        return last


class TransactionalWriters:
    """The writers of a worker's partitions, each with a producer of its own."""

    def __init__(self, settings: Settings, table: VisitorTable, telemetry: Telemetry) -> None:
        self._settings = settings
        self._table = table
        self._telemetry = telemetry
        self._outboxes: dict[int, TransactionalOutbox] = {}

    async def check(self) -> None:
        """See that this user may write in transactions, with an id that is no partition's.

        Raises:
            AccessError: it may not.
            BrokerError: the brokers have no transactions, or do not answer.
        """
        outbox = await TransactionalOutbox.open(self._settings, transactional_id(self._settings))
        await outbox.close()

    async def take_over(self, partitions: Iterable[int]) -> None:
        """Open a producer for each partition; who wrote for it before can write no more.

        Raises:
            AccessError: this user may not write with the partition's transactional id.
            BrokerError: the brokers are away for long.
        """
        await asyncio.gather(*map(self._open, partitions))

    async def take_over_again(self, partition: int) -> Writer:
        """Open another producer, and read what the changelog has beyond the table."""
        await self._open(partition)
        await catch_up(self._settings, self._table, partition)
        return self.of(partition)

    def of(self, partition: int) -> Writer:
        """The writer of a partition that was taken over and whose table is restored."""
        outbox = self._outboxes[partition]
        return TransactionalWriter(partition, self._settings, outbox, self._table, self._telemetry)

    async def let_go(self) -> None:
        """Disconnect; the partitions' runs have ended."""
        outboxes = [*self._outboxes.values()]
        self._outboxes.clear()
        await asyncio.gather(*(outbox.close() for outbox in outboxes))

    async def close(self) -> None:
        """Disconnect."""
        await self.let_go()

    async def _open(self, partition: int) -> None:
        if before := self._outboxes.pop(partition, None):
            await before.close()
        name = transactional_id(self._settings, partition)
        self._outboxes[partition] = await patiently(lambda: TransactionalOutbox.open(self._settings, name))


def _nothing() -> None:
    """Nobody is to be told."""

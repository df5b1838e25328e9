"""The writes of a run, by the setting ``guarantee``: confirmed one after the other, or one transaction.

A partition has a writer of its own from when it is assigned until it is revoked. What both kinds have in
common is the order: what a run writes for others counts no later than its state does on the changelog, or
comes again when the run is read again; and RocksDB has it last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from core.window.step import PartitionState, Record
from stream_app.kafka.outbox import Batch, Outbox
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry
from stream_app.worker.changelog import Changelog
from stream_app.worker.tables import Change, VisitorTable


class RunWrites(NamedTuple):
    """What a run writes.

    Attributes:
        published: what others read.
        changes: of the visitor table, in the order of :func:`stream_app.worker.tables.changes_of`.
        applied: the input offset that the run ends with.
        answered: the input offset up to which all is answered with it; less than ``applied`` where a run
            before it was lost between its state and its answers, and is not read again to its end yet. None
            where it has no records: what is not read yet may be answered.
        together: the state may be written before what others read is: see
            :func:`core.window.step.comes_again`.
    """

    published: Sequence[Batch]
    changes: Sequence[Change]
    applied: int
    answered: int | None
    together: bool


class Writer(Protocol):
    """Writes the runs of one partition.

    Attributes:
        atomic: all that a run writes counts, or nothing.
    """

    atomic: bool

    def left_to_do(self, records: list[Record], before: PartitionState) -> list[Record]:
        """Those of some records that are to be worked on where the partition is as it is."""

    async def write(
        self, run: RunWrites, still_ours: Callable[[], Awaitable[bool]], on_published: Callable[[], object]
    ) -> list[bytes] | None:
        """Write a run, to the table last.

        Args:
            run: what it writes.
            still_ours: whether the partition is.
            on_published: is called when others can read what is published.

        Returns:
            The keys that may hold another state than the run's changes say; mostly none. None when the
            partition is no longer ours: then the table is as it was.

        Raises:
            TransactionLostError: nothing tells whether the run is written; :meth:`Writers.take_over` and the
                table then do.
            BrokerError: the broker answers with another error, or not in time.
            AccessError: this user may not write to one of the topics.
        """


class Writers(Protocol):
    """The writers of a worker's partitions."""

    async def take_over(self, partitions: Iterable[int]) -> None:
        """See that nobody else can write for these partitions, as far as the guarantee has it.

        Called before Faust is told where their changelogs end, so before anything of them is restored.
        """

    async def take_over_again(self, partition: int) -> Writer:
        """The same of a partition whose transaction was lost; its table then has all of the changelog."""

    def of(self, partition: int) -> Writer:
        """The writer of a partition that was taken over and whose table is restored."""

    async def let_go(self) -> None:
        """Give up all partitions, whose runs have ended."""

    async def close(self) -> None:
        """Disconnect."""


class ConfirmedWriter:
    """At least once: what others read, all confirmed; then the changelog, confirmed; then the table.

    Where what others read would come again, it and the changelog go together: half the time of a short run.
    """

    atomic = False

    def __init__(self, outbox: Outbox, changelog: Changelog) -> None:
        self._outbox = outbox
        self._changelog = changelog

    def left_to_do(self, records: list[Record], before: PartitionState) -> list[Record]:
        """All: what was applied is answered again where its session is open."""
        del before
        return records

    async def write(
        self, run: RunWrites, still_ours: Callable[[], Awaitable[bool]], on_published: Callable[[], object]
    ) -> list[bytes] | None:
        """Write a run; see :class:`Writer`."""
        if not run.together:
            await self._publish(run.published, on_published)
            return await self._changelog.store(run.changes, run.applied, still_ours)
        publishing = asyncio.create_task(self._publish(run.published, on_published))
        try:
            return await self._changelog.store(run.changes, run.applied, still_ours)
        finally:
            await publishing

    async def _publish(self, batches: Iterable[Batch], on_published: Callable[[], object]) -> None:
        await asyncio.gather(*(self._outbox.write(*batch) for batch in batches))
        on_published()


class ConfirmedWriters:
    """At least once: all partitions have one producer."""

    def __init__(self, settings: Settings, outbox: Outbox, table: VisitorTable, telemetry: Telemetry) -> None:
        self._settings = settings
        self._outbox = outbox
        self._table = table
        self._telemetry = telemetry

    async def take_over(self, partitions: Iterable[int]) -> None:
        """Nothing: what a replaced worker still writes is noticed and merged."""

    async def take_over_again(self, partition: int) -> Writer:
        """A new writer."""
        return self.of(partition)

    def of(self, partition: int) -> Writer:
        """A new writer."""

        def append(batch: Batch) -> Awaitable[int | None]:
            return self._outbox.write(*batch)

        changelog = Changelog(partition, self._settings, append, 0, self._table, self._telemetry)
        return ConfirmedWriter(self._outbox, changelog)

    async def let_go(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Send what is buffered and disconnect."""
        await self._outbox.close()

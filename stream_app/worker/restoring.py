"""Restoring partitions' tables from their changelogs, before Faust looks what there is to restore.

Faust would hand over one record at a time, which takes it some ninety microseconds, and takes whatever comes
next for the next record: what a fetch brought before a rebalance may come behind it, in front of a hole that
nobody notices. It also waits for the record right in front of the end, where transactions leave offsets that
have none. Here each changelog is read by offset from where its table says up to its end, and Faust finds
nothing left to do.

Each step of a recovery, this one too, may take Faust's ``broker_request_timeout``, 90 seconds. What takes
longer Faust takes for its own stop: the recovery would end without a word, and never begin again. With
:func:`go_on_restoring` it begins anew, from where the tables are by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from faust.tables.recovery import RebalanceAgain, ServiceStopped

from core.errors import BrokerError, TopicError
from stream_app.kafka.partition_log import PartitionLog
from stream_app.settings import Settings
from stream_app.worker.tables import VisitorTable

logger = logging.getLogger(__name__)

#: How long brokers that are away are waited for, seconds.
PATIENCE_S: Final = 60.0

#: How often they are asked, seconds.
ASK_AGAIN_S: Final = 0.5

#: Partitions that are restored side by side, each with a fetch of its own in memory.
MOST_AT_ONCE: Final = 4

Answer = TypeVar("Answer")


class Restoring:
    """Restores the tables of partitions that were assigned; knows how much is left.

    Args:
        settings: the brokers.
        table: the visitor table.
    """

    def __init__(self, settings: Settings, table: VisitorTable) -> None:
        self._settings = settings
        self._table = table
        self._left: dict[int, int] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def left(self) -> int | None:
        """Offsets of the changelogs that are still to be read; None where their ends are not known yet."""
        return None if self._left is None else sum(self._left.values())

    async def restore(self, ends: Mapping[int, int]) -> None:
        """Bring tables up to the ends of their changelogs.

        Args:
            ends: by partition, the offset up to which its changelog is read.

        Raises:
            RebalanceAgain: the partitions were let go of meanwhile.
            BrokerError: the brokers are away for :data:`PATIENCE_S`.
            TopicError: they do not hand out what a log has, for as long.
            StateError: a record was written by another version, or is damaged.
        """
        await self.let_go()
        after = {partition: self._table.changelog_offset(partition) + 1 for partition in ends}
        self._left = {partition: max(0, end - after[partition]) for partition, end in ends.items()}
        task = self._task = asyncio.create_task(self._restore(ends), name="restore")
        try:
            await task
        except asyncio.CancelledError:
            if self._task is task:
                raise
            raise RebalanceAgain from None

    async def let_go(self) -> None:
        """Write to no table any more: the partitions may be another worker's next."""
        self._left = None
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _restore(self, ends: Mapping[int, int]) -> None:
        turn = asyncio.Semaphore(MOST_AT_ONCE)
        tasks = [asyncio.create_task(self._restore_one(*which, turn)) for which in ends.items()]
        try:
            await asyncio.gather(*tasks)
        finally:  # where one has failed the others would go on beside the next attempt
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _restore_one(self, partition: int, end: int, turn: asyncio.Semaphore) -> None:
        left = self._left
        if not left or not left[partition]:
            return  # also where the table is beyond the end, in a topic that was made anew: Faust refuses it

        def note(after: int) -> None:
            left[partition] = end - after

        async with turn:
            await catch_up(self._settings, self._table, partition, end, note)
        left[partition] = 0


async def catch_up(
    settings: Settings,
    table: VisitorTable,
    partition: int,
    end: int | None = None,
    note: Callable[[int], None] = lambda _: None,
) -> None:
    """Bring a table up to the end of its partition's changelog.

    Args:
        settings: the brokers.
        table: the visitor table.
        partition: of it.
        end: the offset up to which the changelog is read; None for all that it has.
        note: is called with the offset after what was read, again and again.

    Raises:
        BrokerError: the brokers are away for :data:`PATIENCE_S`.
        TopicError: they do not hand out what the log has, for as long.
        StateError: a record was written by another version, or is damaged.
    """

    async def read() -> bool:
        begin = table.changelog_offset(partition)
        try:
            async with PartitionLog.opened(settings, table.changelog, partition) as log:
                oldest, newest = await log.bounds()
                async for records in log.read(max(oldest, begin + 1), newest if end is None else end):
                    table.restore(partition, records, records[-1].offset)
                    note(records[-1].offset + 1)
                    await asyncio.sleep(0)  # one fetch brings many parts, and others wait for their turn
        except (BrokerError, TopicError):
            if table.changelog_offset(partition) == begin:
                raise
            return False  # it went on, so patience begins anew
        return True

    while not await patiently(read):
        pass


def go_on_restoring(app: Any) -> None:
    """Have a recovery of which a step took too long begin anew, until one has all that it asks for."""
    recovery = app.tables.recovery
    wait = recovery._wait  # noqa: SLF001 -- nothing public tells how a step ended

    async def wait_again(step: Any, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- Faust's
        try:
            await wait(step, timeout=timeout)
        except ServiceStopped:
            if recovery.should_stop or app.should_stop or timeout is None:
                raise
            logger.warning("a step took longer than %.0f s; the recovery begins anew", timeout)
            recovery.signal_recovery_start.set()
            raise RebalanceAgain from None

    recovery._wait = wait_again  # noqa: SLF001 -- the same


async def patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until the brokers answer.

    Raises:
        BrokerError: they are away for :data:`PATIENCE_S`.
        TopicError: they do not hand out what a log has, for as long.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while True:
        try:
            return await ask()
        except (BrokerError, TopicError) as error:
            if loop.time() > deadline:
                raise
            logger.warning("asked again: %s", error)
        await asyncio.sleep(ASK_AGAIN_S)

"""Restoring a partition's table from a changelog in a real Kafka."""

from __future__ import annotations

import asyncio

import pytest
from faust.tables.recovery import RebalanceAgain

from core.errors import StateError
from core.window.sessions import HeldClick, Session
from core.window.step import PartitionState, VisitorState
from stream_app.kafka.outbox import Batch, OutRecord
from stream_app.kafka.partition_log import PartitionLog
from stream_app.kafka.topics import changelog_topic
from stream_app.kafka.transactions import TransactionalOutbox
from stream_app.worker.app import new_app
from stream_app.worker.restoring import Restoring
from stream_app.worker.tables import encode_state
from tests.worker_process import create_topics

PARTITION = 1
BEGIN_MS = 1_700_000_000_000


def visitor(number: int) -> OutRecord:
    """A visitor's state, as of the click with that number."""
    session = Session(f"{PARTITION}-{number}", (HeldClick(BEGIN_MS, number, "a"),), BEGIN_MS)
    return OutRecord(b"v%d" % number, encode_state(VisitorState(number, session)))


async def write_changelog(settings, records, *, commits=True) -> int:
    """Write records in a transaction; the offset after all that the changelog has."""
    outbox = await TransactionalOutbox.open(settings, "writer")
    batch = Batch(changelog_topic(settings), PARTITION, records)
    if commits:
        await outbox.write([batch], {})
    else:
        await outbox._producer.begin_transaction()
        await outbox._outbox.write(*batch)
        await outbox._producer.abort_transaction()
    await outbox.close()
    async with PartitionLog.opened(settings, changelog_topic(settings), PARTITION) as log:
        return (await log.bounds())[1]


def new_restoring(settings):
    """What restores a table, and the table: empty, unless the folder has one."""
    _, runtime = new_app(settings, 4)
    return Restoring(settings, runtime._table), runtime._table


def test_a_table_has_all_that_is_committed_and_goes_on_where_it_was(settings):
    """Behind markers and what was aborted too; restored again, only what has come since is read."""
    create_topics(settings)

    async def run() -> None:
        restoring, table = new_restoring(settings)
        assert restoring.left is None
        own = OutRecord(b"p", encode_state(PartitionState(2, 7)))
        await write_changelog(settings, [visitor(1), visitor(2), own])
        end = await write_changelog(settings, [visitor(3)], commits=False)
        await restoring.restore({PARTITION: end, 0: 0})
        assert restoring.left == 0
        assert table.partition(PARTITION) == PartitionState(2, 7)
        assert [name for name, _ in table.all_visitors(PARTITION)] == ["1", "2"]
        assert (table.changelog_offset(PARTITION), table.changelog_offset(0)) == (2, -1)
        end = await write_changelog(settings, [visitor(4)])
        read = []
        restore = table.restore

        def restore_and_note(partition, records, offset):
            read.extend(record.key for record in records)
            restore(partition, records, offset)

        table.restore = restore_and_note
        await restoring.restore({PARTITION: end})
        assert read == [b"v4"]
        assert table.changelog_offset(PARTITION) == end - 2  # its marker is behind it
        await restoring.restore({PARTITION: end - 4})  # the topic was made anew: that is Faust's to refuse
        assert read == [b"v4"]

    asyncio.run(run())


def test_what_is_let_go_of_is_written_no_more(settings):
    """A rebalance in the middle ends it, says so, and the next one goes on from there."""
    create_topics(settings)
    records = [visitor(number) for number in range(10_000)]

    async def run() -> None:
        restoring, table = new_restoring(settings)
        end = await write_changelog(settings, records)
        restore = table.restore
        parts: list[int] = []
        second = asyncio.Event()

        def restore_and_count(partition, records, offset):
            restore(partition, records, offset)
            parts.append(offset)
            if len(parts) == 2:
                second.set()

        table.restore = restore_and_count
        task = asyncio.create_task(restoring.restore({PARTITION: end}))
        await second.wait()
        assert restoring.left == end - parts[-1] - 1 > 0
        await restoring.let_go()
        with pytest.raises(RebalanceAgain):
            await task
        assert restoring.left is None
        assert table.changelog_offset(PARTITION) == parts[-1] < len(records) - 1
        so_far = len(parts)
        await asyncio.sleep(0.2)
        assert len(parts) == so_far
        await restoring.restore({PARTITION: end})
        assert sum(1 for _ in table.all_visitors(PARTITION)) == len(records)

    asyncio.run(run())


def test_what_is_cancelled_from_outside_stays_cancelled(settings):
    """Faust does so when a step takes too long; nothing goes on behind it."""
    create_topics(settings)

    async def run() -> None:
        restoring, table = new_restoring(settings)
        end = await write_changelog(settings, [visitor(number) for number in range(10_000)])
        task = asyncio.create_task(restoring.restore({PARTITION: end}))
        first = table.restore

        def restore_and_cancel(partition, records, offset):
            first(partition, records, offset)
            task.cancel()

        table.restore = restore_and_cancel
        with pytest.raises(asyncio.CancelledError):
            await task
        so_far = table.changelog_offset(PARTITION)
        await asyncio.sleep(0.2)
        assert table.changelog_offset(PARTITION) == so_far < end - 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("spoil", "expected", "said"),
    [
        (lambda _: None, StateError, "holds a value of version 255"),
        (lambda table: table._db(PARTITION).close(), Exception, "closed"),
    ],
    ids=["a state of another version", "a disk that cannot be written"],
)
def test_what_cannot_be_restored_is_said_at_once(settings, spoil, expected, said):
    """Nothing of such a state is guessed, and it is not tried again for ever."""
    create_topics(settings)

    async def run() -> None:
        restoring, table = new_restoring(settings)
        table.restore(PARTITION, [], -1)  # opens it
        end = await write_changelog(settings, [visitor(1), OutRecord(b"v2", b"\xff\x00")])
        spoil(table)
        await restoring.restore({PARTITION: end})

    with pytest.raises(expected, match=said):
        asyncio.run(run())

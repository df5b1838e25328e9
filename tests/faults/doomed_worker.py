"""A worker, run as a script, that ends or freezes itself at a moment that is hard to reach from outside.

    doomed_worker.py MOMENT COUNT SIGNAL

The signal is sent to this process itself when the moment comes for the COUNTth time. With HANG for a signal
the moment never ends.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys

from stream_app.cli import main
from stream_app.kafka.outbox import Outbox
from stream_app.kafka.transactions import TransactionalOutbox
from stream_app.worker.changelog import Changelog
from stream_app.worker.tables import VisitorTable
from stream_app.worker.writers import ConfirmedWriter

#: Moment → where it is, and whether before or after it.
MOMENTS = {
    # Outputs are confirmed, the changelog has nothing yet. Exactly once: nothing is written.
    "published": (Changelog, "store", "before"),
    # The check before the write has said yes.
    "checked": (Changelog, "_append", "before"),
    # Exactly once: all is written, nothing is committed.
    "uncommitted": (TransactionalOutbox, "_commit", "before"),
    # The changelog has confirmed, or the transaction is committed; RocksDB has nothing yet.
    "confirmed": (Changelog, "_append", "after"),
    # RocksDB is written, the run is not acknowledged.
    "stored": (VisitorTable, "write", "after"),
    # A part of the changelog is read, nothing or all of the part is in RocksDB.
    "restoring": (VisitorTable, "restore", "before"),
    "restored": (VisitorTable, "restore", "after"),
}


class Doom:
    """Counts, and sends the signal."""

    def __init__(self, count: int, how: signal.Signals | None) -> None:
        self.left = count
        self.how = how

    def come(self) -> None:
        """The moment."""
        self.left -= 1
        if not self.left and self.how is not None:
            os.kill(os.getpid(), self.how)


def doom(owner: type, name: str, when: str, fate: Doom) -> None:
    """Have every call of a method counted."""
    method = getattr(owner, name)
    before, after = (fate.come, lambda: None) if when == "before" else (lambda: None, fate.come)

    async def waiting(*args, **kwargs):
        before()
        if not fate.left and fate.how is None:
            await asyncio.Event().wait()
        result = await method(*args, **kwargs)
        after()
        return result

    def plain(*args, **kwargs):
        before()
        result = method(*args, **kwargs)
        after()
        return result

    setattr(owner, name, waiting if inspect.iscoroutinefunction(method) else plain)


def half_written(fate: Doom) -> None:
    """Write half of a run's changelog records, wait until they are confirmed, and meet the moment."""
    write = Outbox.write

    async def half(self, topic, partition, records):
        records = list(records)
        if topic.endswith("-visitors-changelog") and fate.left == 1:
            await write(self, topic, partition, records[: len(records) // 2])
            await asyncio.sleep(0.01)
        if topic.endswith("-visitors-changelog"):
            fate.come()
        return await write(self, topic, partition, records)

    Outbox.write = half


def unanswered(fate: Doom) -> None:
    """Of a run whose answers and state go together write the state alone, and meet the moment."""
    write = ConfirmedWriter.write

    async def alone(self, run, still_ours, on_published):
        if run.together and fate.left == 1:
            await self._changelog.store(run.changes, run.applied, still_ours)
        if run.together:
            fate.come()
        return await write(self, run, still_ours, on_published)

    ConfirmedWriter.write = alone


#: Moments that are not before or after a call.
ALONE = {"half": half_written, "unanswered": unanswered}


if __name__ == "__main__":
    moment, count, how = sys.argv[1:4]
    fate = Doom(int(count), None if how == "HANG" else signal.Signals[how])
    if moment in ALONE:
        ALONE[moment](fate)
    else:
        doom(*MOMENTS[moment], fate)
    sys.argv = ["nextclick", "worker"]
    main()

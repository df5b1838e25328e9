"""Runs that wait for their partition, taken together: a backlog of small runs becomes one run.

A fetch brings what is there at that moment, a click or two when the consumer is fast. Were each of these
worked off by itself, with its own confirmed writes, a backlog that one pause left behind would stay: small
runs would come as fast as they go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from core.window.step import Record

#: Runs of full size that wait for a partition at most. The agent waits then, and with it all partitions;
#: runs do not come to it, since no more of them are read (``transport.py``).
MOST_WAITING: Final = 2


class Run(NamedTuple):
    """Work for a partition: records (none: a tick), whether it is still ours, and what to call at its end.

    ``still_ours`` waits where that is not known. ``done`` is called when all is written, ``dropped`` when the
    partition went to another worker before. Runs of one ``generation`` are ours together. ``follows`` and
    ``begins``: see :class:`stream_app.worker.handed.Handed`.
    """

    generation: int | None
    records: list[Record]
    still_ours: Callable[[], Awaitable[bool]]
    done: Callable[[], object] = lambda: None
    dropped: Callable[[], object] = lambda: None
    follows: bool = True
    begins: int | None = None


class WaitingRuns:
    """A queue of one partition's runs, in the order of its log.

    Args:
        most_clicks: of what is taken at once, at least 1; a single run that is larger is taken alone.
    """

    def __init__(self, most_clicks: int) -> None:
        self._most_clicks = most_clicks
        self._runs: deque[Run] = deque()
        self._clicks = 0
        self._ended = False
        self._filled = asyncio.Event()
        self._room = asyncio.Event()

    def __bool__(self) -> bool:
        """Whether any run waits."""
        return bool(self._runs)

    async def put(self, run: Run) -> None:
        """Add a run; waits while ``most_clicks`` times :data:`MOST_WAITING` are before it."""
        while self._clicks >= MOST_WAITING * self._most_clicks and not self._ended:
            self._room.clear()
            await self._room.wait()
        self.put_now(run)

    def put_now(self, run: Run) -> None:
        """Add a run at once; after :meth:`end` it is dropped."""
        if self._ended:
            run.dropped()
            return
        self._runs.append(run)
        self._clicks += len(run.records)
        self._filled.set()

    async def take(self) -> Run | None:
        """The next run, with those of its generation behind it as far as they fit; None after :meth:`end`.

        A tick is taken alone.
        """
        while not self._runs and not self._ended:
            self._filled.clear()
            await self._filled.wait()
        if self._ended:
            return None
        taken = [self._runs.popleft()]
        clicks = len(taken[0].records)
        while clicks and self._runs and self._goes_with(taken[0], clicks, self._runs[0]):
            taken.append(self._runs.popleft())
            clicks += len(taken[-1].records)
        self._clicks -= clicks
        self._room.set()
        return _together(taken)

    def end(self) -> None:
        """Drop what waits, and let :meth:`take` and :meth:`put` return."""
        self._ended = True
        while self._runs:
            self._runs.popleft().dropped()
        self._clicks = 0
        self._filled.set()
        self._room.set()

    def _goes_with(self, first: Run, clicks: int, behind: Run) -> bool:
        fits = 0 < len(behind.records) <= self._most_clicks - clicks
        return fits and behind.generation == first.generation


def _together(runs: list[Run]) -> Run:
    if len(runs) == 1:
        return runs[0]

    def done() -> None:
        for run in runs:
            run.done()

    def dropped() -> None:
        for run in runs:
            run.dropped()

    records = [record for run in runs for record in run.records]
    return runs[0]._replace(records=records, done=done, dropped=dropped)

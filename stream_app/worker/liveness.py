"""Whether a worker makes progress: a partition that has input and finishes nothing is stalled.

Waiting for the brokers and restoring the state are no stalls; they are said, too.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple


class Progress(NamedTuple):
    """What is known of an assigned partition.

    Attributes:
        finished: input offset after the last finished run.
        end: input offset after the last record.
        phase: what its processor does.
        more: whether there is anything to do.
    """

    finished: int
    end: int
    phase: str
    more: bool


class Liveness:
    """Looked at now and then; asked by ``/live`` from another thread.

    Args:
        stall_s: a partition that has input and finishes nothing for so long is stalled, seconds.
        now_s: a clock that only goes on, seconds; each call gives it.
    """

    def __init__(self, stall_s: float, now_s: float) -> None:
        self._stall_s = stall_s
        self._lock = threading.Lock()
        self._since: dict[int, tuple[int, float]] = {}
        self._stalled: dict[int, str] = {}
        self._waiting: tuple[str, float] | None = ("to be started", now_s)
        #: When it was looked last; None before the first time: a start takes its time, compiling for one.
        self._looked_s: float | None = None

    def look(self, partitions: Mapping[int, Progress], now_s: float) -> dict[int, str]:
        """Compare with the look before.

        Returns:
            By partition, a sentence for each that is stalled since this look.
        """
        with self._lock:
            self._looked_s, self._waiting = now_s, None
            self._since = {p: known for p, known in self._since.items() if p in partitions}
            before, self._stalled = self._stalled, {}
            for partition, progress in partitions.items():
                finished, since_s = self._since.get(partition, (-1, now_s))
                if finished != progress.finished or not progress.more:
                    self._since[partition] = (progress.finished, now_s)
                elif now_s - since_s > self._stall_s:
                    self._stalled[partition] = (
                        f"partition {partition} has finished nothing for {now_s - since_s:.0f} s: it is at "
                        f"offset {progress.finished} of {progress.end}, {progress.phase}"
                    )
            return {partition: said for partition, said in self._stalled.items() if partition not in before}

    def wait(self, why: str, now_s: float) -> float:
        """The worker waits for something outside; nothing is stalled meanwhile. For how many seconds now."""
        with self._lock:
            self._looked_s = now_s
            self._stalled = {}
            self._since = {partition: (finished, now_s) for partition, (finished, _) in self._since.items()}
            if self._waiting is None or self._waiting[0] != why:
                self._waiting = (why, now_s)
            return now_s - self._waiting[1]

    @property
    def stalled(self) -> int:
        """How many partitions are stalled."""
        return len(self._stalled)

    def state(self, now_s: float) -> tuple[bool, str]:
        """Whether the worker lives, and a sentence on it."""
        with self._lock:
            if self._looked_s is not None and now_s - self._looked_s > self._stall_s:
                return False, f"the event loop has not looked for {now_s - self._looked_s:.0f} s"
            if self._stalled:
                return False, "; ".join(self._stalled.values())
            if self._waiting:
                why, since_s = self._waiting
                return True, f"waiting {why} for {now_s - since_s:.0f} s"
            return True, "ok"

"""The runs that were read of each partition, in the order of its log, and what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import takewhile
from operator import attrgetter
from typing import Any


class _Run:
    """A run that was read: its message, the offset after its last record, and how many it has.

    Attributes:
        taken: whether the agent has it. All before a taken run are taken.
        done: whether it is finished.
    """

    __slots__ = ("after", "done", "message", "records", "taken")

    def __init__(self, message: Any, after: int, records: int) -> None:
        self.message = message
        self.after = after
        self.records = records
        self.taken = False
        self.done = False


class ReadRuns:
    """Knows of each run whether it is the agent's, and up to which offset all are finished.

    A message belongs to the partition in its ``tp``, and is known by its identity.
    """

    def __init__(self) -> None:
        self._runs: dict[Any, deque[_Run]] = {}
        self._finished: dict[Any, int] = {}  # offset after the last run that is finished with all before it

    def add(self, message: Any, after: int, records: int) -> None:
        """Note a run of so many records, read behind all others of its partition, and the offset after it."""
        self._runs.setdefault(message.tp, deque()).append(_Run(message, after, records))

    def take(self, message: Any) -> bool:
        """Note that the agent has a run; False when that is not its turn, or it is none of those known."""
        for run in self._runs.get(message.tp, ()):
            if run.message is message:
                run.taken = True
                return True
            if not run.taken:
                break
        return False

    def release(self, message: Any) -> None:
        """Note that the agent gave a run up: nothing from it on is finished before it is read again."""
        for run in self._of(message):
            run.taken = False

    def finish(self, message: Any) -> None:
        """Note that a run is finished."""
        for run in self._of(message):
            run.done = True
        runs = self._runs.get(message.tp, deque())
        while runs and runs[0].done:
            self._finished[message.tp] = runs.popleft().after

    def forget_untaken(self, tp: Any) -> None:
        """Forget a partition's runs from the first on that the agent does not have: they are read again."""
        self._runs[tp] = deque(takewhile(attrgetter("taken"), self._runs.get(tp, ())))

    def unfinished(self, tp: Any) -> int:
        """Records of a partition that were read, and are not finished with all before them."""
        return sum(run.records for run in self._runs.get(tp, ()))

    def finished(self, tp: Any) -> int | None:
        """The offset up to which all runs of a partition are finished; None where none is."""
        return self._finished.get(tp)

    @property
    def partitions(self) -> Iterable[Any]:
        """Those of which a run is finished."""
        return self._finished

    def forget(self, tp: Any) -> None:
        """Forget all of a partition."""
        self._runs.pop(tp, None)
        self._finished.pop(tp, None)

    def _of(self, message: Any) -> Iterator[_Run]:
        return (run for run in self._runs.get(message.tp, ()) if run.message is message)

"""Coverage: how many different items the last answers had. Many items of a catalogue are never shown."""

from __future__ import annotations

import numpy as np

from core.arrays import Int32s


class Coverage:
    """Counts the different items of the last answers, exactly, in two bytes an item number.

    Two items count once where the index gave the number of one to the other meanwhile.

    Args:
        answers: the count is of at least so many of the last answers and of fewer than twice as many and a
            run, or of all while there are fewer.
    """

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._noted = 0
        # Rows: the items of the answers now, and of those before. One array: another thread counts them.
        self._seen = np.zeros((2, 1024), np.bool_)
        self._now = 0

    def note(self, items: Int32s, count: Int32s) -> None:
        """Take a run's answers in.

        Args:
            items: (answers, most items) the index's numbers of the items.
            count: (answers,) how many of a row are an answer; the rest of it is passed over.
        """
        if self._noted >= self._answers:
            self._now, self._noted = 1 - self._now, 0
            self._seen[self._now] = False
        # Nearly every answer is full, and what a run of a few clicks costs is the number of calls here.
        full = not len(count) or count.min() == items.shape[1]
        shown = items.ravel() if full else items[np.arange(items.shape[1]) < count[:, None]]
        try:
            self._seen[self._now, shown] = True
        except IndexError:
            size = self._seen.shape[1]
            self._seen = np.pad(self._seen, ((0, 0), (0, max(int(shown.max()) + 1 - size, size))))
            self._seen[self._now, shown] = True
        self._noted += len(count)

    @property
    def items(self) -> int:
        """How many different items the last answers had."""
        return int(np.count_nonzero(self._seen.any(axis=0)))

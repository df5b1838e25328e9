"""Log lines that repeat: a client without its broker says so a hundred times a second."""

from __future__ import annotations

import logging
from typing import Final

#: Seconds in which lines that are alike are counted together.
EVERY_S: Final = 10.0

#: Lines alike that are logged in that time, of a library that repeats itself and of all else.
OF_LIBRARIES: Final = 1
OF_OTHERS: Final = 10

#: Different lines that are remembered; beyond, all are forgotten.
MOST_REMEMBERED: Final = 1000


class _Lines:
    """Lines alike: since when they are counted, how many passed since, how many were left out."""

    __slots__ = ("left_out", "passed", "since_s")

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.passed = self.left_out = 0


class RateLimit(logging.Filter):
    """Lets so many lines through that are alike in :data:`EVERY_S`; the next says how many were left out.

    Lines are alike that come from the same logger with the same text before its values are put in.

    Args:
        libraries: the loggers, by the first part of their names, of which :data:`OF_LIBRARIES` pass;
            of others :data:`OF_OTHERS` do.
    """

    def __init__(self, *libraries: str) -> None:
        super().__init__()
        self._libraries = libraries
        self._seen: dict[tuple[str, str], _Lines] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is logged; the count is put behind its text."""
        key = (record.name, str(record.msg))
        lines = self._seen.get(key)
        if lines is None:
            if len(self._seen) >= MOST_REMEMBERED:
                self._seen.clear()
            lines = self._seen[key] = _Lines(record.created)
        left_out = 0
        if record.created - lines.since_s >= EVERY_S:
            left_out = lines.left_out
            lines.since_s, lines.passed, lines.left_out = record.created, 0, 0
        library = record.name.partition(".")[0] in self._libraries
        if lines.passed >= (OF_LIBRARIES if library else OF_OTHERS):
            lines.left_out += 1
            return False
        lines.passed += 1
        if left_out:
            record.msg = f"{record.getMessage()} (and {left_out} more like it)"
            record.args = ()
        return True

"""Log lines that repeat: a client without its broker says so a hundred times a second."""

from __future__ import annotations

import logging
from typing import Final

#: Seconds in which the same line is logged once.
EVERY_S: Final = 10.0

#: Different lines that are remembered; beyond, all are forgotten.
MOST_REMEMBERED: Final = 1000


class OncePer(logging.Filter):
    """Lets a line through once in :data:`EVERY_S`, with the count of those like it that were left out.

    Lines are alike that come from the same logger with the same text before its values are put in.

    Args:
        loggers: the libraries whose lines are counted; lines of others all pass.
    """

    def __init__(self, *loggers: str) -> None:
        super().__init__()
        self._prefixes = loggers
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}  # line -> when it passed, left out since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is logged; the count is put behind its text."""
        if record.name.partition(".")[0] not in self._prefixes:
            return True
        line = (record.name, str(record.msg))
        passed_at, left_out = self._seen.get(line, (0.0, 0))
        if record.created - passed_at < EVERY_S:
            self._seen[line] = (passed_at, left_out + 1)
            return False
        if len(self._seen) >= MOST_REMEMBERED:
            self._seen.clear()
        self._seen[line] = (record.created, 0)
        if left_out:
            record.msg = f"{record.getMessage()} (and {left_out} more like it)"
            record.args = ()
        return True

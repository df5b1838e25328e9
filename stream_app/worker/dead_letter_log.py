"""A line a minute on what went to dead-letters, not a line a record."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

logger = logging.getLogger(__name__)

#: How often it is said at most, seconds.
SAY_S: Final = 60.0


class DeadLetterLog:
    """Told of each dead letter; says how many of which reason there were, and where the last one stands."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._last = (0, 0)
        self._said_at_s: float | None = None

    def note(self, partition: int, offset: int, reason: str) -> None:
        """Count one: partition and offset of its record in the clicks topic, and its reason."""
        self._counts[reason] += 1
        self._last = (partition, offset)

    def say(self, now_s: float) -> None:
        """Log what came since the last time, if that is long enough ago and there is something.

        Args:
            now_s: a clock that only goes on, seconds.
        """
        if not self._counts or (self._said_at_s is not None and now_s - self._said_at_s < SAY_S):
            return
        counts, self._counts = dict(self._counts.most_common()), Counter()
        self._said_at_s = now_s
        partition, offset = self._last
        logger.warning(
            "dead letters: %s; the last is of partition %d, offset %d",
            ", ".join(f"{count} {reason}" for reason, count in counts.items()),
            partition,
            offset,
            extra={"reasons": counts, "partition": partition, "offset": offset},
        )

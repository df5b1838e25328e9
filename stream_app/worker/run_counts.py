"""What a run did, in the metrics: counted once its outputs are out, a run at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from core.window.clicks import WINDOW_REASONS
from core.window.step import DeadLetter, Query, RunResult
from stream_app.telemetry import Telemetry
from stream_app.worker.dead_letter_log import DeadLetterLog


class RunCounts:
    """Counts the runs of one partition.

    Args:
        partition: of the input.
        telemetry: is told.
        dead_letter_log: is told of each dead letter.
    """

    def __init__(self, partition: int, telemetry: Telemetry, dead_letter_log: DeadLetterLog) -> None:
        self._partition = partition
        self._telemetry = telemetry
        self._log = dead_letter_log

    def replayed(self, clicks: int) -> None:
        """Count clicks that were read again and left out."""
        _add(self._telemetry.clicks, {"replay": clicks})

    def out(self, result: RunResult, swept: RunResult, dead: Sequence[DeadLetter], moved: int) -> None:
        """Count what is out of a run.

        Args:
            result: of the run.
            swept: what was closed behind it.
            dead: its records that are dead letters.
            moved: how many of its records were written to another partition instead.
        """
        telemetry = self._telemetry
        reasons = Counter(letter.reason for letter in dead)
        bad = sum(count for reason, count in reasons.items() if reason not in WINDOW_REASONS)
        _add(telemetry.clicks, {**result.outcomes, "moved": moved, "bad": bad})
        _add(telemetry.dead_letters, reasons)
        _add(telemetry.closed, Counter(session.cause for session in (*result.closed, *swept.closed)))
        for letter in dead:
            self._log.note(self._partition, letter.record.offset, letter.reason)
        telemetry.recommendations.inc(len(result.queries))
        self._observe_latency(result.queries)

    def done(self, clicks: int) -> None:
        """Count a run that is written."""
        self._telemetry.run_clicks.observe([(clicks, 1)])

    def _observe_latency(self, queries: Iterable[Query]) -> None:
        now_s = time.time()
        appended = Counter(map(attrgetter("append_ms"), queries))  # many at the same moment
        self._telemetry.latency.observe(
            (max(0.0, now_s - append_ms / 1000), count) for append_ms, count in appended.items()
        )


def _add(counter: Any, counts: Mapping[str, int]) -> None:
    """Count by label, once each: a counter's lock costs more than a sum."""
    for label, count in counts.items():
        if count:
            counter.labels(label).inc(count)

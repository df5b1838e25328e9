"""When a search ends early: at a signal, or when its time is over."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Literal

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

Reason = Literal["", "signal", "time"]


class Stop:
    """Whether to stop; once it says so it stays so.

    Args:
        minutes: after which to stop; None: never.

    Attributes:
        reason: why; empty before.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self.reason: Reason = ""
        self._end = None if minutes is None else time.monotonic() + minutes * 60

    def __call__(self) -> bool:
        """Whether to stop now."""
        if not self.reason and self._end is not None and time.monotonic() >= self._end:
            self.reason = "time"
        return bool(self.reason)

    def by_signal(self) -> None:
        """Stop, because a person says so."""
        self.reason = self.reason or "signal"


@contextmanager
def stop_on_signals(minutes: float | None = None) -> Iterator[Stop]:
    """A stop that the first SIGINT or SIGTERM sets; a second one does what it did before.

    For the main thread only: no other can take signals.
    """
    stop = Stop(minutes)
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(_signal: int, _frame: FrameType | None) -> None:
        stop.by_signal()
        restore()

    for number in _SIGNALS:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()

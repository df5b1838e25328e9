"""Which of many trials are above the start by more than chance: all that can be, and no more, are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.measure.significance import Estimate, mean_gain

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    trial: T
    gains: Sequence[float]
    value: float
    margin: float  # of the interval of one try; that of more tries is in proportion


class Surest(Generic[T]):
    """The trials of which one has the highest lower bound, however many tries there were.

    A trial that gained less than another with a wider interval can never be it, and is forgotten.

    Args:
        sessions: (Q,) number of the session that each query is of.
    """

    def __init__(self, sessions: Sequence[int]) -> None:
        self._sessions = sessions
        self._kept: list[_Kept[T]] = []

    def add(self, trial: T, gains: Sequence[float]) -> None:
        """Take in a trial and what each query gained by it, (Q,)."""
        gain = mean_gain(gains, self._sessions)
        if gain.low is None:
            return
        new = _Kept(trial, gains, gain.value, gain.value - gain.low)
        if not any(old.value >= new.value and old.margin <= new.margin for old in self._kept):
            self._kept = [
                old for old in self._kept if not (old.value <= new.value and old.margin >= new.margin)
            ]
            self._kept.append(new)

    def best(self, tries: int) -> tuple[T, Estimate] | None:
        """The trial with the highest lower bound, if that is above 0, and its gain as the best of so many."""
        found = [(one.trial, mean_gain(one.gains, self._sessions, tries)) for one in self._kept]
        trial, gain = max(found, key=lambda one: one[1].low or 0.0, default=(None, None))
        return (trial, gain) if trial is not None and gain is not None and (gain.low or 0.0) > 0 else None

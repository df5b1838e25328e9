"""The training sessions as arrays, items and sessions numbered in the order in which ties are broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.arrays import Floats, Int64s
from core.window.sessions import ClosedSession


class History(NamedTuple):
    """Closed sessions, the newest first, and their items.

    Args:
        names: the items: those that most sessions hold first, of equal ones the one seen last, then by name.
            So among equal scores the lower number goes first, and the first numbers are the popular items.
        numbers: name to number.
        support: (items,) sessions that hold the item; never rises with the number.
        items: (clicks,) item of each click, sessions one after the other, each in the order of time.
        rows: (clicks,) session of each click, 0 the newest.
        places: (clicks,) place of each click in its session, 0 the first.
        ends: (sessions,) time of the last click, seconds.
    """

    names: list[str]
    numbers: dict[str, int]
    support: Int64s
    items: Int64s
    rows: Int64s
    places: Int64s
    ends: Floats

    @property
    def sessions(self) -> int:
        """Sessions that are learnt from."""
        return len(self.ends)


def history_of(sessions: Sequence[ClosedSession]) -> History:
    """Read closed sessions, given in the order of time; overlong and empty ones are left out."""
    newest_first = [s for s in reversed(sessions) if s.items and not s.overlong]
    support: Counter[str] = Counter()
    seen: dict[str, int] = {}  # item -> the newest session that holds it
    for row, session in enumerate(newest_first):
        support.update(set(session.items))
        for item in session.items:
            seen.setdefault(item, row)
    names = sorted(support, key=lambda item: (-support[item], seen[item], item))
    numbers = {name: number for number, name in enumerate(names)}
    lengths = np.array([len(s.items) for s in newest_first], np.int64)
    rows = np.repeat(np.arange(len(newest_first)), lengths)
    starts = np.cumsum(lengths) - lengths
    return History(
        names=names,
        numbers=numbers,
        support=np.array([support[name] for name in names], np.int64),
        items=np.array([numbers[item] for s in newest_first for item in s.items], np.int64),
        rows=rows,
        places=np.arange(len(rows)) - starts[rows],
        ends=np.array([s.end / 1000 for s in newest_first], np.float64),
    )

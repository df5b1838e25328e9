"""Which sessions of a partition are open, by when they end: what a sweep asks."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from core.window.sessions import WindowRules, is_over_at


class OpenSessions:
    """The visitors with an open session and the time of its last click; one entry a visitor.

    Memory grows with the visitors that have an open session, and with nothing else.
    """

    def __init__(self) -> None:
        self._last_ms: dict[str, int] = {}
        # At most a few entries a visitor; one may be of another time than the visitor's last click, or
        # outlive it, but there is always one that is not later.
        self._by_time: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._last_ms)

    def __iter__(self) -> Iterator[str]:
        return iter(self._last_ms)

    def note(self, visitor: str, last_ms: int | None) -> None:
        """A visitor's session has its last click at ``last_ms``; None: it has none open.

        A time that is earlier than before says that the session was ended and waits for its deletion.
        """
        if last_ms is None:
            self._last_ms.pop(visitor, None)
            if not self._last_ms:
                self._by_time.clear()
            return
        known_ms = self._last_ms.get(visitor)
        if known_ms is None or last_ms < known_ms:
            heapq.heappush(self._by_time, (last_ms, visitor))
        self._last_ms[visitor] = last_ms

    def over(self, watermark_ms: int | None, rules: WindowRules, most: int) -> list[str]:
        """Take visitors whose session is over, the longest over first; at most ``most``.

        They stay noted until :meth:`note` says otherwise, and are not given again.
        """
        found: dict[str, None] = {}
        while self._by_time and len(found) < most and is_over_at(self._by_time[0][0], watermark_ms, rules):
            entry_ms, visitor = heapq.heappop(self._by_time)
            last_ms = self._last_ms.get(visitor)
            if last_ms is not None and last_ms > entry_ms:
                heapq.heappush(self._by_time, (last_ms, visitor))
            elif last_ms is not None:
                found[visitor] = None
        return list(found)

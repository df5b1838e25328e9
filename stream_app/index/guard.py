"""Who may use the index at a moment: any number that read it, or one that changes it.

The event loop decides who is let in, so the guard is for coroutines of one loop; what they read may be read
in a thread, as long as the coroutine stays in its block until the thread has ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

T = TypeVar("T")


class IndexGuard:
    """Lets readers overlap, and a change be alone; whoever waits is let in by the order of arrival.

    So neither waits for ever: readers that come after a waiting change go after it, and those that wait
    when it ends go before the next one.
    """

    def __init__(self) -> None:
        self._readers = 0
        self._changing = False
        self._waiting: deque[tuple[asyncio.Future[None], bool]] = deque()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Within the block the index does not change."""
        await self._enter(changes=False)
        try:
            yield
        finally:
            self._leave(changes=False)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Within the block nobody reads the index and nobody else changes it."""
        await self._enter(changes=True)
        try:
            yield
        finally:
            self._leave(changes=True)

    async def _enter(self, *, changes: bool) -> None:
        if not self._waiting and self._is_free(changes=changes):
            self._take(changes=changes)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, changes))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._let_in()  # those behind it may go now
            else:
                self._leave(changes=changes)  # it was let in just before
            raise

    def _leave(self, *, changes: bool) -> None:
        if changes:
            self._changing = False
        else:
            self._readers -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting:
            turn, changes = self._waiting[0]
            if not turn.cancelled():
                if not self._is_free(changes=changes):
                    return
                self._take(changes=changes)
                turn.set_result(None)
            self._waiting.popleft()

    def _is_free(self, *, changes: bool) -> bool:
        return not self._changing and not (changes and self._readers)

    def _take(self, *, changes: bool) -> None:
        if changes:
            self._changing = True
        else:
            self._readers += 1


async def in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread; a caller that is cancelled meanwhile ends when the thread has ended."""
    work = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        raise

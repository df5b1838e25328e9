"""The consumer's thread: whoever calls it gets an answer or an error, also while it ends."""

from __future__ import annotations

import asyncio
import threading

import pytest

from stream_app.worker.consumer_thread import AnsweringThread, ConsumerStoppedError


class SlowToEnd(AnsweringThread):
    """Has run all its calls, and waits before it ends until it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = threading.Event()
        self.may_end = threading.Event()

    async def _gather_remaining_tasks(self) -> None:
        await super()._gather_remaining_tasks()
        self.ends.set()
        self.may_end.wait()  # the thread's loop runs nothing any more


async def double(number: int) -> int:
    """What is called."""
    return 2 * number


def test_a_call_is_answered_before_the_end_and_fails_at_it_and_after_it():
    """No caller waits for ever: not with a call that comes after the last look at the queue either."""

    async def calls() -> None:
        thread = SlowToEnd()
        await thread.start()
        assert await thread.call_thread(double, 21) == 42
        thread._stopped_set()  # it ends by itself, as after a crash: nobody waits for it
        await asyncio.to_thread(thread.ends.wait)
        late = asyncio.create_task(thread.call_thread(double, 1))
        await asyncio.sleep(0.1)
        assert not late.done()
        thread.may_end.set()
        with pytest.raises(ConsumerStoppedError, match="ended"):
            await asyncio.wait_for(late, 30)
        await asyncio.to_thread(thread._thread.join, 30)
        with pytest.raises(ConsumerStoppedError, match="has ended"):
            await thread.call_thread(double, 1)

    asyncio.run(calls())

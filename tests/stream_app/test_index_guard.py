"""The index is read by many or changed by one, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.index.guard import IndexGuard, in_thread

#: What a coroutine does: (change it, steps of the loop before, steps of the loop inside, cancel it then).
PLANS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 5), st.none() | st.integers(0, 12)),
    max_size=20,
)


async def steps(count: int) -> None:
    """Let the others run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


@given(PLANS)
def test_a_change_is_alone_and_everybody_ends(plans):
    """Whatever comes and is cancelled when: readers and a change never overlap, all get their turn."""
    inside = {False: 0, True: 0}

    async def use(guard: IndexGuard, *, changes: bool, before: int, within: int) -> None:
        await steps(before)
        async with guard.changing() if changes else guard.reading():
            inside[changes] += 1
            try:
                for _ in range(within + 1):
                    assert inside[True] <= 1
                    assert not (inside[True] and inside[False])
                    await asyncio.sleep(0)
            finally:
                inside[changes] -= 1

    async def cancel(task: asyncio.Task[None], at: int) -> None:
        await steps(at)
        task.cancel()

    async def run() -> None:
        guard = IndexGuard()
        users = [
            (asyncio.create_task(use(guard, changes=changes, before=before, within=within)), at)
            for changes, before, within, at in plans
        ]
        cancels = [asyncio.create_task(cancel(task, at)) for task, at in users if at is not None]
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*(task for task, _ in users), *cancels, return_exceptions=True)
            assert [end for end in ends if not isinstance(end, asyncio.CancelledError | None)] == []
            async with guard.changing():  # nothing is left behind
                pass

    asyncio.run(run())


def test_readers_overlap():
    """Two readers are inside at once."""

    async def run() -> None:
        guard = IndexGuard()
        both = asyncio.Barrier(2)

        async def read() -> None:
            async with guard.reading():
                await both.wait()

        async with asyncio.timeout(10):
            await asyncio.gather(read(), read())

    asyncio.run(run())


def test_a_change_is_not_kept_out_by_readers_that_keep_coming():
    """While readers come one upon the other, so that one is always inside, a change gets its turn."""

    async def run() -> int:
        guard, changed, reads = IndexGuard(), asyncio.Event(), 0

        async def read_on() -> None:
            nonlocal reads
            while not changed.is_set():
                async with guard.reading():
                    reads += 1
                    await steps(random.Random(reads).randrange(1, 4))  # noqa: S311 -- the same each time

        async def change() -> None:
            await steps(5)
            async with guard.changing():
                changed.set()

        async with asyncio.timeout(10):
            await asyncio.gather(read_on(), read_on(), read_on(), change())
        return reads

    assert asyncio.run(run()) < 100


def test_a_cancelled_reader_keeps_the_index_until_its_thread_has_ended():
    """A thread cannot be stopped, so the change waits for it though its coroutine was cancelled."""

    async def run() -> list[str]:
        guard, order = IndexGuard(), []
        begun, go_on = threading.Event(), threading.Event()

        def read() -> None:
            begun.set()
            go_on.wait(10)
            order.append("read")

        async def change() -> None:
            async with guard.changing():
                order.append("changed")

        async def read_in_thread() -> None:
            async with guard.reading():
                await in_thread(read)

        reading = asyncio.create_task(read_in_thread())
        await asyncio.to_thread(begun.wait, 10)
        changing = asyncio.create_task(change())
        await steps(3)
        reading.cancel()
        await steps(3)
        assert order == []
        go_on.set()
        async with asyncio.timeout(10):
            await changing
            with pytest.raises(asyncio.CancelledError):
                await reading
        return order

    assert asyncio.run(run()) == ["read", "changed"]


def test_a_thread_hands_back_its_value_and_its_error():
    """What the function returns or raises is what the caller gets."""
    assert asyncio.run(in_thread(lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_thread(lambda: 1 // 0))

"""Runs that wait for their partition are taken together, in order, within bounds."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.window.step import Record
from stream_app.worker.waiting_runs import MOST_WAITING, Run, WaitingRuns

MOST_CLICKS = 10


async def ours():
    """A partition that stays ours."""
    return True


def run_of(first, clicks, heard=None, generation=1):
    """A run of clicks from an offset on; ``heard`` hears how it ends and its offset."""
    records = [Record(offset, 0, None, None) for offset in range(first, first + clicks)]
    heard = [] if heard is None else heard
    return Run(
        generation,
        records,
        ours,
        lambda: heard.append(("done", first)),
        lambda: heard.append(("left", first)),
    )


def offsets(run):
    return [record.offset for record in run.records]


@given(st.lists(st.integers(1, MOST_CLICKS), min_size=1, max_size=30))
def test_all_runs_come_out_in_order_and_none_is_larger_than_allowed(sizes):
    """What is put is taken, once and in the log's order; every run that is taken is full or the last."""

    async def through():
        waiting, taken, first = WaitingRuns(MOST_CLICKS), [], 0
        for size in sizes:
            waiting.put_now(run_of(first, size))
            first += size
        while waiting:
            taken.append(offsets(await waiting.take()))
        return taken

    taken = asyncio.run(through())
    assert [offset for run in taken for offset in run] == list(range(sum(sizes)))
    assert all(len(run) <= MOST_CLICKS for run in taken)
    assert all(len(a) + len(b) > MOST_CLICKS for a, b in pairwise(taken))


def test_what_is_taken_together_ends_together():
    """All runs that a taken one is made of hear of its end, in order."""

    async def through():
        heard, waiting = [], WaitingRuns(MOST_CLICKS)
        for first in (0, 3, 6):
            waiting.put_now(run_of(first, 3, heard))
        taken = await waiting.take()
        taken.done()
        taken.dropped()
        return heard

    assert asyncio.run(through()) == [(how, first) for how in ("done", "left") for first in (0, 3, 6)]


def test_runs_of_two_assignments_are_taken_apart():
    """What was fetched before a rebalance is for the taker to drop: it is not part of what came after."""

    async def through():
        waiting = WaitingRuns(MOST_CLICKS)
        for run in (run_of(0, 2), run_of(2, 1), run_of(0, 4, generation=2)):
            waiting.put_now(run)
        taken = [await waiting.take(), await waiting.take()]
        return [(run.generation, offsets(run)) for run in taken]

    assert asyncio.run(through()) == [(1, [0, 1, 2]), (2, [0, 1, 2, 3])]


def test_a_tick_is_taken_alone():
    """A run without records is never part of another."""

    async def through():
        waiting = WaitingRuns(MOST_CLICKS)
        for run in (run_of(0, 1), run_of(0, 0), run_of(1, 1), run_of(2, 1)):
            waiting.put_now(run)
        return [offsets(await waiting.take()) for _ in range(3)]

    assert asyncio.run(through()) == [[0], [], [1, 2]]


def test_putting_waits_while_too_many_clicks_are_waiting():
    """At the bound a run is not taken in until a run has been taken out."""

    async def through():
        waiting = WaitingRuns(MOST_CLICKS)
        for number in range(MOST_WAITING):
            await waiting.put(run_of(number * MOST_CLICKS, MOST_CLICKS))
        late = asyncio.create_task(waiting.put(run_of(MOST_WAITING * MOST_CLICKS, 1)))
        await asyncio.sleep(0)
        before = late.done()
        await waiting.take()
        await late
        return before

    assert asyncio.run(through()) is False


def test_at_the_end_what_waits_is_dropped_and_nobody_waits_any_more():
    """After the end nothing is given out, and whatever waited or comes later is dropped."""

    async def through():
        heard, waiting = [], WaitingRuns(MOST_CLICKS)
        for number in range(MOST_WAITING):
            await waiting.put(run_of(number, MOST_CLICKS, heard))
        late = asyncio.create_task(waiting.put(run_of(99, 1, heard)))
        await asyncio.sleep(0)
        waiting.end()
        await late
        return await waiting.take(), bool(waiting), heard

    left = [("left", first) for first in (*range(MOST_WAITING), 99)]
    assert asyncio.run(through()) == (None, False, left)

"""Kernels that rank: by score, ties by recency, so that the same input gives the same list everywhere."""

from __future__ import annotations

import numpy as np

from core.arrays import POOL_BASE, Floats, IndexArrays, Int32s
from core.kernels.compiled import inner_kernel
from core.kernels.held_sessions import age_of, capacity_of, item_at, items_of, newest_slot
from core.kernels.postings import newest_session
from core.kernels.selection import kth_largest
from core.scratch import BATCH, Scratch


@inner_kernel
def ready_stamps(stamp: Int32s, seen: Int32s, wanted: int) -> None:
    """Make sure that ``stamp`` can be raised so many times without coming to a number that is in ``seen``."""
    if stamp[0] > 2_147_483_647 - wanted:
        for item in range(len(seen)):
            seen[item] = 0
        stamp[0] = 0


@inner_kernel
def last_place(index: IndexArrays, item: int) -> int:
    """Where the item stands last within the newest session that holds it."""
    place, length = items_of(
        index.session_place, index.pool, index.meta[POOL_BASE], newest_session(index, item)
    )
    for step in range(length - 1, -1, -1):
        if item_at(index.pool, place + step) == item:
            return step
    return -1


@inner_kernel
def newer(index: IndexArrays, a: int, b: int) -> bool:
    """Whether a ranks before b at equal scores: the newer, then the later in its newest session."""
    newest, capacity = newest_slot(index), capacity_of(index)
    a_age = age_of(newest_session(index, a), newest, capacity)
    b_age = age_of(newest_session(index, b), newest, capacity)
    if a_age != b_age:
        return a_age < b_age
    return last_place(index, a) > last_place(index, b)


@inner_kernel
def take_best(
    index: IndexArrays,
    scratch: Scratch,
    scores: Floats,
    touched: Int32s,
    n_touched: int,
    begin: int,
    end: int,
    out_item: Int32s,
    out_score: Floats,
) -> int:
    """Rank the touched items into places ``begin`` to ``end`` of an answer; return the place after the last.

    Of equal scores the item of the newer session ranks first, of one session the later in it. Scores, all
    above 0, are left as they are; ``touched`` gets another order.
    """
    if end <= begin:
        return begin
    left = _leave_lesser(scratch, scores, touched, n_touched, end - begin)
    tied = 2 * left > 3 * (end - begin)  # so many are left only where many score the same
    newest, capacity = newest_slot(index), capacity_of(index)
    ages, out_age, count = scratch.batch_begin, scratch.best_age, begin
    for first in range(0, left, BATCH):
        if tied:  # all ages at once, so that the processor waits for many of them together
            for at in range(first, min(first + BATCH, left)):
                ages[np.uint64(at - first)] = age_of(newest_session(index, touched[at]), newest, capacity)
        for at in range(first, min(first + BATCH, left)):
            item, age = touched[at], ages[np.uint64(at - first)] if tied else 0
            score = scores[item]
            place = count
            if count < end:
                count += 1
            else:
                place = end - 1
                if not _before(index, item, score, age, out_item[place], out_score[place], out_age[place]):
                    continue
            while place > begin:
                other = place - 1
                if not _before(index, item, score, age, out_item[other], out_score[other], out_age[other]):
                    break
                out_item[place], out_score[place] = out_item[other], out_score[other]
                out_age[place] = out_age[other]
                place = other
            out_item[place], out_score[place], out_age[place] = item, score, age
    return count


@inner_kernel
def _before(
    index: IndexArrays, item: int, score: float, age: int, other: int, other_score: float, other_age: int
) -> bool:
    """Whether an item ranks before another; where ages are equal, perhaps not known, they are looked up."""
    if score != other_score:
        return score > other_score
    if age != other_age:
        return age < other_age
    return newer(index, item, other)


@inner_kernel
def _leave_lesser(scratch: Scratch, scores: Floats, touched: Int32s, n_touched: int, wanted: int) -> int:
    """Bring all that can be among the best to the front of ``touched``; return how many are there.

    The items are dealt out to twice as many heaps as are wanted. So many heaps' best are at least as good as
    the least of them: what scores less is not among the best.
    """
    heaps = 2 * wanted
    if n_touched <= heaps + wanted:
        return n_touched
    best = scratch.heap_best
    for heap in range(heaps):
        best[np.uint64(heap)] = scores[np.uint64(touched[np.uint64(heap)])]
    for first in range(heaps, n_touched, heaps):
        for at in range(first, min(first + heaps, n_touched)):
            score = scores[np.uint64(touched[np.uint64(at)])]
            best[np.uint64(at - first)] = max(best[np.uint64(at - first)], score)
    least = kth_largest(best, heaps, wanted)
    left = 0
    for at in range(n_touched):
        item = touched[np.uint64(at)]
        touched[np.uint64(at)] = touched[np.uint64(left)]
        touched[np.uint64(left)] = item
        left += scores[np.uint64(item)] >= least
    return left

"""Kernels that rank: by score, ties by recency, so that the same input gives the same list everywhere."""

from __future__ import annotations

from core.arrays import POOL_BASE, Floats, IndexArrays, Int32s
from core.compiled import inner_kernel
from core.posting_kernels import newest_session
from core.session_kernels import age_of, capacity_of, item_at, items_of, newest_slot


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
    scores: Floats,
    touched: Int32s,
    n_touched: int,
    begin: int,
    end: int,
    out_item: Int32s,
    out_score: Floats,
) -> int:
    """Rank the touched items into places ``begin`` to ``end`` of an answer; return the place after the last.

    Scores are left as they are.
    """
    count = begin
    if end <= begin:
        return count
    for at in range(n_touched):
        item = touched[at]
        score = scores[item]
        if count == end:
            least = out_score[end - 1]
            if score < least or (score == least and not newer(index, item, out_item[end - 1])):
                continue
        place = count if count < end else end - 1
        while place > begin:
            other = out_score[place - 1]
            if score < other or (score == other and not newer(index, item, out_item[place - 1])):
                break
            out_item[place] = out_item[place - 1]
            out_score[place] = other
            place -= 1
        out_item[place] = item
        out_score[place] = score
        if count < end:
            count += 1
    return count

"""Kernels that rank: by score, ties by recency, so that the same input gives the same list everywhere."""

from __future__ import annotations

from core.arrays import Floats, IndexArrays, Int32s, Scratch
from core.compiled import inner_kernel
from core.posting_kernels import newest_session
from core.session_kernels import age_of, item_at, items_of, newest_slot


@inner_kernel
def next_stamp(scratch: Scratch) -> int:
    """A number that no item in ``scratch.seen`` carries yet."""
    if scratch.stamp[0] == 2_147_483_647:
        scratch.seen[:] = 0
        scratch.stamp[0] = 0
    scratch.stamp[0] += 1
    return scratch.stamp[0]


@inner_kernel
def age_of_item(index: IndexArrays, item: int) -> int:
    """How many sessions are newer than the newest that holds the item."""
    return age_of(newest_session(index, item), newest_slot(index), len(index.session_key))


@inner_kernel
def last_place(index: IndexArrays, item: int) -> int:
    """Where the item stands last within the newest session that holds it."""
    slot = newest_session(index, item)
    place, length = items_of(index, slot)
    for step in range(length - 1, -1, -1):
        if item_at(index.pool, place + step) == item:
            return step
    return -1


@inner_kernel
def newer(index: IndexArrays, a: int, b: int) -> bool:
    """Whether a ranks before b at equal scores: the newer, then the later in its newest session."""
    a_age, b_age = age_of_item(index, a), age_of_item(index, b)
    if a_age != b_age:
        return a_age < b_age
    return last_place(index, a) > last_place(index, b)


@inner_kernel
def take_best(
    index: IndexArrays,
    scratch: Scratch,
    n_touched: int,
    n: int,
    begin: int,
    source: int,
    out_item: Int32s,
    out_score: Floats,
    out_source: Int32s,
) -> int:
    """Rank the touched items into places ``begin`` to ``n`` of an answer and clear their scores."""
    count = begin
    for at in range(n_touched):
        item = scratch.touched[at]
        score = scratch.score[item]
        scratch.score[item] = 0.0
        # Scores are compared here, not in a function: a call that hands on the whole index costs more than
        # all the comparisons of an answer.
        if count == n:
            least = out_score[n - 1]
            if score < least or (score == least and not newer(index, item, out_item[n - 1])):
                continue
        place = count if count < n else n - 1
        while place > begin:
            other = out_score[place - 1]
            if score < other or (score == other and not newer(index, item, out_item[place - 1])):
                break
            out_item[place] = out_item[place - 1]
            out_score[place] = other
            place -= 1
        out_item[place] = item
        out_score[place] = score
        if count < n:
            count += 1
    for place in range(begin, count):
        out_source[place] = source
        scratch.rank[out_item[place]] = place + 1
    return count

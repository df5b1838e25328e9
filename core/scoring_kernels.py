"""Kernels that score: one compiled call answers all the clicks of a run.

Each step is the formula of :mod:`core.params`; ``tests/oracles/slow_scoring.py`` says the same slowly and
obviously, and a property test holds the two together to the last bit. Sums run in a fixed order: query items
and posting lists from the newest, neighbours in the order in which they were found.
"""

from __future__ import annotations

import math
from typing import Final

from core.arrays import Floats, IndexArrays, Int32s, Int64s, Scratch
from core.compiled import inner_kernel, kernel
from core.kernel_codes import (
    DIV,
    EXPONENTIAL,
    LINEAR,
    LOG,
    NEIGHBOURS,
    P_COSINE,
    P_EXCLUDE,
    P_K,
    P_LAST,
    P_M,
    P_N,
    P_POSITION,
    P_SCORE,
    POPULAR,
    QUADRATIC,
    R_BEFORE,
    R_DISTANCE_DECAY,
    R_IDF_SCORE,
    R_IDF_SIMILARITY,
    R_POSITION_DECAY,
    R_PRIOR,
    R_RECENCY_S,
    R_SCORE_DECAY,
)
from core.posting_kernels import newest_posting, slot_at
from core.ranking_kernels import next_stamp, take_best
from core.rules_kernels import follow_rules
from core.session_kernels import age_of, end_of, held_sessions, item_at, items_of, newest_slot

#: Most popular items that the prior counts for.
PRIOR_ITEMS: Final = 200


@kernel
def score_run(
    index: IndexArrays,
    scratch: Scratch,
    ints: Int64s,
    reals: Floats,
    decays: Floats,
    items: Int32s,
    starts: Int64s,
    times: Floats,
    popular: Int32s,
    popular_score: Floats,
    popular_mass: float,
    considered: Int32s,
    votes: Int32s,
    out_item: Int32s,
    out_score: Floats,
    out_source: Int32s,
    out_with: Int32s,
    out_sessions: Int32s,
    out_count: Int32s,
) -> None:
    """Answer the queries of a run.

    Args:
        index: the index; not changed.
        scratch: room to work in, for this thread alone.
        ints: (INT_PARAMETERS,) the integer parameters.
        reals: (REAL_PARAMETERS,) the real parameters.
        decays: weight of an item by its distance from the shared item, for the shorter distances; empty: no
            decay.
        items: items of all queries, each query's in the order of time; -1: not in the index.
        starts: (q + 1,) where each query's items begin.
        times: (q,) time of each query, seconds.
        popular: popular items, best first; enough to fill any answer.
        popular_score: their scores.
        popular_mass: the score of an item that all counted sessions hold.
        considered: room for the longest query.
        votes: room for n times the longest query; zero before and after.
        out_item: (q, n) recommended items, best first; -1 beyond ``out_count``.
        out_score: (q, n) their scores; comparable within one source only.
        out_source: (q, n) NEIGHBOURS, RULES or POPULAR.
        out_with: (q, n) the item of the session that vouches for it; -1: none.
        out_sessions: (q, n) how many sessions vouch for it.
        out_count: (q,) items in each answer.
    """
    for query in range(len(times)):
        begin, end = starts[query], starts[query + 1]
        n_considered = _consider(scratch, items, begin, end, ints[P_LAST], considered)
        _bar(scratch, items, begin, end, ints[P_EXCLUDE], 1)
        n_kept = _find_neighbours(index, scratch, ints, reals, considered, n_considered, times[query])
        n_touched, mass = _score_neighbours(index, scratch, ints, reals, decays, n_kept, n_considered)
        if reals[R_PRIOR] > 0.0 and n_kept > 0:
            each = reals[R_PRIOR] * (mass / n_kept) / popular_mass
            n_touched = _add_prior(scratch, popular, popular_score, each, n_touched)
        count = take_best(
            index,
            scratch,
            n_touched,
            ints[P_N],
            0,
            NEIGHBOURS,
            out_item[query],
            out_score[query],
            out_source[query],
        )
        _vouch(
            index,
            scratch,
            n_kept,
            considered,
            n_considered,
            count,
            votes,
            out_item[query],
            out_source[query],
            out_with[query],
            out_sessions[query],
        )
        if count < ints[P_N]:
            count = follow_rules(
                index,
                scratch,
                ints,
                considered,
                n_considered,
                count,
                out_item[query],
                out_score[query],
                out_source[query],
                out_with[query],
                out_sessions[query],
            )
        for place in range(len(popular)):
            if count >= ints[P_N]:
                break
            item = popular[place]
            if scratch.barred[item] == 0 and scratch.rank[item] == 0:
                out_item[query, count] = item
                out_score[query, count] = popular_score[place]
                out_source[query, count] = POPULAR
                out_with[query, count] = -1
                out_sessions[query, count] = index.posting_count[item]
                count += 1
                scratch.rank[item] = count
        out_count[query] = count
        for place in range(count):
            scratch.rank[out_item[query, place]] = 0
        for place in range(count, ints[P_N]):
            out_item[query, place] = -1
        _bar(scratch, items, begin, end, ints[P_EXCLUDE], 0)
        for place in range(n_considered):
            scratch.place[considered[place]] = 0


@inner_kernel
def _consider(scratch: Scratch, items: Int32s, begin: int, end: int, last: int, considered: Int32s) -> int:
    """Put the newest ``last`` distinct known items of a query in ``considered``, newest first."""
    n = 0
    for at in range(end - 1, begin - 1, -1):
        item = items[at]
        if item >= 0 and scratch.place[item] == 0:
            considered[n] = item
            n += 1
            scratch.place[item] = n
            if n == last:
                break
    return n


@inner_kernel
def _bar(scratch: Scratch, items: Int32s, begin: int, end: int, exclude: int, value: int) -> None:
    """Mark or unmark what must not be recommended."""
    first = end
    if exclude == 1 and end > begin:
        first = end - 1
    elif exclude == 2:
        first = begin
    for at in range(first, end):
        if items[at] >= 0:
            scratch.barred[items[at]] = value


@inner_kernel
def position_weight(kind: int, distance: int, n: int, decay: float) -> float:
    """Weight of a query item; ``distance`` 0 is the newest of ``n``. See core.params.PositionWeight."""
    if kind == LINEAR:
        return max(0.0, 1.0 - 0.1 * distance)
    if kind == QUADRATIC:
        return ((n - distance) / n) ** 2
    if kind == LOG:
        return min(1.0, 1.0 / math.log10(distance + 1.7))
    if kind == DIV:
        return 1.0 / (distance + 1)
    if kind == EXPONENTIAL:
        return math.exp(-distance / decay)
    return 1.0


@inner_kernel
def _idf(index: IndexArrays, item: int) -> float:
    return math.log(held_sessions(index) / index.posting_count[item])


@inner_kernel
def _find_neighbours(
    index: IndexArrays,
    scratch: Scratch,
    ints: Int64s,
    reals: Floats,
    considered: Int32s,
    n: int,
    time: float,
) -> int:
    """Leave the k most similar sessions in ``scratch.candidates``, in the order found; return how many."""
    similarity, candidates = scratch.similarity, scratch.candidates
    found = 0
    for distance in range(n):
        item = considered[distance]
        weight = position_weight(ints[P_POSITION], distance, n, reals[R_POSITION_DECAY])
        if reals[R_IDF_SIMILARITY] > 0.0:
            weight *= _idf(index, item) ** reals[R_IDF_SIMILARITY]
        if weight <= 0.0:
            continue
        start, size, at, count = newest_posting(index, item)
        for _ in range(min(count, ints[P_M])):
            slot = slot_at(index.arena, start + at)
            at = at - 1 if at > 0 else size - 1
            if similarity[slot] == 0.0:
                candidates[found] = slot
                found += 1
            similarity[slot] += weight
    for at in range(found):
        slot = candidates[at]
        if ints[P_COSINE]:
            similarity[slot] /= math.sqrt(float(n) * items_of(index, slot)[1])
        if reals[R_RECENCY_S] > 0.0:
            age = max(0.0, time - end_of(index, slot))
            similarity[slot] *= math.exp(-age / reals[R_RECENCY_S])
    if found <= ints[P_K]:
        return found
    return _keep_best(index, scratch, found, ints[P_K])


@inner_kernel
def _keep_best(index: IndexArrays, scratch: Scratch, found: int, k: int) -> int:
    """Keep the k candidates of the largest similarity, the newer where equal; zero the others."""
    similarity, candidates = scratch.similarity, scratch.candidates
    capacity = len(similarity)
    newest = newest_slot(index)
    for at in range(found):
        scratch.keys[at] = similarity[candidates[at]]
    least = _kth_largest(scratch.keys, found, k)
    above, equal = 0, 0
    for at in range(found):
        slot = candidates[at]
        if similarity[slot] > least:
            above += 1
        elif similarity[slot] == least:
            scratch.keys[equal] = -age_of(slot, newest, capacity)  # a candidate's key is not needed again
            equal += 1
    oldest = -_kth_largest(scratch.keys, equal, k - above)
    kept = 0
    for at in range(found):
        slot = candidates[at]
        if similarity[slot] > least or (
            similarity[slot] == least and age_of(slot, newest, capacity) <= oldest
        ):
            candidates[kept] = slot
            kept += 1
        else:
            similarity[slot] = 0.0
    return kept


@inner_kernel
def _kth_largest(values: Floats, n: int, k: int) -> float:
    """The k-th largest of the first n values, which it reorders (quickselect, Hoare 1961)."""
    low, high, at = 0, n - 1, k - 1
    while low < high:
        pivot = values[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while values[left] > pivot:
                left += 1
            while values[right] < pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if at <= right:
            high = right
        elif at >= left:
            low = left
        else:
            break
    return values[at]


@inner_kernel
def _score_neighbours(
    index: IndexArrays,
    scratch: Scratch,
    ints: Int64s,
    reals: Floats,
    decays: Floats,
    n_kept: int,
    n: int,
) -> tuple[int, float]:
    """Score the items of the kept sessions in ``scratch.score``.

    Returns:
        How many items are in ``touched``; the score of an item that all kept sessions hold, undecayed.
    """
    touched, mass = 0, 0.0
    for at in range(n_kept):
        slot = scratch.candidates[at]
        similarity = scratch.similarity[slot]
        scratch.similarity[slot] = 0.0
        place, length = items_of(index, slot)
        shared, anchor = n + 1, 0
        for step in range(length):
            in_query = scratch.place[item_at(index.pool, place + step)]
            if 0 < in_query <= shared:
                shared, anchor = in_query, step
        base = similarity * position_weight(ints[P_SCORE], shared - 1, n, reals[R_SCORE_DECAY])
        mass += base
        stamp = next_stamp(scratch)
        for step in range(length - 1, -1, -1):
            item = item_at(index.pool, place + step)
            if scratch.seen[item] == stamp:
                continue
            scratch.seen[item] = stamp
            if scratch.barred[item]:
                continue
            score = base
            if len(decays):
                distance = abs(step - anchor)
                if distance < len(decays):
                    score *= decays[distance]
                else:
                    score *= math.exp(-distance / reals[R_DISTANCE_DECAY])
            if step < anchor:
                score *= reals[R_BEFORE]
            if scratch.score[item] == 0.0 and score > 0.0:
                scratch.touched[touched] = item
                touched += 1
            scratch.score[item] += score
    if reals[R_IDF_SCORE] > 0.0:
        for at in range(touched):
            item = scratch.touched[at]
            scratch.score[item] *= 1.0 + reals[R_IDF_SCORE] * _idf(index, item)
    return touched, mass


@inner_kernel
def _add_prior(scratch: Scratch, popular: Int32s, popular_score: Floats, each: float, n_touched: int) -> int:
    """Add to each of the most popular items its share of the sessions times ``each``."""
    for place in range(min(len(popular), PRIOR_ITEMS)):
        item = popular[place]
        if scratch.barred[item]:
            continue
        score = each * popular_score[place]
        if scratch.score[item] == 0.0 and score > 0.0:
            scratch.touched[n_touched] = item
            n_touched += 1
        scratch.score[item] += score
    return n_touched


@inner_kernel
def _vouch(
    index: IndexArrays,
    scratch: Scratch,
    n_kept: int,
    considered: Int32s,
    n: int,
    count: int,
    votes: Int32s,
    out_item: Int32s,
    out_source: Int32s,
    out_with: Int32s,
    out_sessions: Int32s,
) -> None:
    """For each item of the answer, find the query item that most neighbours share with it, and how many.

    An item that is itself in the query is vouched for by another where one can; ties go to the newer. An
    item that no neighbour holds is there by the prior: it is popular.
    """
    for at in range(n_kept):
        slot = scratch.candidates[at]
        place, length = items_of(index, slot)
        stamp, n_shared = next_stamp(scratch), 0
        for step in range(length):
            item = item_at(index.pool, place + step)
            if scratch.place[item] and scratch.seen[item] != stamp:
                scratch.seen[item] = stamp
                scratch.shared[n_shared] = scratch.place[item] - 1
                n_shared += 1
        stamp = next_stamp(scratch)
        for step in range(length):
            item = item_at(index.pool, place + step)
            if scratch.rank[item] and scratch.seen[item] != stamp:
                scratch.seen[item] = stamp
                for other in range(n_shared):
                    votes[(scratch.rank[item] - 1) * n + scratch.shared[other]] += 1
    for rank in range(count):
        best, most = -1, 0
        for in_query in range(n):
            if considered[in_query] != out_item[rank] and votes[rank * n + in_query] > most:
                best, most = considered[in_query], votes[rank * n + in_query]
        if best < 0 and scratch.place[out_item[rank]] > 0:
            most = votes[rank * n + scratch.place[out_item[rank]] - 1]
            best = out_item[rank] if most > 0 else -1
        if best < 0:
            out_source[rank] = POPULAR
            most = index.posting_count[out_item[rank]]
        out_with[rank] = best
        out_sessions[rank] = most
    for at in range(count * n):
        votes[at] = 0

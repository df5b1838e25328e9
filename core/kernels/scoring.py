"""The kernel that answers: one compiled call for all the clicks of a run.

Each step is the formula of :mod:`core.params`; ``tests/oracles/slow_scoring.py`` says the same slowly and
obviously, and a property test holds the two together to the last bit. Sums run in a fixed order: query items
and posting lists from the newest, neighbours in the order in which they were found.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from core.arrays import Floats, IndexArrays, Int32s, Int64s
from core.engine import Engine
from core.kernels.blend import add_popular, blend
from core.kernels.codes import (
    EXCLUDE_CURRENT,
    EXCLUDE_SESSION,
    LEAST_SCORE,
    NEIGHBOURS,
    P_BLENDS,
    P_EXCLUDE,
    P_FILL,
    P_IDF_CLICKS,
    P_LAST,
    P_N,
    POPULAR,
    R_DAMPING,
    R_IDF_BASE,
    R_IDF_SCORE,
    R_NEIGHBOURS,
    R_PRIOR,
    R_REPEAT,
    R_TREND,
    REASON_ITEMS,
    RULES,
    SESSION,
)
from core.kernels.compiled import Kept, inner_kernel, kernel
from core.kernels.held_sessions import held_sessions
from core.kernels.neighbour_items import count_votes, find_items, score_neighbours
from core.kernels.neighbours import find_neighbours, weigh_query
from core.kernels.ranking import take_best
from core.kernels.repeats import weigh_repeats
from core.kernels.rules import add_rules, followers
from core.kernels.trend import trend_weight
from core.kernels.weights import Tables, idf
from core.scratch import BARRED, Int16s, Scratch

#: Items whose rules are followed where an answer is short.
FILL_SEEDS: Final = 10


class Queries(NamedTuple):
    """The queries of a run."""

    items: Int32s  # items of all queries, each query's in the order of time; -1: not in the index
    starts: Int64s  # (q + 1,) where each query's items begin
    times: Floats  # (q,) time of each query, seconds


class Popular(NamedTuple):
    """Plain popularity of the moment."""

    items: Int32s  # best first; enough to fill any answer
    scores: Floats  # decayed counts
    mass: float  # the score of an item that all counted sessions hold


class Ranked(NamedTuple):
    """Answers of a run, at most n items each; beyond ``count`` there is no item, -1, and the rest is 0."""

    item: Int32s  # (q, n) best first
    score: Floats  # (q, n) comparable within one source only
    source: Int32s  # (q, n) NEIGHBOURS, RULES, POPULAR or SESSION
    shared: Int32s  # (q, n) the item that vouches for it; -1: none
    sessions: Int32s  # (q, n) how many sessions vouch for it
    count: Int32s  # (q,) items in each answer
    scored: Int32s  # (q,) how many of them the method scored; the others fill a short answer


@kernel
def score_run(
    engine: Kept[Engine],
    items: Int32s,
    starts: Int64s,
    times: Floats,
    popular: Int32s,
    popular_score: Floats,
    popular_mass: float,
    out_item: Int32s,
    out_score: Floats,
    out_source: Int32s,
    out_shared: Int32s,
    out_sessions: Int32s,
    out_count: Int32s,
    out_scored: Int32s,
) -> None:
    """Answer the queries of a run.

    Its arrays are those of :class:`Queries`, :class:`Popular` and :class:`Ranked`, one by one: tuples would
    take longer to hand over.

    Args:
        engine: the index, which is not changed; scratch for this thread alone and queries as long as these;
            parameters and weights.
        items: of :class:`Queries`.
        starts: the same.
        times: the same.
        popular: ``items`` of :class:`Popular`.
        popular_score: ``scores`` of it.
        popular_mass: ``mass`` of it.
        out_item: out: of :class:`Ranked`.
        out_score: out: the same.
        out_source: out: the same.
        out_shared: out: the same.
        out_sessions: out: the same.
        out_count: out: the same.
        out_scored: out: the same.
    """
    index, scratch, ints, reals, tables, session_weight, _ = engine.parts
    for query in range(len(times)):
        begin, end = starts[query], starts[query + 1]
        _bar(scratch, items, begin, end, ints[P_EXCLUDE], BARRED)
        clicks = min(end - begin, ints[P_LAST])
        n = _consider(scratch, items, end - clicks, end)
        touched, kept = 0, 0
        if reals[R_NEIGHBOURS] > 0.0:
            weigh_query(index, scratch, ints, reals, tables, n, clicks)
            kept = find_neighbours(index, scratch, ints, reals, tables, session_weight, n, times[query])
            find_items(index, scratch, kept)
            touched, mass = score_neighbours(index, scratch, ints, reals, tables, kept)
            _weigh_items(index, scratch, ints, reals, tables, touched, times[query])
            if reals[R_PRIOR] > 0.0 and kept > 0:
                each = reals[R_PRIOR] * (mass / kept) / popular_mass
                touched = add_popular(scratch, popular, popular_score, each, touched)
        if ints[P_BLENDS]:
            touched = blend(
                index,
                scratch,
                ints,
                reals,
                tables,
                popular,
                popular_score,
                items,
                end - clicks,
                end,
                n,
                touched,
            )
        if reals[R_REPEAT] > 0.0 and n > 0:
            weigh_repeats(scratch, reals, items, end - clicks, end, n, touched)
        item, score = out_item[query], out_score[query]
        source, shared, sessions = out_source[query], out_shared[query], out_sessions[query]
        count = take_best(index, scratch, scratch.score, scratch.touched, touched, 0, ints[P_N], item, score)
        out_scored[query] = count
        for place in range(count):
            scratch.rank[item[place]] = place + 1
        _explain(index, scratch, ints, reals, kept, n, count, item, source, shared, sessions)
        for at in range(touched):
            scratch.cells[np.uint64(scratch.touched[at])].score = 0.0
        if ints[P_BLENDS]:
            for at in range(touched):
                scratch.seed[scratch.touched[at]] = 0
        if ints[P_FILL] and count < ints[P_N]:
            count = _fill_by_rules(
                index, scratch, ints, reals, tables, n, count, item, score, source, shared, sessions
            )
        if ints[P_FILL] and count < ints[P_N]:
            count = _fill_by_popularity(
                index.posting_count,
                scratch.rank,
                popular,
                popular_score,
                count,
                item,
                score,
                source,
                shared,
                sessions,
            )
        out_count[query] = count
        for place in range(count):
            scratch.rank[item[place]] = 0
        for place in range(count, ints[P_N]):
            item[place], shared[place] = -1, -1
            score[place], source[place], sessions[place] = 0.0, 0, 0
        _bar(scratch, items, begin, end, ints[P_EXCLUDE], 0)
        for at in range(n):
            scratch.place[scratch.considered[at]] = 0


@inner_kernel
def _consider(scratch: Scratch, items: Int32s, begin: int, end: int) -> int:
    """Put the distinct known items of some clicks in ``considered``, newest first; return how many."""
    n = 0
    for at in range(end - 1, begin - 1, -1):
        item = items[at]
        if item >= 0 and scratch.place[item] == 0:
            scratch.considered[n] = item
            scratch.distance[n] = end - 1 - at
            n += 1
            scratch.place[item] = n
    return n


@inner_kernel
def _bar(scratch: Scratch, items: Int32s, begin: int, end: int, exclude: int, value: int) -> None:
    """Mark or unmark what must not be recommended."""
    first = end
    if exclude == EXCLUDE_CURRENT and end > begin:
        first = end - 1
    elif exclude == EXCLUDE_SESSION:
        first = begin
    for at in range(first, end):
        if items[at] >= 0:
            scratch.rank[items[at]] = value


@inner_kernel
def _weigh_items(
    index: IndexArrays,
    scratch: Scratch,
    ints: Int64s,
    reals: Floats,
    tables: Tables,
    touched: int,
    time: float,
) -> None:
    """Multiply the neighbours' scores by what depends on how rare an item is, and on how it fares of late."""
    now_s = np.int64(max(time, 0.0))
    by_idf = reals[R_IDF_SCORE] > 0.0 or reals[R_IDF_BASE] != 1.0
    log_held, log, damping = math.log(max(held_sessions(index), 1)), tables.log, tables.damping
    counts = index.item_clicks if ints[P_IDF_CLICKS] else index.posting_count
    touched_items, scores, sessions = scratch.touched, scratch.score, index.posting_count
    for at in range(touched):
        item = touched_items[at]
        score = scores[item]
        if by_idf:
            rarity = idf(log, log_held, counts[item])
            score *= reals[R_IDF_BASE] + reals[R_IDF_SCORE] * rarity
        if reals[R_DAMPING] > 0.0:
            count = sessions[item]
            if count < len(damping):
                score *= damping[count]
            else:
                score *= float(count) ** -reals[R_DAMPING]
        if reals[R_TREND] > 0.0:
            score *= trend_weight(index, tables.trend_count, tables.trend_age, reals[R_TREND], item, now_s)
        scores[item] = max(score, LEAST_SCORE)


@inner_kernel
def _explain(
    index: IndexArrays,
    scratch: Scratch,
    ints: Int64s,
    reals: Floats,
    kept: int,
    n: int,
    count: int,
    out_item: Int32s,
    out_source: Int32s,
    out_shared: Int32s,
    out_sessions: Int32s,
) -> None:
    """For each item of the answer, find the query item that most neighbours share with it, and how many.

    An item that is itself in the query is vouched for by another where one can; ties go to the newer. An
    item that no neighbour holds was brought by a rule, or by the session itself, or by popularity.
    """
    count_votes(index, scratch, kept, n)
    for rank in range(count):
        item, best, most = out_item[rank], -1, 0
        in_query = scratch.place[item] - 1
        for other in range(min(n, REASON_ITEMS)):
            votes = scratch.votes[rank, other]
            if other != in_query and votes > most:
                best, most = other, votes
        if best < 0 and 0 <= in_query < REASON_ITEMS:
            most = scratch.votes[rank, in_query]
            best = in_query if most > 0 else -1
        for other in range(min(n, REASON_ITEMS)):
            scratch.votes[rank, other] = 0
        if best >= 0:
            out_source[rank], out_shared[rank], out_sessions[rank] = (
                NEIGHBOURS,
                scratch.considered[best],
                most,
            )
        elif scratch.seed[item] > 0:
            seed = scratch.seed[item] - 1
            out_source[rank], out_shared[rank] = RULES, seed
            out_sessions[rank] = followers(index, ints, reals, seed, item)
        else:
            out_source[rank] = SESSION if in_query >= 0 else POPULAR
            out_shared[rank], out_sessions[rank] = -1, index.posting_count[item]


@inner_kernel
def _fill_by_rules(
    index: IndexArrays,
    scratch: Scratch,
    ints: Int64s,
    reals: Floats,
    tables: Tables,
    n: int,
    count: int,
    out_item: Int32s,
    out_score: Floats,
    out_source: Int32s,
    out_shared: Int32s,
    out_sessions: Int32s,
) -> int:
    """Fill an answer by the rules of the clicked item and of the best items found, each by its place."""
    touched = 0
    own = 1 if n else 0
    for number in range(min(FILL_SEEDS, own + count)):
        seed = scratch.considered[0] if number < own else out_item[number - own]
        touched = add_rules(index, scratch, ints, tables, seed, 1.0 / (number + 1), touched)
    filled = take_best(
        index,
        scratch,
        scratch.rule_score,
        scratch.rule_touched,
        touched,
        count,
        ints[P_N],
        out_item,
        out_score,
    )
    for place in range(count, filled):
        seed = scratch.seed[out_item[place]] - 1
        scratch.rank[out_item[place]] = place + 1
        out_source[place], out_shared[place] = RULES, seed
        out_sessions[place] = followers(index, ints, reals, seed, out_item[place])
    for at in range(touched):
        scratch.rule_score[scratch.rule_touched[at]] = 0.0
        scratch.seed[scratch.rule_touched[at]] = 0
    return filled


@inner_kernel
def _fill_by_popularity(
    posting_count: Int32s,
    ranks: Int16s,
    popular: Int32s,
    popular_score: Floats,
    count: int,
    out_item: Int32s,
    out_score: Floats,
    out_source: Int32s,
    out_shared: Int32s,
    out_sessions: Int32s,
) -> int:
    """Fill an answer by the most popular items."""
    for place in range(len(popular)):
        if count >= len(out_item):
            break
        item = popular[place]
        if ranks[item] == 0:
            out_item[count], out_score[count] = item, popular_score[place]
            out_source[count], out_shared[count] = POPULAR, -1
            out_sessions[count] = posting_count[item]
            count += 1
            ranks[item] = count
    return count

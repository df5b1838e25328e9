"""Kernels of rules: what stands in a session with an item, or after it; see :mod:`core.params`.

No table of rules is kept: the posting lists have all that is needed, and an evicted session leaves nothing.
"""

from __future__ import annotations

import numpy as np

from core.arrays import POOL_BASE, Floats, IndexArrays, Int64s
from core.kernels.codes import P_LINEAR, P_RULE_SESSIONS, P_RULE_STEPS, R_RULE_MIX
from core.kernels.compiled import inner_kernel, prefetch
from core.kernels.held_sessions import item_at, items_of
from core.kernels.postings import newest_posting, slot_at
from core.kernels.weights import Tables
from core.scratch import BATCH, Scratch


@inner_kernel
def _find_batch(index: IndexArrays, scratch: Scratch, start: int, size: int, at: int, count: int) -> int:
    """Note where the items of the next ``count`` sessions of a posting list are, and ask for them.

    Args:
        index: the index.
        scratch: gets ``batch_begin`` and ``batch_length``.
        start: where the list's block starts.
        size: of the block.
        at: place in the block of the first of these sessions.
        count: of sessions, at most :data:`core.scratch.BATCH`.

    Returns:
        The place in the block of the session that comes after them.
    """
    places, pool, base = index.session_place, index.pool, index.meta[POOL_BASE]
    begins, lengths = scratch.batch_begin, scratch.batch_length
    for number in range(count):
        slot = slot_at(index.arena, start + at)
        at = at - 1 if at > 0 else size - 1
        prefetch(places, slot >> 2)
        begins[number] = slot
    for number in range(count):
        place, length = items_of(places, pool, base, begins[number])
        prefetch(pool, place)
        prefetch(pool, place + length - 1)
        begins[number], lengths[number] = place, length
    return at


@inner_kernel
def add_rules(
    index: IndexArrays,
    scratch: Scratch,
    ints: Int64s,
    tables: Tables,
    seed: int,
    factor: float,
    touched: int,
) -> int:
    """Add an item's rules times ``factor`` to ``rule_score``; items that have a rank are left out.

    An item's seed, for the explanation, is the first that reaches it.

    Returns:
        How many items are in ``rule_touched``, of which there were ``touched`` before.
    """
    pool, cells, rules, touched_items = index.pool, scratch.cells, scratch.rules, scratch.rule_touched
    steps, pairs, linear = tables.step, tables.pair, ints[P_LINEAR] != 0
    begins, lengths, anchor_at = scratch.batch_begin, scratch.batch_length, scratch.batch_anchor
    start, size, at, held = newest_posting(index, seed)
    reach = min(ints[P_RULE_STEPS], len(steps) - 1)
    left, known = min(held, ints[P_RULE_SESSIONS]), touched
    while left > 0:
        count = min(left, BATCH)
        at = _find_batch(index, scratch, start, size, at, count)
        left -= count
        for number in range(count):
            place, length = begins[number], lengths[number]
            pair = pairs[min(length, len(pairs) - 1)]
            anchors = 0
            for step in range(length):
                # Written in any case, counted only if it is one: a branch here could not be foreseen.
                anchor_at[np.uint64(anchors)] = step
                anchors += item_at(pool, place + step) == seed
            # A pair's weight does not depend on the distance, so the first of the seed's clicks brings the
            # pairs of all of them: no time with the square of a session's equal clicks. That click itself is
            # left out; the n - 1 others get n each, which are the n (n - 1) pairs of equal items.
            pair *= anchors
            for one in range(anchors):
                anchor = anchor_at[np.uint64(one)]
                first = 0 if pair > 0.0 else anchor + 1
                last = length if pair > 0.0 else min(length, anchor + 1 + reach)
                for step in range(first, last):
                    item, distance = item_at(pool, place + step), step - anchor
                    follows = (distance > 0) & (distance <= reach)
                    score = (pair + steps[np.uint64(distance if follows else 0)]) * factor
                    counts = (cells[item].rank == 0) & ((distance != 0) | linear)
                    score = score if counts else 0.0
                    before = rules[item].score
                    touched_items[np.uint64(touched)] = item  # counted only if it is new
                    touched += (before == 0.0) & (score > 0.0)
                    rules[item].score = before + score
                pair = 0.0
    for new in range(known, touched):
        rule = rules[np.uint64(touched_items[new])]
        rule.seed = seed + 1 if rule.seed == 0 else rule.seed
    return touched


@inner_kernel
def weight_of_seed(index: IndexArrays, scratch: Scratch, ints: Int64s, reals: Floats, seed: int) -> float:
    """What an item's rules are divided by: its sessions, or the diagonal of the linear model."""
    start, size, at, held = newest_posting(index, seed)
    left = min(held, ints[P_RULE_SESSIONS])
    if not ints[P_LINEAR]:
        return left
    mix, pool = reals[R_RULE_MIX], index.pool
    weight = 0.0
    while left > 0:
        count = min(left, BATCH)
        at = _find_batch(index, scratch, start, size, at, count)
        left -= count
        for number in range(count):
            place, length = scratch.batch_begin[number], scratch.batch_length[number]
            weight += mix / (length * length)
            for step in range(length - 1):
                weight += 1.0 - mix if item_at(pool, place + step) == seed else 0.0
    return weight


@inner_kernel
def followers(index: IndexArrays, ints: Int64s, reals: Floats, seed: int, item: int) -> int:
    """How many of the seed's newest sessions have the rule from the seed to the item."""
    mix, arena = reals[R_RULE_MIX], index.arena
    places, pool, base = index.session_place, index.pool, index.meta[POOL_BASE]
    linear = ints[P_LINEAR] and mix > 0.0
    reach = 1 << 30 if mix > 0.0 else ints[P_RULE_STEPS]
    start, size, at, held = newest_posting(index, seed)
    sessions = 0
    for _ in range(min(held, ints[P_RULE_SESSIONS])):
        place, length = items_of(places, pool, base, slot_at(arena, start + at))
        at = at - 1 if at > 0 else size - 1
        since = reach + 1  # clicks since the seed
        for step in range(length):
            here = item_at(pool, place + step)
            if here == item and (since <= reach or (mix > 0.0 and item != seed) or (linear and item == seed)):
                sessions += 1
                break
            since = 1 if here == seed else since + 1
    return sessions

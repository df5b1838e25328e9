"""Kernels of rules: what stands in a session with an item, or after it; see :mod:`core.params`.

No table of rules is kept: the posting lists have all that is needed, and an evicted session leaves nothing.
"""

from __future__ import annotations

from core.arrays import POOL_BASE, Floats, IndexArrays, Int64s
from core.compiled import inner_kernel
from core.kernel_codes import P_LINEAR, P_RULE_SESSIONS, P_RULE_STEPS, R_RULE_MIX
from core.posting_kernels import newest_posting, slot_at
from core.scratch import Scratch
from core.session_kernels import item_at, items_of
from core.weight_kernels import Tables


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
    places, pool, base, arena = index.session_place, index.pool, index.meta[POOL_BASE], index.arena
    steps, pairs, linear = tables.step, tables.pair, ints[P_LINEAR] != 0
    ranks, scores, seeds, touched_items = scratch.rank, scratch.rule_score, scratch.seed, scratch.rule_touched
    start, size, at, held = newest_posting(index, seed)
    reach = min(ints[P_RULE_STEPS], len(steps) - 1)
    for _ in range(min(held, ints[P_RULE_SESSIONS])):
        place, length = items_of(places, pool, base, slot_at(arena, start + at))
        at = at - 1 if at > 0 else size - 1
        pair = pairs[min(length, len(pairs) - 1)]
        for anchor in range(length):
            if item_at(pool, place + anchor) != seed:
                continue
            first = 0 if pair > 0.0 else anchor + 1
            last = length if pair > 0.0 else min(length, anchor + 1 + reach)
            for step in range(first, last):
                item = item_at(pool, place + step)
                if (step == anchor and not linear) or ranks[item] != 0:
                    continue
                score = pair
                if 0 < step - anchor <= reach:
                    score += steps[step - anchor]
                score *= factor
                if score <= 0.0:
                    continue
                if scores[item] == 0.0:
                    touched_items[touched] = item
                    touched += 1
                    if seeds[item] == 0:
                        seeds[item] = seed + 1
                scores[item] += score
    return touched


@inner_kernel
def weight_of_seed(index: IndexArrays, ints: Int64s, reals: Floats, seed: int) -> float:
    """What an item's rules are divided by: its sessions, or the diagonal of the linear model."""
    if not ints[P_LINEAR]:
        return min(index.posting_count[seed], ints[P_RULE_SESSIONS])
    mix, arena = reals[R_RULE_MIX], index.arena
    places, pool, base = index.session_place, index.pool, index.meta[POOL_BASE]
    start, size, at, held = newest_posting(index, seed)
    weight = 0.0
    for _ in range(min(held, ints[P_RULE_SESSIONS])):
        place, length = items_of(places, pool, base, slot_at(arena, start + at))
        at = at - 1 if at > 0 else size - 1
        weight += mix / (length * length)
        for step in range(length - 1):
            if item_at(pool, place + step) == seed:
                weight += 1.0 - mix
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

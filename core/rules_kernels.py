"""Kernels of rules: what follows an item in the sessions that hold it.

No table of rules is kept: the posting lists have all that is needed, and an evicted session leaves nothing.
"""

from __future__ import annotations

from core.arrays import Floats, IndexArrays, Int64s
from core.compiled import inner_kernel
from core.kernel_codes import P_ASSOCIATION, P_RULE, P_RULE_SESSIONS, P_RULE_STEPS, R_RULE_DECAY
from core.posting_kernels import newest_posting, slot_at
from core.scratch import Scratch
from core.session_kernels import item_at, items_of
from core.weight_kernels import step_weight


@inner_kernel
def add_rules(
    index: IndexArrays,
    scratch: Scratch,
    ints: Int64s,
    reals: Floats,
    seed: int,
    factor: float,
    touched: int,
) -> int:
    """Add an item's rules times ``factor`` to ``rule_score``; items that have a rank are left out.

    An item's seed, for the explanation, is the first that reaches it.

    Returns:
        How many items are in ``rule_touched``, of which there were ``touched`` before.
    """
    pool = index.pool
    start, size, at, held = newest_posting(index, seed)
    for _ in range(min(held, ints[P_RULE_SESSIONS])):
        place, length = items_of(index, slot_at(index.arena, start + at))
        at = at - 1 if at > 0 else size - 1
        for anchor in range(length):
            if item_at(pool, place + anchor) != seed:
                continue
            first, last = anchor + 1, min(length, anchor + 1 + ints[P_RULE_STEPS])
            if ints[P_ASSOCIATION]:
                first, last = 0, length
            for step in range(first, last):
                item = item_at(pool, place + step)
                if step == anchor or scratch.rank[item] != 0:
                    continue
                score = factor
                if not ints[P_ASSOCIATION]:
                    score *= step_weight(ints[P_RULE], step - anchor, reals[R_RULE_DECAY])
                if score <= 0.0:
                    continue
                if scratch.rule_score[item] == 0.0:
                    scratch.rule_touched[touched] = item
                    touched += 1
                    if scratch.seed[item] == 0:
                        scratch.seed[item] = seed + 1
                scratch.rule_score[item] += score
    return touched


@inner_kernel
def followers(index: IndexArrays, ints: Int64s, seed: int, item: int) -> int:
    """How many of the seed's newest sessions have the rule from the seed to the item."""
    pool = index.pool
    reach = 1 << 30 if ints[P_ASSOCIATION] else ints[P_RULE_STEPS]
    start, size, at, held = newest_posting(index, seed)
    sessions = 0
    for _ in range(min(held, ints[P_RULE_SESSIONS])):
        place, length = items_of(index, slot_at(index.arena, start + at))
        at = at - 1 if at > 0 else size - 1
        since = reach + 1  # clicks since the seed
        for step in range(length):
            here = item_at(pool, place + step)
            if here == item and (since <= reach or (ints[P_ASSOCIATION] and item != seed)):
                sessions += 1
                break
            since = 1 if here == seed else since + 1
    return sessions

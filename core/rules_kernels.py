"""Kernels of sequential rules: what followed an item in the sessions that hold it.

No table of rules is kept: the posting lists have all that is needed, and an evicted session leaves nothing.
"""

from __future__ import annotations

from typing import Final

from core.arrays import Floats, IndexArrays, Int32s, Int64s, Scratch
from core.compiled import inner_kernel
from core.kernel_codes import P_N, P_RULE_SESSIONS, P_RULE_STEPS, RULES
from core.posting_kernels import newest_posting, slot_at
from core.ranking_kernels import next_stamp, take_best
from core.session_kernels import item_at, items_of

#: Items whose sequential rules are followed where neighbours do not fill an answer.
RULE_SEEDS: Final = 10


@inner_kernel
def follow_rules(
    index: IndexArrays,
    scratch: Scratch,
    ints: Int64s,
    considered: Int32s,
    n: int,
    count: int,
    out_item: Int32s,
    out_score: Floats,
    out_source: Int32s,
    out_with: Int32s,
    out_sessions: Int32s,
) -> int:
    """Fill an answer by sequential rules: what followed the clicked item and the best items found so far.

    A rule from a seed to an item weighs 1 / distance for each of the newest sessions in which the item
    followed the seed within ``rule_steps`` positions, divided by the seed's place. An item's seed, for the
    explanation, is the first that reaches it.
    """
    touched = 0
    seeds = min(RULE_SEEDS, (1 if n else 0) + count)
    for number in range(seeds):
        seed = considered[0] if number == 0 and n else out_item[number - (1 if n else 0)]
        start, size, at, held = newest_posting(index, seed)
        for _ in range(min(held, ints[P_RULE_SESSIONS])):
            slot = slot_at(index.arena, start + at)
            at = at - 1 if at > 0 else size - 1
            place, length = items_of(index, slot)
            anchor = length - 1
            while item_at(index.pool, place + anchor) != seed:
                anchor -= 1
            stamp = next_stamp(scratch)
            for step in range(anchor + 1, min(length, anchor + 1 + ints[P_RULE_STEPS])):
                item = item_at(index.pool, place + step)
                if scratch.seen[item] == stamp or scratch.barred[item] or scratch.rank[item]:
                    continue
                scratch.seen[item] = stamp
                if scratch.score[item] == 0.0:
                    scratch.touched[touched] = item
                    touched += 1
                    scratch.seed[item] = number + 1
                scratch.score[item] += 1.0 / ((number + 1) * (step - anchor))
    filled = take_best(index, scratch, touched, ints[P_N], count, RULES, out_item, out_score, out_source)
    for place in range(count, filled):
        item = out_item[place]
        number = scratch.seed[item] - 1
        seed = considered[0] if number == 0 and n else out_item[number - (1 if n else 0)]
        out_with[place] = seed
        out_sessions[place] = followers(index, ints, seed, item)
    for at in range(touched):
        scratch.seed[scratch.touched[at]] = 0
    return filled


@inner_kernel
def followers(index: IndexArrays, ints: Int64s, seed: int, item: int) -> int:
    """In how many of the seed's newest sessions the item follows it within the rules' reach."""
    start, size, at, held = newest_posting(index, seed)
    sessions = 0
    for _ in range(min(held, ints[P_RULE_SESSIONS])):
        slot = slot_at(index.arena, start + at)
        at = at - 1 if at > 0 else size - 1
        place, length = items_of(index, slot)
        anchor = length - 1
        while item_at(index.pool, place + anchor) != seed:
            anchor -= 1
        for step in range(anchor + 1, min(length, anchor + 1 + ints[P_RULE_STEPS])):
            if item_at(index.pool, place + step) == item:
                sessions += 1
                break
    return sessions

"""Kernels that read a posting list: a ring of slots, oldest first, in the item's block of the arena.

To walk a list from its newest entry::

    start, size, at, count = newest_posting(index, item)
    for _ in range(min(count, m)):
        slot = slot_at(index.arena, start + at)
        at = at - 1 if at > 0 else size - 1
"""

from __future__ import annotations

from core.arrays import IndexArrays, Int32s
from core.compiled import inner_kernel


@inner_kernel
def newest_posting(index: IndexArrays, item: int) -> tuple[int, int, int, int]:
    """Where an item's block starts, its size, the place of its newest entry in it, and how many there are."""
    size = 1 << index.posting_class[item]
    count = index.posting_count[item]
    return index.posting_start[item], size, (index.posting_head[item] + count - 1) & (size - 1), count


@inner_kernel
def slot_at(arena: Int32s, place: int) -> int:
    """The slot at a place of the arena."""
    return arena[place]


@inner_kernel
def oldest_session(index: IndexArrays, item: int) -> int:
    """Slot of the oldest session that holds the item; at least one must."""
    return slot_at(index.arena, index.posting_start[item] + index.posting_head[item])


@inner_kernel
def newest_session(index: IndexArrays, item: int) -> int:
    """Slot of the newest session that holds the item; at least one must."""
    start, _, at, _ = newest_posting(index, item)
    return slot_at(index.arena, start + at)

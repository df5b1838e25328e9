"""Kernels that read a posting list: a ring of slots, oldest first, in the item's block of the arena."""

from __future__ import annotations

from core.arrays import IndexArrays
from core.compiled import inner_kernel


@inner_kernel
def oldest_session(index: IndexArrays, item: int) -> int:
    """Slot of the oldest session that holds the item; at least one must."""
    return index.arena[index.posting_start[item] + index.posting_head[item]]


@inner_kernel
def newest_session(index: IndexArrays, item: int) -> int:
    """Slot of the newest session that holds the item; at least one must."""
    size = 1 << index.posting_class[item]
    last = (index.posting_head[item] + index.posting_count[item] - 1) & (size - 1)
    return index.arena[index.posting_start[item] + last]

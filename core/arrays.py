"""The index as arrays: what they hold and how they are laid out; :mod:`core.index` owns them.

Each array is named here once, with its unit; the kernels take all of them as one named tuple.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Places in `IndexArrays.meta`.
FIRST: Final = 0  # sequence number of the oldest session held
NEXT: Final = 1  # sequence number of the next session to come
POOL_HEAD: Final = 2  # where the oldest session's items begin, counted from the pool's birth
POOL_TAIL: Final = 3  # where the next session's items will begin, the same
POOL_BASE: Final = 4  # what is to be subtracted from both to get a place in `pool`
ARENA_TOP: Final = 5  # first place of `arena` that no block has ever used
CLICKS: Final = 6  # clicks held
FREE: Final = 7  # head of the list of free blocks of 2**0, 2**1, … places; -1 ends a list
CLASSES: Final = 31
META_SIZE: Final = FREE + CLASSES


class IndexArrays(NamedTuple):
    """All of the index. S sessions at most, I items at most.

    A session's *slot* is its sequence number modulo S. A posting list is a ring in a block of the arena,
    2**class places long, of the slots of all sessions that hold the item, oldest first.
    """

    meta: Int64s  # (META_SIZE,)
    session_key: Int64s  # (S,) identity, to know a session that comes twice
    session_start: Int64s  # (S,) where its items begin, counted from the pool's birth
    session_length: Int32s  # (S,) clicks
    session_end: Floats  # (S,) time of its last click, seconds
    key_table: Int32s  # (power of two > S,) slots hashed by key, open addressing; -1 is empty
    pool: Int32s  # (grows,) items of the sessions, one after the other
    arena: Int32s  # (grows,) blocks of posting lists
    posting_start: Int64s  # (I,) its block in the arena
    posting_class: Int32s  # (I,) size of the block as a power of two; -1: none
    posting_head: Int32s  # (I,) where in the block the oldest entry is
    posting_count: Int32s  # (I,) sessions that hold the item
    item_clicks: Int32s  # (I,) clicks on the item in all of them


def new_arrays(sessions: int, items: int) -> IndexArrays:
    """Empty arrays for at most ``sessions`` sessions; what is never touched costs no resident memory."""
    meta = np.zeros(META_SIZE, np.int64)
    meta[FREE:] = -1
    table = 1 << max(4, (2 * sessions - 1).bit_length())
    return IndexArrays(
        meta=meta,
        session_key=np.zeros(sessions, np.int64),
        session_start=np.zeros(sessions, np.int64),
        session_length=np.zeros(sessions, np.int32),
        session_end=np.zeros(sessions, np.float64),
        key_table=np.full(table, -1, np.int32),
        pool=np.zeros(1024, np.int32),
        arena=np.zeros(1024, np.int32),
        posting_start=np.zeros(items, np.int64),
        posting_class=np.full(items, -1, np.int32),
        posting_head=np.zeros(items, np.int32),
        posting_count=np.zeros(items, np.int32),
        item_clicks=np.zeros(items, np.int32),
    )


def grown(array: npt.NDArray[Scalar], size: int, fill: int = 0) -> npt.NDArray[Scalar]:
    """A copy of the array with ``size`` places, the new ones filled."""
    larger = np.zeros(size, array.dtype)
    if fill:
        larger[:] = fill
    larger[: len(array)] = array
    return larger

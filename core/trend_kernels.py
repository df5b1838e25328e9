"""The kernel that says how much more often an item is clicked of late than it was before."""

from __future__ import annotations

from typing import Final

from core.arrays import IndexArrays
from core.compiled import inner_kernel
from core.posting_kernels import nth_newest_session
from core.session_kernels import end_of

#: Newest sessions of an item that are "of late": one in so many of those that hold it, and so many at least.
LATE_SHARE: Final = 10
LEAST_LATE: Final = 2


@inner_kernel
def trend(index: IndexArrays, item: int, time: float) -> float:
    """Sessions a second that held the item of late, by all sessions that hold it.

    Args:
        index: holds the item.
        item: its number.
        time: of the query, seconds.
    """
    count = index.posting_count[item]
    late = max(min(count, LEAST_LATE), count // LATE_SHARE)
    age_s = time - end_of(index.session_end, nth_newest_session(index, item, late))
    found: float = late / (count * (max(age_s, 0.0) + 1.0))
    return found

"""The kernels of an item's trend: how often it is clicked of late, beside how often it was clicked at all.

Hundreds of items a query have one, so powers come from tables: by sessions, and by the age's first bits.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from core.arrays import Floats, IndexArrays
from core.kernels.compiled import as_written, inner_kernel
from core.kernels.held_sessions import end_of
from core.kernels.postings import nth_newest_session

#: Newest sessions of an item that are "of late": one in so many of those that hold it, and so many at least.
LATE_SHARE: Final = 10
LEAST_LATE: Final = 2

#: Significant bits of an age that count: it is rounded down by less than a sixty-fourth.
_BITS: Final = 7
_HALF: Final = 1 << (_BITS - 1)

#: Bits of the largest age; an older one, of a query far in the future, counts as that: 272 years.
_AGE_BITS: Final = 33
_MOST_AGE: Final = (1 << _AGE_BITS) - 1


@inner_kernel
def late_sessions(count: int) -> int:
    """How many of an item's sessions are of late."""
    return max(min(count, LEAST_LATE), count // LATE_SHARE)


@inner_kernel
def trend_weight(
    index: IndexArrays, by_count: Floats, by_age: Floats, power: float, item: int, now_s: int
) -> float:
    """The trend of an item to a power; see :mod:`core.params`.

    Args:
        index: holds the item.
        by_count: :func:`count_weights`.
        by_age: :func:`age_weights`.
        power: of both.
        item: its number.
        now_s: time of the query, whole seconds.
    """
    count = index.posting_count[item]
    late = late_sessions(count)
    age_s = now_s - end_of(index.session_end, nth_newest_session(index, item, late))
    age_s = min(max(0, age_s) + 1, _MOST_AGE)
    _, bits = math.frexp(float(age_s))
    shift = max(0, bits - _BITS)
    weight: float = by_age[_HALF * shift + (age_s >> shift)]
    weight *= by_count[count] if count < len(by_count) else (late / count) ** power
    return weight


def count_weights(power: float, size: int) -> Floats:
    """``(late / sessions) ** power`` by sessions, from 0; empty where the power is 0."""
    late = as_written(late_sessions)
    counts = range(size if power > 0 else 0)
    return np.array([(late(count) / count) ** power if count else 1.0 for count in counts], np.float64)


def age_weights(power: float) -> Floats:
    """``age ** -power`` by an age's first bits; empty where the power is 0."""
    codes = range(_HALF * (_AGE_BITS - _BITS) + 2 * _HALF if power > 0 else 0)
    ages = [code if code < 2 * _HALF else (code % _HALF + _HALF) << (code // _HALF - 1) for code in codes]
    return np.array([max(age, 1) ** -power for age in ages], np.float64)

"""Kernels that find the k-th largest of some numbers, which a choice of the best begins with."""

from __future__ import annotations

from typing import Final

import numpy as np

from core.arrays import Floats
from core.kernels.compiled import inner_kernel

#: Places are the upper bits of a linear congruential generator, the same ones in each call: Press et al.,
#: "Numerical recipes in C", 1992, section 7.1, "quick and dirty" ranqd1.
_FIRST_PLACE: Final = 2463534242
_PLACE_FACTOR: Final = 1664525
_PLACE_STEP: Final = 1013904223
_PLACES: Final = (1 << 32) - 1


@inner_kernel
def kth_largest(values: Floats, n: int, k: int) -> float:
    """The k-th largest of the first n values, which it overwrites; k is 1 to n.

    What is on the pivot's side of the k-th is moved to the front and looked at again. Unlike Hoare's
    exchanges (1961) neither loop has a branch, which nobody could foresee; and many equal values, as
    similarities are, end it early. The pivot is the middle one of three from places that no order of the
    values goes by: some lists one behind the other, each descending, are what is usual here.
    """
    place = _FIRST_PLACE
    while n > 1:
        place = (place * _PLACE_FACTOR + _PLACE_STEP) & _PLACES
        first = (place * n) >> 32
        place = (place * _PLACE_FACTOR + _PLACE_STEP) & _PLACES
        second = (place * n) >> 32
        place = (place * _PLACE_FACTOR + _PLACE_STEP) & _PLACES
        third = (place * n) >> 32
        pivot = _middle(values[np.uint64(first)], values[np.uint64(second)], values[np.uint64(third)])
        above, least = 0, 0
        for at in range(n):
            above += values[np.uint64(at)] > pivot
            least += values[np.uint64(at)] >= pivot
        if above < k <= least:
            return pivot
        kept = 0
        if k <= above:
            for at in range(n):
                value = values[np.uint64(at)]
                values[np.uint64(kept)] = value
                kept += value > pivot
        else:
            for at in range(n):
                value = values[np.uint64(at)]
                values[np.uint64(kept)] = value
                kept += value < pivot
            k -= least
        n = kept
    return float(values[0])


@inner_kernel
def _middle(a: float, b: float, c: float) -> float:
    """The one of three values that is neither the largest nor the smallest."""
    return max(min(a, b), min(max(a, b), c))

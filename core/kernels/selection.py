"""Kernels that find the k-th largest of some numbers, which a choice of the best begins with."""

from __future__ import annotations

import numpy as np

from core.arrays import Floats
from core.kernels.compiled import inner_kernel


@inner_kernel
def kth_largest(values: Floats, n: int, k: int) -> float:
    """The k-th largest of the first n values, which it overwrites; k is 1 to n.

    What is on the pivot's side of the k-th is moved to the front and looked at again. Unlike Hoare's
    exchanges (1961) neither loop has a branch, which nobody could foresee; and many equal values, as
    similarities are, end it early.
    """
    while n > 1:
        pivot = _middle(values[0], values[np.uint64(n >> 1)], values[np.uint64(n - 1)])
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

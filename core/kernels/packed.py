"""Kernels that read and write entries of three bytes: see :func:`core.arrays.packed`."""

from __future__ import annotations

import numpy as np

from core.arrays import Packed
from core.kernels.compiled import inner_kernel


@inner_kernel
def entry_at(entries: Packed, place: int) -> int:
    """The number at a place, 0 to 2**24 - 1."""
    # An unsigned place is not looked at for being counted from the end.
    return np.int64(entries[np.uint64(place)]) & 0xFFFFFF


@inner_kernel
def put_entry(entries: Packed, place: int, number: int) -> None:
    """Write a number at a place; the byte after it, which is the next entry's, is left as it is."""
    entries[place] = (np.int64(entries[place]) & 0xFF000000) | number

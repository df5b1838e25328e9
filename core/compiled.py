"""The one way to compile a kernel: cached on disk, without the interpreter's lock, arithmetic as written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """Compile a function with numba on its first call; its type stays what it is written as.

    No fast-math: a sum is made in the order in which it is written, so that the same input gives the same
    bits everywhere.
    """
    return cast("Function", njit(cache=True, nogil=True)(function))

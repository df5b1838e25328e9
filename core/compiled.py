"""The one way to compile a kernel: without the interpreter's lock, arithmetic as written, cached on disk.

No fast-math: a sum is made in the order in which it is written, so that the same input gives the same bits
everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """Compile a function that Python calls, on its first call; its type stays what it is written as.

    The compiled code is kept on disk with all that it calls; :mod:`stream_app.compiled` says where. numba
    compiles anew when this function's file changes, and does not see changes of what it calls.
    """
    return cast("Function", njit(cache=True, nogil=True)(function))


def inner_kernel(function: Function) -> Function:
    """Compile a function that only kernels call.

    It gets no way in from Python, which would take longer to compile than the function itself.
    """
    return cast("Function", njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function))


def inlined_kernel(function: Function) -> Function:
    """Write a small function out where kernels call it.

    A call that hands on all of the index's arrays takes longer (80 ns) than the function itself.
    """
    return cast("Function", njit(nogil=True, inline="always")(function))

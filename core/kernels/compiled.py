"""The one way to compile a kernel: without the interpreter's lock, arithmetic as written, cached on disk.

No fast-math: a sum is made in the order in which it is written, so that the same input gives the same bits
everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

from numba import njit, types
from numba.core import cgutils
from numba.experimental import structref
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., object])
Parts = TypeVar("Parts")

#: No references are counted: the caller holds on to all arrays for as long as the call takes, and to count
#: those of fifty arrays in each of a query's calls would take a tenth of its time.
_INNER: Final = {
    "nogil": True,
    "forceinline": True,
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


@structref.register
class KeptType(types.StructRef):  # type: ignore[misc]  # numba publishes no types
    """The compiler's type of :class:`Kept`; public, because the cache on disk finds it by its name."""


class Kept(structref.StructRefProxy, Generic[Parts]):  # type: ignore[misc]  # numba publishes no types
    """A tuple that :func:`keep` has handed to compiled code for good, to be passed on as one argument.

    Every array that Python hands over in a call costs .1 to .4 microseconds there; this costs one, once. Only
    kernels can read ``parts``. It keeps the arrays alive; but where one is resized in place, or another takes
    its place, that must be kept anew.
    """

    __slots__ = ()
    parts: Parts


structref.define_proxy(Kept, KeptType, ["parts"])


def kernel(function: Function) -> Function:
    """Compile a function that Python calls, on its first call; its type stays what it is written as.

    The compiled code is kept on disk with all that it calls; :mod:`stream_app.compiled` says where. numba
    compiles anew when this function's file changes, and does not see changes of what it calls.
    """
    return cast("Function", njit(cache=True, nogil=True)(function))


@kernel
def keep(parts: Parts) -> Kept[Parts]:
    """Hand a tuple of arrays and tuples to compiled code for good."""
    return Kept(parts)


def inner_kernel(function: Function) -> Function:
    """Compile a function that only kernels call; it may not make arrays.

    It is put into each kernel where it is called: to hand on the index and the scratch, some fifty arrays,
    takes up to a fifth of a microsecond a call. It gets no way in from Python, which would take longer to
    compile than the function itself.
    """
    return cast("Function", njit(**_INNER)(function))


@intrinsic  # type: ignore[untyped-decorator]  # numba publishes no types
def prefetch(_: Any, array: Any, place: Any) -> Any:  # noqa: ARG001  # numba goes by the names
    """Ask the processor to fetch what is at a place of an array, from 0, into its cache; nobody waits for it.

    It is no access: a place beyond the array's end does no harm.
    """

    def written(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind, _ = signature.args
        values = context.make_array(kind)(context, builder, arguments[0])
        at = cgutils.get_item_pointer(context, builder, kind, values, [arguments[1]], wraparound=False)
        address = builder.bitcast(at, cgutils.voidptr_t)
        word, nothing = cgutils.int32_t, cgutils.ir.VoidType()
        kind_of_it = cgutils.ir.FunctionType(nothing, [address.type, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind_of_it)
        builder.call(function, [address, word(0), word(3), word(1)])  # to read, often, data
        return context.get_dummy_value()

    return types.void(array, types.intp), written


#: Bytes that :func:`copy_chunk` copies.
CHUNK_BYTES: Final = 16


@intrinsic  # type: ignore[untyped-decorator]  # numba publishes no types
def copy_chunk(_: Any, out: Any, at: Any, text: Any, begin: Any) -> Any:  # noqa: ARG001  # numba goes by the names
    """Copy :data:`CHUNK_BYTES` from a place of one array, from 0, to one of another; both must have them.

    Two instructions, where a loop over a few bytes makes branches that the processor does not foresee.
    """

    def written(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        chunk = cgutils.ir.VectorType(cgutils.int8_t, CHUNK_BYTES).as_pointer()

        def address(kind: Any, array: Any, place: Any) -> Any:
            values = context.make_array(kind)(context, builder, array)
            at = cgutils.get_item_pointer(context, builder, kind, values, [place], wraparound=False)
            return builder.bitcast(at, chunk)

        to_kind, _, from_kind, _ = signature.args
        value = builder.load(address(from_kind, arguments[2], arguments[3]), align=1)
        builder.store(value, address(to_kind, arguments[0], arguments[1]), align=1)
        return context.get_dummy_value()

    return types.void(out, types.intp, text, types.intp), written


def as_written(function: Function) -> Function:
    """A compiled function as the Python that it was written as, for what is computed once outside them."""
    return cast("Function", vars(function).get("py_func", function))

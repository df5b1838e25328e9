"""An index as a header and buffers, and back: what :mod:`stream_app.index.snapshot` writes to a file.

The buffers are the arrays as they lie in memory, without what is not in use, so restoring is copying. The
names of the items follow as one text. Numbers are little-endian, as on every machine that this runs on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from core.arrays import ARENA_TOP, NEXT, POOL_BASE, POOL_TAIL, IndexArrays, buffer_of, packed, packed_buffer
from core.errors import StateError
from core.index import SessionIndex
from core.window.forgetting import Memory

#: Changes whenever what is written here, or what the arrays mean, changes.
#: Format 2 did not know of visitors that are forgotten, so its writer may have passed over one.
FORMAT: Final = 3

_PACKED: Final = ("key_table", "pool", "arena")
_BY_SLOT: Final = ("session_key", "session_end")
_BY_ITEM: Final = ("posting_start", "posting_ring", "posting_count", "item_clicks")


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a snapshot says of itself, before its buffers.

    Args:
        offset: of the sessions topic, up to which the index has it.
        mark: what the last record that the index took in is recognised by; empty where nobody asks.
        parameters: what the writer was run with, as far as it matters to the index.
        max_sessions: of the index.
        max_items: of the index.
        sizes: how many entries each array has, in use or not, in the order of ``IndexArrays``.
        used: bytes of each buffer, in the order of :func:`buffers_of`.
        forgotten: as :class:`core.window.forgetting.Memory` gives them.
    """

    offset: int
    mark: str
    parameters: dict[str, Any]
    max_sessions: int
    max_items: int
    sizes: list[int]
    used: list[int]
    forgotten: list[tuple[int, int, int, int]]


class Restoring:
    """An index whose arrays are there and are to be filled, one buffer after the other.

    Args:
        header: as :func:`header_of` made it.
        parameters: those to go on with.

    Raises:
        StateError: the header is none, or the snapshot was written with other parameters.
    """

    def __init__(self, header: bytes, parameters: Mapping[str, Any]) -> None:
        try:
            self.header = msgspec.json.decode(header, type=Header)
        except msgspec.DecodeError as error:
            raise StateError(f"the header is none of this version's: {error}") from None
        _refuse_other(self.header.parameters, _plain(parameters))
        self._index = SessionIndex(self.header.max_sessions, self.header.max_items)
        self._index.arrays = _blank(self._index.arrays, self.header.sizes)
        self._free_ids, self._lengths, self._text = (np.empty(n, np.uint8) for n in self.header.used[-3:])

    def buffers(self) -> Iterator[memoryview]:
        """Where the bytes of each of :func:`buffers_of` are to be put, in its order."""
        arrays = [_bytes_of(name, array) for name, array in self._index.arrays._asdict().items()]
        for array, used in zip(
            [*arrays, self._free_ids, self._lengths, self._text], self.header.used, strict=True
        ):
            yield array.data[:used]

    def index(self) -> SessionIndex:
        """The index, once all buffers are filled."""
        text = self._text.tobytes().decode("utf-8", "surrogatepass")
        ends = accumulate(self._lengths.view(np.uint32).tolist(), initial=0)
        names = [text[begin:end] for begin, end in pairwise(ends)]
        self._index.restore_names(names, self._free_ids.view(np.int32).tolist())
        self._index.forgotten = Memory(self.header.forgotten)
        return self._index


def header_of(index: SessionIndex, offset: int, parameters: Mapping[str, Any], mark: str = "") -> bytes:
    """The header of a snapshot of the index as it is."""
    return msgspec.json.encode(
        Header(
            offset=offset,
            mark=mark,
            parameters=_plain(parameters),
            max_sessions=index.max_sessions,
            max_items=index.max_items,
            sizes=[len(array) for array in index.arrays],
            used=[len(buffer) for buffer in buffers_of(index)],
            forgotten=list(index.forgotten),
        )
    )


def buffers_of(index: SessionIndex) -> list[memoryview]:
    """What is in use of each array, the free ids, and the names' lengths in characters and text.

    Most are the index's own memory: they are to be written before it changes.
    """
    meta = index.arrays.meta
    places = {
        "pool": int(meta[POOL_TAIL] - meta[POOL_BASE]),
        "arena": int(meta[ARENA_TOP]),
        "session_place": (min(int(meta[NEXT]), index.slots) + 3) // 4,
        **dict.fromkeys(_BY_SLOT, min(int(meta[NEXT]), index.slots)),
        **dict.fromkeys(_BY_ITEM, len(index.names)),
    }
    buffers = [
        _bytes_of(name, array).data[
            : places.get(name, len(array)) * (3 if name in _PACKED else array.itemsize)
        ]
        for name, array in index.arrays._asdict().items()
    ]
    lengths = np.array([len(name) for name in index.names], np.uint32)
    text = "".join(index.names).encode("utf-8", "surrogatepass")
    free_ids = np.array(index.free_ids, np.int32)
    return [*buffers, free_ids.view(np.uint8).data, lengths.view(np.uint8).data, memoryview(text)]


def _bytes_of(name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return buffer_of(array) if name in _PACKED else array.view(np.uint8)


def _blank(arrays: IndexArrays, sizes: list[int]) -> IndexArrays:
    """Arrays of these sizes, all zero."""
    return IndexArrays._make(
        packed(packed_buffer(size)) if name in _PACKED else np.zeros(size, array.dtype)
        for (name, array), size in zip(arrays._asdict().items(), sizes, strict=True)
    )


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as they are read back."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(parameters)))
    return plain


def _refuse_other(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = [
        f"{name} is {there.get(name)!r} there, {wanted.get(name)!r} here"
        for name in sorted({*there, *wanted})
        if (name in there) != (name in wanted) or there.get(name) != wanted.get(name)
    ]
    if differing:
        raise StateError(f"it was written with other parameters: {'; '.join(differing)}")

"""The names of an index's items as JSON, one behind the other, for the kernel that writes answers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import msgspec
import numpy as np

from core.arrays import Bytes, Int32s, Int64s
from core.kernels.compiled import CHUNK_BYTES
from core.kernels.writing import pack_names

#: Bytes that there is room for at first.
NAMES_ROOM: Final = 1024

#: What stands behind the room for names: kernels copy them in chunks.
_BEHIND: Final = bytes(CHUNK_BYTES)

_encoder = msgspec.json.Encoder()


class NameTexts:
    """What an item's name is as JSON, by the item's number.

    At most three quarters of the bytes have no name, or one that is gone, but for some :data:`NAMES_ROOM`.

    Args:
        names: by item.

    Attributes:
        text: the names in bytes, and room for a chunk behind the last.
        begins: (items and more,) where a name begins.
        lengths: (items and more,) how long it is.
    """

    def __init__(self, names: Sequence[str]) -> None:
        texts = list(map(_text_of, names))
        self.text: Bytes = np.frombuffer(b"".join(texts).ljust(NAMES_ROOM) + _BEHIND, np.uint8).copy()
        self.lengths: Int32s = np.array(list(map(len, texts)), np.int32)
        self.begins: Int64s = np.array([0, *accumulate(map(len, texts))], np.int64)[:-1]
        self._items = len(texts)
        self._end = self._held = int(self.lengths.sum())

    @property
    def bytes(self) -> int:
        """Bytes of all arrays as they are allocated."""
        return self.text.nbytes + self.begins.nbytes + self.lengths.nbytes

    def put(self, item: int, name: str) -> None:
        """Give an item a name, in place of the one that it had.

        Args:
            item: one that has a name, or the next.
            name: its name.
        """
        text = _text_of(name)
        if item == self._items:
            if item == len(self.begins):
                self.begins = np.resize(self.begins, 2 * item + 64)
                self.lengths = np.resize(self.lengths, 2 * item + 64)
            self._items += 1
            self.lengths[item] = 0
        self._held += len(text) - int(self.lengths[item])
        self.lengths[item] = 0  # until it has a place
        if self._end + len(text) + CHUNK_BYTES > len(self.text):
            self._make_room(len(text))
        self.begins[item], self.lengths[item] = self._end, len(text)
        self._end += len(text)
        self.text[self.begins[item] : self._end] = np.frombuffer(text, np.uint8)

    def take_out(self, item: int) -> None:
        """Take an item's name away; it may be given another."""
        self._held -= int(self.lengths[item])
        self.lengths[item] = 0
        if len(self.text) > 4 * (self._held + NAMES_ROOM):
            self._make_room(0)

    def _make_room(self, more: int) -> None:
        """Put the names together, with room behind them for some bytes, and for as much as they take."""
        text = np.zeros(max(2 * (self._held + more), NAMES_ROOM) + CHUNK_BYTES, np.uint8)
        self._end = pack_names(self.text, self.begins, self.lengths, self._items, text)
        self.text = text


def _text_of(name: str) -> bytes:
    try:
        return _encoder.encode(name)
    except UnicodeEncodeError:  # half a pair of surrogates, which no click can have: there is no text for it
        return _encoder.encode(name.encode("utf-8", "replace").decode())

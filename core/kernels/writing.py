"""The kernel that writes recommended items as JSON, as msgspec would write them, without the interpreter.

To make twenty Python objects an answer, to write them and to throw them away took two fifths of the time of a
busy worker's main thread. A score has nine significant digits here; all else is as it is.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Final

import numpy as np

from core.arrays import Bytes, Floats, Int32s, Int64s
from core.kernels.codes import SOURCES
from core.kernels.compiled import CHUNK_BYTES, copy_chunk, inner_kernel, kernel, prefetch

#: Significant digits of a score, and the powers of ten between which so many are.
DIGITS: Final = 9
_LEAST: Final = 10 ** (DIGITS - 1)
_MOST: Final = 10**DIGITS

#: A score nearer to nothing is written as 0: it would have fewer digits.
LEAST_WRITTEN: Final = 1e-300

#: From here to there a number is written without an exponent, as msgspec does.
_LEAST_PLAIN: Final = -5
_MOST_PLAIN: Final = 15

# Not by numpy's power, whose last bit depends on the machine.
_POWERS: Final = np.array([float(f"1e{n}") for n in range(309)])

_PIECES: Final = (
    b'{"item":',
    b',"score":',
    b',"with":',
    *(b',"source":"%s","sessions":' % source.encode() for source in SOURCES),
)
_ITEM: Final = 0
_SCORE: Final = 1
_WITH: Final = 2
_SOURCE: Final = 3
_TEXT: Final = np.frombuffer(b"".join(_PIECES) + bytes(CHUNK_BYTES), np.uint8)
_ENDS: Final = np.array([0, *accumulate(map(len, _PIECES))], np.int64)

#: Bytes of an item beside its name and that of the item that vouches for it, at most: the pieces, the longest
#: source, a score, a number of sessions, a brace and a comma.
_MOST_AROUND: Final = len(b"".join(_PIECES[:3])) + max(map(len, _PIECES[3:])) + 24 + 10 + 2

_ZERO: Final = ord("0")
_POINT: Final = ord(".")
_MINUS: Final = ord("-")
_EXPONENT: Final = ord("e")
_COMMA: Final = ord(",")
_CLOSE: Final = ord("}")
_OPEN_ALL: Final = ord("[")
_CLOSE_ALL: Final = ord("]")


@kernel
def write_items(
    item: Int32s,
    score: Floats,
    source: Int32s,
    shared: Int32s,
    sessions: Int32s,
    count: Int32s,
    names: Bytes,
    begins: Int64s,
    lengths: Int32s,
    begin: int,
    out: Bytes,
    ends: Int64s,
) -> int:
    """Write the items of answers from one on, as many answers as there is room for.

    Args:
        item: (q, n) as those that follow: see :class:`core.kernels.scoring.Ranked`.
        score: (q, n).
        source: (q, n).
        shared: (q, n).
        sessions: (q, n).
        count: (q,).
        names: the names of the index's items as JSON, with room for a chunk behind the last; see
            :class:`core.name_texts.NameTexts`.
        begins: by item, where its name begins.
        lengths: by item, how long that is.
        begin: the first answer to write.
        out: for the text.
        ends: (q,) for where each answer's text ends in ``out``; it begins where the one before ends.

    Returns:
        The answer after the last one that is written.
    """
    at = 0
    for q in range(begin, len(count)):
        room = 2 + CHUNK_BYTES
        for rank in range(count[q]):
            room += _MOST_AROUND + lengths[item[q, rank]]
            prefetch(names, begins[item[q, rank]])
            if shared[q, rank] >= 0:
                room += lengths[shared[q, rank]]
        if at + room > len(out):
            return q
        out[at] = _OPEN_ALL
        at += 1
        for rank in range(count[q]):
            if rank:
                out[at] = _COMMA
                at += 1
            name = item[q, rank]
            at = _write(out, _piece(out, at, _ITEM), names, begins[name], lengths[name])
            at = write_score(out, _piece(out, at, _SCORE), score[q, rank])
            at = _write_number(out, _piece(out, at, _SOURCE + source[q, rank]), sessions[q, rank])
            name = shared[q, rank]
            if name >= 0:
                at = _write(out, _piece(out, at, _WITH), names, begins[name], lengths[name])
            out[at] = _CLOSE
            at += 1
        out[at] = _CLOSE_ALL
        at += 1
        ends[q] = at
    return len(count)


@kernel
def pack_names(names: Bytes, begins: Int64s, lengths: Int32s, items: int, out: Bytes) -> int:
    """Copy the names of the first items to another text, one behind the other; where the last one ends.

    Both texts have room for a chunk behind the last name.
    """
    at = 0
    for item in range(items):
        at = _write(out, at, names, begins[item], lengths[item])
        begins[item] = at - lengths[item]
    return at


@inner_kernel
def write_score(out: Bytes, at: int, score: float) -> int:
    """Write a finite number with nine significant digits, without zeros at the end; where its text ends."""
    if score < 0:
        out[at] = _MINUS
        at += 1
        score = -score
    exponent, digits = 0, 0
    if score >= LEAST_WRITTEN:
        exponent = math.floor(math.log10(score))
        digits = _digits_of(score, exponent)
        if digits >= _MOST:
            exponent += 1
            digits = _digits_of(score, exponent)
        elif digits < _LEAST:
            exponent -= 1
            digits = _digits_of(score, exponent)
    many = DIGITS
    while many > 1 and digits % 10 == 0:
        digits //= 10
        many -= 1
    if _LEAST_PLAIN <= exponent < 0:
        out[at] = _ZERO
        out[at + 1] = _POINT
        at += 2
        for _ in range(-exponent - 1):
            out[at] = _ZERO
            at += 1
        return _write_digits(out, at, digits, many)
    whole = exponent + 1 if 0 <= exponent <= _MOST_PLAIN else 1
    if many <= whole:
        at = _write_digits(out, at, digits, many)
        for _ in range(whole - many):
            out[at] = _ZERO
            at += 1
        if whole == exponent + 1:
            out[at] = _POINT
            out[at + 1] = _ZERO
            return at + 2
    else:
        # One place further, and then what stands before the point one place back.
        end = _write_digits(out, at + 1, digits, many)
        for _ in range(whole):
            out[at] = out[at + 1]
            at += 1
        out[at] = _POINT
        at = end
    if whole != exponent + 1:
        out[at] = _EXPONENT
        at += 1
        if exponent < 0:
            out[at] = _MINUS
            at += 1
        at = _write_number(out, at, abs(exponent))
    return at


@inner_kernel
def _digits_of(score: float, exponent: int) -> int:
    """The nine digits of a number of which the first stands at a power of ten, as a whole number."""
    shift = DIGITS - 1 - exponent
    scaled = score * _POWERS[shift] if shift >= 0 else score / _POWERS[-shift]
    return int(np.rint(scaled))


@inner_kernel
def _write_number(out: Bytes, at: int, number: int) -> int:
    """Write a whole number, 0 or larger; where its text ends."""
    many, rest = 1, number // 10
    while rest:
        many += 1
        rest //= 10
    return _write_digits(out, at, number, many)


@inner_kernel
def _write_digits(out: Bytes, at: int, number: int, many: int) -> int:
    """Write the last digits of a whole number; where their text ends."""
    for place in range(at + many - 1, at - 1, -1):
        out[place] = _ZERO + number % 10
        number //= 10
    return at + many


@inner_kernel
def _piece(out: Bytes, at: int, piece: int) -> int:
    """Write what stands between an item's values; where its text ends."""
    return _write(out, at, _TEXT, _ENDS[piece], _ENDS[piece + 1] - _ENDS[piece])


@inner_kernel
def _write(out: Bytes, at: int, text: Bytes, begin: int, length: int) -> int:
    """Write a part of a text; where it ends. Up to a chunk beyond it is written, too."""
    for place in range(0, length, CHUNK_BYTES):
        copy_chunk(out, at + place, text, begin + place)
    return at + length

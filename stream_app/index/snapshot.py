"""The index in one file: written whole or not at all, and refused unless every byte is as it was written.

The file is: 16 bytes that say what it is, the format (uint32), the header's length (uint64), the header, the
CRC-32 of all so far (uint32); the buffers one after the other; the CRC-32 of all that is before it (uint32).
Numbers are little-endian. CRC-32 notices every change within 32 bits, and others but for one in four billion.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any, Final

from core.errors import StateError
from core.index import SessionIndex
from core.snapshot import FORMAT, Restoring, buffers_of, header_of

MAGIC: Final = b"nextclick index\n"

_PREFIX: Final = struct.Struct("<16sIQ")
_CHECKSUM: Final = struct.Struct("<I")

#: What is read and checked, or written, at once; the checksum then finds it in the processor's cache.
_PIECE_BYTES: Final = 1 << 18


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot holds.

    Args:
        index: the index.
        offset: of the sessions topic, to go on from.
        mark: as :func:`save_snapshot` was given it.
    """

    index: SessionIndex
    offset: int
    mark: str


def save_snapshot(
    path: Path, index: SessionIndex, offset: int, parameters: Mapping[str, Any], mark: str = ""
) -> int:
    """Write the index to a file that is there, whole and on the disk, when this returns.

    Until the last moment the file of before is there; a write that is cut off leaves ``<name>.part`` beside
    it, which the next one writes over.

    Args:
        path: the file; its folder must exist.
        index: must not change meanwhile.
        offset: of the sessions topic, up to which the index has it.
        parameters: what else must be the same for the file to be used again; values as JSON has them.
        mark: what the last record that the index took in is recognised by.

    Returns:
        The file's size, bytes.

    Raises:
        OSError: the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    header = header_of(index, offset, parameters, mark)
    with part.open("wb") as file:
        check = _write(file, _PREFIX.pack(MAGIC, FORMAT, len(header)) + header, 0)
        check = _write(file, _CHECKSUM.pack(check), check)
        for buffer in buffers_of(index):
            check = _write(file, buffer, check)
        file.write(_CHECKSUM.pack(check))
        size = file.tell()
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # or the new name may be lost with the power
    finally:
        os.close(folder)
    return size


def load_snapshot(path: Path, parameters: Mapping[str, Any]) -> Snapshot:
    """Read an index back.

    Args:
        path: the file.
        parameters: as :func:`save_snapshot` was given them.

    Raises:
        StateError: it is cut off, corrupt, of another format or of other parameters.
        OSError: there is no such file, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _read(file, parameters)
    except StateError as error:
        raise StateError(
            f"the snapshot {path} cannot be used: {error}. Delete it: "
            "the index is then rebuilt from the sessions topic"
        ) from None


def _read(file: BufferedReader, parameters: Mapping[str, Any]) -> Snapshot:
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        raise StateError(f"it is cut off: it has {size} bytes")
    magic, version, header_length = _PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise StateError("it does not begin as a snapshot does")
    if version != FORMAT:
        raise StateError(
            f"it is of format {version}, expected {FORMAT}: another version of nextclick wrote it"
        )
    if size < _PREFIX.size + header_length + 2 * _CHECKSUM.size:
        raise StateError(f"it is cut off: it has {size} bytes, its header alone {header_length}")
    header = file.read(header_length)
    check = _checked(file, zlib.crc32(header, zlib.crc32(prefix)))
    restoring = Restoring(header, parameters)
    expected = file.tell() + sum(restoring.header.used) + _CHECKSUM.size
    if size != expected:
        raise StateError(f"it has {size} bytes, expected {expected}")
    for buffer in restoring.buffers():
        for begin in range(0, len(buffer), _PIECE_BYTES):
            piece = buffer[begin : begin + _PIECE_BYTES]
            if file.readinto(piece) != len(piece):
                raise StateError("it is cut off")
            check = zlib.crc32(piece, check)
    _checked(file, check)
    return Snapshot(restoring.index(), restoring.header.offset, restoring.header.mark)


def _write(file: BufferedWriter, buffer: bytes | memoryview, check: int) -> int:
    """Write bytes; the checksum with them taken in."""
    view = memoryview(buffer)
    for begin in range(0, len(view), _PIECE_BYTES):
        piece = view[begin : begin + _PIECE_BYTES]
        check = zlib.crc32(piece, check)
        file.write(piece)
    return check


def _checked(file: BufferedReader, check: int) -> int:
    """Compare the checksum that comes next in the file with the right one; the checksum with it taken in."""
    stored = file.read(_CHECKSUM.size)
    if stored != _CHECKSUM.pack(check):
        raise StateError("it is corrupt: its checksum is not that of its bytes")
    return zlib.crc32(stored, check)

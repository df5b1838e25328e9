"""The numbered lines of a file, gzipped or not, in constant memory.

A damaged file never stops the reader: what could be read before the damage is given, then the damage itself.
"""

from __future__ import annotations

import itertools
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Self

from core.errors import ReplayError
from stream_app.recordings.rows import BadLine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"
MAX_LINE_BYTES = 1024 * 1024

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_CHUNK_BYTES = 256 * 1024
_PACKED_BYTES = 16 * 1024  # small, so that the position moves evenly
_GZIP_WBITS = 31  # zlib reads a gzip header and checks its CRC

#: A line's number and its bytes, or why it has none.
Line = tuple[int, bytes] | BadLine


class ByteSource:
    """The bytes of a file, unpacked if they are gzip by their first two bytes, whatever the file's name.

    Args:
        path: the file. Opened at once.

    Attributes:
        size: bytes of the file as it lies there.
        gzipped: whether the file is gzip.
        used: how much of the chunk given last is used, 0 to 1; for :attr:`position`, set by who reads.
        damage: None, or after :meth:`chunks` ended early, what is wrong with the file.

    Raises:
        ReplayError: there is no such file or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: BinaryIO = path.open("rb")
            self.size = path.stat().st_size
            self.gzipped = self._file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            self._file.seek(0)
        except OSError as error:
            raise ReplayError(f"the file {path} cannot be read: {error.strerror}") from None
        self.damage: str | None = None
        self.used = 1.0
        self._chunk_begins = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def position(self) -> int:
        """Bytes of the file used so far, of the packed ones where it is packed."""
        if self._file.closed:
            return self.size
        return self._chunk_begins + int((self._file.tell() - self._chunk_begins) * self.used)

    def chunks(self) -> Iterator[bytes]:
        """The bytes from the beginning, 256 KiB at most at a time; sets :attr:`damage`, never raises."""
        self._file.seek(0)
        self.damage = None
        try:
            for chunk in self._unpacked() if self.gzipped else self._plain():
                yield chunk
                self._chunk_begins, self.used = self._file.tell(), 1.0
        except zlib.error as error:
            self.damage = f"the gzip is damaged ({error}); what comes after this place cannot be read"
        except OSError as error:
            self.damage = f"the file cannot be read further: {error.strerror}"

    def _plain(self) -> Iterator[bytes]:
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk

    def _unpacked(self) -> Iterator[bytes]:
        """The members of the gzip one after the other; a bounded output a step, so that nothing explodes."""
        unpacker = zlib.decompressobj(_GZIP_WBITS)
        begun = False  # something of the member in hand was read
        rest = b""
        while packed := rest or self._file.read(_PACKED_BYTES):
            if not begun and not packed.lstrip(b"\0"):
                rest = b""
                continue  # padding with zeros behind the last member is allowed
            begun = True
            before = unpacker.copy()
            try:
                chunk = unpacker.decompress(packed, _CHUNK_BYTES)
            except zlib.error:
                yield _until_damage(before, packed)
                raise
            if chunk:
                yield chunk
            rest = unpacker.unconsumed_tail
            if unpacker.eof:
                rest = unpacker.unused_data
                unpacker = zlib.decompressobj(_GZIP_WBITS)
                begun = False
        while begun and (chunk := unpacker.decompress(b"", _CHUNK_BYTES)):
            yield chunk
        if begun and not unpacker.eof:
            self.damage = "the gzip is truncated: the file ends before its data does (a copy cut short?)"


def _until_damage(unpacker: zlib._Decompress, packed: bytes) -> bytes:
    """What can be unpacked before the damage: zlib gives nothing of a call that fails, so a byte a call."""
    chunks: list[bytes] = []
    with suppress(zlib.error):
        chunks.extend(unpacker.decompress(packed[at : at + 1]) for at in range(len(packed)))
    return b"".join(chunks)


def numbered_lines(source: ByteSource) -> Iterator[Line]:
    """The lines of a source from number 1, split at line feeds and without them.

    A line longer than 1 MiB is a :class:`BadLine`. Where the source is damaged, the line that the damage cut
    is not given, for half a line may look like a whole one; a :class:`BadLine` says so in its place.
    """
    number = 0
    pending = b""
    too_long = False  # the line in hand is past the limit: its bytes are dropped until it ends
    for chunk in source.chunks():
        first, *others = chunk.split(b"\n")
        pending = b"" if too_long else pending + first
        for done, following in enumerate(others, start=1):
            number += 1
            source.used = done / len(others)
            yield _line(number, pending, too_long=too_long)
            pending, too_long = following, False
        if len(pending) > MAX_LINE_BYTES:
            pending, too_long = b"", True
    if source.damage is not None:
        yield BadLine(number + 1, source.damage, ends_file=True)
    elif pending or too_long:
        yield _line(number + 1, pending, too_long=too_long)


def _line(number: int, line: bytes, *, too_long: bool) -> Line:
    if too_long or len(line) > MAX_LINE_BYTES:
        return BadLine(number, f"the line is longer than {MAX_LINE_BYTES} bytes")
    return number, line


class TextTable:
    """What the tables of lines share: the source and how far it is read."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._lines: Iterator[Line] = _without_mark(numbered_lines(source))
        self.size = source.size

    @property
    def position(self) -> int:
        """Bytes of the file read so far."""
        return self._source.position

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._source.close()


def _without_mark(lines: Iterator[Line]) -> Iterator[Line]:
    """The lines without the byte order mark that some programs put before the first."""
    first = next(lines, None)
    if first is None:
        return iter(())
    if isinstance(first, tuple):
        first = (first[0], first[1].removeprefix(BYTE_ORDER_MARK))
    return itertools.chain([first], lines)

"""Files of clicks, row by row: TSV, CSV, JSON lines and Parquet, each gzipped or not.

Only one row is held at a time (a Parquet file: one batch). What is no row is given with its line number and
its reason, and the reading goes on.
"""

from __future__ import annotations

import itertools
import tempfile
from typing import IO, TYPE_CHECKING, Literal, cast

import msgspec

from core.errors import ReplayError
from stream_app.recordings.delimited import DelimitedTable
from stream_app.recordings.lines import BYTE_ORDER_MARK, ByteSource, Line, TextTable
from stream_app.recordings.rows import BadLine, Row, Table, Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

Format = Literal["auto", "tsv", "csv", "jsonl", "parquet"]

#: Lines of a JSON lines file that are searched for the first object, whose keys are the columns.
MAX_LEADING_LINES = 1000

_FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PARQUET_MAGIC = b"PAR1"


def open_table(path: Path, file_format: Format = "auto", names: Sequence[str] | None = None) -> Table:
    """Open a file of rows.

    Args:
        path: the file.
        file_format: ``auto`` goes by the content (Parquet), the file's name, then the content again: a first
            line that opens an object is JSON lines, all else is delimited by what stands most often in it.
        names: the columns of a delimited file that has no header line.

    Raises:
        ReplayError: there is nothing that can be read: no such file, an empty one, no header, no JSON object.
    """
    source = ByteSource(path)
    try:
        return _open(source, path, file_format, names)
    except BaseException:
        source.close()
        raise


def _open(source: ByteSource, path: Path, file_format: Format, names: Sequence[str] | None) -> Table:
    start = next(source.chunks(), b"").removeprefix(BYTE_ORDER_MARK).lstrip()
    if not start:
        raise ReplayError(
            f"the file {path} holds nothing to read{f': {source.damage}' if source.damage else ''}"
        )
    if file_format == "auto":
        file_format = _guess_format(path, start)
    if names is not None and file_format in ("jsonl", "parquet"):
        raise ReplayError(
            f"columns can be named for a TSV or CSV file without a header; {path} is read as {file_format}, "
            "which names its own"
        )
    if file_format == "parquet":
        return _open_parquet(source, path)
    if file_format == "jsonl":
        return JsonLinesTable(source, path)
    return DelimitedTable(source, path, "\t" if file_format == "tsv" else None, names)


def _guess_format(path: Path, start: bytes) -> Format:
    if start.startswith(_PARQUET_MAGIC):
        return "parquet"
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".gzip")]
    by_name = _FORMAT_OF_SUFFIX.get(suffixes[-1]) if suffixes else None
    if by_name == "parquet":
        raise ReplayError(f"{path} is named like Parquet but does not begin like it; give its format")
    return by_name or ("jsonl" if start.startswith(b"{") else "csv")


def _open_parquet(source: ByteSource, path: Path) -> Table:
    # Only here, so that text files can be replayed where pyarrow is not installed.
    from stream_app.recordings.parquet import ParquetTable  # noqa: PLC0415 - see above

    if not source.gzipped:
        source.close()
        return cast("Table", ParquetTable(path, path, source.size))
    # Parquet is read from its end, so a packed one is unpacked beside, on disk, and gone when closed.
    unpacked: IO[bytes] = tempfile.TemporaryFile(prefix="nextclick-")  # noqa: SIM115 - closed by the table
    unpacked.writelines(source.chunks())
    source.close()
    if source.damage:
        raise ReplayError(f"{path} cannot be read, a Parquet file is read from its end: {source.damage}")
    unpacked.seek(0)
    return cast("Table", ParquetTable(unpacked, path, source.size))


class JsonLinesTable(TextTable):
    """A file with one JSON object a line; empty lines are passed over.

    A value that is neither text, number nor null is given as its JSON.

    Raises:
        ReplayError: no object in the first 1,000 lines.
    """

    def __init__(self, source: ByteSource, path: Path) -> None:
        super().__init__(source)
        self._decoder = msgspec.json.Decoder()
        leading: list[Line] = []
        self.columns: list[str] = []
        for entry in itertools.islice(self._lines, MAX_LEADING_LINES):
            leading.append(entry)
            row = self._row(entry)
            if isinstance(row, tuple):
                self.columns = list(row[1])
                break
        else:
            raise ReplayError(
                f"{path} is not JSON lines: none of its first {len(leading)} lines is a JSON object"
            )
        self._lines = itertools.chain(leading, self._lines)

    def rows(self, wanted: Collection[str] | None = None) -> Iterator[Row | BadLine]:
        """See :meth:`stream_app.recordings.rows.Table.rows`; a row has the keys of its own object."""
        del wanted
        for entry in self._lines:
            row = self._row(entry)
            if row is not None:
                yield row

    def _row(self, entry: Line) -> Row | BadLine | None:
        """The row of a line, or None if it is empty."""
        if isinstance(entry, BadLine):
            return entry
        line, text = entry
        if not text.strip():
            return None
        try:
            values = self._decoder.decode(text)
        except UnicodeDecodeError:
            return BadLine(line, "not UTF-8")
        except (msgspec.MsgspecError, RecursionError) as error:
            return BadLine(line, f"not JSON: {error}")
        if not isinstance(values, dict):
            return BadLine(line, f"expected a JSON object, came {text[:40].decode('utf-8', 'replace')}")
        return line, {key: _scalar(value) for key, value in values.items()}


def _scalar(value: object) -> Value:
    if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
        return value
    return msgspec.json.encode(value).decode()

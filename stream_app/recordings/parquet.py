"""The door to pyarrow: Parquet files, batch by batch.

Imported only when a Parquet file is read: pyarrow is an optional dependency.
"""

from __future__ import annotations

import datetime as dt
import decimal
from typing import IO, TYPE_CHECKING, Any, Self

from core.errors import ReplayError
from stream_app.recordings.rows import BadLine, Row, Value

try:
    import pyarrow as pa
    from pyarrow import parquet as pq
except ModuleNotFoundError as error:
    raise ReplayError(
        f"a Parquet file is read with pyarrow, which is not installed ({error}): "
        "pip install 'nextclick[parquet]'"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

BATCH_ROWS = 8192

_UNITS_A_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EPOCH_DAY = dt.date(1970, 1, 1)
_DAY_S = 86_400
_NOT_UTF8 = "\0not UTF-8"  # stands, by identity, for a value that cannot be decoded


class ParquetTable:
    """A Parquet file; its first row has the number 1.

    Timestamps and dates are given as seconds since 1970 (UTC if bare), bytes as text, other values that are
    neither text nor number as their text.

    Args:
        file: the file's path, or the open file; closed with the table.
        path: for messages.
        size: bytes of the file as it lies there.

    Raises:
        ReplayError: it is not a Parquet file, or not a whole one.
    """

    def __init__(self, file: Path | IO[bytes], path: Path, size: int) -> None:
        self.size = size
        self._rows_read = 0
        try:
            self._file = pq.ParquetFile(file, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise ReplayError(f"{path} cannot be read as Parquet: {error}") from None
        self._to_close = None if hasattr(file, "joinpath") else file
        self.columns: list[str] = list(self._file.schema_arrow.names)

    @property
    def position(self) -> int:
        """An estimate by the share of the rows: the file is not read from its beginning to its end."""
        rows: int = self._file.metadata.num_rows
        return self.size * self._rows_read // max(1, rows)

    def rows(self, wanted: Collection[str] | None = None) -> Iterator[Row | BadLine]:
        """See :meth:`stream_app.recordings.rows.Table.rows`; only the wanted columns are read."""
        names = [name for name in self.columns if wanted is None or name in wanted]
        batches = self._file.iter_batches(batch_size=BATCH_ROWS, columns=names, use_threads=False)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                reason = f"the Parquet file cannot be read further: {error}"
                yield BadLine(self._rows_read + 1, reason, ends_file=True)
                return
            if batch is None:
                return
            columns = [_values(batch.column(index)) for index in range(batch.num_columns)]
            for values in zip(*columns, strict=True):
                self._rows_read += 1
                row = dict(zip(batch.schema.names, values, strict=True))
                bad = [name for name, value in row.items() if value is _NOT_UTF8]
                if bad:
                    yield BadLine(self._rows_read, f"column {bad[0]!r} is not UTF-8")
                else:
                    yield self._rows_read, row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        if self._to_close is not None:
            self._to_close.close()


def _values(column: Any) -> list[Value]:
    """A column of a batch as plain values."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_timestamp(kind):
        units = _UNITS_A_SECOND[kind.unit]
        return [None if value is None else value / units for value in column.cast(pa.int64()).to_pylist()]
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:  # a text column is not checked when it is written
        values = column.cast(pa.binary()).to_pylist()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return values
    return [value if type(value) is str else _plain(value) for value in values]


def _plain(value: Any) -> Value:
    match value:
        case None | str():
            return value
        case bytes():
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                return _NOT_UTF8
        case bool():
            return "true" if value else "false"
        case dt.date():
            return (value - _EPOCH_DAY).days * _DAY_S
        case decimal.Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case _:
            return str(value)

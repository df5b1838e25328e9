"""Delimited text: TSV, and CSV with RFC 4180's quotes."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from core.errors import ReplayError
from stream_app.recordings.lines import MAX_LINE_BYTES, ByteSource, TextTable
from stream_app.recordings.rows import BadLine, Row, Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

#: A quoted field may go over so many lines; a quote left open costs its own line, not the rest of the file.
MAX_QUOTED_LINES = 100

_DELIMITERS = (",", ";", "\t")
_QUOTED_FIELD = re.compile(r'"((?:[^"]|"")*+)"')


class DelimitedTable(TextTable):
    """A TSV file, or a CSV file with RFC 4180's quotes; empty lines are passed over.

    Args:
        source: the bytes.
        path: for messages.
        delimiter: a tab, between whose fields quotes mean nothing; None for CSV, whose delimiter is that of
            comma, semicolon and tab which is most often in the first line.
        names: the columns of a file without a header; None takes the first line for the header.

    Raises:
        ReplayError: the first line cannot be read.
    """

    def __init__(
        self, source: ByteSource, path: Path, delimiter: str | None, names: Sequence[str] | None
    ) -> None:
        super().__init__(source)
        self._quoted = delimiter is None
        self._ahead: deque[tuple[int, str] | BadLine] = deque()  # lines read in search of a closing quote
        first = next((entry for entry in self._lines_of_text() if not _is_empty(entry)), None)
        if not isinstance(first, tuple):
            why = f"line {first.line}: {first.reason}" if first else "all its lines are empty"
            raise ReplayError(f"the file {path} cannot be read from its first line on: {why}")
        self._delimiter = delimiter or max(_DELIMITERS, key=_without_quoted(first[1]).count)
        self._ahead.appendleft(first)
        if names is None:
            header = next(self._records())
            if isinstance(header, BadLine):
                raise ReplayError(f"the header of {path} cannot be read: {header.reason}")
            names = header[1]
        self.columns = _unique([name.strip() for name in names])

    def rows(self, wanted: Collection[str] | None = None) -> Iterator[Row | BadLine]:
        """See :meth:`stream_app.recordings.rows.Table.rows`; every value is a text, perhaps an empty one."""
        del wanted
        columns, expected = self.columns, len(self.columns)
        for record in self._records():
            if isinstance(record, BadLine):
                yield record
                continue
            line, fields = record
            if len(fields) != expected:
                yield BadLine(line, f"expected {expected} columns, came {len(fields)}")
                continue
            values: dict[str, Value] = dict(zip(columns, fields, strict=True))
            yield line, values

    def _records(self) -> Iterator[tuple[int, list[str]] | BadLine]:
        for entry in self._lines_of_text():
            if _is_empty(entry):  # within quotes it is part of the field
                continue
            if isinstance(entry, BadLine):
                yield entry
            elif self._quoted and '"' in entry[1]:
                yield self._quoted_record(*entry)
            else:
                yield entry[0], entry[1].removesuffix("\r").split(self._delimiter)

    def _lines_of_text(self) -> Iterator[tuple[int, str] | BadLine]:
        """The lines, decoded; those that were put back come first."""
        while True:
            if self._ahead:
                yield self._ahead.popleft()
                continue
            entry = next(self._lines, None)
            if entry is None:
                return
            if isinstance(entry, BadLine):
                yield entry
                continue
            line, text = entry
            try:
                decoded = text.decode("utf-8")
            except UnicodeDecodeError as error:
                yield BadLine(line, f"not UTF-8: byte 0x{text[error.start]:02x} at byte {error.start + 1}")
                continue
            yield line, decoded

    def _quoted_record(self, line: int, text: str) -> tuple[int, list[str]] | BadLine:
        """A record with quotes, which may go on in the next lines; a failed one costs its first line only."""
        taken: list[tuple[int, str] | BadLine] = []
        try:
            fields = _split_quoted(text.removesuffix("\r"), self._delimiter)
            following = self._lines_of_text()
            while fields is None and len(taken) < MAX_QUOTED_LINES and len(text) <= MAX_LINE_BYTES:
                entry = next(following, None)
                if entry is None:
                    break
                taken.append(entry)
                if isinstance(entry, BadLine):
                    break
                text = f"{text}\n{entry[1]}"
                if entry[1].count('"') % 2:  # only these can close the quote
                    fields = _split_quoted(text.removesuffix("\r"), self._delimiter)
        except ValueError as error:
            fields, reason = None, str(error)
        else:
            reason = f"a quote is opened and not closed within {MAX_QUOTED_LINES} lines"
        if fields is None:
            self._ahead.extendleft(reversed(taken))
            return BadLine(line, reason)
        return line, fields


def _is_empty(entry: tuple[int, str] | BadLine) -> bool:
    return not isinstance(entry, BadLine) and entry[1] in ("", "\r")


def _without_quoted(text: str) -> str:
    return _QUOTED_FIELD.sub("", text)


def _split_quoted(text: str, delimiter: str) -> list[str] | None:
    """Split a record by RFC 4180: a field that begins with a quote ends with one, and two mean one.

    Returns:
        The fields, or None when the last one's quote is still open.

    Raises:
        ValueError: something stands between a closing quote and the next delimiter.
    """
    fields = []
    at = 0
    while True:
        if text.startswith('"', at):
            match = _QUOTED_FIELD.match(text, at)
            if match is None:
                return None
            fields.append(match[1].replace('""', '"'))
            end = match.end()
            if end < len(text) and text[end] != delimiter:
                raise ValueError(
                    f"expected {delimiter!r} after the closing quote, came {text[end : end + 10]!r}"
                )
        else:
            end = text.find(delimiter, at)
            end = len(text) if end < 0 else end
            fields.append(text[at:end])
        if end == len(text):
            return fields
        at = end + 1


def _unique(names: list[str]) -> list[str]:
    """The names, a repeated one numbered, so that no column hides another."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return unique

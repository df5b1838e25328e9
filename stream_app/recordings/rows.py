"""What every reader of a file gives: rows with their line numbers, and the lines that are no rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

Value = str | int | float | None

#: The line's number in the file and its values by column.
Row = tuple[int, dict[str, Value]]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no row.

    Attributes:
        line: its number; the first line of the file is 1.
        reason: why, for a person.
        ends_file: whether nothing after it can be read: the file is cut short or damaged.
    """

    line: int
    reason: str
    ends_file: bool = False


class Table(Protocol):
    """An open file of rows, read once from its beginning in constant memory; a context manager."""

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns; of JSON lines, the keys of the first object."""

    @property
    def size(self) -> int:
        """Bytes of the file as it lies there, packed or not."""

    @property
    def position(self) -> int:
        """Bytes of the file read so far, at most :attr:`size`."""

    def rows(self, wanted: Collection[str] | None = None) -> Iterator[Row | BadLine]:
        """The rows in the file's order; a line that is no row is given as :class:`BadLine` and never raises.

        Args:
            wanted: the columns that must be there; None means all. Others may be left out.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

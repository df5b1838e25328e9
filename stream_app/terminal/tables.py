"""Plain tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Columns of an output that is no terminal; no table of ours is wider.
WIDE: Final = 1000


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; the text of a cell is taken as it is, and wraps where the terminal is narrow."""
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    output().print(table)


def output() -> Console:
    """Standard output. What is no terminal has no width: there nothing is wrapped or cut to one."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    return console

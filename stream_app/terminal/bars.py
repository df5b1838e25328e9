"""Progress bars by name, on stderr."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn
from rich.text import Text


class NamedBars:
    """A bar for each thing that is told of; a context manager.

    It draws nothing where stderr is not a terminal, and is gone at the end.

    Args:
        columns: what stands behind each bar.
        quiet: draw nothing anyway.
    """

    def __init__(self, *columns: ProgressColumn, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *columns,
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def update(self, what: str, done: int, total: int) -> None:
        """Show how far one thing is."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(Text(what).plain, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)

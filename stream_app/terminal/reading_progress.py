"""A progress bar for each topic that is read, on stderr."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class ReadingProgress:
    """A bar a topic, by records; a context manager.

    It draws nothing where stderr is not a terminal, and is gone at the end.
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} records"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def update(self, topic: str, done: int, total: int) -> None:
        """Show how far the reading of a topic is."""
        if topic not in self._tasks:
            self._tasks[topic] = self._progress.add_task(topic, total=total)
        self._progress.update(self._tasks[topic], completed=done, total=total)

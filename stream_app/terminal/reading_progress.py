"""A progress bar for each topic that is read, on stderr."""

from __future__ import annotations

from rich.progress import TextColumn, TimeElapsedColumn

from stream_app.terminal.bars import NamedBars


class ReadingProgress(NamedBars):
    """A bar a topic, by records; a context manager."""

    def __init__(self) -> None:
        records = TextColumn("{task.completed:,.0f} of {task.total:,.0f} records")
        super().__init__(records, TimeElapsedColumn())

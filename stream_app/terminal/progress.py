"""The progress bar of a replay, on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from stream_app.recordings.replay import ReplayReport


class ReplayProgress:
    """A bar by bytes of the file read, with clicks sent, clicks a second and bad lines; a context manager.

    It draws nothing where stderr is not a terminal, and is gone when the replay has ended.
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn(
                "{task.fields[sent]:,} clicks, {task.fields[rate]:,.0f}/s, {task.fields[bad]:,} bad lines"
            ),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._warned = False
        self._task = self._progress.add_task("replay", total=None, sent=0, rate=0.0, bad=0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def update(self, report: ReplayReport) -> None:
        """Show how far the replay is; say once, at once, if a worker will take its clicks for late."""
        if report.behind_topic and not self._warned:
            self._warned = True
            self._progress.console.print(
                "warning: these clicks are older than what the topic has: a worker takes them for late; "
                "see --resume and --topic",
                soft_wrap=True,
                highlight=False,
            )
        self._progress.update(
            self._task,
            total=report.size,
            completed=report.position,
            sent=report.sent,
            rate=report.clicks_per_s,
            bad=report.bad_lines,
        )

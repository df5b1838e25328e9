"""How far a search is and its best so far, on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from stream_app.tune.search import Search


class TuneProgress:
    """A bar of trials with the best figures so far; a context manager.

    Where stderr is not a terminal: a line for each phase and each better trial. With ``quiet`` nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar = not quiet and console.is_terminal
        self._lines = not quiet and not console.is_terminal
        self._console = console
        self._told = -1
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self._bar,
        )
        self._task = self._progress.add_task("", total=None, shown="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def phase(self, what: str) -> None:
        """Say what is being done before the first trial."""
        self._progress.update(self._task, description=what)
        if self._lines:
            self._console.print(what, markup=False)

    def reading(self, position: int, size: int) -> None:
        """Show how far the file is read, in bytes."""
        self._progress.update(self._task, completed=position, total=size)

    def update(self, search: Search) -> None:
        """Show how far the search is."""
        best, k = search.best, search.start.recommendations
        shown = f"{search.done} of {search.trials} trials, {search.given_up} given up"
        if best is not None:
            shown += (
                f"; best HR@{k} {best.figures.hr:.4f} MRR@{k} {best.figures.mrr:.4f} (trial {best.trial})"
            )
        self._progress.update(
            self._task, description="searching", completed=search.done, total=search.trials, shown=shown
        )
        if self._lines and best is not None and best.trial != self._told:
            self._told = best.trial
            self._console.print(shown, markup=False)

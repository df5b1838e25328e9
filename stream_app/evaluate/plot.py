"""Pictures of an evaluation: the door to matplotlib, which is in the extra ``plot``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.errors import EvaluationError
from stream_app.evaluate.report import Report

if TYPE_CHECKING:
    from core.measure.metrics import Point

#: What a picture's file may be named.
SUFFIXES: Final = (".png", ".svg")

#: Clicks known that have a point of their own; longer sessions are one point.
MOST_POSITIONS: Final = 10
#: Stretches of a stream.
STREAM_POINTS: Final = 60

_INCHES: Final = (8.0, 4.5)
_DOTS_PER_INCH: Final = 150


def check_plot(path: Path) -> None:
    """See before a long run that its picture can be made.

    Raises:
        EvaluationError: the name does not end in .png or .svg, its folder is missing, or so is matplotlib.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise EvaluationError(f"--plot {path}: expected a file that ends in {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise EvaluationError(f"--plot {path}: there is no folder {path.parent}")
    try:
        import matplotlib as mpl  # noqa: PLC0415 -- only a command that plots needs it
    except ImportError:
        raise EvaluationError("a plot needs matplotlib: pip install 'nextclick[plot]'") from None
    del mpl


def plot(reports: Sequence[Report], path: Path) -> None:
    """Write the hit rate's curve of each report: over the stream for prequential, else by clicks known.

    Raises:
        EvaluationError: see :func:`check_plot`; or the file cannot be written.
    """
    check_plot(path)
    import matplotlib as mpl  # noqa: PLC0415 -- only a command that plots needs it
    from matplotlib.figure import Figure  # noqa: PLC0415 -- the same

    first = reports[0]
    k, stream = first.tally.cutoffs[-1], first.protocol == "prequential"
    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.subplots()
    for report in reports:
        points = _points(report, k)
        rate = report.value(f"hr_{k}")
        axes.plot(
            [point.at for point in points],
            [point.hit_rate for point in points],
            label=f"{report.method} ({rate:.3f})",
            marker=None if stream else "o",
            linewidth=1.5,
        )
    axes.set_ylabel(f"HR@{k}, exclude {' / '.join(dict.fromkeys(report.exclude for report in reports))}")
    axes.set_xlabel("clicks judged" if stream else "clicks of the session known")
    if not stream:
        axes.set_xticks(
            range(1, MOST_POSITIONS + 2), [*map(str, range(1, MOST_POSITIONS + 1)), f"{MOST_POSITIONS + 1}+"]
        )
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    axes.set_title(f"{first.queries:,} queries of {first.sessions:,} sessions", fontsize="medium")
    try:
        # Text as text, and no date and no random names within: the same figures make the same file.
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nextclick"}):
            svg = path.suffix.lower() == ".svg"
            figure.savefig(path, dpi=_DOTS_PER_INCH, metadata={"Date": None} if svg else {})
    except OSError as error:
        raise EvaluationError(f"--plot {path} cannot be written: {error.strerror}") from None


def _points(report: Report, k: int) -> list[Point]:
    if report.protocol == "prequential":
        return report.tally.hit_rate_over_stream(k, STREAM_POINTS)
    return report.tally.hit_rate_by_position(k, MOST_POSITIONS)

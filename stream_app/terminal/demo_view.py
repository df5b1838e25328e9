"""The demo's live view: :func:`render` makes the picture of a state, :class:`DemoView` shows it."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream_app.demo.statistics import DemoState, Quality, ShownSession, Suggestion
from stream_app.terminal.tables import output

#: The picture is made for at least this; a smaller terminal shows a part of it.
LEAST_WIDTH: Final = 80
LEAST_HEIGHT: Final = 20
REFRESH_PER_S: Final = 4
#: Columns and lines of a capture.
CAPTURE_SIZE: Final = (100, 30)
CAPTURE_BOUGHT: Final = 3

_BARS: Final = "▁▂▃▄▅▆▇█"
_TOP_ROWS: Final = 8
_FLOW_COLUMNS: Final = 38
#: Columns of the table of quality with its last column.
_QUALITY_COLUMNS: Final = 46
_FRAME: Final = 2
_BASKET_SHARE: Final = 0.28
_LABEL: Final = "dim"
_OURS: Final = "bold green"
_POPULAR: Final = "yellow"


def render(state: DemoState, width: int, height: int) -> RenderableType:
    """A picture of a state.

    Args:
        state: what to show.
        width: columns of the terminal.
        height: its lines; the picture has as many, at least :data:`LEAST_HEIGHT`.
    """
    width, height = max(width, LEAST_WIDTH), max(height, LEAST_HEIGHT)
    layout = Layout()
    layout.split_column(
        Layout(name="top", size=_TOP_ROWS), Layout(name="session"), Layout(name="foot", size=1)
    )
    layout["top"].split_row(
        Layout(_flow(state), size=_FLOW_COLUMNS), Layout(_quality(state, width - _FLOW_COLUMNS))
    )
    rows = height - _TOP_ROWS - 1 - _FRAME
    basket = int(width * _BASKET_SHARE)
    layout["session"].split_row(
        Layout(_basket(state.shown, rows, basket - 4), size=basket),
        Layout(_answer(state.shown, rows, width - basket - 4)),
    )
    layout["foot"].update(_foot(state, width))
    return layout


def _flow(state: DemoState) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style=_LABEL, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    goal = f" of {state.goal:,}" if state.goal else " clicks"
    table.add_row("answered", Text(f"{state.answered:,}{goal}", style="bold"))
    table.add_row("pace", f"{state.clicks_per_s:,.0f} clicks/s")
    table.add_row("sessions", f"{state.open_sessions:,} open, {state.sessions_closed:,} closed")
    table.add_row("index", f"{state.index_sessions:,} sessions")
    table.add_row("", f"{state.index_items:,} items")
    table.add_row("latency", _latency(state))
    return Panel(table, title="[bold]stream", title_align="left", border_style="cyan")


def _latency(state: DemoState) -> str:
    if state.latency_p50_ms is None or state.latency_p99_ms is None:
        return "-"
    return f"p50 {state.latency_p50_ms:,.0f}, p99 {state.latency_p99_ms:,.0f} ms"


def _quality(state: DemoState, width: int) -> Panel:
    quality = state.quality
    table = Table.grid(padding=(0, 1))
    table.add_column(style=_LABEL, no_wrap=True)
    wide = width >= _QUALITY_COLUMNS
    for _ in range(3 if wide else 2):
        table.add_column(justify="right", no_wrap=True, min_width=9)
    rows = [
        ("hit rate@20", quality.hit_rate, quality.popularity_hit_rate),
        ("MRR@20", quality.mrr, quality.popularity_mrr),
    ]
    table.add_row("", Text("nextclick", _OURS), Text("popularity", _POPULAR))
    for name, ours, theirs in rows:
        cells = [Text(_share(quality, ours), _OURS), Text(_share(quality, theirs), _POPULAR)]
        table.add_row(name, *cells, *([Text(_times(ours, theirs), "bold")] if wide else []))
    columns = width - 4 - 12
    top = max((max(ours, theirs) for _, ours, theirs in state.curve), default=0.0)
    green = sparkline([point[1] for point in state.curve], columns, top)
    yellow = sparkline([point[2] for point in state.curve], columns, top)
    curves = Table.grid(padding=(0, 1))
    curves.add_row(Text("hit rate@20", _LABEL), Text(green, "green"))
    curves.add_row(Text("popularity", _LABEL), Text(yellow, _POPULAR))
    told = Text(f"by the next click, {quality.judged:,} judged", _LABEL)
    return Panel(
        Group(table, curves, told), title="[bold]quality so far", title_align="left", border_style="cyan"
    )


def _share(quality: Quality, value: float) -> str:
    return f"{value:.3f}" if quality.judged else "-"


def _times(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}x" if theirs else ""


def sparkline(values: Sequence[float], columns: int, top: float) -> str:
    """Values from 0 to ``top`` as bars, oldest first; averaged where there are more than columns."""
    if not values or columns < 1 or top <= 0:
        return ""
    if len(values) > columns:
        ends = [round(column * len(values) / columns) for column in range(columns + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(ends)]
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * len(_BARS)))] for value in values)


def _basket(shown: ShownSession | None, rows: int, width: int) -> Panel:
    title = f"[bold]household {shown.visitor}" if shown else "[bold]a household"
    lines: list[RenderableType] = []
    if shown:
        newest = shown.products[-rows:]
        hidden = len(shown.products) - len(newest)
        if hidden:
            newest = newest[1:]
            lines.append(Text(f"… {hidden + 1} before", _LABEL))
        for place, name in enumerate(newest, start=1):
            last = place == len(newest)
            lines.append(Text(_cut(f"{'▶' if last else ' '} {name}", width), "bold" if last else ""))
    return Panel(Group(*lines), title=title, title_align="left", border_style="magenta")


def _answer(shown: ShownSession | None, rows: int, width: int) -> Panel:
    table = Table.grid(padding=(0, 1))
    if shown:
        name_width = (width - 6) * 3 // 8
        why_width = width - 7 - name_width
        for place, suggestion in enumerate(shown.suggestions[:rows], start=1):
            style = _OURS if suggestion.bought else ""
            table.add_row(
                Text(f"{place:>2}", _LABEL),
                Text("✓" if suggestion.bought else " ", _OURS),
                Text(_cut(suggestion.name, name_width), style),
                Text(why(suggestion, why_width), _OURS if suggestion.bought else _LABEL),
            )
    bought = sum(suggestion.bought for suggestion in shown.suggestions) if shown else 0
    title = "[bold]nextclick recommends" + (f" [green]✓ {bought} bought after" if bought else "")
    return Panel(table, title=title, title_align="left", border_style="magenta")


def why(suggestion: Suggestion, width: int) -> str:
    """The reason as a sentence in at most ``width`` columns; where it is long the product's name is cut."""
    count, name = suggestion.sessions, suggestion.shared.upper()
    sessions = "session" if count == 1 else "sessions"
    match suggestion.source:
        case "neighbours":
            whole = f"with {name} in {count:,} similar {sessions}"
            before, after = "with ", f" in {count:,} {sessions}"
        case "rules":
            whole = f"after {name} in {count:,} {sessions}"
            before, after = "after ", f" in {count:,} {sessions}"
        case _:
            return _cut(f"popular: in {count:,} {sessions}", width)
    if len(whole) <= width:
        return whole
    return _cut(before + _cut(name, width - len(before) - len(after)) + after, width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)].rstrip() + "…"


def _foot(state: DemoState, width: int) -> RenderableType:
    minutes, seconds = divmod(int(state.elapsed_s), 60)
    text = f"{state.broker} · {state.baskets:,} baskets · {minutes}:{seconds:02} · Ctrl-C stops"
    whole = f"real purchases of 2017 · {text}"
    return Align.center(Text(whole if len(whole) <= width else _cut(text, width), _LABEL))


def _bought(state: DemoState) -> int:
    return sum(suggestion.bought for suggestion in state.shown.suggestions) if state.shown else 0


class DemoView:
    """Keeps the picture on the terminal, on stderr; a context manager.

    Args:
        capture: an SVG file that gets the last picture whose session went on to buy at least
            :data:`CAPTURE_BOUGHT` of what was recommended, or else the last picture; None: none.
    """

    def __init__(self, capture: Path | None = None) -> None:
        self._console = Console(stderr=True)
        self._capture = capture
        self._last: DemoState | None = None
        self._status = self._console.status("")
        self._live: Live | None = None
        self._phase_began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()
        if self._capture and self._last:
            save_svg(self._last, self._capture)

    def phase(self, text: str) -> None:
        """Show what is waited for, with a spinner."""
        self._stop()
        self._status.update(text)
        self._status.start()

    def update(self, state: DemoState) -> None:
        """Show a state."""
        self._status.stop()
        if _bought(state) >= CAPTURE_BOUGHT or self._last is None or _bought(self._last) < CAPTURE_BOUGHT:
            self._last = state
        if self._live is None:
            self._live = Live(console=self._console, screen=True, auto_refresh=False)
            self._live.start()
        size = self._console.size
        self._live.update(render(state, size.width, size.height), refresh=True)

    def _stop(self) -> None:
        self._status.stop()
        if self._live is not None:
            self._live.stop()
            self._live = None


def save_svg(state: DemoState, path: Path) -> None:
    """Write the picture of a state as SVG."""
    width, height = CAPTURE_SIZE
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(
            record=True,
            width=width,
            height=height,
            file=nowhere,
            force_terminal=True,
            color_system="truecolor",
        )
        console.print(render(state, width, height), height=height)
    svg = console.export_svg(title="nextclick demo")
    # Fonts of the reader's own: a picture must not fetch anything.
    svg = re.sub(r",\s*url\([^)]*\) format\([^)]*\)", "", svg).replace("Fira Code", "monospace")
    path.write_text(svg, encoding="utf-8")


def print_summary(lines: Sequence[tuple[str, str]]) -> None:
    """Print names and values under each other on stdout."""
    table = Table.grid(padding=(0, 2))
    for name, value in lines:
        table.add_row(Text(name, _LABEL), Text(value))
    output().print(table)

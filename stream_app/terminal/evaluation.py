"""An evaluation in the terminal: bars on stderr while it runs, then a table of its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.progress import MofNCompleteColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from stream_app.terminal.bars import NamedBars
from stream_app.terminal.tables import WIDE, output

_NEXT: Final = (("hr", "HR"), ("mrr", "MRR"), ("ndcg", "NDCG"))
_REMAINING: Final = (("precision", "precision"), ("recall", "recall"), ("ndcg_remaining", "NDCG"))
_COMPARED: Final = (*_NEXT, *_REMAINING[:2])
_SHARES: Final = ("coverage", "popularity")
#: Letters of a method's name that are on one line.
_NAME_WIDTH: Final = 16
_BEST: Final = "bold green"


class EvaluationProgress(NamedBars):
    """A bar for each file that is read and each method that is asked; a context manager.

    Args:
        quiet: draw nothing even where stderr is a terminal.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(MofNCompleteColumn(), TimeRemainingColumn(), quiet=quiet)


def print_evaluation(rows: Sequence[Mapping[str, Any]], cutoffs: Sequence[int], *, full: bool) -> None:
    """Print the rows of :meth:`stream_app.evaluate.report.Report.row`.

    Args:
        rows: one a method; all but the first compared with the first.
        cutoffs: the k's that are in the rows.
        full: every figure at every k, and all the comparisons.
    """
    console, k = output(), cutoffs[-1]
    if full:
        _print_fitting(console, partial(_means_table, rows, cutoffs, "next item", _NEXT))
        _print_fitting(console, partial(_means_table, rows, cutoffs, "remaining", _REMAINING, _SHARES))
        if len(rows) > 1:
            console.print(_comparison_table(rows, k))
        console.print(_cost_table(rows))
    else:
        _print_fitting(console, partial(_compact_table, rows, k))
    console.print(Text(_footnote(rows, compared=len(rows) > 1)))


def _print_fitting(console: Console, make: Callable[..., Table]) -> None:
    """Print a table without its intervals where the terminal is too narrow for them."""
    table = make(intervals=True)
    whole = console.measure(table, options=console.options.update(max_width=WIDE)).maximum
    if whole > console.width:
        table = make(intervals=False)
        table.caption = "a wider terminal, --json or a pipe shows the intervals"
    console.print(table)


def _compact_table(rows: Sequence[Mapping[str, Any]], k: int, *, intervals: bool) -> Table:
    table = _new_table(rows, "method", *(f"{title}@{k}" for _, title in _NEXT), "coverage", "us/query")
    if len(rows) > 1:
        table.add_column("p of HR", justify="right", no_wrap=True)
    for row in rows:
        cells = [_estimate(row, rows, f"{name}_{k}", intervals=intervals) for name, _ in _NEXT]
        cells += [Text(_decimals(row[f"coverage_{k}"])), Text(f"{row['us_per_query']:,.0f}")]
        if len(rows) > 1:
            cells.append(Text(_chance(row.get(f"hr_{k}_p"))))
        table.add_row(Text(row["method"]), *cells)
    return table


def _means_table(
    rows: Sequence[Mapping[str, Any]],
    cutoffs: Sequence[int],
    title: str,
    means: Sequence[tuple[str, str]],
    shares: Sequence[str] = (),
    *,
    intervals: bool,
) -> Table:
    """A part for each k, in it a row for each method."""
    table = _new_table(rows, title, "k", *(header for _, header in means), *shares)
    for k in cutoffs:
        for row in rows:
            table.add_row(
                Text(row["method"]),
                Text(str(k)),
                *(_estimate(row, rows, f"{name}_{k}", intervals=intervals) for name, _ in means),
                *(Text(_decimals(row[f"{name}_{k}"])) for name in shares),
                end_section=row is rows[-1],
            )
    return table


def _comparison_table(rows: Sequence[Mapping[str, Any]], k: int) -> Table:
    table = _new_table(rows, f"above {rows[0]['method']}", *(f"{title}@{k}" for _, title in _COMPARED))
    for row in rows[1:]:
        cells = []
        for name, _ in _COMPARED:
            key = f"{name}_{k}"
            value = _decimals(row[f"{key}_difference"], "+", 4)
            half = _half_width(row, f"{key}_difference", 4)
            cells.append(Text(f"{value}\n{half}\np {_chance(row[f'{key}_p'])}"))
        table.add_row(Text(row["method"]), *cells)
    return table


def _cost_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _new_table(rows, "time", "us/query", "alone, p50", "alone, p99", "learning, s", "in all, s")
    for row in rows:
        table.add_row(
            Text(row["method"]),
            *(Text(f"{row[name]:,.0f}") for name in ("us_per_query", "us_alone_p50", "us_alone_p99")),
            *(Text(f"{row[name]:.1f}") for name in ("fit_seconds", "seconds")),
        )
    return table


def _new_table(rows: Sequence[Mapping[str, Any]], first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    longest = max(len(first), *(len(row["method"]) for row in rows))
    table.add_column(first, overflow="fold", min_width=min(longest, _NAME_WIDTH))
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _estimate(
    row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], key: str, *, intervals: bool
) -> Text:
    best = len(rows) > 1 and row[key] == max(other[key] for other in rows)
    half = _half_width(row, key) if intervals else ""
    return Text.assemble((_decimals(row[key]), _BEST if best else ""), half)


def _half_width(row: Mapping[str, Any], key: str, decimals: int = 3) -> str:
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    return "" if low is None else f"±{_decimals((high - low) / 2, '', decimals)}"


def _decimals(value: float, sign: str = "", decimals: int = 3) -> str:
    """A number without the 0 before the point, which nearly all of them have."""
    return f"{value:{sign}.{decimals}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:{sign}.2f}"


def _chance(p: float | None) -> str:
    if p is None:
        return ""
    return "< .001" if p < 0.001 else _decimals(p)  # noqa: PLR2004 -- more digits say nothing


def _footnote(rows: Sequence[Mapping[str, Any]], *, compared: bool) -> str:
    row = rows[0]
    excludes = ", ".join(dict.fromkeys(str(other["exclude"]) for other in rows))
    asked = f"{row['queries']:,} queries of {row['sessions']:,} sessions"
    parts = [
        f"{row['protocol']}, exclude {excludes}: {asked}, {row['train_sessions']:,} learnt before.",
        "± is half of a 95 % confidence interval with sessions as the independent units.",
    ]
    if compared:
        parts.append(f"p: chance of such a difference from {row['method']} if the two were alike.")
    return " ".join(parts)

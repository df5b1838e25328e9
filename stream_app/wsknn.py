"""For those who come from the package ``wsknn``: its names, with the reading of files.

``from stream_app.wsknn import fit, parse_flat_file`` in place of ``from wsknn import fit, parse_flat_file``;
``docs/coming-from-wsknn.md`` says the rest. The model itself is :mod:`core.wsknn`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from core.errors import SessionsError
from stream_app.compiled import use_kernels_unless_told
from stream_app.recordings.lines import ByteSource, numbered_lines
from stream_app.recordings.rows import BadLine

use_kernels_unless_told()

from core.session_maps import Items, Sessions, items_of, map_events  # noqa: E402 -- its kernels are kept there
from core.wsknn import WSKNN, batch_predict, fit, predict  # noqa: E402 -- the same

#: Times that somebody is told how far a file is read.
_TOLD_TIMES: Final = 1000

#: Told how far a file is read: bytes read, bytes of the file.
Watch = Callable[[int, int], None]


def parse_flat_file(
    dataset: str | Path,
    sep: str,
    session_index: int,
    product_index: int,
    time_index: int,
    action_index: int | None = None,
    *,
    use_header_row: bool = False,
    time_to_numeric: bool = True,
    allowed_actions: Mapping[str, float] | None = None,
    ignore_errors: bool = True,
    watch: Watch | None = None,
) -> tuple[Items, Sessions]:
    """Read a file with one event a line into sessions, in the order of its lines.

    Args:
        dataset: the file, UTF-8, gzipped or not.
        sep: what stands between two fields.
        session_index: which field is the session, from 0.
        product_index: which is the item.
        time_index: which is the time, a number.
        action_index: which is the event's name; None: events have none.
        use_header_row: whether the first line is a header, which is passed over.
        time_to_numeric: taken for compatibility; a time is a number in any case.
        allowed_actions: names of events that are taken, and their weights; None: all, without weights.
        ignore_errors: leave out lines that are no events, and count them in the sessions.
        watch: told from time to time how far the file is read.

    Returns:
        Which sessions hold an item, and the sessions. Sessions and items are text.

    Raises:
        ReplayError: there is no such file, or it cannot be opened.
        SessionsError: a line is no event, and ``ignore_errors`` is off.
    """
    del time_to_numeric
    source = ByteSource(Path(dataset))
    try:
        rows = _rows(source, sep, watch or _ignore)
        if use_header_row:
            next(rows, None)
        sessions = map_events(rows, session_index, product_index, time_index, action_index, allowed_actions)
    finally:
        source.close()
    if sessions.lines_left_out and not ignore_errors:
        raise SessionsError(
            f"{sessions.lines_left_out} lines of {dataset} are no events: expected fields apart by {sep!r}, "
            f"field {time_index} a number; leave them out by ignore_errors=True"
        )
    return items_of(sessions.session_items_actions_map), sessions


def _rows(source: ByteSource, sep: str, watch: Watch) -> Iterator[list[str] | None]:
    step, due = source.size // _TOLD_TIMES, 0
    for line in numbered_lines(source):
        if source.position >= due:
            due = source.position + step
            watch(source.position, source.size)
        if isinstance(line, BadLine):
            yield None
            continue
        try:
            yield [value.strip() for value in line[1].decode().split(sep)]
        except UnicodeDecodeError:
            yield None


def _ignore(done: int, total: int) -> None:
    """Watch nothing."""


__all__ = ["WSKNN", "Items", "Sessions", "batch_predict", "fit", "parse_flat_file", "predict"]

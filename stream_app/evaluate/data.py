"""Files of sessions: what ``nextclick replay`` reads, and files with one session a line.

What is one session, in this order: the lines of a file with one session a line; the values of a session
column; else the clicks of a visitor by the window of :mod:`core.window.sessions`, as the worker makes them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from core.errors import BadClickError, EvaluationError, ReplayError
from core.window.clicks import Click
from core.window.sessions import ClosedSession, WindowRules
from core.window.step import Parsed, PartitionState, Record, VisitorState, advance_run, close_run
from stream_app.recordings.columns import Columns, click_of, find_column, guess_columns
from stream_app.recordings.files import open_table
from stream_app.recordings.lines import BYTE_ORDER_MARK, ByteSource, numbered_lines
from stream_app.recordings.rows import BadLine, Table

FileFormat = Literal["auto", "tsv", "csv", "jsonl", "parquet", "lines"]

#: Names of a session column, letters and digits in lower case.
SESSION_NAMES: Final = ("session", "sessionid", "usersession", "sessionkey")

#: Up to which shares of test sessions that begin before the training ends, and of test clicks on items that
#: it lacks, nothing is said.
_MOST_EARLY: Final = 0.01
_MOST_UNKNOWN: Final = 0.5

_DELIMITERS: Final = b"\t,;"
_PARQUET_MAGIC: Final = b"PAR1"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is read; what is not said is guessed from the file.

    Args:
        file_format: ``auto`` goes by content and name; ``lines`` is one session a line, its items apart by
            spaces, oldest first.
        session: column of the session.
        visitor: column of the visitor; given without ``session``, the sessions are found by the window.
        item: column of the item.
        time: column of the time, or columns: ``date+time``, ``year+month+day``.
        id: column of the click's own identity.
        action: column of what was done.
        names: the columns of a delimited file without a header.
        by_gap: find the sessions by the window even where the file has a session column.
        rules: the window.
        line_s: seconds from one line to the next of a file with one session a line, which has no times.
    """

    file_format: FileFormat = "auto"
    session: str | None = None
    visitor: str | None = None
    item: str | None = None
    time: str | None = None
    id: str | None = None
    action: str | None = None
    names: Sequence[str] | None = None
    by_gap: bool = False
    rules: WindowRules = field(default_factory=WindowRules)
    line_s: float = 1.0


class Reading:
    """What is to be known of a file beside its sessions; filled by :func:`read_sessions`.

    Attributes:
        clicks: clicks read.
        bad: lines that are no click.
        late: clicks that the window refused.
        first_bad: the first of the bad lines.
        sessions_by: how the sessions were found, in words.
        delay_ms: how long after its last click a session is over; 0 where the file says it.
    """

    def __init__(self) -> None:
        self.clicks = 0
        self.bad = 0
        self.late = 0
        self.first_bad: BadLine | None = None
        self.sessions_by = ""
        self.delay_ms = 0

    def add_bad(self, bad: BadLine) -> None:
        """Count a line that is no click."""
        self.bad += 1
        self.first_bad = self.first_bad or bad


def read_sessions(
    path: Path,
    options: ReadOptions | None = None,
    *,
    partition: int = 0,
    after_ms: int = 0,
    reading: Reading | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[ClosedSession]:
    """Read all sessions of a file, sorted by their end; of one end, in the file's order.

    Args:
        path: the file; gzipped or not.
        options: how to read it.
        partition: the number before the dash in the sessions' ids, so that two files' ids differ.
        after_ms: a file without times begins after this time, milliseconds since 1970.
        reading: told what was read.
        on_progress: told bytes read and bytes to read, now and then.

    Raises:
        ReplayError: the file cannot be read, or its columns cannot be guessed.
        EvaluationError: no line of it is a click.
    """
    options, reading = options or ReadOptions(), reading or Reading()
    if options.file_format == "lines" or (options.file_format == "auto" and _is_lines(path, options)):
        reading.sessions_by = "one a line"
        sessions = _read_lines(path, options, partition, after_ms, reading, on_progress)
    else:
        names = list(options.names) if options.names is not None else None
        file_format = options.file_format
        with open_table(path, file_format, names) as table:
            session = _session_column(table.columns, options)
            columns = guess_columns(
                table.columns,
                visitor=session or options.visitor,
                item=options.item,
                time=options.time,
                id=options.id,
                action=options.action,
            )
            clicks = list(_clicks(table, columns, reading, on_progress))
        if session is not None:
            reading.sessions_by = f"column {session!r}"
            sessions = _by_column(clicks, partition)
        else:
            gap_s = options.rules.gap_ms / 1000
            reading.delay_ms = options.rules.gap_ms + options.rules.grace_ms
            reading.sessions_by = f"gaps of over {gap_s:g} s between the clicks of {columns.visitor!r}"
            sessions = _by_gap([click for _, click in clicks], partition, options.rules, reading)
    if not sessions:
        bad = reading.first_bad
        why = f": line {bad.line}: {bad.reason}" if bad else ""
        raise EvaluationError(f"expected sessions in {path}, found no click that can be read{why}")
    sessions.sort(key=lambda session: session.end)
    return sessions


def split_by_time(
    sessions: Sequence[ClosedSession], share: float
) -> tuple[list[ClosedSession], list[ClosedSession]]:
    """Split sessions by time: the newest are held out, and nothing that is learnt ends after they begin.

    The cut is the end of the last session of the older part. A session that is under way at the cut belongs
    to neither part.

    Args:
        sessions: sorted by end.
        share: of the sessions that are held out, about; above 0 and below 1.

    Returns:
        The older sessions and the newer ones.

    Raises:
        EvaluationError: the share is out of its range, or one part is empty.
    """
    if not 0 < share < 1:
        raise EvaluationError(f"the share to hold out is {share:g}, expected above 0 and below 1")
    if not sessions:
        raise EvaluationError("expected sessions to split, found none")
    cut = sessions[max(0, math.ceil(len(sessions) * (1 - share)) - 1)].end
    older = [session for session in sessions if session.end <= cut]
    newer = [session for session in sessions if session.start > cut]
    if not newer:
        raise EvaluationError(
            f"no session begins after the cut at {cut} ms, so nothing can be held out; use a larger share"
        )
    return older, newer


def doubts(train: Sequence[ClosedSession], test: Sequence[ClosedSession]) -> list[str]:
    """What makes one doubt that two files are the older and the newer part of one stream; mostly nothing.

    Args:
        train: sorted by end.
        test: of another file.
    """
    found, end = [], train[-1].end
    early = sum(session.start <= end for session in test)
    if early > _MOST_EARLY * len(test):
        found.append(
            f"{early:,} of the {len(test):,} test sessions begin before the training ends: their answers may "
            "have been learnt"
        )
    known = {item for session in train for item in session.items}
    clicks = sum(len(session.items) for session in test)
    unknown = sum(item not in known for session in test for item in session.items)
    if unknown > _MOST_UNKNOWN * clicks:
        found.append(
            f"{unknown:,} of the {clicks:,} test clicks are on items that the training lacks: are the items "
            "of both files of one kind?"
        )
    return found


def asking_sessions(sessions: Sequence[ClosedSession], limit: int | None = None) -> list[ClosedSession]:
    """The first ``limit`` sessions of two clicks and more; one of a single click has no next click."""
    asking = (session for session in sessions if len(session.items) > 1)
    return list(itertools.islice(asking, limit))


def known_items_only(train: Sequence[ClosedSession], test: Sequence[ClosedSession]) -> list[ClosedSession]:
    """The test sessions without the clicks on items that no training session has; empty ones left out."""
    known = {item for session in train for item in session.items}
    kept = []
    for session in test:
        held = [at for at, item in enumerate(session.items) if item in known]
        if held:
            kept.append(
                ClosedSession(
                    session=session.session,
                    visitor=session.visitor,
                    items=tuple(session.items[at] for at in held),
                    times=tuple(session.times[at] for at in held),
                    start=session.times[held[0]],
                    end=session.end,
                    cause=session.cause,
                    clicks=len(held),
                )
            )
    return kept


def _is_lines(path: Path, options: ReadOptions) -> bool:
    """Whether the file's first line has neither the delimiters of a table nor the look of JSON or Parquet."""
    if options.names is not None:
        return False
    source = ByteSource(path)
    try:
        start = next(source.chunks(), b"").removeprefix(BYTE_ORDER_MARK).lstrip()
    finally:
        source.close()
    first = start.split(b"\n", 1)[0]
    lines = bool(first) and not start.startswith((b"{", _PARQUET_MAGIC)) and not set(_DELIMITERS) & set(first)
    if lines and _is_header(first.decode("utf-8", "replace").split()):
        raise ReplayError(
            f"the first line of {path} looks like a header whose columns are apart by blanks: expected tabs, "
            "commas or semicolons; if it is one session a line, say --format lines"
        )
    return lines


def _is_header(words: Sequence[str]) -> bool:
    with suppress(ReplayError):
        guess_columns(words)
        return True
    return False


def _read_lines(
    path: Path,
    options: ReadOptions,
    partition: int,
    after_ms: int,
    reading: Reading,
    on_progress: Callable[[int, int], None] | None,
) -> list[ClosedSession]:
    source, step_ms, sessions = ByteSource(path), options.line_s * 1000, []
    try:
        for number, entry in enumerate(numbered_lines(source), start=1):
            if on_progress is not None and number % 10_000 == 0:
                on_progress(source.position, source.size)
            if isinstance(entry, BadLine):
                reading.add_bad(entry)
                continue
            try:
                items = tuple(entry[1].removeprefix(BYTE_ORDER_MARK).decode("utf-8").split())
            except UnicodeDecodeError:
                reading.add_bad(BadLine(number, "not UTF-8"))
                continue
            if items:
                end = after_ms + round(number * step_ms)
                sessions.append(
                    ClosedSession(
                        f"{partition}-{number}",
                        str(number),
                        items,
                        (end,) * len(items),
                        end,
                        end,
                        "gap",
                        len(items),
                    )
                )
                reading.clicks += len(items)
    finally:
        source.close()
    return sessions


def _session_column(header: Sequence[str], options: ReadOptions) -> str | None:
    if options.by_gap or (options.session is None and options.visitor is not None):
        return None
    if options.session is not None:
        return find_column(options.session, header, "session")
    plain = {
        "".join(letter for letter in name.lower() if letter.isalnum()): name for name in reversed(header)
    }
    return next((plain[name] for name in SESSION_NAMES if name in plain), None)


def _clicks(
    table: Table, columns: Columns, reading: Reading, on_progress: Callable[[int, int], None] | None
) -> Iterator[tuple[int, Click]]:
    """The clicks with their line numbers, in the file's order."""
    for number, row in enumerate(table.rows(columns.names())):
        if on_progress is not None and number % 10_000 == 0:
            on_progress(table.position, table.size)
        if isinstance(row, BadLine):
            reading.add_bad(row)
            continue
        line, values = row
        try:
            click = click_of(values, columns)
        except BadClickError as error:
            reading.add_bad(BadLine(line, error.detail))
            continue
        reading.clicks += 1
        yield line, click


def _by_column(clicks: Sequence[tuple[int, Click]], partition: int) -> list[ClosedSession]:
    """Sessions by the name in their visitor's place; clicks of one time in the file's order."""
    of_session: dict[str, list[tuple[int, Click]]] = {}
    for numbered in clicks:
        of_session.setdefault(numbered[1].visitor, []).append(numbered)
    sessions = []
    for name, held in of_session.items():
        first_line = held[0][0]
        held.sort(key=lambda numbered: numbered[1].time_ms)
        times = tuple(click.time_ms for _, click in held)
        actions = tuple(click.action for _, click in held)
        sessions.append(
            ClosedSession(
                session=f"{partition}-{first_line}",
                visitor=name,
                items=tuple(click.item for _, click in held),
                times=times,
                start=times[0],
                end=times[-1],
                cause="gap",
                clicks=len(held),
                actions=actions if any(actions) else (),
            )
        )
    return sessions


def _by_gap(
    clicks: Sequence[Click], partition: int, rules: WindowRules, reading: Reading
) -> list[ClosedSession]:
    """Sessions by the worker's own window, of the clicks in the order of time as one partition's log."""
    run = [
        Parsed(Record(offset, click.time_ms, None, None), click)
        for offset, click in enumerate(sorted(clicks, key=lambda click: click.time_ms))
    ]
    result = advance_run(partition, run, PartitionState(), {}, rules)
    reading.late = result.outcomes["late"]
    still_open: dict[str, VisitorState] = {
        visitor: state for visitor, state in result.visitors.items() if state is not None
    }
    return [*result.closed, *close_run(still_open, result.partition, rules, "idle").closed]

"""Replay a recorded file into the clicks topic, at the recorded pace or a multiple of it."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.errors import AccessError, BadClickError, TopicError
from core.window.clicks import encode_click
from stream_app.kafka.client import broker_errors, describe_topics, new_producer, start
from stream_app.kafka.newest_click import newest_click_ms
from stream_app.kafka.sender import CONFIRM_S, Sender, stop_producer
from stream_app.recordings.columns import Columns, click_of
from stream_app.recordings.rows import BadLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from core.window.clicks import Click
    from stream_app.recordings.rows import Table
    from stream_app.settings import Settings

#: A speed: as fast as it goes.
MAX_SPEED = math.inf
#: Bad lines that a report shows; the others are only counted.
MAX_SHOWN_BAD_LINES = 20

_PROGRESS_EVERY_S = 0.25
_LOOK_UP_EVERY = 500  # lines after which the clock, the other tasks and the stop signal have their turn
_LINGER_MS = 5


@dataclass(slots=True)
class ReplayReport:
    """What a replay did; while it runs, what it has done so far.

    Attributes:
        sent: clicks confirmed by the broker; in a dry run, clicks that would be sent.
        left_out: clicks older than what the topic had, which were not sent again.
        bad_lines: lines of the file that are no click.
        first_bad: the first :data:`MAX_SHOWN_BAD_LINES` of them.
        likely_late: clicks that lie behind an earlier one of the file by more than ``grace_s``. A worker
            takes them for late, except where the two are in different partitions.
        behind_topic: clicks that lie as far behind the newest that the topic had before; the same holds.
        topic_had_ms: the time of that one, milliseconds since 1970; None where there was none.
        first_time_ms: the least time of a click, milliseconds since 1970; None before the first click.
        last_time_ms: the greatest.
        seconds: how long it took.
        stopped_by: the number of the signal that ended it before the file's end, or None.
        cut_short: why the file could not be read to its end, or None.
        position: bytes of the file that are read.
        size: bytes of the file.
    """

    sent: int = 0
    left_out: int = 0
    bad_lines: int = 0
    first_bad: list[BadLine] = field(default_factory=list)
    likely_late: int = 0
    behind_topic: int = 0
    topic_had_ms: int | None = None
    first_time_ms: int | None = None
    last_time_ms: int | None = None
    seconds: float = 0.0
    stopped_by: int | None = None
    cut_short: str | None = None
    position: int = 0
    size: int = 0

    @property
    def clicks_per_s(self) -> float:
        """Clicks sent a second, over the whole replay."""
        return self.sent / self.seconds if self.seconds > 0 else 0.0

    def add_bad(self, bad: BadLine) -> None:
        """Count a line that is no click, and keep it while there is room."""
        self.bad_lines += 1
        if bad.ends_file:
            self.cut_short = bad.reason
        if len(self.first_bad) < MAX_SHOWN_BAD_LINES:
            self.first_bad.append(bad)

    def add_time(self, time_ms: int, grace_s: float) -> None:
        """Take a click's time into the first, the last and the likely late ones."""
        if self.topic_had_ms is not None and time_ms < self.topic_had_ms - grace_s * 1000:
            self.behind_topic += 1
        if self.first_time_ms is None or self.last_time_ms is None:
            self.first_time_ms = self.last_time_ms = time_ms
            return
        if time_ms < self.last_time_ms - grace_s * 1000:
            self.likely_late += 1
        self.first_time_ms = min(self.first_time_ms, time_ms)
        self.last_time_ms = max(self.last_time_ms, time_ms)


class Pace:
    """When each click is due: the recorded gaps divided by the speed.

    A click older than one before it is due at once, and the gaps after it are counted from the newest click
    so far, so that a file that is out of order does not take longer than the time that it spans.

    Args:
        speed: 1 is as recorded, 2 twice as fast; :data:`MAX_SPEED` makes everything due at once.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._first_ms: int | None = None
        self._newest_ms = 0

    def due_s(self, time_ms: int) -> float:
        """Seconds after the first click at which the click of this time is due; never less than before."""
        if self._first_ms is None:
            self._first_ms = self._newest_ms = time_ms
        self._newest_ms = max(self._newest_ms, time_ms)
        return (self._newest_ms - self._first_ms) / 1000 / self._speed


def clicks_to_send(
    table: Table, columns: Columns, settings: Settings, report: ReplayReport
) -> Iterator[tuple[Click, bytes] | None]:
    """The clicks of a file and their values for the wire; None for a line that is no click.

    Bad lines and the position go into ``report``. A click that is larger than a worker takes is a bad
    line too.
    """
    report.size = table.size
    for row in table.rows(columns.names()):
        report.position = table.position
        if isinstance(row, BadLine):
            report.add_bad(row)
            yield None
            continue
        line, values = row
        try:
            click = click_of(values, columns)
        except BadClickError as error:
            report.add_bad(BadLine(line, error.detail))
            yield None
            continue
        value = encode_click(click)
        if len(value) > settings.max_value_bytes:
            report.add_bad(
                BadLine(
                    line, f"the click has {len(value)} bytes, max_value_bytes is {settings.max_value_bytes}"
                )
            )
            yield None
            continue
        yield click, value
    report.position = table.size


def from_time(
    made: Iterable[tuple[Click, bytes] | None], begin_ms: int, report: ReplayReport
) -> Iterator[tuple[Click, bytes] | None]:
    """The same without the clicks before a time, milliseconds since 1970; they are counted."""
    for one in made:
        if one is not None and one[0].time_ms < begin_ms:
            report.left_out += 1
            yield None
        else:
            yield one


def in_time_order(made: Iterable[tuple[Click, bytes] | None]) -> Iterator[tuple[Click, bytes] | None]:
    """The same, all read first and sorted by time, clicks of equal time in the file's order.

    Takes a few hundred bytes of memory a click. While it reads it yields None, so that others have a turn.
    """
    clicks = []
    for one in made:
        if one is not None:
            clicks.append(one)
        yield None
    clicks.sort(key=lambda one: one[0].time_ms)
    yield from clicks


def dry_run(
    settings: Settings,
    table: Table,
    columns: Columns,
    limit: int | None = None,
    on_click: Callable[[Click, bytes], None] | None = None,
    *,
    sort: bool = False,
) -> ReplayReport:
    """Read a file as a replay would, without Kafka and without its pace.

    Args:
        settings: for ``grace_s`` and ``max_value_bytes``.
        table: the open file.
        columns: what of it is what of a click.
        limit: clicks after which to end.
        on_click: told each click that would be sent, and its value.
        sort: read it all first and sort it by time.
    """
    report = ReplayReport()
    begun = time.monotonic()
    to_send = clicks_to_send(table, columns, settings, report)
    for made in in_time_order(to_send) if sort else to_send:
        if made is None:
            continue
        report.sent += 1
        report.add_time(made[0].time_ms, settings.grace_s)
        if on_click is not None:
            on_click(*made)
        if report.sent == limit:
            break
    report.seconds = time.monotonic() - begun
    return report


async def replay(
    settings: Settings,
    table: Table,
    columns: Columns,
    *,
    speed: float = 1.0,
    limit: int | None = None,
    sort: bool = False,
    resume: bool = False,
    on_progress: Callable[[ReplayReport], None] | None = None,
    confirm_s: float = CONFIRM_S,
) -> ReplayReport:
    """Send a file's clicks to the clicks topic, in the file's order or in that of time, keyed by visitor.

    SIGINT and SIGTERM end it early: what was sent is confirmed, and the report says so.

    Args:
        settings: the brokers and the topic.
        table: the open file.
        columns: what of it is what of a click.
        speed: see :class:`Pace`.
        limit: clicks after which to end; None sends all.
        sort: read the file first and send it in the order of time.
        resume: leave out the clicks that are older than the newest on the topic.
        on_progress: told how it stands about four times a second.
        confirm_s: seconds that the brokers may take to confirm a click.

    Raises:
        TopicError: the clicks topic does not exist.
        AccessError: this user may not write to it, or with ``resume`` not read it.
        BrokerError: no broker answers, at first or within ``confirm_s``, or it refuses a click.
    """
    topic = settings.clicks_topic
    if (await describe_topics(settings, [topic]))[topic] is None:
        raise TopicError(f"topic {topic!r} does not exist; make it with `nextclick topics create`")
    try:
        had_ms = await newest_click_ms(settings)
    except AccessError:  # whoever may only write can still replay, unwarned
        if resume:
            raise
        had_ms = None
    producer = new_producer(settings, client_id="nextclick-replay", linger_ms=_LINGER_MS)
    await start(producer, settings)
    try:
        with broker_errors(settings), stop_on_signals() as stop:
            sender = Sender(producer, topic, confirm_s)
            return await _send_all(
                settings,
                sender,
                table,
                columns,
                pace=Pace(speed),
                limit=limit,
                sort=sort,
                had_ms=had_ms,
                resume=resume,
                on_progress=on_progress,
                stop=stop,
            )
    finally:
        await stop_producer(producer)


async def _send_all(
    settings: Settings,
    sender: Sender,
    table: Table,
    columns: Columns,
    *,
    pace: Pace,
    limit: int | None,
    sort: bool,
    had_ms: int | None,
    resume: bool,
    on_progress: Callable[[ReplayReport], None] | None,
    stop: Stop,
) -> ReplayReport:
    report = ReplayReport(topic_had_ms=had_ms)
    begun = told = time.monotonic()

    def tell() -> float:
        sender.check()
        report.sent, report.seconds = sender.confirmed, time.monotonic() - begun
        if on_progress is not None:
            on_progress(report)
        return time.monotonic()

    sent = 0
    to_send = clicks_to_send(table, columns, settings, report)
    if resume and had_ms is not None:
        to_send = from_time(to_send, had_ms, report)
    for lines, made in enumerate(in_time_order(to_send) if sort else to_send, start=1):
        if lines % _LOOK_UP_EVERY == 0:
            await asyncio.sleep(0)
            if stop.is_set():
                break
        if made is not None:
            click, value = made
            due = begun + pace.due_s(click.time_ms)
            while not stop.is_set() and (wait_s := due - time.monotonic()) > 0:
                await _sleep(min(wait_s, _PROGRESS_EVERY_S), stop)
                told = tell()
            if stop.is_set():
                break
            await sender.send(click.visitor.encode(), value)
            report.add_time(click.time_ms, settings.grace_s)
            sent += 1
            if sent == limit:
                break
        if lines % _LOOK_UP_EVERY == 0 and time.monotonic() - told > _PROGRESS_EVERY_S:
            told = tell()
    await sender.flush()
    report.stopped_by = stop.by
    tell()
    return report


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


class Stop(asyncio.Event):
    """Set by a signal.

    Attributes:
        by: the signal's number, or None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by: int | None = None


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """An event that the first SIGINT or SIGTERM sets in this block; a second one acts as it did before."""
    stop = Stop()
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def let_go() -> None:
        for number, handler in before.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)

    def set_stop(number: int) -> None:
        stop.by = number
        stop.set()
        let_go()

    for number in before:
        loop.add_signal_handler(number, set_stop, number)
    try:
        yield stop
    finally:
        let_go()

"""Feeding the index from the sessions topic: from the newest snapshot on, then as sessions close.

The feed is all that changes the index, and it does so when nobody reads it: :class:`IndexGuard`. While it
writes a snapshot, in a thread, it takes nothing in; clicks are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from core.errors import TopicError
from core.index import SessionIndex
from core.window.forgetting import Forgotten, decode_entry
from core.window.sessions import ClosedSession
from stream_app.index.guard import IndexGuard, in_thread
from stream_app.index.snapshots import Newest, Snapshots, mark_of
from stream_app.kafka.partition_log import MOST_AT_ONCE, PartitionLog
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry

logger = logging.getLogger(__name__)

#: Sessions read at the start after which a snapshot is written at once: reading them took its time.
MANY_AT_START: Final = 50_000

#: How long the feed rests after it took sessions in, seconds; not while it catches up. To take in a session
#: by itself takes nearly as long as to take in thirty, and each time the scorers are waited for.
REST_S: Final = 0.1

#: Sessions in the index from which on the feed rests as long.
REST_FROM: Final = 10_000


def rest_s(sessions: int) -> float:
    """How long the feed rests between two takings in, seconds: the fewer sessions there are, the less.

    Each session tells the more, the fewer the index has; a new one's first answers would be empty for longer.
    """
    return REST_S * min(1.0, sessions / REST_FROM)


class IndexFeed:
    """Reads the one-partition sessions topic into an index.

    Args:
        settings: the brokers and the topic, the index's size, where and when snapshots are written.
        telemetry: is told.

    Attributes:
        index: the index; empty until :meth:`start`, which may put another one in its place.
        offset: of the sessions topic, up to which the index has it.
        guard: lets others read the index.
        on_forgotten: is told the hash of each visitor that the topic says is forgotten.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._snapshots = Snapshots(settings, telemetry)
        self._log: PartitionLog | None = None
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()
        self._begin = self._end_at_start = 0
        self._read_until = 0  # beyond the last record where transactions have left markers
        self._mark = ""
        self.index = SessionIndex(settings.index_sessions)
        self.offset = 0
        self.guard = IndexGuard()
        self.on_forgotten: Callable[[int], object] = lambda _: None

    @property
    def caught_up(self) -> bool:
        """Whether the index has all that the topic held when the feed started."""
        return self._caught_up.is_set()

    @property
    def left_at_start(self) -> int:
        """Of the records that the topic held when the feed started, those not taken in yet."""
        return 0 if self.caught_up else max(0, self._end_at_start - self.offset)

    @property
    def newest_snapshot(self) -> Newest | None:
        """The newest snapshot that is good; None without one."""
        return self._snapshots.newest_good

    @property
    def writes_snapshot(self) -> bool:
        """Whether a snapshot is being written."""
        return self._snapshots.writing

    @property
    def lag(self) -> int:
        """Records of the topic that the index has not taken in, as far as is known."""
        end = (self._log and self._log.end_seen) or self._end_at_start
        return max(0, end - max(self.offset, self._read_until))

    async def start(self) -> None:
        """Connect, take the newest snapshot for a beginning, and begin to read.

        Raises:
            BrokerError: no broker answers.
            TopicError: the broker does not hand out the topic's records.
        """
        settings = self._settings
        self._log = log = await PartitionLog.connect(
            settings, settings.sessions_topic, 0, f"{settings.group_id}-index"
        )
        try:
            snapshot = await self._snapshots.newest(log)
            begin, self._end_at_start = await log.bounds()
        except BaseException:
            await log.close()
            raise
        if snapshot:
            self.index, self.offset, self._mark = snapshot.index, snapshot.offset, snapshot.mark
        self._begin = max(begin, self.offset)
        log.seek(self._begin)
        self._look_whether_caught_up(self._begin)
        self._task = asyncio.create_task(self._read(log), name="index feed")

    async def wait_caught_up(self) -> None:
        """Wait until the index has all that the topic held when the feed started.

        Raises:
            Exception: what ended the feed.
        """
        if self._caught_up.is_set():
            return
        waiting = asyncio.create_task(self._caught_up.wait())
        feed = self.task
        try:
            await asyncio.wait({waiting, feed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if feed.done():
            feed.result()

    @property
    def task(self) -> asyncio.Task[None]:
        """The task that reads; it ends only by an error or by :meth:`stop`."""
        if self._task is None:
            raise RuntimeError("the feed is not started")
        return self._task

    async def stop(self) -> None:
        """Stop reading and disconnect."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._log:
            await self._log.close()

    async def save(self) -> None:
        """Write a snapshot where there is something new; once the feed is stopped."""
        # Not after an error: who knows what it has left of the index.
        if self._task and self._task.cancelled() and self._snapshots.is_wanted(self.offset):
            await in_thread(self._save)

    async def _read(self, log: PartitionLog) -> None:
        while True:
            records = await log.fetch()
            if records:
                async with self.guard.changing():
                    self._take_in(records)
            # The log may be read up without a record: where its end is a transaction's marker.
            self._read_until = await log.position()
            self._look_whether_caught_up(self._read_until)
            if self._snapshots.is_due(self.offset):
                await in_thread(self._save)
            if self.caught_up and 0 < len(records) < MOST_AT_ONCE:
                await asyncio.sleep(rest_s(self.index.sessions))

    def _save(self) -> None:
        self._snapshots.save(self.index, self.offset, self._mark)

    def _look_whether_caught_up(self, position: int) -> None:
        if not self._caught_up.is_set() and max(self.offset, position) >= self._end_at_start:
            self._caught_up.set()
            if self.offset - self._begin >= MANY_AT_START:
                self._snapshots.hurry()
            sessions = self.index.sessions
            told = {"offset": self.offset, "sessions": sessions}
            logger.info("the index has caught up: %d sessions", sessions, extra=told)

    def _take_in(self, records: list[Any]) -> None:
        if records[0].offset < self.offset:
            raise TopicError(
                f"{self._settings.sessions_topic} was read up to offset {self.offset}, and now offset "
                f"{records[0].offset} came: it was deleted and made anew, so the index is of another topic. "
                "Start the worker again"
            )
        entries = entries_of(records, self._note_unreadable)
        self.index.take(entries)
        for entry in entries:
            if isinstance(entry, Forgotten):
                self.on_forgotten(entry.key)
        self.offset = records[-1].offset + 1
        self._mark = mark_of(records[-1])

    def _note_unreadable(self, record: Any, error: Exception) -> None:
        self._telemetry.unreadable.inc()
        logger.warning(
            "record %d of the sessions topic is no session: %s",
            record.offset,
            error,
            extra={"topic": self._settings.sessions_topic, "offset": record.offset},
        )


def entries_of(
    records: Iterable[Any], on_unreadable: Callable[[Any, Exception], None] = lambda *_: None
) -> list[ClosedSession | Forgotten]:
    """What records of the sessions topic hold, in their order; what is neither of both is left out.

    Args:
        records: of the sessions topic; one without a value is passed over in silence.
        on_unreadable: is told of each other one that cannot be read, and why.
    """
    entries: list[ClosedSession | Forgotten] = []
    for record in records:
        if record.value is None:
            continue
        try:
            entries.append(decode_entry(record.value))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            on_unreadable(record, error)
    return entries

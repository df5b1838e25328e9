"""Feeding the index from the sessions topic: all of it at the start, then as sessions close.

The feed is all that changes the index, and it does so when nobody reads it: :class:`IndexGuard`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from core.index import SessionIndex
from core.sessions import ClosedSession
from stream_app.index_guard import IndexGuard
from stream_app.kafka import end_offsets, new_log_reader, start
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

#: Records that are taken in at once at most, so that the event loop is never held for long.
MOST_AT_ONCE = 2000

_decoder = msgspec.json.Decoder(ClosedSession)


class IndexFeed:
    """Reads the one-partition sessions topic from its beginning into an index.

    Args:
        settings: the brokers and the topic.
        index: to be fed.
    """

    def __init__(self, settings: Settings, index: SessionIndex) -> None:
        self._settings = settings
        self._index = index
        self._reader: Any = None
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()
        self._end_at_start = 0
        self.guard = IndexGuard()
        self.offset = 0
        self.unreadable = 0

    @property
    def caught_up(self) -> bool:
        """Whether the index has all that the topic held when the feed started."""
        return self._caught_up.is_set()

    @property
    def lag(self) -> int:
        """Records of the topic that the index has not taken in, as far as is known."""
        if self._reader is None or not self._reader.assignment():
            return 0
        (tp,) = self._reader.assignment()
        return max(0, (self._reader.highwater(tp) or self._end_at_start) - self.offset)

    async def start(self) -> None:
        """Connect and begin to read.

        Raises:
            BrokerError: no broker answers.
        """
        topic = self._settings.sessions_topic
        reader = new_log_reader(self._settings, topic, 0, client_id=f"{self._settings.group_id}-index")
        await start(reader, self._settings)
        self._reader = reader
        self._end_at_start = (await end_offsets(reader, self._settings, topic)).get(0, 0)
        if self._end_at_start == 0:
            self._caught_up.set()
        self._task = asyncio.create_task(self._read(), name="index feed")

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
        if self._reader is not None:
            await self._reader.stop()

    async def _read(self) -> None:
        while True:
            fetched = await self._reader.getmany(timeout_ms=1000, max_records=MOST_AT_ONCE)
            for records in fetched.values():
                async with self.guard.changing():
                    self._take_in(records)
            # An empty fetch says that the log is read up, also where its end is a marker without a record.
            (tp,) = self._reader.assignment()
            position = await self._reader.position(tp)
            if not self._caught_up.is_set() and max(self.offset, position) >= self._end_at_start:
                self._caught_up.set()
                logger.info("the index has caught up: %d sessions", self._index.sessions)

    def _take_in(self, records: list[Any]) -> None:
        sessions = []
        for record in records:
            if record.value is None:
                continue
            try:
                sessions.append(_decoder.decode(record.value))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self.unreadable += 1
                if self.unreadable <= 10:  # noqa: PLR2004 -- the count goes on, the log does not
                    logger.warning("record %d of the sessions topic is no session: %s", record.offset, error)
        self._index.add(sessions)
        self.offset = records[-1].offset + 1

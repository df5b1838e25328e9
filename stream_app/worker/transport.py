"""Runs of records: Faust's Kafka consumer, handing the agent a fetched run as one message.

Faust costs a few hundred microseconds a message, so a message carries a run: the records that one fetch
brought for one partition. This file leans on internals of the pinned faust-streaming; its contract tests
(tests/integration/test_transport.py) would notice a change. The setting ``transport = "faust"`` does without
runs: then a message is a record, as Faust has it, and only the last of these points holds. What is
overridden:

* ``getmany``: builds the run messages, and hands over only what continues where the last run ended.
* ``_getmany``: fetches for those partitions that have room, each up to a bound of its own.
* ``on_buffer_full``: nothing. Faust leaves out the partition whose message comes when the agent's buffer is
  full, whichever that is, and sleeps for a second where that leaves none.
* ``handed``: gives the agent a run only if it has had all before it. A seek throws away what waits in
  buffers, but not what waits to get into one; that comes again in its turn.
* ``perform_seek``: also says where the next run must begin. Faust fetches while it seeks, and what was asked
  for before a seek may be delivered behind it. Such records are dropped, and the position is set again once
  no seek is under way (``positions.py``). Without that they would be skipped: for good, or until others come
  behind them and show the hole. The same is done each second where anything is missing at a partition's end.
* ``ack`` (and ``finish`` in its place), ``_filter_tps_with_pending_acks``, ``_new_offset``: commit up to the
  first unfinished run.
* ``_add_gap``: nothing; a commit after a whole run needs no account of holes in the log.
* ``_read_offset``: not looked at. Faust drops what lies before it, and may note it after a seek went further
  back.
* ``on_partitions_revoked``: forgets what is outstanding.
* ``_new_consumer_thread``: that of ``consumer_thread.py``, and ``RebalanceListener`` from there, too.
* ``_commit``: none where that thread has ended; what was not committed is answered again. None with
  ``guarantee = "exactly_once"`` either, whose transactions have the offsets.
* ``highwaters``: restores the changelogs' tables (``restoring.py``), once the partitions are taken over, and
  says that there is nothing left to restore.

All else is read as Faust reads it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as faust_aiokafka
from faust.types import TP, ConsumerMessage, Message
from faust.types.tuples import ack_lock
from mode.utils.futures import notify

from stream_app.settings import Settings
from stream_app.worker.consumer_thread import ConsumerStoppedError, ConsumerThread, RebalanceListener
from stream_app.worker.handed import Handed, MessageRecord
from stream_app.worker.positions import Positions
from stream_app.worker.read_runs import ReadRuns

logger = logging.getLogger(__name__)

#: A partition is read while less than this is read and not finished, in runs of full size: one in hand, and
#: one that waits.
UNFINISHED_RUNS: Final = 2

#: Seconds after which it is looked again whether a partition that had no room has some: less than a run of
#: full size takes.
ROOM_S: Final = 0.01


class _ReadOffsets(defaultdict[TP, Any]):
    """Faust's offsets of the last messages read; None for topics that it is to pass over."""

    def __init__(self, passes: Callable[[str], bool]) -> None:
        super().__init__(lambda: None)
        self._passes = passes

    def __getitem__(self, tp: TP) -> int | None:
        return None if self._passes(tp.topic) else super().__getitem__(tp)


class PlainConsumer(faust_aiokafka.Consumer):
    """Faust's, which hands over a record at a time; asked in addition what the group says."""

    logger = logging.getLogger("faust.transport")  # of each step of the service, which is Faust's
    RebalanceListener = RebalanceListener
    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._session_timeout_s = self.app.conf.broker_session_timeout  # asked for once: Faust takes its time

    def _new_consumer_thread(self) -> faust_aiokafka.AIOKafkaConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _commit(self, offsets: Any) -> bool:
        if cast("PlainTransport", self.transport).settings.guarantee == "exactly_once":
            # Committed by the runs' transactions. Noted, or Faust would say that nothing is.
            self._thread.tp_last_committed_at.update(dict.fromkeys(offsets, time.monotonic()))
            return True
        try:
            return bool(await super()._commit(offsets))
        except ConsumerStoppedError as error:
            logger.info("offsets are not committed: %s", error)
            return False

    @property
    def thread_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the thread that reads."""
        loop: asyncio.AbstractEventLoop = self._thread.thread_loop
        return loop

    def handed(self, messages: Iterable[Message]) -> Iterator[Handed]:
        """Sort what a stream brought by partition; each in the order of its log."""
        runs: dict[tuple[TP, int | None], list[Message]] = {}
        for message in messages:
            runs.setdefault((message.tp, message.generation_id), []).append(message)
        for (tp, generation), run in runs.items():
            records = [
                MessageRecord(m.offset, round(m.timestamp * 1000), m.key, m.value, m.headers) for m in run
            ]
            yield Handed(tp, generation, records, run, False, self._committed_offset.get(tp))

    def finish(self, message: Message) -> None:
        """Mark a message as finished: everything that follows from it is written."""
        self.ack(message)

    def release(self, message: Message) -> None:
        """Give a message up unfinished: it is left in the log for whoever has the partition next."""
        self._unacked_messages.discard(message)

    def abandon(self) -> None:
        """Wait for nothing in hand any more: it failed, and is left in the log for the next start."""
        self._unacked_messages.clear()

    def holds(self, tp: TP, generation: int | None) -> bool | None:
        """Whether the group has this worker down for a partition since a generation.

        None: the group has not answered for the session timeout, so it may have given the partition to
        another worker by now, or be out of reach for all of them.
        """
        known = self._thread.coordinator.generation == generation == self.app.consumer_generation_id
        if not known or self._thread.membership.is_replaced or not self._thread.is_assigned(tp):
            return False
        return True if self.silent_s < self._session_timeout_s else None

    def check_place(self) -> None:
        """Raise if another worker has this one's place in the group.

        Raises:
            GroupError: it has.
        """
        self._thread.membership.check()

    @property
    def silent_s(self) -> float:
        """How long ago the last heartbeat was sent that the group answered, seconds."""
        return self._thread.membership.silent_s

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Where partitions end; changelogs are restored, and end for Faust where it would begin to read."""
        transport, tables = cast("PlainTransport", self.transport), self.app.tables
        clicks = {tp.partition for tp in self.assignment() if tp.topic == transport.settings.clicks_topic}
        # A leader of an older version may also ask for standbys, whose clicks are another's.
        mine = {tp for tp in partitions if tp.topic in tables.changelog_topics and tp.partition in clicks}
        if mine:
            await transport.take_over({tp.partition for tp in mine})
        ends = {ensure_TP(tp): end or 0 for tp, end in (await super().highwaters(*partitions)).items()}
        if mine:
            await transport.restore({tp.partition: ends[tp] for tp in mine})
            oldest = await self.earliest_offsets(*mine)
            for tp in mine:
                last = tables.recovery.active_offsets.get(tp)  # that was in the table as the rebalance ended
                begin = max(0 if last is None else last + 1, oldest.get(tp) or 0)
                ends[tp] = min(ends[tp], begin)  # below, where the topic was made anew: Faust refuses that
        return ends

    async def ends(self, tps: Iterable[TP], within_s: float) -> dict[TP, int]:
        """Where partitions end now: see :meth:`ConsumerThread.ends`."""
        return {ensure_TP(tp): end for tp, end in (await self._thread.ends(tps, within_s)).items()}

    def end(self, tp: TP) -> int | None:
        """The offset after a partition's last record, as the last fetch saw it; None where not known."""
        try:
            end: int | None = self.highwater(tp)
        except (AssertionError, AttributeError):  # aiokafka, of a partition that was revoked just now
            return None
        return end

    def read_until(self, tp: TP) -> int:
        """The offset up to which a partition was fetched, transactions' markers too; 0 where not known."""
        try:
            assignment = self._thread.subscription.assignment
            return int(assignment.state_value(tp).position)
        except (AssertionError, AttributeError):  # as above, or before the first seek
            return 0

    def ask_again(self, tp: TP) -> None:
        """See to it that nothing of a partition that was read to its end is lost on the way: Faust's part."""

    def lag(self, tp: TP) -> int | None:
        """Records of a partition that were not handed over yet; None where that is not known.

        Faust's reading position is that of the last record handed over, but before the first that of the
        first, so that the very first record may be left out.
        """
        end = self.end(tp)
        read = self._read_offset.get(tp)
        return None if end is None or read is None else max(0, end - max(read + 1, self.read_until(tp)))


class RunConsumer(PlainConsumer):
    """Reads the topics in ``RunTransport.run_topics`` in runs, all others one by one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._runs = ReadRuns()
        self._positions = Positions()
        self._read_offset = _ReadOffsets(self.in_runs)
        self._most_unfinished = UNFINISHED_RUNS * self.app.conf.broker_max_poll_records

    def handed(self, messages: Iterable[Message]) -> Iterator[Handed]:
        """Each message is a run; one that a seek has thrown away, or one before it, is left out."""
        for message in messages:
            if self._runs.take(message):
                records: Any = message.value
                yield Handed(message.tp, message.generation_id, records, [message], True, None)
            else:
                self._unacked_messages.discard(message)  # it comes again

    def release(self, message: Message) -> None:
        """Give a run up unfinished: it and those behind it are left in the log for whoever is next."""
        super().release(message)
        self._runs.release(message)

    def in_runs(self, topic: str) -> bool:
        """Whether a topic is read in runs."""
        return topic in cast("RunTransport", self.transport).run_topics

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109 -- Faust's
        """Fetch, and yield run messages for clicks and single messages for the rest."""
        if self._positions.any_astray:
            await self._seek_astray()
            timeout = ROOM_S  # where the seek of all is under way, to seek soon after it
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self._seek_back()
            return
        for aio_tp, batch in records.items():
            tp = ensure_TP(aio_tp)
            if not self._flows_in(generation):
                return  # a rebalance: it will seek
            if not batch or not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            if self.in_runs(tp.topic):
                if run := self._positions.continuing(tp, batch):
                    yield tp, self._run_message(tp, run)
            else:
                for record in batch:
                    yield tp, self._to_message(tp, record)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 -- Faust's
        active = active_partitions or set()
        full = {tp for tp in active if self._runs.unfinished(tp) >= self._most_unfinished}
        if not full:
            return await super()._getmany(active_partitions, timeout)
        if room := active - full:
            return await super()._getmany(room, min(timeout, ROOM_S))
        await self.sleep(ROOM_S)
        return {}

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing for runs: what holds up a partition is its own backlog."""
        if not self.in_runs(tp.topic):
            super().on_buffer_full(tp)

    def _flows_in(self, generation: int) -> bool:
        """Whether no rebalance has begun since."""
        return self.flow_active and self.app.consumer_generation_id == generation

    async def _seek_back(self) -> None:
        try:
            await self.perform_seek()
        except Exception as error:  # noqa: BLE001 -- as Faust does: a rebalance is under way and seeks again
            logger.warning("seek while the flow was stopped: %s", error)

    async def _seek_astray(self) -> None:
        """Go back to where the next runs begin, where what was fetched had to be dropped."""
        if begins := self._positions.astray(self.assignment()):
            try:
                await self._thread.seek_wait(begins)
            except Exception as error:  # noqa: BLE001 -- as in `_seek_back`
                logger.warning("seek to the next runs: %s", error)
            else:
                self._positions.sought(begins)

    def _run_message(self, tp: TP, run: Sequence[Any]) -> ConsumerMessage:
        message = ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=run[0].offset,
            timestamp=run[0].timestamp / 1000.0,
            timestamp_type=run[0].timestamp_type,
            headers=[],
            key=None,
            value=cast("bytes", run),  # RawSchema hands it on as it is
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=len(run),
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )
        after = run[-1].offset + 1
        self._runs.add(message, after, len(run))
        self._positions.set({tp: after})
        return message

    async def perform_seek(self) -> None:
        """Seek to the committed offsets; a partition without one begins at the log's beginning."""
        with self._positions.seek():
            await super().perform_seek()
            mine = [tp for tp in self.assignment() if self.in_runs(tp.topic)]
            starts = {tp: offset for tp in mine if (offset := self._committed_offset.get(tp))}
            if fresh := [tp for tp in mine if tp not in starts]:
                oldest = await self.earliest_offsets(*fresh)
                begins = {ensure_TP(tp): offset or 0 for tp, offset in oldest.items()}
                await self._thread.seek_wait(begins)
                starts |= begins
            self._positions.set(starts)
            for tp in mine:
                self._runs.forget_untaken(tp)

    def ack(self, message: Message) -> bool:
        """Not for runs: a stream also acknowledges what it skips. See :meth:`finish`."""
        return not self.in_runs(message.topic) and bool(super().ack(message))

    def finish(self, message: Message) -> None:
        """Mark a run as finished: everything that follows from it is written."""
        with ack_lock:
            message.acked = True
            self._unacked_messages.discard(message)
            self._runs.finish(message)
            self._n_acked += 1
            notify(self._waiting_for_ack)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from (tp for tp in super()._filter_tps_with_pending_acks(topics) if not self.in_runs(tp.topic))
        yield from (
            tp for tp in self._runs.partitions if topics is None or tp in topics or tp.topic in topics
        )

    def _new_offset(self, tp: TP) -> int | None:
        return self._runs.finished(tp) if self.in_runs(tp.topic) else super()._new_offset(tp)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if not self.in_runs(tp.topic):
            await super()._add_gap(tp, offset_from, offset_to)

    async def on_partitions_revoked(self, revoked: Iterable[TP]) -> None:
        """Finish and commit what is in hand, then forget the partitions."""
        await super().on_partitions_revoked(set(revoked))
        for tp in revoked:
            self._runs.forget(tp)
            self._positions.forget(tp)

    def ask_again(self, tp: TP) -> None:
        """Fetch once more what of a partition that was read to its end was not handed over, if anything."""
        self._positions.ask_again(tp, self.end(tp) or 0)

    def lag(self, tp: TP) -> int | None:
        """Records of a partition that were not handed over yet; None where that is not known."""
        end = self.end(tp)
        begins = self._positions.begins(tp)
        return None if end is None or begins is None else max(0, end - max(begins, self.read_until(tp)))


class PlainTransport(faust_aiokafka.Transport):
    """Faust's Kafka transport, handing over records as Faust does.

    Attributes:
        settings: all settings; given once the transport is made, as are the next two.
        take_over: is called with partitions before it is looked where their changelogs end.
        restore: is called with those ends, by partition.
    """

    Consumer = PlainConsumer
    settings: Settings
    take_over: Callable[[set[int]], Awaitable[None]]
    restore: Callable[[dict[int, int]], Awaitable[None]]


class RunTransport(PlainTransport):
    """Faust's Kafka transport, handing over runs."""

    Consumer = RunConsumer
    run_topics: frozenset[str] = frozenset()

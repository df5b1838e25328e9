"""Runs of records: Faust's Kafka consumer, handing the agent a fetched run as one message.

Faust costs a few hundred microseconds a message, so a message carries a run: the records that one fetch
brought for one partition. This file leans on internals of the pinned faust-streaming; its contract tests
(tests/integration/test_transport.py) would notice a change. The setting ``transport = "faust"`` does without
runs: then a message is a record, as Faust has it, and only the last of these points holds. What is
overridden:

* ``getmany``: builds the run messages, and hands over only what continues where the last run ended.
* ``handed``: gives the agent a run only if it has had all before it. A seek throws away what waits in
  buffers, but not what waits to get into one; that comes again in its turn.
* ``perform_seek``: also says where the next run must begin. Between the moment a fetch is asked for and the
  moment it is delivered, a rebalance may have moved the reading position; records fetched across such a seek
  are dropped and the position is set again. Without that they would be skipped for good.
* ``ack`` (and ``finish`` in its place), ``_filter_tps_with_pending_acks``, ``_new_offset``: commit up to the
  first unfinished run.
* ``_add_gap``: nothing; a commit after a whole run needs no account of holes in the log.
* ``_read_offset``: not looked at. Faust drops what lies before it, and may note it after a seek went further
  back.
* ``on_partitions_revoked``: forgets what is outstanding.
* ``_new_consumer_thread``: that of ``consumer_thread.py``, and ``RebalanceListener`` from there, too.
* ``_commit``: none where that thread has ended; what was not committed is answered again. None with
  ``guarantee = "exactly_once"`` either, whose transactions have the offsets.
* ``highwaters``: the ends of changelogs as ``restoring.py`` has them, once the partitions are taken over.

Changelogs and all else are read as Faust reads them.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import faust
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as faust_aiokafka
from faust.types import TP, ConsumerMessage, Message
from faust.types.tuples import ack_lock
from mode.utils.futures import notify

from stream_app.settings import Settings
from stream_app.worker.consumer_thread import ConsumerStoppedError, ConsumerThread, RebalanceListener
from stream_app.worker.read_runs import ReadRuns
from stream_app.worker.restoring import ends_to_restore

logger = logging.getLogger(__name__)


class _ReadOffsets(defaultdict[TP, Any]):
    """Faust's offsets of the last messages read; None for topics that it is to pass over."""

    def __init__(self, passes: Callable[[str], bool]) -> None:
        super().__init__(lambda: None)
        self._passes = passes

    def __getitem__(self, tp: TP) -> int | None:
        return None if self._passes(tp.topic) else super().__getitem__(tp)


class Handed(NamedTuple):
    """Records of one partition that the agent was handed, and the messages that they came in.

    ``follows`` says that no record is missing between these and those handed before; else ``begins`` is where
    the partition was to begin, None for the beginning of its log.
    """

    tp: TP
    generation: int | None
    records: list[Any]
    messages: list[Message]
    follows: bool
    begins: int | None


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

    def handed(self, messages: Iterable[Message]) -> Iterator[Handed]:
        """Sort what a stream brought by partition; each in the order of its log."""
        runs: dict[tuple[TP, int | None], list[Message]] = {}
        for message in messages:
            runs.setdefault((message.tp, message.generation_id), []).append(message)
        for (tp, generation), run in runs.items():
            records = [_Record(m.offset, round(m.timestamp * 1000), m.key, m.value, m.headers) for m in run]
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
        """Where partitions end; a changelog ends for Faust after the last record that it will be handed."""
        transport = cast("PlainTransport", self.transport)
        changelogs = self.app.tables.changelog_topics
        restored = {tp.partition for tp in partitions if tp.topic in changelogs}
        clicks = {tp.partition for tp in self.assignment() if tp.topic == transport.settings.clicks_topic}
        if restored & clicks:  # those that are not in the clicks are a standby's
            await transport.take_over(restored & clicks)
        ends = {ensure_TP(tp): end or 0 for tp, end in (await super().highwaters(*partitions)).items()}
        return ends | await ends_to_restore(transport.settings, self.app, ends)

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

    def lag(self, tp: TP) -> int | None:
        """Records of a partition that were not handed over yet; None where that is not known.

        Faust's reading position is that of the last record handed over, but before the first that of the
        first, so that the very first record may be left out.
        """
        end = self.end(tp)
        read = self._read_offset.get(tp)
        return None if end is None or read is None else max(0, end - max(read + 1, self.read_until(tp)))


class _Record(NamedTuple):
    """A message as the record that it was: offset, append time in ms, key, value and headers."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Any


class RunConsumer(PlainConsumer):
    """Reads the topics in ``RunTransport.run_topics`` in runs, all others one by one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._runs = ReadRuns()
        self._expected: dict[TP, int] = {}  # offset at which the next run must begin
        self._hole_at: dict[TP, int] = {}  # offset from which the log was asked once more and had nothing
        self._seeks_begun = 0
        self._seeks_ended = 0
        self._read_offset = _ReadOffsets(self.in_runs)

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
        begun, seeking = self._seeks_begun, self._seeks_begun != self._seeks_ended
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
                across = seeking or begun != self._seeks_begun
                run = await self._continuing(tp, batch, fetched_across_seek=across)
                if run:
                    yield tp, self._run_message(tp, run)
            else:
                for record in batch:
                    yield tp, self._to_message(tp, record)

    def _flows_in(self, generation: int) -> bool:
        """Whether no rebalance has begun since."""
        return self.flow_active and self.app.consumer_generation_id == generation

    async def _seek_back(self) -> None:
        try:
            await self.perform_seek()
        except Exception as error:  # noqa: BLE001 -- as Faust does: a rebalance is under way and seeks again
            logger.warning("seek while the flow was stopped: %s", error)

    async def _continuing(self, tp: TP, batch: list[Any], *, fetched_across_seek: bool) -> list[Any]:
        """The part of a fetched batch that may be handed over; empty when it has to be fetched again."""
        expected = self._expected.get(tp)
        if expected is None:
            return []  # revoked, or not sought yet: the seek to come reads it again
        first = batch[0].offset
        if fetched_across_seek or (first > expected and self._hole_at.get(tp) != expected):
            # Either these records were fetched from another position, or the log has a hole here (compaction,
            # retention, transaction markers). Ask once more: only the log itself answers the same again.
            if not fetched_across_seek:
                self._hole_at[tp] = expected
            await self._thread.seek_wait({tp: expected})
            return []
        if first > expected:
            logger.log(
                logging.DEBUG if first == expected + 1 else logging.WARNING,  # one: a transaction's marker
                "the log of %s has nothing from offset %d to %d",
                tp,
                expected,
                first - 1,
                extra={"topic": tp.topic, "partition": tp.partition, "offset": expected},
            )
        return [record for record in batch if record.offset >= expected]

    def _run_message(self, tp: TP, run: list[Any]) -> ConsumerMessage:
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
        self._runs.add(message, after)
        self._expected[tp] = after
        return message

    async def perform_seek(self) -> None:
        """Seek to the committed offsets; a partition without one begins at the log's beginning."""
        self._seeks_begun += 1
        try:
            await super().perform_seek()
            mine = [tp for tp in self.assignment() if self.in_runs(tp.topic)]
            fresh = [tp for tp in mine if not self._committed_offset.get(tp)]
            if fresh:
                begins = await self.earliest_offsets(*fresh)
                starts = {ensure_TP(tp): offset or 0 for tp, offset in begins.items()}
                await self._thread.seek_wait(starts)
                self._expected.update(starts)
            for tp in mine:
                committed = self._committed_offset.get(tp)
                if committed:
                    self._expected[tp] = committed
                self._runs.forget_untaken(tp)
        finally:
            self._seeks_ended += 1

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
            self._expected.pop(tp, None)
            self._hole_at.pop(tp, None)

    def lag(self, tp: TP) -> int | None:
        """Records of a partition that were not handed over yet; None where that is not known."""
        end = self.end(tp)
        expected = self._expected.get(tp)
        return None if end is None or expected is None else max(0, end - max(expected, self.read_until(tp)))


class RawSchema(faust.Schema[Any, Any]):
    """Hands the value of a message to the stream as it is: a run's records, or a record's bytes."""

    def compile(self, app: faust.types.AppT, **_kwargs: Any) -> Any:
        """Make the function that turns a run message into an event."""

        async def decode(message: Message, *, propagate: bool = False) -> Any:
            del propagate
            return app.create_event(None, message.value, message.headers, message)

        return decode


class PlainTransport(faust_aiokafka.Transport):
    """Faust's Kafka transport, handing over records as Faust does.

    Attributes:
        settings: all settings; given once the transport is made, as is the next.
        take_over: is called with partitions before it is looked where their changelogs end.
    """

    Consumer = PlainConsumer
    settings: Settings
    take_over: Callable[[set[int]], Awaitable[None]]


class RunTransport(PlainTransport):
    """Faust's Kafka transport, handing over runs."""

    Consumer = RunConsumer
    run_topics: frozenset[str] = frozenset()

"""One input partition: its runs one after the other, from the records to the acknowledgement.

The order of a run's writes makes the state exact. First everything that others read: answers, closed
sessions, dead letters, all confirmed. Then the changelog, with the partition's own record behind the states
of the visitors. Then RocksDB. Then the acknowledgement. Whatever a crash leaves undone is done again from the
same state with the same result, and whatever is in the state has been answered and published, or is when its
clicks, which are not acknowledged, are read again: answers alone may go together with the changelog. With
``guarantee = "exactly_once"`` what others read and the changelog are one transaction (``writers.py``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from itertools import groupby
from typing import Final, NamedTuple

import msgspec

from core.errors import BrokerError, TransactionLostError
from core.window.open_sessions import OpenSessions
from core.window.sessions import WindowRules
from core.window.step import (
    DeadLetter,
    Record,
    RunResult,
    VisitorState,
    advance_run,
    close_run,
    comes_again,
    nothing_done,
    parse_run,
    unconfirmed,
    visitors_of,
)
from stream_app.kafka.outbox import Batch, OutRecord
from stream_app.kafka.partition_log import PartitionLog
from stream_app.kafka.placement import Placement, record_of
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry
from stream_app.worker.answering import Answering
from stream_app.worker.dead_letter_log import DeadLetterLog
from stream_app.worker.run_counts import RunCounts
from stream_app.worker.tables import VisitorTable, changes_of, visitor_of
from stream_app.worker.waiting_runs import Run, WaitingRuns
from stream_app.worker.writers import RunWrites, Writers

logger = logging.getLogger(__name__)

#: Sessions that one run closes beside its own at most; the next run or tick goes on.
MOST_SWEPT: Final = 1000

#: Seconds between two sweeps behind runs, where one has left nothing.
SWEEP_EVERY_S: Final = 0.1

#: Open sessions of the table that are read at once when a partition is opened: some ten milliseconds.
NOTED_AT_ONCE: Final = 2000

#: Transactions of a run that may be lost one after the other before the worker ends.
MOST_LOST: Final = 5

#: How long a worker waits from the second loss on before it takes a partition over again, seconds. Within two
#: heartbeats it knows if another has its place; two that took it from each other at once would both end.
LOST_WAIT_S: Final = 2.0

#: What a processor without a run does.
IDLE: Final = "waiting for a run"


class Tools(NamedTuple):
    """What every partition works with."""

    settings: Settings
    rules: WindowRules
    table: VisitorTable
    writers: Writers
    answering: Answering
    placement: Placement
    telemetry: Telemetry
    dead_letter_log: DeadLetterLog


class PartitionProcessor:
    """Applies the runs of one partition, in order.

    Args:
        partition: of the input topic.
        tools: shared with the other partitions.
        on_error: is called with what ended the processor.
    """

    def __init__(
        self, partition: int, tools: Tools, on_error: Callable[[BaseException], Awaitable[None]]
    ) -> None:
        self._partition = partition
        self._tools = tools
        self._on_error = on_error
        self._state = tools.table.partition(partition)
        self._writer = tools.writers.of(partition)
        self._counts = RunCounts(partition, tools.telemetry, tools.dead_letter_log)
        self._open = OpenSessions()
        #: What it does, for whoever asks why it takes so long.
        self.phase = "reading the sessions that the table holds"
        #: The input offset after the last run that is finished.
        self.done_until = self._state.applied + 1
        self._stopping = False
        self._sweep_at = 0.0
        self._last_run_at = time.monotonic()
        self._waiting = WaitingRuns(tools.settings.max_run_clicks)
        self._task = asyncio.create_task(self._work(), name=f"partition {partition}")

    @property
    def busy(self) -> bool:
        """Whether a run is in hand."""
        return self.phase != IDLE

    @property
    def open_sessions(self) -> int:
        """Sessions open in this partition."""
        return len(self._open)

    @property
    def watermark_s(self) -> float | None:
        """The largest time of a click in this partition, seconds since 1970; None before the first."""
        watermark_ms = self._state.watermark_ms
        return None if watermark_ms is None else watermark_ms / 1000

    async def submit(self, run: Run) -> None:
        """Hand over a run; waits while there are too many clicks before it."""
        await self._waiting.put(run)

    def tick(self, generation: int | None, still_ours: Callable[[], Awaitable[bool]]) -> None:
        """Let time pass: go on with a sweep, close the sessions of an idle partition; work comes first."""
        if not self._waiting:
            self._waiting.put_now(Run(generation, [], still_ours))

    async def stop(self) -> None:
        """Finish the run in hand and end; runs that wait are left for whoever reads them next."""
        self._stopping = True
        self._waiting.end()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        try:
            await self._note_all()
            while await self._work_once():
                pass
        except Exception as error:
            logger.exception(
                "partition %d: a run failed and is not acknowledged",
                self._partition,
                extra={"partition": self._partition, "offset": self.done_until},
            )
            await self._on_error(error)

    async def _note_all(self) -> None:
        """Note the sessions that the table holds; a million take seconds, in which others have their turn."""
        for number, (visitor, state) in enumerate(self._tools.table.all_visitors(self._partition), 1):
            self._open.note(visitor, state.last_ms)
            if number % NOTED_AT_ONCE == 0:
                await asyncio.sleep(0)
                if self._stopping:
                    return

    async def _work_once(self) -> bool:
        # A function of its own, so that a run that is not acknowledged is not held until the next one comes.
        self.phase = IDLE
        run = await self._waiting.take()
        self.phase = "asking whether the partition is still this worker's"
        if run is None:
            return False
        if run.records:
            self._last_run_at = time.monotonic()
        lost = 0
        while not await self._tried(run):
            lost += 1
            if lost > 1:
                self.phase = "waiting for what the group says of a partition that was lost twice"
                await asyncio.sleep(LOST_WAIT_S)
            if not await run.still_ours():
                run.dropped()
                return True
            await self._take_over_again(lost)
        return True

    async def _tried(self, run: Run) -> bool:
        """Do what a run asks for; False when its transaction was lost, whatever had become of it."""
        try:
            await (self._apply(run) if run.records else self._let_time_pass(run))
        except TransactionLostError as error:
            logger.warning("%s", error, extra={"partition": self._partition, "offset": self.done_until})
            return False
        return True

    async def _take_over_again(self, lost: int) -> None:
        """Begin anew from what the changelog has."""
        if lost > MOST_LOST:
            raise BrokerError(f"partition {self._partition}: {lost} transactions in a row were lost")
        self.phase = "taking the partition over again"
        self._writer = await self._tools.writers.take_over_again(self._partition)
        self._state = self._tools.table.partition(self._partition)
        self._open = OpenSessions()
        await self._note_all()

    async def _apply(self, run: Run) -> None:
        if not await run.still_ours():
            run.dropped()
        elif await (self._apply_records(run.records, run) if run.follows else self._apply_all(run)):
            self.done_until = run.records[-1].offset + 1
            run.done()
        else:
            logger.warning(
                "partition %d went to another worker during a run",
                self._partition,
                extra={"partition": self._partition, "offset": self.done_until},
            )
            run.dropped()

    async def _apply_all(self, run: Run) -> bool:
        """Apply records, and what the log has before and between them; False when no longer ours."""
        for _, stretch in groupby(enumerate(run.records), lambda numbered: numbered[1].offset - numbered[0]):
            records = [record for _, record in stretch]
            if not (
                await self._apply_skipped(records[0].offset, run) and await self._apply_records(records, run)
            ):
                return False
        return True

    async def _apply_skipped(self, end: int, run: Run) -> bool:
        """Apply the records before an offset that were not handed over, if the log has any."""
        settings, applied = self._tools.settings, self._state.applied
        begin = applied + 1 if applied >= 0 else run.begins or 0
        if begin >= end:
            return True
        async with PartitionLog.opened(settings, settings.clicks_topic, self._partition) as log:
            oldest, _ = await log.bounds()
            async for records in log.read(max(begin, oldest), end):
                logger.warning(
                    "partition %d: Faust passed over offsets %d to %d; they are applied now",
                    self._partition,
                    records[0].offset,
                    records[-1].offset,
                    extra={"partition": self._partition, "offset": records[0].offset},
                )
                if not await self._apply_records([record_of(record) for record in records], run):
                    return False
        return True

    async def _apply_records(self, records: list[Record], run: Run) -> bool:
        """Apply records and write what follows; False when the partition is no longer ours."""
        tools = self._tools
        done_before = len(records)
        records = self._writer.left_to_do(records, self._state)
        self._counts.replayed(done_before - len(records))
        if not records:
            return True
        parsed = tools.placement.placed(self._partition, parse_run(records, tools.settings.max_value_bytes))
        before = tools.table.load(self._partition, visitors_of(parsed))
        result = advance_run(self._partition, parsed, self._state, before, tools.rules)
        self._note_open(result.visitors)
        swept = self._sweep_if_due(result)
        written = await self._write(result, swept, run)
        if written:
            self._counts.done(len(records))
        return written

    async def _let_time_pass(self, run: Run) -> None:
        if not await run.still_ours() or not self._open:
            return
        nothing = nothing_done(self._state)
        idle_s = time.monotonic() - self._last_run_at
        if self._tools.settings.close_idle and idle_s > self._tools.settings.idle_after_s:
            visitors = [visitor for visitor, _ in zip(self._open, range(MOST_SWEPT), strict=False)]
            states = self._tools.table.load(self._partition, visitors)
            swept = close_run(states, self._state, self._tools.rules, "idle")
        else:
            swept = self._sweep(nothing)
        if swept.visitors and await self._write(nothing, swept, run) and len(swept.visitors) == MOST_SWEPT:
            self.tick(run.generation, run.still_ours)  # there may be more

    def _sweep_if_due(self, result: RunResult) -> RunResult:
        """Close sessions behind a run, now and then: a run that closes none is done in half the time."""
        now = time.monotonic()
        if now < self._sweep_at:
            return nothing_done(result.partition)
        swept = self._sweep(result)
        if len(swept.visitors) < MOST_SWEPT:
            self._sweep_at = now + SWEEP_EVERY_S
        return swept

    def _sweep(self, result: RunResult) -> RunResult:
        """Close sessions that the watermark has passed."""
        rules, watermark_ms = self._tools.rules, result.partition.watermark_ms
        visitors = self._open.over(watermark_ms, rules, MOST_SWEPT)
        stored = [visitor for visitor in visitors if visitor not in result.visitors]
        states = self._tools.table.load(self._partition, stored)
        states |= {v: state for v in visitors if (state := result.visitors.get(v))}
        swept = close_run(states, result.partition, rules, "watermark")
        for visitor in states.keys() - swept.visitors.keys():
            self._open.note(visitor, None)
            self._open.note(visitor, states[visitor].last_ms)  # to be asked for again
        return swept

    async def _write(self, result: RunResult, swept: RunResult, run: Run) -> bool:
        """Publish, then make the state durable; False when the partition is no longer ours."""
        tools, partition = self._tools, self._partition
        learnt = [
            *(OutRecord(entry.record_key, msgspec.json.encode(entry)) for entry in result.forgotten),
            *(
                OutRecord(session.session.encode(), msgspec.json.encode(session))
                for session in (*result.closed, *swept.closed)
            ),
        ]
        moved, dead = tools.placement.split(result.dead)
        self.phase = "scoring"
        answers = await tools.answering.answer(partition, result.queries)
        settings = tools.settings
        letters = [self._dead_letter(letter) for letter in dead]
        batches = [
            Batch(settings.recommendations_topic, partition, answers),
            Batch(settings.sessions_topic, 0, learnt),
            Batch(settings.dead_letters_topic, 0, letters),
            *tools.placement.moves(partition, moved),
        ]
        published = [batch for batch in batches if batch.records]
        together = not (self._writer.atomic or swept.visitors) and comes_again(result, tools.rules)
        stored = unconfirmed(result.partition, self._state) if together else result.partition
        changes = changes_of(result.visitors, stored, swept.visitors)
        answered = stored.answered_until if run.records else None
        writes = RunWrites(published, changes, stored.applied, answered, together)

        def on_published() -> None:
            self._counts.out(result, swept, dead, len(moved))
            self.phase = "writing the state"

        # Right before the writes: all that took its time is done.
        self.phase = "writing what others read"
        if not await run.still_ours():
            return False
        merged = await self._writer.write(writes, run.still_ours, on_published)
        if merged is None:
            return False
        self._state = result.partition
        self._note_open(swept.visitors)
        if merged:
            self._look_again(merged)
        return True

    def _look_again(self, keys: Iterable[bytes]) -> None:
        """Take the state from the table, where another worker's part in it was merged."""
        table = self._tools.table
        visitors = [visitor for key in keys if (visitor := visitor_of(key)) is not None]
        held = table.load(self._partition, visitors)
        self._state = table.partition(self._partition)
        self._note_open({visitor: held.get(visitor) for visitor in visitors})

    def _dead_letter(self, letter: DeadLetter) -> OutRecord:
        """The record as it came; why and from where in headers."""
        origin = {
            "reason": letter.reason,
            "error": letter.detail,
            "topic": self._tools.settings.clicks_topic,
            "partition": str(self._partition),
            "offset": str(letter.record.offset),
        }
        if letter.record.replayed_from:
            origin["replayed"] = letter.record.replayed_from
        headers = [(name, value.encode("utf-8", "replace")) for name, value in origin.items()]
        return OutRecord(letter.record.key, letter.record.value, headers)

    def _note_open(self, visitors: dict[str, VisitorState | None]) -> None:
        for visitor, state in visitors.items():
            self._open.note(visitor, state.last_ms if state else None)

"""What a worker consists of beside Faust, and how the two meet."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

from faust.types import TP

from core.measure.prequential import Judge
from stream_app.index.feed import IndexFeed
from stream_app.kafka.outbox import Outbox
from stream_app.kafka.placement import Placement, record_of
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry
from stream_app.version import version
from stream_app.worker.answering import Answering
from stream_app.worker.dead_letter_log import DeadLetterLog
from stream_app.worker.health import Health
from stream_app.worker.liveness import Liveness, Progress
from stream_app.worker.processor import PartitionProcessor, Tools
from stream_app.worker.restoring import Restoring
from stream_app.worker.samples import Samples
from stream_app.worker.scoring_pool import ScoringPool
from stream_app.worker.tables import VisitorTable
from stream_app.worker.transactions import TransactionalWriters
from stream_app.worker.transport import PlainConsumer
from stream_app.worker.waiting_runs import Run
from stream_app.worker.writers import ConfirmedWriters, Writers

logger = logging.getLogger(__name__)

#: How often idle partitions and late sweeps are looked after, seconds.
TICK_S: Final = 1.0

#: How often the partitions' progress is looked at, seconds.
LOOK_S: Final = 5.0

#: How long brokers may take to say where the partitions end, seconds; twice, where some have no leader.
ANSWER_S: Final = 2.0

#: How often it is looked whether the group answers again, seconds.
ASK_AGAIN_S: Final = 0.05


def _for_each(act: Callable[[Any], object], messages: list[Any]) -> None:
    for message in messages:
        act(message)


class Runtime:
    """The worker's own services, and the processors of the partitions that it is assigned.

    Args:
        settings: all settings.
        app: the Faust app, not started.
        table: its visitor table.
        partitions: of the input topic.
    """

    def __init__(self, settings: Settings, app: Any, table: VisitorTable, partitions: int) -> None:
        self.settings = settings
        self.telemetry = Telemetry()
        self._app = app
        self._table = table
        self._partitions = partitions
        self._feed = IndexFeed(settings, self.telemetry)
        self._samples = Samples(settings, self.telemetry, table, partitions)
        self._tools: Tools | None = None
        self._processors: dict[int, PartitionProcessor] = {}
        self._dead_letter_log = DeadLetterLog()
        self._liveness = Liveness(settings.stall_s, time.monotonic())
        self.restoring = Restoring(settings, table)
        self.health = Health(
            settings,
            self.telemetry,
            app,
            table,
            self.restoring,
            self._feed,
            self._processors,
            self._liveness,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._asking: asyncio.Task[dict[TP, int]] | None = None

    @property
    def writes_snapshot(self) -> bool:
        """Whether a snapshot of the index is being written."""
        return self._feed.writes_snapshot

    async def start(self) -> None:
        """Connect, begin to feed the index and to answer /metrics, compile. Before Faust starts.

        Raises:
            SettingsError: the address of /metrics is taken.
            BrokerError: no broker answers, or it has no transactions and is to.
            AccessError: this user may not write in transactions.
        """
        settings = self.settings
        self._publish_gauges()
        self.health.serve()
        await self._feed.start()
        self._feed.task.add_done_callback(self._task_ended)
        # Before the feed's first turn: making scorers may change the index.
        scoring = ScoringPool(self._feed.index, settings.scoring_parameters(), settings.scoring_threads)
        self._warm_up(scoring)
        writers = await self._open_writers()
        judge = Judge(settings.exclude)
        self._feed.on_forgotten = judge.forget
        answering = Answering(scoring, self._feed, judge, self.telemetry)
        placement = Placement(settings, self._partitions, self.telemetry)
        self._tools = Tools(
            settings,
            settings.window_rules(),
            self._table,
            writers,
            answering,
            placement,
            self.telemetry,
            self._dead_letter_log,
        )
        self._tasks = [
            asyncio.create_task(self._tick(), name="tick"),
            asyncio.create_task(self._watch(), name="watch"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._task_ended)

    async def stop(self) -> None:
        """Stop everything that :meth:`start` started; the partitions' runs in hand are finished first."""
        self.health.stopping()
        for task in self._tasks:
            task.cancel()
        if self._asking:
            self._asking.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.drop_partitions()
        await self._feed.stop()
        if self._tools:
            await self._tools.writers.close()
        self.health.stop()
        gc.enable()

    async def save_index(self) -> None:
        """Write the index's snapshot; once all is stopped and the group is left, which others wait for."""
        await self._feed.save()

    async def wait_until_learnt(self) -> None:
        """Wait until the index holds what its topic held at the start. No click is answered before."""
        await self._feed.wait_caught_up()
        # What is there now stays: the index's names, modules, kernels. Looked through for garbage again and
        # again, they took a third of a busy worker's time. What comes later makes no cycles that are worth a
        # tenth of the time, which it took to look for them at every few hundred clicks; see `_watch`.
        gc.collect()
        gc.freeze()
        gc.disable()

    async def submit(self, messages: list[Any]) -> None:
        """Take what the agent was handed; it is finished when its partition is done with it."""
        consumer = self._app.consumer
        for handed in consumer.handed(messages):
            still_ours = self._ownership(handed.tp, handed.generation)
            run = Run(
                handed.generation,
                [record_of(record) for record in handed.records],
                still_ours,
                partial(_for_each, consumer.finish, handed.messages),
                partial(_for_each, consumer.release, handed.messages),
                handed.follows,
                handed.begins,
            )
            if await still_ours():
                await self._processor(handed.tp.partition).submit(run)
            else:
                run.dropped()

    async def drop_partitions(self) -> None:
        """Finish what is in hand and let go of all partitions."""
        await self.restoring.let_go()
        processors = self._processors.copy()
        self._processors.clear()  # the same dictionary goes on: others look into it
        await asyncio.gather(*(processor.stop() for processor in processors.values()))
        if self._tools:
            await self._tools.writers.let_go()

    async def take_over(self, partitions: Iterable[int]) -> None:
        """See that nobody else writes for partitions that were assigned, before anything is restored.

        Raises:
            AccessError: Kafka does not permit it.
            BrokerError: the brokers are away for long.
        """
        if self._tools is None:
            raise RuntimeError("the runtime is not started")
        await self._tools.writers.take_over(partitions)

    async def fail(self, error: BaseException) -> None:
        """End the worker because of an error; nothing unfinished is acknowledged."""
        consumer = self._app.consumer
        if isinstance(consumer, PlainConsumer):
            consumer.abandon()
        await self._app.crash(error)

    async def _open_writers(self) -> Writers:
        settings = self.settings
        if settings.guarantee == "exactly_once":
            writers = TransactionalWriters(settings, self._table, self.telemetry)
            await writers.check()
            return writers
        return ConfirmedWriters(settings, await Outbox.open(settings), self._table, self.telemetry)

    def _processor(self, partition: int) -> PartitionProcessor:
        known = self._processors.get(partition)
        if known is None:
            if self._tools is None:
                raise RuntimeError("the runtime is not started")
            known = PartitionProcessor(partition, self._tools, self.fail)
            self._processors[partition] = known
            # Labels exist from the start, so that a rate over them has a first value.
            self.telemetry.open_sessions.labels(str(partition)).set_function(
                lambda: self._open_sessions(partition)
            )
            self.telemetry.lag.labels(str(partition)).set_function(lambda: self._lag(partition))
        return known

    def _ownership(self, tp: Any, generation: int | None) -> Callable[[], Awaitable[bool]]:
        async def still_ours() -> bool:
            app = self._app
            # Not known: this process was frozen, or no broker is in reach. The next heartbeat will tell.
            while (  # noqa: ASYNC110 -- the heartbeats are another thread's
                ours := app.consumer.holds(tp, generation)
            ) is None and not app.should_stop:
                await asyncio.sleep(ASK_AGAIN_S)
            return bool(ours)

        return still_ours

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            app = self._app
            app.consumer.check_place()
            if not self.health.look():
                continue
            generation = app.consumer_generation_id
            for tp in sorted(app.consumer.assignment()):
                if tp.topic == self.settings.clicks_topic and app.consumer.lag(tp) == 0:
                    app.consumer.ask_again(tp)
                    self._processor(tp.partition).tick(generation, self._ownership(tp, generation))

    async def _watch(self) -> None:
        """Look at the progress of the partitions and at what else is not counted, and for garbage."""
        while True:
            await asyncio.sleep(LOOK_S)
            if not gc.isenabled():
                gc.collect()
            self._samples.take(self._processors)
            self._dead_letter_log.say(time.monotonic())
            for partition, said in (await self._look()).items():
                logger.error("stalled: %s", said, extra={"partition": partition})

    async def _look(self) -> dict[int, str]:
        if not self._feed.caught_up:
            why = "for the index"
        elif not self.health.is_recovered:
            why = "for partitions and their state"
        elif self._app.consumer.silent_s >= self.settings.session_timeout_s:
            why = "for the group"  # runs in hand do the same
        elif (progress := await self._progress()) is not None:
            return self._liveness.look(progress, time.monotonic())
        else:
            why = "for the brokers"
        waited_s = self._liveness.wait(why, time.monotonic())
        if waited_s > self.settings.stall_s and waited_s % self.settings.stall_s < LOOK_S:
            logger.warning("waiting %s for %.0f s", why, waited_s, extra={"seconds": round(waited_s)})
        return {}

    async def _progress(self) -> dict[int, Progress] | None:
        """Of the assigned partitions that have a leader; None when no broker answers."""
        consumer = self._app.consumer
        mine = [tp for tp in consumer.assignment() if tp.topic == self.settings.clicks_topic]
        if self._asking is None:  # never two at a time: see `ends`
            self._asking = asyncio.create_task(consumer.ends(mine, ANSWER_S))
        await asyncio.wait({self._asking}, timeout=LOOK_S)
        if not self._asking.done():
            return None
        asking, self._asking = self._asking, None
        try:
            ends = asking.result()
        except Exception as error:  # noqa: BLE001 -- aiokafka says it in many classes
            logger.info("the brokers do not say where the partitions end: %s", error)
            return None
        if mine and not ends:
            return None
        found = {}
        for tp, end in ends.items():
            processor = self._processors.get(tp.partition)
            # The end may be a marker behind the last record, so what counts is how far was read.
            more = consumer.read_until(tp) < end or bool(processor and processor.busy)
            if processor:
                done, phase = processor.done_until, processor.phase
            else:
                done, phase = self._table.partition(tp.partition).applied + 1, "no run has come"
            found[tp.partition] = Progress(done, end, phase, more)
        return found

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the %s failed: %s", task.get_name(), error)
            self._app.add_future(self.fail(error))

    def _open_sessions(self, partition: int) -> float:
        processor = self._processors.get(partition)
        return processor.open_sessions if processor else 0

    def _lag(self, partition: int) -> float:
        for tp in self._app.consumer.assignment():
            if tp.topic == self.settings.clicks_topic and tp.partition == partition:
                return self._app.consumer.lag(tp) or 0
        return 0

    def _warm_up(self, scoring: ScoringPool) -> None:
        began = time.perf_counter()
        scoring.warm_up()
        logger.info("kernels ready in %.1f s", time.perf_counter() - began)
        logger.info("answers name these parameters: %s", scoring.parameters)

    def _publish_gauges(self) -> None:
        telemetry, feed = self.telemetry, self._feed
        telemetry.index_sessions.set_function(lambda: feed.index.sessions)
        telemetry.index_items.set_function(lambda: feed.index.items)
        telemetry.index_clicks.set_function(lambda: feed.index.clicks)
        telemetry.index_bytes.set_function(lambda: feed.index.bytes)
        telemetry.index_offset.set_function(lambda: feed.offset)
        telemetry.index_lag.set_function(lambda: feed.lag)
        telemetry.stalled.set_function(lambda: self._liveness.stalled)
        parameters = self.settings.scoring_parameters()
        telemetry.build.info(
            {"version": version(), "parameters": parameters.name, "exclude": parameters.exclude}
        )

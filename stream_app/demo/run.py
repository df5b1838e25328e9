"""Run the demo: a broker, topics, one worker, and the purchases through them at a pace."""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from core.answers import decode_answer
from core.errors import DemoError
from core.params import Exclude
from core.window.clicks import Click, encode_click
from stream_app.demo.purchases import clicks, read_product_names, read_purchases
from stream_app.demo.statistics import DemoState, Quality, Statistics
from stream_app.demo.worker_process import WorkerProcess
from stream_app.kafka import jars as kafka_jars
from stream_app.kafka import topics
from stream_app.kafka.broker_process import HOST, Broker, free_ports
from stream_app.kafka.brokers import embedded_broker, local_kafka
from stream_app.kafka.client import broker_errors, new_topic_reader, open_producer
from stream_app.kafka.sender import CONFIRM_S, Sender, stop_producer
from stream_app.recordings.replay import stop_on_signals
from stream_app.settings import Settings

#: A speed: as fast as it goes.
MAX_SPEED: Final = math.inf
#: Clicks a second that an eye can follow.
DEFAULT_SPEED: Final = 300.0
#: Clicks that may be sent and not yet answered; sending waits at this bound.
MOST_UNANSWERED: Final = 500
#: Seconds without an answer, while some are due, after which the demo gives up.
ANSWER_S: Final = 30.0

_TICK_S: Final = 0.25
_STEP_S: Final = 0.01
_BEHIND_S: Final = 1.0
_POLL_MS: Final = 100
_SETTLE_S: Final = 5.0


@dataclass(frozen=True)
class DemoOptions:
    """What to run.

    Args:
        broker: ``embedded``, ``kafka`` (a local Apache Kafka is started) or ``HOST:PORT`` of a running one.
        speed: clicks a second; :data:`MAX_SPEED`: as fast as they are answered.
        clicks: after how many to end; None: at the end of the purchases, or at a signal.
        exclude: what answers leave out.
    """

    broker: str = "embedded"
    speed: float = DEFAULT_SPEED
    clicks: int | None = None
    exclude: Exclude = "session"


@dataclass(frozen=True)
class DemoReport:
    """What a demo did; latencies in milliseconds, None where nothing was answered.

    Args:
        clicks: sent.
        recommendations: answers that arrived, one a click.
        baskets: begun.
        sessions_closed: by the worker.
        dead_letters: records that the worker could not use.
        index_sessions: sessions that the index holds.
        quality: see :class:`stream_app.demo.statistics.Quality`.
        seconds: from the first click sent to the last answer.
        latency_p50_ms: from sending a click to the arrival of its answer.
        latency_p99_ms: the same.
        start_s: from the start of the demo to the first answer.
        stopped: a signal ended it.
        left_topics: topics that remain on a broker which the demo did not start.
    """

    clicks: int
    recommendations: int
    baskets: int
    sessions_closed: int
    dead_letters: int
    index_sessions: int
    quality: Quality
    seconds: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    start_s: float | None
    stopped: bool
    left_topics: tuple[str, ...] = ()

    @property
    def clicks_per_s(self) -> float:
        """Clicks answered a second."""
        return self.recommendations / self.seconds if self.recommendations else 0.0


class Watcher(Protocol):
    """Who is told how the demo goes."""

    def phase(self, text: str) -> None:
        """Something begins that takes a while."""

    def update(self, state: DemoState) -> None:
        """Clicks are flowing; called about four times a second."""


def run_demo(options: DemoOptions, settings: Settings, watcher: Watcher) -> DemoReport:
    """Run the demo until its clicks are answered, or a signal; everything that was started is stopped.

    Args:
        options: what to run.
        settings: scoring, window and security as for a worker; topics, folder and ports are the demo's own.
        watcher: is told.

    Raises:
        DemoError: the purchases are not installed, or the worker ended.
        BrokerError: the broker cannot be started or reached.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nextclick-demo-")))
        purchases = clicks(read_purchases())
        first = next(purchases)  # what is missing is said before anything is started
        watcher.phase(_broker_phase(options.broker, settings))
        broker = stack.enter_context(_broker(options.broker, folder, settings))
        own = demo_settings(options, settings, folder, broker)
        worker = WorkerProcess(own, folder / "worker.log", broker.pid if broker else None)
        demo = _Demo(options, own, worker, watcher, began, _name(options.broker, broker))
        return asyncio.run(demo.run(_chain(first, purchases)))


def demo_settings(options: DemoOptions, settings: Settings, folder: Path, broker: Broker | None) -> Settings:
    """Settings of the demo's worker: group and topics that nothing else uses, a folder that goes away."""
    own = f"demo-{uuid.uuid4().hex[:8]}"
    named = {"group_id": f"{settings.group_id}-{own}"}
    for key in ("clicks_topic", "recommendations_topic", "sessions_topic", "dead_letters_topic"):
        named[key] = f"{getattr(settings, key)}-{own}"
    started = {} if broker is None else {"security_protocol": "PLAINTEXT", "replication_factor": 1}
    if options.broker == "embedded":
        started["guarantee"] = "at_least_once"  # it has no transactions
    return settings.model_copy(
        update={
            **named,
            **started,
            "bootstrap_servers": options.broker if broker is None else broker.bootstrap,
            "exclude": options.exclude,
            "preset": "baskets",  # the order within a basket says nothing
            "scoring": {},  # what was tuned for other data says nothing either
            "data_dir": folder / "worker",
            "cache_dir": settings.cache_dir.expanduser(),
            "metrics_host": HOST,
            "metrics_port": free_ports(1)[0],
            "log_level": "info",
        }
    )


def _chain(first: Click, others: Iterator[Click]) -> Iterator[Click]:
    yield first
    yield from others


def _broker_phase(broker: str, settings: Settings) -> str:
    if broker == "embedded":
        return "starting the embedded broker"
    if broker != "kafka":
        return f"connecting to Kafka at {broker}"
    if kafka_jars.are_fetched(settings.cache_dir):
        return "starting Apache Kafka"
    return f"fetching Apache Kafka {kafka_jars.KAFKA_VERSION} (43 MB, once) and starting it"


@contextmanager
def _broker(broker: str, folder: Path, settings: Settings) -> Iterator[Broker | None]:
    """The broker that the demo starts; None where it uses a running one."""
    if broker == "embedded":
        with embedded_broker() as started:
            yield started
    elif broker == "kafka":
        with local_kafka(folder / "kafka", cache=settings.cache_dir) as started:
            yield started
    else:
        yield None


def _name(choice: str, broker: Broker | None) -> str:
    return f"Kafka at {choice}" if broker is None else broker.name


class _Demo:
    """One run: the worker, the producer, the reader and what they tell."""

    def __init__(
        self,
        options: DemoOptions,
        settings: Settings,
        worker: WorkerProcess,
        watcher: Watcher,
        began: float,
        broker: str,
    ) -> None:
        self._options = options
        self._settings = settings
        self._worker = worker
        self._watcher = watcher
        self._began = began
        self._broker = broker
        self._start_s: float | None = None
        self._statistics = Statistics({}, broker, options.clicks)

    async def run(self, purchases: Iterator[Click]) -> DemoReport:
        with stop_on_signals() as stop:
            async with AsyncExitStack() as stack:
                await topics.create(self._settings)
                stack.enter_context(self._worker.running())
                names = await asyncio.to_thread(read_product_names)
                if await self._stopped_before_ready(stop):
                    return self._report(stopped=True)
                sender, reader = await stack.enter_async_context(self._clients())
                self._statistics = Statistics(names, self._broker, self._options.clicks)
                await self._stream(purchases, sender, reader, stop)
                self._watcher.phase("stopping")
                return self._report(stopped=stop.is_set())

    async def _stopped_before_ready(self, stop: asyncio.Event) -> bool:
        compiled = any((self._settings.cache_dir / "kernels").rglob("*.nbi"))
        self._watcher.phase(
            "starting the worker"
            if compiled
            else "starting the worker; the first time it compiles its kernels, which takes about 15 s"
        )
        ready = asyncio.ensure_future(self._worker.wait_ready())
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
            return stop.is_set()
        finally:
            for task in (ready, stopped):
                task.cancel()
            await asyncio.gather(ready, stopped, return_exceptions=True)

    @asynccontextmanager
    async def _clients(self) -> AsyncIterator[tuple[Sender, Any]]:
        settings = self._settings
        # The embedded broker has no idempotent producers; asking it would only log a warning.
        producer = await open_producer(
            settings,
            client_id="nextclick-demo",
            linger_ms=5 if self._options.speed == MAX_SPEED else 0,
            idempotent=self._options.broker != "embedded",
        )
        try:
            reader = await new_topic_reader(settings, settings.recommendations_topic, from_beginning=True)
            try:
                yield Sender(producer, settings.clicks_topic, CONFIRM_S), reader
            finally:
                await reader.stop()
        finally:
            await stop_producer(producer)

    async def _stream(
        self, purchases: Iterator[Click], sender: Sender, reader: Any, stop: asyncio.Event
    ) -> None:
        """Send and read until all is answered, or a signal."""
        with broker_errors(self._settings):
            tasks = {
                asyncio.create_task(self._read(reader)),
                asyncio.create_task(self._tell()),
            }
            sending = asyncio.create_task(self._send(purchases, sender, stop))
            try:
                # The two end by an error only.
                done, _ = await asyncio.wait({sending, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in (sending, *tasks):
                    task.cancel()
                await asyncio.gather(sending, *tasks, return_exceptions=True)
        if not stop.is_set():
            await self._settle()
        self._statistics.note_metrics(await self._worker.metrics())
        self._watcher.update(self._statistics.state())

    async def _send(self, purchases: Iterator[Click], sender: Sender, stop: asyncio.Event) -> None:
        """Send at the pace, and wait until all is answered; a signal ends it at once."""
        statistics, speed = self._statistics, self._options.speed
        goal = self._options.clicks
        begun, begun_at = time.monotonic(), 0
        while not stop.is_set():
            due = math.inf if speed == MAX_SPEED else begun_at + 1 + (time.monotonic() - begun) * speed
            room = MOST_UNANSWERED - statistics.unanswered
            while room > 0 and statistics.sent < due and statistics.sent != goal:
                click = next(purchases, None)
                if click is None:
                    goal = statistics.sent
                    break
                statistics.note_sent(click)
                await sender.send(click.visitor.encode(), encode_click(click))
                room -= 1
                if room % 100 == 0:
                    await asyncio.sleep(0)
            sender.check()
            if statistics.sent == goal and not statistics.unanswered:
                return
            if due - statistics.sent > speed * _BEHIND_S:
                # The answers do not keep up: what was missed is not made up for in a burst.
                begun, begun_at = time.monotonic(), statistics.sent
            await asyncio.sleep(_STEP_S)

    async def _read(self, reader: Any) -> None:
        statistics = self._statistics
        while True:
            fetched = await reader.getmany(timeout_ms=_POLL_MS)
            for records in fetched.values():
                for record in records:
                    statistics.note_answer(decode_answer(record.value))
            if self._start_s is None and statistics.answered:
                self._start_s = time.monotonic() - self._began
            waiting_s = time.monotonic() - max(statistics.last_answer, statistics.begun)
            if statistics.unanswered and waiting_s > ANSWER_S:
                raise DemoError(
                    f"the worker has not answered for {ANSWER_S:.0f} s; "
                    f"its log ends:\n{self._worker.log_tail()}"
                )

    async def _tell(self) -> None:
        while True:
            self._worker.check()
            self._statistics.note_metrics(await self._worker.metrics())
            self._watcher.update(self._statistics.state())
            await asyncio.sleep(_TICK_S)

    async def _settle(self) -> None:
        """Wait until the worker's metrics have the last click in them, and the index the last session."""
        end = time.monotonic() + _SETTLE_S
        statistics = self._statistics
        while time.monotonic() < end:
            statistics.note_metrics(await self._worker.metrics())
            closed = statistics.metric("sessions_closed_total")
            if (
                statistics.metric("recommendations_total") >= statistics.answered
                and statistics.metric("index_offset") >= closed
            ):
                return
            await asyncio.sleep(_STEP_S)

    def _report(self, *, stopped: bool) -> DemoReport:
        statistics = self._statistics
        existing = self._options.broker not in {"embedded", "kafka"}
        return DemoReport(
            clicks=statistics.sent,
            recommendations=statistics.answered,
            baskets=statistics.baskets,
            sessions_closed=int(statistics.metric("sessions_closed_total")),
            dead_letters=int(statistics.metric("dead_letters_total")),
            index_sessions=int(statistics.metric("index_sessions")),
            quality=statistics.quality(),
            seconds=statistics.seconds,
            latency_p50_ms=statistics.latency_ms(0.5),
            latency_p99_ms=statistics.latency_ms(0.99),
            start_s=self._start_s,
            stopped=stopped,
            left_topics=tuple(topics.wanted_topics(self._settings)) if existing else (),
        )

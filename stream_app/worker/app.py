"""The Faust app: settings in, a running worker out."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from typing import Any, Final

import faust
from faust.worker import Worker

from core.errors import FolderInUseError, NextclickError, SettingsError, TopicError
from stream_app.folder_lock import held_folder
from stream_app.kafka.acls import refuse_lacking
from stream_app.kafka.client import describe_topics
from stream_app.kafka.security import servers, ssl_context
from stream_app.kafka.topics import changelog_topic, check
from stream_app.logs import set_up_logging
from stream_app.settings import Settings
from stream_app.worker.handed import RawSchema
from stream_app.worker.restoring import go_on_restoring
from stream_app.worker.runtime import Runtime
from stream_app.worker.stopping import end_in_time
from stream_app.worker.tables import VisitorTable
from stream_app.worker.transport import PlainTransport, RunTransport

logger = logging.getLogger(__name__)

#: Seconds between two heartbeats at most: by them a worker learns of a rebalance, however patient the group
#: is with one that is silent.
MOST_HEARTBEAT_S: Final = 3.0

#: Seconds without a fetch after which a member leaves the group: a hundred years.
#: A worker that waits for its index or for its outputs fetches nothing meanwhile; once aiokafka had left the
#: group, Faust would not fetch before it was back, and it would not come back before a fetch.
NEVER_S: Final = 100 * 365 * 86_400.0

#: How long Faust's own transport gathers records for a run at most, seconds.
TAKE_S: Final = 0.02


def run_worker(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT.

    Raises:
        SystemExit: at the end; 0 after a signal, 1 after a crash, 2 after an error below that was logged.
        BrokerError: no broker answers.
        TopicError: a topic is missing or has the wrong shape.
        AccessError: Kafka does not permit what a worker does.
    """
    set_up_logging(settings)
    try:
        _run(settings)
    except NextclickError as error:
        if settings.log_format == "text":
            raise  # the command line prints it
        logger.critical("%s", error)
        sys.exit(2)


def _run(settings: Settings) -> None:
    # Until Faust's own handler is there a signal finds nothing to finish.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        try:
            stack.enter_context(held_folder(settings.data_dir))
        except OSError as error:
            raise SettingsError(
                f"data_dir: no folder {settings.data_dir} can be made: {error.strerror}; "
                "set NEXTCLICK_DATA_DIR to one that can be written"
            ) from None
        except FolderInUseError as error:
            raise SettingsError(
                f"data_dir: {error}; give each worker one of its own, by --data-dir or NEXTCLICK_DATA_DIR"
            ) from None
        _run_in_folder(settings)


def _run_in_folder(settings: Settings) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    partitions = loop.run_until_complete(_checked_partitions(settings))
    app, runtime = new_app(settings, partitions)
    loop.run_until_complete(runtime.start())
    worker = Worker(app, loop=loop, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None
    # A large index takes its time to be written; a worker at work takes two to five seconds for the rest.
    end_in_time(lambda: app.should_stop, lambda: _loops(app, loop), busy=lambda: runtime.writes_snapshot)
    worker.execute_from_commandline()


def _loops(app: faust.App, loop: asyncio.AbstractEventLoop) -> list[asyncio.AbstractEventLoop]:
    """The loops of the worker's threads: the main one, and the consumer's once there is a consumer."""
    consumer: Any = app._consumer  # noqa: SLF001 -- the property without it would make one
    return [loop] if consumer is None else [loop, consumer.thread_loop]


class App(faust.App):
    """Faust's, with something to do when all is stopped.

    Attributes:
        afterwards: is called then.
    """

    afterwards: Callable[[], Awaitable[None]]

    async def on_shutdown(self) -> None:
        """Do it; the group is left by now."""
        await super().on_shutdown()
        await self.afterwards()


def new_app(settings: Settings, partitions: int) -> tuple[faust.App, Runtime]:
    """The Faust app and the runtime that its agent hands runs to; neither is started.

    Args:
        settings: all settings.
        partitions: of the input topic.
    """
    app = App(
        settings.group_id,
        broker=[f"kafka://{server}" for server in servers(settings)],
        broker_credentials=_credentials(settings),
        store="rocksdb://",
        datadir=str(settings.data_dir),
        # Another group, or another number of partitions, is another changelog: its states are not these.
        tabledir=f"{changelog_topic(settings)}-{partitions}",
        topic_partitions=partitions,
        topic_replication_factor=settings.replication_factor,
        topic_allow_declare=False,
        topic_disable_leader=True,
        # Whoever gets a partition restores it; Faust's standbys were seen to miss records of the changelog.
        table_standby_replicas=0,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.group_instance_id,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=min(settings.session_timeout_s / 4, MOST_HEARTBEAT_S),
        broker_max_poll_interval=NEVER_S,
        broker_commit_interval=settings.commit_interval_s,
        broker_max_poll_records=settings.max_run_clicks,
        # Messages that wait for the agent: runs, which have a bound of their own, or records to make one of.
        stream_buffer_maxsize=4 if settings.transport == "runs" else settings.max_run_clicks,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
    )
    app.transport = transport = _transport(app, settings)
    table = VisitorTable(app, partitions, settings.rocksdb_cache_mb)
    runtime = Runtime(settings, app, table, partitions)
    transport.take_over = runtime.take_over
    transport.restore = runtime.restoring.restore
    app.afterwards = runtime.save_index
    go_on_restoring(app)
    clicks = app.topic(settings.clicks_topic, schema=RawSchema())

    @app.agent(clicks, name="clicks")
    async def answer_clicks(stream: Any) -> None:
        # Before the first run is taken in hand: a rebalance waits for what is in hand.
        await runtime.wait_until_learnt()
        # Finished by the runtime when all is written: a stream's own way acknowledges what failed, too.
        if settings.transport == "runs":
            async for event in stream.noack().events():
                await runtime.submit([event.message])
        else:
            async for events in stream.noack_take(settings.max_run_clicks, within=TAKE_S):
                await runtime.submit([event.message for event in events])

    _connect(app, runtime)
    return app, runtime


def _connect(app: faust.App, runtime: Runtime) -> None:
    """Tell the runtime what happens to the app."""

    def clicks_of(partitions: Iterable[Any]) -> list[int]:
        return sorted(tp.partition for tp in partitions if tp.topic == runtime.settings.clicks_topic)

    async def on_assigned(_app: Any, assigned: Iterable[Any], **_kwargs: Any) -> None:
        runtime.health.assigned(clicks_of(assigned))

    async def on_revoked(_app: Any, revoked: Iterable[Any], **_kwargs: Any) -> None:
        runtime.health.revoked(clicks_of(revoked))
        await runtime.drop_partitions()

    async def on_recovered(*_args: Any, **_kwargs: Any) -> None:
        runtime.health.recovered()

    async def on_shutdown(*_args: Any, **_kwargs: Any) -> None:
        await runtime.stop()

    app.on_partitions_assigned.connect(on_assigned)
    app.on_partitions_revoked.connect(on_revoked)
    app.on_rebalance_complete.connect(on_recovered)
    app.on_before_shutdown.connect(on_shutdown)
    # Signals hold their receivers weakly.
    app.nextclick_receivers = (on_assigned, on_revoked, on_recovered, on_shutdown)


def _transport(app: faust.App, settings: Settings) -> PlainTransport:
    transport: PlainTransport
    if settings.transport == "faust":
        transport = PlainTransport(app.conf.broker_consumer, app)
    else:
        transport = RunTransport(app.conf.broker_consumer, app)
        transport.run_topics = frozenset({settings.clicks_topic})
    transport.settings = settings
    return transport


async def _checked_partitions(settings: Settings) -> int:
    """Partitions of the input, once all topics are as they must be."""
    await refuse_lacking(settings, "worker")
    problems = await check(settings)
    for problem in problems:
        if not problem.refuses:
            logger.warning(
                "%s: expected %s, found %s: %s",
                problem.topic,
                problem.expected,
                problem.found,
                problem.advice,
                extra={"topic": problem.topic},
            )
    if refusing := [problem for problem in problems if problem.refuses]:
        what = "; ".join(f"{p.topic}: expected {p.expected}, found {p.found}" for p in refusing)
        raise TopicError(
            f"{what}. `nextclick topics create` makes missing ones, `nextclick topics check` says more"
        )
    shape = (await describe_topics(settings, [settings.clicks_topic]))[settings.clicks_topic]
    if shape is None:
        raise TopicError(f"topic {settings.clicks_topic!r} does not exist")
    return shape.partitions


def _credentials(settings: Settings) -> Any:
    """Faust's form of the security settings."""
    context = ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None

"""The thread in which Faust's Kafka consumer lives, apart from the agents: what the worker adds to it.

Like ``transport.py`` this leans on internals of the pinned faust-streaming and mode-streaming.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiokafka.errors import ConsumerStoppedError, KafkaError
from faust.transport.drivers import aiokafka as faust_aiokafka
from mode.threads import QueueServiceThread

from stream_app.kafka.client import COMMITTED, FETCH_WAIT_MS
from stream_app.worker.membership import Membership

__all__ = ["AnsweringThread", "ConsumerStoppedError", "ConsumerThread", "RebalanceListener"]


logger = logging.getLogger(__name__)


class AnsweringThread(QueueServiceThread):  # type: ignore[misc]  # mode is read as untyped
    """A service in a thread that leaves no call without an answer.

    A call that comes to mode's thread just as it ends is never run, and its caller would wait for ever: the
    worker's stop after a crash, for one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._calls: set[asyncio.Future[Any]] = set()  # of the parent's loop

    async def call_thread(self, fun: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Run something in the thread.

        Raises:
            ConsumerStoppedError: the thread ended before it was run.
        """
        if self.thread_loop.is_closed():
            raise ConsumerStoppedError("the consumer's thread has ended")
        promise = self.parent_loop.create_future()
        self._calls.add(promise)
        promise.add_done_callback(self._calls.discard)
        await self.method_queue.call(promise, fun, *args, **kwargs)
        return await promise

    def _start_thread(self) -> None:
        try:
            super()._start_thread()
        finally:
            if not self.parent_loop.is_closed():
                self.parent_loop.call_soon_threadsafe(self._fail_calls)

    def _fail_calls(self) -> None:
        for promise in [one for one in self._calls if not one.done()]:
            promise.set_exception(ConsumerStoppedError("the consumer's thread ended"))


class ConsumerThread(AnsweringThread, faust_aiokafka.AIOKafkaConsumerThread):
    """Faust's, with a shorter wait for a fetch, and a watch on the place in the group."""

    logger = logging.getLogger("faust.transport")  # of each step of the service, which is Faust's

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        conf = self.app.conf
        self.membership = Membership(conf.consumer_group_instance_id, conf.broker_session_timeout)

    async def on_start(self) -> None:
        """Start, and from then on watch what the group answers."""
        await super().on_start()
        self.membership.watch(self.coordinator)

    async def on_thread_stop(self) -> None:
        """Leave the group, then stop the consumer."""
        if self._consumer is not None and self._consumer._coordinator is not None:  # noqa: SLF001 -- as below
            await self.membership.leave(self.coordinator)
        await super().on_thread_stop()

    def close(self) -> None:
        """Nothing: the stop that is under way closes all.

        Faust calls this where partitions are assigned during a stop. Its own closes the connections at once,
        from another thread's loop, and so the group was not left.
        """

    @property
    def coordinator(self) -> Any:
        """Aiokafka's coordinator of the group."""
        return self._ensure_consumer()._coordinator  # noqa: SLF001 -- Faust reads it so, too

    def is_assigned(self, tp: Any) -> bool:
        """Whether the group has given a partition to this worker.

        Faust would make a set of all partitions each time, and this is asked several times a run.
        """
        return tp in self._ensure_consumer().assignment()  # both kinds are pairs of topic and number

    @property
    def subscription(self) -> Any:
        """Aiokafka's subscription, with the assigned partitions' positions."""
        return self._ensure_consumer()._subscription.subscription  # noqa: SLF001 -- the same

    async def ends(self, tps: Iterable[Any], within_s: float) -> dict[Any, int]:
        """Where partitions end, asked of the brokers; one that has no leader to say so in time is left out.

        Bounded here, in the thread. A call of Faust's that waits for a leader for its 90 s keeps one of the
        two that the thread makes at a time, and so the fetches, whether or not its caller waits.

        Args:
            tps: the partitions.
            within_s: an answer takes twice as long at most, seconds.
        """
        return dict(await self.call_thread(self._ends, list(tps), within_s))

    async def _ends(self, tps: list[Any], within_s: float) -> dict[Any, int]:
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001 -- aiokafka's own has no other bound

        async def of(some: list[Any]) -> dict[Any, int]:
            try:
                found: dict[Any, int] = await fetcher.end_offsets(some, within_s * 1000)
            except KafkaError as error:
                logger.debug("where do %s end: %s", some, error)
                return {}
            return found

        if not tps or (found := await of(tps)):
            return found if tps else {}
        each = await asyncio.gather(*(of([tp]) for tp in tps))
        return {tp: end for found in each for tp, end in found.items()}

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        """Fetch, each partition in its turn.

        Aiokafka hands out all that it holds of one partition before any of the next. The partitions' work
        overlaps, so each must have some.
        """
        records = await super()._fetch_records(consumer, *args, **kwargs)
        held = consumer._fetcher._records  # noqa: SLF001 -- it has no other order than that of this dictionary
        for tp in records:
            if tp in held:
                held.move_to_end(tp)
        return records

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 -- a constant of Faust's, taken at its start
        consumer._isolation_level = COMMITTED  # noqa: SLF001 -- the same; Faust's own needs its transactions
        return consumer


class RebalanceListener(faust_aiokafka.ConsumerRebalanceListener):
    """Faust's; an assignment is a contact with the group."""

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Note the time; the heartbeats begin when all is assigned."""
        self._thread.membership.contact_at = time.monotonic()
        await super().on_partitions_assigned(assigned)

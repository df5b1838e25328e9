"""A worker, run as a script, that does to itself what a rebalance does to the flow, and more often.

A rebalance stops the flow, throws away the runs that wait for the agent, goes back to what is committed, and
goes on. This does the same without one, at the moments that the argument names:

* ``any``: many times a second, often enough to meet every moment of a fetch;
* ``fetched``: between a fetch and its delivery, so that what is delivered lies behind what was thrown away;
* ``noted``: between a run's way into the buffer and Faust's note of how far it has read;
* ``full``: as a run begins to wait for room in a full buffer, which it gets once the others are thrown away;
* ``lost``: not at all, but some of what is fetched is lost on its way;
* ``sought``: not at all, but the seek of its start takes so long that what is behind it is fetched meanwhile;
* ``patient``: not at all, but the brokers take longer for the first recovery than Faust waits for them.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from faust.worker import Worker
from mode.utils.queues import ThrowableQueue

from stream_app.settings import load_settings
from stream_app.worker.app import _checked_partitions, new_app
from stream_app.worker.transport import RunConsumer, RunTransport

#: Seconds between two seeks at any moment.
SEEK_EVERY_S = 0.05

#: One of so many fetches is crossed, and at one of so many runs the buffer is emptied.
CROSS_EVERY = 5

#: What a seek takes from its way to the answer, seconds: time for a fetch.
SEEK_TAKES_S = 0.5

#: One of so many fetches is lost.
LOSE_EVERY = 2

#: What Faust waits for the brokers, and what they take twice, seconds.
FAUST_WAITS_S = 1.0
BROKERS_TAKE_S = 3.0

#: What the agent takes for a run, seconds: longer than a fetch, so that runs wait to be thrown away.
AGENT_S = 0.02


def throw_away(app: Any) -> None:
    """Stop the flow and empty the buffers."""
    app.consumer.stop_flow()
    app.flow_control.suspend()
    app.flow_control.clear()


async def seek_back(app: Any) -> None:
    """Go back to what is committed, and on."""
    try:
        await app.consumer.perform_seek()
    except Exception as error:  # noqa: BLE001 -- one seek that comes too early must not be the last
        print(f"a seek failed: {error!r}", file=sys.stderr)  # noqa: T201 -- for who reads the test's log
    app.flow_control.resume()
    app.consumer.resume_flow()


def at_any_moment(app: Any, runtime: Any) -> None:
    """Seek all the time."""

    async def seek() -> None:
        while True:
            await asyncio.sleep(SEEK_EVERY_S)
            if runtime.health.is_recovered and not app.should_stop:
                throw_away(app)
                await seek_back(app)

    app.seeking = asyncio.get_event_loop().create_task(seek())


def at_fetches(every: int, disturb: Callable[[Any, Any], Awaitable[Any]]) -> None:
    """Have one of so many fetches disturbed between its arrival and its delivery.

    Args:
        every: how many.
        disturb: gets the consumer and what was fetched; what it returns is delivered.
    """

    class DisturbedConsumer(RunConsumer):
        fetches = 0

        async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 -- Faust's
            records, active = await super()._wait_next_records(timeout)
            if records and any(self.in_runs(tp.topic) for tp in records):
                self.fetches += 1
                if self.fetches % every == 0:
                    records = await disturb(self, records)
            return records, active

    RunTransport.Consumer = DisturbedConsumer


def when_fetched(_app: Any, runtime: Any) -> None:
    """Seek between a fetch and its delivery."""

    async def cross(consumer: Any, records: Any) -> Any:
        throw_away(consumer.app)
        await seek_back(consumer.app)
        return records

    at_fetches(CROSS_EVERY, cross)
    slow_down(runtime)


def when_noted(_app: Any, runtime: Any) -> None:
    """Seek between a run's way into the buffer and Faust's note of how far it has read."""

    class NotingConsumer(RunConsumer):
        handed_over = 0

        async def wait_first(self, *coros: Any, **kwargs: Any) -> Any:
            result = await super().wait_first(*coros, **kwargs)
            if inspect.currentframe().f_back.f_code.co_name == "_drain_messages":
                self.handed_over += 1
                if self.handed_over % CROSS_EVERY == 0:
                    throw_away(self.app)
                    await seek_back(self.app)
            return result

    RunTransport.Consumer = NotingConsumer
    slow_down(runtime)


def when_full(app: Any, runtime: Any) -> None:
    """Seek when a run must wait for room in the buffer."""
    app.conf.stream_buffer_maxsize = 1
    put = ThrowableQueue.put
    seeks = set()
    waited = 0

    async def put_after_seek(queue: Any, event: Any) -> None:
        nonlocal waited
        waited += 1
        if waited % CROSS_EVERY == 0 and runtime.health.is_recovered and not app.should_stop:
            throw_away(app)
            seeks.add(asyncio.create_task(seek_back(app)))
        await put(queue, event)

    ThrowableQueue.put = put_after_seek
    slow_down(runtime)


def when_lost(_app: Any, _runtime: Any) -> None:
    """Lose what a fetch has brought."""

    async def lose(_consumer: Any, records: Any) -> Any:
        print(f"lost: {sum(map(len, records.values()))} records", file=sys.stderr)  # noqa: T201 -- the test counts
        return {}

    at_fetches(LOSE_EVERY, lose)


def when_sought(_app: Any, _runtime: Any) -> None:
    """Take long between a seek and the note of where it went."""

    class SeekingConsumer(RunConsumer):
        async def seek_to_committed(self) -> Any:
            found = await super().seek_to_committed()
            await asyncio.sleep(SEEK_TAKES_S)
            return found

    RunTransport.Consumer = SeekingConsumer


def when_patient(app: Any, _runtime: Any) -> None:
    """Say where the changelogs end later than Faust waits for it, twice."""

    async def be_impatient(*_args: Any, **_kwargs: Any) -> None:
        app.conf.broker_request_timeout = FAUST_WAITS_S  # not before: the consumer's other times are below it

    app.on_partitions_assigned.connect(be_impatient)
    app.impatience = be_impatient  # signals hold their receivers weakly

    class WaitingConsumer(RunConsumer):
        asked = 0

        async def highwaters(self, *partitions: Any) -> Any:
            self.asked += 1
            if self.asked <= 2:
                await asyncio.sleep(BROKERS_TAKE_S)
            return await super().highwaters(*partitions)

    RunTransport.Consumer = WaitingConsumer


def slow_down(runtime: Any) -> None:
    """Have the agent take its time for each run."""
    submit = runtime.submit

    async def submit_slowly(messages: list[Any]) -> None:
        await submit(messages)
        await asyncio.sleep(AGENT_S)

    runtime.submit = submit_slowly


def main() -> None:
    """Run until SIGTERM."""
    disturb = {
        "any": at_any_moment,
        "fetched": when_fetched,
        "noted": when_noted,
        "full": when_full,
        "lost": when_lost,
        "sought": when_sought,
        "patient": when_patient,
    }[sys.argv[1]]
    settings = load_settings()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app, runtime = new_app(settings, loop.run_until_complete(_checked_partitions(settings)))
    disturb(app, runtime)
    loop.run_until_complete(runtime.start())
    worker = Worker(app, loop=loop, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()

"""What Faust's recovery is told: where the changelogs end, and to go on where brokers were slow.

Faust restores until it has been handed the record right in front of the end. Transactions leave offsets
without a record there, their markers and what was aborted, and it would wait for ever. So it is told another
end: after the last record that is committed, or after what the table has, where that is all.

Each step of a recovery may take Faust's ``broker_request_timeout``, 90 seconds. What takes longer Faust takes
for its own stop: the recovery would end without a word, and never begin again. Here it begins anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from faust.tables.recovery import RebalanceAgain, ServiceStopped
from faust.types import TP

from core.errors import BrokerError, TopicError
from stream_app.kafka.partition_log import PartitionLog
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

#: How long brokers that are away are waited for, seconds.
PATIENCE_S: Final = 60.0

#: How often they are asked, seconds.
ASK_AGAIN_S: Final = 0.5

#: Partitions that are looked at side by side.
MOST_AT_ONCE: Final = 16

Answer = TypeVar("Answer")


def go_on_restoring(app: Any) -> None:
    """Have a recovery of which a step took too long begin anew, until one has all that it asks for."""
    recovery = app.tables.recovery
    wait = recovery._wait  # noqa: SLF001 -- nothing public tells how a step ended

    async def wait_again(step: Any, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- Faust's
        try:
            await wait(step, timeout=timeout)
        except ServiceStopped:
            if recovery.should_stop or app.should_stop or timeout is None:
                raise
            logger.warning("the brokers have not answered for %.0f s; the recovery begins anew", timeout)
            recovery.signal_recovery_start.set()
            raise RebalanceAgain from None

    recovery._wait = wait_again  # noqa: SLF001 -- the same


async def ends_to_restore(settings: Settings, app: Any, ends: Mapping[TP, int]) -> dict[TP, int]:
    """The offset after the last record of each partition of a changelog that Faust is to wait for.

    Args:
        settings: the brokers.
        app: the Faust app.
        ends: where the logs of partitions end; those that are no changelog's are left out.

    Raises:
        BrokerError: the brokers are away for :data:`PATIENCE_S`.
        TopicError: they do not hand out what the log has.
    """

    async def end_of(tp: TP, turn: asyncio.Semaphore) -> int:
        table = app.tables._changelogs[tp.topic]  # noqa: SLF001 -- Faust's recovery reads it so, too
        persisted = table.persisted_offset(tp)
        held = 0 if persisted is None else persisted + 1
        if held >= ends[tp]:
            return ends[tp]  # beyond it, the topic was made anew: Faust refuses that
        async with turn, PartitionLog.opened(settings, tp.topic, tp.partition) as log:
            oldest, _ = await log.bounds()
            return await log.after_last(max(oldest, held), ends[tp])

    changelogs = [tp for tp in ends if tp.topic in app.tables.changelog_topics]

    async def all_ends() -> list[int]:
        turn = asyncio.Semaphore(MOST_AT_ONCE)
        asked = [asyncio.create_task(end_of(tp, turn)) for tp in changelogs]
        try:
            return await asyncio.gather(*asked)
        finally:  # where one has failed the others would go on beside the next attempt
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    return dict(zip(changelogs, await patiently(all_ends), strict=True))


async def patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until the brokers answer.

    Raises:
        BrokerError: they are away for :data:`PATIENCE_S`.
        TopicError: they do not hand out what a log has, for as long.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while True:
        try:
            return await ask()
        except (BrokerError, TopicError) as error:
            if loop.time() > deadline:
                raise
            logger.warning("asked again: %s", error)
        await asyncio.sleep(ASK_AGAIN_S)

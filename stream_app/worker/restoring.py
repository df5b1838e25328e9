"""Where the changelogs end for Faust's recovery: after the last record that it will be handed.

Faust restores until it has been handed the record right in front of the end. Transactions leave offsets
without a record there, their markers and what was aborted, and it would wait for ever. So it is told another
end: after the last record that is committed, or after what the table has, where that is all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from faust.types import TP

from core.errors import BrokerError, TopicError
from stream_app.kafka.partition_log import PartitionLog
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

#: How long brokers that are away are waited for, seconds. Faust would go on without an answer after 90.
PATIENCE_S: Final = 60.0

#: How often they are asked, seconds.
ASK_AGAIN_S: Final = 0.5

#: Partitions that are looked at side by side.
MOST_AT_ONCE: Final = 16

Answer = TypeVar("Answer")


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
    turn = asyncio.Semaphore(MOST_AT_ONCE)

    async def end_of(tp: TP) -> int:
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
        return await asyncio.gather(*map(end_of, changelogs))

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

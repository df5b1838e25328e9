"""Forgetting visitors: asking for it in the clicks' log, seeing that it was obeyed, and what remains where.

The request goes into every partition of the clicks: a visitor's clicks may be in any of them, by whatever
partitioner the producers have. Each partition's worker drops the open session there and says so on the
sessions topic (:mod:`core.window.forgetting`), which every index reads. docs/privacy.md has it as a whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from core.errors import SettingsError, TopicError
from core.identity import visitor_key
from core.window.clicks import MAX_NAME_BYTES
from core.window.forgetting import Forgotten, Memory
from core.window.sessions import ClosedSession
from stream_app.index.feed import entries_of
from stream_app.kafka.client import TopicShape, describe_topics
from stream_app.kafka.groups import group_offsets
from stream_app.kafka.outbox import Outbox, OutRecord
from stream_app.kafka.partition_log import PartitionLog
from stream_app.kafka.placement import FORGET
from stream_app.kafka.retention import Kept, is_compacted, kept
from stream_app.settings import Settings

#: Visitors that are asked for, and waited for, together.
AT_ONCE = 5000

#: Is told what is done, how much of it has been, and how much there is.
OnProgress = Callable[[str, int, int], None]


class Report(msgspec.Struct, frozen=True):
    """What became of a request.

    Args:
        visitors: how many different ones were asked for.
        requests: records written to the clicks topic, one for each visitor and partition.
        obeyed: how many of them a worker has obeyed and said so on the sessions topic.
        waiting: partitions of which not all have been obeyed yet.
        sessions: closed sessions of the visitors that the sessions topic holds; no index has them once the
            request is obeyed. None: it was not looked.
        erased: how many of these were given a tombstone, so that compaction removes them.
        kept: what else the topics hold, and for how long.
    """

    visitors: int
    requests: int
    obeyed: int
    waiting: tuple[int, ...]
    sessions: int | None
    erased: int
    kept: tuple[Kept, ...]


def checked(visitors: Iterable[str]) -> list[str]:
    """The different visitors, in their order.

    Raises:
        SettingsError: there is none, or one is no visitor's name; the message does not repeat it.
    """
    found = list(dict.fromkeys(visitors))
    if not found:
        raise SettingsError("expected at least one visitor, as an argument or in --file, came none")
    for number, visitor in enumerate(found, 1):
        try:
            size = len(visitor.encode())
        except UnicodeEncodeError:
            raise SettingsError(f"visitor {number} is no UTF-8") from None
        if not 1 <= size <= MAX_NAME_BYTES:
            raise SettingsError(f"visitor {number} has {size} bytes, expected 1 to {MAX_NAME_BYTES}")
    return found


async def look(
    settings: Settings, visitors: Iterable[str], on_progress: OnProgress = lambda *_: None
) -> Report:
    """What there is of some visitors; nothing is written.

    Raises:
        SettingsError: see :func:`checked`.
        TopicError: a topic is missing.
        BrokerError: no broker answers.
    """
    wanted = checked(visitors)
    shapes = await _shapes(settings)
    keys = await _session_keys(settings, _theirs(wanted), on_progress)
    return Report(len(wanted), 0, 0, (), len(keys), 0, kept(settings, shapes))


async def forget(
    settings: Settings,
    visitors: Iterable[str],
    *,
    wait_s: float,
    on_progress: OnProgress = lambda *_: None,
) -> Report:
    """Have visitors forgotten; those who click again begin anew.

    Where the sessions topic is compacted, their sessions are given tombstones once the request is obeyed.

    Args:
        settings: of the workers.
        visitors: who.
        wait_s: how long to wait, since the last sign of progress, until all partitions have obeyed, seconds;
            0 to wait for nothing.
        on_progress: is told how far it is.

    Raises:
        SettingsError: see :func:`checked`.
        TopicError: a topic is missing.
        BrokerError: no broker answers.
    """
    wanted = checked(visitors)
    shapes = await _shapes(settings)
    partitions = shapes[settings.clicks_topic].partitions
    outbox = await Outbox.open(settings)
    try:
        waiting: set[tuple[int, int]] = set()
        memory = Memory()
        for begin in range(0, len(wanted), AT_ONCE):
            some = wanted[begin : begin + AT_ONCE]
            async with PartitionLog.opened(settings, settings.sessions_topic, 0) as log:
                _, end = await log.bounds()
                log.seek(end)
                since = await _ask(settings, outbox, partitions, some)
                if wait_s:
                    waiting |= await _wait(log, since, some, wait_s, memory, on_progress)
        requests = len(wanted) * partitions
        sessions = None
        erased = 0
        if wait_s and not waiting and is_compacted(shapes[settings.sessions_topic].configs or {}):
            keys = await _session_keys(settings, memory.bars, on_progress)
            await outbox.write(settings.sessions_topic, 0, [OutRecord(key, None) for key in keys])
            sessions = erased = len(keys)
    finally:
        await outbox.close()
    obeyed = requests - len(waiting) if wait_s else 0
    left = tuple(sorted({partition for _, partition in waiting})) if wait_s else tuple(range(partitions))
    return Report(len(wanted), requests, obeyed, left, sessions, erased, kept(settings, shapes))


async def _shapes(settings: Settings) -> dict[str, TopicShape]:
    names = [
        settings.clicks_topic,
        settings.recommendations_topic,
        settings.sessions_topic,
        settings.dead_letters_topic,
    ]
    found = await describe_topics(settings, names)
    if missing := [name for name, shape in found.items() if shape is None]:
        raise TopicError(f"no topic {', '.join(missing)}; are these the settings of the workers?")
    return {name: shape for name, shape in found.items() if shape}


async def _ask(
    settings: Settings, outbox: Outbox, partitions: int, visitors: Sequence[str]
) -> dict[int, int]:
    """Write the requests; by partition, an offset at or before the first of them."""
    async with group_offsets(settings, settings.clicks_topic, partitions) as group:
        ends = await group.ends()
    requests = [OutRecord(visitor.encode(), None, [(FORGET, b"")]) for visitor in visitors]
    await asyncio.gather(*(outbox.write(settings.clicks_topic, p, requests) for p in range(partitions)))
    return ends


async def _wait(
    log: PartitionLog,
    since: dict[int, int],
    visitors: Sequence[str],
    wait_s: float,
    memory: Memory,
    on_progress: OnProgress,
) -> set[tuple[int, int]]:
    """Read the sessions topic on until it says that all was obeyed; what is left after ``wait_s``."""
    left = {(visitor_key(visitor), partition) for visitor in visitors for partition in since}
    total, deadline = len(left), time.monotonic() + wait_s
    while left and time.monotonic() < deadline:
        for entry in entries_of(await log.fetch()):
            if isinstance(entry, Forgotten) and entry.before >= since.get(entry.partition, 0):
                if (entry.key, entry.partition) in left:
                    deadline = time.monotonic() + wait_s
                    memory.note(entry)
                left.discard((entry.key, entry.partition))
        on_progress("obeyed", total - len(left), total)
    return left


def _theirs(visitors: Sequence[str]) -> Callable[[ClosedSession], bool]:
    wanted = frozenset(visitors)
    return lambda session: session.visitor in wanted


async def _session_keys(
    settings: Settings, wanted: Callable[[ClosedSession], bool], on_progress: OnProgress
) -> list[bytes]:
    """The key of each record of the sessions topic that holds a wanted session."""
    keys: dict[bytes, None] = {}
    topic = settings.sessions_topic
    async with PartitionLog.opened(settings, topic, 0) as log:
        begin, end = await log.bounds()
        async for records in log.read(begin, end):
            for record in records:
                for entry in entries_of([record]):
                    if isinstance(entry, ClosedSession) and record.key is not None and wanted(entry):
                        keys[record.key] = None
            on_progress(topic, records[-1].offset + 1 - begin, end - begin)
    return list(keys)

"""Where a new group of workers begins to read: at the oldest click, at the next one, or at a time."""

from __future__ import annotations

import msgspec

from core.errors import BadClickError, SettingsError, StateError, TopicError
from core.window.clicks import parse_time_ms
from stream_app.kafka.client import describe_topics
from stream_app.kafka.groups import GroupOffsets, group_offsets
from stream_app.kafka.partition_log import PartitionLog
from stream_app.kafka.topics import changelog_topic
from stream_app.settings import Settings


class Beginning(msgspec.Struct, frozen=True):
    """Where a partition begins to be read.

    Args:
        partition: of the clicks topic.
        offset: of the first record that is read.
        left: records from there to the end as it is now.
    """

    partition: int
    offset: int
    left: int


async def begin(settings: Settings, where: str) -> list[Beginning]:
    """Have a group that has not begun yet begin somewhere; its workers then start as always.

    Args:
        settings: the group, and the topics.
        where: ``earliest``, ``latest``, or a time as in a click: of the append to the log where the topic has
            ``message.timestamp.type=LogAppendTime``.

    Returns:
        Where each partition begins.

    Raises:
        SettingsError: ``where`` is none of these.
        StateError: the group has begun: it has committed offsets, or state.
        TopicError: a topic is missing, or the group has workers.
        BrokerError: no broker answers.
    """
    time_ms = None if where in {"earliest", "latest"} else _time_ms(where)
    topic, changelog = settings.clicks_topic, changelog_topic(settings)
    shapes = await describe_topics(settings, [topic, changelog])
    if missing := [name for name, shape in shapes.items() if shape is None]:
        raise TopicError(f"no topic {', '.join(missing)}: make it with `nextclick topics create`")
    partitions = {name: shape.partitions for name, shape in shapes.items() if shape}
    await _refuse_state(settings, changelog, partitions[changelog])
    async with group_offsets(settings, topic, partitions[topic]) as group:
        if committed := await group.committed():
            raise _begun(settings, f"it has committed offsets in {len(committed)} partition(s)")
        offsets = await _offsets(group, where, time_ms)
        ends = await group.ends()
        await group.commit(offsets)
    return [Beginning(p, offset, ends[p] - offset) for p, offset in sorted(offsets.items())]


async def _offsets(group: GroupOffsets, where: str, time_ms: int | None) -> dict[int, int]:
    if time_ms is not None:
        return await group.at(time_ms)
    return await (group.begins() if where == "earliest" else group.ends())


async def _refuse_state(settings: Settings, changelog: str, partitions: int) -> None:
    for partition in range(partitions):
        async with PartitionLog.opened(settings, changelog, partition) as log:
            _, end = await log.bounds()
        if end:
            raise _begun(settings, f"its changelog {changelog} has {end} records in partition {partition}")
    if any(settings.data_dir.glob(f"v*/{changelog}-*/*")):
        raise StateError(
            f"{settings.data_dir} has the sessions of a worker that ran before: set data_dir to a "
            "new folder, of this worker and of the others"
        )


def _begun(settings: Settings, why: str) -> StateError:
    return StateError(
        f"the group {settings.group_id!r} has begun already: {why}. Set group_id to a new name and "
        "data_dir to a new folder, then `nextclick topics create`"
    )


def _time_ms(where: str) -> int:
    try:
        return parse_time_ms(where)
    except BadClickError as error:
        raise SettingsError(
            f"--from {where!r}: expected earliest, latest or a time; {error.detail}"
        ) from None

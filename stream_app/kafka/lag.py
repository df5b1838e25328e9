"""How full the topics are, and how far the group of workers is in the clicks."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.errors import TopicError
from stream_app.kafka.client import describe_topics
from stream_app.kafka.groups import group_offsets
from stream_app.kafka.retention import until
from stream_app.kafka.topics import wanted_topics
from stream_app.settings import Settings


class TopicState(msgspec.Struct, frozen=True):
    """A topic that exists.

    Args:
        topic: its name.
        partitions: their number.
        replicas: copies of each.
        records: offsets between the oldest record and the end, all partitions together; compaction and
            markers leave holes.
        kept: when a record that was appended now is dropped.
    """

    topic: str
    partitions: int
    replicas: int
    records: int
    kept: str


class PartitionLag(msgspec.Struct, frozen=True):
    """How far the group is in a partition of the clicks.

    Args:
        partition: of the clicks topic.
        begin: offset of its oldest record.
        committed: offset that the group goes on from; None: it has not begun.
        end: offset after its newest record.
        lag: records from where the group goes on to the end. All of them where it has not begun.
        lost: records that were dropped by retention before the group had come to them.
    """

    partition: int
    begin: int
    committed: int | None
    end: int
    lag: int
    lost: int


async def topic_states(settings: Settings) -> list[TopicState]:
    """The topics of the settings that exist, in the order in which they are made.

    Raises:
        BrokerError: no broker answers.
    """
    shapes = await describe_topics(settings, list(wanted_topics(settings)))
    found = []
    for name, shape in shapes.items():
        if shape is not None:
            async with group_offsets(settings, name, shape.partitions) as group:
                begins, ends = await group.begins(), await group.ends()
            records = sum(ends[partition] - begin for partition, begin in begins.items())
            configs = shape.configs or {}
            found.append(TopicState(name, shape.partitions, shape.replication, records, until(configs)))
    return found


async def group_lag(settings: Settings) -> list[PartitionLag]:
    """How far the group of the settings is in each partition of the clicks.

    A running worker commits once in ``commit_interval_s``, so of a busy partition the lag is a little more
    than what waits.

    Raises:
        TopicError: there is no clicks topic.
        BrokerError: no broker answers.
    """
    topic = settings.clicks_topic
    shape = (await describe_topics(settings, [topic]))[topic]
    if shape is None:
        raise TopicError(f"no topic {topic}: make it with `nextclick topics create`")
    async with group_offsets(settings, topic, shape.partitions) as group:
        committed, begins, ends = await group.committed(), await group.begins(), await group.ends()
    return [
        lag_of(partition, begins[partition], committed.get(partition), ends[partition])
        for partition in sorted(ends)
    ]


def lag_of(partition: int, begin: int, committed: int | None, end: int) -> PartitionLag:
    """The lag of one partition from its offsets."""
    goes_on = begin if committed is None else max(begin, committed)
    lost = 0 if committed is None else max(0, begin - committed)
    return PartitionLag(partition, begin, committed, end, max(0, end - goes_on), lost)


def total(lags: Sequence[PartitionLag]) -> int:
    """Records that wait in all partitions."""
    return sum(one.lag for one in lags)

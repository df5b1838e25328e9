"""How far the clicks topic goes: where a replay that was interrupted goes on."""

from __future__ import annotations

from core.errors import BadClickError
from core.window.clicks import parse_click
from stream_app.kafka.client import describe_topics
from stream_app.kafka.partition_log import PartitionLog
from stream_app.settings import Settings


async def newest_click_ms(settings: Settings) -> int | None:
    """The greatest time of the partitions' last clicks, milliseconds since 1970; None where there is none.

    Of each partition the last record is looked at; one that is no click says nothing.

    Raises:
        BrokerError: no broker answers.
    """
    topic = settings.clicks_topic
    shape = (await describe_topics(settings, [topic]))[topic]
    times = []
    for partition in range(shape.partitions if shape else 0):
        async with PartitionLog.opened(settings, topic, partition, "nextclick-replay") as log:
            begin, end = await log.bounds()
            record = await log.record_at(end - 1) if end > begin else None
        if record is not None:
            try:
                times.append(parse_click(record.value, settings.max_value_bytes).time_ms)
            except BadClickError:
                continue
    return max(times, default=None)

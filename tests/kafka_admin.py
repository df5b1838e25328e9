"""What an administrator asks of the test's Kafka, or does to it: the group, the beginnings of logs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from stream_app.kafka.security import client_options
from stream_app.settings import Settings


def administer(settings: Settings, request: Callable[[AIOKafkaAdminClient], Awaitable[Any]]) -> Any:
    """Send a request over a connection of its own; its answer."""

    async def connected() -> Any:
        admin = AIOKafkaAdminClient(**client_options(settings))
        try:
            await admin.start()
            return await request(admin)
        finally:
            await admin.close()

    return asyncio.run(connected())


def committed_offsets(settings: Settings) -> dict[int, int]:
    """What the group has committed of the clicks topic, by partition."""
    found = administer(settings, lambda admin: admin.list_consumer_group_offsets(settings.group_id))
    return {tp.partition: at.offset for tp, at in found.items() if tp.topic == settings.clicks_topic}


def group_members(settings: Settings) -> set[str]:
    """The ids of the group's members, those that are joining too."""
    answers = administer(settings, lambda admin: admin.describe_consumer_groups([settings.group_id]))
    (group,) = answers[0].to_object()["groups"]
    return {member["member_id"] for member in group["members"]}


def delete_before(settings: Settings, topic: str, offsets: Mapping[int, int]) -> None:
    """Drop a topic's records before these offsets, by partition, as retention does."""
    begins = {TopicPartition(topic, part): RecordsToDelete(offset) for part, offset in offsets.items()}
    administer(settings, lambda admin: admin.delete_records(begins))

"""This worker's place in the group: when the group was last heard of, whether another has it, how it is left.

A worker with ``group_instance_id`` is a static member (KIP-345): when it stops the group keeps its partitions
for it for ``session_timeout_s``, and a new process with the same name takes them over without a rebalance.
Where the old process still runs, Kafka no longer knows it. aiokafka would join again then, under the same
name, and so push the new one out, in turns and for ever; here the old one ends instead. But one that was
frozen for longer than the session timeout cannot tell whether its name was taken meanwhile: it joins again,
and then it is the new one that ends.

A worker that stops leaves the group, also while it joins. aiokafka waits for the end of its join, which Kafka
answers once all members have joined, and so not before the session of one that died ends; and it leaves only
if it knows what the join brought. A place that was not left keeps the next worker waiting in the same way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any, Final

from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest

from core.errors import GroupError

logger = logging.getLogger(__name__)

#: What Kafka answers to a member that it does not know, and to one whose name another has.
UNKNOWN_MEMBER_ID: Final = 25
FENCED_INSTANCE_ID: Final = 82

#: Seconds that a join may still take once the worker stops, before the group is left without its answer.
JOIN_S: Final = 0.5

#: Seconds after which leaving is given up; the group notices then by itself.
LEAVE_S: Final = 5.0


class Membership:
    """Watches what the group's coordinator answers; attached to aiokafka's in its own thread.

    Args:
        instance_id: this worker's name in the group; None where it has none.
        session_timeout_s: a member that was not heard of for so long has been given up by the group.
    """

    def __init__(self, instance_id: str | None, session_timeout_s: float) -> None:
        self._instance_id = instance_id
        self._session_timeout_s = session_timeout_s
        #: When the last answered heartbeat was sent, or partitions were assigned; seconds, monotonic.
        self.contact_at = 0.0
        self._replaced = ""

    def watch(self, coordinator: Any) -> None:
        """Note each answered heartbeat, and what says that another has this place; leave as told here."""
        beat, send = coordinator._do_heartbeat, coordinator._send_req  # noqa: SLF001 -- nothing public tells

        async def noted_beat() -> bool:
            sent_at = time.monotonic()
            answered = bool(await beat())
            if answered:
                self.contact_at = sent_at
            return answered

        async def read_send(request: Any) -> Any:
            was_member = bool(coordinator.member_id)
            response = await send(request)
            if was_member:
                self._read(set(error_codes(response)))
            return response

        async def leave() -> None:
            await self._send_leave(coordinator, ConnectionGroup.COORDINATION)
            coordinator.reset_generation()

        coordinator._do_heartbeat = noted_beat  # noqa: SLF001 -- the same
        coordinator._maybe_leave_group = leave  # noqa: SLF001 -- the same
        if self._instance_id is not None:
            coordinator._send_req = read_send  # noqa: SLF001 -- the same

    async def leave(self, coordinator: Any) -> None:
        """Leave the group for good, in :data:`LEAVE_S` at most, whatever the coordinator is doing."""
        closing = asyncio.create_task(coordinator.close())
        try:
            async with asyncio.timeout(LEAVE_S):
                while not (await asyncio.wait({closing}, timeout=JOIN_S))[0]:
                    # Kafka answers the join of a member that leaves, and aiokafka closes upon that. Over
                    # another connection: one waits for the answer.
                    await self._send_leave(coordinator, ConnectionGroup.DEFAULT)
                await closing
        except (TimeoutError, KafkaError) as error:
            closing.cancel()
            logger.info("the group is not left, it will notice: %s", str(error) or f"no end in {LEAVE_S:g} s")

    async def _send_leave(self, coordinator: Any, connection: ConnectionGroup) -> None:
        """Give the place up, which one with a name does not."""
        if not coordinator.member_id or self._instance_id is not None:
            return
        client, group = coordinator._client, coordinator.group_id  # noqa: SLF001 -- the same
        try:
            node = coordinator.coordinator_id
            if node is None:
                node = await client.coordinator_lookup(CoordinationType.GROUP, group)
            await client.send(node, LeaveGroupRequest(group, coordinator.member_id), group=connection)
        except KafkaError as error:
            logger.info("leaving the group failed: %s", error)

    @property
    def silent_s(self) -> float:
        """Seconds since the group was last heard of."""
        return time.monotonic() - self.contact_at

    @property
    def is_replaced(self) -> bool:
        """Whether another has this place."""
        return bool(self._replaced)

    def check(self) -> None:
        """Raise if another has this place.

        Raises:
            GroupError: it has.
        """
        if self._replaced:
            raise GroupError(self._replaced)

    def _read(self, codes: set[int]) -> None:
        # Whoever was silent for too long has lost the place to nobody, and joins again.
        given_up = UNKNOWN_MEMBER_ID in codes and self.silent_s < self._session_timeout_s
        if not self._replaced and (given_up or FENCED_INSTANCE_ID in codes):
            self._replaced = (
                f"another worker has joined the group as {self._instance_id!r}, so this one ends; "
                "group_instance_id must be another for each worker"
            )
            logger.error(self._replaced)
        if self._replaced:
            raise KafkaError(self._replaced)  # aiokafka's own, or it would take it for its fault


def error_codes(response: Any) -> Iterator[int]:
    """The error codes in an answer of the group's coordinator: its own, and those of partitions."""
    if hasattr(response, "error_code"):
        yield response.error_code
    for _, partitions in getattr(response, "topics", ()):
        for partition in partitions:
            yield partition[-1]

"""Sending clicks with a bound on how many, and for how long, the brokers have not confirmed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Any

from core.errors import BrokerError

#: Clicks that may be sent and not yet confirmed by the brokers.
MAX_OUTSTANDING = 10_000
#: Seconds that the brokers may take to confirm a click: a restart of one is waited for, a lost one is not.
CONFIRM_S = 30.0

_LOOK_EVERY_S = 0.25
_STOP_S = 5.0


class Sender:
    """Sends in order, with a bound on what is not confirmed; a later call raises an earlier one's error.

    An idempotent producer retries for ever, so how long a click may stay unconfirmed is bounded here.
    """

    def __init__(self, producer: Any, topic: str, confirm_s: float) -> None:
        self._producer = producer
        self._topic = topic
        self._confirm_s = confirm_s
        self._outstanding: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self.confirmed = 0

    async def send(self, key: bytes, value: bytes) -> None:
        """Send one; waits while too many are not confirmed."""
        self.check()
        while len(self._outstanding) >= MAX_OUTSTANDING:
            await self._wait_for_oldest()
        future = await self._producer.send(self._topic, value=value, key=key)
        self._outstanding.append((time.monotonic(), future))

    async def flush(self) -> None:
        """Wait until all are confirmed."""
        while self._outstanding:
            await self._wait_for_oldest()

    def check(self) -> None:
        """Count what is confirmed; raise if the oldest click has been waiting for too long."""
        while self._outstanding and self._outstanding[0][1].done():
            self._outstanding.popleft()[1].result()
            self.confirmed += 1
        if self._outstanding and time.monotonic() - self._outstanding[0][0] > self._confirm_s:
            raise BrokerError(
                f"Kafka has not confirmed a click of {self._topic!r} for {self._confirm_s:g} s; is it "
                f"running? {self.confirmed} clicks were confirmed before, {len(self._outstanding)} are not"
            )

    async def _wait_for_oldest(self) -> None:
        await asyncio.wait([self._outstanding[0][1]], timeout=_LOOK_EVERY_S)
        self.check()


async def stop_producer(producer: Any) -> None:
    """Stop the producer; one whose broker is gone would wait for it without end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await producer.stop()
            return
    await producer.client.close()

"""Transactions on Kafka: all of what is written counts, or nothing, and an id has one writer at a time.

The door to aiokafka's transactional producer. It retries on its own what may be retried, also across a
restart of the brokers. What is left are these ends of a transaction:

* committed;
* lost: another producer has taken the id, or the brokers have aborted what took longer than
  :data:`TIMEOUT_S`. Nothing tells then whether the commit came before; the producer is of no more use;
* aborted here, because of any other error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    TransactionalIdAuthorizationFailed,
    UnknownProducerId,
)

from core.errors import TransactionLostError
from stream_app.kafka.client import broker_errors, new_producer, start
from stream_app.kafka.outbox import Batch, Outbox
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

#: After so long the brokers abort a transaction that goes on, seconds; they look every ten. Until then, or
#: until its successor begins, what a dead writer left open keeps all readers from what comes behind it.
TIMEOUT_S: Final = 30.0

#: How long an abort or a disconnect may take, seconds. The successor aborts what is left.
END_S: Final = 5.0

_LOST: Final = (
    ProducerFenced,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    OutOfOrderSequenceNumber,
    UnknownProducerId,
)


class TransactionalOutbox:
    """Writes transactions, one after the other, with the id that it has; made by :meth:`open`."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, transactional_id: str) -> None:
        self._settings = settings
        self._producer = producer
        self._outbox = Outbox(settings, producer)
        self._id = transactional_id

    @classmethod
    async def open(cls, settings: Settings, transactional_id: str) -> Self:
        """Connect. Whoever had the id before can write no more, and what it left open is aborted by now.

        Raises:
            AccessError: this user may not write with this id.
            BrokerError: no broker answers.
        """
        producer = new_producer(
            settings,
            client_id=transactional_id,
            transactional_id=transactional_id,
            transaction_timeout_s=TIMEOUT_S,
        )
        await start(producer, settings)
        return cls(settings, producer, transactional_id)

    async def write(
        self, batches: Sequence[Batch], offsets: Mapping[tuple[str, int], int]
    ) -> list[int | None]:
        """Write batches and input offsets of the settings' group in one transaction, and commit it.

        Returns:
            Of each batch the offset of its last record; None where it has none. Readers see them from now on.

        Raises:
            TransactionLostError: it is not known whether this was written. Open another one and look.
            BrokerError: another error; nothing was written.
            AccessError: this user may not write to one of the topics.
        """
        places = {TopicPartition(*place): offset for place, offset in offsets.items()}
        try:
            with broker_errors(self._settings):
                await self._producer.begin_transaction()
                written = await _all(
                    *(self._outbox.write(*batch) for batch in batches), self._send_offsets(places)
                )
                await self._commit()
        except Exception as error:  # of a producer that is over aiokafka says it in many classes
            self._hush()
            if self._is_lost(error):
                raise TransactionLostError(
                    f"the transaction of {self._id} was ended by another owner of the partition, or took "
                    f"longer than {TIMEOUT_S:g} s: {error.__cause__ or error!r}"
                ) from error
            await self._abort()
            raise
        return written[:-1]

    async def close(self) -> None:
        """Disconnect."""
        # Goes on in the background where the brokers are away: nobody depends on it.
        _, left = await asyncio.wait({asyncio.ensure_future(self._stop())}, timeout=END_S)
        if left:
            logger.warning("the producer of %s has not disconnected in %g s", self._id, END_S)

    async def _stop(self) -> None:
        try:
            await self._producer.stop()
        except Exception as error:  # noqa: BLE001 -- what had ended its task comes up once more, as anything
            logger.info("the producer of %s had ended: %s", self._id, error)
            await self._producer.client.close()

    async def _send_offsets(self, offsets: Mapping[TopicPartition, int]) -> None:
        with broker_errors(self._settings):
            if offsets:
                await self._producer.send_offsets_to_transaction(offsets, self._settings.group_id)

    async def _commit(self) -> None:
        await self._producer.commit_transaction()

    async def _abort(self) -> None:
        with suppress(KafkaError, AssertionError, TimeoutError):
            async with asyncio.timeout(END_S):
                await self._producer.abort_transaction()

    def _is_lost(self, error: BaseException) -> bool:
        if isinstance(error.__cause__, _LOST):
            return True
        # What ended the producer's own task is all that it says from then on, in other words.
        task = self._producer._sender.sender_task  # noqa: SLF001 -- nothing public tells
        over = task is not None and task.done() and not task.cancelled()
        return over and not isinstance(task.exception(), TransactionalIdAuthorizationFailed)

    def _hush(self) -> None:
        """Look at what aiokafka keeps of an error that is known: Python would log that nobody has."""
        ended = self._producer._txn_manager.wait_for_transaction_end()  # noqa: SLF001 -- nothing public has it
        queues = self._producer._message_accumulator._batches.values()  # noqa: SLF001 -- the same
        waiting = [batch._drain_waiter for batches in queues for batch in batches]  # noqa: SLF001 -- the same
        for future in (ended, *waiting):
            if future is not None and future.done() and not future.cancelled():
                future.exception()


async def _all(*writes: Awaitable[Any]) -> list[Any]:
    """Wait for all, also when one fails: the transaction is to be ended behind them."""
    found = await asyncio.gather(*writes, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found

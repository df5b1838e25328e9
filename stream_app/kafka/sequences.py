"""Numbers of a producer's records that go on as the brokers count them, however long it lives.

An idempotent producer numbers the records of each partition. After 2^31 - 1 Kafka goes on with 0, aiokafka
with -2^31, which brokers refuse: a worker that gives a partition 3,000 answers a second would end after eight
days.

Source: ``DefaultRecordBatch.incrementSequence`` of Apache Kafka.
"""

from __future__ import annotations

from typing import Any, Final

_NUMBERS: Final = 2**31


def count_as_brokers_do(producer: Any) -> None:
    """Have a producer of aiokafka go on with 0 after the last number, where it numbers its records."""
    manager = producer._txn_manager  # noqa: SLF001 -- it has no other way in
    if manager is None:
        return
    numbers = manager._sequence_numbers  # noqa: SLF001 -- the same

    def increment(tp: Any, increment: int) -> None:
        numbers[tp] = (numbers[tp] + increment) % _NUMBERS

    manager.increment_sequence_number = increment

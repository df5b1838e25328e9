"""Whether a click is in its visitor's partition.

A session is decided in one partition, so all clicks of a visitor must come to the same one. A record whose
key is the visitor does, whatever partitioner its producer has. For one with another key, or none, the
partition tells: Kafka's default partitioner would have put the visitor there, or elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from core.errors import BadClickError
from core.window.clicks import BAD_REASONS, WINDOW_REASONS, Click
from core.window.step import Parsed, Record

#: What is done with a click that is not in its visitor's partition. ``accept``: nothing. ``refuse``: it
#: becomes a dead letter. ``repartition``: it is written again, keyed by the visitor.
Unkeyed = Literal["accept", "refuse", "repartition"]

#: The reason of a dead letter that was refused for its place.
MISPLACED: Final = "misplaced"

#: Every reason that a record ends in dead-letters for.
LETTER_REASONS: Final = (*BAD_REASONS, MISPLACED, *WINDOW_REASONS)

_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_32_BITS: Final = 0xFFFFFFFF
_31_BITS: Final = 0x7FFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit hash of Kafka's default partitioner (MurmurHash2 by A. Appleby, Kafka's seed)."""
    h = _SEED ^ len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _32_BITS
        k = (k ^ k >> 24) * _M & _32_BITS
        h = h * _M & _32_BITS ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _32_BITS
    h = (h ^ h >> 13) * _M & _32_BITS
    return h ^ h >> 15


def partition_of(visitor: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives to a visitor's key."""
    return partition_of_key(visitor.encode(), partitions)


def partition_of_key(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives to a key."""
    return (murmur2(key) & _31_BITS) % partitions


def is_misplaced(record: Record, visitor: str, partition: int, partitions: int) -> bool:
    """Whether a visitor's click is where neither its key nor Kafka's default partitioner puts the visitor.

    A record that was moved here is not: moved once, it stays.

    Args:
        record: the click's record.
        visitor: whose click.
        partition: in which it is.
        partitions: of the topic.
    """
    if record.key == visitor.encode() or record.moved_from is not None:
        return False
    return partition_of(visitor, partitions) != partition


def find_misplaced(run: Iterable[Parsed], partition: int, partitions: int) -> set[int]:
    """The offsets of a run's clicks that are not in their visitor's partition."""
    return {
        record.offset
        for record, click in run
        if isinstance(click, Click)
        and record.key != click.visitor.encode()  # here, too: nearly all are keyed, and a call takes time
        and is_misplaced(record, click.visitor, partition, partitions)
    }


def without(run: Iterable[Parsed], misplaced: set[int], partitions: int) -> list[Parsed]:
    """The run with its misplaced clicks as errors: they end here, unapplied."""
    left = []
    for parsed in run:
        record, click = parsed
        if record.offset in misplaced and isinstance(click, Click):
            belongs = partition_of(click.visitor, partitions)
            detail = f"the record's key is not the visitor, whose partition would be {belongs}"
            left.append(Parsed(record, BadClickError(MISPLACED, detail)))
        else:
            left.append(parsed)
    return left

"""The visitor table: a Faust table on RocksDB, read by key and written a run at a time.

Faust owns the table: its changelog, its recovery and its files. nextclick writes to it beside Faust's own
path, which costs a produce call and a lookup a key: a run's changes go to the changelog in one batch and,
once that is confirmed, to RocksDB in one WriteBatch together with the changelog offset. So RocksDB never
holds what the changelog lacks.

Keys: ``v`` and the visitor; ``p`` alone is the partition's own record. Values: a version byte and msgpack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import faust
import msgspec
from rocksdict import WriteBatch

from core.errors import StateError
from core.step import PartitionState, VisitorState

#: First byte of every value. A value of another version is refused, not guessed at.
STATE_VERSION: Final = 1

_PARTITION_KEY: Final = b"p"
_VISITOR_PREFIX: Final = b"v"
_VISITOR_END: Final = b"w"

_encoder = msgspec.msgpack.Encoder()
_visitor_decoder = msgspec.msgpack.Decoder(VisitorState)
_partition_decoder = msgspec.msgpack.Decoder(PartitionState)

#: A changelog record: key, and value or None for a deletion.
State = TypeVar("State")
Change = tuple[bytes, bytes | None]


def encode_state(state: VisitorState | PartitionState) -> bytes:
    """A state as the table's value."""
    return bytes((STATE_VERSION,)) + _encoder.encode(state)


def decode_visitor(value: bytes) -> VisitorState:
    """A visitor's state from the table's value.

    Raises:
        StateError: another version wrote it, or it is damaged.
    """
    return _decode(_visitor_decoder, value)


def decode_partition(value: bytes) -> PartitionState:
    """A partition's state from the table's value.

    Raises:
        StateError: another version wrote it, or it is damaged.
    """
    return _decode(_partition_decoder, value)


def changes_of(
    visitors: Mapping[str, VisitorState | None], partition: PartitionState, closed: Iterable[str] = ()
) -> list[Change]:
    """A run's changes in the order in which they must reach the changelog.

    New states first, then the partition's own record, which says that the run is done, then deletions: a run
    of which only a part was written is applied again, and finds a state that it deleted where it was.

    Args:
        visitors: state after the run of each visitor that it changed; None deletes it.
        partition: the partition's state after the run.
        closed: visitors whose session was closed after the run; they are deleted too.
    """
    puts: list[Change] = [(_key(v), encode_state(state)) for v, state in visitors.items() if state]
    deletes: list[Change] = [(_key(v), None) for v, state in visitors.items() if state is None]
    swept: list[Change] = [(_key(v), None) for v in closed]
    return [*puts, (_PARTITION_KEY, encode_state(partition)), *deletes, *swept]


class VisitorTable:
    """Typed access to the Faust table.

    Args:
        app: the Faust app, not started.
        partitions: of the input topic, and so of the changelog.
        cache_mb: RocksDB's block cache of each partition, MiB.
    """

    def __init__(self, app: faust.App, partitions: int, cache_mb: int) -> None:
        raw: Any = faust.Schema(
            key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        self._table = app.Table(
            "visitors",
            schema=raw,
            # Also here: from a table without types Faust infers JSON, over what the schema says.
            key_type=bytes,
            value_type=bytes,
            partitions=partitions,
            recovery_buffer_size=5000,
            options={
                "block_cache_size": cache_mb * 1024 * 1024,
                "write_buffer_size": 16 * 1024 * 1024,
                "max_write_buffer_number": 2,
                "max_open_files": 256,
            },
        )

    @property
    def changelog(self) -> str:
        """Name of the changelog topic."""
        return str(self._table.changelog_topic.get_topic_name())

    def load(self, partition: int, visitors: Iterable[str]) -> dict[str, VisitorState]:
        """The states that the table holds for some visitors of a partition."""
        wanted = list(visitors)
        values = self._db(partition).get([_key(visitor) for visitor in wanted]) if wanted else []
        return {
            visitor: decode_visitor(value) for visitor, value in zip(wanted, values, strict=True) if value
        }

    def partition(self, partition: int) -> PartitionState:
        """The partition's own record."""
        value = self._db(partition).get(_PARTITION_KEY)
        return decode_partition(value) if value else PartitionState()

    def all_visitors(self, partition: int) -> Iterator[tuple[str, VisitorState]]:
        """Every visitor that the table holds for a partition; the rows are read as they are asked for."""
        for key, value in self._db(partition).items(from_key=_VISITOR_PREFIX):
            if key >= _VISITOR_END:
                return
            yield key[1:].decode(), decode_visitor(value)

    def write(self, partition: int, changes: Iterable[Change], changelog_offset: int) -> None:
        """Apply changes that the changelog has confirmed, and remember up to which offset it was read."""
        store = self._table.data
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(store.offset_key, str(changelog_offset).encode())
        self._db(partition).write(batch)

    def _db(self, partition: int) -> Any:
        # Asked for each time: Faust closes it when the partition is revoked.
        return self._table.data._db_for_partition(partition)  # noqa: SLF001 -- the store has no public way


def _key(visitor: str) -> bytes:
    return _VISITOR_PREFIX + visitor.encode()


def _decode(decoder: msgspec.msgpack.Decoder[State], value: bytes) -> State:
    if value[:1] != bytes((STATE_VERSION,)):
        raise StateError(
            f"the visitor table holds a value of version {value[0] if value else 'none'}, "
            f"this nextclick reads version {STATE_VERSION}: run the version that wrote it, or start with a "
            "new group_id and an empty data_dir"
        )
    try:
        return decoder.decode(memoryview(value)[1:])
    except msgspec.DecodeError as error:
        raise StateError(
            f"the visitor table holds a damaged value ({error}); delete data_dir to restore it"
        ) from None

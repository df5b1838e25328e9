"""The visitor table: a Faust table on RocksDB, read by key and written a run at a time.

Faust owns the table: its changelog, its files, and when they open and close. nextclick writes to it beside
Faust's own path, which costs a produce call and a lookup a key: a run's changes go to the changelog in one
batch and, once that is confirmed, to RocksDB in one WriteBatch together with the changelog offset. So RocksDB
never holds what the changelog lacks.

Keys: ``v`` and the visitor; ``p`` alone is the partition's own record. Values: a version byte and msgpack.
In RocksDB only: ``s`` and a key, without a value, where the changelog's last record of that key is stale.

``restoring.py`` reads the changelog back; which of its records count :mod:`core.window.changelog` decides.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import faust
import msgspec
from faust.stores import rocksdb
from rocksdict import WriteBatch

from core.errors import StateError
from core.window.changelog import Held
from core.window.step import PartitionState, VisitorState

logger = logging.getLogger(__name__)

#: First byte of every value: the versions that are read. A value of another version is refused, not guessed
#: at. Each value is written as the oldest version that can say it, so that one can go back.
#: 1: the state of a visitor with an open session, and of a partition. 2: of a visitor that was forgotten.
STATE_VERSIONS: Final = (1, 2)
_VERSION_BYTES: Final = tuple(bytes((version,)) for version in STATE_VERSIONS)

_PARTITION_KEY: Final = b"p"
_VISITOR_PREFIX: Final = b"v"
_VISITOR_END: Final = b"w"
_STALE_PREFIX: Final = b"s"
_STALE_END: Final = b"t"

#: Header of a changelog record: the input offset up to which all was applied when it was written.
AS_OF: Final = "as-of"

_encoder = msgspec.msgpack.Encoder()
_visitor_decoder = msgspec.msgpack.Decoder(VisitorState)
_partition_decoder = msgspec.msgpack.Decoder(PartitionState)


class _Applied(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of either state; the rest is skipped."""

    applied: int


_applied_decoder = msgspec.msgpack.Decoder(_Applied)

#: A changelog record: key, and value or None for a deletion.
State = TypeVar("State")
Change = tuple[bytes, bytes | None]


def encode_state(state: VisitorState | PartitionState) -> bytes:
    """A state as the table's value."""
    forgotten = isinstance(state, VisitorState) and state.session is None
    return _VERSION_BYTES[forgotten] + _encoder.encode(state)


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


#: What RocksDB says of files that are truncated, overwritten or gone.
_DAMAGED: Final = ("Corruption", "Invalid argument", "No such file")


class _Store(rocksdb.Store):
    """Faust's RocksDB, which begins anew where the files cannot be read: the changelog has everything."""

    logger = logging.getLogger("faust.stores")  # of each step of the service, which is Faust's

    def _open_for_partition(self, partition: int) -> Any:
        try:
            return super()._open_for_partition(partition)
        except Exception as error:
            # rocksdict has no classes for them. For a lock Faust waits; a full disk is not made better so.
            if not any(sign in str(error) for sign in _DAMAGED):
                raise
            path = self.partition_path(partition)
            logger.warning(
                "%s cannot be opened and is made anew from the changelog: %s",
                path,
                error,
                extra={"partition": partition, "path": str(path)},
            )
            shutil.rmtree(path, ignore_errors=True)
            return super()._open_for_partition(partition)


class _Table(faust.Table[bytes, bytes]):
    """Faust's table."""

    logger = logging.getLogger("faust.tables")  # as above

    def _new_store(self) -> Any:
        return _Store(self.app.conf.store, self.app, self, table_name=self.name, options=self.options)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Nothing: ``restoring.py`` does it; Faust only reads where an older leader has it stand by."""


#: Memory of one RocksDB, by its own names: memtables, cached blocks, indexes and filters of open files.
_IN_MEMORY: Final = ("cur-size-all-mem-tables", "block-cache-usage", "estimate-table-readers-mem")


class Size(NamedTuple):
    """What one partition's RocksDB takes.

    Attributes:
        files: bytes of its sorted files on disk; its log, up to the memtables' size, comes on top.
        memory: bytes of memtables, cached blocks and what it keeps of open files.
        keys: about how many it has.
    """

    files: int
    memory: int
    keys: int


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
        self._table = _Table(
            app,
            name="visitors",
            beacon=app.tables.beacon,
            schema=raw,
            # Also here: from a table without types Faust infers JSON, over what the schema says.
            key_type=bytes,
            value_type=bytes,
            partitions=partitions,
            options={
                "block_cache_size": cache_mb * 1024 * 1024,
                "write_buffer_size": 16 * 1024 * 1024,
                "max_write_buffer_number": 2,
                "max_open_files": 256,
            },
        )
        app.tables.add(self._table)

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

    def write(
        self,
        partition: int,
        changes: Iterable[Change],
        changelog_offset: int,
        no_longer_stale: Iterable[bytes] = (),
    ) -> None:
        """Apply changes that the changelog has confirmed, and remember up to which offset it was read."""
        marks: list[Change] = [(_STALE_PREFIX + key, None) for key in no_longer_stale]
        self._write(partition, [*changes, *marks], changelog_offset)

    def restore(self, partition: int, records: Sequence[Any], changelog_offset: int) -> None:
        """Apply what counts of some changelog records, and remember up to which offset it was read.

        Args:
            partition: of the table.
            records: Kafka records, in the changelog's order; some may have been applied before.
            changelog_offset: to remember, unless a later one is remembered already.

        Raises:
            StateError: a record was written by another version, or is damaged.
        """
        visitors = list({record.key for record in records if record.key[:1] == _VISITOR_PREFIX})
        stored = self._db(partition).get(visitors) if visitors else []
        held = Held(
            self.partition(partition).applied,
            {key: _applied(value) for key, value in zip(visitors, stored, strict=True) if value},
        )
        changes: dict[bytes, bytes | None] = {}
        stale_before = self.stale(partition)
        stale = set(stale_before)
        for record in records:
            if _counts(held, record):
                changes[record.key] = record.value
                stale.discard(record.key)
            else:
                stale.add(record.key)
        changes |= {_STALE_PREFIX + key: b"" for key in stale - stale_before}
        changes |= {_STALE_PREFIX + key: None for key in stale_before - stale}
        self._write(partition, changes.items(), max(changelog_offset, self.changelog_offset(partition)))

    def changelog_offset(self, partition: int) -> int:
        """Up to which offset the changelog is in the table; -1 for none."""
        value = self._db(partition).get(self._table.data.offset_key)
        return int(value) if value else -1

    def stale(self, partition: int) -> set[bytes]:
        """Keys whose last record in the changelog did not count; compaction would keep just that one."""
        found = set()
        for key, _ in self._db(partition).items(from_key=_STALE_PREFIX):  # noqa: PERF102 -- no dict
            if key >= _STALE_END:
                break
            found.add(key[1:])
        return found

    def current(self, partition: int, keys: Iterable[bytes]) -> list[Change]:
        """What the table holds for some keys and the partition, in the order of :func:`changes_of`."""
        visitors = sorted(key for key in keys if key[:1] == _VISITOR_PREFIX)
        values = self._db(partition).get(visitors) if visitors else []
        found: list[Change] = list(zip(visitors, values, strict=True))
        own = (_PARTITION_KEY, encode_state(self.partition(partition)))
        return [
            *(change for change in found if change[1] is not None),
            own,
            *(change for change in found if change[1] is None),
        ]

    def sizes(self) -> dict[int, Size]:
        """What RocksDB takes for each partition that is open here."""
        return {
            partition: Size(
                files=db.property_int_value("rocksdb.total-sst-files-size"),
                memory=sum(db.property_int_value(f"rocksdb.{part}") for part in _IN_MEMORY),
                keys=db.property_int_value("rocksdb.estimate-num-keys"),
            )
            for partition, db in self._table.data._dbs.items()  # noqa: SLF001 -- the store has no public way
        }

    def _write(self, partition: int, changes: Iterable[Change], changelog_offset: int) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(self._table.data.offset_key, str(changelog_offset).encode())
        self._db(partition).write(batch)

    def _db(self, partition: int) -> Any:
        # Asked for each time: Faust closes it when the partition is revoked.
        return self._table.data._db_for_partition(partition)  # noqa: SLF001 -- the store has no public way


def _key(visitor: str) -> bytes:
    return _VISITOR_PREFIX + visitor.encode()


def visitor_of(key: bytes) -> str | None:
    """Whose state a key has; None for the partition's own."""
    return key[1:].decode() if key[:1] == _VISITOR_PREFIX else None


def _counts(held: Held[bytes], record: Any) -> bool:
    """Whether a changelog record counts."""
    as_of = next((int(value) for name, value in record.headers or () if name == AS_OF), None)
    if record.value is None:
        return held.take_deletion(record.key, as_of)
    applied = _applied(record.value)
    if record.key == _PARTITION_KEY:
        return held.take_partition(applied)
    return held.take_state(record.key, applied, as_of)


def _applied(value: bytes) -> int:
    return _decode(_applied_decoder, value).applied


def _decode(decoder: msgspec.msgpack.Decoder[State], value: bytes) -> State:
    if not value or value[0] not in STATE_VERSIONS:
        known = " and ".join(map(str, STATE_VERSIONS))
        raise StateError(
            f"the visitor table holds a value of version {value[0] if value else 'none'}, "
            f"this nextclick reads versions {known}: run the version that wrote it, or start with a "
            "new group_id and an empty data_dir"
        )
    try:
        return decoder.decode(value[1:])
    except msgspec.DecodeError as error:
        raise StateError(
            f"the visitor table holds a damaged value ({error}); delete data_dir to restore it"
        ) from None

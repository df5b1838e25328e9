"""What is looked at now and then rather than counted: the disk, RocksDB, the partitions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from stream_app.machine import disk_room, memory_limit_bytes
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry, set_by_partition
from stream_app.worker.processor import PartitionProcessor
from stream_app.worker.tables import VisitorTable


class Samples:
    """Sets the gauges that somebody has to go and look for.

    Args:
        settings: the folder whose disk is looked at, and what stays as it is set.
        telemetry: is told.
        table: its visitor table.
        partitions: of the input topic.
    """

    def __init__(
        self, settings: Settings, telemetry: Telemetry, table: VisitorTable, partitions: int
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._table = table
        telemetry.input_partitions.set(partitions)
        telemetry.snapshot_interval.set(settings.snapshot_every_s)
        telemetry.memory_limit.set(memory_limit_bytes())

    def take(self, processors: Mapping[int, PartitionProcessor]) -> None:
        """Look at everything once.

        Args:
            processors: of the assigned partitions that have begun.
        """
        telemetry = self._telemetry
        with suppress(OSError):  # whoever writes there says it
            room = disk_room(self._settings.data_dir)
            telemetry.disk_free.set(room.free)
            telemetry.disk_size.set(room.size)
        sizes = self._table.sizes()
        set_by_partition(telemetry.rocksdb_files, {p: size.files for p, size in sizes.items()})
        set_by_partition(telemetry.rocksdb_memory, {p: size.memory for p, size in sizes.items()})
        set_by_partition(telemetry.rocksdb_keys, {p: size.keys for p, size in sizes.items()})
        watermarks = {p: processor.watermark_s for p, processor in processors.items()}
        set_by_partition(telemetry.watermark, {p: at for p, at in watermarks.items() if at is not None})

"""What an open visitor costs: bytes in RocksDB and in the changelog, and the worker's resident memory.

For each size so many visitors click once, and some of them several times, so that each has an open session.
Resident memory is the worker's, before the first click and with all visitors: RocksDB's caches and buffers,
and the worker's own list of who is open. What is on disk is counted after a stop.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from rocksdict import AccessType, Options, Rdict

from stream_app.kafka.topics import changelog_topic
from stream_app.worker.tables import decode_visitor
from tests.benchmarks.stream.place import resident_mib, say
from tests.benchmarks.stream.state import QUICK_SIZES, SIZES, with_state

#: Clicks of a visitor's session: small, and medium, of which there are fewer visitors.
SMALL, MEDIUM = 1, 5
MOST_MEDIUM: Final = 100_000

#: RocksDB's write buffers, of which a partition has two: stream_app/worker/tables.py.
WRITE_BUFFER_MIB: Final = 16
MIB: Final = 2**20


def run_memory(place, options):
    """Bytes a visitor and resident memory by number of open visitors."""
    cases = [(size, SMALL) for size in (QUICK_SIZES if options.quick else SIZES)]
    if not options.quick:
        cases.append((MOST_MEDIUM, MEDIUM))
    return {"memory": {"cases": [_memory(place, size, clicks) for size, clicks in cases]}}


def _memory(place, visitors, clicks_each):
    case = f"memory-{visitors}-{clicks_each}"
    with with_state(place, case, visitors, clicks_each) as (settings, worker, before):
        held = worker.metrics()["nextclick_open_sessions"]
        resident = resident_mib(worker.process.pid)
        worker.terminate(60)
        files = sorted(worker.data_dir.rglob("*.db"))
        on_disk = sum(_bytes(file) for file in files)
        name = changelog_topic(settings)
        changelog = sum(
            log.stat().st_size for log in (place.folder / "kafka" / "data").glob(f"{name}-*/*.log")
        )
        value_bytes, opened_s = _read_through(files)
    cache = settings.rocksdb_cache_mb
    found = {
        "visitors": visitors,
        "clicks_a_visitor": clicks_each,
        "open_sessions": round(held),
        "key_and_value_bytes_a_visitor": round(value_bytes / visitors, 1),
        "rocksdb_bytes_a_visitor": round(on_disk / visitors, 1),
        "changelog_bytes_a_click": round(changelog / visitors / clicks_each, 1),
        "resident_mib_before": round(before),
        "resident_mib": round(resident),
        "resident_bytes_a_visitor": round((resident - before) * MIB / visitors),
        "rocksdb_bound_mib": place.partitions * (cache + 2 * WRITE_BUFFER_MIB),
        "read_a_partition_s": round(opened_s / max(1, len(files)), 2),
    }
    say(f"  {found}")
    return found


def _read_through(files):
    """Bytes of keys and values of all visitors, and the seconds to open, read and decode them all."""
    began, found = time.perf_counter(), 0
    for file in files:
        database = Rdict(str(file), Options(raw_mode=True), access_type=AccessType.read_only())
        for key, value in database.items():
            if key[:1] == b"v":
                decode_visitor(value)
                found += len(key) + len(value)
        database.close()
    return found, time.perf_counter() - began


def _bytes(folder):
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())

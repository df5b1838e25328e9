"""Stream: lag, throughput, rebalances, recovery, RocksDB, the index; for whoever looks for a cause."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import (
    BYTES,
    COUNT,
    OURS,
    PER_SECOND,
    SECONDS,
    Panels,
    Query,
    graph,
    new_dashboard,
    quantile,
    rate,
    rows,
)

#: Series that have the partition for a label.
OURS_BY_PARTITION = '{job=~"$job", instance=~"$instance", partition=~"$partition"}'


def stream() -> dashboard.Dashboard:
    """By partition and by worker."""
    return rows(
        new_dashboard(
            "stream", "Stream", "Does it flow, and if not, where does it stand?", by_partition=True
        ),
        ("Flow", _flow()),
        ("The group, and recovery", _group()),
        ("State in RocksDB", _rocksdb()),
        ("The index and its snapshots", _index()),
        ("The process", _process()),
    )


def _by_partition(metric: str) -> Query:
    # A worker that has lost a partition may still say 0 of it.
    return Query(f"max by (job, partition) ({metric}{OURS_BY_PARTITION})", "partition {{partition}}")


def _by_worker(metric: str) -> Query:
    return Query(f"{metric}{OURS}", "{{instance}}")


def _flow() -> Panels:
    return [
        graph(
            "Lag",
            "Records of the input that are not yet read.",
            COUNT,
            _by_partition("nextclick_consumer_lag"),
            alerts=("NextclickLagGrows", "NextclickStalled"),
        ),
        graph(
            "Throughput",
            "Records of the input that each worker dealt with.",
            PER_SECOND,
            Query(rate("nextclick_clicks_total", "instance"), "{{instance}}"),
            alerts=("NextclickNoClicks",),
        ),
        graph(
            "Clicks a run",
            "Records that are processed and written together. Long runs mean that a worker catches up.",
            COUNT,
            Query(quantile(0.5, "nextclick_run_clicks"), "p50"),
            Query(quantile(0.99, "nextclick_run_clicks"), "p99"),
            width=8,
        ),
        graph(
            "Open sessions",
            "Sessions that are open in a partition; each is a row in RocksDB.",
            COUNT,
            _by_partition("nextclick_open_sessions"),
            width=8,
        ),
        graph(
            "Stalled partitions",
            "Partitions with clicks that finished none for stall_s seconds. /live says which, and what "
            "they wait for.",
            COUNT,
            _by_worker("nextclick_stalled_partitions"),
            width=8,
            alerts=("NextclickStalled",),
        ),
    ]


def _group() -> Panels:
    return [
        graph(
            "Assigned partitions",
            "How many partitions of the input each worker has. They add up to the partitions that there are.",
            COUNT,
            _by_worker("nextclick_assigned_partitions"),
            width=8,
            stacked=True,
            alerts=("NextclickPartitionsUnassigned",),
        ),
        graph(
            "Rebalances",
            "Rebalances of the group that each worker saw since its start. Each stops all workers for a "
            "moment.",
            COUNT,
            _by_worker("nextclick_rebalances_total"),
            width=8,
            alerts=("NextclickRebalances", "NextclickRestarts"),
        ),
        graph(
            "Ready",
            "1: assigned, recovered and the index caught up.",
            COUNT,
            _by_worker("nextclick_ready"),
            width=8,
            most=1,
            alerts=("NextclickNotReady", "NextclickNobodyAnswers"),
        ),
        graph(
            "Recovery",
            "From the last assignment of partitions until their state was restored.",
            SECONDS,
            _by_worker("nextclick_recovery_seconds"),
            width=8,
            alerts=("NextclickRecoveryTooLong",),
        ),
        graph(
            "Still to be restored",
            "Records of the changelog that the recovery in hand has before it. The slope says when it will "
            "be over.",
            COUNT,
            _by_worker("nextclick_recovery_remaining_records"),
            width=8,
            alerts=("NextclickRecoveryTooLong",),
        ),
        graph(
            "Changelog merged",
            "Records read back because two workers wrote to the changelog of one partition: after a "
            "takeover.",
            PER_SECOND,
            Query(rate("nextclick_changelog_merged_total", "instance"), "{{instance}}"),
            width=8,
        ),
        graph(
            "Transactions",
            "Of runs, by how they ended; none where the guarantee is at least once. Lost ones went to "
            "another owner of the partition or took too long; their runs are done again.",
            PER_SECOND,
            Query(rate("nextclick_transactions_total", "outcome"), "{{outcome}}"),
            width=24,
        ),
    ]


def _rocksdb() -> Panels:
    return [
        graph(
            "Files",
            "RocksDB's files on disk; its log comes on top.",
            BYTES,
            _by_partition("nextclick_rocksdb_files_bytes"),
            width=8,
            alerts=("NextclickDiskFilling",),
        ),
        graph(
            "Memory",
            "Memtables, cached blocks and what is kept of open files. The cache is rocksdb_cache_mb at most.",
            BYTES,
            _by_partition("nextclick_rocksdb_memory_bytes"),
            width=8,
            alerts=("NextclickMemory",),
        ),
        graph(
            "Keys",
            "Visitors with a state, estimated by RocksDB; deleted ones count until they are compacted.",
            COUNT,
            _by_partition("nextclick_rocksdb_keys"),
            width=8,
        ),
    ]


def _index() -> Panels:
    return [
        graph(
            "Behind the sessions topic",
            "Closed sessions that the index has not yet taken in.",
            COUNT,
            _by_worker("nextclick_index_lag"),
            width=8,
            alerts=("NextclickIndexLag",),
        ),
        graph(
            "Memory of the index",
            "All of its arrays. The names of items come on top.",
            BYTES,
            _by_worker("nextclick_index_bytes"),
            width=8,
            alerts=("NextclickMemory",),
        ),
        graph(
            "Held by the index",
            "Sessions and clicks; equal on all workers that are at the same offset.",
            COUNT,
            Query(f"nextclick_index_sessions{OURS}", "sessions, {{instance}}"),
            Query(f"nextclick_index_clicks{OURS}", "clicks, {{instance}}"),
            width=8,
        ),
        graph(
            "Age of the snapshot",
            "Since the newest snapshot was written; since the worker's start where there is none.",
            SECONDS,
            Query(
                f"time() - (nextclick_snapshot_timestamp_seconds{OURS} > 0"
                f" or process_start_time_seconds{OURS})",
                "{{instance}}",
            ),
            width=12,
            alerts=("NextclickSnapshotOld",),
        ),
        graph(
            "Size of the snapshot",
            "Of the newest one, on disk. Two are kept.",
            BYTES,
            _by_worker("nextclick_snapshot_bytes"),
            width=12,
        ),
        graph(
            "Writing a snapshot",
            "How long the last one took. Clicks are answered meanwhile; the index takes no session in.",
            SECONDS,
            _by_worker("nextclick_snapshot_write_seconds"),
            width=12,
            alerts=("NextclickSnapshotOld",),
        ),
        graph(
            "Snapshots that failed",
            "Since the worker's start, by whether it could not be written or not be read.",
            COUNT,
            Query(f"nextclick_snapshot_failures_total{OURS}", "{{doing}}, {{instance}}"),
            width=12,
            alerts=("NextclickSnapshotFails",),
        ),
    ]


def _process() -> Panels:
    return [
        graph(
            "Memory",
            "Resident memory of each worker, and what it can have.",
            BYTES,
            Query(f"process_resident_memory_bytes{OURS}", "{{instance}}"),
            Query(f"nextclick_memory_limit_bytes{OURS}", "limit of {{instance}}"),
            width=8,
            alerts=("NextclickMemory",),
        ),
        graph(
            "Processor",
            "Cores that each worker keeps busy.",
            COUNT,
            Query(f"rate(process_cpu_seconds_total{OURS}[$__rate_interval])", "{{instance}}"),
            width=8,
        ),
        graph(
            "Open files",
            "File descriptors of each worker, and how many it may have. RocksDB takes up to 256 a partition.",
            COUNT,
            Query(f"process_open_fds{OURS}", "{{instance}}"),
            Query(f"process_max_fds{OURS}", "limit of {{instance}}"),
            width=8,
            alerts=("NextclickFileDescriptors",),
        ),
    ]

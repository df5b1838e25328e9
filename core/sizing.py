"""How many workers, how much memory and how much disk a stream asks for, from figures that were measured.

The figures are of the benchmarks in this repository (docs/sizing.md says which), on two shared cores; what a
worker does a second is the one that another machine changes most, so it can be given.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

DAY_S: Final = 86_400
MIB: Final = 2**20

#: Share of what a worker can do that it is planned for: the rest is for catching up after a restart.
PLANNED_SHARE: Final = 0.6


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured; each with the table that has it.

    Attributes:
        worker_clicks_s: clicks a second of a worker with a core, preset blend; ``make bench``, throughput.
        base_mib: resident memory of a worker with an empty index and no visitors, MiB; memory.
        visitor_bytes: resident memory of an open visitor, one of a million; memory.
        visitor_disk_bytes: of RocksDB's files, an open visitor with five clicks; memory.
        write_buffers_mib: RocksDB's write buffers of a partition, MiB; stream_app/worker/tables.py.
        index_click_bytes: resident memory of a click held by the index; ``make bench-scoring``, memory.
        item_bytes: names of an item of the index, also as JSON; the same.
        scorer_item_bytes: room of one scoring thread, an item of the index; the same.
        snapshot_click_bytes: of a snapshot file, a click held; ``make bench``, disks.
        click_bytes: of a click on its topic; disks.
        answer_bytes: of an answer with twenty items; disks.
        changelog_bytes: of the changelog before compaction, a click; disks.
        session_bytes: of a closed session on its topic, without its clicks; disks.
        session_click_bytes: of each of its clicks; disks.
        learnt_sessions_s: sessions a second that an index takes in; ``make bench-scoring``, learning.
    """

    worker_clicks_s: float = 10_000
    base_mib: float = 230
    visitor_bytes: float = 400
    visitor_disk_bytes: float = 114
    write_buffers_mib: float = 32
    index_click_bytes: float = 14
    item_bytes: float = 156
    scorer_item_bytes: float = 41
    snapshot_click_bytes: float = 11.4
    click_bytes: float = 82
    answer_bytes: float = 1_906
    changelog_bytes: float = 77
    session_bytes: float = 140
    session_click_bytes: float = 26
    learnt_sessions_s: float = 100_000


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """What comes in, and what is to be held.

    Attributes:
        clicks_s: clicks a second at the busiest.
        session_clicks: clicks of a session on average.
        session_s: from its first click to its last, on average, seconds.
        items: of the catalogue.
        index_sessions: that the index holds at most.
        gap_s: settings of the window, seconds.
        grace_s: the same.
        rocksdb_cache_mb: of a partition, MiB.
        scoring_threads: of a worker.
        replication_factor: copies of each topic.
    """

    clicks_s: float
    session_clicks: float = 5.0
    session_s: float = 300.0
    items: int = 100_000
    index_sessions: int = 500_000
    gap_s: float = 1200.0
    grace_s: float = 60.0
    rocksdb_cache_mb: float = 32
    scoring_threads: int = 2
    replication_factor: int = 3


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """What that asks for.

    Attributes:
        workers: processes, each with a core; two at least, so that one may fail.
        partitions: of the clicks topic; room for twice the workers, for their number is hard to change.
        open_visitors: in all workers together, at the busiest.
        remembers_s: how far back the index goes at that rate, seconds.
        worker_memory_mib: resident memory of one worker, MiB; one of its fellows' partitions included.
        index_mib: of it the index with its names and the scorers' room, which each worker has, MiB.
        worker_disk_mib: RocksDB and two snapshots, MiB.
        learning_share: of a core of each worker, taken by learning every session of all partitions.
        feed_mib_s: of the sessions topic, read by each worker, MiB a second.
        kafka_in_mib_s: written by the workers to Kafka, all copies, MiB a second.
        day_gib: by topic, a day at that rate, all copies, without compression, GiB.
    """

    workers: int
    partitions: int
    open_visitors: int
    remembers_s: float
    worker_memory_mib: float
    index_mib: float
    worker_disk_mib: float
    learning_share: float
    feed_mib_s: float
    kafka_in_mib_s: float
    day_gib: dict[str, float]


def size(stream: Stream, figures: Figures = Figures()) -> Size:  # noqa: B008 -- frozen
    """What a stream asks for at its busiest.

    Open visitors are by Little's law: sessions begun a second times how long each is held, from its first
    click until the gap and the grace have passed after its last.

    Args:
        stream: what comes in; all of it above 0, but for ``session_s`` and ``grace_s``, which may be 0.
        figures: what was measured.
    """
    workers = max(2, math.ceil(stream.clicks_s / (figures.worker_clicks_s * PLANNED_SHARE)))
    partitions = 2 * workers
    sessions_s = stream.clicks_s / stream.session_clicks
    open_visitors = math.ceil(sessions_s * (stream.session_s + stream.gap_s + stream.grace_s))
    held_clicks = stream.index_sessions * stream.session_clicks
    index_bytes = held_clicks * figures.index_click_bytes + stream.items * (
        figures.item_bytes + stream.scoring_threads * figures.scorer_item_bytes
    )
    # When one of the workers is gone, its partitions are the others'.
    share = 1 / (workers - 1)
    rocksdb_mib = math.ceil(partitions * share) * (stream.rocksdb_cache_mb + figures.write_buffers_mib)
    visitors_mib = open_visitors * share * figures.visitor_bytes / MIB
    session_bytes = figures.session_bytes + stream.session_clicks * figures.session_click_bytes
    a_second = {
        "clicks": stream.clicks_s * figures.click_bytes,
        "recommendations": stream.clicks_s * figures.answer_bytes,
        "changelog": stream.clicks_s * figures.changelog_bytes,
        "sessions": sessions_s * session_bytes,
    }
    copies = stream.replication_factor
    day_gib = {topic: bytes_s * DAY_S * copies / 2**30 for topic, bytes_s in a_second.items()}
    return Size(
        workers=workers,
        partitions=partitions,
        open_visitors=open_visitors,
        remembers_s=stream.index_sessions / sessions_s,
        worker_memory_mib=figures.base_mib + index_bytes / MIB + rocksdb_mib + visitors_mib,
        index_mib=index_bytes / MIB,
        worker_disk_mib=(
            2 * open_visitors * share * figures.visitor_disk_bytes
            + 2 * held_clicks * figures.snapshot_click_bytes
        )
        / MIB,
        learning_share=sessions_s / figures.learnt_sessions_s,
        feed_mib_s=a_second["sessions"] / MIB,
        kafka_in_mib_s=(sum(a_second.values()) - a_second["clicks"]) * copies / MIB,
        day_gib=day_gib,
    )

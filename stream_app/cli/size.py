"""``nextclick size``: what a stream asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from core.sizing import PLANNED_SHARE, Figures, Size, Stream
from core.sizing import size as size_of
from stream_app.settings import load_settings
from stream_app.terminal.tables import print_table


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("size")(size)


def size(
    clicks_per_second: Annotated[float, typer.Argument(help="Clicks a second at the busiest.", min=0.001)],
    session_clicks: Annotated[float, typer.Option(help="Clicks of a session on average.", min=1)] = 5.0,
    session_seconds: Annotated[
        float, typer.Option(help="From a session's first click to its last on average.", min=0)
    ] = 300.0,
    items: Annotated[int, typer.Option(help="Items of the catalogue.", min=1)] = 100_000,
    worker_rate: Annotated[
        float,
        typer.Option(help="Clicks a second of one worker on your machines: `make bench` says it.", min=1),
    ] = Figures().worker_clicks_s,
    replication: Annotated[int, typer.Option(help="Copies of each topic.", min=1)] = 3,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """How many workers and partitions, how much memory and disk a stream asks for.

    Computed from figures that were measured (docs/sizing.md); the window and the index's size are those of
    the settings, as a worker would read them.

    For example:

      nextclick size 2000

      nextclick size 20000 --items 2000000 --worker-rate 9000 --json

      NEXTCLICK_INDEX_SESSIONS=5000000 nextclick size 2000
    """
    settings = load_settings(config)
    stream = Stream(
        clicks_s=clicks_per_second,
        session_clicks=session_clicks,
        session_s=session_seconds,
        items=items,
        index_sessions=settings.index_sessions,
        gap_s=settings.gap_s,
        grace_s=settings.grace_s,
        rocksdb_cache_mb=settings.rocksdb_cache_mb,
        scoring_threads=settings.scoring_threads,
        replication_factor=replication,
    )
    found = size_of(stream, Figures(worker_clicks_s=worker_rate))
    if json:
        typer.echo(msgspec.json.encode({"stream": stream, "size": found}))
    else:
        print_table(["what", "how much", "why"], _rows(stream, found, worker_rate))


def _rows(stream: Stream, found: Size, worker_rate: float) -> list[tuple[str, str, str]]:
    kept = ", ".join(f"{topic} {gib:,.1f}" for topic, gib in found.day_gib.items())
    return [
        (
            "workers",
            f"{found.workers:,}",
            f"each is planned for {PLANNED_SHARE:.0%} of {worker_rate:,.0f} clicks/s; two at least",
        ),
        ("partitions", f"{found.partitions:,}", "twice the workers: their number is hard to change later"),
        (
            "open visitors",
            f"{found.open_visitors:,}",
            "held from the first click until gap and grace have passed after the last",
        ),
        (
            "the index remembers",
            _time(found.remembers_s),
            f"{stream.index_sessions:,} sessions (index_sessions) at that rate",
        ),
        (
            "memory of a worker",
            f"{found.worker_memory_mib:,.0f} MiB",
            f"of it {found.index_mib:,.0f} MiB for the index, which every worker has whole",
        ),
        ("disk of a worker", f"{found.worker_disk_mib:,.0f} MiB", "RocksDB, and two snapshots of the index"),
        (
            "learning",
            f"{found.learning_share:.1%} of a core",
            f"in each worker: it reads {found.feed_mib_s:,.2f} MiB/s of closed sessions"
            + ("; more than it can, so that its index falls behind" if found.learning_share > 1 else ""),
        ),
        (
            "written to Kafka",
            f"{found.kafka_in_mib_s:,.1f} MiB/s",
            f"by the workers, {stream.replication_factor} copies of each record, not compressed",
        ),
        ("Kafka's disks a day", f"{sum(found.day_gib.values()):,.0f} GiB", f"GiB: {kept}; until retention"),
    ]


def _time(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.0f} seconds"

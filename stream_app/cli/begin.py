"""``nextclick begin``: where a new group of workers begins to read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from stream_app.settings import load_settings
from stream_app.terminal.tables import print_table


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("begin")(begin)


def begin(
    where: Annotated[
        str,
        typer.Option("--from", metavar="earliest|latest|TIME", help="Where each partition begins."),
    ],
    config: Annotated[Path | None, typer.Option(help="TOML file of settings: the workers'.")] = None,
    bootstrap_servers: Annotated[str | None, typer.Option(help="Kafka brokers, host:port.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say where a new group begins to read the clicks; its workers then start there.

    Without it a new group begins with the oldest click. TIME is seconds or milliseconds since 1970 or ISO
    8601: each partition begins with its first record that was appended then or later. Sessions that were open
    then begin in their middle.

    The group must be new: without committed offsets and without state. To play the past once more, set
    group_id and data_dir to new ones, and sessions_topic and recommendations_topic, too: the old sessions
    topic would let the index know what came later. `nextclick topics create` makes them.

    Examples:
      nextclick begin --from 2026-03-01T00:00:00Z

      NEXTCLICK_GROUP_ID=again nextclick begin --from earliest
    """
    from stream_app.operations.beginning import begin as decide  # noqa: PLC0415 -- aiokafka, not for --help

    settings = load_settings(config, bootstrap_servers=bootstrap_servers)
    beginnings = asyncio.run(decide(settings, where))
    if as_json:
        typer.echo(msgspec.json.encode({"group_id": settings.group_id, "partitions": beginnings}))
        return
    rows = [(str(one.partition), str(one.offset), str(one.left)) for one in beginnings]
    print_table(["partition", "begins at offset", "records from there"], rows)
    typer.echo(f"the group {settings.group_id!r} begins there; start its workers with `nextclick worker`")

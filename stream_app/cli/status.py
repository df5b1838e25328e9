"""``nextclick status``: how a worker is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from stream_app.operations.status import PartitionStatus, Reading, Status, read_status
from stream_app.settings import load_settings
from stream_app.terminal.tables import print_table


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("status")(status)


def status(
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings: address and token of the worker.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Ask the worker there, in place of metrics_host and metrics_port.")
    ] = None,
    json: Annotated[  # noqa: FBT002 -- a flag of the command line
        bool, typer.Option("--json", help="Print what the worker says, one JSON object.")
    ] = False,
) -> None:
    """Ask a running worker how it is: ready or not and why, its partitions, its index, its recovery.

    Exits with 0 when it is ready, with 1 when it is not, and with 2 when none answers.

    Examples:
      nextclick status

      nextclick status --url http://10.0.0.7:9464

      NEXTCLICK_HTTP_TOKEN=… nextclick status --json
    """
    found = read_status(load_settings(config), url)
    if json:
        typer.echo(msgspec.json.encode(found))
    else:
        _print(found)
    if not found.ready:
        raise typer.Exit(1)


def _print(found: Status) -> None:
    index = found.index
    rows = [
        ("ready", "yes" if found.ready else "no: " + "; ".join(found.waits_for)),
        ("alive", found.liveness if found.live else f"no: {found.liveness}"),
        ("up for", _seconds(found.uptime_s)),
        ("version, group", f"{found.version}, {found.group}"),
        ("settings", f"fingerprint {found.fingerprint}"),
        ("index", f"{index.sessions:,} sessions of {index.items:,} items, {index.bytes / 2**20:,.1f} MiB"),
        ("index offset", f"{index.offset:,}, {index.lag:,} behind{_left(index.reading)}"),
        ("snapshot", _snapshot(found)),
        ("state", f"{found.recovery.done:,} changelog records restored{_left(found.recovery)}"),
    ]
    if found.seen_s > 5:  # noqa: PLR2004 -- it is seen each second
        rows.insert(0, ("seen", f"{_seconds(found.seen_s)} ago"))
    print_table(["", ""], rows)
    if found.partitions:
        columns = ["partition", "finished to", "end", "lag", "open sessions", "does"]
        print_table(columns, [_cells(partition) for partition in found.partitions])
    else:
        typer.echo("no partitions are assigned")


def _cells(partition: PartitionStatus) -> tuple[str, ...]:
    numbers = (partition.finished, partition.end, partition.lag, partition.open_sessions)
    return (
        str(partition.partition),
        *("" if number is None else f"{number:,}" for number in numbers),
        partition.phase,
    )


def _left(reading: Reading) -> str:
    if not reading.left:
        return ""
    about = "" if reading.seconds_left is None else f", about {_seconds(reading.seconds_left)}"
    return f"; {reading.left:,} left at {reading.a_second:,.0f} a second{about}"


def _snapshot(found: Status) -> str:
    age_s = found.index.snapshot_age_s
    return "none" if age_s is None else f"up to offset {found.index.snapshot_offset:,}, {_seconds(age_s)} old"


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"

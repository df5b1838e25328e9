"""``nextclick forget``: visitors that are to be forgotten."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from core.errors import SettingsError
from stream_app.settings import load_settings
from stream_app.terminal.reading_progress import ReadingProgress
from stream_app.terminal.tables import print_table

if TYPE_CHECKING:
    from stream_app.operations.forgetting import Report


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("forget")(forget)


def forget(
    visitors: Annotated[list[str] | None, typer.Argument(help="Who, as in the clicks.")] = None,
    file: Annotated[
        typer.FileText | None, typer.Option(help="A file with a visitor a line; - is the standard input.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings: the workers'.")] = None,
    bootstrap_servers: Annotated[str | None, typer.Option(help="Kafka brokers, host:port.")] = None,
    timeout: Annotated[
        float, typer.Option(help="Wait so long since the last progress, seconds; 0: do not wait.", min=0)
    ] = 60.0,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is; write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Forget visitors: their open sessions, and what was learnt from them.

    Their producers should have stopped first: a visitor who clicks again begins anew. The request goes into
    every partition of the clicks topic; when its worker comes to it, the open session is dropped without
    being closed, and every index, now or rebuilt later, leaves out the sessions that began before. Where the
    sessions topic is compacted, these sessions are erased from it, too.

    What the topics keep, and for how long, is printed at the end; docs/privacy.md says more. The names are
    not printed or logged.

    Exits with 0 when every partition has obeyed, or with --timeout 0, with 1 when not all have within the
    timeout: the requests stay in the log and are obeyed when their worker comes to them.

    Examples:
      nextclick forget v1 v2

      nextclick forget --file visitors.txt --dry-run

      nextclick forget --file - --json < visitors.txt
    """
    settings = load_settings(config, bootstrap_servers=bootstrap_servers)
    names = [*(visitors or ())]
    try:
        names += [line.rstrip("\r\n") for line in file or () if line.strip()]
    except UnicodeDecodeError as error:
        raise SettingsError(f"--file is no UTF-8 text: {error}") from None
    from stream_app.operations.forgetting import forget as have_forgotten  # noqa: PLC0415 -- aiokafka, not for --help
    from stream_app.operations.forgetting import look  # noqa: PLC0415 -- the same

    with ReadingProgress() as progress:
        report = asyncio.run(
            look(settings, names, progress.update)
            if dry_run
            else have_forgotten(settings, names, wait_s=timeout, on_progress=progress.update)
        )
    if as_json:
        typer.echo(msgspec.json.encode(report))
    else:
        _print(report, timeout, dry_run=dry_run)
    if report.waiting and timeout:
        raise typer.Exit(1)


def _print(report: Report, timeout: float, *, dry_run: bool) -> None:
    who = f"{report.visitors:,} visitor{'s' * (report.visitors != 1)}"
    if dry_run:
        typer.echo(
            f"{who}, of whom the sessions topic has {report.sessions:,} closed sessions; nothing written"
        )
    elif report.obeyed == report.requests:
        typer.echo(f"{who} forgotten: obeyed in every partition, {report.requests:,} requests in all")
    else:
        why = f"within {timeout:g} s" if timeout else "yet, as far as is known"
        places = ", ".join(map(str, report.waiting))
        typer.echo(
            f"{who} asked for, {report.obeyed:,} of {report.requests:,} requests obeyed; not {why} in "
            f"partition {places}: is a worker of this version running, and how far is it? "
            "`nextclick topics lag` says so"
        )
    if report.erased:
        typer.echo(f"{report.erased:,} of their closed sessions were given a tombstone in the sessions topic")
    print_table(["topic", "keeps", "until"], [(one.topic, one.what, one.until) for one in report.kept])

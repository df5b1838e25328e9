"""``nextclick worker``: answer clicks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from stream_app.scoring_file import scoring_table
from stream_app.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("worker")(worker)


def worker(
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
    params: Annotated[
        Path | None, typer.Option(help="TOML file with a table `scoring`, such as `nextclick tune` writes.")
    ] = None,
    bootstrap_servers: Annotated[str | None, typer.Option(help="Kafka brokers, host:port.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of RocksDB; one for each worker.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Port of /metrics; 0 takes a free one.")] = None,
    print_settings: Annotated[  # noqa: FBT002 -- a flag of the command line
        bool, typer.Option("--print-settings", help="Print all settings as JSON, secrets masked, and exit.")
    ] = False,
) -> None:
    """Answer every click on the input topic, until SIGTERM or Ctrl-C.

    Start as many as there are partitions at most; they share the work. Each needs a data_dir of its own.

    Examples:
      nextclick worker

      NEXTCLICK_BOOTSTRAP_SERVERS=kafka:9092 NEXTCLICK_GAP_S=1800 nextclick worker

      nextclick worker --config nextclick.toml --params tuned.toml

      nextclick worker --config nextclick.toml --print-settings
    """
    settings = load_settings(
        config,
        bootstrap_servers=bootstrap_servers,
        data_dir=data_dir,
        metrics_port=metrics_port,
        scoring=None if params is None else scoring_table(params),
    )
    if print_settings:
        typer.echo(json.dumps(settings.public(), indent=2))
        return
    from stream_app.compiled import use_kernels  # noqa: PLC0415 -- before any kernel is imported

    use_kernels(settings)
    from stream_app.worker.app import run_worker  # noqa: PLC0415 -- imports the kernels

    run_worker(settings)

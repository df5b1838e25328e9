"""The command line: ``nextclick``."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import version
from types import FrameType
from typing import Annotated

import typer

from core.errors import NextclickError
from stream_app.cli import (
    begin,
    dead_letters,
    demo,
    evaluate,
    explain,
    forget,
    kafka,
    kernels,
    replay,
    size,
    status,
    topics,
    tune,
    worker,
)

app = typer.Typer(
    name="nextclick",
    help="Answer every click on a Kafka topic with the items that this visitor most likely wants next.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# One name a command; each module has a `register`.
for command in (
    demo,
    worker,
    status,
    topics,
    begin,
    replay,
    explain,
    forget,
    dead_letters,
    evaluate,
    kafka,
    tune,
    size,
    kernels,
):
    command.register(app)


def main() -> None:
    """Run the command line.

    An error that nextclick raises on purpose is one sentence on stderr and exit code 2.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(args=sys.argv[1:] or ["--help"])
    except NextclickError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's own way to call it
    if wanted:
        typer.echo(f"nextclick {version('nextclick')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    del show_version  # _print_version has dealt with it


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """Unwind on SIGTERM, so that a broker that a command has started is stopped with it."""
    raise SystemExit(128 + signal.SIGTERM)

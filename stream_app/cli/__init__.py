"""The command line: ``nextclick``."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import version
from types import FrameType
from typing import Annotated

import typer

from core.errors import NextclickError
from stream_app.cli import kafka, topics

app = typer.Typer(
    name="nextclick",
    help="Answer every click on a Kafka topic with the items that this visitor most likely wants next.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# In the order of the help.
for command in (topics, kafka):
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


@app.callback()
def _options(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if show_version:
        typer.echo(f"nextclick {version('nextclick')}")
        raise typer.Exit


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """Unwind on SIGTERM, so that a broker that a command has started is stopped with it."""
    raise SystemExit(128 + signal.SIGTERM)

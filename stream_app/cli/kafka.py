"""``nextclick kafka``: a local Apache Kafka in the foreground."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from core.errors import BrokerError
from stream_app.kafka import jars as kafka_jars
from stream_app.kafka.brokers import local_kafka
from stream_app.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(kafka)


def kafka(
    data: Annotated[
        Path, typer.Option(help="Folder of its data and its log; started there again, it finds its topics.")
    ] = Path("nextclick-kafka"),
    port: Annotated[
        int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)
    ] = 9092,
) -> None:
    """Run a local Apache Kafka until Ctrl-C, for trying out and for tests.

    It needs Java 17 and, the first time, Maven, which fetches 43 MB. It listens on this machine only.

    For example:

      nextclick kafka

      nextclick kafka --data /var/tmp/kafka --port 19092
    """
    cache = load_settings().cache_dir
    if not kafka_jars.are_fetched(cache):
        typer.echo(f"fetching Apache Kafka {kafka_jars.KAFKA_VERSION} (43 MB, once)", err=True)
    with local_kafka(data, cache=cache, port=port, lives_long=True) as broker:
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        typer.echo(f"Apache Kafka {kafka_jars.KAFKA_VERSION} at {broker.bootstrap}")
        typer.echo(f"data and log in {data.absolute()} ({broker.log.name})")
        typer.echo("next: `nextclick topics create`; Ctrl-C stops Kafka and keeps its data")
        while not stopped.wait(0.5):
            if not broker.running:
                raise BrokerError(f"Apache Kafka has died; its log ends:\n{broker.log_tail()}")
    typer.echo("stopped")

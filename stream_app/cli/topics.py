"""``nextclick topics``: make the topics, and check those that exist."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from stream_app import topics as kafka_topics
from stream_app.settings import load_settings
from stream_app.terminal.tables import print_table
from stream_app.topics import Problem

Config = Annotated[
    Path | None,
    typer.Option(help="Settings file (TOML); NEXTCLICK_… variables win over it.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]

_topics = typer.Typer(
    no_args_is_help=True, help="Make the Kafka topics that are needed, or check those that exist."
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_topics, name="topics")


@_topics.command()
def create(config: Config = None, *, json: Json = False) -> None:
    """Make the topics that are missing; those that exist are left as they are.

    Exits with 1 when a worker would refuse one that exists as it is.

    For example:

      nextclick topics create

      NEXTCLICK_BOOTSTRAP_SERVERS=kafka:9092 NEXTCLICK_PARTITIONS=12 nextclick topics create
    """
    settings = load_settings(config)
    created = asyncio.run(kafka_topics.create(settings))
    problems = asyncio.run(kafka_topics.check(settings))
    if json:
        typer.echo(msgspec.json.encode({"created": created, "problems": problems}))
    else:
        names = kafka_topics.wanted_topics(settings)
        print_table(["topic", ""], [(name, "created" if name in created else "existed") for name in names])
        _print_problems(problems)
    _exit(problems)


@_topics.command()
def check(config: Config = None, *, json: Json = False) -> None:
    """Say what is wrong with the topics, and what to do; exit with 1 when a worker would not start so.

    For example:

      nextclick topics check

      nextclick topics check --config nextclick.toml --json
    """
    settings = load_settings(config)
    problems = asyncio.run(kafka_topics.check(settings))
    if json:
        typer.echo(msgspec.json.encode({"problems": problems}))
    elif problems:
        _print_problems(problems)
    else:
        names = ", ".join(kafka_topics.wanted_topics(settings))
        typer.echo(f"all topics are as they should be: {names}")
    _exit(problems)


def _print_problems(problems: list[Problem]) -> None:
    if problems:
        print_table(
            ["", "topic", "expected", "found", "what to do"],
            [("error" if p.refuses else "warning", p.topic, p.expected, p.found, p.advice) for p in problems],
        )


def _exit(problems: list[Problem]) -> None:
    if any(problem.refuses for problem in problems):
        raise typer.Exit(1)

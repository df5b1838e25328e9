"""``nextclick topics``: make the topics, check those that exist, and see how far the workers are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from stream_app.kafka import topics as kafka_topics
from stream_app.kafka.acls import ROLES, commands, permissions
from stream_app.kafka.lag import group_lag, topic_states, total
from stream_app.kafka.topics import Problem
from stream_app.operations.trimming import trim as trim_sessions
from stream_app.settings import load_settings
from stream_app.terminal.tables import print_table

Config = Annotated[
    Path | None,
    typer.Option(help="Settings file (TOML); NEXTCLICK_… variables win over it.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]

_topics = typer.Typer(
    no_args_is_help=True,
    help="Make the Kafka topics that are needed, check them, and see how far the workers are.",
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


@_topics.command("list")
def list_topics(config: Config = None, *, json: Json = False) -> None:
    """List the topics of the settings that exist: how large they are, and how long records are kept.

    For example:

      nextclick topics list
    """
    settings = load_settings(config)
    states = asyncio.run(topic_states(settings))
    if json:
        typer.echo(msgspec.json.encode({"topics": states}))
        return
    print_table(
        ["topic", "partitions", "replicas", "records", "kept until"],
        [(one.topic, str(one.partitions), str(one.replicas), f"{one.records:,}", one.kept) for one in states],
    )


@_topics.command()
def lag(config: Config = None, *, json: Json = False) -> None:
    """Say how far the group of workers is in each partition of the clicks, by what it has committed.

    Asked twice, a partition whose committed offset stands while its end moves on is stuck. Workers commit
    once in commit_interval_s, so a lag of a second's clicks is none.

    For example:

      nextclick topics lag

      nextclick topics lag --json
    """
    settings = load_settings(config)
    lags = asyncio.run(group_lag(settings))
    if json:
        said = {"group_id": settings.group_id, "lag": total(lags), "partitions": lags}
        typer.echo(msgspec.json.encode(said))
        return
    print_table(
        ["partition", "oldest", "committed", "end", "lag"],
        [
            (
                str(one.partition),
                f"{one.begin:,}",
                "not begun" if one.committed is None else f"{one.committed:,}",
                f"{one.end:,}",
                f"{one.lag:,}",
            )
            for one in lags
        ],
    )
    typer.echo(
        f"the group {settings.group_id!r} has {total(lags):,} records of {settings.clicks_topic} to go"
    )
    for one in lags:
        if one.lost:
            typer.echo(
                f"partition {one.partition}: retention has removed {one.lost:,} records that the group had "
                "not come to",
                err=True,
            )


@_topics.command()
def trim(
    keep: Annotated[
        int | None,
        typer.Option(
            help="Records to keep; twice index_sessions where it is not given, and no fewer than that.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    json: Json = False,
) -> None:
    """Delete the oldest closed sessions from their topic, which keeps them all otherwise.

    The index is the same without them, also one that is made anew. What is lost are the means to compute
    answers of that time again with `nextclick explain`. Where several groups of workers read the topic, the
    greatest index_sessions counts.

    For example:

      nextclick topics trim --dry-run

      nextclick topics trim --keep 5000000
    """
    settings = load_settings(config)
    done = asyncio.run(trim_sessions(settings, keep, dry_run=dry_run))
    if json:
        typer.echo(msgspec.json.encode(done))
    else:
        verb = "would be" if dry_run else "were"
        typer.echo(f"{done.deleted:,} records of {done.topic} {verb} deleted, {done.kept:,} are kept")


@_topics.command()
def acls(
    principal: Annotated[
        str,
        typer.Option(
            help="Who is to be permitted, as Kafka knows them: User:NAME, User:CN=… by certificate."
        ),
    ],
    role: Annotated[str, typer.Option(help="What they do: " + ", ".join(ROLES) + ".")] = "worker",
    config: Config = None,
    *,
    json: Json = False,
) -> None:
    """Print the commands that permit a user the least with which a role works; nothing is changed.

    Topics and group are those of the settings. An administrator runs the commands, which are Apache Kafka's
    own, with --command-config where the brokers want a login.

    For example:

      nextclick topics acls --principal User:worker

      nextclick topics acls --principal User:shop --role producer

      nextclick topics acls --principal User:ops --role explain --json
    """
    settings = load_settings(config)
    needed = permissions(settings, role)
    if json:
        rows = [one._asdict() for one in needed]
        typer.echo(msgspec.json.encode({"principal": principal, "role": role, "permissions": rows}))
    else:
        for command in commands(needed, principal, settings.bootstrap_servers):
            typer.echo(command)


def _print_problems(problems: list[Problem]) -> None:
    if problems:
        print_table(
            ["", "topic", "expected", "found", "what to do"],
            [("error" if p.refuses else "warning", p.topic, p.expected, p.found, p.advice) for p in problems],
        )


def _exit(problems: list[Problem]) -> None:
    if any(problem.refuses for problem in problems):
        raise typer.Exit(1)

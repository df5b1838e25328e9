"""``nextclick explain``: one answer computed anew from the topics."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from stream_app.scoring_file import scoring_table
from stream_app.settings import load_settings
from stream_app.terminal.reading_progress import ReadingProgress
from stream_app.terminal.tables import print_table

if TYPE_CHECKING:
    from core.answers import Answer
    from stream_app.operations.explain import Compared, Explanation


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("explain")(explain)


def explain(
    partition: Annotated[int, typer.Option(help="Of the click, in the clicks topic.", min=0)],
    offset: Annotated[int, typer.Option(help="Of the click, in its partition.", min=0)],
    config: Annotated[Path | None, typer.Option(help="TOML file of settings: the worker's.")] = None,
    params: Annotated[
        Path | None, typer.Option(help="TOML file with a table `scoring`, if the worker has one.")
    ] = None,
    bootstrap_servers: Annotated[str | None, typer.Option(help="Kafka brokers, host:port.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Compute the answer to one click anew from the topics, and show that it is the same.

    The partition's log says what the session was, the sessions topic what the index had learnt by then, and
    the settings name the parameters; so give the settings that the worker has. It reads the three topics from
    their beginning and writes nothing. Every answer says which click it is to: "click": {"partition": 3,
    "offset": 41}.

    Exits with 0 when each item, score and reason comes out bit for bit as it was given, with 1 when one does
    not, with 2 when the click has no answer or the topics do not reach back so far.

    Examples:
      nextclick explain --partition 3 --offset 41

      nextclick explain --partition 3 --offset 41 --config nextclick.toml --json
    """
    settings = load_settings(
        config,
        bootstrap_servers=bootstrap_servers,
        scoring=None if params is None else scoring_table(params),
    )
    from stream_app.compiled import use_kernels  # noqa: PLC0415 -- before any kernel is imported

    use_kernels(settings)
    from stream_app.operations.explain import explain as compute  # noqa: PLC0415 -- imports the kernels

    with ReadingProgress() as progress:
        explanation = asyncio.run(compute(settings, partition, offset, progress.update))
    if as_json:
        typer.echo(msgspec.json.encode({"same": explanation.same, **msgspec.to_builtins(explanation)}))
    else:
        _print(explanation)
    if not explanation.same:
        raise typer.Exit(1)


def _print(explanation: Explanation) -> None:
    typer.echo(
        f"click {explanation.partition}-{explanation.offset}: visitor {explanation.visitor!r} on "
        f"{explanation.item!r}, {explanation.outcome} session {explanation.session}"
    )
    typer.echo(f"the session as of this click: {', '.join(map(repr, explanation.items)) or 'empty'}")
    if explanation.erased:
        typer.echo(
            f"up to {explanation.erased} records that the index had taken in are gone from the sessions "
            "topic since: what comes out may differ"
        )
    for compared in explanation.answers:
        typer.echo("")
        _print_compared(compared)


def _print_compared(compared: Compared) -> None:
    given, again = compared.given, compared.again
    typer.echo(
        f"answer at offset {compared.offset}: parameters {given.parameters!r}, index of the first "
        f"{given.index_offset} sessions"
    )
    rows = []
    for rank in range(max(len(given.items), len(again.items))):
        one = (given.items if rank < len(given.items) else again.items)[rank]
        same = given.items[rank : rank + 1] == again.items[rank : rank + 1]
        rows.append(
            (
                str(rank + 1),
                one.item,
                repr(one.score),
                one.source,
                str(one.sessions),
                one.shared or "",
                "same" if same else f"differs: {_now(again, rank)}",
            )
        )
    print_table(["", "item", "score", "source", "sessions", "with", "computed anew"], rows)
    for difference in compared.differences:
        typer.echo(f"differs: {difference}")
    if not compared.differences:
        typer.echo("same: every item, score and reason comes out as it was given")


def _now(again: Answer, rank: int) -> str:
    if rank >= len(again.items):
        return "none"
    one = again.items[rank]
    return f"{one.item}, {one.score!r}, {one.source}, {one.sessions}, {one.shared or ''}"

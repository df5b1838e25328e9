"""``nextclick dead-letters``: what could not be used, why, and sending it once more."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from core.errors import BadClickError, SettingsError
from core.window.clicks import parse_time_ms
from core.window.placement import LETTER_REASONS
from stream_app.settings import load_settings
from stream_app.terminal.reading_progress import ReadingProgress
from stream_app.terminal.tables import print_table

if TYPE_CHECKING:
    from stream_app.operations.dead_letters import Letter, Wanted

#: Bytes of a value that are shown.
SHOWN_BYTES = 4000

Config = Annotated[Path | None, typer.Option(help="TOML file of settings: the workers'.")]
Servers = Annotated[str | None, typer.Option(help="Kafka brokers, host:port.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only of this reason; may be repeated.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only those appended then or later: ISO 8601, or seconds since 1970."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only those appended before.")]
From = Annotated[int, typer.Option("--from", min=0, help="Offset of the first that is looked at.")]
To = Annotated[int | None, typer.Option("--to", min=0, help="Offset behind the last that is looked at.")]

_letters = typer.Typer(
    no_args_is_help=True,
    help="Look at the records that could not be used, and send them once more. Retention of the dead-letters "
    "topic removes them; nothing here does.",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_letters, name="dead-letters")


@_letters.command("list")
def list_letters(
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    begin: From = 0,
    end: To = None,
    limit: Annotated[int, typer.Option(help="Letters to show, the newest.", min=0)] = 20,
    config: Config = None,
    bootstrap_servers: Servers = None,
    *,
    as_json: Json = False,
) -> None:
    """Count dead letters by reason, and show the newest: when, why, and where they came from.

    Keys and values, which name visitors, are shown by `nextclick dead-letters show` only.

    Examples:
      nextclick dead-letters list

      nextclick dead-letters list --reason not_json --since 2026-03-01T08:00:00Z --limit 100

      nextclick dead-letters list --limit 0 --json
    """
    settings = load_settings(config, bootstrap_servers=bootstrap_servers)
    from stream_app.operations.dead_letters import list_letters as read  # noqa: PLC0415 -- aiokafka, not for --help

    with ReadingProgress() as progress:
        listed = asyncio.run(
            read(settings, _wanted(reason, since, until, begin, end), limit, progress.update)
        )
    if as_json:
        letters = [_public(letter) for letter in listed.letters]
        typer.echo(msgspec.json.encode({**msgspec.to_builtins(listed), "letters": letters}))
        return
    count = sum(listed.by_reason.values())
    typer.echo(
        f"{settings.dead_letters_topic}, offsets {listed.begin} to {listed.end}: {count:,} dead letters"
    )
    if listed.by_reason:
        print_table(["reason", "count"], [(name, f"{n:,}") for name, n in listed.by_reason.items()])
    if listed.letters:
        print_table(
            ["offset", "appended", "reason", "click", "sent again from", "error"],
            [
                (
                    str(letter.offset),
                    _iso(letter.time_ms),
                    letter.reason,
                    f"{letter.partition}-{letter.from_offset}",
                    letter.replayed_from,
                    letter.error,
                )
                for letter in listed.letters
            ],
        )


@_letters.command()
def show(
    offset: Annotated[int, typer.Argument(help="Of the letter, in the dead-letters topic.", min=0)],
    config: Config = None,
    bootstrap_servers: Servers = None,
    *,
    as_json: Json = False,
) -> None:
    """Show one dead letter whole: key and value as they came.

    Bytes that are no text are shown as Python writes them; with --json key and value are base64.

    Examples:
      nextclick dead-letters show 1234
    """
    settings = load_settings(config, bootstrap_servers=bootstrap_servers)
    from stream_app.operations.dead_letters import letter_at  # noqa: PLC0415 -- aiokafka, not for --help

    letter = asyncio.run(letter_at(settings, offset))
    if as_json:
        typer.echo(msgspec.json.encode(letter))
        return
    where = f"{letter.topic} partition {letter.partition}, offset {letter.from_offset}"
    typer.echo(f"{letter.reason}: {letter.error}")
    typer.echo(f"appended {_iso(letter.time_ms)}, came from {where}")
    if letter.replayed_from:
        typer.echo(f"it had been sent again; it first came as {letter.replayed_from}")
    typer.echo(f"key: {_text(letter.key)}")
    typer.echo(f"value, {len(letter.value or b''):,} bytes: {_text(letter.value)}")


@_letters.command()
def replay(
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    begin: From = 0,
    end: To = None,
    config: Config = None,
    bootstrap_servers: Servers = None,
    *,
    late: Annotated[bool, typer.Option("--late", help="Late ones, too; they will be late again.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also those that were sent again before, and came back.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be sent; send nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send dead letters to the clicks topic once more: key and value as they came, where they came from.

    For when the cause is mended: a newer version, a larger max_value_bytes, another `unkeyed`. What is still
    bad becomes a dead letter again, and is left out next time. Left out are, too: late ones, which would be
    late again; letters that are there twice; and those of visitors who were forgotten since.

    At the end it says up to which offset it read: begin there next time, by --from. A click that is sent
    twice all the same counts once in its session.

    Examples:
      nextclick dead-letters replay --reason too_large --dry-run

      nextclick dead-letters replay --reason too_large

      nextclick dead-letters replay --from 1234
    """
    settings = load_settings(config, bootstrap_servers=bootstrap_servers)
    wanted = _wanted(reason, since, until, begin, end)
    from stream_app.operations.dead_letters import LATE, replay_letters  # noqa: PLC0415 -- aiokafka, not for --help

    if LATE in wanted.reasons and not late:
        raise SettingsError(
            "a late click is late again: its partition's event time is past it. If it is to be sent all the "
            "same (to a group that begins anew, say), add --late"
        )
    with ReadingProgress() as progress:
        report = asyncio.run(
            replay_letters(
                settings, wanted, late=late, again=again, dry_run=dry_run, on_progress=progress.update
            )
        )
    if as_json:
        typer.echo(msgspec.json.encode({"dry_run": dry_run, **msgspec.to_builtins(report)}))
        return
    done = "would be sent" if dry_run else "sent"
    typer.echo(f"{sum(report.sent.values()):,} dead letters {done} to {settings.clicks_topic}")
    rows = [(name, done, f"{n:,}") for name, n in report.sent.items()]
    rows += [(name, "left out", f"{n:,}") for name, n in report.left_out.items()]
    if rows:
        print_table(["", "", "count"], rows)
    typer.echo(f"read from offset {report.begin} to {report.end}; next time: --from {report.end}")


def _wanted(
    reasons: list[str] | None, since: str | None, until: str | None, begin: int, end: int | None
) -> Wanted:
    from stream_app.operations.dead_letters import Wanted  # noqa: PLC0415 -- aiokafka, not for --help

    for given in reasons or ():
        if given not in LETTER_REASONS:
            raise SettingsError(f"--reason {given!r}: expected one of {', '.join(LETTER_REASONS)}")
    until_ms = None if until is None else _time_ms("--until", until)
    return Wanted(frozenset(reasons or ()), _time_ms("--since", since) if since else 0, until_ms, begin, end)


def _time_ms(option: str, text: str) -> int:
    try:
        return parse_time_ms(text)
    except BadClickError as error:
        raise SettingsError(f"{option} {text!r}: expected a time; {error.detail}") from None


def _public(letter: Letter) -> dict[str, Any]:
    """A letter without what names a visitor."""
    said: dict[str, Any] = msgspec.to_builtins(letter)
    return {name: value for name, value in said.items() if name not in {"key", "value"}}


def _text(value: bytes | None) -> str:
    if value is None:
        return "none"
    more = f" … and {len(value) - SHOWN_BYTES:,} bytes more" if len(value) > SHOWN_BYTES else ""
    shown = value[:SHOWN_BYTES]
    try:
        return shown.decode("utf-8") + more
    except UnicodeDecodeError:
        return repr(shown) + more


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

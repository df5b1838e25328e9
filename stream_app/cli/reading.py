"""Options that several commands have for reading a file, each with its help once."""

from __future__ import annotations

from typing import Annotated

import typer

from stream_app.evaluate.data import FileFormat, ReadOptions
from stream_app.settings import Settings

SessionColumn = Annotated[
    str | None, typer.Option("--session", "--session-column", help="column of the session", metavar="COL")
]
VisitorColumn = Annotated[
    str | None,
    typer.Option(
        "--visitor",
        "--visitor-column",
        help="column of the visitor; sessions are then found by the window",
        metavar="COL",
    ),
]
ItemColumn = Annotated[
    str | None, typer.Option("--item", "--item-column", help="column of the item", metavar="COL")
]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        "--time",
        "--time-column",
        help="column of the time, or columns: date+time, year+month+day",
        metavar="COL",
    ),
]
ClickIdColumn = Annotated[
    str | None, typer.Option("--id", help="column of the click's own identity", metavar="COL")
]
ColumnNames = Annotated[
    str | None,
    typer.Option(help="names of the columns of a file without a header, apart by commas", metavar="NAMES"),
]
SessionFileFormat = Annotated[
    FileFormat, typer.Option("--format", help="how the file is written; lines: one session a line")
]
ByGap = Annotated[
    bool, typer.Option("--by-gap", help="find sessions by the window though there is a session column")
]
Gap = Annotated[float | None, typer.Option(help="in place of the setting gap_s, seconds", metavar="SECONDS")]


def column_names(text: str | None) -> list[str] | None:
    """The names of ``--columns``; None where it is not given."""
    return None if text is None else [name.strip() for name in text.split(",")]


def read_options(
    settings: Settings,
    *,
    file_format: FileFormat,
    session: str | None,
    visitor: str | None,
    item: str | None,
    time: str | None,
    click_id: str | None,
    columns: str | None,
    by_gap: bool,
) -> ReadOptions:
    """How sessions are to be read, from the options above; the window is that of the settings."""
    return ReadOptions(
        file_format=file_format,
        session=session,
        visitor=visitor,
        item=item,
        time=time,
        id=click_id,
        names=column_names(columns),
        by_gap=by_gap,
        rules=settings.window_rules(),
    )

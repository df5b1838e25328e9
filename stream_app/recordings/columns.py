"""Which column of a file is what of a click, and the click of a row."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from core.errors import BadClickError, ReplayError
from core.window.clicks import Click, parse_time_ms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stream_app.recordings.rows import Value

#: Names that a column goes by, letters and digits in lower case; an earlier one is taken before a later one.
#: A person is taken before a session: the sessions are found by nextclick, by the gap between clicks.
KNOWN_NAMES: Mapping[str, tuple[str, ...]] = {
    "visitor": (
        *("visitor", "visitorid", "user", "userid", "customer", "customerid", "client", "clientid"),
        *("session", "sessionid", "usersession"),
    ),
    "item": (
        *("item", "itemid", "product", "productid", "sku", "article", "articleid", "movie", "movieid"),
        *("content", "contentid"),
    ),
    "time": ("time", "timestamp", "ts", "eventtime", "datetime", "date"),
    "id": ("id", "eventid", "clickid"),
    "action": ("action", "event", "eventtype", "type", "behavior", "behaviour"),
}
_NEEDED = ("visitor", "item", "time")

#: Joins the columns of a time that is spread over several: ``date+time`` or ``year+month+day``.
TIME_JOINER = "+"
_SEPARATORS = {2: "T", 3: "-"}  # in ISO 8601, by the number of columns


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a click is made of, by the names in the file.

    Args:
        visitor: who.
        item: what.
        time: when; or two columns, the date and the time of day; or three: year, month and day.
        id: the click's own identity, if the file has one.
        action: what was done, if the file says it.
    """

    visitor: str
    item: str
    time: str | tuple[str, ...]
    id: str | None = None
    action: str | None = None

    def names(self) -> list[str]:
        """All the columns that are read."""
        time = (self.time,) if isinstance(self.time, str) else self.time
        return [name for name in (self.visitor, self.item, *time, self.id, self.action) if name is not None]

    def __str__(self) -> str:
        """Such as ``visitor=user_id item=product_id time=event_time``."""
        chosen = {field.name: getattr(self, field.name) for field in fields(self)}
        return " ".join(
            f"{part}={name if isinstance(name, str) else TIME_JOINER.join(name)}"
            for part, name in chosen.items()
            if name is not None
        )


def guess_columns(header: Sequence[str], **chosen: str | None) -> Columns:
    """Choose the columns of a click by their names; letter case, spaces and punctuation do not matter.

    Args:
        header: the names of the file's columns.
        chosen: ``visitor``, ``item``, ``time``, ``id`` or ``action`` given by a person; None means guess.

    Raises:
        ReplayError: a chosen column is not there, or no known name stands for a needed one; says which
            columns there are and which options to use.
    """
    found: dict[str, str | tuple[str, ...]] = {}
    for part, name in chosen.items():
        if name is not None:
            found[part] = _find_time(name, header) if part == "time" else find_column(name, header, part)
    taken = {name for value in found.values() for name in ([value] if isinstance(value, str) else value)}
    missing = []
    for part, known in KNOWN_NAMES.items():
        if part in found:
            continue
        plain = {_plain(name): name for name in reversed(header) if name not in taken}
        guess = next((plain[name] for name in known if name in plain), None)
        if guess is not None:
            found[part] = guess
        elif part in _NEEDED:
            missing.append(part)
    if missing:
        raise ReplayError(_say_missing(missing, header))
    return Columns(**found)  # type: ignore[arg-type]  # only "time" is ever a tuple


def other_visitors(header: Sequence[str], columns: Columns) -> list[str]:
    """Columns that could have been the visitor too, for a person to know what was chosen among."""
    known = KNOWN_NAMES["visitor"]
    return [name for name in header if _plain(name) in known and name not in columns.names()]


def click_of(row: Mapping[str, Value], columns: Columns) -> Click:
    """Make the click of a row.

    Numbers become their digits where a text is wanted, without a decimal point if they are whole. An empty
    id or action is none.

    Raises:
        BadClickError: a needed column is missing or empty, or the time cannot be read; names the column.
    """
    visitor = _text(row, columns.visitor)
    item = _text(row, columns.item)
    if not visitor or not item:
        name = columns.item if visitor else columns.visitor
        what = "is empty" if name in row else "is missing"
        raise BadClickError("missing_field", f"column {name!r} {what}")
    return Click(
        visitor,
        item,
        _time_ms(row, columns.time),
        _text(row, columns.id) if columns.id is not None else None,
        _text(row, columns.action) if columns.action is not None else None,
    )


def _text(row: Mapping[str, Value], name: str) -> str | None:
    value = row.get(name)
    if isinstance(value, str):
        return value or None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None  # how tables say that nothing is there
        return str(int(value)) if value.is_integer() else repr(value)
    return None if value is None else str(value)


def _time_ms(row: Mapping[str, Value], name: str | tuple[str, ...]) -> int:
    time = row.get(name) if isinstance(name, str) else _join_time([row.get(part) for part in name])
    shown = name if isinstance(name, str) else TIME_JOINER.join(name)
    if time is None or time == "":
        raise BadClickError("bad_time", f"column {shown!r} is empty or missing")
    try:
        return parse_time_ms(time)
    except BadClickError as error:
        raise BadClickError(error.reason, f"column {shown!r}: {error.detail}") from None


def _join_time(parts: Sequence[Value]) -> str | None:
    """ISO 8601 from the parts of a time, or None where one is empty."""
    texts = ["" if part is None else str(part).strip() for part in parts]
    return _SEPARATORS[len(texts)].join(text.zfill(2) for text in texts) if all(texts) else None


def _find_time(name: str, header: Sequence[str]) -> str | tuple[str, ...]:
    if name in header or TIME_JOINER not in name:
        return find_column(name, header, "time")
    parts = tuple(find_column(part, header, "time") for part in name.split(TIME_JOINER))
    if len(parts) not in _SEPARATORS:
        raise ReplayError(f"--time {name!r}: expected one column, date+time or year+month+day")
    return parts


def find_column(name: str, header: Sequence[str], option: str) -> str:
    """The column of this name, if there is none the one that differs in letter case only.

    Raises:
        ReplayError: there is none; names the option that asked for it, and the nearest.
    """
    if name in header:
        return name
    same = [column for column in header if column.lower() == name.lower()]
    if same:
        return same[0]
    near = difflib.get_close_matches(name, header, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ReplayError(f"--{option} {name!r}: no such column{hint} The columns are: {_shown(header)}")


def _say_missing(missing: list[str], header: Sequence[str]) -> str:
    options = " ".join(f"--{part} COLUMN" for part in missing)
    message = (
        f"no column is named like the {' or the '.join(missing)} of a click; say which with {options}. "
        f"The columns are: {_shown(header)}"
    )
    if any(re.fullmatch(r"-?[0-9.]+", name) for name in header):
        message += (
            ". The first line looks like data: name the columns of a file without a header with "
            "--columns, such as --columns visitor,item,rating,time"
        )
    return message


def _shown(header: Sequence[str]) -> str:
    names = ", ".join(name if len(name) <= 60 else name[:60] + "…" for name in header[:40])  # noqa: PLR2004 - a screen
    return names if len(header) <= 40 else f"{names} and {len(header) - 40} more"  # noqa: PLR2004 - the same


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())

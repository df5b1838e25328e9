"""The click: what the input topic holds, checked once and then trusted.

On the wire a click is a JSON object ``{"visitor": "v1", "item": "i9", "time": 1396860669.277, "id": "…"?,
"action": "view"?}``; other keys are ignored. Within nextclick a click is a :class:`Click`, its time in whole
milliseconds since 1970.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Final, NoReturn

import msgspec

from core.errors import BadClickError

#: Why a record of the input topic is no click, as labels of a counter and headers of a dead letter.
BAD_REASONS: Final = (
    "null",
    "too_large",
    "not_utf8",
    "not_json",
    "wrong_type",
    "missing_field",
    "empty_string",
    "bad_time",
)

#: Why a well-formed click still ends in dead-letters; decided by the window (core.window.sessions).
WINDOW_REASONS: Final = ("late", "future")

#: From this number on a time is taken for milliseconds: as seconds it would be after the year 5138, as
#: milliseconds it is in 1973.
MILLISECONDS_FROM: Final = 1e11

#: The end of the year 9999, the last that ISO 8601 can say in four digits; milliseconds.
MAX_TIME_MS: Final = 253_402_300_799_999


#: Bytes of the longest visitor, item and id. With ``max_clicks`` it bounds what a session takes in the table
#: and on the wire: a record that Kafka refuses would stop the partition for good.
MAX_NAME_BYTES: Final = 1024

#: Bytes of the longest action.
MAX_ACTION_BYTES: Final = 64


class Click(msgspec.Struct, frozen=True, gc=False):
    """One click, checked.

    Args:
        visitor: who; 1 to :data:`MAX_NAME_BYTES` bytes of UTF-8.
        item: what; the same.
        time_ms: when, by the sender's clock: 0 to :data:`MAX_TIME_MS`, milliseconds since 1970 UTC.
        id: the sender's own identity of the click; two clicks of one session with the same id are one; at
            most :data:`MAX_NAME_BYTES` bytes.
        action: what was done ("view", "cart", …), carried along; at most :data:`MAX_ACTION_BYTES` bytes.
    """

    visitor: str
    item: str
    time_ms: int
    id: str | None = None
    action: str | None = None


class _WireClick(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    visitor: str
    item: str
    time: int | float | str
    id: str | None = None
    action: str | None = None


class Forget(msgspec.Struct, frozen=True, gc=False):
    """A request to forget a visitor; it stands in the log among the clicks.

    Args:
        visitor: who; 1 to :data:`MAX_NAME_BYTES` bytes of UTF-8.
    """

    visitor: str


_decoder = msgspec.json.Decoder(_WireClick)
_encoder = msgspec.json.Encoder()


def encode_click(click: Click) -> bytes:
    """Write a click as the input topic wants it.

    Time is in seconds with milliseconds; from the year 5138 on in milliseconds, as which it would be read.
    """
    seconds = click.time_ms / 1000
    time = seconds if seconds < MILLISECONDS_FROM else click.time_ms
    return _encoder.encode(
        _WireClick(click.visitor, click.item, time, click.id or None, click.action or None)
    )


def parse_click(value: bytes | None, max_bytes: int) -> Click:
    """Read a record's value as a click.

    Args:
        value: the bytes as they came; None is Kafka's null.
        max_bytes: a longer value is refused unread.

    Raises:
        BadClickError: with one of :data:`BAD_REASONS` and a sentence for a person.
    """
    if value is None:
        raise BadClickError("null", "expected a JSON object, came a null value")
    if len(value) > max_bytes:
        raise BadClickError("too_large", f"expected at most {max_bytes} bytes, came {len(value)}")
    try:
        wire = _decoder.decode(value)
    except msgspec.ValidationError as error:
        _refuse(value, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse_unreadable(value, str(error))
    if not wire.visitor or not wire.item:
        raise BadClickError("empty_string", f"{'item' if wire.visitor else 'visitor'} is an empty string")
    if len(value) > MAX_ACTION_BYTES:  # a short record has no long name
        _refuse_long_names(wire)
    return Click(wire.visitor, wire.item, parse_time_ms(wire.time), wire.id or None, wire.action or None)


def parse_forget(key: bytes | None) -> Forget:
    """Read the key of a record that asks to forget its visitor.

    Raises:
        BadClickError: with one of :data:`BAD_REASONS` and a sentence for a person.
    """
    if not key:
        raise BadClickError("empty_string", "a request to forget a visitor has the visitor for its key")
    if len(key) > MAX_NAME_BYTES:
        raise BadClickError("too_large", f"visitor has {len(key)} bytes, expected at most {MAX_NAME_BYTES}")
    try:
        return Forget(key.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadClickError("not_utf8", str(error)) from None


def _refuse_long_names(wire: _WireClick) -> None:
    for field, text, most in (
        ("visitor", wire.visitor, MAX_NAME_BYTES),
        ("item", wire.item, MAX_NAME_BYTES),
        ("id", wire.id, MAX_NAME_BYTES),
        ("action", wire.action, MAX_ACTION_BYTES),
    ):
        if text and len(text.encode()) > most:
            raise BadClickError(
                "too_large", f"{field} has {len(text.encode())} bytes, expected at most {most}"
            )


def parse_time_ms(time: float | str) -> int:
    """Read a time: seconds or milliseconds since 1970 as a number or its digits, or ISO 8601 (UTC if bare).

    Numbers from :data:`MILLISECONDS_FROM` on are milliseconds.

    Returns:
        Milliseconds since 1970, 0 to :data:`MAX_TIME_MS`.

    Raises:
        BadClickError: reason ``bad_time``.
    """
    if isinstance(time, str):
        text = time.strip()
        try:
            time = float(text)
        except ValueError:
            return _parse_iso_8601(text)
    # Said so that NaN, infinities and integers too large for a float are refused as well.
    if not 0 <= time <= MAX_TIME_MS:
        raise _out_of_range(time)
    return round(time) if time >= MILLISECONDS_FROM else round(time * 1000)


def _parse_iso_8601(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        raise BadClickError(
            "bad_time", f"time is {text[:40]!r}, expected seconds, milliseconds or ISO 8601"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # Not by way of a number: seconds after the year 5138 would be taken for milliseconds.
    time_ms = round(moment.timestamp() * 1000)
    if not 0 <= time_ms <= MAX_TIME_MS:
        raise _out_of_range(text)
    return time_ms


def _out_of_range(time: float | str) -> BadClickError:
    return BadClickError("bad_time", f"time is {str(time)[:40]}, expected 0 to the end of the year 9999")


def _refuse(value: bytes, error: str) -> NoReturn:
    """Name the reason of JSON that is not a click."""
    if value.strip() == b"null":
        raise BadClickError("null", "expected a JSON object, came null")
    if "missing required field" in error:
        raise BadClickError("missing_field", error)
    if "out of range" in error and error.endswith("`$.time`"):
        raise BadClickError("bad_time", error)
    raise BadClickError("wrong_type", error)


def _refuse_unreadable(value: bytes, error: str) -> NoReturn:
    """Name the reason of bytes that are not JSON; many writers send NaN, which JSON does not have."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as utf8_error:
        raise BadClickError("not_utf8", str(utf8_error)) from None
    try:
        loose = json.loads(text)
    except (ValueError, RecursionError):
        raise BadClickError("not_json", error) from None
    time = loose.get("time") if isinstance(loose, dict) else None
    if isinstance(time, float) and not math.isfinite(time):
        raise BadClickError("bad_time", f"time is {time}, expected a finite number or ISO 8601")
    raise BadClickError("not_json", error)

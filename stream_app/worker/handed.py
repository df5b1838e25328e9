"""What the agent is handed of a partition: a stream's messages, and the records that came in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import faust
from faust.types import TP, Message


class Handed(NamedTuple):
    """Records of one partition that the agent was handed, and the messages that they came in.

    ``follows`` says that no record is missing between these and those handed before; else ``begins`` is where
    the partition was to begin, None for the beginning of its log.
    """

    tp: TP
    generation: int | None
    records: list[Any]
    messages: list[Message]
    follows: bool
    begins: int | None


class MessageRecord(NamedTuple):
    """A message as the record that it was: offset, append time in ms, key, value and headers."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Any


class RawSchema(faust.Schema[Any, Any]):
    """Hands the value of a message to the stream as it is: a run's records, or a record's bytes."""

    def compile(self, app: faust.types.AppT, **_kwargs: Any) -> Any:
        """Make the function that turns a run message into an event."""

        async def decode(message: Message, *, propagate: bool = False) -> Any:
            del propagate
            return app.create_event(None, message.value, message.headers, message)

        return decode

"""The answer: the record of the recommendations topic, one for each click."""

from __future__ import annotations

import msgspec

from core.scoring import Recommended
from core.window.step import Query


class ClickPlace(msgspec.Struct, frozen=True, gc=False):
    """Where the answered click is in the input topic; the identity of the answer."""

    partition: int
    offset: int


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What is recommended after a click.

    Args:
        visitor: whose click; also the record's key.
        click: where the click is in the input topic.
        item: the clicked item.
        session: id of the session that the click is in.
        position: how many clicks of the session the answer is based on.
        items: recommended items, best first; their scores have nine significant digits.
        index_offset: records of the sessions topic that the index had taken in.
        parameters: name of the scorer's parameters.
    """

    visitor: str
    click: ClickPlace
    item: str
    session: str
    position: int
    items: tuple[Recommended, ...]
    index_offset: int
    parameters: str


class _Written(Answer, frozen=True, gc=False):
    """An answer whose items are JSON already."""

    items: msgspec.Raw  # type: ignore[assignment]  # in place of what is read from it


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Answer)


def encode_answer(query: Query, partition: int, items: bytes, index_offset: int, parameters: str) -> bytes:
    """Write the answer to a query as JSON.

    Args:
        query: what is answered.
        partition: of its click.
        items: what is recommended; see :meth:`core.scoring.Scorer.written`.
        index_offset: see :class:`Answer`.
        parameters: the same.
    """
    # By place, not by name: this is a good part of what is left to do for a click in Python.
    return _encoder.encode(
        _Written(
            query.visitor,
            ClickPlace(partition, query.offset),
            query.item,
            query.session,
            len(query.items),
            msgspec.Raw(items),
            index_offset,
            parameters,
        )
    )


def decode_answer(value: bytes) -> Answer:
    """Read an answer.

    Raises:
        msgspec.DecodeError: the bytes are not an answer.
    """
    return _decoder.decode(value)

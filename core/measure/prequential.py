"""Prequential evaluation: each answer is judged by the visitor's next click of the same session."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final

import msgspec

from core.identity import visitor_key
from core.params import Exclude
from core.window.step import Query

#: Items of an answer that count: HR@20 and MRR@20.
CUTOFF: Final = 20

#: An item's number in a packed answer.
_NUMBER: Final = Struct("=i")


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """What a click says of the answer before it: its rank there and in plain popularity; None: a miss."""

    rank: int | None
    popularity_rank: int | None


class _Remembered(msgspec.Struct, frozen=True, gc=False):
    session: str
    answer: bytes
    popular: Mapping[int, int]
    barred: Sequence[int]


class Judge:
    """Remembers the last answer to each visitor and compares the next click with it.

    Items go by their numbers in the index, packed: the names of twenty items lie all over the memory. An item
    that was given the number of one that has left the index since the answer counts as that one.

    Args:
        exclude: what answers leave out; plain popularity leaves out the same.
        most: visitors remembered at most; the one not seen for longest is forgotten.
    """

    def __init__(self, exclude: Exclude, most: int = 100_000) -> None:
        self._exclude = exclude
        self._most = most
        self._last: OrderedDict[int, _Remembered] = OrderedDict()  # by visitor_key

    def judge(
        self, query: Query, numbers: Sequence[int], answer: bytes, popular: Mapping[int, int]
    ) -> Judgement | None:
        """Compare a click with the answer before it, and remember the answer to it in its place.

        Args:
            query: the click.
            numbers: of the query's items; -1 for one that the index does not hold.
            answer: the recommended items, as :meth:`core.scoring.Scorer.packed` has them.
            popular: place (from 0) of each of the most popular items at that moment; kept as it is.

        Returns:
            None where there was no answer in the same session, or where the click says nothing of it: one
            that is repeated, beyond a session's bound or replayed. What is replayed is not remembered either.
        """
        session, outcome = query.session, query.outcome
        if outcome == "replay":
            return None
        visitor = visitor_key(query.visitor)
        last = self._last.pop(visitor, None)
        barred = () if self._exclude == "none" else numbers if self._exclude == "session" else numbers[-1:]
        self._last[visitor] = _Remembered(session, answer, popular, barred)
        if last is None:
            if len(self._last) > self._most:
                self._last.popitem(last=False)
            return None
        if last.session != session or outcome != "joined":
            return None
        item = numbers[-1] if query.items[-1] == query.item else numbers[query.items.index(query.item)]
        return Judgement(rank_of(item, last.answer), popularity_rank(item, last.popular, last.barred))

    def forget(self, visitor: int) -> None:
        """Drop what is remembered of a visitor, given by :func:`core.identity.visitor_key`."""
        self._last.pop(visitor, None)


def rank_of(item: int, answer: bytes) -> int | None:
    """Rank (from 1) of an item in a packed answer; None where it is not there."""
    number = _NUMBER.pack(item)
    at = answer.find(number)
    while at > 0 and at % _NUMBER.size:  # the end of one number and the beginning of the next
        at = answer.find(number, at + 1)
    return at // _NUMBER.size + 1 if at >= 0 else None


def popularity_rank(item: int, popular: Mapping[int, int], barred: Sequence[int]) -> int | None:
    """The same among the :data:`CUTOFF` most popular items without the barred ones."""
    place = popular.get(item)
    if place is None or item in barred:
        return None
    rank = place + 1 - sum(popular.get(other, place) < place for other in set(barred))
    return rank if rank <= CUTOFF else None

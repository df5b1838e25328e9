"""Prequential evaluation: each answer is judged by the visitor's next click of the same session."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from core.identity import visitor_key
from core.params import Exclude
from core.step import Query

#: Items of an answer that count: HR@20 and MRR@20.
CUTOFF: Final = 20


class Judgement(NamedTuple):
    """What a click says of the answer before it: its rank there and in plain popularity; None: a miss."""

    rank: int | None
    popularity_rank: int | None


class _Remembered(NamedTuple):
    session: str
    items: Sequence[str]
    popular: dict[str, int]
    barred: tuple[str, ...]


class Judge:
    """Remembers the last answer to each visitor and compares the next click with it.

    Args:
        exclude: what answers leave out; plain popularity leaves out the same.
        most: visitors remembered at most; the one not seen for longest is forgotten.
    """

    def __init__(self, exclude: Exclude, most: int = 100_000) -> None:
        self._exclude = exclude
        self._most = most
        self._last: OrderedDict[int, _Remembered] = OrderedDict()  # by visitor_key

    def judge(self, query: Query, items: Sequence[str], popular: dict[str, int]) -> Judgement | None:
        """Compare a click with the answer before it, and remember the answer to it in its place.

        Args:
            query: the click.
            items: recommended items, best first, :data:`CUTOFF` at most; kept as they are.
            popular: place (from 0) of each of the most popular items at that moment; kept, too.

        Returns:
            None where there was no answer in the same session, or where the click says nothing of it: one
            that is repeated, beyond a session's bound or replayed. What is replayed is not remembered either.
        """
        session, outcome = query.session, query.outcome
        if outcome == "replay":
            return None
        visitor = visitor_key(query.visitor)
        last = self._last.pop(visitor, None)
        clicked = query.items
        barred = () if self._exclude == "none" else clicked if self._exclude == "session" else clicked[-1:]
        self._last[visitor] = _Remembered(session, items, popular, barred)
        if last is None:
            if len(self._last) > self._most:
                self._last.popitem(last=False)
            return None
        if last.session != session or outcome != "joined":
            return None
        item = query.item
        return Judgement(rank_of(item, last.items), popularity_rank(item, last.popular, last.barred))

    def forget(self, visitor: int) -> None:
        """Drop what is remembered of a visitor, given by :func:`core.identity.visitor_key`."""
        self._last.pop(visitor, None)


def rank_of(item: str, items: Sequence[str]) -> int | None:
    """Rank (from 1) of an item among the first :data:`CUTOFF`; None where it is not among them."""
    # Most are a miss: to look is quicker than to be told by an error.
    return items.index(item) + 1 if item in items[:CUTOFF] else None


def popularity_rank(item: str, popular: dict[str, int], barred: Sequence[str]) -> int | None:
    """The same among the most popular items without the barred ones."""
    place = popular.get(item)
    if place is None or item in barred:
        return None
    rank = place + 1 - sum(popular.get(other, place) < place for other in set(barred))
    return rank if rank <= CUTOFF else None

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
    items: tuple[str, ...]
    popular: dict[str, int]
    barred: frozenset[str]


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

    def judge(self, query: Query) -> Judgement | None:
        """Compare a click with the answer before it; None where there was none in the same session."""
        last = self._last.get(visitor_key(query.visitor))
        if last is None or last.session != query.session or query.outcome != "joined":
            return None
        return Judgement(
            rank_of(query.item, last.items), popularity_rank(query.item, last.popular, last.barred)
        )

    def remember(self, query: Query, items: Sequence[str], popular: dict[str, int]) -> None:
        """Note the answer to a click.

        Args:
            query: the click.
            items: recommended items, best first.
            popular: place (from 0) of each of the most popular items at that moment.
        """
        if query.outcome == "replay":
            return
        barred = {
            "none": frozenset[str](),
            "current": frozenset(query.items[-1:]),
            "session": frozenset(query.items),
        }[self._exclude]
        visitor = visitor_key(query.visitor)
        self._last[visitor] = _Remembered(query.session, tuple(items[:CUTOFF]), popular, barred)
        self._last.move_to_end(visitor)
        if len(self._last) > self._most:
            self._last.popitem(last=False)

    def forget(self, visitor: int) -> None:
        """Drop what is remembered of a visitor, given by :func:`core.identity.visitor_key`."""
        self._last.pop(visitor, None)


def rank_of(item: str, items: Sequence[str]) -> int | None:
    """Rank (from 1) of an item among the first :data:`CUTOFF`; None where it is not among them."""
    try:
        return items.index(item, 0, CUTOFF) + 1
    except ValueError:
        return None


def popularity_rank(item: str, popular: dict[str, int], barred: frozenset[str]) -> int | None:
    """The same among the most popular items without the barred ones."""
    place = popular.get(item)
    if place is None or item in barred:
        return None
    rank = place + 1 - sum(popular.get(other, place) < place for other in barred)
    return rank if rank <= CUTOFF else None

"""What all comparisons share: queries to weights, scores to ranked answers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

import msgspec
import numpy as np
import numpy.typing as npt

from core.arrays import Floats, Int64s
from core.window.sessions import ClosedSession
from stream_app.comparisons.history import History, history_of
from stream_app.comparisons.parameters import Parameters

#: Queries that are worked on together at most.
BATCH_QUERIES: Final = 256

#: Scores that agree in so many digits, counted from the first of the largest, are equal: they may be sums of
#: the same numbers in another order. In single precision fewer are certain.
DIGITS: Final = 10

Query = tuple[Sequence[str], float]
Chosen = TypeVar("Chosen", bound=Parameters)


class Scored(NamedTuple):
    """Items with a score: numbers of :class:`History`, each once, and the score of each."""

    items: npt.NDArray[np.integer[Any]]
    scores: npt.NDArray[np.floating[Any]]


class Comparison(ABC, Generic[Chosen]):
    """A method that is fitted once and then answers queries.

    Args:
        parameters: of the method.
    """

    def __init__(self, parameters: Chosen) -> None:
        self.parameters = parameters
        self._history = history_of(())

    @property
    def settings(self) -> dict[str, Any]:
        """All parameters as plain values."""
        return cast("dict[str, Any]", msgspec.to_builtins(self.parameters))

    def fit(self, sessions: Sequence[ClosedSession]) -> None:
        """Learn from closed sessions, given in the order of time; what was learnt before is forgotten.

        Raises:
            InvalidParameterError: the sessions and the parameters do not fit each other.
        """
        self._history = history_of(sessions)
        if self._history.names:
            self._learn(self._history)

    def recommend(self, queries: Sequence[Query]) -> list[list[str]]:
        """Answer queries: for each its items in the order of time, and its time in seconds.

        Returns:
            For each query the names of n items, best first, of all that ``exclude`` allows: those with a
            score above 0, the rest filled with the most popular.
        """
        names, n = self._history.names, self.parameters.n
        answers = []
        for (items, _), scored in zip(queries, self.scored(queries), strict=True):
            numbers = [number for number, _ in scored]
            barred = self._barred(items) | set(numbers)
            popular = (number for number in range(len(names)) if number not in barred)
            numbers.extend(islice(popular, n - len(numbers)))
            answers.append([names[number] for number in numbers])
        return answers

    def scored(self, queries: Sequence[Query]) -> list[list[tuple[int, float]]]:
        """The numbers (places in :attr:`names`) and scores of the up to n best items with a score above 0."""
        if not self._history.names:
            return [[] for _ in queries]
        answers = []
        for begin in range(0, len(queries), BATCH_QUERIES):
            batch = [items for items, _ in queries[begin : begin + BATCH_QUERIES]]
            for items, scored in zip(batch, self._scores(batch), strict=True):
                answers.append(_best(scored, self.parameters.n, self._barred(items)))
        return answers

    @property
    def names(self) -> Sequence[str]:
        """The items known, the most popular first."""
        return self._history.names

    @abstractmethod
    def _learn(self, history: History) -> None:
        """Fit on a history of at least one session."""

    @abstractmethod
    def _scores(self, queries: Sequence[Sequence[str]]) -> Iterator[Scored]:
        """Score the items for each of at most :data:`BATCH_QUERIES` queries."""

    def _weights(self, queries: Sequence[Sequence[str]]) -> tuple[Int64s, Int64s, Floats]:
        """The known items of queries as (query, item, weight) triples; each pair of the first two once."""
        rows: list[int] = []
        columns: list[int] = []
        weights: list[float] = []
        for row, items in enumerate(queries):
            weight_of = self._weight_of(items)
            rows.extend([row] * len(weight_of))
            columns.extend(weight_of)
            weights.extend(weight_of.values())
        return np.array(rows, np.int64), np.array(columns, np.int64), np.array(weights, np.float64)

    def _weight_of(self, items: Sequence[str]) -> dict[int, float]:
        numbers, decay = self._history.numbers, self.parameters.query_decay
        weight_of: dict[int, float] = {}
        for distance, item in enumerate(reversed(items)):
            number = numbers.get(item)
            if number is None:
                continue
            if decay:
                # An old click may weigh nothing at all, but must not fall out of a session.
                weight = math.exp(-min(distance / decay, 100.0))
                weight_of[number] = weight_of.get(number, 0.0) + weight
            else:
                weight_of[number] = 1.0
        return weight_of

    def _barred(self, items: Sequence[str]) -> set[int]:
        numbers = self._history.numbers
        left_out = {"none": items[:0], "current": items[-1:], "session": items}[self.parameters.exclude]
        return {numbers[item] for item in left_out if item in numbers}


def rows_of(matrix: Any) -> Iterator[Scored]:
    """The rows of a sparse matrix, queries by items, as scored items."""
    for begin, end in pairwise(matrix.indptr.tolist()):
        yield Scored(matrix.indices[begin:end], matrix.data[begin:end])


def _best(scored: Scored, n: int, barred: set[int]) -> list[tuple[int, float]]:
    """The best n above 0 that are not barred; equal ones by number, the lower first."""
    items, scores = scored
    enough = n + len(barred)
    if len(scores) > 4 * enough:
        least = np.partition(scores, -enough)[-enough]
        # A little below, so that all that are equal after rounding are in.
        kept = scores >= least - abs(least) * 1e-6
        items, scores = items[kept], scores[kept]
    order = np.lexsort((items, -_rounded(scores.astype(np.float64))))
    ranked = ((int(items[i]), float(scores[i])) for i in order)
    return list(islice(((i, score) for i, score in ranked if score > 0 and i not in barred), n))


def _rounded(values: Floats) -> Floats:
    largest = float(np.abs(values).max(initial=0.0))
    if not largest:
        return values
    return np.round(values, DIGITS - 1 - math.floor(math.log10(largest)))

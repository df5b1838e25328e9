"""Linear item-item models with a closed form: EASE and SLIST.

Both solve a ridge regression over the items. The matrix to be inverted has a row and a column for each item,
and its inverse is dense: 4 n^2 bytes and about n^3 multiplications for n items. ``memory_gb`` bounds it, and
``min_support`` leaves rare items out of it: what couples such an item with others, off the diagonal, is taken
as 0, which for SLIST still leaves it the transitions that were seen from it.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import numpy as np

from core.arrays import Floats
from core.errors import InvalidParameterError
from stream_app.comparisons.history import History
from stream_app.comparisons.matrices import Matrix, Singles, diagonal, inverse, matrix_of, presence
from stream_app.comparisons.method import Comparison, Scored, rows_of
from stream_app.comparisons.parameters import EASEParameters, LinearParameters, SLISTParameters

Kind = TypeVar("Kind", bound=LinearParameters)

#: A click that weighs less than this beside its neighbour is left out.
_LEAST_WEIGHT: Final = 1e-6

_DAY_S: Final = 86_400.0


class LinearModel(Comparison[Kind]):
    """What EASE and SLIST share: the inverse, within its limits."""

    def __init__(self, parameters: Kind) -> None:
        super().__init__(parameters)
        #: Items in the inverse: the first so many, as numbers go by support.
        self.dense_items = 0

    def _learn(self, history: History) -> None:
        self.dense_items = self._choose_items(history)
        self._learn_items(history)

    @abstractmethod
    def _learn_items(self, history: History) -> None:
        """Fit, the first :attr:`dense_items` items in the inverse."""

    def _choose_items(self, history: History) -> int:
        most = math.isqrt(int(self.parameters.memory_gb * 1e9 / 4))
        support = history.support
        wanted = int(np.count_nonzero(support >= self.parameters.min_support))
        fits = _least_support(history, most)
        if self.parameters.min_support == 0:
            return int(np.count_nonzero(support >= fits))
        if wanted > most:
            raise InvalidParameterError(
                f"{wanted:,} items need {4 * wanted**2 / 1e9:.3g} GB for their inverse, memory_gb is"
                f" {self.parameters.memory_gb:g}, which is enough for {most:,}: raise memory_gb, or set"
                f" min_support to {fits}, which leaves out items that fewer sessions hold (0 finds it itself)"
            )
        return wanted


def _least_support(history: History, most: int) -> int:
    """The least support that at most so many items have."""
    if len(history.names) <= most:
        return 1
    return int(history.support[most]) + 1


class EASE(LinearModel[EASEParameters]):
    """Embarrassingly shallow autoencoder: each item predicted from the others by ridge regression.

    With X the sessions by items, 1 where a session has an item, and P the inverse of X'X + regularisation I:
    B = I - P diag(1 / diag(P)), whose diagonal is 0, and the scores of a query x are x B. Source: Steck,
    "Embarrassingly shallow autoencoders for sparse data", WWW 2019.

    An item never speaks for itself, so a repeated click is predicted only as far as the other items of the
    query do. Items below ``min_support`` are neither recommended by score nor speak for others.
    """

    def _learn_items(self, history: History) -> None:
        n = self.dense_items
        sessions = presence(history.rows, history.items, (history.sessions, len(history.names)))[:, :n]
        gram = sessions.T @ sessions + diagonal(np.full(n, self.parameters.regularisation))
        self._item_item: Singles = inverse(gram)
        self._item_item /= -np.diag(self._item_item).copy()
        np.fill_diagonal(self._item_item, 0)

    def _scores(self, queries: Sequence[Sequence[str]]) -> Iterator[Scored]:
        n = self.dense_items
        weights = matrix_of(*self._weights(queries), (len(queries), len(self._history.names)))[:, :n]
        everything = np.arange(n)
        for row in weights.astype(np.float32) @ self._item_item:
            yield Scored(everything, row)


class SLIST(LinearModel[SLISTParameters]):
    """Session-aware linear similarity and transition: one ridge regression over two views of the sessions.

    B minimises alpha * |X - X1 B|^2 + (1 - alpha) * |T - S B|^2 + regularisation * |B|^2, the rows of both
    squares weighted by the recency of their session, exp(-age / recency_days), where

    * similarity (SLIS): a row for each session; X has 1 for each of its items, X1 is X with its rows scaled
      to sum to 1;
    * transition (SLIT): a row for each click but a session's last; S has 1 at its item, and T for the clicks
      after it exp(-(distance - 1) / position_decay), distance in positions, 1 for the next.

    So B is the inverse of G = alpha X1'WX1 + (1 - alpha) S'WS + regularisation I, times
    H = alpha X1'WX + (1 - alpha) S'WT. The scores of a query are its weights, exp(-distance / query_decay)
    from the newest click, times B. With alpha = 0, G is diagonal: sequential rules with shrinkage. Source:
    Choi, Kim, Lee, Shim and Lee, "Session-aware linear item-item models for session-based recommendation",
    WWW 2021, in the form that its authors' settings use (inputs of one click in SLIT,
    rows of the input scaled to sum to 1, weights on the squared error).
    """

    def _learn_items(self, history: History) -> None:
        weights = self._session_weights(history)
        alpha, items = self.parameters.alpha, len(history.names)
        sessions = presence(history.rows, history.items, (history.sessions, items))
        shares = diagonal(1 / sessions.sum(axis=1)) @ sessions
        weighted = (diagonal(alpha * weights) @ shares).T.tocsr()
        transitions, moves = self._transitions(history, weights)
        gram = weighted @ shares + diagonal((1 - alpha) * moves + self.parameters.regularisation)
        self._target: Matrix = (weighted @ sessions + (1 - alpha) * transitions).astype(np.float32)
        n = self.dense_items
        self._inverse: Singles = inverse(gram[:n, :n])
        self._per_diagonal: Singles = (1 / gram.diagonal()).astype(np.float32)

    def _session_weights(self, history: History) -> Floats:
        if not self.parameters.recency_days:
            return np.ones(history.sessions)
        ages = history.ends.max() - history.ends
        weights: Floats = np.exp(-ages / (self.parameters.recency_days * _DAY_S))
        return weights

    def _transitions(self, history: History, weights: Floats) -> tuple[Matrix, Floats]:
        """S'WT, and the diagonal of S'WS: the weight of the clicks on each item that another followed."""
        rows, items = history.rows, history.items
        n, longest = len(history.names), int(history.places.max())
        furthest = min(longest, 1 + int(-math.log(_LEAST_WEIGHT) * self.parameters.position_decay))
        total = matrix_of(rows[:0], items[:0], np.empty(0), (n, n))
        moves: Floats = np.zeros(n)
        for distance in range(1, furthest + 1):
            first = np.flatnonzero(rows[:-distance] == rows[distance:])
            values = weights[rows[first]]
            if distance == 1:
                moves += np.bincount(items[first], values, n)
            decayed = values * math.exp(-(distance - 1) / self.parameters.position_decay)
            total = total + matrix_of(items[first], items[first + distance], decayed, (n, n))
        return total, moves

    def _scores(self, queries: Sequence[Sequence[str]]) -> Iterator[Scored]:
        n, items = self.dense_items, len(self._history.names)
        weights = matrix_of(*self._weights(queries), (len(queries), items)).astype(np.float32)
        solved = weights * self._per_diagonal
        if not n:
            yield from rows_of(solved.tocsr() @ self._target)
            return
        solved = solved.toarray()
        solved[:, :n] = weights[:, :n] @ self._inverse
        # One query beside the other for the product, one after the other for the ranking: as memory likes it.
        scores = self._target.T @ np.ascontiguousarray(solved.T)
        everything = np.arange(items)
        for row in np.ascontiguousarray(scores.T):
            yield Scored(everything, row)

"""User-based and item-based collaborative filtering, a session in the place of a user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from stream_app.comparisons.history import History
from stream_app.comparisons.matrices import Matrix, matrix_of, presence
from stream_app.comparisons.method import Comparison, Scored, rows_of
from stream_app.comparisons.neighbours import CosineNeighbours
from stream_app.comparisons.parameters import ItemCFParameters, UserCFParameters


class UserCF(Comparison[UserCFParameters]):
    """User-based: the score of an item is the sum of the similarities of the neighbours that hold it.

    The neighbours of a query are the k training sessions with the highest cosine to it, both as vectors over
    the items: 1 where the session has the item, or how often (``counts``). Among equally similar sessions the
    newer go first. Source: Sarwar, Karypis, Konstan and Riedl, "Analysis of recommendation algorithms for
    e-commerce", EC 2000.
    """

    def _learn(self, history: History) -> None:
        self._presence = _sessions_by_items(history, counts=False)
        vectors = _sessions_by_items(history, counts=True) if self.parameters.counts else self._presence
        self._neighbours = CosineNeighbours(vectors, self.parameters.neighbours, self.parameters.memory_mb)

    def _scores(self, queries: Sequence[Sequence[str]]) -> Iterator[Scored]:
        for begin in range(0, len(queries), self._neighbours.block):
            block = queries[begin : begin + self._neighbours.block]
            shape = (len(block), len(self._history.names))
            similar = self._neighbours.nearest(self._vectors(block, shape))
            yield from rows_of(similar @ self._presence)

    def _vectors(self, queries: Sequence[Sequence[str]], shape: tuple[int, int]) -> Matrix:
        if not self.parameters.counts or self.parameters.query_decay:
            return matrix_of(*self._weights(queries), shape)
        numbers = self._history.numbers
        known = [(row, numbers[i]) for row, items in enumerate(queries) for i in items if i in numbers]
        rows, columns = np.array(known, np.int64).reshape(-1, 2).T
        return matrix_of(rows, columns, np.ones(len(rows)), shape)


class ItemCF(Comparison[ItemCFParameters]):
    """Item-based: the score of an item is the sum of its similarities to the items of the query.

    The similarity of two items is the cosine of their vectors over the training sessions: sessions that hold
    both, divided by the root of the product of the sessions that hold each. Only the k + 1 items most similar
    to an item of the query count; it is one of them itself, with 1, unless ``exclude`` bars it. Among equally
    similar items the more popular go first.
    Source: Linden, Smith and York, "Amazon.com recommendations: item-to-item collaborative filtering", IEEE
    Internet Computing 7(1), 2003; Deshpande and Karypis, "Item-based top-N recommendation algorithms", ACM
    TOIS 22(1), 2004.
    """

    def _learn(self, history: History) -> None:
        vectors = _sessions_by_items(history, counts=False).T.tocsr()
        # One more, because an item is among its own nearest.
        search = CosineNeighbours(vectors, self.parameters.neighbours + 1, self.parameters.memory_mb)
        n = vectors.shape[0]
        blocks = [
            search.nearest(vectors[begin : begin + search.block]) for begin in range(0, n, search.block)
        ]
        lengths = np.concatenate([np.diff(block.indptr) for block in blocks])
        self._similar = matrix_of(
            np.repeat(np.arange(n), lengths),
            np.concatenate([block.indices for block in blocks]),
            np.concatenate([block.data for block in blocks]),
            (n, n),
        )

    def _scores(self, queries: Sequence[Sequence[str]]) -> Iterator[Scored]:
        shape = (len(queries), len(self._history.names))
        yield from rows_of(matrix_of(*self._weights(queries), shape) @ self._similar)


def _sessions_by_items(history: History, *, counts: bool) -> Matrix:
    shape = (history.sessions, len(history.names))
    if counts:
        return matrix_of(history.rows, history.items, np.ones(len(history.rows)), shape)
    return presence(history.rows, history.items, shape)

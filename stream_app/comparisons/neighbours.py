"""Nearest rows of a sparse matrix by cosine, in bounded memory. The door to scikit-learn."""

from __future__ import annotations

from typing import Final

import numpy as np
from sklearn import config_context
from sklearn.neighbors import NearestNeighbors

from core.arrays import Floats, Int64s
from stream_app.comparisons.matrices import Matrix, matrix_of

#: Distance below which rows have something in common: the cosine of two sets of 10,000 that share one
#: member is a thousand times as much.
_NOTHING_IN_COMMON: Final = 1 - 1e-7

#: Distances that agree to so many decimals are equal.
_DECIMALS: Final = 12


class CosineNeighbours:
    """The k nearest rows by cosine, by scikit-learn's brute force.

    ``NearestNeighbors.kneighbors`` leaves open which of the rows that tie for the k-th place are taken, and
    with short sessions most do. So all rows within the radius that have anything in common are asked for,
    and the k nearest of these are kept: among equal ones those of the lowest number.

    Args:
        rows: the matrix.
        k: neighbours of a row at most, >= 1; fewer where fewer have anything in common with it.
        memory_mb: of a block of distances, MiB; at least one query's. The process needs about twice as much.
    """

    def __init__(self, rows: Matrix, k: int, memory_mb: int) -> None:
        self._search = NearestNeighbors(metric="cosine", algorithm="brute", radius=_NOTHING_IN_COMMON)
        self._search.fit(rows)
        self._rows = rows.shape[0]
        self._k = k
        # scikit-learn warns where not even one query fits.
        self._memory_mb = max(memory_mb, 1 + 8 * self._rows // 2**20)
        #: Queries whose distances to all rows fit a block.
        self.block = max(1, memory_mb * 2**20 // (8 * self._rows))

    def nearest(self, queries: Matrix) -> Matrix:
        """Similarities to the k nearest rows: a sparse matrix, queries by rows.

        At most :attr:`block` queries should be asked at a time.
        """
        with config_context(working_memory=self._memory_mb):
            distances, indices = self._search.radius_neighbors(queries)
        kept = [self._closest(d, i) for d, i in zip(distances, indices, strict=True)]
        return matrix_of(
            np.repeat(np.arange(len(kept)), [len(i) for _, i in kept]),
            np.concatenate([i for _, i in kept]) if kept else np.empty(0, np.int64),
            1.0 - np.concatenate([d for d, _ in kept]) if kept else np.empty(0),
            (queries.shape[0], self._rows),
        )

    def _closest(self, distances: Floats, indices: Int64s) -> tuple[Floats, Int64s]:
        if len(distances) <= self._k:
            return distances, indices
        near = np.round(distances, _DECIMALS)
        kth = np.partition(near, self._k - 1)[self._k - 1]
        closer = np.flatnonzero(near < kth)
        equal = np.flatnonzero(near == kth)
        equal = equal[np.argsort(indices[equal], kind="stable")][: self._k - len(closer)]
        chosen = np.concatenate((closer, equal))
        return distances[chosen], indices[chosen]

"""Sparse matrices, and the inverse of a symmetric positive definite one. The door to scipy."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import lapack

from core.arrays import Floats, Int64s
from core.errors import InvalidParameterError

#: A matrix of scipy, in compressed rows. No types are published for it.
Matrix = Any

Singles = npt.NDArray[np.float32]

_BLOCK: Final = 1024


def matrix_of(rows: Int64s, columns: Int64s, values: npt.NDArray[Any], shape: tuple[int, int]) -> Matrix:
    """A sparse matrix from triples; what comes twice is summed. Columns of a row are in order."""
    # Numbers of 32 bits: half the memory, and scipy keeps the kind that it is given.
    made = sparse.csr_array((values, (rows.astype(np.int32), columns.astype(np.int32))), shape=shape)
    made.sum_duplicates()
    return made


def presence(rows: Int64s, columns: Int64s, shape: tuple[int, int]) -> Matrix:
    """A sparse matrix with a 1 wherever a pair occurs, however often."""
    made = matrix_of(rows, columns, np.ones(len(rows)), shape)
    made.data[:] = 1.0
    return made


def diagonal(values: Floats) -> Matrix:
    """A sparse matrix with these values on its diagonal."""
    return sparse.dia_array((values[np.newaxis], [0]), shape=(len(values), len(values))).tocsr()


def inverse(symmetric: Matrix) -> Singles:
    """The inverse of a symmetric positive definite matrix, dense, by Cholesky in single precision.

    n items take 4 n^2 bytes, in place, and about n^3 multiplications.

    Raises:
        InvalidParameterError: it is not positive definite.
    """
    dense = symmetric.astype(np.float32).toarray(order="F")
    if not dense.size:
        return np.empty((0, 0), np.float32)
    factor, problem = lapack.spotrf(dense, lower=1, overwrite_a=1)
    if problem == 0:
        dense, problem = lapack.spotri(factor, lower=1, overwrite_c=1)
    if problem:
        raise InvalidParameterError(
            "the items' matrix is not positive definite in single precision: raise regularisation"
        )
    # Only the lower triangle was written, and the upper one is its mirror: by blocks, without a second copy.
    n = len(dense)
    for begin in range(0, n, _BLOCK):
        end = min(n, begin + _BLOCK)
        corner = dense[begin:end, begin:end]
        corner[:] = np.tril(corner) + np.tril(corner, -1).T
        dense[begin:end, end:] = dense[end:, begin:end].T
    # Symmetric, so its transpose is itself: in the order of rows, which scipy would else make a copy in.
    result: Singles = dense.T
    return result

"""How certain a figure is, and whether two methods differ.

The independent unit is the session: the clicks of one session share a visitor and a purpose, and counting
them as independent makes intervals too narrow. A figure is a mean over queries, a ratio of two sums over
sessions; its interval is the normal approximation of a ratio estimator with sessions as clusters (Cochran,
"Sampling Techniques", 1977, chapter 6), with Student's t for few sessions. It needs no resampling, hence no
seed, and is the same on every machine.

Two methods are compared on the same sessions: the difference with the same kind of interval, and a paired
randomisation test that swaps the two methods' results of whole sessions (Smucker, Allan and Carterette, "A
comparison of statistical significance tests for information retrieval evaluation", CIKM 2007).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from core.arrays import Floats, Int64s
from core.errors import InvalidParameterError

#: Confidence of the intervals.
CONFIDENCE: Final = 0.95
#: Swaps that are tried where trying all would be more.
SWAPS: Final = 9_999
#: Sessions that differ up to which all swaps are tried.
MOST_EXACT: Final = 13
#: Degrees of freedom up to which Student's t is summed up.
MOST_SUMMED: Final = 100

_BISECTIONS: Final = 52
_WORD: Final = 64

_Words = npt.NDArray[np.uint64]


class Estimate(NamedTuple):
    """A value and its 95 % confidence interval; None where one session alone says nothing of certainty."""

    value: float
    low: float | None
    high: float | None


class Difference(NamedTuple):
    """How much one method is above another, and how often chance alone would make as much of it.

    Args:
        value: the difference of the means.
        low: of its 95 % confidence interval; None for less than two sessions.
        high: the same.
        p: share of the random swaps with a difference at least as large either way; above 0, at most 1.
    """

    value: float
    low: float | None
    high: float | None
    p: float


def clustered_mean(sums: Floats, counts: Int64s) -> Estimate:
    """The mean over queries of a figure between 0 and 1, and its interval, within 0 and 1.

    Where all queries have 0, or all have 1, their spread says nothing of certainty: the interval is then the
    one of a share of that many sessions (Wilson, JASA 22, 1927), which is not empty.

    Args:
        sums: (S,) the figure summed over each session's queries.
        counts: (S,) queries of each session; those of 0 are left out.
    """
    value, margin, sessions = _ratio(sums, counts)
    if margin is None:
        return Estimate(value, None, None)
    if value in {0.0, 1.0}:
        squared = student_quantile(sessions - 1) ** 2
        margin = squared / (sessions + squared)
    return Estimate(value, max(0.0, value - margin), min(1.0, value + margin))


def paired_differences(ours: Floats, theirs: Floats, counts: Int64s, seed: int = 0) -> list[Difference]:
    """Compare two methods on the same sessions, figure by figure.

    Args:
        ours: (S, figures) sums over each session's queries.
        theirs: the same of the other method.
        counts: (S,) queries of each session.
        seed: of the random swaps; the same swaps are used for all figures.
    """
    differences = ours - theirs
    chances = _swap_test(differences, seed)
    found = []
    for column, p in enumerate(chances):
        value, margin, _ = _ratio(differences[:, column], counts)
        low, high = (None, None) if margin is None else (value - margin, value + margin)
        found.append(Difference(value, low, high, p))
    return found


def mean_gain(gains: Sequence[float], sessions: Sequence[int], tries: int = 1) -> Estimate:
    """The mean of what each query gained, and its interval, the wider the more tries there were.

    The best of many tries looks better than it is, by chance alone. By Bonferroni the chance of an
    error is divided among them: the interval has Student's quantile of a chance so much smaller.

    Args:
        gains: (Q,) of each query, in what it was worth.
        sessions: (Q,) number of the session that each query is of.
        tries: that this one is the best of; from 1.

    Raises:
        InvalidParameterError: there was no try.
    """
    if tries < 1:
        raise InvalidParameterError(f"expected the best of 1 try or more, came {tries}")
    _, session_of = np.unique(np.array(sessions, np.int64), return_inverse=True)
    counts = np.bincount(session_of)
    sums = np.zeros(len(counts))
    np.add.at(sums, session_of, gains)
    value, margin, _ = _ratio(sums, counts, (1 - CONFIDENCE) / tries)
    if margin is None:
        return Estimate(value, None, None)
    return Estimate(value, value - margin, value + margin)


def student_quantile(freedom: int, chance: float = 1 - CONFIDENCE) -> float:
    """What Student's t exceeds to either side with the given chance (Abramowitz and Stegun, 1964, 26.7).

    Up to :data:`MOST_SUMMED` degrees of freedom from the distribution's finite sums (26.7.3 and 4), to nine
    digits; beyond from the expansion about the normal quantile (26.7.5).

    Args:
        freedom: degrees of it, from 1.
        chance: of both sides together, above 0 and below 1.
    """
    if freedom <= MOST_SUMMED:
        low, high = 0.0, math.pi / 2
        for _ in range(_BISECTIONS):
            angle = (low + high) / 2
            low, high = (angle, high) if _within(angle, freedom) < 1 - chance else (low, angle)
        return math.tan(high) * math.sqrt(freedom)
    z = -NormalDist().inv_cdf(chance / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + math.fsum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


def _within(angle: float, freedom: int) -> float:
    """The chance that Student's t is within plus and minus tan(angle) times the root of its freedom."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for step in range(odd, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (step + 1) / (step + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def _ratio(sums: Floats, counts: Int64s, chance: float = 1 - CONFIDENCE) -> tuple[float, float | None, int]:
    """The sums' total by the counts' total, half of its interval's width, and of how many sessions."""
    asked = counts > 0
    sums, queries = sums[asked], counts[asked].astype(np.float64)
    sessions, total = len(sums), float(queries.sum())
    if not sessions:
        return 0.0, None, 0
    value = float(sums.sum()) / total
    if sessions < 2:  # noqa: PLR2004 -- a spread is between two
        return value, None, sessions
    residual = sums - value * queries
    error = math.sqrt(sessions / (sessions - 1) * float(residual @ residual)) / total
    return value, student_quantile(sessions - 1, chance) * error, sessions


def _swap_test(differences: Floats, seed: int) -> list[float]:
    """For each column the share of swaps whose total is at least as far from 0, the observed one included."""
    differences = differences[(differences != 0).any(axis=1)]
    sessions = len(differences)
    observed = np.abs(differences.sum(axis=0))
    # Sums in another order differ in their last bits; what is equal must count as equal.
    limit = observed - 1e-9 * np.abs(differences).sum(axis=0)
    if sessions <= MOST_EXACT:
        swaps = np.arange(2**sessions)
        swapped = (swaps >> np.arange(sessions)[:, np.newaxis] & 1).astype(np.float64)
        return _as_list(_as_far(differences, swapped, limit) / len(swaps))
    far = np.zeros(differences.shape[1], np.int64)
    for begin in range(0, SWAPS, _WORD):
        words = _random_words(seed, begin // _WORD, sessions)
        bits = np.unpackbits(words.view(np.uint8).reshape(sessions, 8), axis=1)[:, : SWAPS - begin]
        far += _as_far(differences, bits.astype(np.float64), limit)
    return _as_list((far + 1) / (SWAPS + 1))


def _as_far(differences: Floats, swapped: Floats, limit: Floats) -> Int64s:
    """How many columns of ``swapped`` (sessions, swaps; 1: swapped) take each figure as far as its limit."""
    # Not by a matrix product, whose threads wait for one another wherever the processors are busy.
    turned = np.einsum("sf,sw->fw", differences, swapped)
    totals = differences.sum(axis=0)[:, np.newaxis] - 2.0 * turned
    far: Int64s = (np.abs(totals) >= limit[:, np.newaxis]).sum(axis=1)
    return far


def _random_words(seed: int, block: int, count: int) -> _Words:
    """Words of 64 random bits by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), the same for the same."""
    first = np.uint64(((seed & 0xFFFFFFFF) << 32) + block * count + 1)
    z: _Words = (first + np.arange(count, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    words: _Words = z ^ (z >> np.uint64(31))
    return words


def _as_list(values: Floats | Sequence[float]) -> list[float]:
    return [float(value) for value in values]

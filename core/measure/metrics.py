"""What answers are worth: the figures that session recommenders are compared by.

A session of n clicks asks n - 1 queries, one for each of its beginnings. Two things can be right: the *next*
item, which is the one clicked next, and the *remaining* items, which are the distinct items of all clicks
that follow (one seen before counts again when it is clicked again). For an answer's first k items:

* ``hr``: 1 when the next item is among them; the mean is the hit rate, also called recall or P@k of the next
  item.
* ``mrr``: one by the rank of the next item, 0 for a miss.
* ``ndcg``: 1 / log2(1 + rank) of the next item; nothing can rank better than 1.
* ``precision``: remaining items among them, by k, also where the answer is shorter than k.
* ``recall``: remaining items among them, by all remaining items.
* ``ndcg_remaining``: gain 1 / log2(1 + place) of each remaining item, by that of the best possible list.

Each is a mean over queries. An item that was never learnt cannot be recommended and counts as a miss. Beside
these, ``coverage`` is the share of the catalogue (the items learnt) that is in any answer's first k, and
``popularity`` is how often the recommended items were learnt, by how often the most frequent item was, as a
mean over all places of the answers.

Sources: Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 28 (2018), for
what is measured; Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 20 (2002),
for the discounted gain.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from core.arrays import Floats, Int32s, Int64s
from core.errors import EvaluationError, InvalidParameterError

#: The figures that are means over queries; each for every cut-off.
MEANS: Final = ("hr", "mrr", "ndcg", "precision", "recall", "ndcg_remaining")

#: The largest cut-off.
MOST_CUTOFF: Final = 1000


class Cases:
    """All queries of some sessions and what would be right, Q queries of S sessions.

    Queries are numbered session by session, shorter beginnings first.

    Args:
        sessions: the items of each session in the order of time, as numbers from 0 on.
        items: how many different numbers there are, at least the largest and one.

    Attributes:
        truth: (Q,) the item that is clicked next.
        session: (Q,) which session asks.
        position: (Q,) clicks that the query is made of, from 1 on.
        remaining: (Q,) distinct items from the next click on; at least 1.
        sessions: S, those that ask nothing included.
        items: as given.
    """

    def __init__(self, sessions: Sequence[Sequence[int]], items: int) -> None:
        lengths = np.array([len(session) for session in sessions], np.int64)
        clicked = np.array([item for session in sessions for item in session], np.int64)
        starts = np.cumsum(lengths) - lengths
        of = np.repeat(np.arange(len(lengths)), lengths)
        at = np.arange(len(clicked)) - starts[of]
        keys = of * items + clicked
        # The last click on each item of each session: the end of each group of equal keys.
        order = np.argsort(keys, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(keys[order])), len(keys) - 1) if len(keys) else order
        self._keys: Int64s = keys[order][ends]
        self._last: Int64s = at[order][ends]
        is_last = np.zeros(len(clicked), np.int64)
        is_last[order[ends]] = 1
        so_far = np.append(0, np.cumsum(is_last))
        asking = np.flatnonzero(at > 0)
        self.truth: Int64s = clicked[asking]
        self.session: Int64s = of[asking]
        self.position: Int64s = at[asking]
        self.remaining: Int64s = so_far[(starts + lengths)[self.session]] - so_far[asking]
        self.sessions, self.items = len(lengths), items

    def __len__(self) -> int:
        return len(self.truth)

    def same_as(self, other: Cases) -> bool:
        """Whether both ask the same queries with the same truths."""
        mine = (self.session, self.position, self.truth, self.remaining)
        theirs = (other.session, other.position, other.truth, other.remaining)
        return all(map(np.array_equal, mine, theirs))

    def is_remaining(self, queries: Int64s, recommended: Int32s) -> npt.NDArray[np.bool_]:
        """Which of the recommended items (len(queries), n) are clicked later in the query's session."""
        if not len(self._keys):
            return np.zeros(recommended.shape, np.bool_)
        wanted = self.session[queries][:, np.newaxis] * self.items + recommended
        place = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        later = self._last[place] >= self.position[queries][:, np.newaxis]
        found: npt.NDArray[np.bool_] = (self._keys[place] == wanted) & later & (recommended >= 0)
        return found


class Tally:
    """Answers compared with the cases, in any number of steps.

    Memory: a few numbers a session, a query and an item; answers are not kept.

    Args:
        cases: what is asked.
        cutoffs: the k's, ascending, 1 to :data:`MOST_CUTOFF`.

    Attributes:
        sums: (S, columns) sums over a session's queries, in the order of :attr:`columns`.
        counts: (S,) queries of a session that were answered.

    Raises:
        InvalidParameterError: a cut-off is out of its range, or they do not ascend.
    """

    def __init__(self, cases: Cases, cutoffs: Sequence[int]) -> None:
        self.cases, self.cutoffs = cases, checked_cutoffs(cutoffs)
        self.columns = [f"{name}_{k}" for name in MEANS for k in self.cutoffs]
        self.sums: Floats = np.zeros((cases.sessions, len(self.columns)), np.float64)
        self.counts: Int64s = np.zeros(cases.sessions, np.int64)
        self._shown: Int64s = np.zeros((len(self.cutoffs), cases.items), np.int64)
        self._asked: list[Int64s] = []
        self._ranks: list[Int64s] = []
        n = self.cutoffs[-1]
        self._discount: Floats = 1.0 / np.log2(np.arange(2, n + 2))
        self._ideal: Floats = np.cumsum(self._discount)

    def add(self, queries: Sequence[int], answers: Sequence[Sequence[int]]) -> None:
        """Take in answers.

        Args:
            queries: their numbers among the cases, each at most once over all calls.
            answers: for each, item numbers, best first; places past the largest cut-off are not looked at.

        Raises:
            EvaluationError: an answer has an item twice, or one that is not among the cases' numbers; nothing
                is taken in.
        """
        if not len(queries):
            return
        asked = np.array(queries, np.int64)
        recommended = _as_matrix(answers, self.cutoffs[-1])
        _refuse_repeated(recommended)
        ranks = ranks_of(recommended, self.cases.truth[asked])
        remaining = self.cases.is_remaining(asked, recommended)
        values = self._values(ranks, remaining, self.cases.remaining[asked])
        shown = [_counted(recommended[:, :k], self.cases.items) for k in self.cutoffs]
        of = self.cases.session[asked]
        np.add.at(self.sums, of, values)
        np.add.at(self.counts, of, 1)
        self._shown += shown
        self._asked.append(asked)
        self._ranks.append(ranks)

    def _values(self, ranks: Int64s, remaining: npt.NDArray[np.bool_], wanted: Int64s) -> Floats:
        """The means' parts, (queries, columns)."""
        found = np.cumsum(remaining, axis=1)
        gain = np.cumsum(remaining * self._discount, axis=1)
        safe = np.maximum(ranks, 1)
        parts: dict[str, Floats] = {}
        for k in self.cutoffs:
            hit = ((ranks > 0) & (ranks <= k)).astype(np.float64)
            parts[f"hr_{k}"] = hit
            parts[f"mrr_{k}"] = hit / safe
            parts[f"ndcg_{k}"] = hit / np.log2(1.0 + safe)
            parts[f"precision_{k}"] = found[:, k - 1] / k
            parts[f"recall_{k}"] = found[:, k - 1] / wanted
            parts[f"ndcg_remaining_{k}"] = gain[:, k - 1] / self._ideal[np.minimum(wanted, k) - 1]
        return np.column_stack([parts[column] for column in self.columns])

    def column(self, name: str) -> Floats:
        """The sums of one figure, (S,)."""
        return self.sums[:, self.columns.index(name)]

    @property
    def queries(self) -> int:
        """Queries answered."""
        return int(self.counts.sum())

    def shown(self, learnt: Sequence[int]) -> dict[str, float]:
        """Coverage and popularity for each cut-off.

        Args:
            learnt: how often each item number was learnt; those above 0 are the catalogue.
        """
        times = np.zeros(self.cases.items, np.float64)
        times[: len(learnt)] = learnt
        catalogue, most = int(np.count_nonzero(times)), float(times.max(initial=0.0))
        found: dict[str, float] = {}
        for row, k in enumerate(self.cutoffs):
            places = int(self._shown[row].sum())
            shown = np.count_nonzero(self._shown[row][times > 0])
            found[f"coverage_{k}"] = shown / catalogue if catalogue else 0.0
            found[f"popularity_{k}"] = (
                float(self._shown[row] @ times) / (places * most) if places and most else 0.0
            )
        return {name: float(value) for name, value in found.items()}

    def hit_rate_by_position(self, k: int, most: int) -> list[Point]:
        """The hit rate by clicks known, 1 to ``most``; all the others are one point at ``most + 1``."""
        if not self._asked:
            return []
        position = np.minimum(self.cases.position[np.concatenate(self._asked)], most + 1)
        return _rates(position, self._hits(k))

    def hit_rate_over_stream(self, k: int, points: int) -> list[Point]:
        """The hit rate of one stretch after the other, in the order in which the answers were taken in.

        Returns:
            At most ``points`` stretches of equal length, each at the number of queries up to its end.
        """
        hits = self._hits(k)
        stretch = -(-len(hits) // max(1, points)) or 1
        ends = np.minimum((np.arange(len(hits)) // stretch + 1) * stretch, len(hits))
        return _rates(ends, hits)

    def _hits(self, k: int) -> Floats:
        ranks = np.concatenate(self._ranks) if self._ranks else np.empty(0, np.int64)
        return ((ranks > 0) & (ranks <= k)).astype(np.float64)


class Point(NamedTuple):
    """A point of a curve: where, how many queries it stands for, and their hit rate."""

    at: int
    queries: int
    hit_rate: float


def checked_cutoffs(cutoffs: Sequence[int]) -> tuple[int, ...]:
    """The cut-offs, if they can be used.

    Raises:
        InvalidParameterError: none, one out of its range, or not ascending.
    """
    if not len(cutoffs) or any(k < 1 or k > MOST_CUTOFF for k in cutoffs):
        came = ", ".join(map(str, cutoffs)) or "none"
        raise InvalidParameterError(f"expected cut-offs k of 1 to {MOST_CUTOFF}, came {came}")
    if any(after <= before for before, after in itertools.pairwise(cutoffs)):
        raise InvalidParameterError(f"expected ascending cut-offs, came {', '.join(map(str, cutoffs))}")
    return tuple(cutoffs)


def ranks_of(recommended: Int32s, truth: Int64s) -> Int64s:
    """Rank (from 1) of each truth in its row of ``recommended`` (queries, n); 0 where it is not there."""
    same = recommended == truth[:, np.newaxis]
    ranks: Int64s = np.where(same.any(axis=1), same.argmax(axis=1) + 1, 0)
    return ranks


def _as_matrix(answers: Sequence[Sequence[int]], n: int) -> Int32s:
    """Answers as rows of n places; -1 where an answer has ended."""
    lengths = np.array([min(len(answer), n) for answer in answers], np.int64)
    matrix = np.full((len(answers), n), -1, np.int32)
    matrix[np.arange(n) < lengths[:, np.newaxis]] = [item for answer in answers for item in answer[:n]]
    return matrix


def _counted(recommended: Int32s, items: int) -> Int64s:
    """How often each item number is recommended, (items,)."""
    counts = np.bincount(recommended[recommended >= 0], minlength=items)
    if len(counts) > items:
        raise EvaluationError(f"expected item numbers below {items}, but an answer has {len(counts) - 1}")
    return counts


def _refuse_repeated(recommended: Int32s) -> None:
    ordered = np.sort(recommended, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise EvaluationError("expected distinct items in an answer, but one has an item twice")


def _rates(at: Int64s, hits: Floats) -> list[Point]:
    places, inverse, counts = np.unique(at, return_inverse=True, return_counts=True)
    rates = np.bincount(inverse, weights=hits) / counts
    return [Point(int(p), int(n), float(r)) for p, n, r in zip(places, counts, rates, strict=True)]

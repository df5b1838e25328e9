"""Scoring: the queries of a run in, ranked and explained items out, by one compiled call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, Literal

import msgspec
import numpy as np

from core.arrays import Floats, Int32s, Scratch, new_scratch
from core.index import SessionIndex
from core.kernel_codes import (
    INT_PARAMETERS,
    P_COSINE,
    P_EXCLUDE,
    P_K,
    P_LAST,
    P_M,
    P_N,
    P_POSITION,
    P_RULE_SESSIONS,
    P_RULE_STEPS,
    P_SCORE,
    R_BEFORE,
    R_DISTANCE_DECAY,
    R_IDF_SCORE,
    R_IDF_SIMILARITY,
    R_POSITION_DECAY,
    R_PRIOR,
    R_RECENCY_S,
    R_SCORE_DECAY,
    REAL_PARAMETERS,
)
from core.params import EXCLUDES, POSITION_WEIGHTS, ScoringParameters
from core.popularity_kernels import rank_popular
from core.scoring_kernels import PRIOR_ITEMS, score_run
from core.sessions import ClosedSession

#: Where a recommended item comes from.
Source = Literal["neighbours", "rules", "popular"]
SOURCES: Final[tuple[Source, ...]] = ("neighbours", "rules", "popular")

#: Distances whose decay is computed once.
DECAYS: Final = 256

#: A weight never falls to nothing, or an old session would look like none.
_LEAST_WEIGHT: Final = 1e-300


class Recommended(msgspec.Struct, frozen=True, omit_defaults=True, rename={"shared": "with"}):
    """One recommended item, with its reason; on the wire as it is here, ``shared`` as ``with``.

    Args:
        item: its name.
        score: higher is better; comparable within one source only.
        source: ``neighbours``: sessions like this one have it; ``rules``: it followed an item of this session
            or of this answer; ``popular``: many recent sessions have it.
        sessions: how many sessions vouch: neighbours with both items, sessions in which one followed the
            other, or all sessions that hold it.
        shared: the item that vouches for it; None for popular ones.
    """

    item: str
    score: float
    source: Source
    sessions: int
    shared: str | None = None


class Scorer:
    """Scores against one index with one set of parameters; for one thread at a time.

    Args:
        index: the index; it must not change during a call.
        parameters: of the method.
    """

    def __init__(self, index: SessionIndex, parameters: ScoringParameters) -> None:
        self.index = index
        self.parameters = parameters
        self._scratch = new_scratch(index.slots, len(index.arrays.posting_start))
        self._ints, self._reals = _as_arrays(parameters)
        # Not by numpy's vector power, whose last bit depends on the machine.
        self._age_weights: Floats = np.array(
            [
                max(0.5 ** (age / parameters.popularity_half_life), _LEAST_WEIGHT)
                for age in range(parameters.popularity_sessions)
            ]
        )
        # Summed one after the other, as an item's score is.
        self._age_mass: Floats = np.array(list(accumulate(self._age_weights.tolist())))
        self._decays: Floats = np.array(
            [
                math.exp(-d / parameters.distance_decay)
                for d in range(DECAYS if parameters.distance_decay else 0)
            ]
        )
        self._popular: tuple[Int32s, Floats] = (np.empty(0, np.int32), np.empty(0, np.float64))
        self._popular_of = (-1, 0)  # index state and size that the list was ranked for

    def score(self, queries: Sequence[tuple[Sequence[str], float]]) -> list[list[Recommended]]:
        """Answer the queries of a run.

        Args:
            queries: for each, the session's items in the order of time, and the time of the query in seconds.

        Returns:
            For each query, up to ``parameters.recommendations`` items, best first: that many whenever as many
            items are known that ``exclude`` allows. An empty list while the index is empty.
        """
        if not queries:
            return []
        ids, names = self.index.ids, self.index.names
        longest = max(1, *(len(items) for items, _ in queries))
        popular, popular_score = self.popular(max(PRIOR_ITEMS, self.parameters.recommendations + longest))
        starts = np.zeros(len(queries) + 1, np.int64)
        np.cumsum([len(items) for items, _ in queries], out=starts[1:])
        shape = (len(queries), self.parameters.recommendations)
        out_item, out_source = np.full(shape, -1, np.int32), np.zeros(shape, np.int32)
        out_with, out_sessions = np.full(shape, -1, np.int32), np.zeros(shape, np.int32)
        out_score, out_count = np.zeros(shape, np.float64), np.zeros(len(queries), np.int32)
        score_run(
            self.index.arrays,
            self._ready_scratch(),
            self._ints,
            self._reals,
            self._decays,
            np.array([ids.get(item, -1) for items, _ in queries for item in items], np.int32),
            starts,
            np.array([time for _, time in queries], np.float64),
            popular,
            popular_score,
            self._popular_mass(),
            np.empty(longest, np.int32),
            np.zeros(shape[1] * longest, np.int32),
            out_item,
            out_score,
            out_source,
            out_with,
            out_sessions,
            out_count,
        )
        # All queries' items in one go: most of what is left to do in Python.
        given = np.arange(shape[1]) < out_count[:, np.newaxis]
        recommended = list(
            map(
                Recommended,
                map(names.__getitem__, out_item[given].tolist()),
                out_score[given].tolist(),
                map(SOURCES.__getitem__, out_source[given].tolist()),
                out_sessions[given].tolist(),
                [names[item] if item >= 0 else None for item in out_with[given].tolist()],
            )
        )
        ends = np.cumsum(out_count).tolist()
        return [recommended[end - count : end] for end, count in zip(ends, out_count.tolist(), strict=True)]

    def popular(self, size: int) -> tuple[Int32s, Floats]:
        """The ``size`` most popular items by decayed count, or as many as are known: ids and scores."""
        state = self.index.changes
        if self._popular_of[0] != state or self._popular_of[1] < size:
            size = max(size, self._popular_of[1])
            items, scores = np.empty(size, np.int32), np.empty(size, np.float64)
            n = rank_popular(
                self.index.arrays,
                self._ready_scratch(),
                self.parameters.popularity_sessions,
                self._age_weights,
                size,
                items,
                scores,
                np.empty(size, np.int32),
            )
            self._popular, self._popular_of = (items[:n], scores[:n]), (state, size)
        return self._popular

    def _popular_mass(self) -> float:
        """The popularity of an item that every counted session holds."""
        counted = min(self.index.sessions, self.parameters.popularity_sessions)
        return float(self._age_mass[counted - 1]) if counted else 1.0

    def warm_up(self) -> None:
        """Compile every kernel on a small index of its own, so that the first click does not wait for it."""
        index = SessionIndex(2)
        index.add(
            ClosedSession(f"0-{n}", "", ("a", "b", "c"), (n, n, n), n, n, "gap", 3, actions=())
            for n in range(3)
        )
        Scorer(index, self.parameters).score([(("a",), 1.0), ((), 1.0)])

    def _ready_scratch(self) -> Scratch:
        """Scratch for the index as it is; made anew where the index has room for more items than before."""
        items = len(self.index.arrays.posting_start)
        if len(self._scratch.place) < items:
            self._scratch = new_scratch(self.index.slots, items)
        return self._scratch


def plain_popular(index: SessionIndex, size: int) -> list[str]:
    """The items that most held sessions have, without decay: the floor that a recommender must beat."""
    counts = index.arrays.posting_count[: len(index.names)]
    order = np.argsort(-counts, kind="stable")[:size]
    return [index.names[item] for item in order.tolist() if counts[item] > 0]


def _as_arrays(parameters: ScoringParameters) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Floats]:
    ints, reals = np.zeros(INT_PARAMETERS, np.int64), np.zeros(REAL_PARAMETERS, np.float64)
    ints[P_N] = parameters.recommendations
    ints[P_EXCLUDE] = EXCLUDES.index(parameters.exclude)
    ints[P_K] = parameters.neighbours
    ints[P_M] = parameters.sessions_per_item
    ints[P_LAST] = parameters.last_clicks
    ints[P_POSITION] = POSITION_WEIGHTS.index(parameters.position_weight)
    ints[P_SCORE] = POSITION_WEIGHTS.index(parameters.score_weight)
    ints[P_COSINE] = parameters.cosine
    ints[P_RULE_STEPS] = parameters.rule_steps
    ints[P_RULE_SESSIONS] = parameters.rule_sessions
    reals[R_POSITION_DECAY] = parameters.position_decay
    reals[R_SCORE_DECAY] = parameters.score_decay
    reals[R_IDF_SIMILARITY] = parameters.idf_similarity
    reals[R_RECENCY_S] = parameters.recency_s
    reals[R_DISTANCE_DECAY] = parameters.distance_decay
    reals[R_BEFORE] = parameters.before_weight
    reals[R_IDF_SCORE] = parameters.idf_score
    reals[R_PRIOR] = parameters.popularity_prior
    return ints, reals

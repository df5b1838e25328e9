"""Scoring: the queries of a run in, ranked and explained items out, by one compiled call."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, Literal

import msgspec
import numpy as np

from core.arrays import Floats, Int32s
from core.blend_kernels import POPULAR_ITEMS
from core.compiled import as_written
from core.errors import InvalidParameterError
from core.index import SessionIndex
from core.kernel_codes import (
    INT_PARAMETERS,
    P_BLENDS,
    P_EXCLUDE,
    P_FILL,
    P_FURTHER,
    P_IDF_CLICKS,
    P_K,
    P_LAST,
    P_LINEAR,
    P_M,
    P_N,
    P_POSITION,
    P_REPEATS,
    P_RULE_CLICKS,
    P_RULE_SESSIONS,
    P_RULE_STEPS,
    P_SAMPLE,
    P_SAMPLING,
    P_SCORE,
    R_BEFORE,
    R_DAMPING,
    R_DISTANCE_DECAY,
    R_FURTHER,
    R_IDF_BASE,
    R_IDF_SCORE,
    R_IDF_SIMILARITY,
    R_LENGTH_POWER,
    R_NEIGHBOURS,
    R_POPULAR,
    R_POSITION_DECAY,
    R_POWER,
    R_PRIOR,
    R_RECENCY_S,
    R_REMINDER,
    R_REMINDER_DECAY,
    R_RULE_CLICK_DECAY,
    R_RULE_MIX,
    R_RULE_SUPPORT,
    R_RULES,
    R_SCORE_DECAY,
    REAL_PARAMETERS,
)
from core.params import EXCLUDES, POSITION_WEIGHTS, SAMPLINGS, STEP_WEIGHTS, ScoringParameters
from core.popularity_kernels import rank_popular
from core.scoring_kernels import Popular, Queries, Ranked, score_run
from core.scratch import TABLE, Scratch, new_scratch
from core.sessions import ClosedSession
from core.weight_kernels import Tables, step_weight

#: Where a recommended item comes from.
Source = Literal["neighbours", "rules", "popular", "session"]
SOURCES: Final[tuple[Source, ...]] = ("neighbours", "rules", "popular", "session")

#: Times of queries, seconds: in milliseconds they are 64-bit whole numbers.
MOST_SECONDS: Final = 1e15

#: A weight never falls to nothing, or an old session would look like none.
_LEAST_WEIGHT: Final = 1e-300


class Recommended(msgspec.Struct, frozen=True, omit_defaults=True, rename={"shared": "with"}):
    """One recommended item, with its reason; on the wire as it is here, ``shared`` as ``with``.

    Args:
        item: its name.
        score: higher is better; comparable within one source only.
        source: ``neighbours``: sessions like this one have it; ``rules``: it followed an item of this session
            or of this answer; ``session``: it is in this session; ``popular``: many recent sessions have it.
        sessions: how many sessions vouch: neighbours with both items, sessions in which one followed the
            other, or all sessions that hold it.
        shared: the item that vouches for it; None for popular ones and those of the session itself.
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
        session_weight: (slots,) a weight for each slot of the index, for ``sampling = "weighted"``. Whatever
            the sampling, the session in a slot that weighs minus infinity is never a candidate.

    Raises:
        InvalidParameterError: the sampling goes by weights and there are none, or there is not one for each
            slot, or one is not a number.
    """

    def __init__(
        self, index: SessionIndex, parameters: ScoringParameters, session_weight: Floats | None = None
    ) -> None:
        if parameters.sampling == "weighted" and session_weight is None:
            raise InvalidParameterError(
                f"sampling is weighted: session_weight needs a number for each of {index.slots} slots"
            )
        if session_weight is not None and len(session_weight) != index.slots:
            raise InvalidParameterError(
                f"session_weight has {len(session_weight)} numbers, "
                f"expected one for each of {index.slots} slots"
            )
        if session_weight is not None and np.isnan(session_weight).any():
            raise InvalidParameterError("a session_weight is not a number, expected one or minus infinity")
        if parameters.idf_of == "clicks":
            index.count_clicks()
        self.index = index
        self.parameters = parameters
        self._session_weight = np.empty(0) if session_weight is None else session_weight
        self._longest = 64
        self._scratch = new_scratch(parameters, index.slots, len(index.arrays.posting_start), 64)
        self._ints, self._reals = _as_arrays(parameters)
        self._tables = _tables(parameters)
        # Not by numpy's vector power, whose last bit depends on the machine.
        counted = min(parameters.popularity_sessions, index.max_sessions)
        self._age_weights: Floats = np.array(
            [max(0.5 ** (age / parameters.popularity_half_life), _LEAST_WEIGHT) for age in range(counted)]
        )
        # Summed one after the other, as an item's score is.
        self._age_mass: Floats = np.array(list(accumulate(self._age_weights.tolist())))
        self._popular: tuple[Int32s, Floats] = (np.empty(0, np.int32), np.empty(0, np.float64))
        self._popular_of = (-1, 0)  # index state and size that the list was ranked for

    def score(self, queries: Sequence[tuple[Sequence[str], float]]) -> list[list[Recommended]]:
        """Answer the queries of a run.

        Args:
            queries: for each, the session's items in the order of time, and the time of the query in seconds.

        Returns:
            For each query, up to ``parameters.recommendations`` items, best first: that many whenever as many
            items are known that ``exclude`` allows, or without ``fill``, as many as the method scores. An
            empty list while the index is empty.

        Raises:
            InvalidParameterError: a time is not a number of seconds, or a query's items are one string.
        """
        if not queries:
            return []
        names, ranked = self.index.names, self.rank(self.numbered(queries))
        # All queries' items in one go: most of what is left to do in Python.
        given = np.arange(self.parameters.recommendations) < ranked.count[:, np.newaxis]
        recommended = list(
            map(
                Recommended,
                map(names.__getitem__, ranked.item[given].tolist()),
                ranked.score[given].tolist(),
                map(SOURCES.__getitem__, ranked.source[given].tolist()),
                ranked.sessions[given].tolist(),
                [names[item] if item >= 0 else None for item in ranked.shared[given].tolist()],
            )
        )
        ends = np.cumsum(ranked.count).tolist()
        return [
            recommended[end - count : end] for end, count in zip(ends, ranked.count.tolist(), strict=True)
        ]

    def numbered(self, queries: Sequence[tuple[Sequence[str], float]]) -> Queries:
        """The queries with the index's numbers of their items; -1 for items that it does not hold."""
        ids = self.index.ids
        times = _times([time for _, time in queries])
        for number, (items, _) in enumerate(queries):
            if isinstance(items, str):
                raise InvalidParameterError(
                    f"the items of query {number} are one text, {items!r}, expected a sequence of items"
                )
        starts = np.zeros(len(queries) + 1, np.int64)
        np.cumsum([len(items) for items, _ in queries], out=starts[1:])
        return Queries(
            items=np.array([ids.get(item, -1) for items, _ in queries for item in items], np.int32),
            starts=starts,
            times=times,
        )

    def rank(self, queries: Queries) -> Ranked:
        """Answer numbered queries by item numbers: what :meth:`score` does, without Python objects.

        Args:
            queries: numbers of items as of now; see :meth:`numbered`.
        """
        longest = int(np.diff(queries.starts).max(initial=1))
        scratch = self._ready_scratch(longest)
        n = self.parameters.recommendations
        # Enough to fill an answer whatever is excluded.
        barred = {"none": 0, "current": 1, "session": longest}[self.parameters.exclude]
        items, scores = self.popular(max(POPULAR_ITEMS, n + barred))
        shape = (len(queries.times), n)
        ranked = Ranked(
            item=np.empty(shape, np.int32),
            score=np.empty(shape, np.float64),
            source=np.empty(shape, np.int32),
            shared=np.empty(shape, np.int32),
            sessions=np.empty(shape, np.int32),
            count=np.empty(shape[0], np.int32),
            scored=np.empty(shape[0], np.int32),
        )
        score_run(
            self.index.arrays,
            scratch,
            self._ints,
            self._reals,
            self._tables,
            self._session_weight,
            queries,
            Popular(items, scores, self._popular_mass()),
            ranked,
        )
        return ranked

    def popular(self, size: int) -> tuple[Int32s, Floats]:
        """The ``size`` most popular items by decayed count, or as many as are known: ids and scores."""
        state = self.index.changes
        if self._popular_of[0] != state or self._popular_of[1] < size:
            size = max(size, self._popular_of[1])
            items, scores = np.empty(size, np.int32), np.empty(size, np.float64)
            n = rank_popular(
                self.index.arrays,
                self._ready_scratch(1),
                len(self._age_weights),
                self._age_weights,
                size,
                items,
                scores,
            )
            self._popular, self._popular_of = (items[:n], scores[:n]), (state, size)
        return self._popular

    def _popular_mass(self) -> float:
        """The popularity of an item that every counted session holds."""
        counted = min(self.index.sessions, len(self._age_mass))
        return float(self._age_mass[counted - 1]) if counted else 1.0

    def warm_up(self) -> None:
        """Compile every kernel on a small index of its own, so that the first click does not wait for it."""
        index = SessionIndex(2)
        index.add(
            ClosedSession(f"0-{n}", "", ("a", "b", "c"), (n, n, n), n, n, "gap", 3, actions=())
            for n in range(3)
        )
        weight = np.zeros(index.slots) if self.parameters.sampling == "weighted" else None
        Scorer(index, self.parameters, weight).score([(("a",), 1.0), ((), 1.0)])

    def _ready_scratch(self, clicks: int) -> Scratch:
        """Scratch for the index as it is and queries so long; made anew where there was room for less."""
        items = len(self.index.arrays.posting_start)
        if clicks > self._longest or len(self._scratch.place) < items:
            while self._longest < clicks:
                self._longest *= 2
            self._scratch = new_scratch(self.parameters, self.index.slots, items, self._longest)
        return self._scratch


def plain_popular(index: SessionIndex, size: int) -> list[str]:
    """The items that most held sessions have, without decay: the floor that a recommender must beat."""
    counts = index.arrays.posting_count[: len(index.names)]
    held = np.flatnonzero(counts)
    best = held[np.lexsort((held, -counts[held]))][:size]
    return [index.names[item] for item in best]


def _times(given: Sequence[float]) -> Floats:
    """Times of queries, seconds; they may be of any order and before 1970."""
    try:
        times = np.array(given, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(
            f"a query has a time that is no number, expected seconds: {error}"
        ) from None
    # Written so that NaN is refused too.
    good = np.abs(times) <= MOST_SECONDS
    if not good.all():
        at = int(np.argmin(good))
        raise InvalidParameterError(
            f"query {at} has the time {times[at]}, expected -{MOST_SECONDS:g} to {MOST_SECONDS:g} seconds"
        )
    return times


def _as_arrays(parameters: ScoringParameters) -> tuple[np.ndarray, np.ndarray]:
    p = parameters
    ints = np.zeros(INT_PARAMETERS, np.int64)
    for place, value in {
        P_N: p.recommendations,
        P_EXCLUDE: EXCLUDES.index(p.exclude),
        P_K: p.neighbours,
        P_M: p.sessions_per_item,
        P_SAMPLE: p.sample_size,
        P_SAMPLING: SAMPLINGS.index(p.sampling),
        P_LAST: p.last_clicks,
        P_POSITION: POSITION_WEIGHTS.index(p.position_weight),
        P_SCORE: STEP_WEIGHTS.index(p.score_weight),
        P_REPEATS: p.repeats,
        P_RULE_CLICKS: p.rule_clicks,
        P_RULE_STEPS: p.rule_steps,
        P_RULE_SESSIONS: p.rule_sessions,
        P_FURTHER: p.further_items,
        P_IDF_CLICKS: p.idf_of == "clicks",
        P_BLENDS: p.blends,
        P_LINEAR: p.rule_linear,
        P_FILL: p.fill,
    }.items():
        ints[place] = value
    reals = np.zeros(REAL_PARAMETERS, np.float64)
    for place, real in {
        R_POSITION_DECAY: p.position_decay,
        R_SCORE_DECAY: p.score_decay,
        R_IDF_SIMILARITY: p.idf_similarity,
        R_RECENCY_S: p.recency_s,
        R_DISTANCE_DECAY: p.distance_decay,
        R_BEFORE: p.before_weight,
        R_IDF_BASE: p.idf_base,
        R_IDF_SCORE: p.idf_score,
        R_PRIOR: p.popularity_prior,
        R_NEIGHBOURS: p.neighbour_share,
        R_RULES: p.rule_share,
        R_RULE_MIX: p.rule_mix,
        R_RULE_CLICK_DECAY: p.rule_click_decay,
        R_RULE_SUPPORT: p.rule_support,
        R_REMINDER: p.reminder_share,
        R_REMINDER_DECAY: p.reminder_decay,
        R_POPULAR: p.popular_share,
        R_FURTHER: p.further_share,
        R_LENGTH_POWER: p.length_power,
        R_DAMPING: p.popularity_damping,
        R_POWER: p.similarity_power,
    }.items():
        reals[place] = real
    return ints, reals


def _tables(parameters: ScoringParameters) -> Tables:
    p = parameters
    rule_weight, kind = as_written(step_weight), STEP_WEIGHTS.index(p.rule_weight)
    return Tables(
        distance=_table(lambda d: math.exp(-d / p.distance_decay), on=p.distance_decay > 0),
        length=_table(lambda clicks: max(clicks, 1) ** -p.length_power, on=p.length_power > 0),
        damping=_table(lambda count: max(count, 1) ** -p.popularity_damping, on=p.popularity_damping > 0),
        step=_table(lambda step: (1.0 - p.rule_mix) * rule_weight(kind, max(step, 1), p.rule_decay), on=True),
        pair=_table(lambda clicks: p.rule_mix * max(clicks, 1) ** -p.rule_length_power, on=True),
        recency=_recency(p.recency_s),
        log=_table(lambda count: math.log(max(count, 1)), on=True),
    )


def _recency(recency_s: float) -> Floats:
    """See :func:`core.weight_kernels.recency_weight`."""
    ages = [*range(4096), *range(0, 4096 * 4096, 4096)] if recency_s > 0 else []
    return np.array([math.exp(-age / recency_s) for age in ages], np.float64)


def _table(weight: Callable[[int], float], *, on: bool) -> Floats:
    return np.array([weight(n) for n in range(TABLE)] if on else [], np.float64)

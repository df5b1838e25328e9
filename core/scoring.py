"""Scoring: the queries of a run in, ranked and explained items out, by one compiled call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from core.arrays import Floats, Int32s
from core.engine import Engine, parameter_arrays, weight_tables
from core.errors import InvalidParameterError
from core.index import SessionIndex
from core.kernels.arena import compact
from core.kernels.blend import POPULAR_ITEMS
from core.kernels.codes import SOURCES, Source
from core.kernels.compiled import Kept, keep
from core.kernels.popularity import rank_popular
from core.kernels.scoring import Popular, Queries, Ranked, score_run
from core.kernels.writing import write_items
from core.name_texts import NAMES_ROOM
from core.params import ScoringParameters
from core.scratch import new_scratch
from core.window.clicks import MAX_TIME_MS
from core.window.sessions import ClosedSession

#: Times of queries, seconds: to the end of the year 9999, as of clicks; milliseconds since 1978 are more.
MOST_SECONDS: Final = (MAX_TIME_MS + 1) / 1000

#: A weight never falls to nothing, or an old session would look like none.
_LEAST_WEIGHT: Final = 1e-300

#: Bytes of answers that are written at once; more only for an answer that is longer.
_TEXT_BYTES: Final = 1 << 18

_NO_POPULAR: Final = Popular(np.empty(0, np.int32), np.empty(0), 1.0)
_NONE: Final = np.empty(0, np.intp)
_INT32: Final = np.dtype(np.int32)
_INT64: Final = np.dtype(np.int64)


class Recommended(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, rename={"shared": "with"}):
    """One recommended item, with its reason; on the wire as it is here, ``shared`` as ``with``.

    The garbage collector leaves it out: it refers to nothing that could refer to it.

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

    Two threads in one scorer write to the same memory without a lock, which ends the process. Make one each.

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
        if session_weight is not None:
            session_weight = np.ascontiguousarray(session_weight, np.float64)
            if session_weight.shape != (index.slots,):
                raise InvalidParameterError(
                    f"session_weight has the shape {session_weight.shape}, "
                    f"expected one number for each of {index.slots} slots"
                )
        if session_weight is not None and np.isnan(session_weight).any():
            raise InvalidParameterError("a session_weight is not a number, expected one or minus infinity")
        if parameters.idf_of == "clicks":
            index.count_clicks()
        self.index = index
        self.parameters = parameters
        # Not by numpy's vector power, whose last bit depends on the machine.
        counted = min(parameters.popularity_sessions, index.max_sessions)
        ages = np.fromiter(
            (max(0.5 ** (age / parameters.popularity_half_life), _LEAST_WEIGHT) for age in range(counted)),
            np.float64,
            counted,
        )
        # Summed one after the other, as an item's score is.
        self._age_mass = np.cumsum(ages)
        ints, reals = parameter_arrays(parameters)
        self._longest = 64
        self._engine = Engine(
            arrays=index.arrays,
            scratch=new_scratch(parameters, index.slots, len(index.arrays.posting_start), self._longest),
            ints=ints,
            reals=reals,
            tables=weight_tables(parameters),
            session_weight=np.empty(0) if session_weight is None else session_weight,
            age_weight=ages,
        )
        self._kept: Kept[Engine] | None = None
        self._text = np.empty(_TEXT_BYTES, np.uint8)
        self._popular = Popular(np.empty(0, np.int32), np.empty(0), 1.0)
        self._popular_of = (-1, 0)  # index state and size that the list was ranked for
        self._counts_popularity = parameters.popularity_prior > 0 or parameters.popular_share > 0

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
        return self.named(self.rank(self.numbered(queries))) if queries else []

    def named(self, ranked: Ranked) -> list[list[Recommended]]:
        """What :meth:`rank` found, with names and reasons; the index must be as it was then."""
        names = self.index.names
        if not names:
            return [[] for _ in ranked.count]
        # All queries at once, and what stands beyond the end of an answer is cut off: most of what is left
        # to do in Python.
        recommended = list(
            map(
                Recommended,
                map(names.__getitem__, ranked.item.ravel().tolist()),
                ranked.score.ravel().tolist(),
                map(SOURCES.__getitem__, ranked.source.ravel().tolist()),
                ranked.sessions.ravel().tolist(),
                [names[item] if item >= 0 else None for item in ranked.shared.ravel().tolist()],
            )
        )
        n = self.parameters.recommendations
        return [recommended[at * n : at * n + count] for at, count in enumerate(ranked.count.tolist())]

    def packed(self, ranked: Ranked, most: int) -> list[bytes]:
        """The numbers of the first ``most`` items of each answer, four bytes each as the machine has them."""
        items = np.ascontiguousarray(ranked.item[:, :most])
        row, width = items.strides
        together = items.tobytes()
        return [
            together[at * row : at * row + count * width]
            for at, count in enumerate(np.minimum(ranked.count, items.shape[1]).tolist())
        ]

    def written(self, ranked: Ranked) -> list[bytes]:
        """What :meth:`rank` found, for each query as a JSON array of :class:`Recommended`.

        As msgspec writes what :meth:`named` makes, but for the scores, which have nine significant digits; in
        less time, and nearly all of that without the interpreter's lock. The index must be as it was.
        """
        texts = self.index.write_names()
        ends = np.zeros(len(ranked.count), np.int64)
        written: list[bytes] = []
        while len(written) < len(ends):
            begin = len(written)
            end = write_items(*ranked[:6], texts.text, texts.begins, texts.lengths, begin, self._text, ends)
            if end == begin:
                self._text = np.empty(2 * len(self._text), np.uint8)
                continue
            text = self._text[: ends[end - 1]].tobytes()
            written += [text[at:to] for at, to in pairwise([0, *ends[begin:end].tolist()])]
        return written

    def numbered(self, queries: Sequence[tuple[Sequence[str], float]]) -> Queries:
        """The queries with the index's numbers of their items; -1 for items that it does not hold."""
        number_of = self.index.ids.get
        times = _times([time for _, time in queries])
        numbers: list[int] = []
        starts = [0]
        for items, _ in queries:
            if isinstance(items, str):
                raise InvalidParameterError(
                    f"the items of query {len(starts) - 1} are one text, {items!r}, "
                    "expected a sequence of items"
                )
            numbers += map(number_of, items, repeat(-1))
            starts.append(len(numbers))
        return Queries(np.array(numbers, _INT32), np.array(starts, _INT64), times)

    def rank(self, queries: Queries) -> Ranked:
        """Answer numbered queries by item numbers: what :meth:`score` does, without Python objects.

        Args:
            queries: numbers of items as of now, as :meth:`numbered` gives them; that they are is not checked.
        """
        longest = len(queries.items)
        if longest > self._longest:
            longest = int(np.diff(queries.starts).max())
        n, exclude = self.parameters.recommendations, self.parameters.exclude
        # Enough to fill an answer whatever is excluded.
        most = n + (longest if exclude == "session" else 1)
        if self._popular_is_ready(most):
            return self._rank(queries, longest, self._popular)
        if self._counts_popularity:
            return self._rank(queries, longest, self._ready_popular(most))
        # To rank all items by popularity takes longer than to answer some queries, and few answers need it.
        ranked = self._rank(queries, longest, _NO_POPULAR)
        short = np.flatnonzero(ranked.count < n) if self.parameters.fill else _NONE
        if len(short):
            filled = self._rank(_some_of(queries, short), longest, self._ready_popular(most))
            both: Iterator[tuple[Any, Any]] = zip(ranked, filled, strict=True)
            for whole, part in both:
                whole[short] = part
        return ranked

    def _rank(self, queries: Queries, longest: int, popular: Popular) -> Ranked:
        count = len(queries.times)
        shape = (count, self.parameters.recommendations)
        # By place, and of types that numpy need not look up: a single query would pay for the names.
        ranked = Ranked(
            np.empty(shape, _INT32),
            np.empty(shape),
            np.empty(shape, _INT32),
            np.empty(shape, _INT32),
            np.empty(shape, _INT32),
            np.empty(count, _INT32),
            np.empty(count, _INT32),
        )
        score_run(
            self._ready(longest),
            *queries,
            *popular,
            ranked.item,
            ranked.score,
            ranked.source,
            ranked.shared,
            ranked.sessions,
            ranked.count,
            ranked.scored,
        )
        return ranked

    def popular(self, size: int) -> tuple[Int32s, Floats]:
        """The ``size`` most popular items by decayed count, or as many as are known: ids and scores."""
        items, scores, _ = self._ready_popular(size)
        return items[:size], scores[:size]

    def _popular_is_ready(self, size: int) -> bool:
        """Whether the popular items are those of the index as it is, and as many as that."""
        changes, ranked = self._popular_of
        return changes == self.index.changes and ranked >= size and ranked >= POPULAR_ITEMS

    def _ready_popular(self, size: int) -> Popular:
        """At least the ``size`` most popular items of the index as it is, or as many as are known."""
        if not self._popular_is_ready(size):
            state, size = self.index.changes, max(size, POPULAR_ITEMS)
            room = max(1, min(size, self.index.items))  # with less to find fewer sessions are looked at
            items, scores = np.empty(room, np.int32), np.empty(room)
            n = rank_popular(self._ready(1), items, scores)
            # The popularity of an item that every counted session holds.
            counted = min(self.index.sessions, len(self._age_mass))
            mass = float(self._age_mass[counted - 1]) if counted else 1.0
            self._popular, self._popular_of = Popular(items[:n], scores[:n], mass), (state, size)
        return self._popular

    def warm_up(self) -> None:
        """Compile every kernel on a small index of its own, so that no click ever waits for it."""
        index = SessionIndex(2)
        index.add(
            ClosedSession(f"0-{n}", "", ("a", "b", "c"), (n, n, n), n, n, "gap", 3, actions=())
            for n in range(3)
        )
        weight = np.zeros(index.slots) if self.parameters.sampling == "weighted" else None
        scorer = Scorer(index, self.parameters, weight)
        scorer.written(scorer.rank(scorer.numbered([(("a",), 1.0), ((), 1.0)])))
        # Those of rare occasions: no room for a name, a session goes, clicks are counted, blocks are moved.
        index.add([ClosedSession("0-3", "", ("a" * NAMES_ROOM,), (3,), 3, 3, "gap", 1, actions=())])
        index.remove("0-2", "")
        index.count_clicks()
        compact(index.arrays, np.empty(0, np.int32), np.empty(0, np.int32))

    def _ready(self, clicks: int) -> Kept[Engine]:
        """The engine for the index as it is and queries of so many clicks at most."""
        arrays, engine = self.index.arrays, self._engine
        # Other arrays, even of the same size, may be elsewhere in memory: the old ones are void.
        if self._kept is None or arrays is not engine.arrays or clicks > self._longest:
            items, scratch = len(arrays.posting_start), engine.scratch
            if clicks > self._longest or len(scratch.place) < items:
                while self._longest < clicks:
                    self._longest *= 2
                scratch = new_scratch(self.parameters, self.index.slots, items, self._longest)
            self._engine = engine._replace(arrays=arrays, scratch=scratch)
            self._kept = keep(self._engine)
        return self._kept


def count_sources(ranked: Ranked) -> dict[Source, int]:
    """How many of the items of all answers come from where."""
    counts = np.bincount(ranked.source.ravel(), minlength=len(SOURCES)).tolist()
    counts[0] -= ranked.source.size - int(ranked.count.sum())  # beyond an answer's end there is 0
    return {source: count for source, count in zip(SOURCES, counts, strict=True) if count}


def plain_popular(index: SessionIndex, size: int) -> list[int]:
    """The numbers of the items that most held sessions have, without decay: the floor of any recommender.

    Of items that equally many have, the ones of lower number come first. Numbers are given anew as items
    leave, so which these are depends on how the sessions came in batches.
    """
    counts = index.arrays.posting_count[: len(index.names)].astype(np.int64)
    # One number for both, so that no two are equal and the best can be found without sorting all.
    ranks = counts * len(counts) + np.arange(len(counts))[::-1]
    best = np.argpartition(-ranks, size)[:size] if size < len(ranks) else np.arange(len(ranks))
    return [item for item in best[np.argsort(-ranks[best])].tolist() if counts[item]]


def _some_of(queries: Queries, which: npt.NDArray[np.intp]) -> Queries:
    """Some of a run's queries."""
    begins, ends = queries.starts[which], queries.starts[which + 1]
    starts = np.zeros(len(which) + 1, np.int64)
    np.cumsum(ends - begins, out=starts[1:])
    items = [queries.items[begin:end] for begin, end in zip(begins, ends, strict=True)]
    return Queries(np.concatenate(items), starts, queries.times[which])


def _times(given: Sequence[float]) -> Floats:
    """Times of queries, seconds; they may be of any order and before 1970."""
    try:
        times = np.array(given, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidParameterError(
            f"a query has a time that is no number, expected seconds: {error}"
        ) from None
    for at, time in enumerate(times.tolist()):
        if not abs(time) <= MOST_SECONDS:  # written so that NaN is refused too
            raise InvalidParameterError(
                f"query {at} has the time {time}, expected seconds since 1970, to the year 9999 "
                "(a time in milliseconds is to be divided by 1000)"
            )
    return times

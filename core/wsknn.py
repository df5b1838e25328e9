"""WSKNN on this engine: what ``pip install wsknn`` does, by its names, on the session index.

The method is weighted session kNN as in Molinski, "WSKNN: weighted session-based k-NN recommender system",
Journal of Open Source Software 8 (2023) 5639, and its package of version 1.2.3: the preset ``wsknn`` of
:mod:`core.presets`. Scores are on the package's scale. Where lists differ from the package's, and why, is in
``docs/coming-from-wsknn.md``; ``tests/core/test_wsknn.py`` holds both to each other.

Sessions are given as the package takes them::

    sessions = {session: ([items], [times], [names of events, optional], [weights of events, optional])}
    model = fit(sessions, number_of_neighbors=20, weighting_func="log")
    model.recommend([["a", "b"], [1, 2]])                         # [(item, score), …], best first
    model.recommend({"me": [["a"]]}, {"sample_size": 50})         # {"me": [(item, score), …]}

Items and names of sessions are any hashable values; items come back as they were given. A query needs its
items only. For one thread at a time.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from copy import copy
from itertools import accumulate, chain, pairwise
from typing import Any, Final
from zlib import crc32

import numpy as np

from core.arrays import Floats
from core.errors import SessionsError
from core.index import SessionIndex
from core.kernels.scoring import Queries
from core.params import ScoringParameters
from core.scoring import Scorer
from core.session_maps import Record, checked_sessions, is_row, query_items, row_of
from core.wsknn_settings import WsknnSettings

#: Scorers kept: one for each of the settings used last. Each holds some 30 bytes a session and an item.
MAX_SCORERS: Final = 8

#: Rows of a session where the package's layout has the events' names and weights.
_EVENTS_ROW: Final = 2
_WEIGHTS_ROW: Final = 3


class WSKNN:
    """A model of weighted session kNN: learns a dictionary of sessions, then recommends.

    Args:
        in_order: the first settings of :class:`WsknnSettings`, in its order.
        settings: settings by their names.

    Raises:
        InvalidParameterError: an unknown setting, or one out of its range.
    """

    def __init__(self, *in_order: Any, **settings: Any) -> None:
        self.settings = WsknnSettings.given(in_order, settings)
        self._fitted = False
        self._learn([])

    def fit(self, sessions: Mapping[Any, Record] | object, items: object = None) -> None:
        """Learn these sessions in place of any learnt before.

        Args:
            sessions: see the module; or what holds them as ``session_items_actions_map``.
            items: not needed: which sessions hold an item is known from the sessions.

        Raises:
            SessionsError: a session without items and times, of times that are not numbers, or of more than
                10,000 events.
        """
        del items
        self._learn(checked_sessions(sessions))
        self._fitted = True

    def _learn(self, sessions: list[tuple[Hashable, Record]]) -> None:
        # The order of `recent`: lists of times, compared from the first on.
        copies = [(name, [copy(row) for row in record]) for name, record in sessions]
        self._sessions = sorted(copies, key=lambda named: row_of(named[1], 1))
        rows = [row_of(record, 0) for _, record in self._sessions]
        order = {item: number for number, item in enumerate(dict.fromkeys(chain.from_iterable(rows)))}
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=starts[1:])
        self._index = SessionIndex(max(1, len(rows)))
        self._index.add_numbered(
            np.array([order[item] for row in rows for item in row], np.int32),
            starts,
            # Nothing here goes by the time of a session but the hash of `random`, which its number serves.
            np.arange(len(rows), dtype=np.float64),
        )
        self._items: list[Any] = [None] * len(order)
        self._numbers: dict[Hashable, int] = {}
        for item, number in order.items():
            self._numbers[item] = self._index.ids[str(number)]
            self._items[self._numbers[item]] = item
        self._scorers: dict[WsknnSettings, Scorer] = {}

    def set_model_params(self, **settings: Any) -> None:
        """Change settings for all queries to come.

        Raises:
            InvalidParameterError: an unknown setting, or one out of its range.
        """
        self.settings = self.settings.changed(settings)

    def recommend(self, event_stream: Any, settings: Mapping[str, Any] | None = None) -> Any:
        """Answer a session, or a dictionary of sessions.

        Args:
            event_stream: a session, a sequence of rows with its items first, oldest first; or a dictionary of
                them.
            settings: changes to the model's settings, for this call only.

        Returns:
            For a session the best items with their scores, best first; fewer than
            ``number_of_recommendations`` where the neighbours have no more and ``recommend_any`` is off. For
            a dictionary, one with the same keys.

        Raises:
            InvalidParameterError: an unknown setting, or one out of its range.
            SessionsError: what is given is no session, or nothing was learnt yet.
        """
        if not self._fitted:
            raise SessionsError("this model has learnt no sessions: call fit(sessions) first")
        wanted = self.settings if settings is None else self.settings.changed(settings)
        if isinstance(event_stream, Mapping):
            answers = self._answers(wanted, list(event_stream.values()))
            return dict(zip(event_stream, answers, strict=True))
        return self._answers(wanted, [event_stream])[0]

    def _answers(self, wanted: WsknnSettings, sessions: Sequence[Any]) -> list[list[tuple[Any, float]]]:
        scorer = self._scorer(wanted)
        rows = [query_items(session) for session in sessions]
        ranked = scorer.rank(self._queries(scorer.parameters, rows))
        answers = []
        for row, items, scores, count, scored in zip(
            rows,
            ranked.item.tolist(),
            ranked.score.tolist(),
            ranked.count.tolist(),
            ranked.scored.tolist(),
            strict=True,
        ):
            scale = wanted.scale / max(1, len(set(row)))
            given = [(self._items[items[place]], scores[place] * scale) for place in range(scored)]
            given += [(self._items[items[place]], 0.0) for place in range(scored, count)]
            answers.append(given)
        return answers

    def _queries(self, parameters: ScoringParameters, rows: list[list[Any]]) -> Queries:
        number = self._numbers.get
        try:
            items = np.array([number(item, -1) for row in rows for item in row], np.int32)
        except TypeError as error:
            raise SessionsError(f"the items of a session must be hashable: {error}") from None
        starts = [0, *accumulate(map(len, rows))]
        times = np.zeros(len(rows))
        if parameters.sampling == "random" and parameters.sample_size > 0:
            # The time stands for the query in the hash: the same items, the same sample.
            times[:] = [crc32(items[begin:end].tobytes()) for begin, end in pairwise(starts)]
        return Queries(items=items, starts=np.array(starts, np.int64), times=times)

    def _scorer(self, settings: WsknnSettings) -> Scorer:
        scorer = self._scorers.pop(settings, None)
        if scorer is None:
            parameters = settings.parameters(len(self._sessions))
            scorer = Scorer(self._index, parameters, self._session_weight(settings))
        self._scorers[settings] = scorer  # the last one is the one used last
        if len(self._scorers) > MAX_SCORERS:
            del self._scorers[next(iter(self._scorers))]
        return scorer

    def _session_weight(self, settings: WsknnSettings) -> Floats | None:
        """What sampling goes by, for each slot: minus infinity where the required event is missing."""
        weighted, event = settings.sampling_strategy == "weighted_events", settings.required_sampling_event
        if not weighted and event is None:
            return None
        weights: Floats = np.full(self._index.slots, -np.inf)
        for slot, (name, record) in enumerate(self._sessions):
            if event is None or event in self._row(
                name, record, settings.required_sampling_event_index, _EVENTS_ROW
            ):
                weights[slot] = 0.0
                if weighted:
                    row = self._row(name, record, settings.sampling_event_weights_index, _WEIGHTS_ROW)
                    weights[slot] = _mean(name, row)
        return weights

    @staticmethod
    def _row(name: Hashable, record: Record, index: int | None, usual: int) -> list[Any]:
        place = usual if index is None else index
        try:
            row = record[place]
        except IndexError:
            raise SessionsError(
                f"session {name!r} has {len(record)} rows, and row {place} is asked for: give its number by "
                "required_sampling_event_index or sampling_event_weights_index"
            ) from None
        if not is_row(row):
            raise SessionsError(f"session {name!r}: expected row {place} to be a list, came {row!r:.100}")
        return row_of(record, place)


def fit(
    sessions: Mapping[Any, Record] | object, items: object = None, *in_order: Any, **settings: Any
) -> WSKNN:
    """Make a model and let it learn these sessions; see :meth:`WSKNN.fit` and :class:`WsknnSettings`."""
    if "sampling_str_event_weights_index" in settings:  # the name that the package's own `fit` has for it
        settings["sampling_event_weights_index"] = settings.pop("sampling_str_event_weights_index")
    model = WSKNN(*in_order, **settings)
    model.fit(sessions, items)
    return model


def predict(model: WSKNN, sessions: Any, settings: Mapping[str, Any] | None = None) -> Any:
    """The same as :meth:`WSKNN.recommend`."""
    return model.recommend(sessions, settings)


def batch_predict(
    model: WSKNN, sessions: Iterable[Mapping[Any, Any]], settings: Mapping[str, Any] | None = None
) -> list[dict[Any, Any]]:
    """Answer dictionaries of sessions, each as :meth:`WSKNN.recommend` does."""
    return [model.recommend(some, settings) for some in sessions]


def _mean(name: Hashable, weights: list[Any]) -> float:
    try:
        mean = float(np.mean(np.array(weights, np.float64))) if weights else math.nan
    except (TypeError, ValueError):
        mean = math.nan
    if not math.isfinite(mean):
        raise SessionsError(f"session {name!r} has the weights {weights!r:.200}, expected finite numbers")
    return mean


__all__ = ["WSKNN", "WsknnSettings", "batch_predict", "fit", "predict"]

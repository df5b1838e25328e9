"""What the engine is measured beside, in one run: WSKNN from its package, and VS-kNN in pandas' terms.

Each peer learns ``train``, a list of (items, time in seconds), when it is made, and answers
``recommend(items)`` with the names of the best items, best first.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pandas as pd
from wsknn import fit

#: What wsknn takes where it is told nothing: recommendations, neighbours, sampled sessions.
WSKNN_DEFAULTS: Final = {"recommendations": 5, "neighbours": 10, "sessions_per_item": 1000}

#: The published comparison's settings of VS-kNN on yoochoose.
VSKNN_NEIGHBOURS: Final = 500
VSKNN_SAMPLE: Final = 5000
VSKNN_IDF: Final = 5.0


class Wsknn:
    """``wsknn`` from PyPI with its default settings but for the strategy of sampling.

    Args:
        train: the sessions.
        strategy: ``common_items`` (its default) or ``recent``.
    """

    def __init__(self, train, strategy):
        sessions = {
            number: (list(items), [int(end_s)] * len(items)) for number, (items, end_s) in enumerate(train)
        }
        self.model = fit(sessions, sampling_strategy=strategy)

    def recommend(self, items):
        """The best items; none where it has no neighbour."""
        return [item for item, _ in self.model.recommend([list(items), [0] * len(items)]) or ()]


class PandasVsknn:
    """VS-kNN the way a research harness has it: dictionaries of sets, loops, and a pandas ranking.

    Written from the description of the method (Ludewig and Jannach, "Evaluation of session-based
    recommendation algorithms", UMUAI 28, 2018, section 3.2) with the data structures and the last step of the
    authors' framework, session-rec: a score for every item of the catalogue in a Series, divided by the
    largest and sorted. Weights: quadratic by position in the similarity, 1 / steps back in the score,
    1 + 5 idf of the item.
    """

    def __init__(self, train, neighbours=VSKNN_NEIGHBOURS, sample=VSKNN_SAMPLE):
        self.neighbours, self.sample = neighbours, sample
        self.number_of = {}
        self.sessions_of = {}
        self.items_of = {}
        self.time_of = {}
        clicks = {}
        for session, (items, end_s) in enumerate(train):
            for item in items:
                number = self.number_of.setdefault(item, len(self.number_of))
                clicks[number] = clicks.get(number, 0) + 1
            numbers = {self.number_of[item] for item in items}
            self.items_of[session] = numbers
            self.time_of[session] = end_s
            for number in numbers:
                self.sessions_of.setdefault(number, set()).add(session)
        self.name_of = list(self.number_of)
        self.catalogue = np.arange(len(self.name_of))
        self.idf = {item: math.log(len(train) / count) for item, count in clicks.items()}

    def recommend(self, items, n=20):
        """The ``n`` best items."""
        return [self.name_of[item] for item in self.scores(items).index[:n]]

    def scores(self, items):
        """A Series of all items' scores, the largest 1, best first."""
        session = [self.number_of[item] for item in items if item in self.number_of]
        scores = self._score(session, self._nearest(session))
        predictions = np.zeros(len(self.catalogue))
        scored = np.isin(self.catalogue, list(scores))
        predictions[scored] = [scores[item] for item in self.catalogue[scored].tolist()]
        series = pd.Series(predictions, index=self.catalogue)
        if scores:
            series /= series.max()
        return series.sort_values(ascending=False)

    def _nearest(self, session):
        """(session, similarity) of the nearest neighbours."""
        weights = {item: (place / len(session)) ** 2 for place, item in enumerate(session, 1)}
        possible = set()
        for item in weights:
            possible |= self.sessions_of[item]
        if len(possible) > self.sample:
            possible = sorted(possible, key=self.time_of.__getitem__, reverse=True)[: self.sample]
        nearest = []
        for other in possible:
            common = self.items_of[other].intersection(weights)
            nearest.append((other, sum(weights[item] for item in common)))
        nearest.sort(key=lambda pair: (pair[1], pair[0]), reverse=True)
        return nearest[: self.neighbours]

    def _score(self, session, nearest):
        """Score of each item that a neighbour holds."""
        scores = {}
        for other, similarity in nearest:
            items, decay = self.items_of[other], 0.0
            for steps, item in enumerate(reversed(session), 1):
                if item in items:
                    decay = 1 / steps
                    break
            for item in items:
                gain = similarity * decay * (1 + VSKNN_IDF * self.idf[item])
                scores[item] = scores.get(item, 0.0) + gain
        return scores

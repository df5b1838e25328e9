"""From the queries of a run to answers: scoring, judging the answers before, and the record to write."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

from core.answers import Answer, answer
from core.evaluation import CUTOFF, Judge
from core.scoring import Scorer, plain_popular
from core.step import Query
from stream_app.index_feed import IndexFeed
from stream_app.telemetry import Telemetry

#: How many sessions the index takes in before plain popularity is ranked again; it is for comparison only.
POPULARITY_EVERY: Final = 100


class Answering:
    """Answers the queries of one run at a time.

    Args:
        scorer: scores against the index.
        feed: tells how far the index is.
        judge: remembers answers and judges them by the next click.
        telemetry: is told.
    """

    def __init__(self, scorer: Scorer, feed: IndexFeed, judge: Judge, telemetry: Telemetry) -> None:
        self._scorer = scorer
        self._feed = feed
        self._judge = judge
        self._telemetry = telemetry
        self._popular: dict[str, int] = {}
        self._popular_at = -POPULARITY_EVERY

    def answer(self, partition: int, queries: list[Query]) -> list[Answer]:
        """Answer queries in log order; the index is the same for all of them."""
        if not queries:
            return []
        popular = self._plain_popularity()
        began = time.perf_counter()
        scored = self._scorer.score([(query.items, query.time_ms / 1000) for query in queries])
        each_s = (time.perf_counter() - began) / len(queries)
        answers, sources = [], Counter[str]()
        for query, recommended in zip(queries, scored, strict=True):
            self._note(query)
            self._judge.remember(query, [r.item for r in recommended[:CUTOFF]], popular)
            sources.update(r.source for r in recommended)
            self._telemetry.scoring.observe(each_s)
            answers.append(
                answer(query, partition, recommended, self._feed.offset, self._scorer.parameters.name)
            )
        for source, count in sources.items():
            self._telemetry.items.labels(source).inc(count)
        return answers

    def _note(self, query: Query) -> None:
        judgement = self._judge.judge(query)
        if judgement is None:
            return
        telemetry = self._telemetry
        telemetry.judged.inc()
        if judgement.rank:
            telemetry.hits.inc()
            telemetry.reciprocal_ranks.inc(1 / judgement.rank)
        if judgement.popularity_rank:
            telemetry.popularity_hits.inc()
            telemetry.popularity_reciprocal_ranks.inc(1 / judgement.popularity_rank)

    def _plain_popularity(self) -> dict[str, int]:
        index = self._scorer.index
        # While the index is small every session counts.
        if index.added - self._popular_at >= min(POPULARITY_EVERY, 1 + index.added // 20):
            names = plain_popular(index, 10 * CUTOFF)
            self._popular = {name: place for place, name in enumerate(names)}
            self._popular_at = index.added
        return self._popular

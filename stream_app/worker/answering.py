"""From the queries of a run to answers: scoring, judging the answers before, and the record to write."""

from __future__ import annotations

from typing import Final

from core.answers import encode_answer
from core.kernels.codes import SOURCES
from core.measure.prequential import CUTOFF, Judge, Judgement
from core.scoring import plain_popular
from core.window.step import Query
from stream_app.index.feed import IndexFeed
from stream_app.kafka.outbox import OutRecord
from stream_app.telemetry import Telemetry
from stream_app.worker.scoring_pool import ScoringPool

#: How many sessions the index takes in before plain popularity is ranked again, or one in so many of those
#: that it has; it is for comparison only.
POPULARITY_EVERY: Final = 100
POPULARITY_SHARE: Final = 200


class Answering:
    """Answers the queries of one run at a time, of several partitions at the same time.

    Args:
        scoring: scores against the feed's index.
        feed: tells how far the index is, and keeps it as it is during a run.
        judge: remembers answers and judges them by the next click.
        telemetry: is told.
    """

    def __init__(self, scoring: ScoringPool, feed: IndexFeed, judge: Judge, telemetry: Telemetry) -> None:
        self._scoring = scoring
        self._feed = feed
        self._judge = judge
        self._telemetry = telemetry
        self._popular: dict[int, int] = {}
        self._popular_at = -POPULARITY_EVERY
        for source in SOURCES:  # a rate sees nothing of a counter's first value
            telemetry.items.labels(source)
        telemetry.distinct_items.set_function(lambda: scoring.coverage.items)

    async def answer(self, partition: int, queries: list[Query]) -> list[OutRecord]:
        """Answer queries in log order; the index is the same for all of them."""
        if not queries:
            return []
        async with self._feed.guard.reading():
            index_offset = self._feed.offset
            popular = self._plain_popularity()
            scored = await self._scoring.score([(query.items, query.time_ms / 1000) for query in queries])
        name = self._scoring.parameters.name
        judge = self._judge.judge
        answers, judgements = [], []
        each = zip(queries, scored.numbers, scored.packed, scored.written, strict=True)
        for query, numbers, packed, items in each:
            judgements.append(judge(query, numbers, packed, popular))
            value = encode_answer(query, partition, items, index_offset, name)
            answers.append(OutRecord(query.visitor.encode(), value))
        if judged := [one for one in judgements if one]:
            self._count(judged)
        self._telemetry.scoring.observe([(scored.seconds / len(queries), len(queries))])
        for source, count in scored.sources.items():
            self._telemetry.items.labels(source).inc(count)
        return answers

    def _count(self, judgements: list[Judgement]) -> None:
        """Count once a run: a counter's lock costs more than a sum."""
        telemetry = self._telemetry
        ranks = [one.rank for one in judgements if one.rank]
        popularity_ranks = [one.popularity_rank for one in judgements if one.popularity_rank]
        telemetry.judged.inc(len(judgements))
        telemetry.hits.inc(len(ranks))
        telemetry.reciprocal_ranks.inc(sum(1 / rank for rank in ranks))
        telemetry.popularity_hits.inc(len(popularity_ranks))
        telemetry.popularity_reciprocal_ranks.inc(sum(1 / rank for rank in popularity_ranks))

    def _plain_popularity(self) -> dict[int, int]:
        index = self._feed.index
        # While the index is small every session counts.
        wait = min(max(POPULARITY_EVERY, index.added // POPULARITY_SHARE), 1 + index.added // 20)
        if index.added - self._popular_at >= wait:
            items = plain_popular(index, 10 * CUTOFF)
            self._popular = {item: place for place, item in enumerate(items)}
            self._popular_at = index.added
        return self._popular

"""Scoring off the event loop: the kernels let Python go on meanwhile, so that the loop keeps its heartbeats.

Each thread has a scorer of its own, because a scorer has room to work in that one call uses at a time. All
of them answer alike.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from core.index import SessionIndex
from core.kernels.codes import Source
from core.kernels.scoring import Ranked
from core.measure.coverage import Coverage
from core.measure.prequential import CUTOFF
from core.params import ScoringParameters
from core.scoring import Scorer, count_sources
from stream_app.index.guard import in_thread

#: Queries that are scored on the event loop at most: to hand a few to a thread takes longer than to score.
MOST_ON_LOOP: Final = 16

#: Answers whose different items are counted, at least; see :class:`core.measure.coverage.Coverage`.
COVERAGE_ANSWERS: Final = 50_000


class Scored(NamedTuple):
    """Answers to the queries of a run.

    Attributes:
        numbers: for each query, of its items; see :meth:`core.scoring.Scorer.numbered`.
        packed: for each query, the items recommended; see :meth:`core.scoring.Scorer.packed`.
        written: for each query, these items with their reasons; see :meth:`core.scoring.Scorer.written`.
        sources: how many of all items come from where.
        seconds: that it took to rank them for all queries.
    """

    numbers: list[list[int]]
    packed: list[bytes]
    written: list[bytes]
    sources: dict[Source, int]
    seconds: float


class ScoringPool:
    """Scorers of one index, as many as may score at the same time.

    Args:
        index: must not change during a call of :meth:`score`.
        parameters: of the method.
        threads: how many; each takes a scorer's room, some bytes a session and an item of the index.

    Attributes:
        coverage: of the last answers.
    """

    def __init__(self, index: SessionIndex, parameters: ScoringParameters, threads: int) -> None:
        self.parameters = parameters
        self.coverage = Coverage(COVERAGE_ANSWERS)
        self._index = index
        self._idle: asyncio.LifoQueue[Scorer] = asyncio.LifoQueue()
        index.write_names()  # now, rather than by the threads at the first click
        for _ in range(threads):
            self._idle.put_nowait(Scorer(index, parameters))

    def warm_up(self) -> None:
        """Compile every kernel, so that the first click does not wait for it."""
        Scorer(self._index, self.parameters).warm_up()

    async def score(self, queries: Sequence[tuple[Sequence[str], float]]) -> Scored:
        """Answer the queries of a run; see :meth:`core.scoring.Scorer.score`."""
        scorer = await self._idle.get()
        try:
            numbered = scorer.numbered(queries)

            def answer() -> tuple[Ranked, float, list[bytes]]:
                began = time.perf_counter()
                ranked = scorer.rank(numbered)
                return ranked, time.perf_counter() - began, scorer.written(ranked)

            ranked, seconds, written = answer() if len(queries) <= MOST_ON_LOOP else await in_thread(answer)
            self.coverage.note(ranked.item, ranked.count)
            items = numbered.items.tolist()
            numbers = [items[begin:end] for begin, end in pairwise(numbered.starts.tolist())]
            return Scored(numbers, scorer.packed(ranked, CUTOFF), written, count_sources(ranked), seconds)
        finally:
            self._idle.put_nowait(scorer)

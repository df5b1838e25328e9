"""Prequential: clicks in the order of time, each judged before it is learnt, the index growing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from core.errors import EvaluationError
from core.window.sessions import ClosedSession
from stream_app.evaluate.holdout import CUTOFFS
from stream_app.evaluate.methods import GrowingRecommender, Recommender
from stream_app.evaluate.questions import QUERIES_A_CALL, Asking, Questions, stated
from stream_app.evaluate.report import Report


def as_growing(recommender: Recommender, method: str) -> GrowingRecommender:
    """The same, if it can learn from a session as it closes.

    Args:
        recommender: any method.
        method: its name.

    Raises:
        EvaluationError: it cannot.
    """
    if not isinstance(recommender, GrowingRecommender):
        raise EvaluationError(
            f"{method} cannot learn from a session as it closes; evaluate it with a training file and a test "
            "file, or with a share of one file held out"
        )
    return recommender


class _Step(NamedTuple):
    """Sessions to learn, then queries to ask in one call."""

    closed: Sequence[ClosedSession]
    queries: Sequence[int]


class Prequential:
    """A stream that is made ready once and asked of any number of methods.

    A session is learnt once a click comes that is later than its last one by more than ``delay_ms``; for
    sessions by the window that is gap and grace, as the worker's own sweep has it. Clicks of one time are
    asked before any of them can be learnt.

    Args:
        stream: sessions that ask and are learnt, in any order.
        train: sessions learnt before, oldest first.
        delay_ms: see above; 0 where a file says itself which clicks are a session.

    Raises:
        EvaluationError: no session of the stream has two clicks.
    """

    def __init__(
        self, stream: Sequence[ClosedSession], train: Sequence[ClosedSession] = (), delay_ms: int = 0
    ) -> None:
        self.train, self._delay_ms = train, delay_ms
        self._stream = sorted(stream, key=lambda session: session.end)
        self._questions = Questions(self._stream, train)
        self._order = sorted(range(len(self._questions)), key=self._questions.time_ms)

    def run(
        self,
        recommender: Recommender,
        *,
        method: str | None = None,
        exclude: str | None = None,
        cutoffs: Sequence[int] = CUTOFFS,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Report:
        """Play the stream to a method; see :meth:`stream_app.evaluate.holdout.Holdout.run` for the arguments.

        Raises:
            EvaluationError: the method cannot learn from a session as it closes.
            InvalidParameterError: the cut-offs are not 1 and more, ascending.
        """
        says = stated(recommender, method, exclude)
        growing = as_growing(recommender, says["method"])
        begun = time.perf_counter()
        recommender.fit(self.train)
        fit_seconds = time.perf_counter() - begun
        asking, asked, learnt = Asking(self._questions, recommender, cutoffs), 0, 0
        for step in self._steps():
            if step.closed:
                growing.add(step.closed)
                learnt += len(step.closed)
            asking.ask(step.queries)
            asked += len(step.queries)
            if on_progress is not None:
                on_progress(asked, len(self._order))
        timing = asking.finish()
        return Report(
            **says,
            protocol="prequential",
            tally=asking.tally,
            learnt=self._questions.times_learnt([*self.train, *self._stream[:learnt]]),
            train_sessions=len(self.train),
            fit_seconds=fit_seconds,
            seconds=time.perf_counter() - begun,
            timing=timing,
        )

    def _steps(self) -> Iterator[_Step]:
        """What is learnt and asked, one after the other; the last sessions to close are not needed."""
        first, known = 0, 0
        while first < len(self._order):
            now_ms = self._questions.time_ms(self._order[first])
            closed = known
            while self._stream[closed].end + self._delay_ms < now_ms:
                closed += 1
            last = first
            # The session that would close next is there: the one that asks has its next click still to come.
            until_ms = self._stream[closed].end + self._delay_ms
            while (
                last < len(self._order)
                and last - first < QUERIES_A_CALL
                and self._questions.time_ms(self._order[last]) <= until_ms
            ):
                last += 1
            yield _Step(self._stream[known:closed], self._order[first:last])
            first, known = last, closed

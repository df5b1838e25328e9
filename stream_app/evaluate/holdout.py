"""Holdout: learn from one set of sessions, ask every beginning of another's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from core.errors import EvaluationError
from core.window.sessions import ClosedSession
from stream_app.evaluate.methods import Recommender
from stream_app.evaluate.questions import QUERIES_A_CALL, Asking, Questions, stated
from stream_app.evaluate.report import Report

CUTOFFS: Final = (5, 10, 20)


class Holdout:
    """A split that is made ready once and asked of any number of methods.

    Args:
        train: sessions to learn from, oldest first.
        test: sessions to ask; nothing is learnt from them.

    Raises:
        EvaluationError: nothing to learn from, or no test session of two clicks.
    """

    def __init__(self, train: Sequence[ClosedSession], test: Sequence[ClosedSession]) -> None:
        if not train:
            raise EvaluationError("expected sessions to learn from, found none")
        self.train = train
        self._questions = Questions(test, train)
        self._learnt = self._questions.times_learnt(train)

    def run(
        self,
        recommender: Recommender,
        *,
        method: str | None = None,
        exclude: str | None = None,
        cutoffs: Sequence[int] = CUTOFFS,
        fitted: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Report:
        """Have a method learn, ask it and judge its answers.

        Args:
            recommender: the method; it should give as many items as the largest cut-off.
            method: its name; None: as it calls itself.
            exclude: what its answers leave out; None: as it says itself.
            cutoffs: the k's, ascending.
            fitted: it has learnt from ``train`` already.
            on_progress: told queries asked and queries to ask.

        Raises:
            InvalidParameterError: the cut-offs are not 1 and more, ascending.
        """
        begun = time.perf_counter()
        if not fitted:
            recommender.fit(self.train)
        fit_seconds = time.perf_counter() - begun
        asking, total = Asking(self._questions, recommender, cutoffs), len(self._questions)
        for first in range(0, total, QUERIES_A_CALL):
            last = min(first + QUERIES_A_CALL, total)
            asking.ask(range(first, last))
            if on_progress is not None:
                on_progress(last, total)
        timing = asking.finish()
        return Report(
            **stated(recommender, method, exclude),
            protocol="holdout",
            tally=asking.tally,
            learnt=self._learnt,
            train_sessions=len(self.train),
            fit_seconds=fit_seconds,
            seconds=time.perf_counter() - begun,
            timing=timing,
        )


def holdout(
    recommender: Recommender,
    train: Sequence[ClosedSession],
    test: Sequence[ClosedSession],
    *,
    method: str | None = None,
    exclude: str | None = None,
    cutoffs: Sequence[int] = CUTOFFS,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Evaluate one method on one split; for several, make a :class:`Holdout` once and run each on it."""
    return Holdout(train, test).run(
        recommender, method=method, exclude=exclude, cutoffs=cutoffs, on_progress=on_progress
    )

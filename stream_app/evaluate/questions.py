"""The queries that sessions ask, and the asking of them, with the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from core.errors import EvaluationError
from core.measure.metrics import Cases, Tally
from core.window.sessions import ClosedSession
from stream_app.evaluate.methods import Prefix, Recommender
from stream_app.evaluate.report import Timing

#: Queries in one call at most.
QUERIES_A_CALL: Final = 1000

#: Queries that are asked alone, to see what a single one takes, and the seconds after which that ends.
MOST_ALONE: Final = 1000
ALONE_S: Final = 2.0

_US: Final = 1e6


class Questions:
    """All beginnings of some sessions as queries, and what is right, judged in one place for all protocols.

    A query never holds what it is judged by: its items end before the next click, and its time is that of its
    own last click.

    Args:
        sessions: that ask; those of one click ask nothing.
        learnt: sessions that are learnt before, for the numbers of their items.

    Attributes:
        cases: the same in numbers.

    Raises:
        EvaluationError: no session has two clicks.
    """

    def __init__(self, sessions: Sequence[ClosedSession], learnt: Sequence[ClosedSession] = ()) -> None:
        self.sessions = sessions
        self._numbers: dict[str, int] = {}
        number = self._numbers.setdefault
        for session in learnt:
            for item in session.items:
                number(item, len(self._numbers))
        asked = [[number(item, len(self._numbers)) for item in session.items] for session in sessions]
        self.cases = Cases(asked, len(self._numbers))
        if not len(self.cases):
            raise EvaluationError(
                "expected test sessions of two clicks and more, found none: nothing has a next click"
            )
        self._of: list[int] = self.cases.session.tolist()
        self._position: list[int] = self.cases.position.tolist()

    def __len__(self) -> int:
        return len(self._of)

    def prefix(self, query: int) -> Prefix:
        """The query of this number as a method is asked it."""
        session, position = self.sessions[self._of[query]], self._position[query]
        return session.items[:position], session.times[position - 1] / 1000

    def time_ms(self, query: int) -> int:
        """When it is asked: the time of its last click."""
        return self.sessions[self._of[query]].times[self._position[query] - 1]

    def numbers(self, answers: Iterable[Sequence[str]]) -> list[list[int]]:
        """Answers as item numbers.

        Raises:
            EvaluationError: an item that is in no session.
        """
        number = self._numbers
        try:
            return [[number[item] for item in answer] for answer in answers]
        except KeyError as error:
            raise EvaluationError(
                f"the method recommends {error.args[0]!r}, an item that no session has"
            ) from None

    def times_learnt(self, sessions: Iterable[ClosedSession]) -> list[int]:
        """How often each item is in these sessions, by the item's number."""
        times = [0] * len(self._numbers)
        for session in sessions:
            for item in session.items:
                times[self._numbers[item]] += 1
        return times


class Asking:
    """One method being asked: its answers go into a tally, the time of the calls is added up.

    Args:
        questions: what is asked.
        recommender: who is asked; it has learnt already.
        cutoffs: of the tally.
    """

    def __init__(self, questions: Questions, recommender: Recommender, cutoffs: Sequence[int]) -> None:
        self._questions, self._recommender = questions, recommender
        self.tally = Tally(questions.cases, cutoffs)
        self._pending: list[int] = []
        self._answers: list[list[str]] = []
        self._seconds, self._asked = 0.0, 0
        recommender.recommend([questions.prefix(0)])  # compiles and allocates; not measured

    def ask(self, queries: Sequence[int]) -> None:
        """Ask the queries of these numbers in one call."""
        prefixes = list(map(self._questions.prefix, queries))
        begun = time.perf_counter()
        answers = self._recommender.recommend(prefixes)
        self._seconds += time.perf_counter() - begun
        self._asked += len(queries)
        self._pending.extend(queries)
        self._answers.extend(answers)
        if len(self._pending) >= QUERIES_A_CALL:
            self._judge()

    def finish(self) -> Timing:
        """Judge what is left, and measure some queries alone."""
        self._judge()
        step = max(1, len(self._questions) // MOST_ALONE)
        took: list[float] = []
        begun = time.perf_counter()
        for query in range(0, len(self._questions), step):
            prefix = self._questions.prefix(query)
            before = time.perf_counter()
            self._recommender.recommend([prefix])
            after = time.perf_counter()
            took.append((after - before) * _US)
            if after - begun > ALONE_S:
                break
        took.sort()
        return Timing(
            self._seconds / max(1, self._asked) * _US,
            took[len(took) // 2],
            took[min(len(took) - 1, len(took) * 99 // 100)],
            len(took),
        )

    def _judge(self) -> None:
        self.tally.add(self._pending, self._questions.numbers(self._answers))
        self._pending, self._answers = [], []


def stated(recommender: Recommender, method: str | None, exclude: str | None) -> dict[str, Any]:
    """What a report says of the method: name, exclude and settings; by the method itself if not given."""
    settings = dict(getattr(recommender, "settings", {}))
    return {
        "method": method or str(settings.get("name", type(recommender).__name__)),
        "exclude": exclude or str(settings.get("exclude", "none")),
        "settings": settings,
    }

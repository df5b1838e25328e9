"""The validation cut: the newest of the training sessions are held out, and asked for their next items."""

from __future__ import annotations

import math
import random
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from core.errors import TuneError
from core.index import SessionIndex
from core.params import ScoringParameters
from core.scoring import Scorer
from core.window.sessions import ClosedSession
from stream_app.evaluate.data import split_by_time
from stream_app.tune.figures import Figures

#: Queries that are scored by one call, so that a stop is noticed soon.
QUERIES_A_CALL: Final = 500

#: Shares of the queries after which a trial is compared with the others.
RUNGS: Final = (0.125, 0.25, 0.5, 1.0)

_UNITS_S: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True, slots=True)
class Cut:
    """How much is held out.

    Args:
        share: of the sessions, above 0 and below 1; or
        seconds: of time before the last click; above 0. The other is 0.
    """

    share: float = 0.0
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Cut:
        """Read ``10%``, ``1d``, ``12h``, ``30m`` or ``90s``.

        Raises:
            TuneError: it is none of these, or nothing or everything would be held out.
        """
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([%dhms])", text.strip())
        number = float(match[1]) if match else 0.0
        if match and match[2] == "%" and 0 < number < 100:  # noqa: PLR2004 -- per cent
            return cls(share=number / 100)
        if match and match[2] != "%" and number > 0:
            return cls(seconds=number * _UNITS_S[match[2]])
        raise TuneError(
            f"the validation cut is {text!r}, expected a share of the sessions such as 10%, or a time such "
            "as 1d, 12h or 30m"
        )

    def split(self, sessions: Sequence[ClosedSession]) -> tuple[list[ClosedSession], list[ClosedSession]]:
        """Split sessions into those to learn from and the newer ones to validate with.

        No session to learn from ends after one to validate with begins; one that is under way at the cut is
        in neither part.

        Args:
            sessions: sorted by end.

        Raises:
            EvaluationError: a share leaves one part empty.
            TuneError: a time does.
        """
        if self.share:
            return split_by_time(sessions, self.share)
        cut_ms = sessions[-1].end - self.seconds * 1000 if sessions else 0.0
        older = [session for session in sessions if session.end <= cut_ms]
        newer = [session for session in sessions if session.start > cut_ms]
        if not (older and newer):
            span_s = (sessions[-1].end - min(s.start for s in sessions)) / 1000 if sessions else 0
            raise TuneError(
                f"{len(sessions)} sessions within {span_s:,.0f} s: the newest {self.seconds:,.0f} s leave "
                f"{len(older)} to learn from and {len(newer)} to validate with; choose another --validation"
            )
        return older, newer


class Validation:
    """An index of the older sessions, and queries of the newer ones in an order drawn from a seed.

    A query is the beginning of a session; what is to be found is the item of the next click. All queries
    together are those of ``nextclick evaluate --holdout``: an item that no older session has is a miss.

    Args:
        sessions: all training data, sorted by end.
        cut: how much of it is held out.
        seed: of the drawing.
        max_queries: queries at most; all where there are fewer.

    Attributes:
        older: sessions that are learnt from.
        newer: sessions that are held out.
        possible: queries that could be asked.
        queries: what is asked: items so far, and the time in seconds.
        next_items: what is to be found, one for each query.
        session_of: number of the session that each query is of.
        span_s: time that the older sessions span, seconds.
        index: the older sessions.

    Raises:
        TuneError: nothing can be asked.
        EvaluationError: the cut leaves one part empty.
    """

    def __init__(self, sessions: Sequence[ClosedSession], cut: Cut, seed: int, max_queries: int) -> None:
        self.older, self.newer = cut.split(sessions)
        asked = [session for session in self.newer if len(session.items) > 1]
        ends = list(accumulate(len(session.items) - 1 for session in asked))
        self.possible = ends[-1] if ends else 0
        if not self.possible:
            raise TuneError(
                f"none of the {len(self.newer)} validation sessions has two clicks, so there is no next item "
                "to ask for; choose a larger --validation"
            )
        drawn = random.Random(seed).sample(range(self.possible), min(max_queries, self.possible))  # noqa: S311 -- no secret
        self.queries: list[tuple[Sequence[str], float]] = []
        self.next_items: list[str] = []
        self.session_of: list[int] = []
        for number in drawn:
            at = bisect_right(ends, number)
            session = asked[at]
            position = len(session.items) - 1 - (ends[at] - 1 - number)
            self.queries.append((session.items[:position], session.times[position - 1] / 1000))
            self.next_items.append(session.items[position])
            self.session_of.append(at)
        self.span_s = max((self.older[-1].end - min(s.start for s in self.older)) / 1000, 1.0)
        self.index = SessionIndex(len(self.older))
        self.index.add(self.older)

    def judge(
        self, parameters: ScoringParameters, go_on: Callable[[int, Figures], bool], stop: Callable[[], bool]
    ) -> Figures | None:
        """Ask all queries, a growing share of them after another.

        Args:
            parameters: of the scorer; ``recommendations`` is k.
            go_on: told the number of each of :data:`RUNGS` but the last and the figures up to it; False ends
                it.
            stop: looked at every :data:`QUERIES_A_CALL` queries; True ends it.

        Returns:
            The figures; None where it was ended.
        """
        scorer, figures, begin = Scorer(self.index, parameters), Figures(), 0
        for rung, share in enumerate(RUNGS):
            end = math.ceil(len(self.queries) * share)
            while begin < end:
                if stop():
                    return None
                part = slice(begin, min(begin + QUERIES_A_CALL, end))
                answers = scorer.score(self.queries[part])
                figures = figures.plus(
                    [
                        next((rank for rank, one in enumerate(answer, start=1) if one.item == wanted), None)
                        for answer, wanted in zip(answers, self.next_items[part], strict=True)
                    ]
                )
                begin = part.stop
            if share < 1 and not go_on(rung, figures):
                return None
        return figures

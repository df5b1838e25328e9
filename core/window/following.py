"""Following one visitor's session through the log of its partition, as a worker would have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from core.errors import BadClickError
from core.window.clicks import Forget
from core.window.sessions import ClosedSession, WindowRules, close
from core.window.step import DeadLetter, Parsed, PartitionState, Query, VisitorState, advance_run


class Follower:
    """Applies a partition's log for one visitor only; of the others the watermark is all that matters.

    Args:
        partition: the input partition.
        visitor: whom to follow.
        rules: the window's parameters.
        closed_idle: the visitor's sessions that the clock has closed: the log does not say which. Each was
            closed after the last click that it has and before the visitor's next one.

    Attributes:
        last: what became of the visitor's last click; None, too, where the visitor was forgotten after it.
    """

    def __init__(
        self, partition: int, visitor: str, rules: WindowRules, closed_idle: Iterable[ClosedSession] = ()
    ) -> None:
        self._partition = partition
        self._visitor = visitor
        self._rules = rules
        self._idle = {session.session: session for session in closed_idle}
        self._before = PartitionState()
        self._state: VisitorState | None = None
        self.last: Query | DeadLetter | None = None

    def take(self, run: Sequence[Parsed]) -> None:
        """Apply the next records of the log."""
        for piece in self._pieces(run):
            is_mine = self._is_mine(piece[0])
            if is_mine:
                self._close_idle()
            known = {self._visitor: self._state} if self._state else {}
            result = advance_run(self._partition, piece, self._before, known, self._rules)
            self._before = result.partition
            self._state = result.visitors.get(self._visitor, self._state)
            if is_mine:
                # It is the first of the piece, and what is no click of a visitor may be dead behind it.
                query = next((q for q in result.queries if q.visitor == self._visitor), None)
                self.last = None if isinstance(piece[0].click, Forget) else query or result.dead[0]

    def _pieces(self, run: Sequence[Parsed]) -> Iterator[Sequence[Parsed]]:
        """The run cut before each click of the visitor."""
        begin = 0
        for at, parsed in enumerate(run):
            if at > begin and self._is_mine(parsed):
                yield run[begin:at]
                begin = at
        if begin < len(run):
            yield run[begin:]

    def _is_mine(self, parsed: Parsed) -> bool:
        return not isinstance(parsed.click, BadClickError) and parsed.click.visitor == self._visitor

    def _close_idle(self) -> None:
        session = self._state.session if self._state else None
        closed = self._idle.get(session.id) if session else None
        if session and closed and close(session, self._visitor, "idle", self._rules) == closed:
            self._state = None

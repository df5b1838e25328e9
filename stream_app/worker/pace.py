"""How fast something long goes and how long it will still take: restoring the state, reading the index."""

from __future__ import annotations

from collections import deque
from typing import Final

from stream_app.operations.status import Reading

#: Looks that the pace is taken from: as many seconds, where it is looked each second.
LOOKS: Final = 20


class Pace:
    """Told now and then how much is left.

    What is left may grow: the end is not always known at the beginning. What was done does not shrink.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew; nothing is known."""
        self._left: int | None = None
        self._done = 0
        self._looks: deque[tuple[float, int]] = deque(maxlen=LOOKS)

    def look(self, left: int, now_s: float) -> None:
        """Note how much is left at a time, seconds on a clock that only goes on."""
        if self._left is not None:
            self._done += max(0, self._left - left)
        self._left = left
        self._looks.append((now_s, self._done))

    def reading(self) -> Reading:
        """How far it is."""
        a_second = self._a_second()
        seconds_left = None
        if self._left is not None and (a_second > 0 or self._left == 0):
            seconds_left = round(self._left / a_second, 1) if self._left else 0.0
        return Reading(self._done, self._left, round(a_second, 1), seconds_left)

    def _a_second(self) -> float:
        if not self._looks:
            return 0.0
        (begin_s, done), (now_s, done_now) = self._looks[0], self._looks[-1]
        return (done_now - done) / (now_s - begin_s) if now_s > begin_s else 0.0


def sentence(what: str, reading: Reading) -> str:
    """A sentence for the log.

    Args:
        what: is read, in the plural.
        reading: how far it is.
    """
    if reading.left is None:
        return f"{what}: how many is not known yet"
    if not reading.left:
        return f"{what}: all {reading.done} done"
    about = "" if reading.seconds_left is None else f", about {reading.seconds_left:.0f} s left"
    return f"{what}: {reading.done} of {reading.done + reading.left}, {reading.a_second:.0f} a second{about}"

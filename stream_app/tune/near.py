"""Trials near good ones: a few of their values moved, the others kept.

The estimator of :mod:`stream_app.tune.search` draws all values anew; with thirty of them and some hundred
trials that seldom keeps what is good already. Every second trial is therefore a step from one of the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from stream_app.tune.space import SPACE, Range

#: Standard deviation of a step, in shares of the range, of its logarithm where that is searched.
_STEP: Final = 0.15

#: Chance that a further value is moved, and that the next best is stepped from.
_ANOTHER: Final = 0.6
_NEXT_BEST: Final = 0.35


def one_of_the_best(count: int, random: Random) -> int:
    """Which of ``count`` trials to step from, the best being 0: the better, the more often."""
    return _steps(count, _NEXT_BEST, random)


def near(suggestions: Mapping[str, Any], random: Random) -> dict[str, Any]:
    """Suggestions of a trial with at least one of them moved.

    Args:
        suggestions: see :func:`stream_app.tune.space.encode`; not empty.
        random: draws which, and how far.

    Returns:
        The same names. What the moved ones make needless is left in, and what they make needful is missing:
        the sampler adds it.
    """
    names = sorted(suggestions)
    moved = random.sample(names, 1 + _steps(len(names), _ANOTHER, random))
    return {**suggestions, **{name: _moved(name, suggestions[name], random) for name in moved}}


def _moved(name: str, value: Any, random: Random) -> Any:
    dimension = SPACE.get(name)
    if isinstance(dimension, Range):
        return _number(dimension, value, random)
    values = dimension.values if dimension else (False, True)  # whether a parameter is on
    return random.choice([other for other in values if other != value])


def _number(dimension: Range, value: float, random: Random) -> float:
    """Another number of the range; a step over its end is taken back from there."""
    scaled, back = (math.log, math.exp) if dimension.log else (float, float)
    low, high = scaled(dimension.low), scaled(dimension.high)
    share = (scaled(value) - low) / (high - low) + random.gauss(0, _STEP)
    share = abs(share) if share < 1 else 2 - share
    found = min(max(back(low + share * (high - low)), dimension.low), dimension.high)
    if not dimension.whole:
        return found
    if round(found) != value:
        return round(found)
    return int(value) + (1 if value < dimension.high else -1)


def _steps(count: int, chance: float, random: Random) -> int:
    """How often the chance comes true before it does not, below ``count``."""
    steps = 0
    while steps + 1 < count and random.random() < chance:
        steps += 1
    return steps

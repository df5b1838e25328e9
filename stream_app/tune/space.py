"""What is searched: one table of the scorer's parameters with the values that each may take.

A parameter that is added to the scorer is added to :data:`SPACE`, or to :data:`FIXED` or :data:`NEEDED` if
it is not searched; a test asks for one of the three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from core.params import POSITION_WEIGHTS, STEP_WEIGHTS, ScoringParameters


class Trial(Protocol):
    """What chooses values; optuna's trial is one."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number from low to high."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number from low to high."""


#: Tells from the parameters chosen so far (of the rest: the start's) whether one matters.
When = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter that is one of a few values.

    Args:
        values: these.
        when: whether it matters; None: always.
    """

    values: tuple[Any, ...]
    when: When | None = None

    def suggest(self, trial: Trial, name: str, span_s: float) -> Any:
        """A value for this trial."""
        del span_s
        return trial.suggest_categorical(name, self.values)

    def encode(self, name: str, value: Any, span_s: float) -> dict[str, Any] | None:
        """The suggestions that come to this value; None where none do."""
        del span_s
        return {name: value} if value in self.values else None


@dataclass(frozen=True, slots=True)
class Range:
    """A parameter that is a number.

    Args:
        low: least value.
        high: largest value.
        log: search its logarithm.
        whole: whole numbers only.
        off: a value outside of the range that switches it off, tried as a choice of its own; None: there is
            none.
        of_span: ``low`` and ``high`` are shares of the training data's time, for a parameter in seconds.
        when: whether it matters; None: always.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    off: float | None = None
    of_span: bool = False
    when: When | None = None

    def suggest(self, trial: Trial, name: str, span_s: float) -> float:
        """A value for this trial."""
        if self.off is not None and not trial.suggest_categorical(_switch(name), (False, True)):
            return self.off
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log) * self._unit(span_s)

    def encode(self, name: str, value: float, span_s: float) -> dict[str, Any] | None:
        """The suggestions that come to this value, or to the largest where a whole number is larger still.

        Returns:
            None where it is out of the range otherwise.
        """
        if self.off is not None and value == self.off:
            return {_switch(name): False}
        share = min(value, int(self.high)) if self.whole else value / self._unit(span_s)
        if not self.low <= share <= self.high:
            return None
        return {name: share} if self.off is None else {_switch(name): True, name: share}

    def _unit(self, span_s: float) -> float:
        return span_s if self.of_span else 1.0


def _any(*names: str) -> When:
    """Whether one of these parameters is above 0."""
    return lambda chosen: any(chosen[name] > 0 for name in names)


_NEIGHBOURS: Final = _any("neighbour_share")
_RULES: Final = _any("rule_share")


def _exponential(name: str, of: When | None = None) -> When:
    """Whether a weight is the one that has a decay, where the weight matters."""
    return lambda chosen: chosen[name] == "exponential" and (of is None or of(chosen))


#: The parameters that are searched, in the order in which they are chosen: ``when`` sees those above it.
SPACE: Final[dict[str, Choice | Range]] = {
    "last_clicks": Range(1, 200, log=True, whole=True),
    "rule_share": Range(0.02, 20, log=True, off=0.0),
    "rule_clicks": Range(1, 20, log=True, whole=True, when=_RULES),
    "rule_click_decay": Range(0.3, 20, log=True, when=_RULES),
    "rule_support": Range(0.3, 50, log=True, off=0.0, when=_RULES),
    "rule_linear": Choice((False, True), when=_RULES),
    "rule_mix": Range(0.0, 1.0),
    "rule_length_power": Range(0.0, 1.5, when=_any("rule_mix")),
    "rule_weight": Choice(STEP_WEIGHTS),
    "rule_decay": Range(0.2, 20, log=True, when=_exponential("rule_weight")),
    "rule_steps": Range(1, 20, log=True, whole=True),
    "rule_sessions": Range(50, 5000, log=True, whole=True),
    "reminder_share": Range(0.005, 1.0, log=True, off=0.0),
    "reminder_decay": Range(0.3, 20, log=True, when=_any("reminder_share")),
    "further_share": Range(0.02, 1.5, log=True, off=0.0),
    "further_items": Range(3, 20, whole=True, when=_any("further_share")),
    "repeat_share": Range(0.1, 50, log=True, off=0.0),
    "repeat_rate": Range(0.02, 0.6, log=True, when=_any("repeat_share")),
    "repeat_support": Range(0.2, 20, log=True, when=_any("repeat_share")),
    "repeat_current": Range(0.1, 4, log=True, when=_any("repeat_share")),
    "neighbour_share": Choice((0.0, 1.0), when=_any("rule_share", "reminder_share", "popular_share")),
    "neighbours": Range(20, 5000, log=True, whole=True, when=_NEIGHBOURS),
    "sessions_per_item": Range(100, 20_000, log=True, whole=True, when=_NEIGHBOURS),
    "position_weight": Choice(POSITION_WEIGHTS, when=_NEIGHBOURS),
    "position_decay": Range(0.2, 20, log=True, when=_exponential("position_weight", _NEIGHBOURS)),
    "score_weight": Choice(STEP_WEIGHTS, when=_NEIGHBOURS),
    "score_decay": Range(0.2, 20, log=True, when=_exponential("score_weight", _NEIGHBOURS)),
    "length_power": Range(0.05, 1.0, off=0.0, when=_NEIGHBOURS),
    "idf_similarity": Range(0.0, 4.0, when=_NEIGHBOURS),
    "recency_s": Range(0.02, 20.0, log=True, off=0.0, of_span=True, when=_NEIGHBOURS),
    "similarity_power": Range(0.5, 3.0, when=_NEIGHBOURS),
    "distance_decay": Range(0.3, 100, log=True, off=0.0, when=_NEIGHBOURS),
    "before_weight": Range(0.0, 1.0, when=_NEIGHBOURS),
    "idf_score": Range(0.05, 20, log=True, off=0.0, when=_NEIGHBOURS),
    "popularity_damping": Range(0.02, 0.6, off=0.0, when=_NEIGHBOURS),
    "trend_power": Range(0.02, 1.0, off=0.0, when=_NEIGHBOURS),
    "popularity_prior": Range(0.1, 200, log=True, off=0.0, when=_NEIGHBOURS),
}

#: Parameters that are the start's in every trial: what they are called, what is asked for, and what only
#: moves the tail of an answer.
FIXED: Final = frozenset(
    {
        "name",
        "recommendations",
        "exclude",
        "sample_size",
        "sampling",
        "idf_of",
        "repeats",
        "popular_share",
        "fill",
        "popularity_sessions",
        "popularity_half_life",
    }
)

#: A parameter that is the start's, but 1 where neighbours would not score without it.
NEEDED: Final = "idf_base"


def suggest(trial: Trial, start: ScoringParameters, span_s: float) -> ScoringParameters:
    """Parameters for a trial; those that do not matter or are not searched are the start's.

    Args:
        trial: chooses.
        start: what the search began with.
        span_s: time that the training data spans, seconds; above 0.
    """
    chosen = msgspec.structs.asdict(start) | {"neighbour_share": 1.0}  # where nothing else scores
    for name, dimension in SPACE.items():
        if dimension.when is None or dimension.when(chosen):
            chosen[name] = dimension.suggest(trial, name, span_s)
    if chosen[NEEDED] == chosen["idf_score"] == 0.0:
        chosen[NEEDED] = 1.0
    return ScoringParameters(**chosen)


def encode(parameters: ScoringParameters, start: ScoringParameters, span_s: float) -> dict[str, Any] | None:
    """The suggestions from which :func:`suggest` makes these parameters.

    What does not matter to them may differ; so may :data:`FIXED` names and what is asked for.

    Returns:
        None where the search cannot come to them: a value is out of its range, or a parameter that is not
        searched differs from the start's. A whole number may be larger than its range: all is as much.
    """
    values, begun = msgspec.structs.asdict(parameters), msgspec.structs.asdict(start)
    asked = {"name", "recommendations", "exclude"}
    if any(values[name] != begun[name] for name in values if name not in SPACE and name not in asked):
        return None
    suggestions: dict[str, Any] = {}
    for name, dimension in SPACE.items():
        if dimension.when is not None and not dimension.when(values):
            continue
        encoded = dimension.encode(name, values[name], span_s)
        if encoded is None:
            return None
        suggestions |= encoded
    return suggestions


def _switch(name: str) -> str:
    """The name of the choice whether a parameter is on."""
    return f"{name}?"

"""The settings of :mod:`core.wsknn`: the names of the package ``wsknn``, and what they are in the engine."""

from __future__ import annotations

import difflib
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec

from core.errors import InvalidParameterError
from core.params import PositionWeight, Sampling, ScoringParameters, StepWeight, plain_numbers
from core.presets import preset

SamplingStrategy = Literal["common_items", "recent", "random", "weighted_events"]
WeightingFunc = Literal["linear", "log", "quadratic"]
RankingStrategy = Literal["linear", "log", "quadratic", "inv"]

#: The largest ``number_of_neighbors`` and ``sample_size``.
_MOST: Final = 1_000_000

_SAMPLING: Final[dict[str, Sampling]] = {
    "common_items": "common",
    "recent": "recent",
    "random": "random",
    "weighted_events": "weighted",
}
_POSITION: Final[dict[str, PositionWeight]] = {"linear": "wsknn", "log": "log", "quadratic": "quadratic"}
_SCORE: Final[dict[str, StepWeight]] = {
    "linear": "linear",
    "log": "log",
    "quadratic": "quadratic",
    "inv": "div",
}
#: What the package multiplies its weights by; it changes no order.
_POSITION_SCALE: Final = {"log": math.log10(2.7)}
_SCORE_SCALE: Final = {"linear": 1 / 0.9, "log": math.log10(2.7)}


class WsknnSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings, by the package's names and with its defaults; closed and checked.

    Args:
        number_of_recommendations: items in an answer at most; 1 to 1000.
        number_of_neighbors: the most similar sessions whose items are ranked; 1 to 1,000,000.
        sampling_strategy: which of the sessions that share an item with the query are compared with it:
            those with the most ``common_items``; the ``recent`` ones, whose lists of times are largest,
            compared from the first time on; ``random`` ones, the same for the same items;
            ``weighted_events``, those whose events weigh most on average. Where equal, the more recent.
        sample_size: how many of them; 1 to 1,000,000.
        weighting_func: weight of the query's item at place i of n, from 1, in the similarity: ``linear``
            (i + 1) / n; ``log`` log10(2.7) / log10(n - i + 1.7); ``quadratic`` (i / n)^2.
        ranking_strategy: weight of a neighbour whose newest shared item is s-th from the query's end:
            ``linear`` (1 - 0.1 s) / 0.9, 0 from 10 on; ``log`` log10(2.7) / log10(s + 1.7); ``quadratic``
            1 / s^2; ``inv`` 1 / s.
        return_events_from_session: whether the query's own items may be recommended.
        required_sampling_event: only sessions that have this event are neighbours; None: all.
        required_sampling_event_index: which row of a session has its events' names; None: 2.
        sampling_event_weights_index: which row of a session has its events' weights; None: 3.
        recommend_any: fill a short answer, at score 0: by items that followed the query's last item and the
            best found, in any session, then by popular ones.

    Raises:
        InvalidParameterError: a value is out of its range or of the wrong kind.
    """

    number_of_recommendations: int = 5
    number_of_neighbors: int = 10
    sampling_strategy: SamplingStrategy = "common_items"
    sample_size: int = 1000
    weighting_func: WeightingFunc = "linear"
    ranking_strategy: RankingStrategy = "linear"
    return_events_from_session: bool = True
    required_sampling_event: Hashable | None = None
    required_sampling_event_index: int | None = None
    sampling_event_weights_index: int | None = None
    recommend_any: bool = False

    def __post_init__(self) -> None:
        plain_numbers(self)
        for name, most in _LARGEST.items():
            value = getattr(self, name)
            if not _is_whole(value) or not 1 <= value <= most:
                raise InvalidParameterError(f"{name} is {value!r}, expected a whole number from 1 to {most}")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise InvalidParameterError(
                    f"{name} is {getattr(self, name)!r}, expected one of {', '.join(known)}"
                )
        for name in ("return_events_from_session", "recommend_any"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidParameterError(f"{name} is {getattr(self, name)!r}, expected True or False")
        for name in ("required_sampling_event_index", "sampling_event_weights_index"):
            if getattr(self, name) is not None and not _is_whole(getattr(self, name)):
                raise InvalidParameterError(f"{name} is {getattr(self, name)!r}, expected a row's number")
        if not isinstance(self.required_sampling_event, Hashable):
            raise InvalidParameterError(
                f"required_sampling_event is {self.required_sampling_event!r}, expected one event's name"
            )

    def changed(self, changes: Mapping[str, Any]) -> WsknnSettings:
        """These settings with some changed; a None changes nothing but where None is a value.

        Raises:
            InvalidParameterError: no such setting (with the nearest known name), or out of range.
        """
        for name in changes:
            if name not in self.__struct_fields__:
                near = difflib.get_close_matches(str(name), self.__struct_fields__, n=1, cutoff=0.4)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise InvalidParameterError(f"no setting {name!r}{hint}")
        given = {name: value for name, value in changes.items() if value is not None or name in _OPTIONAL}
        return msgspec.structs.replace(self, **given)

    @classmethod
    def given(cls, in_order: Sequence[Any], by_name: Mapping[str, Any]) -> WsknnSettings:
        """The defaults with some changed; ``in_order`` are the first settings, in the order of the fields.

        Raises:
            InvalidParameterError: as :meth:`changed`; or too many values, or one setting twice.
        """
        fields = cls.__struct_fields__
        if len(in_order) > len(fields):
            raise InvalidParameterError(f"{len(in_order)} settings in order, expected at most {len(fields)}")
        first = dict(zip(fields, in_order, strict=False))
        if twice := first.keys() & by_name.keys():
            raise InvalidParameterError(f"{min(twice)} is given twice: in order, and by its name")
        return cls().changed(first | dict(by_name))

    def parameters(self, sessions: int) -> ScoringParameters:
        """The engine's parameters for these settings and so many sessions."""
        return preset(
            "wsknn",
            recommendations=self.number_of_recommendations,
            neighbours=self.number_of_neighbors,
            # No more sessions than there are can be candidates; then none has to be left out.
            sample_size=0 if self.sample_size >= sessions else self.sample_size,
            sampling=_SAMPLING[self.sampling_strategy],
            position_weight=_POSITION[self.weighting_func],
            score_weight=_SCORE[self.ranking_strategy],
            exclude="none" if self.return_events_from_session else "session",
            fill=self.recommend_any,
        )

    @property
    def scale(self) -> float:
        """The package's score is the engine's times this, divided by the query's distinct items."""
        return _POSITION_SCALE.get(self.weighting_func, 1.0) * _SCORE_SCALE.get(self.ranking_strategy, 1.0)


_LARGEST: Final = {"number_of_recommendations": 1000, "number_of_neighbors": _MOST, "sample_size": _MOST}
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "sampling_strategy": get_args(SamplingStrategy),
    "weighting_func": get_args(WeightingFunc),
    "ranking_strategy": get_args(RankingStrategy),
}
_OPTIONAL: Final = (
    "required_sampling_event",
    "required_sampling_event_index",
    "sampling_event_weights_index",
)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

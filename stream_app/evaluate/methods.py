"""The methods that can be evaluated, by name: the engine's presets and, from an extra, others to compare."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

import msgspec

from core.errors import EvaluationError, InvalidParameterError
from core.params import EXCLUDES, Exclude, ScoringParameters
from core.presets import PRESETS, preset
from core.window.sessions import ClosedSession

if TYPE_CHECKING:
    from core.index import SessionIndex
    from core.scoring import Scorer

#: A session's items in the order of time, and the time of the query in seconds.
Prefix = tuple[Sequence[str], float]

#: Sessions that an index which grows during an evaluation holds at most, unless said otherwise.
DEFAULT_MAX_SESSIONS: Final = 500_000

#: What is evaluated when nobody says which.
DEFAULT_METHODS: Final = ("blend", "vstan")

#: Methods beside the engine: name → ``module:callable``, imported when asked for. The callable takes
#: ``exclude`` and ``n``, and the method's own settings by name; it gives a :class:`Recommender`.
COMPARISONS: Final[dict[str, str]] = {
    "user-cf": "stream_app.comparisons.methods:user_cf",
    "item-cf": "stream_app.comparisons.methods:item_cf",
    "ease": "stream_app.comparisons.methods:ease",
    "slist": "stream_app.comparisons.methods:slist",
}


class Recommender(Protocol):
    """A method: learns from closed sessions, then ranks items for beginnings of sessions.

    It may have an attribute ``settings``, a mapping of plain values, which is stated with its figures.
    """

    def fit(self, sessions: Sequence[ClosedSession]) -> None:
        """Learn from these sessions, oldest first, and forget all that was learnt before."""

    def recommend(self, queries: Sequence[Prefix]) -> list[list[str]]:
        """For each query up to n distinct items, best first; what ``exclude`` bars is not among them."""


@runtime_checkable
class GrowingRecommender(Recommender, Protocol):
    """A method that can also take in sessions as they close: what a prequential evaluation needs."""

    def add(self, sessions: Sequence[ClosedSession]) -> None:
        """Learn from these sessions too, in their order."""


class EngineRecommender:
    """The engine with one set of parameters.

    The kernels are imported when it is made: :func:`stream_app.compiled.use_kernels` comes before.

    Args:
        parameters: of the scorer; ``recommendations`` and ``exclude`` among them.
        max_sessions: sessions that the index holds at most, the oldest leave first; None: as many as
            :meth:`fit` is given, at least :data:`DEFAULT_MAX_SESSIONS`.
    """

    def __init__(self, parameters: ScoringParameters, max_sessions: int | None = None) -> None:
        self.parameters = parameters
        self._max_sessions = max_sessions
        self.fit([])

    @property
    def settings(self) -> dict[str, Any]:
        """All parameters as plain values."""
        return cast("dict[str, Any]", msgspec.to_builtins(self.parameters))

    @property
    def index(self) -> SessionIndex:
        """What was learnt."""
        return self._scorer.index

    def fit(self, sessions: Sequence[ClosedSession]) -> None:
        """Build the index anew from these sessions."""
        from core.index import SessionIndex  # noqa: PLC0415 -- imports the kernels
        from core.scoring import Scorer  # noqa: PLC0415 -- the same

        index = SessionIndex(self._max_sessions or max(DEFAULT_MAX_SESSIONS, len(sessions)))
        index.add(sessions)
        self._scorer: Scorer = Scorer(index, self.parameters)

    def with_parameters(self, parameters: ScoringParameters) -> EngineRecommender:
        """Another one on the same index, which is shared and not copied."""
        from core.scoring import Scorer  # noqa: PLC0415 -- imports the kernels

        other = EngineRecommender.__new__(EngineRecommender)
        other.parameters, other._max_sessions = parameters, self._max_sessions  # noqa: SLF001 -- its own class
        other._scorer = Scorer(self.index, parameters)  # noqa: SLF001 -- the same
        return other

    def add(self, sessions: Sequence[ClosedSession]) -> None:
        """Take in sessions as they close."""
        self.index.add(sessions)

    def recommend(self, queries: Sequence[Prefix]) -> list[list[str]]:
        """Names of the items of each answer, best first."""
        return [[one.item for one in answer] for answer in self._scorer.score(queries)]


def method_names() -> list[str]:
    """All names that :func:`recommender` knows, the engine's first."""
    return [*PRESETS, *COMPARISONS]


def recommender(
    name: str,
    exclude: Exclude = "none",
    n: int = 20,
    changes: Mapping[str, Any] | None = None,
    max_sessions: int | None = None,
) -> Recommender:
    """Make a method by its name.

    Args:
        name: one of :func:`method_names`.
        exclude: what answers leave out.
        n: items in an answer.
        changes: parameters in place of the method's own, as values or as text of a command line.
        max_sessions: see :class:`EngineRecommender`; other methods hold all that they are fitted with.

    Raises:
        EvaluationError: no such method (with the nearest known name).
        InvalidParameterError: a change that the method does not know or that is out of its range.
    """
    if exclude not in EXCLUDES:
        raise InvalidParameterError(f"exclude is {exclude!r}, expected one of {', '.join(EXCLUDES)}")
    if name in PRESETS:
        changed = {key: parameter_value(key, value) for key, value in (changes or {}).items()}
        changed |= {"exclude": exclude, "recommendations": n}
        return EngineRecommender(preset(name, **changed), max_sessions)
    if name in COMPARISONS:
        module, _, factory = COMPARISONS[name].partition(":")
        make = getattr(importlib.import_module(module), factory)
        try:
            return cast("Recommender", make(exclude=exclude, n=n, **(changes or {})))
        except TypeError as error:
            raise InvalidParameterError(f"method {name!r}: {error}") from None
    near = difflib.get_close_matches(name, method_names(), n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise EvaluationError(f"unknown method {name!r}{hint} The methods are: {', '.join(method_names())}")


def tuned(
    parameters: ScoringParameters, exclude: Exclude | None, n: int, max_sessions: int | None = None
) -> EngineRecommender:
    """The engine with parameters from a file; ``exclude`` of None keeps the file's own."""
    changed = msgspec.structs.replace(parameters, exclude=exclude or parameters.exclude, recommendations=n)
    return EngineRecommender(changed, max_sessions)


def parameter_value(name: str, value: object) -> object:
    """A parameter's value in its type; a name that is no parameter's is left for others to refuse.

    Raises:
        InvalidParameterError: text that is no value of this parameter.
    """
    kinds = {field.name: field.type for field in msgspec.structs.fields(ScoringParameters)}
    if name not in kinds:
        return value
    try:
        return msgspec.convert(value, kinds[name], strict=False)
    except msgspec.ValidationError as error:
        raise InvalidParameterError(f"{name} is {value!r}: {error}") from None

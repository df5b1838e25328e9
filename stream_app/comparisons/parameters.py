"""The parameters of the comparisons: closed, checked, and the same whether given as values or as text."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from core.errors import InvalidParameterError
from core.params import EXCLUDES, Exclude

Chosen = TypeVar("Chosen", bound="Parameters")


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every comparison takes.

    Args:
        n: items in an answer; 1 to 1000.
        exclude: what an answer leaves out: nothing (``none``), the query's last item (``current``), or all
            of its items (``session``).
        query_decay: positions after which the weight of an item of the query has fallen to 1/e, counted from
            its newest, and a repeated item counts each time; 0: every item weighs 1, however often it comes.

    Raises:
        InvalidParameterError: a value is out of its range.
    """

    ranges: ClassVar[dict[str, tuple[float, float]]] = {"n": (1, 1000), "query_decay": (0, 1e9)}

    n: int = 20
    exclude: Exclude = "none"
    query_decay: float = 0.0

    def __post_init__(self) -> None:
        for kind in type(self).__mro__:
            for name, (least, most) in vars(kind).get("ranges", {}).items():
                value = getattr(self, name)
                # Written so that NaN is refused too.
                if not least <= value <= most:
                    raise InvalidParameterError(f"{name} is {value}, expected {least:g} to {most:g}")
        if self.exclude not in EXCLUDES:
            raise InvalidParameterError(f"exclude is {self.exclude!r}, expected one of {', '.join(EXCLUDES)}")


class NeighbourParameters(Parameters, frozen=True, kw_only=True):
    """What the two kinds of collaborative filtering take.

    Args:
        neighbours: k; 1 to 1,000,000.
        memory_mb: of a block of distances, MiB; 1 to 1,000,000. A distance takes 8 bytes.
    """

    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "neighbours": (1, 1_000_000),
        "memory_mb": (1, 1_000_000),
    }

    neighbours: int = 100
    memory_mb: int = 256


class UserCFParameters(NeighbourParameters, frozen=True, kw_only=True):
    """Of :class:`stream_app.comparisons.collaborative.UserCF`.

    Args:
        counts: compare by how often a session has an item, instead of whether; with ``query_decay`` that of
            the query is decayed.
    """

    counts: bool = False


class ItemCFParameters(NeighbourParameters, frozen=True, kw_only=True):
    """Of :class:`stream_app.comparisons.collaborative.ItemCF`."""


class LinearParameters(Parameters, frozen=True, kw_only=True):
    """What the linear models take.

    Args:
        regularisation: lambda of the ridge regression; 1e-6 to 1e9.
        min_support: items that fewer sessions hold are left out of the inverse; 1 keeps all, 0 leaves out as
            few as ``memory_gb`` demands.
        memory_gb: of the inverse, GB (10^9 bytes); 4 bytes for each pair of items.
    """

    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "regularisation": (1e-6, 1e9),
        "min_support": (0, 1_000_000_000),
        "memory_gb": (1e-9, 1e6),
    }

    regularisation: float
    min_support: int = 1
    memory_gb: float = 2.0


class EASEParameters(LinearParameters, frozen=True, kw_only=True):
    """Of :class:`stream_app.comparisons.linear.EASE`."""

    regularisation: float = 200.0


class SLISTParameters(LinearParameters, frozen=True, kw_only=True):
    """Of :class:`stream_app.comparisons.linear.SLIST`.

    Args:
        alpha: share of the similarity (SLIS) beside the transition (SLIT); 0 to 1.
        position_decay: positions after which a transition has fallen to 1/e; 1e-6 to 1e9.
        recency_days: age at which a session weighs 1/e, days, counted from the newest; 0 switches it off.
    """

    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "alpha": (0, 1),
        "position_decay": (1e-6, 1e9),
        "recency_days": (0, 1e9),
    }

    regularisation: float = 10.0
    query_decay: float = 1.0
    alpha: float = 0.8
    position_decay: float = 1.0
    recency_days: float = 0.0


def parameters_of(kind: type[Chosen], given: Mapping[str, Any]) -> Chosen:
    """Parameters from values, or from their text on a command line.

    Raises:
        InvalidParameterError: an unknown name (with the nearest known one), a value of the wrong kind or out
            of its range.
    """
    for name in given:
        if name not in kind.__struct_fields__:
            near = difflib.get_close_matches(name, kind.__struct_fields__, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(kind.__struct_fields__)}"
            raise InvalidParameterError(f"no parameter {name!r}; {hint}")
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        raise (
            cause if isinstance(cause, InvalidParameterError) else InvalidParameterError(str(error))
        ) from None

"""The comparisons by name, as the evaluation asks for them; their libraries are imported when one is made."""

from __future__ import annotations

from typing import Any

from core.errors import EvaluationError
from core.params import Exclude
from stream_app.comparisons.method import Comparison
from stream_app.comparisons.parameters import (
    EASEParameters,
    ItemCFParameters,
    SLISTParameters,
    UserCFParameters,
    parameters_of,
)

_MISSING = "this method needs {}, which is not installed: pip install 'nextclick[compare]'"


def user_cf(exclude: Exclude = "none", n: int = 20, **settings: Any) -> Comparison[UserCFParameters]:
    """User-based collaborative filtering; settings as in :class:`UserCFParameters`.

    Raises:
        EvaluationError: the extra ``compare`` is not installed.
        InvalidParameterError: a setting that is unknown or out of its range.
    """
    chosen = parameters_of(UserCFParameters, {**settings, "exclude": exclude, "n": n})
    try:
        from stream_app.comparisons.collaborative import UserCF  # noqa: PLC0415 -- needs the extra
    except ModuleNotFoundError as error:
        raise EvaluationError(_MISSING.format(error.name)) from None
    return UserCF(chosen)


def item_cf(exclude: Exclude = "none", n: int = 20, **settings: Any) -> Comparison[ItemCFParameters]:
    """Item-based collaborative filtering; settings as in :class:`ItemCFParameters`; raises as above."""
    chosen = parameters_of(ItemCFParameters, {**settings, "exclude": exclude, "n": n})
    try:
        from stream_app.comparisons.collaborative import ItemCF  # noqa: PLC0415 -- needs the extra
    except ModuleNotFoundError as error:
        raise EvaluationError(_MISSING.format(error.name)) from None
    return ItemCF(chosen)


def ease(exclude: Exclude = "none", n: int = 20, **settings: Any) -> Comparison[EASEParameters]:
    """EASE; settings as in :class:`EASEParameters`; raises as above."""
    chosen = parameters_of(EASEParameters, {**settings, "exclude": exclude, "n": n})
    try:
        from stream_app.comparisons.linear import EASE  # noqa: PLC0415 -- needs the extra
    except ModuleNotFoundError as error:
        raise EvaluationError(_MISSING.format(error.name)) from None
    return EASE(chosen)


def slist(exclude: Exclude = "none", n: int = 20, **settings: Any) -> Comparison[SLISTParameters]:
    """SLIST; settings as in :class:`SLISTParameters`; raises as above."""
    chosen = parameters_of(SLISTParameters, {**settings, "exclude": exclude, "n": n})
    try:
        from stream_app.comparisons.linear import SLIST  # noqa: PLC0415 -- needs the extra
    except ModuleNotFoundError as error:
        raise EvaluationError(_MISSING.format(error.name)) from None
    return SLIST(chosen)

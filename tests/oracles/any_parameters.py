"""Parameters of any kind, at their limits too, for tests of what must always hold."""

from __future__ import annotations

from hypothesis import strategies as st

from core.params import _CHOICES, _RANGES, _SWITCHES, ScoringParameters

#: Where a limit would only cost time or memory, the most that is tried.
MOST = {"recommendations": 40, "popularity_sessions": 1000}


def _numbers(name, least, most):
    most = MOST.get(name, most)
    if isinstance(least, int):
        return st.sampled_from([least, most]) | st.integers(max(least, 1), min(most, 12))
    return st.sampled_from([least, most, min(1.0, most)]) | st.floats(max(least, 0.1), min(most, 5.0))


def _allowed(values):
    """Whether they are not refused for what they say together; 0 is drawn often."""
    shares = ("neighbour_share", "rule_share", "reminder_share", "popular_share")
    return any(values[share] for share in shares) and (values["idf_base"] or values["idf_score"])


#: Any parameters but those that sample by the weights of a caller.
ANY_PARAMETERS = (
    st.fixed_dictionaries(
        {name: _numbers(name, *limits) for name, limits in _RANGES.items()}
        | {name: st.sampled_from(known) for name, known in _CHOICES.items()}
        | {name: st.booleans() for name in _SWITCHES}
    )
    .filter(lambda values: values["sampling"] != "weighted")
    .filter(_allowed)
    .map(lambda values: ScoringParameters(**values))
)

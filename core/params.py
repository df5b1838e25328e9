"""The scorer's parameters: one parametrised method, and the published ones as presets of it.

For a session of clicked items and an index of closed sessions:

* The *similarity* of an indexed session is the sum, over the distinct items that it shares with the newest
  ``last_clicks`` items of the query, of the item's position weight times its idf to the power
  ``idf_similarity``; divided, for ``cosine``, by the root of the product of both lengths; times
  ``exp(-age / recency_s)``. Only the newest ``sessions_per_item`` sessions of each item are looked at.
* The ``neighbours`` most similar sessions are the neighbours; ties go to the newer.
* The *score* of an item is the sum, over the neighbours that hold it, of similarity times the score weight of
  the newest shared item times ``exp(-distance / distance_decay)``, where distance is in positions from that
  shared item within the neighbour; times ``before_weight`` when the item stands before the shared one.
  Then it is multiplied by ``1 + idf_score * idf``.
* With a ``popularity_prior`` of a, the 200 most popular items get a times the average neighbour's similarity
  times the share of the recent sessions that hold them: as if that many neighbours were drawn from everybody.
  It steadies the answers while few sessions are known (additive smoothing towards the prior; Manning,
  Raghavan and Schuetze, "Introduction to Information Retrieval", 2008, section 12.2.2).
* idf of an item is ``ln(sessions in the index / sessions that hold the item)``.

Sources: VS-kNN, Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 28
(2018), section 3.2; STAN, Garg et al., "Sequence and time aware neighborhood for session-based
recommendations", SIGIR 2019; VSTAN, Ludewig et al., "Empirical analysis of session-based recommendation
algorithms", UMUAI 31 (2021). The presets take the methods' shape; exact reproductions of reference
implementations are compared in tests as they are added.
"""

from __future__ import annotations

import difflib
from typing import Any, Final, Literal

import msgspec

from core.errors import InvalidParameterError

#: Weight of an item by its distance d from the newest click (0 = newest) among n considered items.
#: ``same`` 1; ``linear`` 1 - 0.1 d, not below 0; ``quadratic`` ((n - d) / n)^2; ``log`` 1 / log10(d + 1.7),
#: the newest not above 1; ``div`` 1 / (d + 1); ``exponential`` exp(-d / position_decay).
PositionWeight = Literal["same", "linear", "quadratic", "log", "div", "exponential"]
POSITION_WEIGHTS: Final[tuple[PositionWeight, ...]] = (
    "same",
    "linear",
    "quadratic",
    "log",
    "div",
    "exponential",
)

Exclude = Literal["none", "current", "session"]
EXCLUDES: Final[tuple[Exclude, ...]] = ("none", "current", "session")

_RANGES: Final = {
    "neighbours": (1, 1_000_000),
    "sessions_per_item": (1, 10_000_000),
    "last_clicks": (1, 10_000),
    "recommendations": (1, 1000),
    "position_decay": (1e-6, 1e9),
    "score_decay": (1e-6, 1e9),
    "recency_s": (0.0, 1e12),
    "distance_decay": (0.0, 1e9),
    "before_weight": (0.0, 10.0),
    "idf_similarity": (0.0, 10.0),
    "idf_score": (0.0, 1000.0),
    "popularity_prior": (0.0, 1e6),
    "rule_steps": (1, 100),
    "rule_sessions": (1, 10_000_000),
    "popularity_sessions": (1, 100_000_000),
    "popularity_half_life": (1.0, 1e9),
}


class ScoringParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All parameters of the scorer; closed and checked.

    Args:
        name: how answers name these parameters.
        recommendations: n, items in an answer; 1 to 1000.
        exclude: items that an answer leaves out: ``none``, the session's last item (``current``), or all
            of the ``session``'s.
        neighbours: k, similar sessions used; 1 to 1,000,000.
        sessions_per_item: m, newest sessions of an item that are looked at; 1 to 10,000,000.
        last_clicks: L, newest distinct items of the query used; 1 to 10,000.
        position_weight: of a query item in the similarity.
        position_decay: positions after which an ``exponential`` position weight has fallen to 1/e.
        score_weight: of the newest shared item in the score.
        score_decay: the same for an ``exponential`` score weight.
        cosine: divide the similarity by the root of the product of both lengths.
        idf_similarity: power of the idf of a shared item; 0 switches it off.
        recency_s: age at which a neighbour's similarity has fallen to 1/e, seconds; 0 switches it off.
        distance_decay: distance in the neighbour at which a score has fallen to 1/e; 0 switches it off.
        before_weight: weight of an item that stands before the shared item in the neighbour; 1 for none.
        idf_score: how much a rare item's score is raised: times 1 + idf_score * idf.
        popularity_prior: how many average neighbours plain popularity weighs; 0 switches it off.
        rule_steps: how many positions after an item a sequential rule reaches; 1 to 100.
        rule_sessions: newest sessions of an item that its sequential rules are counted over.
        popularity_sessions: newest sessions of the index that popularity is counted over.
        popularity_half_life: age in sessions at which a session counts half for popularity.

    Raises:
        InvalidParameterError: a value is out of its range or of the wrong kind.
    """

    name: str = "custom"
    recommendations: int = 20
    exclude: Exclude = "current"
    neighbours: int = 500
    sessions_per_item: int = 1000
    last_clicks: int = 50
    position_weight: PositionWeight = "exponential"
    position_decay: float = 2.0
    score_weight: PositionWeight = "same"
    score_decay: float = 2.0
    cosine: bool = False
    idf_similarity: float = 0.0
    recency_s: float = 0.0
    distance_decay: float = 0.0
    before_weight: float = 1.0
    idf_score: float = 0.0
    popularity_prior: float = 0.0
    rule_steps: int = 10
    rule_sessions: int = 500
    popularity_sessions: int = 20_000
    popularity_half_life: float = 5000.0

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            # Written so that NaN is refused too.
            if not least <= value <= most:
                raise InvalidParameterError(f"{name} is {value}, expected {least} to {most}")
        for name, known in (
            ("position_weight", POSITION_WEIGHTS),
            ("score_weight", POSITION_WEIGHTS),
            ("exclude", EXCLUDES),
        ):
            if getattr(self, name) not in known:
                raise InvalidParameterError(f"{name} is {getattr(self, name)!r}, expected one of {known}")


PRESETS: Final[dict[str, ScoringParameters]] = {
    # Settings of the published comparison on yoochoose: k 500, sample 5000, quadratic, div, idf 5.
    "vsknn": ScoringParameters(
        name="vsknn",
        neighbours=500,
        sessions_per_item=5000,
        position_weight="quadratic",
        score_weight="div",
        idf_score=5.0,
    ),
    # The decays' lengths were chosen on the last day of the yoochoose slice's training data.
    "vstan": ScoringParameters(
        name="vstan",
        neighbours=500,
        sessions_per_item=2500,
        position_weight="exponential",
        position_decay=2.0,
        score_weight="exponential",
        score_decay=1.0,
        cosine=True,
        idf_similarity=0.5,
        recency_s=15 * 86_400.0,
        distance_decay=5.0,
        before_weight=0.8,
        idf_score=1.0,
    ),
    # For baskets, whose order says nothing: sessions as sets, compared by cosine, rare items count more.
    # Chosen on 12,000 baskets of the demo's data from the 60,000th on; the demo begins with the first.
    "baskets": ScoringParameters(
        name="baskets",
        neighbours=100,
        sessions_per_item=5000,
        last_clicks=200,
        position_weight="same",
        score_weight="same",
        cosine=True,
        idf_similarity=2.0,
        popularity_prior=40.0,
    ),
}


def preset(name: str, **changes: Any) -> ScoringParameters:
    """A preset, with some parameters changed; changes of None are left alone.

    Raises:
        InvalidParameterError: no such preset or parameter (with the nearest known name), or out of range.
    """
    if name not in PRESETS:
        raise InvalidParameterError(f"no preset {name!r}, expected one of {', '.join(PRESETS)}")
    given = {key: value for key, value in changes.items() if value is not None}
    for key in given:
        if key not in ScoringParameters.__struct_fields__:
            near = difflib.get_close_matches(key, ScoringParameters.__struct_fields__, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidParameterError(f"no scoring parameter {key!r}{hint}")
    return msgspec.structs.replace(PRESETS[name], **given)

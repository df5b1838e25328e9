"""The published methods as parameters of the engine, each with its source, defaults and what differs.

The text of :mod:`core.params` is the method; a preset is a point in it.
"""

from __future__ import annotations

import difflib
from typing import Any, Final

import msgspec

from core.errors import InvalidParameterError
from core.params import ScoringParameters

#: More than any index holds: all sessions of an item.
_ALL: Final = 100_000_000
_DAY_S: Final = 86_400.0

#: VS-kNN: Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", User Modeling and
#: User-Adapted Interaction 28 (2018), section 3.2: sim(s, n) = sum of (position / length)^2 over the shared
#: items; score(i) = sum over the neighbours with i of sim / (steps back to the newest shared item), times
#: 1 + 5 ln(sessions / clicks of i). Settings of the comparison on yoochoose in Ludewig et al., "Empirical
#: analysis of session-based recommendation algorithms", UMUAI 31 (2021): k 500, sample 5000 newest. The
#: paper's other weightings are `position_weight` and `score_weight`. Lists recorded from the authors'
#: framework are the test (tests/acceptance/test_published_methods.py). Where it takes neighbours of equal
#: similarity as they come, the newer ones are taken here.
VSKNN: Final = ScoringParameters(
    name="vsknn",
    neighbours=500,
    sessions_per_item=_ALL,
    sample_size=5000,
    last_clicks=10_000,
    position_weight="quadratic",
    score_weight="div",
    idf_of="clicks",
    idf_score=5.0,
)

#: VMIS-kNN: Kersbergen, Sprangers and Schelter, "Serenade: low-latency session-based recommendation in
#: e-commerce at scale", SIGMOD 2022, sections 3 and 4: the m newest sessions that share an item with the
#: last L clicks; similarity sum of (position / length), positions counted in clicks; the k most similar score
#: (1 - 0.1 step) times similarity times ln(sessions / sessions of the item); the current item is left out,
#: and nothing else is recommended, so an answer may be short. Settings of its toy set: m 500, k 500, L 2.
#: m is both ``sessions_per_item`` and ``sample_size``; its "idf weighting" only multiplies all scores, and
#: its 0 is ``idf_base=1, idf_score=0``. tests/oracles/slow_vmis.py is the same slowly. It differs from
#: Serenade 0.3.1 in this: ties go to the newer, there to the order of a hash; the weight of a step past 10
#: is 0, there negative; the idf's logarithm is of sessions, there of the distinct clicks of all sessions;
#: sessions longer than 99.5 % of all are used, there they are no neighbours. What that makes is measured in
#: tests/acceptance/test_serenade.py.
VMIS: Final = ScoringParameters(
    name="vmis",
    exclude="current",
    neighbours=500,
    sessions_per_item=500,
    sample_size=500,
    last_clicks=2,
    position_weight="div",
    score_weight="linear",
    idf_base=0.0,
    idf_score=1.0,
    fill=False,
)

#: STAN: Garg, Gupta, Malhotra, Vig and Shroff, "Sequence and time aware neighborhood for session-based
#: recommendations", SIGIR 2019, section 3: three decays, of the item's position in the session (lambda 1),
#: of the neighbour's age (lambda 2), of the distance in the neighbour (lambda 3), over the cosine. Settings
#: of the comparison of 2021 on yoochoose (k 500, sample 5000, 1.02 clicks, 5 days, 2.05 clicks). The cosine
#: divides by the neighbour's clicks, repeated ones included.
STAN: Final = ScoringParameters(
    name="stan",
    neighbours=500,
    sessions_per_item=_ALL,
    sample_size=5000,
    last_clicks=10_000,
    position_weight="exponential",
    position_decay=1.02,
    length_power=0.5,
    recency_s=5 * _DAY_S,
    distance_decay=2.05,
)

#: VSTAN: Ludewig, Mauro, Latifi and Jannach, UMUAI 31 (2021), section 3.2: STAN with the idf of VS-kNN and a
#: decay of the newest shared item's position. Its form; the lengths of the decays were chosen on the last
#: day of the yoochoose slice's training data.
VSTAN: Final = ScoringParameters(
    name="vstan",
    neighbours=500,
    sessions_per_item=2500,
    position_weight="exponential",
    position_decay=2.0,
    score_weight="exponential",
    score_decay=1.0,
    length_power=0.5,
    idf_similarity=0.5,
    recency_s=15 * _DAY_S,
    distance_decay=5.0,
    before_weight=0.8,
    idf_score=1.0,
)

#: WSKNN: Molinski, "WSKNN: weighted session-based k-NN recommender system", Journal of Open Source Software
#: 8 (2023), defaults of its package; :mod:`core.wsknn` is the way in for those who come from there.
WSKNN: Final = ScoringParameters(
    name="wsknn",
    recommendations=5,
    exclude="none",
    neighbours=10,
    sessions_per_item=_ALL,
    sample_size=1000,
    sampling="common",
    last_clicks=10_000,
    position_weight="wsknn",
    score_weight="linear",
    repeats=True,
)

#: SR, sequential rules: Ludewig and Jannach 2018, section 3.1: what followed the clicked item within 20
#: clicks, each pair weighing 1 / distance^2. These settings reproduce the recorded lists; their framework
#: keeps the 20 strongest rules of an item.
SR: Final = ScoringParameters(
    name="sr",
    neighbour_share=0.0,
    rule_share=1.0,
    rule_weight="quadratic",
    rule_steps=20,
    rule_sessions=_ALL,
)

#: AR, association rules of size two: the same source: what stands in a session with the clicked item, pairs
#: of clicks counted.
AR: Final = ScoringParameters(
    name="ar",
    neighbour_share=0.0,
    rule_share=1.0,
    rule_mix=1.0,
    rule_sessions=_ALL,
)

#: SLIS: Choi, Kim, Lee, Shim and Lee, "Session-aware linear item-item models for session-based
#: recommendation", WWW 2021, SLIST with the matrix to invert reduced to its diagonal: rules of all the
#: session's items, association rules (alpha .8) and sequential ones, divided by the diagonal plus a
#: regularisation. Without the inverse it learns with each session that closes; on the yoochoose slice and on
#: diginetica it was no worse than with it (docs/comparisons.md).
SLIS: Final = ScoringParameters(
    name="slis",
    neighbour_share=0.0,
    rule_share=1.0,
    rule_clicks=50,
    rule_click_decay=2.0,
    rule_support=2.0,
    rule_mix=0.8,
    rule_linear=True,
    rule_length_power=1.0,
    rule_weight="exponential",
    rule_decay=1.0,
    rule_steps=50,
    rule_sessions=_ALL,
)

#: POP: the items that most sessions hold. A floor.
POP: Final = ScoringParameters(
    name="pop",
    neighbour_share=0.0,
    popular_share=1.0,
    popularity_sessions=_ALL,
    popularity_half_life=1e12,
)

#: Session-POP: the items that were clicked most in this session, then the most popular ones. A floor; it
#: says something only where the session's items may be recommended.
SPOP: Final = ScoringParameters(
    name="spop",
    exclude="none",
    neighbour_share=0.0,
    reminder_share=1.0,
    popular_share=0.5,
    popularity_sessions=_ALL,
    popularity_half_life=1e12,
)

#: The blend: neighbours of which the most similar count more, whose rarer items and those that are clicked
#: more of late are raised; rules of the last few clicks, the newer by far the more; reminders of what the
#: session has seen; one step further by the rules of the best; and the session's own habit of going back, or
#: not, to what it has seen. Nothing in it is a time, so data of any pace suits it. Chosen by searches over
#: all of it on the last tenth of five sets' training data at once (yoochoose, diginetica, Serenade's toy set,
#: MovieLens and the clothing shop; the third and fourth with two kinds of exclusion), for the mean logarithm
#: of how many times as good it is as the choice before it, in which a loss on yoochoose or diginetica counts
#: 45 times, one on another set 8 times. ``nextclick tune`` finds what suits one set better:
#: docs/evaluation.md.
BLEND: Final = ScoringParameters(
    name="blend",
    neighbours=300,
    sessions_per_item=1000,
    last_clicks=20,
    position_weight="wsknn",
    score_weight="exponential",
    score_decay=2.9,
    idf_similarity=3.2,
    similarity_power=1.5,
    distance_decay=29.0,
    before_weight=0.84,
    idf_score=0.06,
    popularity_damping=0.19,
    trend_power=0.5,
    rule_share=0.6,
    rule_clicks=8,
    rule_click_decay=0.62,
    rule_support=42.0,
    rule_mix=0.48,
    rule_length_power=1.2,
    rule_weight="exponential",
    rule_decay=0.33,
    rule_steps=10,
    rule_sessions=200,
    reminder_share=0.1,
    reminder_decay=15.5,
    further_share=0.12,
    further_items=14,
    repeat_share=5.5,
    repeat_rate=0.27,
    repeat_support=1.7,
    repeat_current=0.8,
)

#: For baskets, whose order says nothing: sessions as sets, compared by cosine, rare items count more.
#: Chosen on 12,000 baskets of the demo's data from the 60,000th on; the demo begins with the first.
BASKETS: Final = ScoringParameters(
    name="baskets",
    neighbours=100,
    sessions_per_item=5000,
    last_clicks=200,
    position_weight="same",
    score_weight="same",
    length_power=0.5,
    idf_similarity=2.0,
    popularity_prior=40.0,
)

PRESETS: Final[dict[str, ScoringParameters]] = {
    p.name: p for p in (VSKNN, VMIS, STAN, VSTAN, WSKNN, SR, AR, SLIS, POP, SPOP, BLEND, BASKETS)
}


def preset(name: str, /, **changes: Any) -> ScoringParameters:
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

"""The engine's parameters: one parametrised method, and the published ones as presets of it.

For a session of clicked items (the query) and an index of closed sessions:

**Candidates** are the newest ``sessions_per_item`` sessions of each of the distinct items in the newest
``last_clicks`` clicks of the query; of them all, with a ``sample_size``, only so many, by ``sampling``.

The **similarity** of a candidate is the sum, over the items that it shares with the query, of the item's
``position_weight`` times its idf to the power ``idf_similarity``; divided by the candidate's length to the
power ``length_power``; times ``exp(-age / recency_s)``; the whole to the ``similarity_power``. The
``neighbours`` most similar candidates are the neighbours; ties go to the newer.

The **score** of an item is the sum, over the neighbours that hold it, of similarity times the
``score_weight`` of the newest shared item times ``exp(-distance / distance_decay)``, where distance is in
clicks from that shared item within the neighbour; times ``before_weight`` when the item stands before the
shared one. An item that a neighbour holds several times counts once, where it stands last, unless
``repeats``. Then it is multiplied by ``idf_base + idf_score * idf``, by the number of sessions that hold
it to the power of minus ``popularity_damping``, and by its trend to the power ``trend_power``. The trend is
``late / ((age + 1) * sessions)``: of the sessions that hold the item, ``late`` are the newest tenth, two at
least, and ``age`` is the seconds since the oldest of those ended (``age + 1`` by its first seven bits); so it
says how often the item is clicked of late, beside how often it was clicked at all.

With a ``popularity_prior`` of a, the 200 most popular items get a times the average neighbour's similarity
times the share of the recent sessions that hold them: as if that many neighbours were drawn from everybody.
It steadies the answers while few sessions are known (additive smoothing towards the prior; Manning,
Raghavan and Schuetze, "Introduction to Information Retrieval", 2008, section 12.2.2).

**Rules** from an item to others are counted over all pairs of a click on it and another click in the newest
``rule_sessions`` sessions that hold it. A pair weighs ``1 - rule_mix`` times the ``rule_weight`` of its
distance where the other click comes after, at most ``rule_steps`` later (a sequential rule), plus
``rule_mix`` divided by the session's clicks to the power ``rule_length_power`` (an association rule). With
``rule_linear`` a click is also paired with itself, as an association.

The **blend** divides the neighbours' scores by the largest of them and multiplies by ``neighbour_share``, and
adds: the rules of the distinct items in the newest ``rule_clicks`` clicks, each item's times
``exp(-distance / rule_click_decay)`` and divided by its sessions (``rule_sessions`` at most) plus
``rule_support``, their sum divided by the largest, times ``rule_share``; with ``rule_linear`` not its
sessions count but, for each of them, ``rule_mix`` divided by the square of its clicks, and ``1 - rule_mix``
for each click on the item that another follows; each click of the query,
``reminder_share`` times ``exp(-distance / reminder_decay)``; the decayed popularity of the most popular items
divided by the largest, times ``popular_share``. At last, where ``further_share`` is not 0, each of the best
``further_items`` items hands on its score times ``further_share`` to its followers, in proportion to their
rules. Where all shares but the neighbours' are 0, scores are not divided.

**Repeats.** With a ``repeat_share`` above 0, what the session clicks next is one of two things: an item
that the query holds already, or another one. The odds of the first are those of the session itself, so far:
of its clicks after the first on items that the index knows, ``repeats`` were on an item seen before and
``fresh`` were not, and the odds are ``(repeats + repeat_support * repeat_rate) / (fresh + repeat_support *
(1 - repeat_rate))``. The scores of the query's items are then scaled together, so that their sum, that of
the clicked item times ``repeat_current``, is ``repeat_share`` times the odds times the sum, over all other
items, of ``score^2 / largest score``: a sum that says how much there is to choose from. (That repeating and
exploring are told apart is RepeatNet's: Ren, Chen, Li, Ren, Ma and de Rijke, AAAI 2019, section 3.2; the
odds are a beta-binomial mean.)

A score above 0 is 1e-300 at least, so that an item that every session holds is still one that scores.

An answer that is still short is **filled**, unless ``fill`` is off: by the rules of the clicked item and of
the best items found, then by the most popular items.

idf of an item is ``ln(sessions in the index / its count)``, where its count is the sessions that hold it, or
with ``idf_of = clicks`` its clicks in them.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import numpy as np

from core.errors import InvalidParameterError

#: Weight of a query item that stands d clicks before the newest of n clicks: ``same`` 1; ``linear``
#: 1 - 0.1 d, not below 0; ``quadratic`` ((n - d) / n)^2; ``log`` 1 / log10(d + 1.7); ``div`` (n - d) / n;
#: ``exponential`` exp(-d / position_decay); ``wsknn`` (n - d + 1) / n.
PositionWeight = Literal["same", "linear", "quadratic", "log", "div", "exponential", "wsknn"]
POSITION_WEIGHTS: Final[tuple[PositionWeight, ...]] = (
    "same",
    "linear",
    "quadratic",
    "log",
    "div",
    "exponential",
    "wsknn",
)

#: Weight of something s steps away, s from 1: ``same`` 1; ``linear`` 1 - 0.1 s, not below 0; ``quadratic``
#: 1 / s^2; ``log`` 1 / log10(s + 1.7); ``div`` 1 / s; ``exponential`` exp(-(s - 1) / decay).
StepWeight = Literal["same", "linear", "quadratic", "log", "div", "exponential"]
STEP_WEIGHTS: Final[tuple[StepWeight, ...]] = (
    "same",
    "linear",
    "quadratic",
    "log",
    "div",
    "exponential",
)

Exclude = Literal["none", "current", "session"]
EXCLUDES: Final[tuple[Exclude, ...]] = ("none", "current", "session")

#: Which candidates a ``sample_size`` keeps: the newest; those with the smallest hash of their end and the
#: query's time; those with most items in common; those of the largest weight that the caller gives.
#: Ties go to the newer.
Sampling = Literal["recent", "random", "common", "weighted"]
SAMPLINGS: Final[tuple[Sampling, ...]] = ("recent", "random", "common", "weighted")

IdfOf = Literal["sessions", "clicks"]
IDF_OF: Final[tuple[IdfOf, ...]] = ("sessions", "clicks")

_RANGES: Final = {
    "neighbours": (1, 1_000_000),
    "sessions_per_item": (1, 100_000_000),
    "sample_size": (0, 100_000_000),
    "last_clicks": (1, 10_000),
    "recommendations": (1, 1000),
    "position_decay": (1e-6, 1e9),
    "score_decay": (1e-6, 1e9),
    "length_power": (0.0, 2.0),
    "recency_s": (0.0, 1e12),
    "similarity_power": (0.1, 10.0),
    "distance_decay": (0.0, 1e9),
    "before_weight": (0.0, 10.0),
    "idf_similarity": (0.0, 10.0),
    "idf_base": (0.0, 1000.0),
    "idf_score": (0.0, 1000.0),
    "popularity_damping": (0.0, 2.0),
    "trend_power": (0.0, 2.0),
    "popularity_prior": (0.0, 1e6),
    "neighbour_share": (0.0, 1000.0),
    "rule_share": (0.0, 1000.0),
    "rule_mix": (0.0, 1.0),
    "rule_length_power": (0.0, 2.0),
    "rule_clicks": (1, 10_000),
    "rule_click_decay": (1e-6, 1e9),
    "rule_support": (0.0, 1e9),
    "rule_decay": (1e-6, 1e9),
    "rule_steps": (1, 4000),
    "rule_sessions": (1, 100_000_000),
    "reminder_share": (0.0, 1000.0),
    "reminder_decay": (1e-6, 1e9),
    "popular_share": (0.0, 1000.0),
    "further_share": (0.0, 1000.0),
    "further_items": (1, 100),
    "repeat_share": (0.0, 1000.0),
    "repeat_rate": (0.001, 0.999),
    "repeat_support": (0.001, 1e6),
    "repeat_current": (0.0, 1000.0),
    "popularity_sessions": (1, 100_000_000),
    "popularity_half_life": (1.0, 1e12),
}
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "position_weight": POSITION_WEIGHTS,
    "score_weight": STEP_WEIGHTS,
    "rule_weight": STEP_WEIGHTS,
    "exclude": EXCLUDES,
    "sampling": SAMPLINGS,
    "idf_of": IDF_OF,
}
_SWITCHES: Final = ("repeats", "rule_linear", "fill")


def plain_numbers(struct: msgspec.Struct) -> None:
    """Have a new struct hold Python's numbers where it was given numpy's."""
    for name in struct.__struct_fields__:
        if isinstance(value := getattr(struct, name), np.generic):
            msgspec.structs.force_setattr(struct, name, value.item())


class ScoringParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All parameters of the engine; closed and checked.

    Args:
        name: how answers name these parameters.
        recommendations: n, items in an answer; 1 to 1000.
        exclude: items that an answer leaves out: ``none``, the session's last item (``current``), or all
            of the ``session``'s.
        neighbours: k, similar sessions used; 1 to 1,000,000.
        sessions_per_item: m, newest sessions of an item that are looked at; 1 to 100,000,000.
        sample_size: candidates that are compared, over all items; 0: all of them.
        sampling: which candidates those are; see :data:`Sampling`.
        last_clicks: L, newest clicks of the query used; 1 to 10,000.
        position_weight: of a query item in the similarity; see :data:`PositionWeight`.
        position_decay: clicks after which an ``exponential`` position weight has fallen to 1/e.
        score_weight: of the newest shared item in the score; see :data:`StepWeight`.
        score_decay: steps after which an ``exponential`` score weight has fallen to 1/e.
        length_power: power of the neighbour's clicks that its similarity is divided by; 0.5 is the cosine.
        idf_similarity: power of the idf of a shared item; 0 switches it off.
        idf_of: what an item's count is, in every idf; see the module.
        recency_s: age at which a neighbour's similarity has fallen to 1/e, seconds; 0 switches it off.
        similarity_power: above 1, the most similar neighbours count more among the neighbours; below, less.
        distance_decay: clicks in the neighbour at which a score has fallen to 1/e; 0 switches it off.
        before_weight: weight of an item that stands before the shared item in the neighbour; 1 for none.
        repeats: count an item as often as a neighbour holds it.
        idf_base: see the module; 1 but for methods that multiply by the bare idf.
        idf_score: how much a rare item's score is raised: times idf_base + idf_score * idf.
        popularity_damping: power of the item's sessions that its score is divided by; 0 switches it off.
        trend_power: how much an item is raised that is clicked more of late than it was; 0 switches it off.
        popularity_prior: how many average neighbours plain popularity weighs; 0 switches it off.
        neighbour_share: weight of the neighbours in the blend; 0: none are looked for.
        rule_share: weight of the rules in the blend; 0: they only fill short answers.
        rule_clicks: newest clicks of the query whose rules are in the blend.
        rule_click_decay: clicks back at which the weight of an item's rules has fallen to 1/e.
        rule_support: sessions that an item's rules are held against beyond its own, so that the rules of a
            rare item weigh less.
        rule_mix: 0: sequential rules; 1: association rules; between: some of both.
        rule_linear: weigh the rules as the linear model SLIST does; see :data:`core.presets.SLIS`.
        rule_length_power: power of a session's clicks that its association rules are divided by; of more
            than 4095 clicks, those.
        rule_weight: of the distance of a sequential rule's clicks; see :data:`StepWeight`.
        rule_decay: steps after which an ``exponential`` rule weight has fallen to 1/e.
        rule_steps: how many clicks after an item a sequential rule reaches; 1 to 4000.
        rule_sessions: newest sessions of an item that its rules are counted over.
        reminder_share: weight of an item that the query holds already, for each of its clicks.
        reminder_decay: clicks back at which that has fallen to 1/e.
        popular_share: weight of plain popularity in the blend; 0: it only fills short answers.
        further_share: how much of a good item's score its followers get; 0 switches it off.
        further_items: best items whose rules are followed.
        repeat_share: how much the session's own repeats weigh against all else; 0: as any other items.
        repeat_rate: share of the clicks that repeat an item, expected before the session says otherwise.
        repeat_support: clicks that this expectation counts for.
        repeat_current: weight of the clicked item among the session's.
        fill: fill a short answer by rules and popularity. Without it an answer has only what the method
            itself scores, and may be empty.
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
    sample_size: int = 0
    sampling: Sampling = "recent"
    last_clicks: int = 50
    position_weight: PositionWeight = "exponential"
    position_decay: float = 2.0
    score_weight: StepWeight = "same"
    score_decay: float = 2.0
    length_power: float = 0.0
    idf_similarity: float = 0.0
    idf_of: IdfOf = "sessions"
    recency_s: float = 0.0
    similarity_power: float = 1.0
    distance_decay: float = 0.0
    before_weight: float = 1.0
    repeats: bool = False
    idf_base: float = 1.0
    idf_score: float = 0.0
    popularity_damping: float = 0.0
    trend_power: float = 0.0
    popularity_prior: float = 0.0
    neighbour_share: float = 1.0
    rule_share: float = 0.0
    rule_clicks: int = 1
    rule_click_decay: float = 2.0
    rule_support: float = 0.0
    rule_mix: float = 0.0
    rule_linear: bool = False
    rule_length_power: float = 0.0
    rule_weight: StepWeight = "div"
    rule_decay: float = 2.0
    rule_steps: int = 10
    rule_sessions: int = 500
    reminder_share: float = 0.0
    reminder_decay: float = 1e9
    popular_share: float = 0.0
    further_share: float = 0.0
    further_items: int = 10
    repeat_share: float = 0.0
    repeat_rate: float = 0.2
    repeat_support: float = 2.0
    repeat_current: float = 1.0
    fill: bool = True
    popularity_sessions: int = 20_000
    popularity_half_life: float = 5000.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.name, str):
            raise InvalidParameterError(f"name is {self.name!r}, expected a text")
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise InvalidParameterError(f"{name} is {getattr(self, name)!r}, expected true or false")
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            whole = isinstance(least, int)
            kinds = int if whole else int | float
            # A truth value is an int to Python, and a mistake here. Written so that NaN is refused too.
            if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
                kind = ", a whole number" if whole else ""
                raise InvalidParameterError(f"{name} is {value!r}, expected {least} to {most}{kind}")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise InvalidParameterError(
                    f"{name} is {getattr(self, name)!r}, expected one of {', '.join(known)}"
                )
        if self.idf_base == 0.0 and self.idf_score == 0.0:
            raise InvalidParameterError(
                "idf_base and idf_score are both 0, so that every score would be 0: "
                "set idf_base to 1 to score without idf"
            )
        if not any(
            (self.neighbour_share, self.rule_share, self.reminder_share, self.popular_share),
        ):
            raise InvalidParameterError(
                "neighbour_share, rule_share, reminder_share and popular_share are all 0: nothing would score"
            )

    @property
    def blends(self) -> bool:
        """Whether anything but the neighbours scores, so that scores are divided by the largest."""
        return any((self.rule_share, self.reminder_share, self.popular_share, self.further_share))

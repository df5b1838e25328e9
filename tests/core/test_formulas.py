"""The formulas of the presets and of every kind of weight, computed by hand, at their limits.

Each expected number is written from the publication that core.presets names, not from the engine.
"""

from __future__ import annotations

import math

import msgspec
import pytest

from core.index import SessionIndex
from core.params import POSITION_WEIGHTS, STEP_WEIGHTS, ScoringParameters
from core.presets import preset
from core.scoring import Scorer
from core.window.sessions import ClosedSession
from tests.oracles.slow_scoring import slow_popular

DAY_S = 86_400
E = math.e


def scores(sessions, query, parameters, time_s=0.0):
    """The scores of an index of (items, end in seconds)."""
    index = SessionIndex(10_000)
    index.add(
        ClosedSession(f"0-{n}", "", tuple(items), (), end * 1000, end * 1000, "gap", len(items))
        for n, (items, end) in enumerate(sessions)
    )
    (answer,) = Scorer(index, parameters).score([(query, time_s)])
    return {r.item: r.score for r in answer}


def back(item, clicks):
    """A query whose item was clicked so many clicks before the newest."""
    return (item, *(f"unknown{n}" for n in range(clicks)))


POSITIONS = [
    # kind, clicks of the query, clicks before the newest, weight
    ("same", 1, 0, 1.0),
    ("same", 40, 39, 1.0),
    ("linear", 1, 0, 1.0),
    ("linear", 12, 9, 0.1),
    ("linear", 12, 10, 0.0),
    ("linear", 12, 11, 0.0),
    ("quadratic", 1, 0, 1.0),
    ("quadratic", 4, 0, 1.0),
    ("quadratic", 4, 3, 1 / 16),
    ("log", 1, 0, 1 / math.log10(1.7)),
    ("log", 9, 8, 1 / math.log10(9.7)),
    ("div", 1, 0, 1.0),
    ("div", 4, 0, 1.0),
    ("div", 4, 3, 1 / 4),
    ("exponential", 4, 0, 1.0),
    ("exponential", 4, 2, 1 / E),
    ("wsknn", 1, 0, 2.0),
    ("wsknn", 4, 0, 5 / 4),
    ("wsknn", 4, 3, 2 / 4),
]


@pytest.mark.parametrize(("kind", "clicks", "distance", "weight"), POSITIONS)
def test_a_position_weighs_what_it_says(kind, clicks, distance, weight):
    """The similarity to a session that shares one item is its weight; what weighs 0 is no neighbour."""
    parameters = ScoringParameters(
        position_weight=kind, position_decay=2.0, score_weight="same", fill=False, exclude="session"
    )
    query = tuple(f"unknown{n}" for n in range(clicks - 1 - distance)) + back("a", distance)
    # The unknown clicks before it count as clicks too.
    found = scores([(("a", "x"), 0)], query, parameters)
    assert found == ({"x": pytest.approx(weight)} if weight else {})


STEPS = [
    # kind, steps, weight
    ("same", 1, 1.0),
    ("same", 40, 1.0),
    ("linear", 1, 0.9),
    ("linear", 9, 0.1),
    ("linear", 10, 0.0),
    ("linear", 11, 0.0),
    ("quadratic", 1, 1.0),
    ("quadratic", 4, 1 / 16),
    ("log", 1, 1 / math.log10(2.7)),
    ("log", 8, 1 / math.log10(9.7)),
    ("div", 1, 1.0),
    ("div", 4, 1 / 4),
    ("exponential", 1, 1.0),
    ("exponential", 3, 1 / E),
]


@pytest.mark.parametrize(("kind", "steps", "weight"), STEPS)
def test_a_step_weighs_what_it_says(kind, steps, weight):
    """Of the newest shared item in a neighbour's score; and of a rule's distance, divided by the largest."""
    parameters = ScoringParameters(
        position_weight="same", score_weight=kind, score_decay=2.0, fill=False, exclude="session"
    )
    found = scores([(("a", "x"), 0)], back("a", steps - 1), parameters)
    assert found == ({"x": pytest.approx(weight)} if weight else {})
    rules = preset("sr", rule_weight=kind, rule_decay=2.0, rule_steps=50, fill=False)
    between = tuple(f"y{n}" for n in range(steps - 1))
    ruled = scores([(("a", *between, "x"), 0), (("a", "z"), 0)], ("a",), rules)
    first = next(weight for other, step, weight in STEPS if (other, step) == (kind, 1))
    assert ruled.get("x", 0.0) == pytest.approx(weight / first)
    assert ruled["z"] == 1.0


def test_every_weight_is_in_the_tables():
    """A new kind of weight needs its rows."""
    assert {kind for kind, *_ in POSITIONS} == set(POSITION_WEIGHTS)
    assert {kind for kind, *_ in STEPS} == set(STEP_WEIGHTS)


@pytest.mark.parametrize(
    ("clicks_back", "age_s", "sessions", "expected"),
    [
        # No decay at all but the cosine's: the newest click, of a session of now, one click away.
        (0, 0, ("a", "x"), math.exp(-1 / 2.05) / math.sqrt(2)),
        # Position in the session: one and ten clicks back.
        (1, 0, ("a", "x"), math.exp(-1 / 1.02) * math.exp(-1 / 2.05) / math.sqrt(2)),
        (10, 0, ("a", "x"), math.exp(-10 / 1.02) * math.exp(-1 / 2.05) / math.sqrt(2)),
        # Age of the neighbour: 1/e after five days; one that ends after the query is of now.
        (0, 5 * DAY_S, ("a", "x"), math.exp(-1 / 2.05) / math.sqrt(2) / E),
        (0, -DAY_S, ("a", "x"), math.exp(-1 / 2.05) / math.sqrt(2)),
        # Distance in the neighbour, to either side, from where the shared item stands last.
        (0, 0, ("a", "u", "v", "x"), math.exp(-3 / 2.05) / 2),
        (0, 0, ("x", "u", "v", "a"), math.exp(-3 / 2.05) / 2),
        (0, 0, ("a", "x", "u", "a"), math.exp(-2 / 2.05) / 2),
        # All three at once, over the cosine of a session of nine clicks.
        (
            2,
            10 * DAY_S,
            ("u", "v", "a", "w", "x", "r", "s", "t", "q"),
            math.exp(-2 / 1.02) * math.exp(-2) * math.exp(-2 / 2.05) / 3,
        ),
    ],
)
def test_stan_has_the_three_decays_of_its_paper(clicks_back, age_s, sessions, expected):
    """exp(-clicks / 1.02) / sqrt(length) exp(-age / 5 days) exp(-distance / 2.05)."""
    now = 100 * DAY_S
    found = scores([(sessions, now - age_s)], back("a", clicks_back), preset("stan", fill=False), now)
    assert found["x"] == pytest.approx(expected, rel=1e-12)


def test_stan_adds_up_over_shared_items_and_neighbours():
    """Two shared items in one session, and one in another: the newest shared one is where distance begins."""
    sessions = [(("a", "b", "x"), 0), (("a", "x"), 0)]
    one, far = math.exp(-1 / 1.02), math.exp(-1 / 2.05)
    expected = (1 + one) / math.sqrt(3) * far + one / math.sqrt(2) * far
    assert scores(sessions, ("a", "b"), preset("stan", fill=False))["x"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("clicks_back", "age_s", "distance", "expected"),
    [
        (0, 0, 1, math.exp(-1 / 5)),
        (1, 0, 1, math.exp(-1 / 2) * math.exp(-1) * math.exp(-1 / 5)),
        (4, 0, 1, math.exp(-4 / 2) * math.exp(-4) * math.exp(-1 / 5)),
        (0, 15 * DAY_S, 1, math.exp(-1) * math.exp(-1 / 5)),
        (0, 0, 5, math.exp(-1)),
        (0, 0, -1, 0.8 * math.exp(-1 / 5)),
        (2, 30 * DAY_S, -5, math.exp(-1) * math.exp(-2) * math.exp(-2) * math.exp(-1) * 0.8),
    ],
)
def test_vstan_has_four_decays_and_the_idf(clicks_back, age_s, distance, expected):
    """STAN's decays with lengths of its own, one of the newest shared item, and idf on both sides."""
    now, between = 100 * DAY_S, [f"y{n}" for n in range(abs(distance) - 1)]
    items = ["a", *between, "x"] if distance > 0 else ["x", *between, "a"]
    sessions = [(items, now - age_s), *(((f"z{n}",), now) for n in range(6))]
    idf = math.log(7)
    found = scores(sessions, back("a", clicks_back), preset("vstan", fill=False), now)
    length = abs(distance) + 1
    assert found["x"] == pytest.approx(expected * idf**0.5 / math.sqrt(length) * (1 + idf), rel=1e-12)


def test_vsknn_by_hand():
    """(position / clicks)^2 summed, over steps back, times 1 + 5 ln(sessions / clicks of the item)."""
    sessions = [(("a", "x"), 0), (("a", "b", "x", "x"), 1), (("z",), 2), (("u", "v"), 3)]
    similarity = {0: (1 / 2) ** 2, 1: (1 / 2) ** 2 + 1}
    idf = 1 + 5 * math.log(4 / 3)
    expected = (similarity[0] / 2 + similarity[1] / 1) * idf
    assert scores(sessions, ("a", "b"), preset("vsknn", fill=False))["x"] == pytest.approx(expected)


def test_rules_by_hand():
    """SR: 1 / distance^2 up to 20 clicks on; AR: pairs of clicks to either side; each over the largest."""
    far = tuple(f"y{n}" for n in range(18))
    sessions = [(("w", "a", "x", "v", *far[:17], "edge", "beyond"), 0), (("a", "x", "a", "x"), 1)]
    sr = scores(sessions, ("a",), preset("sr", fill=False, recommendations=50))
    largest = 1 + (1 + 1 / 9 + 1)
    assert sr["x"] == 1.0
    assert sr["v"] == pytest.approx(1 / 4 / largest)
    assert sr["edge"] == pytest.approx(1 / 400 / largest)
    assert not {"beyond", "w"} & set(sr)
    ar = scores(sessions, ("a",), preset("ar", fill=False, recommendations=50))
    assert (ar["x"], ar["w"], ar["beyond"]) == (1.0, 1 / 5, 1 / 5)


def test_pairs_of_clicks_are_counted_with_every_click_of_an_item_but_none_with_itself():
    """Three clicks of a and two of x make six pairs of a and x, and six of a and another click of a."""
    sessions = [(("a", "x", "a", "w", "x", "a"), 0)]
    for exclude, expected in (("none", {"a": 1.0, "x": 1.0, "w": 0.5}), ("current", {"x": 1.0, "w": 0.5})):
        assert scores(sessions, ("a",), preset("ar", fill=False, exclude=exclude)) == pytest.approx(expected)


def test_pop_counts_sessions():
    """An item's share of the sessions that hold the most popular one, whatever was clicked."""
    sessions = [(("a", "a", "b"), 0), (("b", "c"), 1), (("b",), 2), (("c", "d"), 3)]
    for query in ((), ("d",), ("unknown",)):
        found = scores(sessions, query, preset("pop", exclude="none"))
        assert found == pytest.approx({"b": 1.0, "c": 2 / 3, "d": 1 / 3, "a": 1 / 3})


def test_session_pop_counts_the_session_first():
    """Clicks of this session, then popularity, which is worth half a click at most."""
    sessions = [(("a", "b"), 0), (("b", "c"), 1), (("b",), 2), (("c", "d"), 3)]
    found = scores(sessions, ("d", "a", "d", "unknown"), preset("spop"))
    assert list(found) == ["d", "a", "b", "c"]
    expected = {"d": 2 + 0.5 / 3, "a": 1 + 0.5 / 3, "b": 0.5, "c": 0.5 * 2 / 3}
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_long_list_of_popular_items_is_ranked_as_a_short_one():
    """Thousands are sorted, a few are inserted: by score, ties by the newer, then by the later place."""
    sessions = [([f"i{(n * n + step) % 3000}" for step in range(40)], n) for n in range(200)]
    index = SessionIndex(1000)
    index.add(
        ClosedSession(f"0-{n}", "", tuple(items), (), end * 1000, end * 1000, "gap", len(items))
        for n, (items, end) in enumerate(sessions)
    )
    parameters = preset("pop")
    expected = slow_popular(sessions, parameters, 3000)
    assert len(expected) > 2500
    for size in (100, 2048, 2049, 3000):
        items, weights = Scorer(index, parameters).popular(size)
        assert [(index.names[i], w) for i, w in zip(items, weights, strict=True)] == expected[:size]


@pytest.mark.parametrize(
    ("held", "late_age_s", "query_s", "expected"),
    [
        # sessions that hold the item, age of the oldest of those of late, time of the query, trend
        (1, 0, 0.0, 1 / 1),
        (1, 99, 1000.0, 1 / (100 * 1)),
        (2, 126, 1000.0, 2 / (127 * 2)),
        (19, 128, 1000.0, 2 / (128 * 19)),  # 129 seconds by its first seven bits
        (20, 999, 1000.0, 2 / (1000 * 20)),
        (30, 62, 1000.0, 3 / (63 * 30)),
        (5000, 254, 1000.0, 500 / (254 * 5000)),  # more than the table has; 255 seconds
        (2, 50, 10.0, 2 / (1 * 2)),  # asked before they ended
        (2, 0, 2e11, 2 / ((127 << 26) * 2)),  # 272 years at most
    ],
)
def test_a_trend_is_what_it_says(held, late_age_s, query_s, expected):
    """The newest tenth of an item's sessions, two at least, by the age of the oldest and by all of them."""
    late, ended = max(min(held, 2), held // 10), max(0, int(min(query_s, 1000.0)) - late_age_s)
    if query_s < late_age_s:
        ended = late_age_s
    sessions = [(("x", "a"), 0)] * (held - late) + [(("x", "a"), ended)] * late
    plain = ScoringParameters(name="any", neighbours=1, sessions_per_item=1, recommendations=1)
    without = scores(sessions, ("x",), plain, query_s)
    found = scores(sessions, ("x",), msgspec.structs.replace(plain, trend_power=0.5), query_s)
    assert found["a"] / without["a"] == pytest.approx(expected**0.5, rel=1e-12)


#: (query, share, rate, support, current) and, of one neighbour a b c d of equal scores with a query of "a"
#: and "b", the scores of a and b, where c and d have 1 each.
REPEATS = [
    # odds (0 + 2 * .5) / (1 + 2 * .5), sum of the others 2: together 1 * .5 * 2, half of it each
    ("ab", 1.0, 0.5, 2.0, 1.0, 0.5, 0.5),
    ("ab", 3.0, 0.5, 2.0, 1.0, 1.5, 1.5),
    ("ab", 1.0, 0.25, 2.0, 1.0, 0.2, 0.2),  # odds .5 / 2.5
    ("ab", 1.0, 0.5, 20.0, 1.0, 10 / 11, 10 / 11),
    # a click on "a" again: odds (1 + 1) / (1 + 1); one on what the index does not know is none
    ("aba", 1.0, 0.5, 2.0, 1.0, 1.0, 1.0),
    ("ab?", 1.0, 0.5, 2.0, 1.0, 0.5, 0.5),
    ("abab", 1.0, 0.5, 2.0, 1.0, 1.5, 1.5),
    # the clicked item counts three times, or not at all
    ("ab", 1.0, 0.5, 2.0, 3.0, 0.25, 0.75),
    ("ab", 1.0, 0.5, 2.0, 0.0, 1.0, 1e-300),
]


@pytest.mark.parametrize(("query", "share", "rate", "support", "current", "a", "b"), REPEATS)
def test_repeats_are_what_they_say(query, share, rate, support, current, a, b):
    """The session's own items together have the odds of a repeat times what there is besides."""
    parameters = ScoringParameters(
        position_weight="same",
        exclude="none",
        repeat_share=share,
        repeat_rate=rate,
        repeat_support=support,
        repeat_current=current,
    )
    found = scores([("abcd", 0)], tuple(query), parameters)
    assert found["a"] / found["c"] == pytest.approx(a, rel=1e-9)
    assert found["b"] / found["c"] == pytest.approx(b, rel=1e-9)
    assert found["c"] == found["d"]


def test_a_session_that_is_all_there_is_keeps_its_scores():
    """With no other item to choose, or none of its own, nothing is weighed."""
    with_repeats = ScoringParameters(position_weight="same", exclude="none", repeat_share=5.0)
    without = msgspec.structs.replace(with_repeats, repeat_share=0.0)
    for held, query in (("ab", "ab"), ("ab", "a?b"), ("abc", "???")):
        assert scores([(held, 0)], tuple(query), with_repeats) == scores([(held, 0)], tuple(query), without)
    barred = msgspec.structs.replace(with_repeats, exclude="session")
    assert scores([("abc", 0)], ("a", "b"), barred) == {"c": scores([("abc", 0)], ("a", "b"), without)["c"]}

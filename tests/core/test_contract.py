"""Whatever comes in, the scorer gives a right answer or an error that says what was expected.

Every preset is asked all of it, and so are parameters of any kind, at their limits too.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.arrays import MAX_SESSION_CLICKS
from core.errors import InvalidParameterError
from core.index import SessionIndex
from core.kernels.codes import SOURCES
from core.params import _CHOICES, _RANGES, _SWITCHES, ScoringParameters
from core.presets import PRESETS, preset
from core.scoring import MOST_SECONDS, Scorer
from core.window.sessions import ClosedSession
from tests.oracles.any_parameters import ANY_PARAMETERS
from tests.oracles.slow_scoring import SlowScorer

every_preset = pytest.mark.parametrize("name", PRESETS)

NASTY = ["", " ", "\0", "\ud800", "𝄞", "ü" * 10_000, "i1\n", "-1", "None"]
ITEMS = st.sampled_from([f"i{n}" for n in range(9)] + NASTY) | st.text(
    st.characters(exclude_categories=()), max_size=3
)
HISTORIES = st.lists(st.lists(ITEMS, min_size=1, max_size=7), max_size=25)
QUERIES = st.lists(st.lists(ITEMS, max_size=9), min_size=1, max_size=4)
TIMES = st.sampled_from([0.0, -1.0, 1e9, MOST_SECONDS, -MOST_SECONDS, 5e-324]) | st.floats(-1e6, 1e6)
ENDS = st.sampled_from([0, -5000, 10**15, 1_400_000_000_000]) | st.integers(-(10**6), 10**6)


def closed(number, items, end=None):
    """A closed session that ended at ``end`` milliseconds."""
    end = 1000 * number if end is None else end
    return ClosedSession(f"0-{number}", "v", tuple(items), (end,) * len(items), end, end, "gap", len(items))


def indexed(history, capacity=100):
    """An index of these sessions."""
    index = SessionIndex(capacity)
    index.add(closed(n, items) for n, items in enumerate(history))
    return index


def answers(index, parameters, queries, times=None):
    """The answers, each held to what must be true of any answer."""
    times = times or [100.0 + n for n in range(len(queries))]
    scorer = Scorer(index, parameters)
    asked = list(zip(queries, times, strict=True))
    found = scorer.score(asked)
    ranked = scorer.rank(scorer.numbered(asked))
    for query, answer, scored in zip(queries, found, ranked.scored.tolist(), strict=True):
        items = [r.item for r in answer]
        assert all(item in index.ids for item in items)
        assert len(set(items)) == len(items)
        barred = {"none": set(), "current": set(query[-1:]), "session": set(query)}[parameters.exclude]
        assert not barred & set(items)
        if parameters.fill:
            assert len(items) == min(parameters.recommendations, len(index.ids.keys() - barred))
        else:
            assert len(items) == scored <= parameters.recommendations
        assert all(math.isfinite(r.score) and r.score > 0 for r in answer)
        # What the method scored comes first, then what rules fill in, then what is popular.
        filled = [r.source for r in answer[scored:]]
        assert filled == sorted(filled, key=SOURCES.index)
        assert set(filled) <= {"rules", "popular"}
        for part in (answer[:scored], *([r for r in answer[scored:] if r.source == s] for s in SOURCES)):
            assert all(a.score >= b.score for a, b in pairwise(part))
        for r in answer:
            assert 1 <= r.sessions <= index.sessions
            assert r.shared is None or r.shared in index.ids
    return found


def full(name, **changes):
    """A preset whose answers are filled."""
    return preset(name, fill=True, **changes)


@settings(max_examples=200, deadline=None)
@given(HISTORIES, QUERIES, ANY_PARAMETERS, st.integers(1, 25), st.lists(TIMES, min_size=4, max_size=4))
def test_an_answer_is_right_for_any_input(history, asked, parameters, capacity, times):
    """Of any items, at any time, by any parameters: distinct, allowed, known, full, ranked, finite."""
    answers(indexed(history, capacity), parameters, asked, times[: len(asked)])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.lists(ITEMS, min_size=1, max_size=7), ENDS), max_size=25),
    QUERIES,
    st.sampled_from(list(PRESETS.values())),
    TIMES,
)
def test_ends_of_any_order_are_answered_as_the_slow_twin_does(history, asked, parameters, time_s):
    """The index keeps the order in which sessions come, whatever their ends, and queries may be older."""
    index = SessionIndex(100)
    index.add(closed(n, items, end) for n, (items, end) in enumerate(history))
    held = [(items, min(max(end // 1000, 0), (1 << 32) - 1)) for items, end in history]
    slow = SlowScorer(held, parameters)
    found = answers(index, parameters, asked, [time_s] * len(asked))
    assert found == [slow.answer(query, time_s) for query in asked]


@every_preset
def test_nothing_known_gives_what_is_popular(name):
    """An empty session and unknown items get the most popular items; where nothing is filled, nothing."""
    index = indexed([["a", "b"], ["b"], ["b", "c"]])
    for query in ((), ("unknown",), ("unknown",) * 3):
        (found,) = answers(index, full(name), [query])
        assert [r.item for r in found] == ["b", "c", "a"]
        assert {r.source for r in found} == {"popular"}
    parameters = preset(name, fill=False)
    expected = 3 if parameters.popular_share else 0
    assert [len(found) for found in answers(index, parameters, [(), ("unknown",)])] == [expected] * 2


@every_preset
def test_one_item(name):
    """An index whose only item is the clicked one says it where it may, and nothing where it may not."""
    index = indexed([["a"]])
    assert [[r.item for r in found] for found in answers(index, full(name, exclude="none"), [("a",)])] == [
        ["a"]
    ]
    assert answers(index, full(name, exclude="current"), [("a",)]) == [[]]


@every_preset
def test_an_index_of_one_session(name):
    """The other items of that session are the answer, also of methods whose idf is then 0."""
    (found,) = answers(indexed([["a", "b", "c"]]), full(name, exclude="session"), [("a",)])
    assert {r.item for r in found} == {"b", "c"}


def test_vmis_answers_where_every_idf_is_nothing():
    """Without filling in: what every session holds scores next to nothing and is still an answer."""
    (found,) = answers(indexed([["a", "b"]] * 3), preset("vmis"), [("a",)])
    assert [(r.item, r.score, r.source, r.sessions) for r in found] == [("b", 1e-300, "neighbours", 3)]


@every_preset
def test_every_session_identical(name):
    """Hundreds of the same session: its items, none twice, however many tie at every bound."""
    index = indexed([["a", "b", "c"]] * 300, capacity=200)
    for k in (1, 7, 200):
        parameters = full(name, exclude="session", neighbours=k, sessions_per_item=k, sample_size=k)
        (found,) = answers(index, parameters, [("a",)])
        assert {r.item for r in found} == {"b", "c"}


@every_preset
def test_an_index_of_one_slot_under_eviction(name):
    """It knows the newest session and nothing else."""
    index = SessionIndex(1)
    scorer = Scorer(index, full(name, exclude="current"))
    for number in range(40):
        index.add([closed(number, [f"i{number}", f"i{number + 1}"])])
        answered = scorer.score([((f"i{number}",), 0.0), ((f"i{number - 1}",), 0.0)])
        assert [{r.item for r in found} for found in answered] == [
            {f"i{number + 1}"},
            {f"i{number}", f"i{number + 1}"},
        ]


@every_preset
def test_duplicate_items(name):
    """In the query and in sessions; an item is recommended once."""
    index = indexed([["a", "a", "b", "a", "b", "b"], ["b"] * 50, ["a"] * 50, ["c", "a"]])
    for exclude in _CHOICES["exclude"]:
        answers(index, full(name, exclude=exclude), [("a",) * 30, ("a", "b") * 20, ("b", "b", "x", "b")])


@every_preset
def test_a_query_longer_than_any_bound(name):
    """Ten thousand clicks, and more than ``last_clicks``: the newest are used."""
    history = [[f"i{n}", f"i{n + 1}", f"i{n + 2}"] for n in range(300)]
    query = tuple(f"i{n % 300}" for n in range(10_001))
    index = indexed(history, 1000)
    answers(index, full(name), [query, query[:-1], ("i1",)])
    parameters = full(name, last_clicks=3, exclude="current")
    (long,), (short,) = (answers(index, parameters, [asked], [0.0]) for asked in (query, query[-3:]))
    assert long == short


@every_preset
def test_sessions_as_long_as_they_may_be(name):
    """Ten thousand clicks on as many items; a thousand on one item, and on three."""
    long = [
        [f"i{n}" for n in range(MAX_SESSION_CLICKS)],
        ["i7"] * (MAX_SESSION_CLICKS // 10),
        [f"i{n % 3}" for n in range(MAX_SESSION_CLICKS // 10)],
        ["i7", "i9999"],
    ]
    index = indexed(long, 10)
    assert index.sessions == 4
    answers(index, full(name), [("i7",), ("i0", "i9999"), tuple(long[0])])


@every_preset
def test_items_of_any_text(name):
    """Empty, blank, unpaired surrogates, ten thousand characters: all are items like others."""
    index = indexed([NASTY, NASTY[::-1]])
    for item in NASTY:
        (found,) = answers(index, full(name, exclude="current", recommendations=20), [(item,)])
        assert {r.item for r in found} == set(NASTY) - {item}
    few = SessionIndex(1)
    few.add([closed(0, ["", "a"]), closed(1, ["b", ""]), closed(2, ["c"])])
    assert set(few.ids) == {"c"}


@every_preset
def test_bounds_larger_than_the_index(name):
    """k, m, the sample and the recommendations may all be more than there is."""
    index = indexed([["a", "b"], ["b", "c"], ["c", "a"]], capacity=5)
    most = {"neighbours": 1_000_000, "sessions_per_item": 100_000_000, "sample_size": 100_000_000}
    parameters = full(name, recommendations=1000, exclude="current", **most)
    (found,) = answers(index, parameters, [("a",)])
    assert {r.item for r in found} == {"b", "c"}
    exact = full(
        name, recommendations=1000, exclude="current", neighbours=3, sessions_per_item=3, sample_size=3
    )
    assert answers(index, exact, [("a",)]) == [found]


@every_preset
@pytest.mark.parametrize("time_s", [math.nan, math.inf, -math.inf, 1.79e12, -1e12, 10**400, "soon", None])
def test_a_time_that_is_none_is_refused(name, time_s):
    """The error says that seconds were expected; nothing of the run is answered."""
    scorer = Scorer(indexed([["a", "b"]]), preset(name))
    with pytest.raises(InvalidParameterError, match=r"time .*expected .*seconds"):
        scorer.score([(("a",), 0.0), (("a",), time_s)])
    assert scorer.score([(("a",), -5.0)]) == scorer.score([(("a",), -5.0)])


def test_a_text_for_a_session_is_refused():
    """It would be taken for one item a letter."""
    with pytest.raises(InvalidParameterError, match="'abc', expected a sequence of items"):
        Scorer(SessionIndex(1), preset("vstan")).score([("abc", 0.0)])


def test_an_end_that_is_no_number_is_refused():
    """The index is as it was: nothing of the batch is in it."""
    index = indexed([["a", "b"]])
    for end in (math.nan, math.inf, "late", None):
        broken = replace(closed(7, ["c", "d"]), end=end)
        with pytest.raises(InvalidParameterError, match=r"session '0-7' .*expected milliseconds"):
            index.add([closed(6, ["e"]), broken])
    assert (index.sessions, set(index.ids)) == (1, {"a", "b"})


def test_weights_that_are_no_numbers_are_refused():
    """A weight that is not a number has no place in any order."""
    index = indexed([["a", "b"]])
    weights = np.zeros(index.slots)
    weights[-1] = math.nan
    with pytest.raises(InvalidParameterError, match=r"session_weight .*not a number"):
        Scorer(index, preset("vstan"), weights)


WHOLE = [name for name, (least, _) in _RANGES.items() if isinstance(least, int)]
REAL = [name for name in _RANGES if name not in WHOLE]


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_number_is_held_to_its_kind_and_range(name):
    """Fractions, texts and truth values are refused by name, and so is what is beyond either limit."""
    least, most = _RANGES[name]
    for value in (least - 1, most + 1, 2.0, math.nan, "2", True, [2]):
        with pytest.raises(InvalidParameterError, match=f"{name} is .*, expected {least} to {most}, a whole"):
            ScoringParameters(**{name: value})
    for value in (least, most):
        assert getattr(ScoringParameters(**{name: value}), name) == value


@pytest.mark.parametrize("name", REAL)
def test_a_number_is_held_to_its_range(name):
    """Whole numbers are welcome; texts, truth values and what is no finite number are refused by name."""
    least, most = _RANGES[name]
    for value in (least - 1, 2 * most, math.nan, math.inf, "1", True, [1.0]):
        with pytest.raises(InvalidParameterError, match=f"{name} is .*, expected {least} to"):
            ScoringParameters(**{name: value})
    if most >= 1:
        assert getattr(ScoringParameters(**{"popular_share": 1.0, name: 1}), name) == 1


@pytest.mark.parametrize("name", [*_CHOICES, *_SWITCHES, "name"])
def test_a_choice_is_one_of_the_known(name):
    """Anything else is refused by name, with what is known."""
    for value in ("anything", 1, None, []):
        if name == "name" and value == "anything":
            continue
        with pytest.raises(
            InvalidParameterError, match=f"{name} is .*, expected (one of|true or false|a text)"
        ):
            ScoringParameters(**{name: value})


def test_numbers_of_numpy_are_numbers():
    """A search over arrays need not turn each value into Python's; ranges hold as ever."""
    parameters = ScoringParameters(neighbours=np.int64(5), score_decay=np.float32(0.5), repeats=np.bool_(1))
    assert parameters == ScoringParameters(neighbours=5, score_decay=0.5, repeats=True)
    assert type(parameters.neighbours) is int
    with pytest.raises(InvalidParameterError, match="neighbours is 0"):
        ScoringParameters(neighbours=np.int64(0))


def test_a_preset_that_is_changed_may_have_a_name_of_its_own():
    """It is what answers name."""
    assert preset("blend", name="mine").name == "mine"

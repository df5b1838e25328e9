"""The facade answers as the package wsknn does where that is right, and as documented where it is not."""

from __future__ import annotations

import inspect
import random

import numpy as np
import pytest
import wsknn
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidParameterError, SessionsError
from core.wsknn import MAX_SCORERS, WSKNN, batch_predict, fit, predict
from core.wsknn_settings import WsknnSettings
from tests.oracles.wsknn_package import Package, assert_same

ITEMS = ["a", "b", "c", 1, 2, 3.5, ("t", 4), None, "é" * 3, frozenset({5})]
#: More sessions than any test has, so that nothing is left out by sampling.
NO_SAMPLING = 1000


@st.composite
def maps(draw):
    """Sessions with events and weights; no two have the same times or weights, which would tie."""
    lists = draw(st.lists(st.lists(st.sampled_from(ITEMS), min_size=1, max_size=7), min_size=1, max_size=14))
    order = draw(st.permutations(range(len(lists))))
    weights = draw(st.permutations(range(len(lists))))
    sessions = {}
    for number, items in enumerate(lists):
        times = draw(st.lists(st.integers(0, 50), min_size=len(items), max_size=len(items)))
        events = draw(st.lists(st.sampled_from(["view", "buy"]), min_size=len(items), max_size=len(items)))
        times[0] = order[number]
        sessions[f"s{number}"] = (items, times, events, [weights[number] / 4] * len(items))
    return sessions


#: Sampling for which both keep the same sessions: all, or those of the largest times or weights.
samplings = st.tuples(st.sampled_from(["recent", "weighted_events"]), st.sampled_from([1, 2, 5])) | st.tuples(
    st.sampled_from(["common_items", "random", "recent", "weighted_events"]), st.just(NO_SAMPLING)
)


@settings(max_examples=300, deadline=None)
@given(
    sessions=maps(),
    query=st.lists(st.sampled_from([*ITEMS, "unknown"]), max_size=14),
    sampling=samplings,
    weighting=st.sampled_from(["linear", "log", "quadratic"]),
    ranking=st.sampled_from(["linear", "log", "quadratic", "inv"]),
    own_items=st.booleans(),
    required=st.sampled_from([None, "buy"]),
    k=st.integers(1, 8),
    n=st.integers(1, 6),
)
def test_it_answers_as_the_package_does(
    sessions, query, sampling, weighting, ranking, own_items, required, k, n
):
    """For every combination of settings all items have the package's scores, on the package's scale."""
    chosen = {
        "sampling_strategy": sampling[0],
        "sample_size": sampling[1],
        "weighting_func": weighting,
        "ranking_strategy": ranking,
        "return_events_from_session": own_items,
        "required_sampling_event": required,
        "required_sampling_event_index": 2,
        "sampling_event_weights_index": 3,
    }
    package = Package(sessions, **chosen)
    assert_same(fit(sessions, **chosen), package, [query, list(range(len(query)))], k, n)


@settings(max_examples=100, deadline=None)
@given(maps(), st.lists(st.lists(st.sampled_from(ITEMS), max_size=6), max_size=4), st.integers(1, 12))
def test_a_dictionary_is_answered_as_its_sessions_one_by_one(sessions, queries, n):
    """Also by the package's other names, and whether settings come with the model or with the query."""
    model = fit(sessions, number_of_recommendations=n, sampling_strategy="random", sample_size=3)
    many = {place: [items] for place, items in enumerate(queries)}
    together = model.recommend(many)
    assert together == {place: model.recommend(query) for place, query in many.items()}
    changed = {"number_of_recommendations": n, "sampling_strategy": "random", "sample_size": 3}
    assert batch_predict(fit(sessions), [many, many], changed) == [together, together]
    assert [predict(fit(sessions), query, changed) for query in many.values()] == list(together.values())


@settings(max_examples=100, deadline=None)
@given(maps(), st.lists(st.sampled_from(ITEMS), max_size=6), st.booleans())
def test_recommend_any_fills_with_other_items_at_score_0(sessions, query, own_items):
    """No item comes twice, none that must not be recommended, and all that are known come in the end."""
    model = fit(sessions, recommend_any=True, return_events_from_session=own_items)
    answer = model.recommend([query], {"number_of_recommendations": 20})
    known = {item for items, *_ in sessions.values() for item in items}
    assert {item for item, _ in answer} == (known if own_items else known - set(query))
    assert len(answer) == len({item for item, _ in answer})
    found = model.recommend([query], {"number_of_recommendations": 20, "recommend_any": False})
    assert answer[: len(found)] == found
    assert {score for _, score in answer[len(found) :]} <= {0.0}


SHARING = {
    "one": (["a", "x"], [1, 2]),
    "all": (["a", "b", "c", "y"], [1, 2, 3, 4]),
}


def test_common_items_keeps_the_sessions_with_the_most_of_them():
    """The package sorts upwards and keeps the sessions with the fewest common items."""
    chosen = {"sampling_strategy": "common_items", "sample_size": 1, "return_events_from_session": False}
    query = [["a", "b", "c"], [1, 2, 3]]
    assert [item for item, _ in fit(SHARING, **chosen).recommend(query)] == ["y"]
    assert [item for item, _ in wsknn.fit(SHARING, **chosen).recommend(query)] == ["x"]


def test_a_random_sample_is_the_same_for_the_same_query():
    """The package draws anew each time; here it is a hash of query and session, in any order of asking."""
    sessions = {n: (["a", f"i{n}"], [n, n]) for n in range(200)}
    chosen = {"sampling_strategy": "random", "sample_size": 3, "return_events_from_session": False}
    model, package = fit(sessions, **chosen), wsknn.fit(sessions, **chosen)
    queries = [[["a"], [1]], [["b", "a"], [1, 2]], [["c", "a"], [1, 2]]]
    ours = [model.recommend(query) for query in queries]
    assert [len(answer) for answer in ours] == [3, 3, 3]
    assert [fit(sessions, **chosen).recommend(query) for query in reversed(queries)] == ours[::-1]
    theirs = []
    for seed in range(5):
        random.seed(seed)
        theirs.append(sorted(package.recommend(queries[0])))
    assert len({str(answer) for answer in theirs}) > 1


def test_where_no_session_shares_an_item_the_answer_is_an_empty_list():
    """The package answers None."""
    assert fit(SHARING).recommend([["unknown"], [1]]) == []
    assert wsknn.fit(SHARING).recommend([["unknown"], [1]]) is None
    assert fit(SHARING).recommend([[]]) == []


def test_a_neighbour_that_weighs_nothing_brings_nothing():
    """With linear ranking the package lists the items of a neighbour ten steps back, at score 0."""
    query = [["a", *range(9)], list(range(10))]
    assert fit({"s": (["a", "x"], [1, 2])}).recommend(query) == []
    assert wsknn.fit({"s": (["a", "x"], [1, 2])}).recommend(query) == [("a", 0.0), ("x", 0.0)]


def test_settings_of_a_query_are_gone_with_it():
    """The package keeps them, and forgets recommend_any whenever any are given."""
    query, one = [["a"], [1]], {"number_of_recommendations": 1}
    model, package = fit(SHARING, recommend_any=True), wsknn.fit(SHARING, recommend_any=True)
    before = model.recommend(query)
    assert [len(model.recommend(query, one)), len(package.recommend(query, one))] == [1, 1]
    assert model.recommend(query) == before
    assert [len(package.recommend(query)), package.recommend_any] == [1, False]
    model.set_model_params(**one)
    assert model.recommend(query) == before[:1]


def test_an_event_that_was_required_can_be_required_no_more():
    """The setting is None again at a query, which the package takes for unchanged."""
    sessions = {1: (["a", "x"], [1, 2], ["view", "buy"]), 2: (["a", "y"], [3, 4], ["view", "view"])}
    model = fit(sessions, required_sampling_event="buy", return_events_from_session=False)
    assert [item for item, _ in model.recommend([["a"]])] == ["x"]
    free = model.recommend([["a"]], {"required_sampling_event": None})
    assert sorted(item for item, _ in free) == ["x", "y"]


def test_recent_sessions_are_those_whose_lists_of_times_are_largest():
    """As in the package, and so the one that began last, not the one that ended last."""
    sessions = {"long": (["a", "x"], [1, 99]), "late": (["a", "y"], [2, 3])}
    chosen = {"sampling_strategy": "recent", "sample_size": 1, "return_events_from_session": False}
    for model in (fit(sessions, **chosen), wsknn.fit(sessions, **chosen)):
        assert [item for item, _ in model.recommend([["a"], [1]])] == ["y"]


def test_rows_may_be_arrays_and_sessions_may_be_empty():
    """Values of numpy come back as Python's own; what has no events is not learnt."""
    sessions = {1: (np.array([7, 8]), np.array([1.5, 2.5])), 2: ([], []), 3: (("é", 8), (3, 4))}
    model = fit(sessions, return_events_from_session=False)
    assert dict(model.recommend(np.array([[8], [1]]))) == {7: 2.0, "é": 2.0}
    assert fit({}).recommend([["a"]]) == []


def test_only_so_many_scorers_are_kept():
    """However many settings are asked for; the one used last is not dropped."""
    model = fit(SHARING)
    for k in range(1, 30):
        model.recommend([["a"]], {"number_of_neighbors": k})
        model.recommend([["a"]])
    assert len(model._scorers) == MAX_SCORERS
    assert model.settings in model._scorers


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"number_of_neighbors": 0}, "number_of_neighbors is 0, expected a whole number from 1 to 1000000"),
        ({"number_of_recommendations": 1001}, "number_of_recommendations is 1001, expected .* to 1000"),
        ({"sample_size": 1.5}, "sample_size is 1.5"),
        ({"sample_size": True}, "sample_size is True"),
        ({"sampling_strategy": "newest"}, "expected one of common_items, recent, random, weighted_events"),
        ({"weighting_func": "inv"}, "weighting_func is 'inv', expected one of linear, log, quadratic"),
        ({"ranking_strategy": "div"}, "ranking_strategy is 'div', expected one of .*, inv"),
        ({"recommend_any": 1}, "recommend_any is 1, expected True or False"),
        ({"required_sampling_event": ["a"]}, "expected one event's name"),
        ({"required_sampling_event_index": "2"}, "expected a row's number"),
        ({"number_of_neighbours": 3}, "no setting 'number_of_neighbours'; did you mean number_of_neighbors"),
        ({"weighting_func": ["log"]}, "weighting_func is"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(change, said):
    """Both when the model is made and when it is asked; the error says what was expected."""
    with pytest.raises(InvalidParameterError, match=said):
        WSKNN(**change)
    with pytest.raises(InvalidParameterError, match=said):
        fit(SHARING).recommend([["a"]], change)


@pytest.mark.parametrize(
    ("sessions", "said"),
    [
        ([["a"], [1]], "expected a dictionary of sessions"),
        ({"s": ["a"]}, "session 's': expected a list of items and a list of times"),
        ({"s": ("ab", [1, 2])}, "session 's': expected a list of items and as many times"),
        ({"s": (["a"], [1, 2])}, "as many times"),
        ({"s": {0: ["a"], 1: [1]}}, "session 's': expected a list of items and a list of times"),
        ({"s": (["a"], ["1"])}, "expected times that are numbers, came '1'"),
        ({"s": (["a"], [float("nan")])}, "expected times that are numbers, came nan"),
        ({"s": ([["a"]], [1])}, "its items must be hashable"),
        ({"s": (["a"] * 10_001, [1] * 10_001)}, "it has 10001 events, expected at most 10000"),
    ],
)
def test_what_is_no_session_is_not_learnt(sessions, said):
    """The error names the session and what is wrong with it."""
    with pytest.raises(SessionsError, match=said):
        fit(sessions)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (["a", "b"], "expected a session"),
        ([], "expected a session"),
        ("a", "expected a session"),
        (5, "expected a session"),
        ([[["a"]]], "must be hashable"),
        ([["a"] * 10_001], "has 10001 events, expected at most 10000"),
    ],
)
def test_what_is_no_session_is_not_answered(query, said):
    """The error says what was expected."""
    with pytest.raises(SessionsError, match=said):
        fit(SHARING).recommend(query)


def test_a_row_that_is_not_there_or_holds_no_weights_is_refused():
    """When it is asked for; the error names the session."""
    with pytest.raises(SessionsError, match="session 'one' has 2 rows, and row 3 is asked for"):
        fit(SHARING, sampling_strategy="weighted_events").recommend([["a"]])
    with pytest.raises(SessionsError, match="session 's': expected row 2 to be a list, came 'view'"):
        fit({"s": (["a"], [1], "view")}, required_sampling_event="view").recommend([["a"]])
    named = {"s": (["a"], [1], ["view"], ["heavy"])}
    with pytest.raises(SessionsError, match=r"session 's' has the weights \['heavy'\], expected finite"):
        fit(named, sampling_str_event_weights_index=3, sampling_strategy="weighted_events").recommend([["a"]])


def test_a_model_that_has_learnt_nothing_says_so():
    """Not an empty answer, which would look like a right one."""
    with pytest.raises(SessionsError, match=r"call fit\(sessions\) first"):
        WSKNN().recommend([["a"]])


def test_settings_may_be_given_in_the_package_s_order():
    """To the model and to fit, as the package takes them; one that is given twice is refused."""
    assert WSKNN(3, 20, "recent").settings == WsknnSettings(
        number_of_recommendations=3, number_of_neighbors=20, sampling_strategy="recent"
    )
    assert fit(SHARING, None, 3, 20, sample_size=7).settings == WsknnSettings(
        number_of_recommendations=3, number_of_neighbors=20, sample_size=7
    )
    in_order = [setting.default for setting in inspect.signature(wsknn.fit).parameters.values()][2:]
    assert WSKNN(*in_order).settings == WsknnSettings()
    with pytest.raises(InvalidParameterError, match="number_of_neighbors is given twice"):
        WSKNN(3, 20, number_of_neighbors=20)
    with pytest.raises(InvalidParameterError, match="12 settings in order, expected at most 11"):
        WSKNN(*in_order, 1)


def test_what_a_caller_does_to_learnt_sessions_afterwards_changes_nothing():
    """The rows are copied."""
    sessions = {"s": (["a", "b"], [1, 2], ["buy", "buy"]), "t": (["a", "c"], [1, 3], ["view", "view"])}
    model = fit(sessions, required_sampling_event="buy")
    for record in sessions.values():
        for row in record:
            row.clear()
    assert {item for item, _ in model.recommend([["a"]])} == {"a", "b"}


def test_none_is_no_change():
    """As in the package's own method, but for the settings that may be None."""
    some = WsknnSettings(sample_size=7, required_sampling_event="buy")
    assert some.changed({"sample_size": None, "weighting_func": None}) == some
    assert some.changed({"required_sampling_event": None}).required_sampling_event is None

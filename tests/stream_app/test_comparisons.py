"""The comparisons against their slow twins, at their limits, and without their libraries."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from core.errors import EvaluationError, InvalidParameterError
from core.window.sessions import ClosedSession
from stream_app.comparisons.matrices import inverse, matrix_of
from stream_app.comparisons.methods import ease, item_cf, slist, user_cf
from stream_app.comparisons.neighbours import CosineNeighbours
from stream_app.evaluate.methods import method_names, recommender
from tests.oracles import slow_comparisons as slow

ROOT = Path(__file__).resolve().parents[2]
METHODS = {"user-cf": user_cf, "item-cf": item_cf, "ease": ease, "slist": slist}

item_names = st.sampled_from(["a", "b", "c", "d", "e", "ünïcode", "g"])
item_lists = st.lists(st.lists(item_names, min_size=1, max_size=6), min_size=1, max_size=12)
query_items = st.lists(item_names | st.just("unknown"), max_size=5)
excludes = st.sampled_from(["none", "current", "session"])
decays = st.sampled_from([0.0, 0.5, 2.0])


def closed(lists, hours=7.0) -> list[ClosedSession]:
    """Sessions of these items, one ending so many hours after the other."""
    sessions = []
    for number, items in enumerate(lists):
        end = round(number * hours * 3_600_000)
        sessions.append(
            ClosedSession(f"0-{number}", "v", tuple(items), (end,) * len(items), end, end, "gap", len(items))
        )
    return sessions


def random_lists(sessions: int, items: int) -> list[list[str]]:
    """Sessions of 1 to 5 items, the lower numbers more often, from a seed."""
    dice = random.Random(5)  # noqa: S311 -- a load from a seed
    return [
        [str(int(items * dice.random() ** 2)) for _ in range(dice.randint(1, 5))] for _ in range(sessions)
    ]


@settings(max_examples=60, deadline=None)
@given(item_lists, query_items, excludes, st.integers(1, 8), st.booleans(), decays)
def test_user_cf_is_its_slow_twin(lists, items, exclude, k, counts, decay):
    """The same answer as sessions compared one by one, ties and fill included."""
    sessions = closed(lists)
    method = user_cf(exclude, 5, neighbours=k, counts=counts, query_decay=decay)
    method.fit(sessions)
    scores = slow.user_cf(sessions, items, k=k, counts=counts, decay=decay)
    assert method.recommend([(items, 0.0)]) == [slow.answer(scores, items, sessions, exclude, 5)]


@settings(max_examples=60, deadline=None)
@given(item_lists, query_items, excludes, st.integers(1, 5), decays)
def test_item_cf_is_its_slow_twin(lists, items, exclude, k, decay):
    """The same answer as items compared one by one, ties and fill included."""
    sessions = closed(lists)
    method = item_cf(exclude, 5, neighbours=k, query_decay=decay)
    method.fit(sessions)
    scores = slow.item_cf(sessions, items, k=k, decay=decay)
    assert method.recommend([(items, 0.0)]) == [slow.answer(scores, items, sessions, exclude, 5)]


def assert_scores(method, names, matrix, items, decay) -> None:
    """The scores of a fitted linear model are a query's weights times this matrix."""
    weights = slow.query_weights(items, names, decay)
    expected = sum((weights[item] * matrix[names.index(item)] for item in weights), np.zeros(len(names)))
    found = np.zeros(len(names))
    [scored] = method.scored([(items, 0.0)])
    for number, score in scored:
        found[number] = score
    assert list(method.names) == names
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=2e-5, rtol=1e-4)
    assert [score for _, score in scored] == sorted((score for _, score in scored), reverse=True)


@settings(max_examples=60, deadline=None)
@given(item_lists, query_items, st.sampled_from([0.5, 20.0]), decays, st.integers(1, 3))
def test_ease_is_its_slow_twin(lists, items, regularisation, decay, min_support):
    """The scores are those of the formula in double precision, items of little support left out."""
    sessions = closed(lists)
    method = ease(n=100, regularisation=regularisation, query_decay=decay, min_support=min_support)
    method.fit(sessions)
    names, matrix = slow.ease_matrix(sessions, regularisation, min_support)
    assert_scores(method, names, matrix, items, decay)


@settings(max_examples=60, deadline=None)
@given(
    item_lists,
    query_items,
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([0.5, 20.0]),
    st.sampled_from([0.5, 3.0]),
    st.sampled_from([0.0, 0.4]),
    decays,
    st.integers(1, 3),
)
def test_slist_is_its_slow_twin(
    lists, items, alpha, regularisation, position_decay, recency_days, decay, min_support
):
    """The scores are those of the ridge regression with each of its rows written down."""
    sessions = closed(lists)
    method = slist(
        n=100,
        alpha=alpha,
        regularisation=regularisation,
        position_decay=position_decay,
        recency_days=recency_days,
        query_decay=decay,
        min_support=min_support,
    )
    method.fit(sessions)
    names, matrix = slow.slist_matrix(
        sessions, alpha, regularisation, position_decay, recency_days, min_support
    )
    assert_scores(method, names, matrix, items, decay)


@settings(max_examples=30, deadline=None)
@given(
    item_lists, st.lists(query_items, max_size=4), excludes, st.integers(1, 9), st.sampled_from([*METHODS])
)
def test_an_answer_is_as_long_as_it_can_be(lists, queries, exclude, n, name):
    """Every method gives n distinct items, or all that exclude allows; the same alone as among others."""
    method = METHODS[name](exclude, n)
    method.fit(closed(lists))
    known = {item for items in lists for item in items}
    answers = method.recommend([(items, 0.0) for items in queries])
    for items, answer in zip(queries, answers, strict=True):
        barred = {"none": set(), "current": set(items[-1:]), "session": set(items)}[exclude]
        assert len(answer) == len(set(answer)) == min(n, len(known - barred))
        assert set(answer) <= known - barred
        assert method.recommend([(items, 0.0)]) == [answer]


@pytest.mark.parametrize("name", METHODS)
def test_the_ends_of_what_can_be_asked(name):
    """Nothing learnt gives nothing; overlong sessions are not learnt from; a second fit forgets the first."""
    method = METHODS[name]()
    assert method.recommend([(["a"], 0.0), ([], 0.0)]) == [[], []]
    method.fit(closed([["a", "b"], ["b", "c"]]))
    assert method.recommend([([], 0.0), (["?"], 0.0)]) == [["b", "c", "a"]] * 2
    bot = ClosedSession("0-9", "v", ("x", "y"), (1, 1), 1, 1, "gap", 500, overlong=True)
    method.fit([*closed([["d"], ["d"]]), bot])
    assert method.recommend([(["d", "x"], 0.0)]) == [["d"]]
    assert method.recommend([]) == []


@pytest.mark.parametrize("make", [user_cf, item_cf])
def test_small_blocks_answer_as_one_block_does(make):
    """The memory that distances may take changes nothing but the number of blocks."""
    lists = random_lists(3000, 1000)
    queries = [(items, 0.0) for items in lists[:300]]
    answers = []
    for memory_mb in (1, 100):
        method = make(neighbours=20, memory_mb=memory_mb)
        method.fit(closed(lists))
        answers.append(method.recommend(queries))
    assert answers[0] == answers[1]
    assert 1 * 2**20 // (8 * 3000) < 300


def test_the_neighbours_are_as_near_as_those_of_kneighbors():
    """The distances are those of scikit-learn's own k nearest, where these share anything with the query."""
    lists = random_lists(400, 60)
    rows = np.repeat(np.arange(400), [len(set(items)) for items in lists])
    columns = np.array([int(item) for items in lists for item in sorted(set(items))])
    matrix = matrix_of(rows, columns, np.ones(len(rows)), (400, 60))
    similar = CosineNeighbours(matrix, 15, 10).nearest(matrix)
    textbook = NearestNeighbors(n_neighbors=15, metric="cosine", algorithm="brute").fit(matrix)
    distances, _ = textbook.kneighbors(matrix)
    for row, expected in enumerate(1 - distances):
        found = np.sort(similar.data[similar.indptr[row] : similar.indptr[row + 1]])[::-1]
        np.testing.assert_allclose(found, expected[expected > 1e-7], atol=1e-12)


def test_a_matrix_that_does_not_fit_is_refused_with_what_would_fit():
    """The message names the items, the memory and the support that fits; 0 takes that support by itself."""
    lists = [["a", "b"], ["a", "b"], ["a", "c"], ["c", "d"], ["e"]]
    with pytest.raises(InvalidParameterError, match=r"^5 items need 1e-07 GB.*set min_support to 2"):
        slist(memory_gb=4e-6 / 100).fit(closed(lists))
    method = ease(memory_gb=4e-6 / 100, min_support=0)
    method.fit(closed(lists))
    assert method.dense_items == 3
    roomy = ease(min_support=0)
    roomy.fit(closed(lists))
    assert roomy.dense_items == 5


def test_an_inverse_of_several_blocks_is_whole_and_symmetric():
    """What LAPACK leaves to one triangle is mirrored across the blocks' borders."""
    n = 1500
    values = np.random.default_rng(3).random(n)
    rows = np.arange(n)
    matrix = matrix_of(
        np.concatenate((rows, rows[1:], rows[:-1])),
        np.concatenate((rows, rows[:-1], rows[1:])),
        np.concatenate((values + 3, np.ones(2 * n - 2))),
        (n, n),
    )
    inverted = inverse(matrix)
    assert np.array_equal(inverted, inverted.T)
    np.testing.assert_allclose(matrix @ inverted, np.eye(n), atol=1e-5)


def test_a_matrix_that_cannot_be_inverted_is_refused():
    """A matrix that is not positive definite gives an error that says what to raise."""
    ones = matrix_of(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 2.0, 1.0]), (2, 2))
    with pytest.raises(InvalidParameterError, match="raise regularisation"):
        inverse(ones)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("user-cf", {"neighbors": 3}, "did you mean neighbours"),
        ("user-cf", {"neighbours": 0}, "neighbours is 0, expected 1 to 1e"),
        ("item-cf", {"counts": True}, "no parameter 'counts'"),
        ("item-cf", {"memory_mb": "much"}, "Expected `int`"),
        ("ease", {"regularisation": 0}, "regularisation is 0"),
        ("ease", {"query_decay": float("nan")}, "query_decay is nan"),
        ("slist", {"alpha": "1.5"}, "alpha is 1.5, expected 0 to 1"),
        ("slist", {"position_decay": 0}, "position_decay is 0"),
    ],
)
def test_a_wrong_parameter_is_refused(name, changes, words):
    """An unknown name, a wrong kind and a value out of its range say what was expected."""
    with pytest.raises(InvalidParameterError, match=words):
        recommender(name, changes=changes)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_made_by_its_name(name):
    """The evaluation knows it, passes exclude, n and text of a command line, and can state its settings."""
    assert name in method_names()
    method = recommender(name, "session", 7, {"query_decay": "1.5"})
    assert method.settings == METHODS[name]("session", 7, query_decay=1.5).settings
    assert method.settings["n"] == 7
    assert method.settings["query_decay"] == 1.5


@pytest.mark.parametrize("name", METHODS)
def test_a_missing_extra_is_named(name):
    """Without its libraries the error says what to install; where no method is made, none is loaded."""
    code = (
        "import sys\n"
        "from stream_app.evaluate.methods import recommender\n"
        "import stream_app.comparisons.methods\n"
        "print({'sklearn', 'scipy'} & set(sys.modules))\n"
        "sys.modules['sklearn'] = sys.modules['scipy'] = None\n"
        "from core.errors import EvaluationError\n"
        f"try:\n    recommender({name!r})\nexcept EvaluationError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded, message = done.stdout.splitlines()
    assert loaded == "set()"
    assert "pip install 'nextclick[compare]'" in message
    assert issubclass(EvaluationError, Exception)

"""The protocols of the evaluation: what is asked, what is known when it is asked, and what comes of it."""

from __future__ import annotations

from collections import Counter
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import EvaluationError, InvalidParameterError
from core.params import ScoringParameters
from core.presets import PRESETS, preset
from core.window.sessions import ClosedSession
from stream_app.evaluate.holdout import Holdout, holdout
from stream_app.evaluate.methods import (
    EngineRecommender,
    GrowingRecommender,
    method_names,
    parameter_value,
    recommender,
    tuned,
)
from stream_app.evaluate.prequential import Prequential
from tests.oracles.slow_metrics import slow_figures, slow_queries, slow_shown


class Popular:
    """The items learnt most often, by name among equals; notes what it is asked and what it knows then."""

    def __init__(self, n=3):
        self.n = n
        self.learnt = []
        self.asked = []

    def fit(self, sessions):
        """Forget all and learn these."""
        self.learnt = []
        self.add(sessions)

    def add(self, sessions):
        """Learn these too."""
        self.learnt.extend(sessions)

    def recommend(self, queries):
        """The same answer for all."""
        known = frozenset(session.session for session in self.learnt)
        self.asked.extend((tuple(items), time_s, known) for items, time_s in queries)
        return [self.answer()] * len(queries)

    def answer(self):
        """The most frequent items."""
        counts = Counter(item for session in self.learnt for item in session.items)
        return sorted(counts, key=lambda item: (-counts[item], item))[: self.n]


def session_of(number, items, times) -> ClosedSession:
    """A session with these clicks; times in milliseconds."""
    return ClosedSession(
        f"0-{number}", "v", tuple(items), tuple(times), times[0], times[-1], "gap", len(items)
    )


streams = st.lists(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abcdef")), min_size=1, max_size=5),
    min_size=1,
    max_size=7,
).filter(lambda stream: any(len(clicks) > 1 for clicks in stream))


def sessions_of(stream, begin=0):
    """Sessions of (time, item) clicks, by their end."""
    sessions = [
        session_of(begin + number, [item for _, item in clicks], sorted(time for time, _ in clicks))
        for number, clicks in enumerate(stream)
    ]
    return sorted(sessions, key=lambda session: session.end)


@settings(max_examples=50)
@given(streams, streams)
def test_holdout_asks_every_beginning_and_nothing_of_the_test_is_known(train, test):
    """The queries are all prefixes, at the time of their last click; the figures are the slow twin's."""
    train, test, method = sessions_of(train), sessions_of(test, 100), Popular()
    report = holdout(method, train, test, method="popular", exclude="none", cutoffs=(1, 3))
    known = frozenset(session.session for session in train)
    queries = slow_queries([session.items for session in test])
    expected = [(test[n].items[:at], test[n].times[at - 1] / 1000, known) for n, at, _, _ in queries]
    # One before the clock runs, all of them, then some alone.
    assert method.asked[1 : len(expected) + 1] == expected
    assert set(method.asked) == set(expected)
    answers = [method.answer()] * len(queries)
    learnt = Counter(item for session in train for item in session.items)
    row = report.row()
    for k in (1, 3):
        figures = slow_figures(queries, answers, k)
        for name in figures[0]:
            assert report.value(f"{name}_{k}") == pytest.approx(fmean(one[name] for one in figures))
        shown = slow_shown(answers, learnt, k)
        assert (row[f"coverage_{k}"], row[f"popularity_{k}"]) == pytest.approx(shown)
    assert (report.queries, report.sessions) == (len(queries), len({query[0] for query in queries}))
    assert (row["items"], row["train_sessions"]) == (len(learnt), len(train))


@settings(max_examples=100)
@given(streams, streams, st.sampled_from([0, 3, 100]))
def test_prequential_knows_at_each_click_what_had_closed_and_no_more(train, stream, delay_ms):
    """Each query is asked once, in the order of time, knowing just the sessions that were over by then."""
    train, stream, method = sessions_of(train), sessions_of(stream, 100), Popular()
    report = Prequential(stream, train, delay_ms).run(method, method="popular", cutoffs=(3,))
    before = {session.session for session in train}
    expected = []
    for session in stream:
        for at in range(1, len(session.items)):
            now = session.times[at - 1]
            over = {other.session for other in stream if other.end + delay_ms < now}
            expected.append((session.items[:at], now / 1000, frozenset(before | over)))
    asked = method.asked[1 : len(expected) + 1]
    assert sorted(asked, key=repr) == sorted(expected, key=repr)
    assert [time for _, time, _ in asked] == sorted(time for _, time, _ in asked)
    assert report.queries == len(expected)
    assert report.protocol == "prequential"


def test_prequential_judges_by_what_was_known():
    """The second session profits from the first one; the first one knows nothing."""
    stream = [session_of(1, "ab", [0, 1000]), session_of(2, "ab", [2000, 3000])]
    report = Prequential(stream).run(Popular(), cutoffs=(3,))
    assert report.value("hr_3") == 0.5
    assert [point.hit_rate for point in report.tally.hit_rate_over_stream(3, 2)] == [0.0, 1.0]
    assert report.learnt == [1, 1]


def test_the_engine_learns_prequentially_what_it_learns_at_once():
    """After the last session has closed, the engine answers as one that was fitted with all of them."""
    stream = [
        session_of(n, f"{'abcdefgh'[n % 8]}{'bcdefgha'[n % 8]}x{n % 3}", [n * 1000 + at for at in range(4)])
        for n in range(60)
    ]
    grown, fitted = recommender("vstan"), recommender("vstan")
    Prequential([*stream, session_of(99, "ab", [10**6, 10**6 + 1])]).run(grown)
    fitted.fit(stream)
    queries = [((item,), 70.0) for item in "abcdefghx"]
    assert grown.recommend(queries) == fitted.recommend(queries)


def test_a_method_that_cannot_grow_says_so():
    """It is for holdout only."""

    class Fixed:
        fit, recommend = Popular.fit, Popular.recommend

    with pytest.raises(EvaluationError, match="Fixed cannot learn from a session as it closes"):
        Prequential([session_of(1, "ab", [0, 1])]).run(Fixed())


def test_unknown_items_are_misses():
    """An item that training lacks counts among the queries and is never found."""
    train = [session_of(n, "ab", [n, n + 1]) for n in range(5)]
    report = holdout(recommender("vsknn"), train, [session_of(9, "azb", [50, 51, 52])])
    assert (report.queries, report.value("hr_20")) == (2, 0.5)


@pytest.mark.parametrize("train", [[], [session_of(1, "ab", [0, 1])]])
def test_nothing_to_learn_or_to_ask_is_an_error(train):
    """No training session; no test session of two clicks."""
    with pytest.raises(EvaluationError, match="expected"):
        holdout(Popular(), train, [session_of(2, "a", [5])])


@pytest.mark.parametrize("cutoffs", [(0,), (), (5, 2)])
def test_cut_offs_are_checked(cutoffs):
    """Non-positive or descending ones are refused."""
    train = [session_of(1, "ab", [0, 1])]
    with pytest.raises(InvalidParameterError):
        holdout(Popular(), train, train, cutoffs=cutoffs)


def test_an_item_of_no_session_is_noticed():
    """A method that makes up items is broken, and the error names one."""

    class Inventive(Popular):
        def answer(self):
            return ["made-up"]

    with pytest.raises(EvaluationError, match="made-up"):
        holdout(Inventive(), [session_of(1, "ab", [0, 1])], [session_of(2, "ab", [5, 6])])


def test_a_split_is_asked_of_many_methods():
    """One that is fitted already is not fitted again, and gives the same."""
    train = [session_of(n, ["abcd"[n % 4], "bcda"[n % 4], "x"], [n, n + 1, n + 2]) for n in range(30)]
    split, engine = Holdout(train, train[:7]), recommender("vsknn")
    told = []
    first = split.run(engine, on_progress=lambda *how_far: told.append(how_far))
    again = split.run(engine, fitted=True)
    assert told == [(14, 14)]
    assert (first.tally.sums == again.tally.sums).all()
    other = split.run(
        engine.with_parameters(preset("vsknn", exclude="session", recommendations=20)), fitted=True
    )
    assert other.exclude == "session"
    assert other.settings["exclude"] == "session"
    row = other.row(first)
    assert row["against"] == "vsknn"
    assert row["hr_20_difference"] == pytest.approx(other.value("hr_20") - first.value("hr_20"))
    assert row["hr_20_difference_low"] <= row["hr_20_difference"] <= row["hr_20_difference_high"]
    assert 0 < row["hr_20_p"] <= 1
    assert first.differences(Holdout(train, train[:7]).run(engine))["hr_20"].value == 0
    with pytest.raises(ValueError, match="same queries"):
        first.differences(Holdout(train, train[7:13]).run(engine))
    with pytest.raises(KeyError, match="no figure 'hr_7'"):
        first.value("hr_7")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("exclude", ["none", "current", "session"])
def test_every_preset_is_a_method(name, exclude):
    """It grows, it answers with distinct items and as many as asked, and leaves out what it should."""
    method = recommender(name, exclude, 4)
    assert isinstance(method, GrowingRecommender)
    method.fit(
        [session_of(n, ["abcdefgh"[n % 8], "bcdefgha"[n % 8], "x"], [n, n + 1, n + 2]) for n in range(40)]
    )
    (answer,) = method.recommend([(("a", "x", "b"), 1.0)])
    assert 0 < len(answer) == len(set(answer)) <= 4
    assert not set(answer) & {"none": set(), "current": {"b"}, "session": {"a", "x", "b"}}[exclude]
    assert (method.settings["exclude"], method.settings["recommendations"]) == (exclude, 4)


def test_an_unknown_method_names_the_nearest():
    """And all that there are."""
    with pytest.raises(EvaluationError, match=r"unknown method 'vstann'; did you mean 'vstan'\?") as caught:
        recommender("vstann")
    assert all(name in str(caught.value) for name in method_names())


def test_parameters_are_changed_by_value_or_by_text():
    """Whole numbers, numbers, switches and choices, as a command line gives them."""
    changes = {"neighbours": "7", "position_decay": "0.5", "position_weight": "log", "repeats": "true"}
    method = recommender("vsknn", changes=changes)
    assert method.parameters == preset(
        "vsknn",
        neighbours=7,
        position_decay=0.5,
        position_weight="log",
        repeats=True,
        exclude="none",
        recommendations=20,
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("neighbours", "many", "neighbours is 'many'"),
        ("neighbours", "0", "neighbours is 0"),
        ("neighbours", "1.5", "neighbours is '1.5'"),
        ("position_weight", "cubic", "position_weight is 'cubic'"),
        ("neighbors", "5", "did you mean neighbours"),
    ],
)
def test_a_change_that_cannot_be_is_refused(name, value, words):
    """By name and value, with the nearest known name."""
    with pytest.raises(InvalidParameterError, match=words):
        recommender("vsknn", changes={name: value})


def test_exclude_is_checked():
    """An unknown one is an error that names the known ones."""
    with pytest.raises(InvalidParameterError, match="none, current, session"):
        recommender("vsknn", exclude="everything")


def test_a_name_of_no_parameter_is_left_alone():
    """Its method refuses it, in words of its own."""
    assert parameter_value("regularisation", "7") == "7"


@pytest.mark.parametrize(("exclude", "expected"), [(None, "session"), ("none", "none")])
def test_tuned_parameters_keep_their_own_exclude_unless_told(exclude, expected):
    """The cut-offs say how many items are recommended."""
    method = tuned(ScoringParameters(exclude="session", neighbours=3), exclude, 7)
    assert method.parameters == ScoringParameters(exclude=expected, neighbours=3, recommendations=7)


def test_an_engine_forgets_at_its_bound():
    """As a worker's index does; without a bound it holds all that it is fitted with."""
    sessions = [session_of(n, ["a", f"b{n}"], [n, n + 1]) for n in range(10)]
    for bound, held in ((4, 4), (None, 10)):
        method = EngineRecommender(preset("vsknn"), bound)
        method.fit(sessions)
        assert method.index.sessions == held

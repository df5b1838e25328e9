"""The scorer equals its slow twin to the last bit, keeps its promises, and explains itself."""

from __future__ import annotations

import gc
import weakref
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.arrays import MAX_SESSION_CLICKS
from core.errors import InvalidParameterError
from core.index import SessionIndex
from core.kernels.compiled import keep
from core.kernels.popularity import rank_popular
from core.kernels.scoring import score_run
from core.kernels.upkeep import add_sessions
from core.params import EXCLUDES, POSITION_WEIGHTS, STEP_WEIGHTS, ScoringParameters
from core.presets import PRESETS, preset
from core.scoring import Scorer, count_sources, plain_popular
from core.scratch import BATCH
from core.window.sessions import ClosedSession
from tests.oracles.slow_scoring import slow_score

ITEMS = st.sampled_from([f"i{n}" for n in range(12)])


def closed(number, items, end_ms=None, **fields):
    end = number * 1000 if end_ms is None else end_ms
    times = tuple(end for _ in items)
    return ClosedSession(f"0-{number}", "v", tuple(items), times, end, end, "gap", len(items), **fields)


decays = st.sampled_from([0.5, 2.0, 10.0])
shares = st.sampled_from([0.0, 0.0, 0.4, 1.0])
made = st.builds(
    ScoringParameters,
    recommendations=st.integers(1, 8),
    exclude=st.sampled_from(EXCLUDES),
    neighbours=st.integers(1, 12),
    sessions_per_item=st.integers(1, 10),
    sample_size=st.sampled_from([0, 1, 3, 8]),
    sampling=st.sampled_from(["recent", "random", "common"]),
    last_clicks=st.integers(1, 5),
    position_weight=st.sampled_from(POSITION_WEIGHTS),
    position_decay=decays,
    score_weight=st.sampled_from(STEP_WEIGHTS),
    score_decay=decays,
    length_power=st.sampled_from([0.0, 0.5, 0.8]),
    idf_similarity=st.sampled_from([0.0, 0.5, 1.0]),
    idf_of=st.sampled_from(["sessions", "clicks"]),
    recency_s=st.sampled_from([0.0, 3.0, 1000.0]),
    similarity_power=st.sampled_from([0.5, 1.0, 2.0]),
    distance_decay=st.sampled_from([0.0, 2.0]),
    before_weight=st.sampled_from([0.0, 0.6, 1.0]),
    repeats=st.booleans(),
    idf_base=st.sampled_from([0.5, 1.0]),
    idf_score=st.sampled_from([0.0, 1.0, 5.0]),
    popularity_damping=st.sampled_from([0.0, 0.1]),
    trend_power=st.sampled_from([0.0, 0.3]),
    repeat_share=st.sampled_from([0.0, 0.0, 0.5, 8.0]),
    repeat_rate=st.sampled_from([0.05, 0.3]),
    repeat_support=st.sampled_from([0.5, 4.0]),
    repeat_current=st.sampled_from([0.0, 0.7, 2.0]),
    popularity_prior=st.sampled_from([0.0, 0.5, 10.0]),
    neighbour_share=st.sampled_from([1.0, 0.7]),
    rule_share=shares,
    rule_clicks=st.integers(1, 5),
    rule_click_decay=decays,
    rule_support=st.sampled_from([0.0, 3.0]),
    rule_linear=st.booleans(),
    rule_mix=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    rule_length_power=st.sampled_from([0.0, 1.0]),
    rule_weight=st.sampled_from(STEP_WEIGHTS),
    rule_decay=decays,
    rule_steps=st.integers(1, 4),
    rule_sessions=st.integers(1, 5),
    reminder_share=shares,
    reminder_decay=decays,
    popular_share=shares,
    further_share=shares,
    further_items=st.integers(1, 4),
    fill=st.booleans(),
    popularity_sessions=st.integers(1, 10),
    popularity_half_life=st.sampled_from([1.0, 3.0]),
)
bare_idf = made.map(lambda p: replace(p, idf_base=0.0, idf_score=p.idf_score or 1.0))
parameters = made | bare_idf | st.sampled_from(list(PRESETS.values()))

histories = st.lists(st.lists(ITEMS, min_size=1, max_size=7), max_size=30)
queries = st.lists(st.lists(ITEMS | st.just("unknown"), max_size=8), min_size=1, max_size=4)


@settings(max_examples=1500, deadline=None)
@given(histories, queries, parameters, st.integers(1, 25))
def test_the_kernels_answer_what_the_slow_twin_answers_ties_and_reasons_included(
    history, asked, params, capacity
):
    """For any history, queries and parameters, items, scores, sources and reasons are equal, bit for bit."""
    index = SessionIndex(capacity)
    sessions = [closed(n, items) for n, items in enumerate(history)]
    index.add(sessions)
    held = [(s.items, s.end / 1000) for s in sessions][-capacity:]
    answers = Scorer(index, params).score([(query, 100.0 + n) for n, query in enumerate(asked)])
    for n, query in enumerate(asked):
        assert answers[n] == slow_score(held, query, 100.0 + n, params)


@settings(max_examples=300, deadline=None)
@given(histories, queries, parameters)
def test_an_answer_is_full_whenever_enough_items_are_known(history, asked, params):
    """It has n distinct allowed items, or all that are known and allowed; nothing excluded is in it."""
    index = SessionIndex(100)
    index.add(closed(n, items) for n, items in enumerate(history))
    known = {item for items in history for item in items}
    params = replace(params, fill=True)
    for query, answer in zip(asked, Scorer(index, params).score([(q, 50.0) for q in asked]), strict=True):
        barred = {"none": set(), "current": set(query[-1:]), "session": set(query)}[params.exclude]
        items = [r.item for r in answer]
        assert len(set(items)) == len(items) == min(params.recommendations, len(known - barred))
        assert not barred & set(items)


@settings(max_examples=200, deadline=None)
@given(histories, queries, parameters)
def test_a_query_is_answered_the_same_alone_and_in_a_run(history, asked, params):
    """No query leaves anything behind for the next."""
    index = SessionIndex(100)
    index.add(closed(n, items) for n, items in enumerate(history))
    together = Scorer(index, params).score([(query, 9.0) for query in asked])
    alone = Scorer(index, params)
    assert together == [alone.score([(query, 9.0)])[0] for query in asked]


def test_an_empty_index_answers_nothing():
    """Where nothing is known there is nothing to say, and no error."""
    assert Scorer(SessionIndex(4), preset("vsknn")).score([(("a",), 0.0), ((), 0.0)]) == [[], []]


def test_no_queries_are_no_answers():
    """An empty run is fine."""
    assert Scorer(SessionIndex(4), preset("vstan")).score([]) == []


REASONS = dict.fromkeys(PRESETS, ("neighbours", "milk", 3)) | {
    "sr": ("rules", "milk", 3),
    "ar": ("rules", "milk", 3),
    "slis": ("rules", "milk", 3),
    "pop": ("popular", None, 3),
    "spop": ("popular", None, 3),
}


@pytest.mark.parametrize("name", PRESETS)
def test_reasons_name_the_shared_item_and_how_many_sessions_vouch(name):
    """Three sessions hold milk and bread, so bread is recommended with milk in 3 sessions."""
    index = SessionIndex(10)
    index.add([closed(n, ["milk", "bread"]) for n in range(3)] + [closed(3, ["nails", "hammer"])])
    answer = Scorer(index, preset(name, exclude="session", fill=True)).score([(("milk",), 10.0)])[0]
    assert [(r.item, r.source, r.shared, r.sessions) for r in answer] == [
        ("bread", *REASONS[name]),
        ("hammer", "popular", None, 1),
        ("nails", "popular", None, 1),
    ]


def test_rules_reach_one_step_further_than_neighbours():
    """No session holds a and c, but b follows a and c follows b."""
    index = SessionIndex(10)
    index.add([closed(0, ["a", "b"]), closed(1, ["b", "c"]), closed(2, ["x", "y"])])
    answer = Scorer(index, preset("vsknn", recommendations=2)).score([(("a",), 10.0)])[0]
    assert [(r.item, r.source, r.shared, r.sessions) for r in answer] == [
        ("b", "neighbours", "a", 1),
        ("c", "rules", "b", 1),
    ]


def test_equal_scores_are_ranked_by_recency():
    """Of two items with the same score the one seen in the newer session comes first."""
    index = SessionIndex(10)
    index.add([closed(0, ["a", "old"]), closed(1, ["a", "new"])])
    same = ScoringParameters(position_weight="same", score_weight="same")
    assert [r.item for r in Scorer(index, same).score([(("a",), 0.0)])[0]] == ["new", "old"]


def test_of_very_many_equal_scores_the_newest_are_ranked():
    """Where more items tie than are compared at once, the best are still those of the newest sessions."""
    sessions = 2 * BATCH + 9
    index = SessionIndex(sessions)
    index.add([closed(n, (f"only {n}", "all")) for n in range(sessions)])
    method = preset("vmis", sessions_per_item=sessions, sample_size=sessions, neighbours=sessions)
    scorer = Scorer(index, replace(method, idf_base=1.0, idf_score=0.0, recommendations=20))
    (answer,) = scorer.score([(("all",), 1.0)])
    assert len({one.score for one in answer}) == 1
    assert [one.item for one in answer] == [f"only {sessions - 1 - n}" for n in range(20)]


def test_sources_are_counted_over_all_answers():
    """The counts are those of the named items; places beyond a short answer are not counted."""
    index = SessionIndex(10)
    index.add([closed(0, ["a", "b"]), closed(1, ["a", "c", "d"]), closed(2, ["e"])])
    scorer = Scorer(index, preset("blend", recommendations=4))
    ranked = scorer.rank(scorer.numbered([(("a",), 1.0), ((), 1.0), (("e", "b"), 1.0)]))
    named = [one.source for items in scorer.named(ranked) for one in items]
    assert count_sources(ranked) == dict(Counter(named))
    assert len(set(named)) > 1


def test_packed_answers_are_the_numbers_of_the_items_recommended():
    """In the order of the answer, as many as are asked for or as it has; of no index, none."""
    index = SessionIndex(10)
    index.add([closed(0, ["a", "b"]), closed(1, ["a", "c", "d"])])
    scorer = Scorer(index, preset("vsknn", recommendations=4, exclude="none", fill=False))
    ranked = scorer.rank(scorer.numbered([(("a",), 1.0), (("z",), 1.0), (("b",), 1.0)]))
    for most in (1, 3, 20):
        packed = scorer.packed(ranked, most)
        for answer, named in zip(packed, scorer.named(ranked), strict=True):
            items = np.frombuffer(answer, np.int32).tolist()
            assert [index.names[item] for item in items] == [one.item for one in named[:most]]
    empty = Scorer(SessionIndex(10), preset("vsknn"))
    assert empty.packed(empty.rank(empty.numbered([(("a",), 1.0)])), 20) == [b""]


def test_plain_popularity_counts_sessions():
    """An item counts once a session, however often it was clicked there."""
    index = SessionIndex(10)
    index.add([closed(0, ["a", "a", "a"]), closed(1, ["b"]), closed(2, ["b", "c"])])
    assert index.names[plain_popular(index, 2)[0]] == "b"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"neighbours": 0}, "neighbours is 0, expected 1 to"),
        ({"recommendations": 1001}, "recommendations is 1001"),
        ({"position_decay": 0.0}, "position_decay is 0.0"),
        ({"recency_s": float("nan")}, "recency_s is nan"),
        ({"exclude": "all"}, "exclude is 'all', expected one of"),
        ({"neighbors": 5}, "no scoring parameter 'neighbors'; did you mean neighbours?"),
    ],
)
def test_a_parameter_out_of_its_range_is_refused_by_name(change, said):
    """The error says which, what came and what was expected."""
    with pytest.raises(InvalidParameterError, match=said.replace("?", r"\?")):
        preset("vstan", **change)


def test_an_unknown_preset_is_refused_with_the_known_ones():
    """The error lists them."""
    with pytest.raises(InvalidParameterError, match="expected one of vsknn, vmis"):
        preset("knn")


def test_warming_up_compiles_all_that_a_click_needs():
    """After the warm-up, real sessions and queries find every kernel compiled for their types."""
    index = SessionIndex(5)
    scorer = Scorer(index, preset("vstan"))
    scorer.warm_up()
    kernels = [keep, score_run, rank_popular, add_sessions]
    before = [kernel.signatures for kernel in kernels]
    index.add(closed(n, [f"i{n}", "a"]) for n in range(9))
    scorer.score([((), 0.0), (("a", "unknown"), 1.5)])
    assert [kernel.signatures for kernel in kernels] == before
    assert [len(signatures) for signatures in before] == [1, 1, 1, 1]


def test_a_scorer_goes_on_while_the_index_changes_its_arrays():
    """As the index grows and sessions leave, one scorer answers what a new one does, to any query."""
    index = SessionIndex(800)
    scorer = Scorer(index, preset("vstan", exclude="session"))
    moved = set()
    for number in range(0, 4000, 40):
        index.add(
            closed(n, [f"i{n * 7 % 900 + n // 3}", f"i{n % 50}", f"i{n // 2}"])
            for n in range(number, number + 40)
        )
        moved.add(tuple(array.ctypes.data for array in index.arrays))
        query = [f"i{n}" for n in range(number // 10)]
        asked = [(query, 5000.0), (query[-3:], 5000.0), ((), 5000.0)]
        assert scorer.score(asked) == Scorer(index, scorer.parameters).score(asked)
    assert len(moved) > 10


def test_at_the_bounds_of_the_scratch_answers_are_those_of_the_slow_twin():
    """Every item scored, every item in the answer, each many times in a session: nothing runs over."""
    items = [f"i{n}" for n in range(64)]  # as many as an index begins with room for
    sessions = [closed(n, (items * 40)[n:]) for n in range(4)]
    index = SessionIndex(10)
    index.add(sessions)
    assert len(index.arrays.posting_start) == len(items)
    held = [(session.items, session.end / 1000) for session in sessions]
    for n in (64, 63, 1):
        parameters = preset("vstan", recommendations=n, neighbours=3, exclude="none")
        [answer] = Scorer(index, parameters).score([(items, 99.0)])
        assert answer == slow_score(held, items, 99.0, parameters)


def test_sessions_of_any_length_and_any_number_are_read_as_the_slow_twin_reads_them():
    """More items of neighbours than are worked on together, and a session of as many as any may have."""
    many = [[f"i{(n * 31 + at * at) % 97}" for at in range(n % 60)] + ["a"] for n in range(600)]
    longest = [f"i{at % 89}" for at in range(MAX_SESSION_CLICKS)]
    longest[5], longest[-7] = "a", "b"
    index, held = SessionIndex(1000), []
    scorer = Scorer(index, preset("vstan", neighbours=601, distance_decay=4000.0, exclude="none"))
    for sessions in (many, [longest], [["a", "b", "b"]]):
        index.add(closed(len(held) + at, items) for at, items in enumerate(sessions))
        held += [(items, float(len(held) + at)) for at, items in enumerate(sessions)]
        for query in (["i3", "a"], ["b"], ["b", "a", "i3"]):
            assert scorer.score([(query, 999.0)]) == [slow_score(held, query, 999.0, scorer.parameters)]


def test_the_rules_of_sessions_of_any_length_are_those_of_the_slow_twin():
    """More sessions than are looked up together, and a long one that has the items over and over."""
    items = [[f"i{(n * 31 + at * at) % 97}" for at in range(n % 9)] + ["a", "b"] for n in range(3 * BATCH)]
    items.append([f"i{at % 89}" for at in range(2 * BATCH)] + ["a", "a"] + ["b"] * BATCH)
    index = SessionIndex(1000)
    index.add(closed(number, session) for number, session in enumerate(items))
    held = [(session, float(number)) for number, session in enumerate(items)]
    for name in ("sr", "ar", "slis", "blend"):
        parameters = preset(name, exclude="current")
        [answer] = Scorer(index, parameters).score([(["i3", "b", "a"], 999.0)])
        assert answer == slow_score(held, ["i3", "b", "a"], 999.0, parameters)


def test_what_is_kept_for_kernels_lives_as_long_as_it_is_kept():
    """Arrays that Python has forgotten are still there for compiled code; they go when it lets go of them."""
    gone, index = [], SessionIndex(2)
    index.add([closed(0, ["a"])])
    engine = Scorer(index, preset("vstan"))._engine
    weights = np.full(len(engine.age_weight), 0.25)
    weakref.finalize(weights, gone.append, True)
    kept = keep(engine._replace(age_weight=weights))
    del weights
    gc.collect()
    assert not gone
    items, scores = np.empty(5, np.int32), np.empty(5)
    assert rank_popular(kept, items, scores) == 1
    assert scores[0] == 0.25
    del kept
    gc.collect()
    assert gone


@settings(deadline=None)  # the first example loads the kernels
@given(
    sessions=st.lists(st.lists(ITEMS, min_size=1, max_size=4), max_size=12),
    runs=st.lists(st.lists(st.lists(ITEMS, max_size=3), min_size=1, max_size=5), min_size=1, max_size=3),
    name=st.sampled_from(["vstan", "sr", "blend", "baskets"]),
    exclude=st.sampled_from(EXCLUDES),
)
def test_a_run_is_answered_as_its_queries_one_by_one(sessions, runs, name, exclude):
    """Also where some of its answers are short and filled, popular items being ranked for these alone."""
    index = SessionIndex(20)
    parameters = preset(name, exclude=exclude, recommendations=5)
    together, alone = Scorer(index, parameters), Scorer(index, parameters)
    for number, items in enumerate(sessions):
        index.add([closed(number, items)])
        for run in runs:
            queries = [(tuple(query), 100.0) for query in run]
            assert together.score(queries) == [alone.score([query])[0] for query in queries]

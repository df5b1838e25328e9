"""The short form of the engine's benchmark: its load has the stated laws, and it says what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice, pairwise

import numpy as np
import pytest

from core.index import SessionIndex
from core.presets import preset
from core.scoring import Scorer
from tests.benchmarks import cases, datasets, measure, peers, serenade
from tests.benchmarks.synthetic import (
    BLOCK_SESSIONS,
    CLUSTER_ITEMS,
    POPULARITY_POWER,
    Synthetic,
    catalogue_of,
)


@pytest.fixture(scope="module")
def stream():
    """A stream over 10,000 items."""
    return Synthetic(10_000, seed=3)


@pytest.fixture(scope="module")
def block(stream):
    """Half a million of its clicks."""
    return stream.block(0)


def ranks_of(stream, items):
    """The popularity rank, from 0, of each item."""
    rank = np.empty(stream.items, np.int64)
    rank[stream._number_of_rank] = np.arange(stream.items)
    return rank[items]


def test_sessions_have_two_clicks_or_more_and_four_on_average(block):
    """The lengths are as the issue has them, and end where the items end."""
    lengths = np.diff(block.starts)
    assert lengths.min() == 2
    assert lengths.mean() == pytest.approx(4, abs=0.03)
    assert block.starts[0] == 0
    assert block.starts[-1] == len(block.items)
    assert len(block.ends_s) == len(lengths) == BLOCK_SESSIONS
    assert np.all(np.diff(block.ends_s) > 0)


def test_popularity_falls_with_the_rank_to_the_power(stream, block):
    """A line through the logarithms of rank and clicks falls by .9, and the drawn rank is the real one."""
    clicks = np.bincount(ranks_of(stream, block.items), minlength=stream.items)[:2000]
    slope = np.polyfit(np.log(np.arange(1, 2001)), np.log(clicks), 1, w=np.sqrt(clicks))[0]
    assert -slope == pytest.approx(POPULARITY_POWER, abs=0.02)


def test_four_clicks_of_five_are_from_the_cluster_of_the_session(stream, block):
    """Two clicks of a session are of one cluster as often as .8 squared and chance make them."""
    clusters = ranks_of(stream, block.items) // CLUSTER_ITEMS
    first, second = clusters[block.starts[:-1]], clusters[block.starts[:-1] + 1]
    share = np.bincount(clusters) / len(clusters)
    by_chance = float((share**2).sum())
    assert np.mean(first == second) == pytest.approx(0.64 + 0.36 * by_chance, abs=0.01)


def test_the_same_seed_gives_the_same_stream_and_another_another(stream, block):
    """A stream is a function of its seed, block by block, and its queries are too."""
    again, other = Synthetic(10_000, seed=3), Synthetic(10_000, seed=4)
    assert all(map(np.array_equal, again.block(0), block))
    assert not np.array_equal(other.block(0).items, block.items)
    assert not np.array_equal(stream.block(1).items[:100], block.items[:100])
    assert again.queries(50, 9) == stream.queries(50, 9) != other.queries(50, 9)


@pytest.mark.parametrize("clicks", [1, 2, 1000, 600_000])
def test_a_stream_has_as_many_clicks_as_wanted_and_ends_with_that_session(stream, clicks):
    """Blocks end with the session that reaches the number of clicks, and are as many as was said."""
    blocks = list(stream.blocks(clicks))
    assert sum(len(block.ends_s) for block in blocks) == stream.sessions(clicks)
    without_last = sum(len(block.items) for block in blocks) - np.diff(blocks[-1].starts)[-1]
    assert without_last < clicks <= sum(len(block.items) for block in blocks)


def test_queries_are_beginnings_that_a_click_follows(stream):
    """A query has one item or more, grows within its session, and there are as many as wanted."""
    queries = stream.queries(2000, after_sessions=10)
    lengths = [len(items) for items, _ in queries]
    assert len(queries) == 2000
    assert min(lengths) == 1
    assert all(next_ in (1, n + 1) for n, next_ in pairwise(lengths))
    assert {time_s for _, time_s in queries} == {1.1}


def test_the_catalogue_is_that_of_the_measured_sizes():
    """100 k, 500 k and 1.76 M items at 1, 10 and 60 million clicks."""
    assert [catalogue_of(size * 1e6) for size in (1, 10, 60)] == [
        100_000,
        pytest.approx(500_000, rel=0.003),
        pytest.approx(1_760_000, rel=0.003),
    ]


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7], 0.001, 7),
        ([7], 100, 7),
        ([1, 2], 50, 1),
        ([1, 2], 50.1, 2),
        (range(1, 11), 90, 9),
        (range(1, 11), 99, 10),
        (range(1, 1001), 99.9, 999),
        (range(1, 1001), 99.91, 1000),
        (range(1, 10_001), 99.9, 9990),
        (range(1, 101), 100, 100),
    ],
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values, percent, expected):
    """The nearest rank, also where the rank is whole and where there is one value."""
    assert measure.percentile(values, percent) == expected


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1], 0), ([1], 100.1), ([1], float("nan"))])
def test_a_percentile_that_is_none_is_refused(values, percent):
    """No value, nothing, more than all, and no number at all."""
    with pytest.raises(ValueError, match="expected 0 to 100 % of one value or more"):
        measure.percentile(values, percent)


def test_each_query_is_a_call_and_the_first_pass_is_not_counted():
    """Runs of 1 go one by one, runs of 500 together, each round answers all queries."""
    calls = []
    figures = measure.one_by_one(calls.append, list(range(7)), rounds=2)
    assert calls == [[query] for query in range(7)] * 3
    assert len(figures["p90_us_of_rounds"]) == 2
    assert 0 < figures["p50_us"] <= figures["p90_us"] <= figures["p99_us"] <= figures["p99_9_us"]
    calls.clear()
    measure.in_runs(calls.append, list(range(700)), rounds=1)
    assert [len(run) for run in calls] == [500, 200] * 2


@pytest.fixture(scope="module")
def small():
    """A small index, its sessions, and queries of distinct items."""
    stream = Synthetic(500, seed=5)
    train = [session for block in stream.blocks(8000) for session in cases.named(block)]
    index = SessionIndex(len(train))
    cases.learn(index, train)
    queries = [query for query in stream.queries(600, len(train)) if len(set(query[0])) == len(query[0])]
    return index, train, queries[:200]


def test_the_peer_in_pandas_terms_recommends_what_the_engine_recommends(small):
    """The first item is the same, or one of the same score, at every query."""
    index, train, queries = small
    peer = peers.PandasVsknn(train)
    answers = Scorer(index, preset("vsknn", exclude="none")).score(queries)
    assert len(queries) == 200
    for (items, _), answer in zip(queries, answers, strict=True):
        scores = peer.scores(items)
        assert scores[peer.number_of[answer[0].item]] == pytest.approx(1.0, rel=1e-9)
    same = [
        peer.recommend(items)[0] == answer[0].item
        for (items, _), answer in zip(queries, answers, strict=True)
    ]
    assert sum(same) >= 190


def test_wsknn_answers_with_items_that_it_was_given(small):
    """Both strategies give five items at most, all known; an item that is not known gives none."""
    _, train, queries = small
    known = {item for items, _ in train for item in items}
    for strategy in ("common_items", "recent"):
        peer = peers.Wsknn(train, strategy)
        for items, _ in islice(queries, 20):
            recommended = peer.recommend(items)
            assert 0 < len(recommended) <= 5
            assert set(recommended) <= known
        assert peer.recommend(("not known",)) == []


def test_learning_in_runs_holds_every_session(small):
    """What the benchmark builds its index from is in the index."""
    index, train, _ = small
    assert index.sessions == len(train)
    assert index.clicks == sum(len(items) for items, _ in train)


def test_every_figure_of_serenade_has_its_setting():
    """Each data set has three settings, each with parameters that say what they leave out."""
    for measured in serenade.MEASURED.values():
        assert list(measured) == list(serenade.SETTINGS)
        assert all(p50 < p90 < p99 for p50, p90, p99 in measured.values())
    assert {serenade.parameters(setting).exclude for setting in serenade.SETTINGS} == {"current"}
    whole = serenade.parameters(serenade.WHOLE_SESSION)
    assert (whole.sessions_per_item, whole.neighbours, whole.exclude) == (2500, 500, "none")


def test_the_benchmark_runs_and_says_what_it_measured(tmp_path):
    """A few thousand clicks, no real data: all figures are in the file, and what is absent is named."""
    file = tmp_path / "figures.json"
    options = ["--quick", "--sizes", "0.005", "--queries", "200", "--rounds", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.scoring", *options, "--data", tmp_path, "--json", file],
        cwd=datasets.ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(file.read_text())
    assert {"cpu", "cores", "memory_gib"} <= set(result["machine"])
    assert {"python", "numba", "numpy", "nextclick", "wsknn"} <= set(result["versions"])
    assert len(result["absent"]) == len(datasets.FILES)
    assert "NOT MEASURED: diginetica" in done.stdout
    assert {row["setting"] for row in result["latency"]} == set(serenade.SETTINGS)
    figures = {*measure.PERCENTILES, "queries_per_s", "queries_per_s_in_runs", "empty_query_us"}
    assert all(row[figure] > 0 for row in result["latency"] for figure in figures)
    [memory] = result["memory"]
    assert memory["clicks"] >= 5000
    assert memory["index_bytes_a_click"] > 0
    assert {"resident_bytes_a_click", "names_bytes", "peak_growth"} <= set(memory)
    assert [row["sessions"] for row in result["build"]] == [memory["sessions"], cases.LEARNT]
    assert [row["peer"].partition(",")[0] for row in result["peers"]] == [
        "wsknn",
        "wsknn",
        "VS-kNN in pandas' terms",
    ]
    assert all(row["ratio"] > 0 for row in result["peers"])


def test_the_document_has_the_figures_of_serenade():
    """The table of docs/benchmarks.md is the one that ratios are made with, row by row."""
    lines = (datasets.ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").splitlines()
    rows = [
        f"| {setting} | {' / '.join(map(str, figures))} |"
        for measured in serenade.MEASURED.values()
        for setting, figures in measured.items()
    ]
    in_order = iter(lines)
    assert all(any(line.endswith(row) for line in in_order) for row in rows)

"""The movie tutorial of the package wsknn on MovieLens: the same sessions, the same lists, and it runs."""

from __future__ import annotations

import gzip
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import wsknn

from stream_app.wsknn import fit, parse_flat_file
from tests.oracles.wsknn_package import Package, assert_same

ROOT = Path(__file__).resolve().parents[2]

FIELDS = {"sep": "\t", "session_index": 0, "product_index": 1, "time_index": 3, "time_to_numeric": True}
TUTORIAL = {
    "number_of_recommendations": 5,
    "number_of_neighbors": 10,
    "sampling_strategy": "recent",
    "sample_size": 50,
    "weighting_func": "log",
    "ranking_strategy": "log",
    "return_events_from_session": False,
}
#: What the tutorial's own page shows for the users 468 and 553: weights, and the movies that do not tie.
SHOWN = {
    "468": (
        [1.489341470262457, 1.489341470262457, 1.3939711847266973, 1.3742570481285101, 1.3590141950597054],
        {2: "Jaws (1975)", 3: "Sleepless in Seattle (1993)"},
    ),
    "553": (
        [1.4359264550407258, 1.3587771152481662, 1.3583735479109227, 1.3583735479109227, 1.3583735479109227],
        {0: "Sting, The (1973)", 1: "Psycho (1960)"},
    ),
}


@pytest.fixture(scope="module")
def movielens(data, tmp_path_factory):
    """Items, sessions, titles, and the file of ratings unpacked, which the package needs."""
    folder = data / "movielens_100k"
    ratings = tmp_path_factory.mktemp("movielens") / "u.data"
    ratings.write_bytes(gzip.decompress((folder / "u.data.gz").read_bytes()))
    movies = gzip.decompress((folder / "u.item.gz").read_bytes()).decode("ISO-8859-1").splitlines()
    titles = dict(line.split("|")[:2] for line in movies)
    return *parse_flat_file(folder / "u.data.gz", **FIELDS), titles, ratings


def test_the_file_is_read_as_the_package_reads_it(movielens):
    """943 sessions, the longest of 737 events; sessions and items are the package's."""
    items, sessions, _, ratings = movielens
    assert (sessions.number_of_sessions, sessions.longest_items_vector_size) == (943, 737)
    assert (items.number_of_items, sessions.lines_left_out) == (1682, 0)
    their_items, theirs = wsknn.parse_flat_file(str(ratings), **FIELDS)
    assert sessions.session_items_actions_map == theirs.session_items_actions_map
    assert items.longest_sessions_vector_size == their_items.longest_sessions_vector_size


def test_the_movies_of_the_tutorial_are_recommended_with_its_weights(movielens):
    """To nine digits, by what the tutorial's page shows."""
    items, sessions, titles, _ = movielens
    model = fit(sessions, items, **TUTORIAL, recommend_any=False)
    for user, (weights, movies) in SHOWN.items():
        answer = model.recommend(sessions.session_items_actions_map[user])
        assert [weight for _, weight in answer] == pytest.approx(weights, abs=1e-9)
        assert {place: titles[answer[place][0]] for place in movies} == movies


def test_every_setting_gives_the_lists_of_the_package(movielens):
    """For users in turn, whole and cut to their last ten movies, and every combination of the settings."""
    items, sessions, _, _ = movielens
    watched = itertools.cycle(list(sessions.session_items_actions_map.values())[::7])
    package = Package(sessions.session_items_actions_map, items.item_sessions_map)
    model = fit(sessions)
    for sampling, weighting, ranking, own_items in itertools.product(
        [("recent", 50), ("recent", 943), ("common_items", 943), ("random", 943)],
        ["linear", "log", "quadratic"],
        ["linear", "log", "quadratic", "inv"],
        [False, True],
    ):
        chosen = {
            "sampling_strategy": sampling[0],
            "sample_size": sampling[1],
            "weighting_func": weighting,
            "ranking_strategy": ranking,
            "return_events_from_session": own_items,
        }
        package.model.set_model_params(**chosen)
        model.set_model_params(**chosen)
        whole = next(watched)
        for query in (whole, [row[-10:] for row in whole]):
            assert_same(model, package, query, 10, 5)


def run_example(*arguments: str | Path, data: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the example from another folder."""
    variables = {name: value for name, value in os.environ.items() if name != "NEXTCLICK_DATA"}
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / "movies.py"), *map(str, arguments)],
        env=variables if data is None else {**variables, "NEXTCLICK_DATA": str(data)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.mark.parametrize("by_variable", [True, False])
def test_the_example_recommends_movies_by_their_titles(data, by_variable):
    """Whether the folder is an argument or NEXTCLICK_DATA says it; three users, and what they might like."""
    done = run_example(data=data) if by_variable else run_example(data / "movielens_100k", "--users", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("943 sessions, the longest of 737 events")
    assert done.stdout.count("and might like") == 3
    first = done.stdout.split("and might like\n")[1].split("\n\n")[0].splitlines()
    assert len(first) == 5
    assert all(line.endswith(")") and "(19" in line for line in first)


def test_without_data_the_example_says_where_to_get_it(tmp_path):
    """An exit code and one sentence, no traceback."""
    done = run_example(tmp_path)
    assert done.returncode == 1
    assert f"there is no u.data in {tmp_path}" in done.stderr
    assert "https://grouplens.org/datasets/movielens/100k/" in done.stderr
    assert "Traceback" not in done.stderr

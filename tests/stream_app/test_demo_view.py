"""The demo's picture, made from plain states and read as a person would; and what it is made from."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from core.answers import Answer, ClickPlace
from core.scoring import Recommended
from core.window.clicks import Click
from stream_app.demo.statistics import (
    MOST_POINTS,
    SHOWN_CLICKS,
    DemoState,
    Quality,
    ShownSession,
    Statistics,
    Suggestion,
)
from stream_app.terminal.demo_view import render, save_svg, sparkline, why

MILK = Suggestion("1", "Fluid milk white only", "neighbours", "Eggs", 14, bought=True)
STATE = DemoState(
    broker="the embedded broker",
    elapsed_s=83.0,
    answered=24_512,
    baskets=2_610,
    clicks_per_s=301.2,
    open_sessions=12,
    sessions_closed=2_598,
    index_sessions=2_590,
    index_items=11_021,
    latency_p50_ms=12.3,
    latency_p99_ms=48.7,
    quality=Quality(21_900, 0.0712, 0.0241, 0.0593, 0.0198),
    curve=tuple((n, n / 1000, 0.05) for n in range(1, 72)),
    shown=ShownSession(
        "1463",
        ("Bananas", "Eggs"),
        (
            MILK,
            Suggestion("2", "Hamburger buns", "rules", "Bananas", 1),
            *(Suggestion(str(n), f"Product {n}", "popular", "", n) for n in range(3, 21)),
        ),
    ),
)


def picture(state: DemoState, width: int, height: int) -> list[str]:
    """The lines that a terminal of this size shows."""
    console = Console(record=True, width=width, height=height, file=io.StringIO(), color_system=None)
    console.print(render(state, width, height), height=height)
    return console.export_text().splitlines()


@pytest.mark.parametrize(("width", "height"), [(100, 30), (80, 24), (140, 50)])
def test_the_picture_shows_what_matters_at_any_usual_size(width, height):
    """Flow, quality against popularity, the session and what is recommended and why are all there."""
    lines = picture(STATE, width, height)
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    for expected in (
        "24,512 clicks",
        "301 clicks/s",
        "12 open, 2,598 closed",
        "2,590 sessions",
        "11,021 items",
        "p50 12, p99 49 ms",
        "hit rate@20     0.071",
        "MRR@20          0.024",
        "0.059",
        "0.020",
        "21,900 judged",
        "household 1463",
        "▶ Eggs",
        "✓ Fluid milk",
        "with EGGS in 14 similar sessions" if width >= 100 else "with EGGS in 14 sessions",
        "after BANANAS in 1 session",
        "popular: in 3 sessions",
        "✓ 1 bought after",
        "the embedded broker · 2,610 baskets · 1:23 · Ctrl-C stops",
    ):
        assert expected in text, text


@pytest.mark.parametrize("size", [(100, 30), (80, 24), (40, 10), (1, 1)])
def test_the_picture_of_nothing_does_not_break(size):
    """At the start nothing is known; a terminal that is too small shows a part."""
    assert picture(DemoState(), *size)


@given(
    st.text(min_size=0, max_size=40),
    st.sampled_from(["neighbours", "rules", "popular"]),
    st.integers(1, 100_000),
    st.integers(30, 80),
)
def test_a_reason_fits_and_keeps_its_number(shared, source, sessions, width):
    """Where room is short the product's name is cut, not how many sessions vouch."""
    text = why(Suggestion("1", "x", source, shared, sessions), width)
    if len(shared.upper()) == len(shared):
        assert len(text) <= width
    assert f" in {sessions:,} " in text


@given(st.lists(st.floats(0, 1), max_size=300), st.integers(0, 60))
def test_a_sparkline_has_a_bar_a_column_at_most(values, columns):
    """As many bars as values where they fit, the highest at the top."""
    bars = sparkline(values, columns, max(values, default=0))
    assert len(bars) in {0, min(columns, len(values))}
    if bars and len(values) <= columns:
        assert bars[values.index(max(values))] == "█"


def test_a_picture_is_saved_as_svg(tmp_path):
    """The file is the picture, for the README."""
    save_svg(STATE, tmp_path / "demo.svg")
    text = (tmp_path / "demo.svg").read_text()
    assert text.startswith("<svg")
    assert "household" in text
    assert "1463" in text


def answer(visitor: str, item: str, position: int, session: str = "0-0") -> Answer:
    items = (Recommended("b", 1.0, "neighbours", 3, "a"), Recommended("z", 0.5, "popular", 2))
    return Answer(visitor, ClickPlace(0, position), item, session, position, items, 0, "baskets")


def test_a_session_is_shown_with_names_and_what_it_went_on_to_buy():
    """A recommended product that the shown session buys later is marked; an unnamed one has its number."""
    statistics = Statistics({"a": "Apples", "b": "Bread"}, "broker", None)
    statistics.note_answer(answer("v", "a", 1))
    statistics.note_answer(answer("v", "b", 2))
    shown = statistics.state().shown
    assert shown.products == ("Apples",)
    assert [(s.name, s.shared, s.bought) for s in shown.suggestions] == [
        ("Bread", "Apples", True),
        ("Product z", "", False),
    ]


def test_every_answer_has_its_latency_and_every_buffer_its_bound():
    """Latencies are of the visitor's own clicks in their order; long sessions and curves are cut."""
    statistics = Statistics({}, "broker", 10)
    for place in range(1, 1_001):
        statistics.note_sent(Click("v", "a", 0, f"b-{place}"))
        statistics.note_answer(answer("v", "a", place))
        statistics.note_metrics(
            {"nextclick_prequential_clicks_total": place, "nextclick_prequential_hits_total": place / 2}
        )
    state = statistics.state()
    assert statistics.unanswered == 0
    assert state.baskets == 1
    assert 0 <= state.latency_p50_ms <= state.latency_p99_ms < 1000
    assert len(state.curve) <= MOST_POINTS
    assert state.quality.hit_rate == 0.5
    assert len(statistics._sessions["v"][1]) == SHOWN_CLICKS

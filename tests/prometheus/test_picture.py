"""The picture of the dashboards: its panels exist, and are drawn with what Prometheus said."""

from __future__ import annotations

import math
import re

from tests.prometheus.picture import PICTURE, SHOWN, Line, Shown, draw, name_of, panel_named, with_gaps


def words(svg: str) -> set[str]:
    """The texts of a picture."""
    return set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))


def test_the_picture_of_the_repository_shows_the_panels_of_the_dashboards():
    """Each panel that is shown is a graph of a dashboard, and its title stands in the picture."""
    titles = {panel_named(*place)["title"] for place in SHOWN}
    assert titles <= words(PICTURE.read_text(encoding="utf-8"))


def test_series_are_drawn_with_names_units_and_marks(tmp_path):
    """Lines, parts of a whole and a panel without series; the same series make the same bytes."""
    shown = [
        Shown("Rate", "cps", False, [Line("a", [0.0, 2.0], [1.0, 3.0])]),
        Shown("Parts", "short", True, [Line("b", [0.0, 2.0], [1.0, 1.0]), Line("c", [2.0], [4.0])]),
        Shown("Share", "percentunit", False, [Line("d", [0.0, 2.0], [0.1, 0.2])]),
        Shown("Nothing", "s", False, []),
    ]
    draw(shown, {"killed": 1.0}, "made so", tmp_path / "one.svg")
    draw(shown, {"killed": 1.0}, "made so", tmp_path / "two.svg")
    text = (tmp_path / "one.svg").read_text()
    assert words(text) >= {"Rate", "Parts", "Share", "Nothing", "a", "b", "c", "d", "killed", "made so"}
    assert text == (tmp_path / "two.svg").read_text()


def test_a_line_is_broken_where_there_was_nothing():
    """A worker that was away has no value in between."""
    points = with_gaps([(0.0, 1.0), (2.0, 1.0), (8.0, 2.0)])
    assert [at for at, _ in points] == [0.0, 2.0, 4.0, 8.0]
    assert [at for at, value in points if math.isnan(value)] == [4.0]


def test_a_series_is_called_as_grafana_would_and_a_worker_by_its_name():
    """Labels in braces are filled in."""
    labels = {"instance": "127.0.0.1:1", "doing": "write"}
    assert name_of("{{doing}}, {{instance}}", labels, {"127.0.0.1:1": "worker 1"}) == "write, worker 1"

"""A whole evaluation on small files: plans, pictures, the table in the terminal and the documents' tables."""

from __future__ import annotations

import json
import random

import pytest
from rich.text import Text

from core.errors import EvaluationError, InvalidParameterError, NextclickError, SettingsError
from core.presets import preset
from stream_app.docs import ROOT
from stream_app.evaluate import all_sets
from stream_app.evaluate.data import ReadOptions
from stream_app.evaluate.plot import check_plot, plot
from stream_app.evaluate.run import Plan, evaluate, make_methods, parse_settings
from stream_app.terminal.evaluation import EvaluationProgress, print_evaluation


def tsv(path, sessions, *, begin_s=0, seed=1):
    """A file of sessions that walk along a ring of 200 items, one after the other, a minute a click."""
    chance = random.Random(seed)  # noqa: S311 -- the same file each time, not a secret
    lines, now_s = ["SessionId\tItemId\tTime"], begin_s
    for number in range(sessions):
        item = chance.randrange(200)
        for _ in range(chance.randrange(1, 6)):
            lines.append(f"{begin_s + number}\ti{item}\t{now_s}")
            item = (item + chance.choice((1, 1, 1, 2, 5))) % 200
            now_s += 60
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A training file and a test file that begins later."""
    folder = tmp_path_factory.mktemp("clicks")
    return tsv(folder / "train.tsv", 300), tsv(folder / "test.tsv", 60, begin_s=10**6, seed=2)


@pytest.fixture(scope="module")
def reports(files):
    """Two methods on them."""
    return evaluate(Plan(*files, methods=("vstan", "vsknn")))


def test_a_plan_is_carried_out(files):
    """A report a method in the plan's order; all steps and all files are told."""
    told, read = [], []
    reports = evaluate(
        Plan(*files, methods=("vsknn", "vstan", "vsknn"), cutoffs=(1, 10)),
        lambda *step: told.append(step),
        lambda path, reading, sessions: read.append((path, reading.clicks > sessions, sessions)),
    )
    assert [report.method for report in reports] == ["vsknn", "vstan"]
    assert read == [(files[0], True, 300), (files[1], True, 60)]
    assert {what for what, _, _ in told} == {"reading train.tsv", "reading test.tsv", "vsknn", "vstan"}
    assert told[-1][1] == told[-1][2] == reports[0].queries
    assert all(0.3 < report.value("hr_10") < 1 for report in reports)


@pytest.mark.parametrize(
    ("changes", "protocol", "train_sessions"),
    [
        ({}, "holdout", 300),
        ({"sessions": 40}, "holdout", 40),
        ({"prequential": True}, "prequential", 300),
        ({"test": None}, "prequential", 0),
        ({"test": None, "share": 0.5}, "holdout", 150),
        ({"reading": ReadOptions(by_gap=True), "prequential": True}, "prequential", 300),
    ],
)
def test_the_protocol_is_that_of_the_plan(files, changes, protocol, train_sessions):
    """Two files, one file, one file in two parts, the newest sessions only."""
    values = {"train": files[0], "test": files[1], "methods": ("vsknn",), **changes}
    (report,) = evaluate(Plan(**values))
    assert (report.protocol, report.train_sessions) == (protocol, train_sessions)


@pytest.mark.parametrize("limit", [1, 7])
def test_the_limit_is_of_sessions_that_ask(files, limit):
    """A session of one click does not count for holdout."""
    (report,) = evaluate(Plan(*files, methods=("vsknn",), limit=limit))
    assert report.sessions == limit


def test_an_index_of_few_sessions_is_a_worse_one(files):
    """The bound of the index is the method's own."""
    small, all_of_it = (
        evaluate(Plan(*files, methods=("vsknn",), max_sessions=bound))[0] for bound in (5, None)
    )
    assert small.value("hr_5") < all_of_it.value("hr_5")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"methods": ()}, EvaluationError, "came none"),
        ({"methods": ("vsknn", "popp")}, EvaluationError, "unknown method 'popp'"),
        ({"cutoffs": (0, 5)}, InvalidParameterError, "cut-offs"),
        ({"share": 0.2}, EvaluationError, "there is a test file"),
        ({"share": 0.2, "test": None, "prequential": True}, EvaluationError, "holds nothing out"),
        ({"known_items": True, "test": None}, EvaluationError, "known-items-only"),
        ({"methods": ("vsknn", "item-cf"), "prequential": True}, EvaluationError, "item-cf cannot learn"),
        ({"settings": {"vstan.neighbours": 5}}, EvaluationError, "'vstan' is not among the methods vsknn"),
        ({"settings": {"exclude": "none"}}, InvalidParameterError, "--exclude"),
        ({"settings": {"vsknn.recommendations": 5}}, InvalidParameterError, "cannot be set here"),
        ({"settings": {"neighbours": 0}}, InvalidParameterError, "neighbours is 0"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_is_read(tmp_path, changes, error, words):
    """The error says why; the files, which are not there, are not looked for."""
    values = {"train": tmp_path / "a", "test": tmp_path / "b", "methods": ("vsknn",), **changes}
    with pytest.raises(error, match=words):
        evaluate(Plan(**values))


def test_settings_are_for_one_method_or_for_all(tmp_path):
    """A method's own win over those for all; a file of parameters is a method, by its name."""
    file = tmp_path / "tuned.toml"
    file.write_text('[scoring]\npreset = "vstan"\nneighbours = 77\nname = "mine"\nexclude = "session"\n')
    given = parse_settings(["neighbours=9", "vstan.neighbours = 5"])
    made = dict(
        make_methods(
            Plan(tmp_path, methods=("vsknn", "vstan"), settings=given, params=(file,), cutoffs=(3, 8))
        )
    )
    assert made["vsknn"].parameters == preset("vsknn", neighbours=9, exclude="none", recommendations=8)
    assert made["vstan"].parameters == preset("vstan", neighbours=5, exclude="none", recommendations=8)
    (name,) = made.keys() - {"vsknn", "vstan"}
    assert name.startswith("mine+")
    parameters = made[name].parameters
    assert (parameters.neighbours, parameters.exclude, parameters.recommendations) == (77, "session", 8)


def test_a_file_of_parameters_that_is_not_there_is_an_error(tmp_path):
    """Before the clicks are read."""
    with pytest.raises(SettingsError, match=r"none\.toml"):
        evaluate(Plan(tmp_path / "a", params=(tmp_path / "none.toml",)))


@pytest.mark.parametrize("text", ["neighbours", "=5", "neighbours=", "neighbours:5"])
def test_a_setting_that_is_none_is_refused(text):
    """The error shows what is expected."""
    with pytest.raises(EvaluationError, match="NAME=VALUE"):
        parse_settings([text])


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".SVG", b"<?xml")])
@pytest.mark.parametrize("prequential", [False, True])
def test_a_picture_is_drawn(files, reports, tmp_path, suffix, magic, prequential):
    """By clicks known or over the stream; the same figures make the same file."""
    shown = evaluate(Plan(*files, methods=("vsknn",), prequential=True)) if prequential else reports
    pictures = []
    for number in range(2):
        path = tmp_path / f"{number}{suffix}"
        plot(shown, path)
        pictures.append(path.read_bytes())
    assert pictures[0].startswith(magic)
    assert pictures[0] == pictures[1]
    if magic == b"<?xml":
        text = pictures[0].decode()
        assert f"vsknn ({shown[-1].value('hr_20'):.3f})" in text
        assert ("clicks judged" if prequential else "clicks of the session known") in text


@pytest.mark.parametrize(
    ("name", "words"), [("a.pdf", ".png or .svg"), ("a", ".png or .svg"), ("no/a.png", "no folder")]
)
def test_a_picture_that_cannot_be_drawn_is_refused(tmp_path, name, words):
    """Before the evaluation, which may take long."""
    with pytest.raises(EvaluationError, match=words):
        check_plot(tmp_path / name)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("methods", [1, 2])
@pytest.mark.parametrize("columns", [70, 80])
def test_the_table_fits_a_narrow_terminal(reports, monkeypatch, capsys, full, methods, columns):
    """With whole figures and names, and intervals where there is room; it says what ± and p are."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    rows = [report.row(reports[0] if at else None) for at, report in enumerate(reports)][:methods]
    print_evaluation(rows, (5, 10, 20), full=full)
    shown = Text.from_ansi(capsys.readouterr().out).plain
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= columns
    assert ("a wider terminal" in shown) == (columns < 80 and (full or methods > 1))
    for row in rows:
        assert row["method"] in shown
        assert f"{row['hr_20']:.3f}".removeprefix("0") in shown
    assert "holdout, exclude none:" in shown
    assert ("p:" in shown) == (methods > 1)
    assert ("popularity" in shown) == full


def test_what_is_no_terminal_gets_every_figure_whole(reports, monkeypatch, capsys):
    """However long a method's name is, and whatever width a terminal would have."""
    monkeypatch.setenv("COLUMNS", "40")
    row = reports[0].row() | {"method": "a name as long as a file's may be, with blanks"}
    print_evaluation([row], (5, 10, 20), full=True)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert shown.count(row["method"]) == 3 + 3 + 1
    assert shown.count("±") == 3 * 3 * 2 + 1


def test_progress_draws_nothing_where_there_is_no_terminal(capsys):
    """Neither on stdout nor on stderr."""
    for quiet in (False, True):
        with EvaluationProgress(quiet=quiet) as progress:
            progress.update("vsknn", 1, 10)
            progress.update("[red]", 10, 10)
    assert capsys.readouterr() == ("", "")


def test_the_rows_hold_plain_values(reports):
    """JSON takes them, and the figures are between their limits."""
    for row in json.loads(json.dumps([report.row() for report in reports])):
        for k in (5, 10, 20):
            for name in ("hr", "mrr", "ndcg", "precision", "recall", "ndcg_remaining"):
                low, value, high = (row[f"{name}_{k}{end}"] for end in ("_low", "", "_high"))
                assert 0 <= low <= value <= high <= 1
            assert 0 < row[f"coverage_{k}"] <= 1
        assert row["hr_5"] <= row["hr_10"] <= row["hr_20"]
        assert row["exclude"] == row["settings"]["exclude"] == "none"
        assert row["us_alone_p50"] <= row["us_alone_p99"]


SMALL = (
    all_sets.DataSet("pair", "train.tsv", "test.tsv", excludes=("none", "current")),
    all_sets.DataSet("one", "train.tsv", reading=ReadOptions(by_gap=True)),
)


@pytest.fixture
def document(tmp_path):
    """The repository's document, to be written anew."""
    path = tmp_path / "evaluation.md"
    path.write_text((ROOT / all_sets.DOCUMENT).read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_the_verb_writes_the_tables(files, document, tmp_path, monkeypatch, capsys):
    """A row a set, exclude and method, the settings of each method once, and all figures as JSON."""
    monkeypatch.setattr(all_sets, "DATA_SETS", SMALL)
    rows = tmp_path / "rows.json"
    options = ["--data", str(files[0].parent), "--output", str(document), "--json", str(rows)]
    options += ["--limit", "20"]
    assert all_sets.main([*options, "--methods", "vsknn,vstan"]) == 0
    text = document.read_text(encoding="utf-8")
    table = [line.split(" | ") for line in text.splitlines() if line.startswith(("| pair", "| one"))]
    assert [[line[0][2:], line[1], line[3]] for line in table] == [
        [name, exclude, method]
        for name, exclude in (("pair", "none"), ("pair", "current"), ("one", "none"))
        for method in ("vsknn", "vstan")
    ]
    assert text.count("| vstan | sessions_per_item 2500") == 1
    assert "numba" in text
    first = json.loads(rows.read_text())[0]
    assert first["hr_20"] == pytest.approx(float(table[0][4][:5]), abs=6e-4)
    assert len(capsys.readouterr().err.splitlines()) == 6
    again = document.read_text(encoding="utf-8")
    assert (
        again.partition("<!-- figures: begin")[0]
        == (ROOT / all_sets.DOCUMENT).read_text(encoding="utf-8").partition("<!-- figures: begin")[0]
    )


def test_a_method_that_fails_is_a_row_with_its_reason(files, monkeypatch):
    """The others are run all the same."""
    (chosen, _) = SMALL
    split = all_sets.ready(files[0].parent, chosen, limit=5)
    rows = list(all_sets.rows_of(chosen, split, ["nothing", "vsknn"]))
    assert "unknown method" in rows[0]["problem"]
    assert rows[1]["queries"] > 0
    assert [len(all_sets.cells(row)) for row in rows] == [len(all_sets.HEADER)] * 4
    assert len(all_sets.settings_cells(rows)) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "nowhere"], "no folder nowhere"),
        (["--data", ".", "--sets", "mine"], "unknown data set 'mine'"),
        (["--data", ".", "--methods", "mine"], "unknown method 'mine'"),
        (["--data", ".", "--params", "mine=a.toml"], "unknown data set 'mine'"),
    ],
)
def test_the_verb_says_what_is_missing(options, words, capsys):
    """One sentence and exit code 2."""
    assert all_sets.main(options) == 2
    assert words in capsys.readouterr().err


def test_a_document_without_its_comments_is_refused():
    """The error names them."""
    with pytest.raises(NextclickError, match="figures"):
        all_sets.written("# nothing\n", [], "")

"""The tables of docs/ are those that the code makes."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from core.errors import NextclickError
from stream_app.chart import OWN_OF_THE_CHART, SCHEMA, with_settings
from stream_app.docs import (
    DOCUMENTS,
    ROOT,
    Document,
    fill,
    made,
    main,
    markdown_table,
    metrics_rows,
    settings_rows,
)
from stream_app.settings import ENV_PREFIX, Settings


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.path)
def test_a_document_is_as_the_code_makes_it(document):
    """The document in the repository has the table of today's code; `make docs` makes it so."""
    assert (ROOT / document.path).read_text(encoding="utf-8") == made(document), "run `make docs`"


def test_the_charts_schema_has_the_settings_of_today():
    """What the chart's values may set is what there is to set, less what the chart sets itself."""
    text = (ROOT / SCHEMA).read_text(encoding="utf-8")
    assert text == with_settings(text), "run `make docs`"
    given = set(json.loads(text)["properties"]["settings"]["properties"])
    assert given | OWN_OF_THE_CHART == set(Settings.model_fields)
    assert not given & OWN_OF_THE_CHART


def test_every_setting_has_a_row_with_a_meaning():
    """The table has each setting once, by variable and by key, and says what it means."""
    rows = settings_rows()
    assert [row[1] for row in rows] == [f"`{key}`" for key in Settings.model_fields]
    assert [row[0] for row in rows] == [f"`{ENV_PREFIX}{key.upper()}`" for key in Settings.model_fields]
    assert all(all((variable, key, values, meaning)) for variable, key, _, values, meaning in rows)


def test_a_row_says_the_default_and_the_values_as_they_are_written():
    """Whole numbers, numbers, choices, switches, paths, names and secrets each read as one types them."""
    rows = {row[1].strip("`"): row[2:4] for row in settings_rows()}
    assert rows["session_timeout_s"] == ("`10`", "a number from 6 to 300")
    assert rows["gap_s"] == ("`1200`", "a number above 0")
    assert rows["max_clicks"] == ("`200`", "a whole number from 2 to 1,000")
    assert rows["idle_s"] == ("", "a number above 0")
    assert rows["close_idle"] == ("`true`", "`true`, `false`")
    assert rows["exclude"] == ("`current`", "`none`, `current`, `session`")
    assert rows["data_dir"] == ("`nextclick-data`", "a path")
    assert rows["clicks_topic"] == ("`clicks`", "text of 1 to 249 characters")
    assert rows["sasl_password"] == ("", "text")


def test_every_metric_has_a_row_by_the_conventions_of_prometheus():
    """Names have the prefix and differ, counters alone end in _total, and each says what it means."""
    rows = metrics_rows()
    names = [name.strip("`") for name, *_ in rows]
    assert len(set(names)) == len(names) > 0
    assert [name for name in names if not re.fullmatch(r"nextclick_[a-z][a-z_]*[a-z]", name)] == []
    assert all(name.endswith("_total`") == (kind == "counter") for name, kind, _, _ in rows)
    assert all(meaning for _, _, _, meaning in rows)


def test_the_queries_of_the_document_are_about_metrics_that_exist():
    """Every metric that docs/metrics.md names outside its table is in its table."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").partition("<!-- metrics: begin")[0]
    named = {name.removesuffix("_bucket") for name in re.findall(r"nextclick_[a-z_]+", text)}
    assert named
    assert named <= {name.strip("`") for name, *_ in metrics_rows()}


def test_what_the_document_on_security_sets_are_settings():
    """Every key of its TOML is a setting, and every variable that it names; its sentences are the code's."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    (toml,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert tomllib.loads(toml).keys() <= Settings.model_fields.keys()
    assert {name.lower() for name in re.findall(r"NEXTCLICK_(\w+)", text)} <= Settings.model_fields.keys()
    named = set(re.findall(r"`((?:sasl|ssl|http|log|metrics|data|cache)_\w+)`", text))
    assert named
    assert named <= Settings.model_fields.keys()
    _, _, table = text.partition("| the sentence begins |\n|---|---|\n")
    rows = table.partition("\n\n")[0].splitlines()
    code = (ROOT / "stream_app" / "kafka" / "diagnosis.py").read_text(encoding="utf-8")
    for row in rows:
        for sentence in re.findall(r"`([^`]+)`", row.split("|")[2]):
            parts = re.split(r"Kafka at …|…|'shop'|SCRAM-SHA-512|127\.0\.0\.1|PLAINTEXT|SSL", sentence)
            assert all(part.strip() in code for part in parts), sentence


def test_a_table_has_a_line_a_row_and_a_bar_in_a_cell_is_escaped():
    """Markdown's own bar in a cell does not end the cell."""
    assert markdown_table(("a", "b"), [("1|2", "3")]) == "| a | b |\n|---|---|\n| 1\\|2 | 3 |\n"


def test_a_row_of_another_width_is_refused():
    """A row with a cell too few is an error that shows the header and the row."""
    with pytest.raises(NextclickError, match=r"expected 2 cells \(a, b\), came \('1',\)"):
        markdown_table(("a", "b"), [("1",)])


def test_only_what_stands_between_the_comments_changes_and_a_second_time_changes_nothing():
    """Text before and after is kept, the old table goes, and filling again gives the same."""
    text = "before\n<!-- t: begin, by hand -->\nold\n<!-- t: end -->\nafter\n"
    filled = fill(text, "t", "| new |\n")
    assert filled == "before\n<!-- t: begin, by hand -->\n\n| new |\n\n<!-- t: end -->\nafter\n"
    assert fill(filled, "t", "| new |\n") == filled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!-- t: begin -->\n",
        "<!-- t: end -->\n",
        "<!-- t: end -->\n<!-- t: begin -->\n",
        "<!-- t: begin -->\n<!-- t: end -->\n<!-- t: begin -->\n<!-- t: end -->\n",
        "<!-- other: begin -->\n<!-- other: end -->\n",
    ],
)
def test_a_document_without_its_two_comments_is_refused(text):
    """Missing, swapped or repeated comments are an error that says which are expected."""
    with pytest.raises(NextclickError, match=r"t: begin.*t: end"):
        fill(text, "t", "")


def test_the_verb_writes_the_tables_and_keeps_the_rest(tmp_path):
    """main() on a folder with empty tables makes the documents of the repository."""
    for document in DOCUMENTS:
        path = tmp_path / document.path
        path.parent.mkdir(parents=True, exist_ok=True)
        emptied = fill((ROOT / document.path).read_text(encoding="utf-8"), document.name, "")
        path.write_text(emptied, encoding="utf-8")
    schema = json.loads((ROOT / SCHEMA).read_text(encoding="utf-8"))
    schema["properties"]["settings"]["properties"] = {}
    (tmp_path / SCHEMA).parent.mkdir(parents=True)
    (tmp_path / SCHEMA).write_text(json.dumps(schema), encoding="utf-8")
    main(tmp_path)
    for path in (SCHEMA, *(document.path for document in DOCUMENTS)):
        expected = (ROOT / path).read_text(encoding="utf-8")
        assert (tmp_path / path).read_text(encoding="utf-8") == expected


def test_a_document_takes_any_rows(tmp_path):
    """Another table needs a path, a name, a header and a function that gives rows."""
    (tmp_path / "d.md").write_text("<!-- n: begin -->\n<!-- n: end -->\n", encoding="utf-8")
    document = Document("d.md", "n", ("name", "meaning"), lambda: [("x_total", "how many")])
    assert "| x_total | how many |\n" in made(document, tmp_path)

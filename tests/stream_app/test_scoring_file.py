"""The ``[scoring]`` table: what it may say, what it comes to, what it is called, and how it is written."""

from __future__ import annotations

import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.errors import SettingsError
from core.params import EXCLUDES, POSITION_WEIGHTS, ScoringParameters
from core.presets import PRESETS
from stream_app.scoring_file import (
    DEFAULT_PRESET,
    digest,
    named,
    read_scoring,
    scoring_parameters,
    scoring_table,
    scoring_toml,
    write_atomically,
)

parameters = st.builds(
    ScoringParameters,
    name=st.just("made up"),
    recommendations=st.integers(1, 1000),
    exclude=st.sampled_from(EXCLUDES),
    neighbours=st.integers(1, 10**6),
    sessions_per_item=st.integers(1, 10**7),
    position_weight=st.sampled_from(POSITION_WEIGHTS),
    position_decay=st.floats(1e-6, 1e9),
    repeats=st.booleans(),
    recency_s=st.floats(0, 1e12),
    before_weight=st.floats(0, 10),
)


def as_table(text: str) -> dict:
    """The ``[scoring]`` table of a text."""
    return tomllib.loads(text)["scoring"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_alone_is_that_preset_under_its_own_name(name):
    """A table that only names a preset comes to the preset, name included."""
    assert scoring_parameters({"preset": name}) == PRESETS[name]


def test_an_empty_table_is_the_default_preset():
    """Without anything said, the parameters are those of the default preset."""
    assert scoring_parameters({}) == PRESETS[DEFAULT_PRESET]


def test_a_table_changes_single_parameters_of_its_preset():
    """What the table names differs from the preset, everything else is the preset's."""
    found = scoring_parameters({"preset": "vsknn", "neighbours": 7, "idf_score": 2})
    assert found == msgspec.structs.replace(
        PRESETS["vsknn"], neighbours=7, idf_score=2.0, name=f"vsknn+{digest(found)}"
    )


def test_a_key_at_the_top_wins_over_the_table_and_none_there_was_not_given():
    """Preset and parameters beside the table overrule it; None leaves the table's."""
    table = {"preset": "vsknn", "neighbours": 7, "last_clicks": 3}
    found = scoring_parameters(table, {"preset": "vstan", "neighbours": 9, "last_clicks": None})
    assert (found.neighbours, found.last_clicks) == (9, 3)
    assert found.repeats == PRESETS["vstan"].repeats


def test_a_change_shows_in_the_name_and_no_change_does_not():
    """A value that equals the preset's leaves the preset's name; another one adds a digest to it."""
    own = PRESETS[DEFAULT_PRESET].neighbours
    assert scoring_parameters({"neighbours": own}).name == DEFAULT_PRESET
    changed = scoring_parameters({"neighbours": own + 1}).name
    assert changed.startswith(f"{DEFAULT_PRESET}+")
    assert changed != scoring_parameters({"neighbours": own + 2}).name


def test_a_name_of_ones_own_keeps_the_digest():
    """A table with a name is called by it, and still tells one set of values from another."""
    one, other = (scoring_parameters({"name": "shop", "neighbours": n}) for n in (10, 11))
    assert one.name.startswith("shop+")
    assert other.name.startswith("shop+")
    assert one.name != other.name


def test_the_name_of_a_preset_is_not_given_to_other_values():
    """Calling changed values by a preset's name does not hide the change."""
    assert scoring_parameters({"name": "vsknn", "preset": "vstan"}).name.startswith("vsknn+")
    assert named(PRESETS["vsknn"], "vsknn").name == "vsknn"


def test_the_digest_of_given_values_is_the_same_in_every_version():
    """A digest in an old answer can be compared with one of today: it is a fixed function of the values."""
    assert digest(ScoringParameters(name="a", neighbours=123, idf_score=0.5)) == "c9fee0"


@given(parameters, parameters)
@hypothesis_settings(max_examples=50)
def test_equal_values_have_equal_digests_and_the_name_is_no_value(one, other):
    """The digest is a function of all parameters but the name."""
    assert digest(one) == digest(msgspec.structs.replace(one, name="another"))
    if one != other:
        assert digest(one) != digest(other)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"neighbors": 5}, r"no parameter 'neighbors'; did you mean neighbours\?"),
        ({"presett": "vstan"}, r"no parameter 'presett'; did you mean preset\?"),
        ({"zzzz": 5}, r"no parameter 'zzzz'$"),
        ({"preset": "vstann"}, r"preset is 'vstann', expected one of .*vsknn.*; did you mean vstan\?"),
        ({"preset": 3}, r"preset is 3, expected one of"),
        ({"neighbours": 0}, r"neighbours is 0, expected 1 to 1000000"),
        ({"recency_s": float("nan")}, r"recency_s is nan, expected"),
        ({"neighbours": "many"}, r"neighbours is 'many', expected a whole number"),
        ({"neighbours": 2.5}, r"neighbours is 2\.5, expected a whole number"),
        ({"idf_score": True}, r"idf_score is True, expected a number"),
        ({"repeats": 1}, r"repeats is 1, expected true or false"),
        ({"exclude": "all"}, r"exclude is 'all', expected one of none, current, session"),
        ({"position_weight": ["log"]}, r"position_weight is \['log'\], expected one of same, linear"),
        ({"name": ""}, r"name is '', expected text of 1 to 60"),
        ({"name": "x" * 61}, r"expected text of 1 to 60"),
    ],
)
def test_what_is_wrong_is_said_with_what_was_expected(table, said):
    """An unknown key, an unknown preset, a wrong kind and a value out of range are errors that help."""
    with pytest.raises(SettingsError, match=said):
        scoring_parameters(table)


def test_a_wrong_value_is_refused_where_the_top_overrules_it_too():
    """A table that is wrong is wrong, whether or not its value would have been used."""
    with pytest.raises(SettingsError, match="neighbours is 0"):
        scoring_parameters({"neighbours": 0}, {"neighbours": 100})


@given(parameters, st.text(st.characters(codec="utf-8"), max_size=20))
@hypothesis_settings(max_examples=100)
def test_what_is_written_is_read_back(values, comment):
    """Every value survives the file, whatever the comments say; the name is the one given, with a digest."""
    table = as_table(scoring_toml(values, "vsknn", "shop", [comment, "and more"]))
    found = scoring_parameters(table)
    assert found == msgspec.structs.replace(values, name=f"shop+{digest(values)}")


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
@hypothesis_settings(max_examples=100)
def test_any_name_can_be_written(name):
    """Quotes, backslashes, control characters and other alphabets in a name survive the file."""
    assert as_table(scoring_toml(ScoringParameters(), "vstan", name))["name"] == name


def test_a_file_has_every_parameter(tmp_path):
    """What is written names all parameters, so that the presets of a later version do not change it."""
    table = as_table(scoring_toml(PRESETS["baskets"], "vstan", "tuned"))
    assert set(table) == {"preset", *ScoringParameters.__struct_fields__}


def test_a_file_is_read_with_its_table_and_the_keys_at_its_top(tmp_path):
    """The worker's own file serves: its other settings are not looked at, its flat keys win."""
    file = tmp_path / "nextclick.toml"
    file.write_text('gap_s = 5\nneighbours = 9\n[scoring]\npreset = "vsknn"\nneighbours = 7\n')
    assert read_scoring(file).neighbours == 9
    assert scoring_table(file) == {"preset": "vsknn", "neighbours": 9}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("gap_s = 5\n", r"nextclick\.toml has no \[scoring\] table; `nextclick tune` writes one"),
        ("scoring = 5\n", r"scoring in .*nextclick\.toml is 5, expected a table"),
        ("[scoring\n", r"nextclick\.toml is not TOML"),
        ("[scoring]\nneighbors = 1\n", r"\[scoring\] in .*nextclick\.toml: has no parameter 'neighbors'"),
    ],
)
def test_a_file_that_is_no_help_is_refused_with_its_path(content, said, tmp_path):
    """A file without parameters, without sense or with a mistake is an error that names the file."""
    file = tmp_path / "nextclick.toml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=said):
        read_scoring(file)


def test_a_missing_file_is_refused_with_its_path(tmp_path):
    """A file that is not there is an error with its path and the reason."""
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read: No such file"):
        read_scoring(tmp_path / "none.toml")


def test_a_write_replaces_a_file_and_leaves_nothing_beside_it(tmp_path):
    """The new content is there, readable by all, and no temporary file is."""
    file = tmp_path / "tuned.toml"
    for text in ("old", "new"):
        write_atomically(file, text)
        assert file.read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.toml"]
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_says_so_and_leaves_what_was_there(tmp_path):
    """A folder that is missing, or a folder in place of the file, is an error with the path."""
    with pytest.raises(SettingsError, match=r"tuned\.toml cannot be written: No such file"):
        write_atomically(tmp_path / "none" / "tuned.toml", "x")
    (tmp_path / "tuned.toml").mkdir()
    with pytest.raises(SettingsError, match=r"tuned\.toml cannot be written"):
        write_atomically(tmp_path / "tuned.toml", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.toml"]

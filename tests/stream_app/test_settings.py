"""Settings: where they come from, what is refused and how, and that a secret is never shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.errors import SettingsError
from core.params import EXCLUDES
from core.presets import PRESETS
from stream_app.settings import ENV_PREFIX, OTHER_VARIABLES, Settings, load_settings

SECRET = "hunter2-of-the-shop"  # noqa: S105 - made up
SASL = {"security_protocol": "SASL_SSL", "sasl_username": "shop", "sasl_password": SECRET}

CHILD = """
import json
from stream_app.settings import load_settings
loaded = load_settings()
print(json.dumps([loaded.public(), loaded.sasl_password.get_secret_value()]))
"""

#: (setting, a value at or just inside the limit, one beyond it)
TOO_LITTLE = [
    ("stall_s", "10", "9.9"),
    ("session_timeout_s", "6", "5.9"),
    ("commit_interval_s", "0.001", "0"),
    ("snapshot_every_s", "0", "-1"),
    ("partitions", "1", "0"),
    ("replication_factor", "1", "0"),
    ("gap_s", "0.001", "0"),
    ("grace_s", "0", "-0.001"),
    ("future_s", "0", "-1"),
    ("max_clicks", "2", "1"),
    ("idle_s", "0.5", "0"),
    ("max_value_bytes", "256", "255"),
    ("recommendations", "1", "0"),
    ("neighbours", "1", "0"),
    ("sessions_per_item", "1", "0"),
    ("last_clicks", "1", "0"),
    ("index_sessions", "1", "0"),
    ("max_run_clicks", "1", "0"),
    ("scoring_threads", "1", "0"),
    ("rocksdb_cache_mb", "1", "0"),
    ("metrics_port", "0", "-1"),
]
TOO_MUCH = [
    ("stall_s", "3600", "3600.1"),
    ("session_timeout_s", "300", "300.1"),
    ("commit_interval_s", "60", "60.1"),
    ("partitions", "1000", "1001"),
    ("replication_factor", "16", "17"),
    ("max_clicks", "1000", "1001"),
    ("max_value_bytes", "16777216", "16777217"),
    ("recommendations", "100", "101"),
    ("index_sessions", "16000000", "16000001"),
    ("max_run_clicks", "100000", "100001"),
    ("scoring_threads", "64", "65"),
    ("rocksdb_cache_mb", "65536", "65537"),
    ("metrics_port", "65535", "65536"),
]


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    """No variable of the prefix is left from the shell that runs the tests."""
    for variable in list(os.environ):
        if variable.upper().startswith(ENV_PREFIX):
            monkeypatch.delenv(variable)


@pytest.fixture
def toml(tmp_path: Path):
    """Write a settings file and give its path."""

    def write(text: str) -> Path:
        path = tmp_path / "nextclick.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_setting_comes_from_the_option_then_the_variable_then_the_file_then_the_default(toml, monkeypatch):
    """An option wins over a variable, a variable over the file, the file over the default."""
    file = toml("gap_s = 10\ngrace_s = 10\nfuture_s = 10\n")
    monkeypatch.setenv("NEXTCLICK_GAP_S", "20")
    monkeypatch.setenv("NEXTCLICK_GRACE_S", "20")
    loaded = load_settings(file, gap_s=30)
    assert (loaded.gap_s, loaded.grace_s, loaded.future_s, loaded.max_clicks) == (30, 20, 10, 200)


def test_an_option_that_is_none_was_not_given():
    """None for an option leaves the default."""
    assert load_settings(gap_s=None).gap_s == Settings.model_fields["gap_s"].default


def test_the_file_may_be_named_by_a_variable(toml, monkeypatch):
    """NEXTCLICK_CONFIG names the settings file where no option does."""
    monkeypatch.setenv("NEXTCLICK_CONFIG", str(toml("partitions = 12\n")))
    assert load_settings().partitions == 12


def test_reading_a_file_leaves_the_environment_as_it_was(toml):
    """load_settings changes no variable, whether it succeeds or raises."""
    before = dict(os.environ)
    load_settings(toml("partitions = 12\n"))
    assert dict(os.environ) == before
    with pytest.raises(SettingsError):
        load_settings(toml("partitions = 0\n"))
    assert dict(os.environ) == before


def test_variables_are_read_in_any_case(monkeypatch):
    """The name of a variable may be written in small letters."""
    monkeypatch.setenv("nextclick_partitions", "7")
    assert load_settings().partitions == 7


def test_an_unknown_variable_is_refused_with_the_nearest_known_one(monkeypatch):
    """A misspelt variable is an error that names the right one."""
    monkeypatch.setenv("NEXTCLICK_PARTITION", "7")
    with pytest.raises(SettingsError, match=r"NEXTCLICK_PARTITION .*did you mean NEXTCLICK_PARTITIONS\?"):
        load_settings()


def test_an_unknown_key_of_the_file_is_refused_with_the_nearest_known_one_and_the_file(toml):
    """A misspelt key is an error that names the file and the right key."""
    file = toml("gap_seconds = 7\n")
    with pytest.raises(SettingsError, match=r"'gap_seconds' in .*nextclick\.toml; did you mean gap_s\?"):
        load_settings(file)


def test_a_name_that_is_near_to_none_is_refused_with_where_the_known_ones_are_shown(monkeypatch):
    """An unknown variable that resembles no setting points at --print-settings."""
    monkeypatch.setenv("NEXTCLICK_XYZZY", "1")
    with pytest.raises(SettingsError, match=r"NEXTCLICK_XYZZY .*--print-settings"):
        load_settings()


def test_another_section_than_that_of_scoring_is_refused(toml):
    """The file has one level and [scoring]: another section is an unknown key."""
    with pytest.raises(SettingsError, match="unknown setting 'worker'"):
        load_settings(toml("[worker]\ngap_s = 7\n"))


def test_the_two_variables_that_are_no_settings_are_let_through(toml, monkeypatch):
    """NEXTCLICK_CONFIG and NEXTCLICK_DATA are known without being settings."""
    monkeypatch.setenv("NEXTCLICK_DATA", "/nowhere")
    monkeypatch.setenv("NEXTCLICK_CONFIG", str(toml("")))
    assert load_settings() == Settings()
    assert {"NEXTCLICK_CONFIG", "NEXTCLICK_DATA"} == OTHER_VARIABLES


def test_a_settings_file_that_is_missing_is_an_error_with_its_path(tmp_path, monkeypatch):
    """Both an option and NEXTCLICK_CONFIG that name no file say which, and why."""
    missing = tmp_path / "missing.toml"
    with pytest.raises(SettingsError, match=r"missing\.toml cannot be read: No such file"):
        load_settings(missing)
    monkeypatch.setenv("NEXTCLICK_CONFIG", str(missing))
    with pytest.raises(SettingsError, match=r"missing\.toml cannot be read: No such file"):
        load_settings()


@pytest.mark.parametrize("content", [b"gap_s = \n", b"gap_s 7\n", b"# \xff\n"])
def test_a_settings_file_that_is_not_toml_is_an_error_with_its_path(content, tmp_path):
    """Text that is not TOML, or not UTF-8, says so and where."""
    file = tmp_path / "nextclick.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"nextclick\.toml is not TOML"):
        load_settings(file)


@pytest.mark.parametrize(("key", "limit", "beyond"), TOO_LITTLE + TOO_MUCH)
def test_a_value_at_its_limit_is_taken_and_one_beyond_is_refused_by_name(key, limit, beyond, monkeypatch):
    """Every range holds its ends, and an error names the setting and the value that came."""
    monkeypatch.setenv(f"NEXTCLICK_{key.upper()}", limit)
    assert getattr(load_settings(), key) == float(limit)
    monkeypatch.setenv(f"NEXTCLICK_{key.upper()}", beyond)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"settings: {key}: ")
    assert repr(beyond) in str(caught.value)


def test_every_setting_with_a_limit_is_in_the_table_above():
    """A range that is added to the settings is added to the tests of the limits."""
    lower, upper = set(), set()
    for key, schema in Settings.model_json_schema()["properties"].items():
        limits = {limit for part in (schema, *schema.get("anyOf", ())) for limit in part}
        if limits & {"minimum", "exclusiveMinimum"}:
            lower.add(key)
        if limits & {"maximum", "exclusiveMaximum"}:
            upper.add(key)
    assert lower == {key for key, _, _ in TOO_LITTLE}
    assert upper == {key for key, _, _ in TOO_MUCH}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gap_s", "twenty minutes"),
        ("gap_s", "nan"),
        ("gap_s", "inf"),
        ("partitions", "2.5"),
        ("close_idle", "perhaps"),
        ("preset", "gru4rec"),
        ("exclude", "all"),
        ("clicks_topic", ""),
        ("clicks_topic", "x" * 250),
        ("clicks_topic", "my clicks"),
        ("group_id", "a/b"),
        ("security_protocol", "TLS"),
        ("log_level", "loud"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(key, value, monkeypatch):
    """A value that is no number, no choice or no name is an error that names the setting."""
    monkeypatch.setenv(f"NEXTCLICK_{key.upper()}", value)
    with pytest.raises(SettingsError, match=f"settings: {key}: "):
        load_settings()


def test_all_that_is_wrong_is_said_at_once(toml):
    """Two bad values are two parts of one message."""
    with pytest.raises(SettingsError, match=r"partitions: .*; max_clicks: "):
        load_settings(toml("partitions = 0\nmax_clicks = 1\n"))


@pytest.mark.parametrize("missing", ["sasl_username", "sasl_password"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_sasl_needs_a_name_and_a_password(protocol, missing):
    """A SASL protocol without both is refused, and the message says what is needed."""
    options = {**SASL, "security_protocol": protocol}
    del options[missing]
    with pytest.raises(SettingsError, match="sasl_username and sasl_password are needed"):
        load_settings(**options)


def test_without_sasl_no_name_is_needed():
    """TLS alone asks for neither a name nor a password."""
    assert load_settings(security_protocol="SSL").sasl_username == ""


def test_a_secret_is_in_no_text_that_settings_make():
    """Neither public(), nor repr, nor str, nor JSON has the password."""
    loaded = load_settings(**SASL)
    assert loaded.sasl_password.get_secret_value() == SECRET
    for text in (repr(loaded), str(loaded), json.dumps(loaded.public()), loaded.model_dump_json()):
        assert SECRET not in text
    assert loaded.public()["sasl_username"] == "shop"


@pytest.mark.parametrize(
    "wrong",
    [
        f'sasl_password = ["{SECRET}"]',
        f'sasl_password = "{SECRET}"\nsecurity_protocol = "SASL_SSL"',
        f'sasl_password = "{SECRET}"\npartitions = 0',
        f'sasl_password = "{SECRET}"\nunknown = 1',
        f'sasl_pasword = "{SECRET}"',
        f'sasl_password = "{SECRET}',
        f"[sasl_password]\nvalue = '{SECRET}'",
    ],
)
def test_a_secret_is_in_no_error_message(wrong, toml):
    """Whatever else is wrong with a file, its password is neither in the error nor in its traceback."""
    with pytest.raises(SettingsError) as caught:
        load_settings(toml(wrong))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_settings_are_frozen():
    """A setting cannot be changed once it is read."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().gap_s = 7


def test_an_idle_partition_is_one_without_a_click_for_gap_and_grace_unless_told_otherwise():
    """idle_after_s is the sum of gap and grace where idle_s is not set."""
    assert load_settings(gap_s=10, grace_s=2).idle_after_s == 12
    assert load_settings(gap_s=10, grace_s=2, idle_s=5).idle_after_s == 5


def test_the_choices_are_those_of_the_core():
    """Presets and exclusions are named as in core/params.py, no more and no less."""
    properties = Settings.model_json_schema()["properties"]
    assert set(properties["preset"]["enum"]) == set(PRESETS)
    assert set(properties["exclude"]["enum"]) == set(EXCLUDES)


names = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
some_settings = st.fixed_dictionaries(
    {},
    optional={
        "gap_s": st.floats(min_value=1e-3, max_value=1e9),
        "grace_s": st.floats(min_value=0, max_value=1e9),
        "idle_s": st.none() | st.floats(min_value=1e-3, max_value=1e9),
        "close_idle": st.booleans(),
        "neighbours": st.none() | st.integers(min_value=1, max_value=10**6),
        "group_id": st.from_regex(r"\A[A-Za-z0-9._-]{1,249}\Z"),
        "data_dir": names.map(Path),
        "ssl_ca_file": st.none() | names.map(Path),
        "preset": st.sampled_from(sorted(PRESETS)),
        "exclude": st.sampled_from(EXCLUDES),
        "scoring": st.fixed_dictionaries(
            {},
            optional={
                "preset": st.sampled_from(sorted(PRESETS)),
                "exclude": st.sampled_from(EXCLUDES),
                "neighbours": st.integers(min_value=1, max_value=10**6),
                "idf_score": st.floats(min_value=0.01, max_value=1000),
                "repeats": st.booleans(),
                "name": names.filter(lambda name: len(name) <= 60),
            },
        ),
        "security_protocol": st.just("SASL_SSL"),
        "metrics_port": st.integers(min_value=0, max_value=65535),
    },
)


@given(options=some_settings, username=names, password=names)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_environment_of_settings_makes_the_same_settings(options, username, password, monkeypatch):
    """Read from the variables that environment() gives, settings are equal to those that gave them."""
    settings = load_settings(**options, sasl_username=username, sasl_password=password)
    with monkeypatch.context() as patch:
        for variable, value in settings.environment().items():
            patch.setenv(variable, value)
        assert load_settings() == settings
        assert load_settings().scoring_parameters() == settings.scoring_parameters()


def test_a_child_process_runs_with_the_settings_of_its_parent():
    """Another process that is given environment() reads the same settings, secret included."""
    settings = load_settings(
        **SASL,
        gap_s=1800.25,
        close_idle=False,
        neighbours=300,
        data_dir=Path("a b"),
        scoring={"idf_score": 0.1},
    )
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            CHILD,
        ],
        env={**os.environ, **settings.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(child.stdout) == [settings.public(), SECRET]


def test_the_worker_prints_its_settings_without_the_secret(toml):
    """`nextclick worker --print-settings` is all settings as JSON, the password masked."""
    options = {**SASL, "gap_s": 1800}
    settings = load_settings(**options)
    file = toml("".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items()))
    command = [Path(sys.executable).with_name("nextclick"), "worker", "--print-settings", "--config", file]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert SECRET not in run.stdout + run.stderr
    assert json.loads(run.stdout) == settings.public()
    assert set(json.loads(run.stdout)) == set(Settings.model_fields)

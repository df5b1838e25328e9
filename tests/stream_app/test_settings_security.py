"""The settings of security: what is refused, what is never shown, what workers of a group share."""

from __future__ import annotations

import json
import traceback

import pytest

from core.errors import SettingsError
from stream_app.settings import SECRETS, Settings, load_settings
from stream_app.worker.fingerprint import OWN, changed, fingerprint

SECRET = "wonder-word"  # noqa: S105 -- made up


def test_all_that_is_secret_is_known():
    """The secrets are those of Kafka and of the pages; none of them makes workers answer otherwise."""
    assert {"sasl_password", "ssl_key_password", "http_token"} == SECRETS
    assert SECRETS <= OWN <= Settings.model_fields.keys()


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_is_shown_nowhere_and_handed_on(name):
    """It is in no text of the settings, and in the variables of a process that runs with them."""
    loaded = load_settings(**{name: SECRET})
    texts = (repr(loaded), str(loaded), json.dumps(loaded.public()), json.dumps(changed(loaded)))
    assert [text for text in texts if SECRET in text] == []
    assert name in changed(loaded)
    assert loaded.environment()[f"NEXTCLICK_{name.upper()}"] == SECRET
    assert Settings(**loaded.with_secrets()) == loaded


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_is_in_no_error(name, monkeypatch):
    """Whatever is wrong with it or beside it, the error does not repeat it."""
    for wrong in ({name: [SECRET]}, {name: {"value": SECRET}}, {name: SECRET, "partitions": 0}):
        with pytest.raises(SettingsError) as caught:
            load_settings(**wrong)
        assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "token", [f"{SECRET} ", f"two {SECRET}", f"{SECRET}\n", f"é{SECRET}", f"\x7f{SECRET}"]
)
def test_a_token_is_what_a_header_can_have(token):
    """Blanks and what is no ASCII are refused, without showing it."""
    with pytest.raises(SettingsError, match="http_token goes into a header") as caught:
        load_settings(http_token=token)
    assert SECRET not in str(caught.value)
    assert load_settings(http_token=f"{SECRET}~!=/").http_token.get_secret_value() == f"{SECRET}~!=/"


def test_a_key_needs_its_certificate():
    """A key alone is refused; a certificate alone may have its key in the same file."""
    with pytest.raises(SettingsError, match="ssl_key_file is the key of ssl_cert_file, which is not set"):
        load_settings(ssl_key_file="key.pem")
    assert load_settings(ssl_cert_file="both.pem").ssl_key_file is None


def test_the_fingerprint_is_of_what_a_group_shares():
    """Places, connections and logs may differ between workers of a group; what changes answers may not."""
    same = fingerprint(load_settings())
    assert same == fingerprint(
        load_settings(
            data_dir="elsewhere",
            metrics_port=1,
            http_token=SECRET,
            log_format="json",
            bootstrap_servers="a:1",
        )
    )
    for other in (
        {"gap_s": 7.0},
        {"preset": "vsknn"},
        {"clicks_topic": "x"},
        {"scoring": {"idf_score": 2.0}},
    ):
        assert fingerprint(load_settings(**other)) != same


def test_changed_settings_are_those_that_are_not_at_their_default():
    """None at first; then the ones that were given, as plain values."""
    assert changed(load_settings()) == {}
    assert changed(load_settings(gap_s=7, data_dir="x")) == {"gap_s": 7.0, "data_dir": "x"}

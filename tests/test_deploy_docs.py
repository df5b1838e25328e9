"""docs/deploy.md names only what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from stream_app.settings import ENV_PREFIX, Settings
from tests.chart import CHART, read, render
from tests.composed import services
from tests.dockerfile import ROOT, last, variables

TEXT = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"`([^`\n]+)`", TEXT)


PATHS = {word for word in QUOTED if re.fullmatch(r"(deploy|tests|requirements)/[\w./-]+", word)}


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_path_that_it_names_is_there(path):
    """Files and folders of the repository."""
    assert (ROOT / path).exists()


def test_what_it_links_to_is_there():
    """The other documents and the chart's page."""
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / link).exists()


def test_settings_verbs_and_values_that_it_names_exist():
    """Variables are settings, verbs are the Makefile's, dotted words are values of the chart."""
    names = {word.split("=")[0] for word in QUOTED if word.startswith(ENV_PREFIX)}
    assert names
    assert {name.split()[0].removeprefix(ENV_PREFIX).lower() for name in names} <= set(Settings.model_fields)
    assert {"session_timeout_s", "stall_s"} <= set(Settings.model_fields)
    verbs = re.findall(r"\bmake ([a-z-]+)", " ".join(QUOTED))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert verbs
    assert [verb for verb in verbs if f"\n{verb}:" not in makefile] == []
    values = read(CHART / "values.yaml")
    words = [word for word in QUOTED if re.fullmatch(r"[A-Za-z]+(\.[A-Za-z_]+)+", word)]
    dotted = [word for word in words if word.split(".")[0] in values]
    assert len(dotted) > 8
    for word in dotted:
        found = values
        for part in word.split("."):
            found = found[part]


def test_the_addresses_are_those_of_the_compose_file():
    """Every port in the table is published, and every one that is published is in it."""
    table = TEXT[TEXT.index("| address |") : TEXT.index("Nothing listens beyond")]
    published = {port["published"] for service in services().values() for port in service.get("ports", [])}
    assert set(re.findall(r"\b(\d{4})\b", table)) == published


def test_what_it_says_of_the_image_is_so():
    """The user, the volume, the port and the folders."""
    user, group = last("worker", "USER").rest.split(":")
    assert f"{user}, group {group}" in TEXT
    assert f"`{last('worker', 'VOLUME').command[0]}`" in TEXT
    assert f"127.0.0.1:{last('worker', 'EXPOSE').rest}" in TEXT
    for name, folder in (("NEXTCLICK_DATA_DIR", "data"), ("NEXTCLICK_CACHE_DIR", "cache")):
        assert Path(variables("worker")[name]).name == folder
        assert f"`{folder}/`" in TEXT


def test_the_values_shown_are_taken_by_the_chart():
    """The example of values renders, and the time that it names is the chart's."""
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert render(yaml.safe_load(example))
    seconds = read(CHART / "values.yaml")["settings"]["session_timeout_s"]
    assert f"`session_timeout_s`, {seconds} seconds in the chart" in TEXT

"""deploy/Dockerfile, read: what tests/integration/test_image.py cannot run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stream_app.settings import ENV_PREFIX, Settings
from tests.dockerfile import DOCKERFILE, ROOT, last, stages, variables, whole

#: The stages that are run, by the image's name in docker-compose.yml and the chart.
RUN = ("worker", "demo")


def test_a_linter_of_dockerfiles_finds_nothing():
    """Hadolint, with all of its rules but those that a comment switches off."""
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [program, "--no-color", DOCKERFILE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_every_stage_starts_from_one_slim_python_of_one_version():
    """All outside bases are the same image by its full version."""
    bases = {stage.base for stage in stages().values()} - set(stages())
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases.pop())


def test_the_worker_is_what_is_built_when_no_stage_is_named():
    """The last stage is the worker's."""
    assert list(stages())[-1] == "worker"


@pytest.mark.parametrize("name", RUN)
def test_nobody_special_runs_it_and_without_a_shell(name):
    """The user is a number, not root's; SIGTERM reaches nextclick, as entry point and command are lists."""
    user, group = map(int, last(name, "USER").rest.split(":"))
    assert min(user, group) > 0
    assert last(name, "ENTRYPOINT").command == ["nextclick"]
    assert last(name, "CMD").command


def test_the_user_is_made_with_the_number_that_runs():
    """The volume's folder is that user's home, so that a new volume belongs to it."""
    (useradd,) = (step.command for step in stages()["base"].all("RUN"))
    assert useradd[useradd.index("--uid") + 1] == last("worker", "USER").rest.split(":")[0]
    home = useradd[useradd.index("--home-dir") + 1]
    assert last("worker", "VOLUME").command == [home]
    for variable in ("NEXTCLICK_DATA_DIR", "NEXTCLICK_CACHE_DIR"):
        assert Path(variables("worker")[variable]).is_relative_to(home)


def test_what_the_image_sets_are_settings():
    """Each variable of ours is a setting with a value that it takes."""
    given = {name: value for name, value in variables("worker").items() if name.startswith(ENV_PREFIX)}
    fields = {name.removeprefix(ENV_PREFIX).lower(): value for name, value in given.items()}
    assert given
    assert set(fields) <= set(Settings.model_fields)
    assert Settings(**fields)


def test_kernels_are_looked_for_where_the_build_put_them():
    """The folder and the processor are the same at the build and at run time."""
    (compiling,) = (step.command for step in stages()["build"].all("RUN") if step.command[-1] == "compile")
    built = dict(word.split("=", 1) for word in compiling if word.startswith(ENV_PREFIX))
    run = variables("worker")
    assert built["NEXTCLICK_CACHE_DIR"] == run["NEXTCLICK_PREPARED_DIR"]
    assert built["NEXTCLICK_KERNELS_CPU"] == run["NEXTCLICK_KERNELS_CPU"]


def test_what_is_copied_is_there_and_reaches_the_builder():
    """Every source of a COPY exists and is let through by .dockerignore, or another stage has it."""
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    steps = [step for stage in stages().values() for step in stage.all("COPY")]
    copied = [source for step in steps if "--from" not in step.rest for source in step.rest.split()[:-1]]
    assert {"requirements/worker.lock", "requirements/demo.lock"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists()
        assert f"!{source}" in allowed
    for step in steps:
        if "--from" in step.rest:
            stage = re.findall(r"--from=(\w+)", step.rest)[0]
            made = " ".join(one.rest for one in whole(stage) if one.word == "RUN")
            assert f'"{step.rest.split()[1]}"' in made


def test_every_install_is_of_a_lock_with_hashes_or_of_the_source_alone():
    """Nothing is installed that is not named with its hash, and the build's own dependency is locked."""
    installs = [
        step.command for stage in stages().values() for step in stage.all("RUN") if "install" in step.command
    ]
    source_alone = ["--no-deps", "--no-build-isolation", "."]
    assert [one for one in installs if "--require-hashes" not in one and one[2:] != source_alone] == []
    lock = (ROOT / "requirements/worker.lock").read_text(encoding="utf-8")
    assert re.search(r"^hatchling==", lock, re.MULTILINE)


def test_the_labels_say_what_it_is():
    """Version and licence are the package's."""
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', last("worker", "LABEL").rest))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert labels["title"] == project["name"]
    assert labels["version"] == project["version"]
    assert labels["licenses"] == project["license"]
    assert {"description", "revision"} <= set(labels)


def test_what_is_exposed_is_where_the_worker_listens():
    """The one port is the default of the setting."""
    assert last("worker", "EXPOSE").rest == str(Settings.model_fields["metrics_port"].default)
    assert [step for step in whole("demo") if step.word in {"EXPOSE", "HEALTHCHECK"}] == []


def test_the_replayer_replays_what_the_build_wrote():
    """The command of the demo's stage reads the file that another stage has made."""
    (writing,) = (step.command for step in stages()["purchases"].all("RUN") if "--write" in step.command)
    assert last("demo", "CMD").command == ["replay", writing[-1]]

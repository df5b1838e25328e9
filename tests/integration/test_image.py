"""The image without a container engine: the Dockerfile's steps in a clean folder, and a worker from there.

What is left out is what only an engine does: the base image, the user's making, layers. The worker runs as
another user where the tests run as root, so that what it may not write it cannot write.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement

from core.window.clicks import Click
from stream_app.kafka import topics
from tests.dockerfile import ROOT, Step, last, stages, variables
from tests.worker_process import WorkerProcess, send_clicks, wait_done

#: The folders of the image, which here are in a folder of their own.
PLACES = ("/opt/nextclick", "/opt/purchases.csv.gz", "/source", "/var/lib/nextclick")
UID = 10001


class Image(NamedTuple):
    """The image's root."""

    root: Path

    def here(self, text: str) -> str:
        """A path of the image, wherever it is in a text, as the path that it has here."""
        for place in PLACES:
            text = re.sub(rf"(?<![\w/.]){place}", f"{self.root}{place}", text)
        return text

    def run(self, step: Step, folder: Path) -> str:
        """Run a step's command in a folder; it must end well."""
        program, *arguments = (self.here(word) for word in step.command)
        program = {"python": getattr(sys, "_base_executable", sys.executable)}.get(program, program)
        done = subprocess.run(
            [program, *arguments],
            cwd=folder,
            env=plain_environment(),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def files(self) -> dict[str, tuple[int, int, int]]:
        """All files of the installation: another number for one that was written anew."""
        found = {}
        for path in (self.root / "opt").rglob("*"):
            if path.is_file() and not path.is_symlink():
                stat = path.stat()
                found[str(path)] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return found


def plain_environment() -> dict[str, str]:
    """This process's environment without what it has of nextclick and of Python."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NEXTCLICK_", "PYTHON", "VIRTUAL_ENV"))
    }


@pytest.fixture(scope="module")
def image() -> Image:
    """What the stages `build` and `base` make, in a folder that everybody may look into."""
    root = Path(tempfile.mkdtemp(prefix="nextclick-image-"))
    try:
        root.chmod(0o755)
        made = Image(root)
        folder = root / "source"
        for place in ("opt", "source", "var/lib/nextclick"):
            (root / place).mkdir(parents=True)
        for step in stages()["build"].steps:
            if step.word == "COPY":
                *sources, target = step.rest.split()
                for source in sources:
                    copy(ROOT / source, folder / target / source if target == "./" else folder / target)
            elif step.word == "RUN":
                made.run(step, folder)
        shutil.rmtree(folder)  # the last stage does not have it
        # A layer keeps no parts of seconds.
        for path in (root / "opt").rglob("*"):
            os.utime(path, (int(path.stat().st_mtime),) * 2, follow_symlinks=False)
        yield made
    finally:
        shutil.rmtree(root)


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder as the builder would see it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def as_nobody_special(*command: str) -> list[str]:
    """A command, run by the image's user where that is possible, without what Python has from here."""
    if os.geteuid() == 0:
        command = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *command)
    return ["env", "--unset=PYTHONPATH", *command]


def compiled(folder: Path) -> dict[str, int]:
    """The compiled kernels in a cache, with their sizes; by name, as the folder of a version has one."""
    return {path.name: path.stat().st_size for path in folder.rglob("*.nb?")}


def test_every_kernel_is_prepared(image):
    """All that is marked as a kernel is in the image, so that none is left to compile when a click comes."""
    names = {re.sub(r"-\d+\..*", "", name) for name in compiled(image.root / "opt") if name.endswith(".nbc")}
    marked = {
        f"{path.stem}.{function}"
        for path in (ROOT / "core").rglob("*.py")
        for function in re.findall(r"^@kernel\ndef (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert names == marked
    assert "scoring.score_run" in names


def test_a_worker_of_the_image_answers_compiles_nothing_and_writes_to_its_volume_only(image, settings):
    """It starts by the image's command and variables, is healthy, answers, and ends by SIGTERM with 0."""
    asyncio.run(topics.create(settings))
    given = {name: image.here(value) for name, value in variables("worker").items()}
    volume = image.root / "var/lib/nextclick"
    own = settings.model_copy(
        update={
            "data_dir": volume / "data",
            "cache_dir": Path(given["NEXTCLICK_CACHE_DIR"]),
            "prepared_dir": Path(given["NEXTCLICK_PREPARED_DIR"]),
            "kernels_cpu": given["NEXTCLICK_KERNELS_CPU"],
        }
    )
    program = given["PATH"].split(":")[0] + "/" + last("worker", "ENTRYPOINT").command[0]
    command = as_nobody_special(program, *last("worker", "CMD").command)
    before = image.files()
    with WorkerProcess(own, command=command) as worker:
        worker.data_dir.mkdir()
        if os.geteuid() == 0:
            for folder in (volume, worker.data_dir):
                os.chown(folder, UID, UID)
        worker.start().wait_ready()
        clicks = [Click("v", f"i{n}", 1_700_000_000_000 + 1000 * n, None, None) for n in range(5)]
        send_clicks(own, clicks)
        assert len(wait_done(own, [worker]).answers) == 5
        assert is_healthy(image, worker)
        assert worker.terminate()[0] == 0
        assert not is_healthy(image, worker)
    assert compiled(volume) == compiled(own.prepared_dir)
    assert image.files() == before


def test_the_bill_of_materials_has_every_locked_library_with_its_licence(image, tmp_path):
    """What `make sbom` does, of the image: valid by CycloneDX' schema, each version that of the lock."""
    made = tmp_path / "sbom.json"
    (line,) = (line for line in made_by("sbom") if "cyclonedx-py" in line)
    for place, here in (("build/worker", image.here("/opt/nextclick")), ("build/sbom.cdx.json", str(made))):
        line = line.replace(place, here)
    program, *arguments = line.split()
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    text = made.read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]
    locked = locked_here()
    found = {normal(one["name"]): one["version"] for one in components}
    assert len(locked) > 40
    assert locked.items() <= found.items()
    assert set(found) - set(locked) <= {"pip", "setuptools"}
    assert [one["name"] for one in components if not one.get("licenses")] == []


def locked_here() -> dict[str, str]:
    """The version of each library that the lock installs on this machine."""
    lock = (ROOT / "requirements/worker.lock").read_text(encoding="utf-8")
    lines = re.findall(r"^([\w.-]+==[^\\\n]+)", lock, re.MULTILINE)
    wanted = [one for one in map(Requirement, lines) if one.marker is None or one.marker.evaluate()]
    return {one.name: str(one.specifier).removeprefix("==") for one in wanted}


def normal(name: str) -> str:
    """A package's name as locks write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def made_by(verb: str) -> list[str]:
    """The commands of one of the Makefile's verbs, with this environment's programs; none is run."""
    venv = Path(sys.prefix)
    done = subprocess.run(
        ["make", "--dry-run", f"--old-file={venv}/.dev", f"VENV={venv}", verb],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


def is_healthy(image: Image, worker: WorkerProcess) -> bool:
    """What the image's health check says of a worker."""
    step = last("worker", "HEALTHCHECK")
    _, *arguments = Step("CMD", step.rest.partition("CMD ")[2]).command
    done = subprocess.run(
        [image.root / "opt/nextclick/bin/python", *arguments],
        env={**plain_environment(), "NEXTCLICK_METRICS_PORT": str(worker.settings.metrics_port)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode == 0

"""The wheel: what is in it, and that it runs where the repository is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, folder: Path) -> str:
    """Run a command in a folder, without what this process has of nextclick, and give what it prints."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NEXTCLICK_", "PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from this repository without the network."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, folder=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory) -> Path:
    """The bin folder of a fresh environment with the wheel in it, and the libraries of this one in reach."""
    folder = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", folder=folder)
    python = folder / "venv" / "bin" / "python"
    install = ("-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel)
    run(sys.executable, *install, folder=folder)
    # A path file in the fresh environment adds a folder, but the path files in that folder are not read:
    # the libraries are found there, the editable install of this repository is not.
    where = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip()
    (Path(where) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent


def test_the_wheel_holds_the_two_packages_with_their_data_and_nothing_else(wheel):
    """Every file of core and stream_app that git knows is in the wheel, and no other."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "core", "stream_app"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    expected = {path for path in listed.stdout.splitlines() if (ROOT / path).is_file()}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected
    assert "stream_app/kafka/kafka-pom.xml" in names


def test_the_wheel_has_the_license_and_the_readme(wheel):
    """Whoever installs it has the licence's text, and the index that serves it shows the readme."""
    with zipfile.ZipFile(wheel) as archive:
        (license_file,) = (name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        assert archive.read(license_file) == (ROOT / "LICENSE").read_bytes()
        assert (ROOT / "README.md").read_text(encoding="utf-8").strip() in archive.read(metadata).decode()


def test_the_command_runs_from_the_wheel(installed, wheel, tmp_path):
    """`nextclick --version` and `--help` work outside the repository, from the installed files."""
    version = wheel.name.split("-")[1]
    assert run(installed / "nextclick", "--version", folder=tmp_path) == f"nextclick {version}\n"
    assert "Usage: nextclick" in run(installed / "nextclick", "--help", folder=tmp_path)


def test_what_runs_is_the_wheel_and_not_the_repository(installed, tmp_path):
    """Both packages and the Kafka pom are found in the fresh environment."""
    code = (
        "import core, stream_app, json, importlib.resources as r; "
        "pom = r.files('stream_app.kafka') / 'kafka-pom.xml'; "
        "print(json.dumps([core.__file__, stream_app.__file__, str(pom), pom.is_file()]))"
    )
    *paths, found = json.loads(run(installed / "python", "-c", code, folder=tmp_path))
    assert found
    assert [Path(path).is_relative_to(installed.parent) for path in paths] == [True, True, True]

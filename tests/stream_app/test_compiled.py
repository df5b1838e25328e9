"""Compiled kernels are kept where they belong, not for ever, and are taken from where they were prepared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import SettingsError
from stream_app.compiled import VERSIONS_KEPT, use_cache

ROOT = Path(__file__).resolve().parents[2]
COMPILE = [sys.executable, "-c", "from stream_app.cli import main; main()", "compile"]


def compile_kernels(cache: Path, **settings: str) -> str:
    """Run ``nextclick compile`` into a cache; what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEXTCLICK_")}
    given = {f"NEXTCLICK_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        COMPILE,
        env={**kept, "NEXTCLICK_CACHE_DIR": str(cache), **given},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def written(cache: Path) -> dict[str, tuple[int, int]]:
    """The files of a cache, with which file it is and how long: one that is written anew is another."""
    found = (path for path in cache.rglob("*") if path.is_file())
    return {str(path.relative_to(cache)): (path.stat().st_ino, path.stat().st_size) for path in found}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A cache that was filled for every processor of this kind."""
    cache = tmp_path_factory.mktemp("prepared")
    compile_kernels(cache, kernels_cpu="generic")
    return cache


@pytest.fixture
def no_cache(monkeypatch):
    """What a test sets is undone: the cache of this process stays where it was."""
    for name in ("CACHE_DIR", "CPU_NAME", "CPU_FEATURES"):
        monkeypatch.setattr(f"numba.config.{name}", "")


def test_every_kernel_is_compiled_into_the_folder_that_is_given(prepared):
    """All that is marked as a kernel is there, so that none is left to compile when a click comes."""
    names = {re.sub(r"-\d+\..*", "", Path(name).name) for name in written(prepared) if name.endswith(".nbc")}
    marked = {
        f"{path.stem}.{function}"
        for path in (ROOT / "core").glob("*.py")
        for function in re.findall(r"^@kernel\ndef (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert names == marked
    assert "scoring_kernels.score_run" in names


def test_what_is_compiled_is_found_again(prepared):
    """A second run writes nothing."""
    before = written(prepared)
    compile_kernels(prepared, kernels_cpu="generic")
    assert written(prepared) == before


def test_prepared_kernels_that_are_read_only_are_taken_over(prepared, tmp_path):
    """They are copied and not compiled, also when an image's layer has changed the times of all files."""
    image = tmp_path / "image"
    shutil.copytree(prepared, image)
    for path in (*image.rglob("*"), image):
        os.utime(path, (1, 1))
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = written(image)
    try:
        compile_kernels(tmp_path / "own", prepared_dir=str(image), kernels_cpu="generic")
    finally:
        for path in (image, *image.rglob("*")):
            path.chmod(0o755)
    assert written(image) == before
    own = written(tmp_path / "own")
    assert {name: size for name, (_, size) in own.items()} == {
        name: size for name, (_, size) in before.items()
    }
    assert (tmp_path / "own").stat().st_mode & 0o200


def test_what_was_prepared_for_another_processor_is_said_and_compiled_here(prepared, tmp_path):
    """It goes into the worker's own cache; one kernel shows it."""
    script = (
        "import sys; from pathlib import Path; from stream_app.compiled import use_cache\n"
        "print(use_cache(Path(sys.argv[1]), prepared=Path(sys.argv[2])))\n"
        "import numpy as np; from core.compiled import keep; keep((np.empty(0),))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path, prepared],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "for another processor?" in done.stderr
    assert [Path(name).name for name in written(Path(done.stdout.strip())) if name.endswith(".nbc")]


def test_a_cache_that_cannot_be_written_says_which_setting_to_change(tmp_path, no_cache):
    """An error with a sentence, not a trace."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="set NEXTCLICK_CACHE_DIR"):
        use_cache(tmp_path / "file")


def test_only_the_newest_versions_of_compiled_kernels_are_kept(tmp_path, no_cache):
    """Older ones go, this one stays whatever its age says."""
    for age in range(6):
        old = tmp_path / "kernels" / f"old-{age}"
        old.mkdir(parents=True)
        os.utime(old, (age, age))
    mine = use_cache(tmp_path)
    left = {path.name for path in (tmp_path / "kernels").iterdir()}
    assert left == {mine.name, *(f"old-{age}" for age in range(6 - VERSIONS_KEPT + 1, 6))}

"""Compiled kernels are kept where they belong, not for ever, and are taken from where they were prepared.

One small kernel stands for all; tests/integration/test_image.py prepares all of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import SettingsError
from stream_app.compiled import VERSIONS_KEPT, use_cache

SCRIPT = """
import json, sys
from pathlib import Path
from stream_app.compiled import use_cache
cache, options = Path(sys.argv[1]), json.loads(sys.argv[2])
print(use_cache(cache, **{**options, "prepared": options.get("prepared") and Path(options["prepared"])}))
import numpy as np
from core.kernels.compiled import keep
keep((np.empty(0),))
"""


def compile_one(cache: Path, **options: str) -> tuple[Path, str]:
    """Compile a kernel in a process of its own; the folder of this version, and what is said on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(cache), json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip()), done.stderr


def written(cache: Path) -> dict[str, tuple[int, int]]:
    """The files of a cache, with which file it is and how long: one that is written anew is another."""
    found = (path for path in cache.rglob("*") if path.is_file())
    return {str(path.relative_to(cache)): (path.stat().st_ino, path.stat().st_size) for path in found}


def sizes(cache: Path) -> dict[str, int]:
    """The files of a cache with their lengths."""
    return {name: size for name, (_, size) in written(cache).items()}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A cache that was filled for every processor of this kind."""
    cache = tmp_path_factory.mktemp("prepared")
    compile_one(cache, cpu="generic")
    return cache


@pytest.fixture
def no_cache(monkeypatch):
    """What a test sets is undone: the cache of this process stays where it was."""
    for name in ("CACHE_DIR", "CPU_NAME", "CPU_FEATURES"):
        monkeypatch.setattr(f"numba.config.{name}", "")


def test_what_is_compiled_is_in_the_folder_that_is_given_and_found_again(prepared):
    """Nothing is written beside the sources, and a second run writes nothing."""
    before = written(prepared)
    assert any("keep" in name and name.endswith(".nbc") for name in before)
    compile_one(prepared, cpu="generic")
    assert written(prepared) == before


def test_prepared_kernels_that_are_read_only_are_taken_over(prepared, tmp_path):
    """They are copied and not compiled, also when an image's layer has changed the times of all files."""
    image, own = tmp_path / "image", tmp_path / "own"
    shutil.copytree(prepared, image)
    for path in (*image.rglob("*"), image):
        os.utime(path, (1, 1))
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = written(image)
    try:
        for _ in range(2):
            compile_one(own, prepared=str(image), cpu="generic")
            assert sizes(own) == sizes(prepared)
    finally:
        for path in (image, *image.rglob("*")):
            path.chmod(0o755)
    assert written(image) == before
    assert all(os.access(path, os.W_OK) and path.stat().st_mode & 0o200 for path in own.rglob("*"))


def test_what_was_prepared_for_another_processor_is_said_and_compiled_here(prepared, tmp_path):
    """What this processor needs goes into the worker's own cache."""
    folder, said = compile_one(tmp_path, prepared=str(prepared), cpu="native")
    assert "for another processor?" in said
    assert [name for name in written(folder) if name.endswith(".nbc")]


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

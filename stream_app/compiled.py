"""Where compiled kernels are kept. The door to numba outside core."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import numba

from core.errors import SettingsError
from stream_app.settings import Settings, load_settings

logger = logging.getLogger(__name__)

#: Versions of the kernels whose compiled code is kept.
VERSIONS_KEPT: Final = 3

#: In a cache folder, what has the versions.
KERNELS: Final = "kernels"

Cpu = Literal["native", "generic"]


def use_kernels(settings: Settings) -> Path:
    """:func:`use_cache` as the settings have it."""
    return use_cache(settings.cache_dir, prepared=settings.prepared_dir, cpu=settings.kernels_cpu)


def use_kernels_unless_told() -> None:
    """:func:`use_kernels` by the environment's settings, unless a folder was chosen: for a library's users.

    Raises:
        SettingsError: the cache cannot be written.
    """
    if not numba.config.CACHE_DIR:
        use_kernels(load_settings())


def use_cache(folder: Path, *, prepared: Path | None = None, cpu: Cpu = "native") -> Path:
    """Keep compiled kernels in a folder of ours. To be called before any kernel is imported.

    numba would else write beside the source, which a service must not be able to. Each version of the
    kernels' sources has a folder of its own: numba itself does not notice that a function which a kernel
    calls has changed in another file.

    Args:
        folder: the cache, which is written.
        prepared: another cache, filled beforehand and only read; what it has of this version is taken over.
        cpu: ``native`` compiles for the processor at hand; what another processor compiled is no use to it,
            and is compiled again. ``generic`` compiles for every processor of its architecture.

    Returns:
        The folder of this version.

    Raises:
        SettingsError: the cache cannot be written.
    """
    if cpu == "generic":
        numba.config.CPU_NAME, numba.config.CPU_FEATURES = "generic", ""
    kernels = folder.expanduser() / KERNELS
    mine = kernels / _version_of_sources(cpu)
    try:
        kernels.mkdir(parents=True, exist_ok=True)
        if prepared is not None and not mine.is_dir():
            _take_over(prepared.expanduser() / KERNELS / mine.name, mine)
        mine.mkdir(exist_ok=True)
        mine.touch()
    except OSError as error:
        raise SettingsError(
            f"cache_dir: compiled kernels cannot be kept in {kernels}: {error.strerror}; "
            "set NEXTCLICK_CACHE_DIR to a folder that can be written"
        ) from None
    numba.config.CACHE_DIR = str(mine)
    for old in sorted(kernels.iterdir(), key=_age_order)[:-VERSIONS_KEPT]:
        if old != mine:
            shutil.rmtree(old, ignore_errors=True)
    return mine


def _take_over(prepared: Path, mine: Path) -> None:
    """Copy what was compiled beforehand: whole or not at all, as two processes may do it at a time."""
    if not prepared.is_dir():
        logger.warning("%s is not there: made by another version or for another processor?", prepared)
        return
    with tempfile.TemporaryDirectory(prefix=".kernels-", dir=mine.parent.parent) as folder:
        copy = Path(folder, mine.name)
        # Without the modes: what is copied may be read-only, the copy is to be written.
        shutil.copytree(prepared, copy, copy_function=shutil.copyfile)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)
        try:
            copy.rename(mine)
        except OSError:
            if not mine.is_dir():
                raise  # else the other process was first


def _version_of_sources(cpu: Cpu) -> str:
    digest = hashlib.blake2b(f"{numba.__version__} {cpu}".encode(), digest_size=8)
    spec = find_spec("core")
    for place in spec.submodule_search_locations or () if spec else ():
        for source in sorted(Path(place).rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _age_order(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process prunes as well
        return 0.0

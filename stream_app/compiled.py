"""Where compiled kernels are kept. The door to numba outside core."""

from __future__ import annotations

import hashlib
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numba

#: Versions of the kernels whose compiled code is kept.
VERSIONS_KEPT: Final = 3


def use_cache(folder: Path) -> Path:
    """Keep compiled kernels in a folder of ours. To be called before any kernel is imported.

    numba would else write beside the source, which a service must not be able to. Each version of the
    kernels' sources has a folder of its own: numba itself does not notice that a function which a kernel
    calls has changed in another file.

    Returns:
        The folder of this version.
    """
    kernels = folder.expanduser() / "kernels"
    mine = kernels / _version_of_sources()
    mine.mkdir(parents=True, exist_ok=True)
    mine.touch()
    numba.config.CACHE_DIR = str(mine)
    for old in sorted(kernels.iterdir(), key=_age_order)[:-VERSIONS_KEPT]:
        if old != mine:
            shutil.rmtree(old, ignore_errors=True)
    return mine


def _version_of_sources() -> str:
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=8)
    spec = find_spec("core")
    for place in spec.submodule_search_locations or () if spec else ():
        for source in sorted(Path(place).glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _age_order(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process prunes as well
        return 0.0

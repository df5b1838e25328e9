"""What holds for every file of the repository: sentences, lengths, and words that are not to be there."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MAX_LINES = 400
#: A kernel reads top to bottom, so it may be longer.
MAX_KERNEL_LINES = 650

#: Made from parts, or this file would have them: the hosts of package registries (an install is told by
#: its client's own settings where to go), a place on one machine, a note of work that is not done.
UNWANTED = tuple(
    "".join(parts)
    for parts in (
        ("pypi", ".org"),
        ("python", "hosted.org"),
        ("repo.maven", ".apache.org"),
        ("repo1.", "maven.org"),
        ("registry.", "npmjs.org"),
        ("crates", ".io"),
        ("proxy.", "golang.org"),
        ("deb.", "debian.org"),
        ("/wo", "rk/"),
        ("TO", "DO"),
    )
)

#: A comment that switches a rule off, and the same with a rule's name and a reason.
SWITCHED_OFF = re.compile(r"#\s*(?:noqa|type:\s*ignore)\b[^\n]*")
WITH_REASON = re.compile(
    r"# (?:noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*|type: ignore\[[a-z, -]+\])\s*(?:-{1,2}|#) \w.+"
)


def files() -> list[str]:
    """All files that git knows or would add, as paths from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return sorted(path for path in set(listed.stdout.splitlines()) if (ROOT / path).is_file())


def python_files() -> list[str]:
    """Those of them that are Python."""
    return [path for path in files() if path.endswith(".py")]


def text_of(path: str) -> str:
    """A file's text; bytes that are no text are left out."""
    return (ROOT / path).read_text(encoding="utf-8", errors="ignore")


def silent_tests(source: str) -> list[str]:
    """The tests of a module that have no sentence for a docstring."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not (ast.get_docstring(node) or "").strip().endswith(".")
    ]


def without_reason(source: str) -> list[str]:
    """The comments of a module that switch a rule off and do not say which and why."""
    return [comment for comment in SWITCHED_OFF.findall(source) if not WITH_REASON.match(comment)]


def test_the_files_of_the_repository_are_found():
    """The rules below look at something: git lists this file and the package."""
    assert {"tests/test_house.py", "core/errors.py", "pyproject.toml"} <= set(files())


@pytest.mark.parametrize("path", python_files())
def test_a_file_fits_in_a_head(path):
    """A Python file is under 400 lines, a kernel's under 650."""
    limit = MAX_KERNEL_LINES if path.startswith("core/kernels/") else MAX_LINES
    assert len(text_of(path).splitlines()) < limit


@pytest.mark.parametrize("path", [path for path in python_files() if path.startswith("tests/")])
def test_every_test_has_a_sentence(path):
    """A test says in one sentence, with its full stop, what holds."""
    assert silent_tests(text_of(path)) == []


@pytest.mark.parametrize("path", python_files())
def test_a_rule_is_switched_off_by_name_and_with_a_reason(path):
    """A noqa or a type: ignore has its code, and says why beside it."""
    assert without_reason(text_of(path)) == []


@pytest.mark.parametrize("path", files())
def test_a_file_has_no_unwanted_word(path):
    """No registry's host, no place on one machine, no note of unfinished work, in any file or its name."""
    text = text_of(path)
    assert [word for word in UNWANTED if word in text or word in path] == []


def test_what_contributing_names_exists():
    """Every path and every verb in CONTRIBUTING.md is there, and every verb of the Makefile is told."""
    text = text_of("CONTRIBUTING.md")
    paths = [word for word in re.findall(r"`([\w./-]+)`", text) if "/" in word and not word.startswith("..")]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    verbs = set(re.findall(r"^([a-z]+):.*## ", text_of("Makefile"), re.MULTILINE)) - {"help"}
    assert set(re.findall(r"`make ([a-z]+)`", text)) == verbs


def test_a_test_without_a_sentence_is_seen():
    """Functions, coroutines and methods are looked at; a docstring without a full stop does not count."""
    source = (
        "def test_a():\n    pass\n"
        "async def test_b():\n    '''No full stop'''\n"
        "class TestC:\n    def test_d(self):\n        pass\n"
        "def test_e():\n    '''A sentence.'''\n"
        "def helper():\n    pass\n"
    )
    assert sorted(silent_tests(source)) == ["test_a", "test_b", "test_d"]


@pytest.mark.parametrize(
    ("comment", "seen"),
    [
        ("noqa", True),
        ("noqa: S105", True),
        ("noqa - made up", True),
        ("type: ignore", True),
        ("type: ignore[arg-type]", True),
        ("noqa: S105 - made up", False),
        ("noqa: S105, S106 -- made up", False),
        ("type: ignore[arg-type]  # only a time is a tuple", False),
        ("a comment like any other", False),
    ],
)
def test_a_rule_that_is_switched_off_without_a_reason_is_seen(comment, seen):
    """A code alone is no reason, and a reason alone is no code."""
    assert bool(without_reason(f"x = 1  # {comment}\n")) is seen

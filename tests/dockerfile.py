"""deploy/Dockerfile as its tests read it: stages, and what stands in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


class Step(NamedTuple):
    """An instruction: the word in capitals, and what follows, on one line."""

    word: str
    rest: str

    @property
    def command(self) -> list[str]:
        """The list that RUN, CMD, ENTRYPOINT or a health check's CMD is written as."""
        return json.loads(self.rest[self.rest.index("[") :])


class Stage(NamedTuple):
    """A stage: its name, what it is made from, its own steps in order."""

    name: str
    base: str
    steps: list[Step]

    def all(self, word: str) -> list[Step]:
        """Its own steps of a kind."""
        return [step for step in self.steps if step.word == word]


def stages() -> dict[str, Stage]:
    """The stages by name, in the file's order."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    found: dict[str, Stage] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, name = rest.split(" AS ")
            stage = found[name] = Stage(name, base, [])
        else:
            stage.steps.append(Step(word, rest.strip()))
    return found


def whole(name: str) -> list[Step]:
    """The steps of a stage with those of the stages that it is made from, in order."""
    known = stages()
    stage = known[name]
    return [*(whole(stage.base) if stage.base in known else []), *stage.steps]


def last(name: str, word: str) -> Step:
    """The last step of a kind in a whole stage, the one that counts."""
    return [step for step in whole(name) if step.word == word][-1]


def variables(name: str) -> dict[str, str]:
    """What a whole stage sets in the environment."""
    return dict(
        pair for step in whole(name) if step.word == "ENV" for pair in re.findall(r"(\w+)=(\S+)", step.rest)
    )

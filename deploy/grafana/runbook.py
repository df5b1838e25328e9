"""The runbook as a dashboard: a panel for each alert's section of docs/runbook.md, so that links find it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import dashboard, text
from grafana_foundation_sdk.models.text import TextMode

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"
NAME: Final = "runbook"

#: A section of an alert: its heading, and all up to the next heading of that height or a higher one.
_SECTION: Final = re.compile(r"^### (Nextclick\w+)\n(.*?)(?=^#{1,3} |\Z)", re.MULTILINE | re.DOTALL)


#: A link of Markdown to another section or another document.
_LINK: Final = re.compile(r"\[([^]]+)\]\((?!https?:)([^)]+)\)")


@cache
def sections() -> dict[str, str]:
    """By alert, its section of the runbook in Markdown, without the heading; in the document's order."""
    return {alert: body.strip() for alert, body in _SECTION.findall(DOCUMENT.read_text(encoding="utf-8"))}


def section_url(alert: str) -> str:
    """Where Grafana shows an alert's section."""
    return f"/d/nextclick-{NAME}?viewPanel={1 + list(sections()).index(alert)}"


def runbook() -> dashboard.Dashboard:
    """The dashboard. Grafana has no way to link to a heading, so each section is a panel."""
    made = (
        dashboard.Dashboard("nextclick: Runbook")
        .uid(f"nextclick-{NAME}")
        .description("What to do: docs/runbook.md, as it is in the repository.")
        .tags(["nextclick"])
        .readonly()
    )
    for number, (alert, body) in enumerate(sections().items(), 1):
        made = made.with_panel(
            text.Panel()
            .id(number)
            .title(alert)
            .description(f"What {alert} means, how to look, what to do.")
            .mode(TextMode.MARKDOWN)
            .content(_LINK.sub(_link_in_grafana, body))
            .height(12)
            .span(12)
        )
    return made


def _link_in_grafana(link: re.Match[str]) -> str:
    """The same link where there are no documents: to the panel of that section, else the words alone."""
    words, target = link[1], link[2]
    if words in sections() and target == f"#{words.lower()}":
        return f"[{words}]({section_url(words)})"
    return f"{words} (docs/runbook.md)" if target.startswith("#") else words

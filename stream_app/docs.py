"""The tables of ``docs/`` that are made from the code: ``make docs`` writes them, a test compares them.

A table stands between two comments, ``<!-- NAME: begin … -->`` and ``<!-- NAME: end -->``; the rest of a
document is written by hand and stays.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from core.errors import NextclickError
from core.params import ScoringParameters
from core.presets import PRESETS
from core.sizing import Figures, Stream, size
from stream_app.chart import SCHEMA, with_settings
from stream_app.kafka.acls import ROLES, permissions
from stream_app.scoring_file import DEFAULT_PRESET
from stream_app.settings import ENV_PREFIX, Settings
from stream_app.telemetry import Telemetry, describe

ROOT: Final = Path(__file__).resolve().parents[1]


class Document(NamedTuple):
    """A document with one table that is made from the code."""

    path: str
    """From the root of the repository."""
    name: str
    """The name in the two comments."""
    header: Sequence[str]
    rows: Callable[[], Iterable[Sequence[str]]]
    """Makes the rows, each with as many cells as the header."""


def settings_rows() -> list[tuple[str, str, str, str, str]]:
    """A row a setting, in the order of the class: variable, TOML key, default, values, meaning."""
    properties: dict[str, dict[str, Any]] = Settings.model_json_schema()["properties"]
    return [
        (
            f"`{ENV_PREFIX}{key.upper()}`",
            f"`{key}`",
            _default(schema),
            _values(schema),
            schema.get("description", ""),
        )
        for key, schema in properties.items()
    ]


def scoring_rows() -> list[tuple[str, str, str]]:
    """A row a parameter of the scorer, in the order of the class: TOML key, default, meaning."""
    default = PRESETS[DEFAULT_PRESET]
    meanings = _meanings(ScoringParameters, "Args:\n")
    return [
        (f"`{key}`", f"`{json.dumps(getattr(default, key)).strip(chr(34))}`", meanings[key])
        for key in ScoringParameters.__struct_fields__
    ]


def permissions_rows() -> list[tuple[str, str, str, str, str]]:
    """A row a permission of each role, with the names of the defaults."""
    settings = Settings.model_construct()
    return [
        (
            "" if number else f"`{role}`",
            "" if number else what,
            one.kind,
            f"`{one.name}`",
            ", ".join(f"`{operation}`" for operation in one.operations),
        )
        for role, what in ROLES.items()
        for number, one in enumerate(permissions(settings, role))
    ]


def metrics_rows() -> list[tuple[str, str, str, str]]:
    """A row a metric, in the order in which they are defined: name, kind, labels, meaning."""
    return [
        (
            f"`{metric['name']}`",
            metric["kind"],
            ", ".join(f"`{label}`" for label in metric["labels"]),
            metric["meaning"],
        )
        for metric in describe(Telemetry())
    ]


def figures_rows() -> list[tuple[str, str, str]]:
    """A row a figure that sizes are computed from: name, value, what it is of and which table has it."""
    meanings = _meanings(Figures, "Attributes:\n")
    return [(f"`{key}`", f"{getattr(Figures(), key):,g}", meanings[key]) for key in Figures.__struct_fields__]


def sizes_rows() -> list[Sequence[str]]:
    """A row a rate: what `nextclick size` says of it."""
    rows: list[Sequence[str]] = []
    for clicks_s in SIZED_CLICKS_S:
        found = size(Stream(clicks_s=clicks_s))
        rows.append(
            (
                f"{clicks_s:,}",
                f"{found.workers:,}",
                f"{found.open_visitors:,}",
                f"{found.worker_memory_mib:,.0f}",
                f"{found.remembers_s / 3600:,.2g}",
                f"{found.learning_share:.1%}",
                f"{found.kafka_in_mib_s:,.1f}",
                f"{found.day_gib['sessions']:,.1f}",
            )
        )
    return rows


SIZES_HEADER: Final = (
    "clicks/s",
    "workers",
    "open visitors",
    "memory of a worker, MiB",
    "the index remembers, hours",
    "learning, of a core of each worker",
    "written to Kafka, MiB/s",
    "sessions topic, GiB a day",
)

#: Rates that docs/sizing.md has sizes of.
SIZED_CLICKS_S: Final = (10, 100, 1_000, 10_000, 100_000, 1_000_000)

DOCUMENTS: Final = (
    Document(
        "docs/settings.md",
        "settings",
        ("variable", "TOML key", "default", "values", "meaning"),
        settings_rows,
    ),
    Document("docs/settings.md", "scoring", ("TOML key", "default", "meaning"), scoring_rows),
    Document(
        "docs/security.md", "permissions", ("role", "for", "on", "name", "operations"), permissions_rows
    ),
    Document("docs/metrics.md", "metrics", ("name", "kind", "labels", "meaning"), metrics_rows),
    Document("docs/sizing.md", "figures", ("figure", "value", "of what"), figures_rows),
    Document("docs/sizing.md", "sizes", SIZES_HEADER, sizes_rows),
)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with one line a row and a newline at its end.

    Raises:
        NextclickError: a row has more or fewer cells than the header.
    """
    lines = [_line(header), "|---" * len(header) + "|"]
    for row in rows:
        if len(row) != len(header):
            raise NextclickError(f"expected {len(header)} cells ({', '.join(header)}), came {tuple(row)}")
        lines.append(_line(row))
    return "\n".join(lines) + "\n"


def fill(text: str, name: str, table: str) -> str:
    """The text with the table in place of what stands between the two comments of that name.

    Raises:
        NextclickError: the text does not have both comments, once each and in order.
    """
    before, begin, rest = text.partition(f"<!-- {name}: begin")
    first_line, newline, rest = rest.partition("\n")
    _, end, after = rest.partition(f"<!-- {name}: end -->")
    if not (begin and newline and end) or begin in after or end in after:
        raise NextclickError(
            f"expected `{begin or f'<!-- {name}: begin -->'}` and `<!-- {name}: end -->`, once each, on "
            "lines of their own"
        )
    return f"{before}{begin}{first_line}\n\n{table}\n{end}{after}"


def made(document: Document, root: Path = ROOT) -> str:
    """The document's text as it should be; it is read, not written.

    Raises:
        NextclickError: the document lacks its comments.
    """
    text = (root / document.path).read_text(encoding="utf-8")
    return fill(text, document.name, markdown_table(document.header, document.rows()))


def main(root: Path = ROOT) -> None:
    """Write the tables of all documents anew, and the settings in the chart's schema."""
    for document in DOCUMENTS:
        (root / document.path).write_text(made(document, root), encoding="utf-8")
    schema = root / SCHEMA
    schema.write_text(with_settings(schema.read_text(encoding="utf-8")), encoding="utf-8")


def _meanings(kind: type, section: str) -> dict[str, str]:
    """The meaning of each field, from a section of the class's docstring."""
    _, _, described = inspect.cleandoc(kind.__doc__ or "").partition(section)
    described, _, _ = described.partition("\n\n")
    entries = re.split(r"\n(?=    \w+: )", described)
    meanings = dict(" ".join(entry.split()).split(": ", maxsplit=1) for entry in entries)
    return {name: meaning.replace("``", "`") for name, meaning in meanings.items()}


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    if default in (None, "", {}):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _values(schema: dict[str, Any]) -> str:
    """What a setting may be, in words, from its JSON schema."""
    schema = next((part for part in schema.get("anyOf", ()) if part["type"] != "null"), schema)
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    kind = {"path": "a path", "password": "text"}.get(schema.get("format", ""), "")
    kind = kind or {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "`true`, `false`",
        "object": "a table",
    }.get(schema["type"], "text")
    bounds = [
        f"{words} {schema[limit]:,}"
        for limit, words in (
            ("exclusiveMinimum", "above"),
            ("minimum", "from"),
            ("exclusiveMaximum", "below"),
            ("maximum", "to"),
        )
        if limit in schema
    ]
    if "maxLength" in schema:
        bounds.append(f"of {schema.get('minLength', 0)} to {schema['maxLength']} characters")
    return " ".join([kind, *bounds])


if __name__ == "__main__":
    main()

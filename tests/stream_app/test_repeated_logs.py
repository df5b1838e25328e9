"""A line that repeats is logged now and then, with how often it came."""

from __future__ import annotations

import logging

from stream_app.repeated_logs import EVERY_S, MOST_REMEMBERED, OncePer


def line(
    created: float, text: str = "no node %d", name: str = "aiokafka.conn", value: int = 1
) -> logging.LogRecord:
    """A line at a time."""
    record = logging.LogRecord(name, logging.ERROR, "file", 1, text, (value,), None)
    record.created = created
    return record


def passed(filtering: OncePer, lines: list[logging.LogRecord]) -> list[str]:
    """The texts of the lines that pass."""
    return [record.getMessage() for record in lines if filtering.filter(record)]


def test_a_line_passes_once_in_a_while_with_the_count_of_those_left_out():
    """The values in it may differ; what counts is the text before they are put in."""
    lines = [line(100.0 + 0.1 * n, value=n) for n in range(250)]
    assert passed(OncePer("aiokafka"), lines) == [
        "no node 0",
        f"no node {round(EVERY_S * 10)} (and 99 more like it)",
        f"no node {round(EVERY_S * 20)} (and 99 more like it)",
    ]


def test_other_lines_pass():
    """Another text, another logger, and one's own lines however often."""
    lines = [
        line(1.0 + 100),
        line(1.1 + 100, text="another %d"),
        line(1.2 + 100, name="aiokafka.cluster"),
        *(line(2.0 + 100, name="stream_app.worker") for _ in range(3)),
        *(line(2.0 + 100, name="aiokafkaesque") for _ in range(3)),
    ]
    assert len(passed(OncePer("aiokafka"), lines)) == 9


def test_what_is_remembered_is_bounded():
    """Lines that are all different are not kept for ever."""
    filtering = OncePer("aiokafka")
    assert (
        len(passed(filtering, [line(100.0 + n, text=f"{n} %d") for n in range(3 * MOST_REMEMBERED)])) == 3000
    )
    assert len(filtering._seen) <= MOST_REMEMBERED

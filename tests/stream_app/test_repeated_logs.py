"""A line that repeats is logged now and then, with how often it came."""

from __future__ import annotations

import logging

from stream_app.kafka.repeated_logs import EVERY_S, MOST_REMEMBERED, OF_OTHERS, RateLimit


def line(
    created: float, text: str = "no node %d", name: str = "aiokafka.conn", value: int = 1
) -> logging.LogRecord:
    """A line at a time."""
    record = logging.LogRecord(name, logging.ERROR, "file", 1, text, (value,), None)
    record.created = created
    return record


def passed(filtering: RateLimit, lines: list[logging.LogRecord]) -> list[str]:
    """The texts of the lines that pass."""
    return [record.getMessage() for record in lines if filtering.filter(record)]


def test_a_library_says_a_thing_once_in_a_while_with_the_count_of_those_left_out():
    """The values in it may differ; what counts is the text before they are put in."""
    lines = [line(100.0 + 0.1 * n, value=n) for n in range(250)]
    assert passed(RateLimit("aiokafka"), lines) == [
        "no node 0",
        f"no node {round(EVERY_S * 10)} (and 99 more like it)",
        f"no node {round(EVERY_S * 20)} (and 99 more like it)",
    ]


def test_other_lines_of_it_pass():
    """Another text and another logger are other lines."""
    lines = [
        line(101.0),
        line(101.1, text="another %d"),
        line(101.2, name="aiokafka.cluster"),
        *(line(102.0, name="aiokafkaesque", value=n) for n in range(3)),
    ]
    assert len(passed(RateLimit("aiokafka"), lines)) == 6


def test_our_own_lines_may_come_some_times_before_they_are_counted():
    """The same thing of a few partitions at once is said of each; a thousand unreadable records are not."""
    lines = [line(100.0 + 0.001 * n, "record %d is none", "stream_app.index.feed", n) for n in range(1000)]
    lines.append(line(100.0 + EVERY_S, "record %d is none", "stream_app.index.feed", 1000))
    said = passed(RateLimit("aiokafka"), lines)
    assert said[:-1] == [f"record {n} is none" for n in range(OF_OTHERS)]
    assert said[-1] == f"record 1000 is none (and {1000 - OF_OTHERS} more like it)"


def test_what_is_remembered_is_bounded():
    """Lines that are all different are not kept for ever."""
    filtering = RateLimit("aiokafka")
    assert (
        len(passed(filtering, [line(100.0 + n, text=f"{n} %d") for n in range(3 * MOST_REMEMBERED)])) == 3000
    )
    assert len(filtering._seen) <= MOST_REMEMBERED

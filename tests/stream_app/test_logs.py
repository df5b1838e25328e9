"""The lines of the log, as text and as JSON."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from stream_app.logs import formatter
from stream_app.worker.dead_letter_log import SAY_S, DeadLetterLog

#: A program that prints to standard error in every way that Python has.
LOUD = """
import logging, threading, warnings
from stream_app.logs import set_up_logging
from stream_app.settings import Settings

set_up_logging(Settings(log_format="json"))
logging.getLogger("faust.app").info("a step, which is not logged")
logging.getLogger("aiokafka").warning("a line\\nand another, %s", "\\ud800")
logging.getLogger("stream_app.x").info("no %d", 1, extra={"partition": 3, "offset": 7})
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()

class Bad:
    def __del__(self):
        raise ValueError("at the end")

Bad()
raise RuntimeError("nobody catches it")
"""


def record(text: str, *args: object, **fields: object) -> logging.LogRecord:
    """A record with fields beside its message."""
    made = logging.LogRecord("stream_app.x", logging.INFO, "file", 1, text, args, None)
    made.__dict__.update(fields)
    made.created = 0.5
    return made


def test_a_line_of_json_has_its_fields_by_name():
    """Time, level, logger and message are there, and what the event has."""
    line = formatter("json").format(record("partition %d", 3, partition=3, offset=7))
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.500000+00:00",
        "level": "INFO",
        "logger": "stream_app.x",
        "message": "partition 3",
        "partition": 3,
        "offset": 7,
    }


def test_a_line_of_text_has_the_message():
    """Text has what there always was, and not the fields."""
    line = formatter("text").format(record("partition %d", 3, partition=3))
    assert line.endswith(" INFO stream_app.x: partition 3")


def test_whatever_is_printed_is_json():
    """Warnings and errors that nobody caught, in threads too, are objects; tracebacks stay in one line."""
    done = subprocess.run(
        [sys.executable, "-c", LOUD], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["level"], line["logger"]) for line in lines] == [
        ("WARNING", "aiokafka"),
        ("INFO", "stream_app.x"),
        ("WARNING", "py.warnings"),
        ("ERROR", "stream_app.logs"),
        ("ERROR", "stream_app.logs"),
        ("CRITICAL", "stream_app.logs"),
    ]
    assert lines[1]["offset"] == 7
    assert "ZeroDivisionError" in lines[3]["exception"]
    assert "at the end" in lines[4]["exception"]
    assert "RuntimeError: nobody catches it" in lines[5]["exception"]


def test_dead_letters_are_said_once_a_minute(caplog: pytest.LogCaptureFixture):
    """The first soon, then a line a minute with the counts by reason; nothing where none came."""
    log = DeadLetterLog()
    log.say(0.0)
    for offset in range(3):
        log.note(1, offset, "late" if offset else "not_json")
    log.say(5.0)
    log.note(2, 9, "late")
    log.say(5.0 + SAY_S - 1)
    log.say(5.0 + SAY_S)
    log.say(5.0 + 3 * SAY_S)
    assert [line.message for line in caplog.records] == [
        "dead letters: 2 late, 1 not_json; the last is of partition 1, offset 2",
        "dead letters: 1 late; the last is of partition 2, offset 9",
    ]
    assert caplog.records[0].reasons == {"late": 2, "not_json": 1}

"""How the worker logs: a line an event on standard error, as text or JSON. The door to python-json-logger.

Libraries log through the same handler. What else would be printed there, Python's warnings and the exceptions
that nobody caught, goes through it too, so that with ``log_format = "json"`` every line is one object.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Any, Final

from pythonjsonlogger.json import JsonFormatter

from stream_app.kafka.repeated_logs import RateLimit
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"

#: Libraries that say each step at the level of info, and the same again and again where a broker is gone.
CHATTY: Final = ("faust", "mode", "aiokafka")


def set_up_logging(settings: Settings) -> None:
    """Log to standard error from now on, by ``log_level`` and ``log_format``."""
    level = getattr(logging, settings.log_level.upper())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings.log_format))
    handler.addFilter(RateLimit(*CHATTY))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _uncaught_in_thread
    logging.getLogger("numba").setLevel(logging.WARNING)  # at debug it prints all of its bytecode
    if level > logging.DEBUG:
        # Faust and aiokafka ask about every message whether debug is on: 13 % of a worker's time.
        logging.disable(logging.DEBUG)
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    else:
        logging.getLogger("aiokafka.conn").setLevel(logging.INFO)  # it would print requests, a login's too


def formatter(log_format: str) -> logging.Formatter:
    """What makes a line of a record.

    A line of JSON has ``time`` (UTC), ``level``, ``logger`` and ``message``, each field that was given beside
    the message (``partition``, ``offset``, …), and ``exception`` where there is one.
    """
    if log_format == "text":
        return logging.Formatter(TEXT)
    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
        timestamp="time",
    )


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        logger.critical("the worker ends by an error: %s", error, exc_info=(kind, error, trace))


def _uncaught_in_thread(what: Any) -> None:
    info = (what.exc_type, what.exc_value, what.exc_traceback)
    logger.error("a thread ended by an error: %s", what.exc_value, exc_info=info)


def _unraisable(what: Any) -> None:
    info = (what.exc_type, what.exc_value, what.exc_traceback)
    logger.error("%s: %r", what.err_msg or "an error nobody could catch", what.object, exc_info=info)

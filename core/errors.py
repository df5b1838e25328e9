"""Every error that nextclick raises on purpose.

The tree::

    NextclickError
    ├── BadClickError          an input record that is not a click (data: it becomes a dead letter)
    ├── InvalidParameterError  a scoring or window parameter out of its range
    ├── SessionsError          sessions given by a caller are not what core.wsknn learns or answers
    ├── SettingsError          a setting that is unknown, missing or out of its range
    ├── TopicError             a topic is missing or has the wrong shape
    ├── BrokerError            a broker cannot be reached, or a local one cannot be started
    │   └── TransactionLostError  a transaction has ended, or may have, without this writer
    ├── FolderInUseError       another process has the folder that is to be used
    ├── GroupError             another worker has this one's place in the group
    ├── AccessError            Kafka does not permit what is needed
    ├── ReplayError            a file to replay cannot be read at all
    ├── EvaluationError        an evaluation that cannot be made: no such method, nothing to learn or to ask
    ├── TuneError              a search for parameters that cannot begin, or ended before its first figures
    ├── ExplainError           an answer that cannot be computed anew: no such click, a dead letter, gone
    ├── DemoError              the demo's purchases cannot be read, or its worker ended
    ├── StatusError            a worker that is asked for its status does not answer, or not as one
    └── StateError             stored state was written by something else than this version reads

The command line prints an error's message and nothing more, so a message says what was expected, what
came, where, and what to do.
"""

from __future__ import annotations


class NextclickError(Exception):
    """Base of all the errors below."""


class BadClickError(NextclickError):
    """An input record that is not a click.

    Args:
        reason: one of :data:`core.window.clicks.BAD_REASONS`, or ``misplaced``: the label that it is counted
            by.
        detail: what was expected and what came, for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class InvalidParameterError(NextclickError):
    """A scoring or window parameter is out of its range."""


class SessionsError(NextclickError):
    """Sessions given by a caller cannot be learnt or answered: their shape, their times, their length."""


class SettingsError(NextclickError):
    """A setting is unknown, missing or out of its range."""


class TopicError(NextclickError):
    """A topic is missing or has the wrong shape."""


class BrokerError(NextclickError):
    """A broker cannot be reached, or a local one cannot be started."""


class TransactionLostError(BrokerError):
    """A transaction has ended, or may have, without its writer: another has its id, or it took too long."""


class FolderInUseError(NextclickError):
    """Another process has the folder: a worker its data, a local Kafka its logs."""


class GroupError(NextclickError):
    """Another worker has this one's place in the group."""


class AccessError(NextclickError):
    """Kafka does not permit this user what is needed."""


class ReplayError(NextclickError):
    """A file to replay cannot be read at all."""


class EvaluationError(NextclickError):
    """An evaluation cannot be made: no such method, nothing to learn from, nothing to ask."""


class TuneError(NextclickError):
    """A search for parameters cannot begin, or ended before it had its first figures."""


class ExplainError(NextclickError):
    """An answer cannot be computed anew: no such click, a dead letter, no answer yet, topics cut short."""


class DemoError(NextclickError):
    """The demo's purchases cannot be read, or its worker ended."""


class StatusError(NextclickError):
    """A worker that is asked for its status does not answer, or not as a worker does."""


class StateError(NextclickError):
    """Stored state was written by something else than what this version reads."""
